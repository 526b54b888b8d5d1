"""Writing sheets, always the same bytes for the same cells: CSV in UTF-8 with a byte order mark, and workbooks whose cells are texts."""

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

FORMATS: Final = {"csv": "text/csv; charset=utf-8", "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}
"""Formats with their media types."""

MARK: Final = b"\xef\xbb\xbf"
"""Without it a spreadsheet in China reads the file as GBK."""

CHUNK_ROWS: Final = 500
MADE: Final = datetime(2000, 1, 1, tzinfo=UTC).replace(tzinfo=None)
"""What a workbook says of when it was made: the same for the same rows, whenever that was."""

WIDTH: Final = 18


def csv_pieces(rows: Iterable[list[str]]) -> Iterator[bytes]:
    """A CSV, some hundred rows at a time."""
    yield MARK
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    for number, row in enumerate(rows, start=1):
        writer.writerow(row)
        if number % CHUNK_ROWS == 0:
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode()


def write_workbook(path: Path, rows: Iterable[list[str]], more: Iterable[tuple[str, list[list[str]]]] = ()) -> None:
    """A workbook with one sheet of these rows, and further sheets (name, rows) that an import does not read."""
    # Replicas know of this module, and write no workbook: its library is 16 MB.
    import xlsxwriter

    book = xlsxwriter.Workbook(
        str(path),
        {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False},
    )
    book.set_properties({"created": MADE, "title": "", "author": ""})
    # Texts stay texts when somebody types over them: a barcode keeps its zeros.
    text = book.add_format({"num_format": "@"})
    head = book.add_format({"num_format": "@", "bold": True})
    try:
        for name, found in (("goods", rows), *more):
            sheet = book.add_worksheet(name)
            sheet.set_column(0, 199, WIDTH, text)
            sheet.freeze_panes(1, 0)
            for number, row in enumerate(found):
                style = text if number else head
                for place, cell in enumerate(row):
                    if cell:
                        sheet.write_string(number, place, cell, style)
    finally:
        # Whatever the rows did: it keeps a file for each sheet until it is closed.
        book.close()
