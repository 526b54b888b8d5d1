"""What an import's rows mean to the tables: which products and SKUs there are, what cells may name, and the documents that come of it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any, Final

import msgspec

from actors.domain.product import Terms, images_of
from actors.domain.sheet import CellFlaw, Plan, plan_of
from actors.domain.sheet_reading import Group, Known, Outcome, Reader, Ways, cells_of, codes_of, groups_of
from actors.storage.goods import Edit, Stored, read_stored, read_terms
from actors.storage.images import known_images
from actors.storage.sheets.limits import FLAWS_MAX, Sheet

GROUPS_AT_ONCE: Final = 500
"""Products whose documents are in memory together while rows are read."""
CODES_AT_ONCE: Final = 10_000

BY_SKU: Final = """
SELECT s.code AS sku, s.product_id, coalesce(p.merchant_id, '') AS merchant_id, coalesce(p.code, p.product_id) AS code
FROM sku s JOIN product p USING (product_id) WHERE s.code = ANY($1) AND s.sku_id NOT LIKE 'sku\\_s\\_%'"""
BY_CODE: Final = """
SELECT product_id, coalesce(merchant_id, '') AS merchant_id, code FROM product WHERE code = ANY($1)
UNION ALL SELECT product_id, coalesce(merchant_id, ''), product_id FROM product WHERE product_id = ANY($1) AND code IS NULL"""
BY_SLUG: Final = "SELECT slug, product_id FROM product WHERE slug = ANY($1)"
CATEGORY_SLUGS: Final = "SELECT slug, category_id FROM category"
BRAND_SLUGS: Final = "SELECT slug, brand_id FROM brand"

Progress = Callable[[int], Awaitable[None]]
"""Which of these images there are, asked on a connection."""


class Judged:
    """What a sheet's rows come to. edits: what would be written; flaws: up to ``FLAWS_MAX``; bad: how many there are."""

    def __init__(self, header: list[str]) -> None:
        self.header = header
        self.rows: list[tuple[int, list[str]]] = []
        self.flaws: list[CellFlaw] = []
        self.bad = 0
        self.edits: list[Edit] = []
        self.same = 0

    def add(self, flaws: Sequence[CellFlaw]) -> None:
        """Keep these flaws, as far as there is room."""
        self.bad += len(flaws)
        if len(self.flaws) < FLAWS_MAX:
            self.flaws.extend(flaws)


async def ways_of(connection: Any, merchant_id: str) -> Ways:
    """What cells may name now."""
    terms: Terms = await read_terms(connection)
    return Ways(
        terms=terms,
        categories={row["slug"]: row["category_id"] for row in await connection.fetch(CATEGORY_SLUGS)},
        brands={row["slug"]: row["brand_id"] for row in await connection.fetch(BRAND_SLUGS)},
        merchant_id=merchant_id,
    )


async def known_of(connection: Any, plan: Plan, rows: list[tuple[int, list[str]]]) -> Known:
    """What the tables know of the codes in these rows."""
    skus, codes, slugs = codes_of(plan, rows)
    by_sku = {row["sku"]: (row["product_id"], row["merchant_id"], row["code"]) async for row in _fetch(connection, BY_SKU, skus)}
    by_code = {(row["merchant_id"], row["code"]): row["product_id"] async for row in _fetch(connection, BY_CODE, codes)}
    by_slug = {row["slug"]: row["product_id"] async for row in _fetch(connection, BY_SLUG, slugs)}
    return Known(by_sku=by_sku, by_code=by_code, slugs=by_slug)


async def _fetch(connection: Any, sql: str, names: set[str]) -> AsyncIterator[Any]:
    ordered = sorted(name for name in names if "\0" not in name and len(name) <= 200)
    for start in range(0, len(ordered), CODES_AT_ONCE):
        for row in await connection.fetch(sql, ordered[start : start + CODES_AT_ONCE]):
            yield row


async def judged(connection: Any, sheet: Sheet, merchant_id: str, progress: Progress) -> Judged:
    """Read a sheet against the tables. progress: told of the rows that are done, from time to time."""
    plan, wrong = plan_of(sheet.header)
    width = len(sheet.header)
    found = Judged(sheet.header)
    found.add([msgspec.structs.replace(flaw, row=sheet.header_row) for flaw in wrong])
    found.add([CellFlaw(row=row, column=column, code=code, params=params) for row, column, code, params in sheet.flaws])
    unreadable = {(row, column) for row, column, *_ in sheet.flaws}
    for number, row in enumerate(sheet.rows, start=sheet.header_row + 1):
        cells, bad = cells_of(number, row, width)
        found.add(bad)
        found.rows.append((number, cells))
        unreadable.update((flaw.row, flaw.column) for flaw in bad)
    if wrong:
        return found
    ways = await ways_of(connection, merchant_id)
    known = await known_of(connection, plan, found.rows)
    groups, wrong = groups_of(plan, found.rows, known, ways)
    found.add(wrong)
    reader = Reader(plan, ways, known.slugs)
    done = 0
    for some in _parts(groups):
        there = await read_stored(connection, [group.product_id for group in some if group.product_id])
        outcomes = [reader.read(group, stored.doc if (stored := there.get(group.product_id)) else None) for group in some]
        images = await _images(connection, outcomes)
        for group, outcome in zip(some, outcomes, strict=True):
            flaws = (*outcome.flaws, *reader.image_flaws(group, outcome, images))
            _judge(found, group, msgspec.structs.replace(outcome, flaws=flaws), there.get(group.product_id), unreadable)
            done += len(group.rows)
        await progress(done)
    found.flaws.sort(key=lambda flaw: (flaw.row, flaw.column))
    return found


def _parts(groups: list[Group]) -> Iterator[list[Group]]:
    for start in range(0, len(groups), GROUPS_AT_ONCE):
        yield groups[start : start + GROUPS_AT_ONCE]


async def _images(connection: Any, outcomes: Sequence[Outcome]) -> set[str]:
    """The images that there are of those that documents name."""
    named = {image_id for outcome in outcomes if outcome.doc is not None for image_id in images_of(outcome.doc)}
    return await known_images(connection, sorted(named)) if named else set()


def _judge(found: Judged, group: Group, outcome: Outcome, stored: Stored | None, unreadable: set[tuple[int, int]]) -> None:
    """unreadable: cells that are bad already, whatever was read of them."""
    rows = {row for row, _ in group.rows} if unreadable else set()
    if outcome.flaws or any(row in rows for row, _ in unreadable):
        found.add([flaw for flaw in outcome.flaws if (flaw.row, flaw.column) not in unreadable])
    elif outcome.same:
        found.same += 1
    elif outcome.doc is not None:
        revision = stored.revision if stored else None
        found.edits.append(Edit(doc=outcome.doc, product_id=group.product_id, expected_revision=revision))
