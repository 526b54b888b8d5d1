"""The files of what was wrong: the sheet again with the flaws before each row, and the bad cells alone, as JSON and CSV."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from actors.domain.sheet import CellFlaw, fixed
from actors.domain.sheet_cells import guarded
from actors.domain.sheet_words import words_of
from actors.domain.sheet_writing import shown
from actors.storage.import_rows import Judged
from actors.storage.sheets.writing import csv_pieces, write_workbook


def cell_name(row: int, column: int) -> str:
    """How a spreadsheet calls a cell (``F12``); of a whole row its number."""
    letters = ""
    number = column + 1
    while number > 0:
        number, letter = divmod(number - 1, 26)
        letters = chr(65 + letter) + letters
    return f"{letters}{row}"


def header_name(judged: Judged, column: int) -> str:
    """The header of a column; empty for the whole row."""
    return judged.header[column] if 0 <= column < len(judged.header) else ""


def list_json(judged: Judged) -> bytes:
    """The bad cells as JSON, one a line, in both languages."""
    lines = []
    for flaw in judged.flaws:
        shown_flaw = {
            "row": flaw.row,
            "column": header_name(judged, flaw.column),
            "cell": cell_name(flaw.row, flaw.column),
            "code": flaw.code,
            "params": flaw.params,
            "en": words_of(flaw.code, flaw.params, "en"),
            "zh-CN": words_of(flaw.code, flaw.params, "zh-CN"),
        }
        lines.append(json.dumps(shown_flaw, ensure_ascii=False))
    return ('{"flaws": [\n' + ",\n".join(lines) + "\n]}\n").encode()


def list_csv(judged: Judged, language: str) -> bytes:
    """The bad cells as a CSV, in one language."""
    names = ["行号", "列", "单元格", "代码", "问题"] if language == "zh-CN" else ["row", "column", "cell", "code", "problem"]

    def rows() -> Iterator[list[str]]:
        yield names
        for flaw in judged.flaws:
            why = words_of(flaw.code, flaw.params, language)
            yield [str(flaw.row), shown(header_name(judged, flaw.column)), cell_name(flaw.row, flaw.column), flaw.code, guarded(why)]

    return b"".join(csv_pieces(rows()))


def sheet_again(judged: Judged, file_format: str, language: str) -> bytes:
    """The sheet as it was sent, with the row's number and what is wrong with it in two columns before; in the same format."""
    if file_format != "xlsx":
        return b"".join(csv_pieces(_again(judged, language)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sheet.xlsx"
        write_workbook(path, _again(judged, language))
        return path.read_bytes()


def _again(judged: Judged, language: str) -> Iterator[list[str]]:
    own = [fixed("row"), fixed("flaws")]
    first = [column.zh if language == "zh-CN" else column.en for column in own]
    # A sheet that was sent back before has these two columns; they are written anew.
    kept = [place for place, name in enumerate(judged.header) if name.strip().casefold() not in _OWN]
    by_row: dict[int, list[CellFlaw]] = {}
    for flaw in judged.flaws:
        by_row.setdefault(flaw.row, []).append(flaw)
    of_header = [flaw for row, flaws in by_row.items() if judged.rows and row < judged.rows[0][0] for flaw in flaws]
    yield [*first, *(shown(judged.header[place]) for place in kept)]
    for number, (row, cells) in enumerate(judged.rows):
        flaws = [*(of_header if number == 0 else ()), *by_row.get(row, ())]
        said = "; ".join(f"{header_name(judged, flaw.column)}: {words_of(flaw.code, flaw.params, language)}".lstrip(": ") for flaw in flaws)
        yield [str(row), shown(said[:5000]), *(shown(cells[place]) for place in kept)]


_OWN = frozenset(name.casefold() for key in ("row", "flaws") for name in (fixed(key).en, fixed(key).zh))
