"""The cells of a workbook as texts. Formulas are found and named, never evaluated; numbers are the digits that were typed."""

import re
from typing import Any, Final

import fastexcel

from actors.storage.sheets.limits import CELL_CHARACTERS_MAX, COLUMNS_MAX, FLAWS_MAX, ROWS_MAX, Sheet, SheetRefused
from actors.storage.sheets.workbook_parts import open_workbook

_ROW: Final = re.compile(rb"<(?:\w+:)?row\b[^>]*?\br=[\"'](\d{1,9})[\"']")
_WIDE: Final = re.compile(rb"<(?:\w+:)?c\b[^>]*?\br=[\"'](?:[A-Z]{3,}|G[S-Z]|[H-Z][A-Z])\d")
"""A cell past the column GR, the 200th."""
_FILLED: Final = rb"<(?:\w+:)?c\b[^>]*?\br=[\"']%s\d+[\"'][^>]*[^/>]>"
_ANY_FILLED: Final = re.compile(_FILLED % rb"([A-Z]{1,3})")
_FORMULA: Final = re.compile(rb"<(?:\w+:)?f(?:\s[^>]*)?/?>")
_ERROR: Final = re.compile(rb"<(?:\w+:)?c\b[^>]*\bt=[\"']e[\"'][^>]*>")
_LONG: Final = re.compile(rb"<(?:\w+:)?c\b([^>]*)><(?:\w+:)?v>-?(?:\d{16,}(?:\.0*)?|\d(?:\.\d+)?[eE]\+?\d+)</")
_CELL: Final = re.compile(rb"<(?:\w+:)?c\b[^>]*>")
_PLACE: Final = re.compile(rb"\br=[\"']([A-Z]{1,3})(\d{1,7})[\"']")
_TEXT_TYPE: Final = re.compile(rb"\bt=[\"'](?:s|str|inlineStr|b|e|d)[\"']")


def read_workbook(data: bytes) -> Sheet:
    """The rows of a workbook's first visible sheet. SheetRefused."""
    book = open_workbook(data)
    _check_extent(book.sheet)
    offset = _first_column(book.sheet)
    bad = _bad_cells(book.sheet, offset)
    packed = book.packed()
    del book
    try:
        found = fastexcel.read_excel(packed).load_sheet(0, header_row=None, skip_rows=0, dtypes="string")
        if found.width == 0 or found.height == 0:
            raise SheetRefused("file_empty")
        table = found.to_polars().fill_null("")
    except fastexcel.FastExcelError:
        raise SheetRefused("sheet_damaged") from None
    del packed, found
    rows: list[Any] = table.rows()
    del table
    start = next((number for number, row in enumerate(rows) if any(cell.strip() for cell in row)), None)
    if start is None:
        raise SheetRefused("file_empty")
    flaws: list[tuple[int, int, str, dict[str, Any]]] = [(row, column, code, {}) for (row, column), code in sorted(bad.items())]
    for number, row in enumerate(rows):
        if max(map(len, row)) > CELL_CHARACTERS_MAX:
            flaws += [
                (number + 1, place, "cell_long", {"limit": CELL_CHARACTERS_MAX})
                for place, cell in enumerate(row)
                if len(cell) > CELL_CHARACTERS_MAX
            ]
    return Sheet(
        format="xlsx",
        encoding="utf-8",
        header_row=start + 1,
        header=list(rows[start]),
        rows=rows[start + 1 :],
        flaws=flaws[:FLAWS_MAX],
    )


def _check_extent(sheet: bytes) -> None:
    last = max((int(found[1]) for found in _ROW.finditer(sheet)), default=0)
    if max(last, sheet.count(b"<row")) > ROWS_MAX + 20:
        raise SheetRefused("rows_too_many", limit=ROWS_MAX)
    if _WIDE.search(sheet):
        raise SheetRefused("columns_too_many", limit=COLUMNS_MAX)


def _first_column(sheet: bytes) -> int:
    """The place of the first column with a cell in it: the parser begins there."""
    if re.search(_FILLED % b"A", sheet):
        return 0
    return min((_number(found[1]) for found in _ANY_FILLED.finditer(sheet)), default=0)


def _number(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number - 1


def _bad_cells(sheet: bytes, offset: int) -> dict[tuple[int, int], str]:
    """What stands in a cell that is no value: {(row, column): code}; (0, -1) where the file does not say which cell it is."""
    found: dict[tuple[int, int], str] = {}
    for error in _ERROR.finditer(sheet):
        found[_place(error[0], offset)] = "cell_error"
        if len(found) > FLAWS_MAX:
            break
    for number in _LONG.finditer(sheet):
        if not _TEXT_TYPE.search(number[1]):
            found[_place(number[0], offset)] = "number_long"
        if len(found) > FLAWS_MAX:
            break
    for formula in _FORMULA.finditer(sheet):
        start = max(sheet.rfind(b"<c ", 0, formula.start()), sheet.rfind(b":c ", max(0, formula.start() - 4096), formula.start()) - 1)
        cell = _CELL.search(sheet, max(0, start), formula.start())
        found[_place(cell[0] if cell else b"", offset)] = "formula"
        if len(found) > FLAWS_MAX:
            break
    return found


def _place(cell: bytes, offset: int) -> tuple[int, int]:
    named = _PLACE.search(cell)
    return (int(named[2]), _number(named[1]) - offset) if named else (0, -1)
