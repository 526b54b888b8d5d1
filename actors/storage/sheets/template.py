"""Empty sheets, to be filled."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from actors.domain.sheet import Column, header_of, template_columns
from actors.storage.sheets.writing import csv_pieces, write_workbook


def csv_template(currencies: Sequence[str], language: str) -> bytes:
    """All headers and no rows."""
    return b"".join(csv_pieces([header_of(template_columns(currencies), language)]))


def workbook_template(currencies: Sequence[str], language: str, columns: Sequence[Column]) -> bytes:
    """The same, with a second sheet that says what may stand in each column; an import reads the first alone."""
    chinese = language == "zh-CN"
    said = [["列", "说明"] if chinese else ["column", "what may stand in it"]]
    said += [[column.zh, column.help_zh] if chinese else [column.en, column.help_en] for column in columns]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "template.xlsx"
        write_workbook(path, [header_of(template_columns(currencies), language)], [("columns", said)])
        return path.read_bytes()
