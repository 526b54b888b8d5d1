"""CSV of whatever program: its encoding and its delimiter are found, and nothing in it is evaluated."""

import csv
import io
from typing import Final

from actors.domain.sheet import column_of
from actors.storage.sheets.limits import CELL_CHARACTERS_MAX, COLUMNS_MAX, FILE_BYTES_MAX, FLAWS_MAX, ROWS_MAX, Sheet, SheetRefused

MARKS: Final = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
DELIMITERS: Final = ",;\t"
REPLACED: Final = "\ufffd"
BINARY_MAX: Final = 0.02
"""A file of which more is control characters is no text."""

_CONTROLS: Final = bytes(byte for byte in range(32) if byte not in (9, 10, 13))


def decoded(data: bytes) -> tuple[str, str]:
    """(text, encoding). A byte order mark decides, else UTF-8 where it fits, else GB18030 (of which GBK is a part).

    Where neither fits it is the likelier one, and bad places are U+FFFD.
    """
    for mark, encoding in MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace"), encoding
    if len(data) > 8 and len(data.translate(None, _CONTROLS)) < len(data) * (1 - BINARY_MAX):
        raise SheetRefused("not_a_sheet")
    for encoding in ("utf-8", "gb18030"):
        try:
            return data.decode(encoding), encoding
        except UnicodeDecodeError:
            continue
    # Bytes of GBK are hardly ever UTF-8 by chance: where most are, the others are broken.
    text = data.decode("utf-8", "replace")
    bad = text.count(REPLACED)
    good = sum(not letter.isascii() for letter in text) - bad
    return (text, "utf-8") if good >= bad else (data.decode("gb18030", "replace"), "gb18030")


def read_csv(data: bytes) -> Sheet:
    """The rows of a CSV. SheetRefused."""
    text, encoding = decoded(data)
    csv.field_size_limit(FILE_BYTES_MAX)
    said, text, skipped = _said_delimiter(text)
    delimiter = said or _delimiter(text)
    rows: list[list[str]] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            rows.append(row)
            if len(rows) > ROWS_MAX + 20:
                raise SheetRefused("rows_too_many", limit=ROWS_MAX)
    except csv.Error:
        raise SheetRefused("quotes_open", row=len(rows) + 1 + skipped) from None
    start = next((number for number, row in enumerate(rows) if any(cell.strip() for cell in row)), None)
    if start is None:
        raise SheetRefused("file_empty")
    if max(map(len, rows)) > COLUMNS_MAX:
        raise SheetRefused("columns_too_many", limit=COLUMNS_MAX)
    header_row = start + 1 + skipped
    body = rows[start + 1 :]
    return Sheet(
        format="csv",
        encoding=encoding,
        delimiter=delimiter,
        header_row=header_row,
        header=rows[start],
        rows=body,
        flaws=_flaws(body, header_row, encoding, damaged=REPLACED in text),
    )


def _said_delimiter(text: str) -> tuple[str, str, int]:
    """(delimiter, the rest, lines taken) of a file whose first line says ``sep=;``, as some spreadsheets write and want it."""
    line, end, rest = text.partition("\n")
    line = line.rstrip("\r").strip('"')
    if end and len(line) == 5 and line.lower().startswith("sep=") and line[4] in DELIMITERS:
        return line[4], rest, 1
    return "", text, 0


def _delimiter(text: str) -> str:
    """The delimiter that makes most columns of the header known to us, then the one that makes most columns."""
    line = next((line for line in text[: 1 << 16].splitlines() if line.strip()), "")

    def score(delimiter: str) -> tuple[int, int]:
        try:
            names = next(csv.reader([line], delimiter=delimiter), [])
        except csv.Error:
            return 0, 0
        return sum(column_of(name) is not None for name in names[:COLUMNS_MAX]), len(names)

    return max(DELIMITERS, key=score)


def _flaws(rows: list[list[str]], header_row: int, encoding: str, *, damaged: bool) -> list[tuple[int, int, str, dict[str, object]]]:
    found: list[tuple[int, int, str, dict[str, object]]] = []
    for number, row in enumerate(rows, start=header_row + 1):
        for place, cell in enumerate(row):
            if not cell:
                continue
            if cell[0] == "=":
                found.append((number, place, "formula", {}))
            elif len(cell) > CELL_CHARACTERS_MAX:
                found.append((number, place, "cell_long", {"limit": CELL_CHARACTERS_MAX}))
            elif damaged and REPLACED in cell:
                found.append((number, place, "bytes_invalid", {"encoding": encoding.upper()}))
        if len(found) > FLAWS_MAX:
            break
    return found
