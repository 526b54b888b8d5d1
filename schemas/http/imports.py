"""Imports of goods over HTTP."""

from typing import Any

import msgspec

from schemas.http.shapes import Timestamp


class ImportJob(msgspec.Struct, frozen=True, kw_only=True):
    """One import. ``bad_cells``: nothing is imported while there are any. created, changed, same: products.

    state: uploaded, checking, checked, refused, importing, done, failed, cancelled. ``reason``, ``said``: why it was refused or failed.
    """

    job_id: str
    state: str
    file_name: str
    file_bytes: int
    format: str
    encoding: str
    dry_run: bool
    merchant_id: str
    asked_by: str
    asked_at: Timestamp
    ended_at: Timestamp | None
    rows_total: int
    rows_done: int
    bad_cells: int
    created: int
    changed: int
    same: int
    reason: str
    said: str


class ImportJobs(msgspec.Struct, frozen=True, kw_only=True):
    """The newest first; ``next_cursor`` is null on the last page."""

    imports: tuple[ImportJob, ...]
    next_cursor: str | None


class BadCell(msgspec.Struct, frozen=True, kw_only=True, rename={"zh": "zh-CN"}):
    """One bad cell. ``cell``: as a spreadsheet calls it; of a whole row its number."""

    row: int
    column: str
    cell: str
    code: str
    params: dict[str, Any]
    en: str
    zh: str


class ImportFlaws(msgspec.Struct, frozen=True, kw_only=True):
    """Every bad cell of an import, by row and column."""

    flaws: tuple[BadCell, ...]


class SheetColumn(msgspec.Struct, frozen=True, kw_only=True):
    """One column. ``en``, ``zh``: its header, either of which is read. ``of``: product or sku."""

    en: str
    zh: str
    of: str
    help_en: str
    help_zh: str


class SheetColumns(msgspec.Struct, frozen=True, kw_only=True):
    """All columns of a sheet."""

    columns: tuple[SheetColumn, ...]
