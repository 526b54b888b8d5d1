"""Files of strangers: encodings, delimiters, what spreadsheets write, and everything that is made to hurt who reads it."""

import csv
import io
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.storage.imports import shown_name
from actors.storage.sheets import limits, reading
from actors.storage.sheets.csv_reading import read_csv
from actors.storage.sheets.limits import TEXTS, Sheet, SheetRefused, refusal_text
from actors.storage.sheets.reading import read_here, read_sheet
from actors.storage.sheets.template import csv_template, workbook_template
from actors.storage.sheets.workbook_reading import read_workbook
from actors.storage.sheets.writing import csv_pieces, write_workbook

HEADER = ["sku code", "title zh", "price CNY"]
ROW = ["S1", "杯子", "8.90"]


def workbook(fill: Callable[[Any, Any], None]) -> bytes:
    """A workbook as a program writes it."""
    target = io.BytesIO()
    book = xlsxwriter.Workbook(target, {"in_memory": True})
    fill(book, book.add_worksheet())
    book.close()
    return target.getvalue()


def rows_of(*rows: list[Any]) -> Callable[[Any, Any], None]:
    def fill(book: Any, sheet: Any) -> None:
        for number, row in enumerate(rows):
            sheet.write_row(number, 0, row)

    return fill


PLAIN = workbook(rows_of(HEADER, ROW))


def changed(data: bytes, **parts: Callable[[bytes], bytes]) -> bytes:
    """The workbook with parts rewritten; those of names that it has not are added."""
    names = {name.replace("__", "/").replace("_DOT_", "."): change for name, change in parts.items()}
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
        for entry in source.infolist():
            change = names.pop(entry.filename, None)
            made.writestr(entry.filename, source.read(entry) if change is None else change(source.read(entry)))
        for name, change in names.items():
            made.writestr(name, change(b""))
    return target.getvalue()


def sheet_xml(change: Callable[[bytes], bytes], data: bytes = PLAIN) -> bytes:
    return changed(data, xl__worksheets__sheet1_DOT_xml=change)


# --- CSV -----------------------------------------------------------------------------------------------


TEXT = "sku code,title zh,price CNY\r\nS1,杯子,8.90\r\n"


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (TEXT.encode(), "utf-8"),
        (TEXT.encode("utf-8-sig"), "utf-8"),
        (TEXT.encode("gbk"), "gb18030"),
        ((TEXT + "S2,𠮷€,1\r\n").encode("gb18030"), "gb18030"),
        (b"\xff\xfe" + TEXT.encode("utf-16-le"), "utf-16-le"),
        (b"\xfe\xff" + TEXT.encode("utf-16-be"), "utf-16-be"),
    ],
)
def test_a_csv_is_read_in_the_encoding_that_it_has(data: bytes, encoding: str) -> None:
    sheet = read_csv(data)
    assert (sheet.encoding, sheet.header, sheet.rows[0], sheet.flaws) == (encoding, HEADER, ROW, [])


@pytest.mark.parametrize(
    ("text", "delimiter", "header_row"),
    [
        (TEXT, ",", 1),
        (TEXT.replace(",", ";"), ";", 1),
        (TEXT.replace(",", "\t"), "\t", 1),
        (TEXT.replace("\r\n", "\n"), ",", 1),
        (TEXT.replace("\r\n", "\r"), ",", 1),
        ("sep=;\r\n" + TEXT.replace(",", ";"), ";", 2),
        ("\r\n,,\r\n" + TEXT, ",", 3),
    ],
)
def test_a_csv_is_read_with_the_delimiter_that_it_has(text: str, delimiter: str, header_row: int) -> None:
    sheet = read_csv(text.encode())
    assert (sheet.delimiter, sheet.header_row, sheet.header, sheet.rows[0]) == (delimiter, header_row, HEADER, ROW)


def test_bytes_that_are_no_text_are_flaws_of_their_cells() -> None:
    sheet = read_csv(TEXT.encode() + b"S2,\xff\xfe\x81,5\r\nS3,\xe6\x9d\xaf,5\r\n")
    assert [(row, column, code) for row, column, code, _ in sheet.flaws] == [(3, 1, "bytes_invalid")]
    assert sheet.rows[2] == ["S3", "杯", "5"]


def test_formulas_and_long_cells_of_a_csv_are_flaws() -> None:
    sheet = read_csv(f'sku code,title en\r\nS1,=1+1\r\n="00123",x\r\nS3,{"x" * 32_768}\r\nS4,\'=1\r\nS5,"a\nb"\r\nS6,+86\r\n'.encode())
    assert [(row, column, code) for row, column, code, _ in sheet.flaws] == [(2, 1, "formula"), (3, 0, "formula"), (4, 1, "cell_long")]
    assert sheet.rows[4] == ["S5", "a\nb"]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\r\n,,\r\n", "file_empty"),
        (b'sku code,title en\r\nS1,"x\r\n', "quotes_open"),
        (b'sku code\r\n"a"b\r\n', "quotes_open"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4, "not_a_sheet"),
        (b"%PDF-1.7\n" + bytes(200), "not_a_sheet"),
        (b",".join([b"x"] * 201) + b"\r\n", "columns_too_many"),
        (b"sku code\r\n" + b"x\r\n" * 100_030, "rows_too_many"),
    ],
)
def test_a_csv_that_is_none_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(SheetRefused) as refused:
        read_csv(data)
    assert refused.value.code == code


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300))
def test_whatever_bytes_come_are_read_or_refused(data: bytes) -> None:
    assert read_or_refused(data)


def read_or_refused(data: bytes) -> bool:
    try:
        return isinstance(read_here(data), Sheet)
    except SheetRefused as refused:
        return refused.code in TEXTS


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(PLAIN) - 1), st.integers(0, 255), st.booleans())
def test_a_workbook_with_a_broken_byte_or_end_is_read_or_refused(place: int, byte: int, cut: bool) -> None:
    broken = PLAIN[:place] if cut else PLAIN[:place] + bytes([byte]) + PLAIN[place + 1 :]
    assert read_or_refused(broken)


# --- workbooks -----------------------------------------------------------------------------------------


def test_the_cells_of_a_workbook_are_the_texts_that_were_typed() -> None:
    def fill(book: Any, sheet: Any) -> None:
        sheet.write_row(0, 0, ["sku code", "barcode", "price CNY", "shelf from", "offered"])
        sheet.write_row(1, 0, ["00123", "0012345678905", "8.90"])
        sheet.write_number(2, 1, 6901234567892)
        sheet.write_number(2, 2, 8.9)
        import datetime

        sheet.write_datetime(2, 3, datetime.datetime(2026, 12, 1, 8, 30), book.add_format({"num_format": "yyyy-mm-dd hh:mm"}))
        sheet.write_boolean(2, 4, True)
        sheet.write_number(2, 0, 7)

    sheet = read_workbook(workbook(fill))
    wanted = [["00123", "0012345678905", "8.90", "", ""], ["7", "6901234567892", "8.9", "2026-12-01 08:30:00", "true"]]
    assert [list(row) for row in sheet.rows] == wanted
    assert sheet.flaws == []


def test_a_sheet_that_does_not_begin_in_its_first_cell_is_read_with_its_own_rows() -> None:
    def fill(book: Any, sheet: Any) -> None:
        sheet.write_row(3, 2, HEADER)
        sheet.write_row(5, 2, ROW)
        sheet.write_formula(5, 3, "=1+1", value=2)

    sheet = read_workbook(workbook(fill))
    assert (sheet.header_row, list(sheet.header), list(sheet.rows[1])) == (4, HEADER, ["S1", "2", "8.90"])
    assert sheet.flaws == [(6, 1, "formula", {})]


def test_formulas_errors_and_rounded_numbers_are_flaws_and_nothing_is_evaluated() -> None:
    def fill(book: Any, sheet: Any) -> None:
        sheet.write_row(0, 0, HEADER)
        sheet.write_formula(1, 0, '=WEBSERVICE("http://127.0.0.1:1/")', value="S1")
        sheet.write_array_formula(2, 1, 2, 1, "{=SUM(A1:A2)}", value=5)
        sheet.write_formula(3, 2, "=1/0", value="#DIV/0!")
        sheet.write_number(4, 0, 12345678901234567)
        sheet.write_string(5, 0, "12345678901234567")
        sheet.write_string(6, 1, "=1+1")
        sheet.write_number(7, 2, 8.9)

    found = {(row, column): code for row, column, code, _ in read_workbook(workbook(fill)).flaws}
    assert found == {(2, 0): "formula", (3, 1): "formula", (4, 2): "formula", (5, 0): "number_long"}


def test_only_the_first_visible_sheet_is_read() -> None:
    def fill(book: Any, sheet: Any) -> None:
        sheet.hide()
        second = book.add_worksheet("second")
        second.activate()
        second.write_row(0, 0, HEADER)
        second.write_row(1, 0, ROW)
        book.add_worksheet("third").write(0, 0, "x")

    assert list(read_workbook(workbook(fill)).rows[0]) == ROW


def bomb(size: int = 300 << 20) -> bytes:
    """A workbook whose sheet unpacks to so many bytes."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(PLAIN)) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
        for entry in source.infolist():
            if entry.filename != "xl/worksheets/sheet1.xml":
                made.writestr(entry.filename, source.read(entry))
        with made.open("xl/worksheets/sheet1.xml", "w", force_zip64=False) as part:
            for _ in range(size >> 20):
                part.write(b"\0" * (1 << 20))
    return target.getvalue()


def lying_bomb() -> bytes:
    """The same, that says it is small: both of its headers lie."""
    packed = bytearray(bomb(8 << 20))
    size = struct.pack("<I", 8 << 20)
    while (place := packed.find(size)) >= 0:
        packed[place : place + 4] = struct.pack("<I", 900)
    return bytes(packed)


def overlapping() -> bytes:
    """Entries of the directory that share one body: a bomb without any ratio."""
    data = bytearray(PLAIN)
    with zipfile.ZipFile(io.BytesIO(PLAIN)) as source:
        first, *others = source.infolist()
        start = source.start_dir
    place = start
    for _ in range(len(others) + 1):
        name, extra, comment = struct.unpack("<HHH", data[place + 28 : place + 34])
        struct.pack_into("<I", data, place + 42, first.header_offset)
        place += 46 + name + extra + comment
    return bytes(data)


def encrypted() -> bytes:
    data = bytearray(PLAIN)
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = data.find(mark)
        while place >= 0:
            data[place + offset] |= 1
            place = data.find(mark, place + 4)
    return bytes(data)


def renamed(name: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(PLAIN)) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
        for entry in source.infolist():
            made.writestr(entry.filename, source.read(entry))
        made.writestr(name, b"x")
    return target.getvalue()


ENTITIES = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY e SYSTEM "file:///etc/passwd">]>'


def with_entities(xml: bytes) -> bytes:
    head, end, rest = xml.partition(b"?>")
    return head + end + ENTITIES + rest


def many_rows(xml: bytes) -> bytes:
    return xml.replace(b"</sheetData>", b'<row r="1000000"><c r="A1000000" t="inlineStr"><is><t>x</t></is></c></row></sheetData>')


def wide(xml: bytes) -> bytes:
    return xml.replace(b"</sheetData>", b'<row r="3"><c r="XFD3" t="inlineStr"><is><t>x</t></is></c></row></sheetData>')


RELATIONS = "xl___rels__workbook_DOT_xml_DOT_rels"


def macro_type(xml: bytes) -> bytes:
    return xml.replace(b"sheet.main", b"sheet.macroEnabled.main")


def outside(xml: bytes) -> bytes:
    return xml.replace(b"worksheets/sheet1.xml", b"../../../../etc/passwd")


def elsewhere(xml: bytes) -> bytes:
    return xml.replace(b'Target="worksheets/sheet1.xml"', b'TargetMode="External" Target="file:///etc/passwd"')


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "a bomb": (bomb, "sheet_bomb"),
    "a bomb that lies": (lying_bomb, "sheet_damaged"),
    "a part of zeros": (lambda: bomb(20 << 20), "sheet_bomb"),
    "overlapping entries": (overlapping, "sheet_damaged"),
    "a thousand entries": (lambda: changed(PLAIN, **{f"x{number}": lambda data: b"" for number in range(1000)}), "sheet_bomb"),
    "entities": (lambda: sheet_xml(with_entities), "sheet_entities"),
    "entities in the strings": (lambda: changed(PLAIN, xl__sharedStrings_DOT_xml=with_entities), "sheet_entities"),
    "xml in utf-16": (lambda: sheet_xml(lambda xml: xml.decode().encode("utf-16")), "sheet_damaged"),
    "xml that says it is utf-7": (lambda: sheet_xml(lambda xml: xml.replace(b"UTF-8", b"UTF-7")), "sheet_damaged"),
    "a million rows": (lambda: sheet_xml(many_rows), "rows_too_many"),
    "sixteen thousand columns": (lambda: sheet_xml(wide), "columns_too_many"),
    "macros": (lambda: changed(PLAIN, xl__vbaProject_DOT_bin=lambda data: b"x"), "sheet_macros"),
    "a macro type": (lambda: changed(PLAIN, **{"[Content_Types]_DOT_xml": macro_type}), "sheet_macros"),
    "old macros": (lambda: changed(PLAIN, xl__macrosheets__sheet1_DOT_xml=lambda data: b"x"), "sheet_macros"),
    "an archive in it": (lambda: changed(PLAIN, xl__embeddings__book_DOT_xlsx=lambda data: PLAIN), "sheet_nested"),
    "a path": (lambda: renamed("../../etc/cron.d/x"), "sheet_damaged"),
    "an absolute path": (lambda: renamed("/etc/x"), "sheet_damaged"),
    "a path of Windows": (lambda: renamed("xl\\x"), "sheet_damaged"),
    "an encrypted part": (encrypted, "sheet_old"),
    "an old workbook": (lambda: limits and b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(4096), "sheet_old"),
    "something before it": (lambda: b"GIF89a" + PLAIN, "not_a_sheet"),
    "a script before it": (lambda: b"PK\x03\x04#!/bin/sh\n" + PLAIN, "sheet_damaged"),
    "something behind it": (lambda: PLAIN + b"<script>alert(1)</script>", "sheet_damaged"),
    "no directory": (lambda: PLAIN[: PLAIN.find(b"PK\x01\x02")], "sheet_damaged"),
    "half of it": (lambda: PLAIN[: len(PLAIN) // 2], "sheet_damaged"),
    "another archive": (lambda: changed(b"PK\x05\x06" + bytes(18), x=lambda data: b"x"), "sheet_damaged"),
    "no sheet": (lambda: changed(PLAIN, xl__workbook_DOT_xml=lambda xml: xml.replace(b"<sheet ", b"<shoot ")), "file_empty"),
    "a sheet elsewhere": (lambda: changed(PLAIN, **{RELATIONS: elsewhere}), "sheet_damaged"),
    "a sheet outside": (lambda: changed(PLAIN, **{RELATIONS: outside}), "sheet_damaged"),
    "no xml": (lambda: sheet_xml(lambda xml: b"<worksheet><sheetData><row r='1'><c r='A1'"), "sheet_damaged"),
    "nothing": (lambda: b"", "file_empty"),
}  # fmt: skip


@pytest.mark.parametrize("what", sorted(HOSTILE))
def test_a_hostile_file_is_refused_at_once(what: str) -> None:
    make, code = HOSTILE[what]
    data = make()
    began = time.perf_counter()
    with pytest.raises(SheetRefused) as refused:
        read_here(data)
    assert refused.value.code == code
    assert time.perf_counter() - began < 3
    for language in ("en", "zh-CN"):
        assert refusal_text(code, refused.value.params, language)


def test_links_to_elsewhere_are_not_followed_and_do_not_hinder() -> None:
    link = b'<?xml version="1.0"?><externalLink xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"/>'
    data = changed(PLAIN, xl__externalLinks__externalLink1_DOT_xml=lambda data: link)
    assert list(read_workbook(data).rows[0]) == ROW


# --- the process ---------------------------------------------------------------------------------------


def test_a_file_is_read_in_a_process_of_its_own(tmp_path: Path) -> None:
    for name, data in (("a.csv", TEXT.encode("gbk")), ("b.xlsx", PLAIN)):
        path = tmp_path / name
        path.write_bytes(data)
        sheet = read_sheet(path, tmp_path / "rows")
        assert (sheet.header, sheet.rows[0]) == (HEADER, ROW)
        assert not (tmp_path / "rows").exists()
    (tmp_path / "c").write_bytes(bomb(20 << 20))
    with pytest.raises(SheetRefused, match="sheet_bomb"):
        read_sheet(tmp_path / "c", tmp_path / "rows")


def test_a_process_that_takes_too_much_is_ended_and_nothing_of_ours_is_told_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.xlsx"
    path.write_bytes(PLAIN)
    with pytest.raises(SheetRefused, match="sheet_too_costly"):
        read_sheet(path, tmp_path / "rows", memory_bytes=40 << 20)
    monkeypatch.setenv("STAMPEDE_FIELD_KEYS", "secret")
    looked = tmp_path / "looked"
    slow = f"import os, time, pathlib; pathlib.Path({str(looked)!r}).write_text(repr(dict(os.environ))); time.sleep(60)"
    program = tmp_path / "python"
    program.write_text(f"#!{sys.executable}\n{slow}\n")
    program.chmod(0o755)
    monkeypatch.setattr(reading.sys, "executable", str(program))
    began = time.monotonic()
    with pytest.raises(SheetRefused, match="sheet_too_costly"):
        read_sheet(path, tmp_path / "rows", seconds=0.5)
    assert time.monotonic() - began < 10
    assert "secret" not in looked.read_text()
    assert "STAMPEDE" not in looked.read_text()


# --- writing -------------------------------------------------------------------------------------------


def test_the_same_rows_are_the_same_bytes_and_are_read_back(tmp_path: Path) -> None:
    rows = [HEADER, ROW, ["S2", "a\nb\r\nc\t_x000D_ ", "'=1"], ["S3", ' "q",; ', ""]]
    assert b"".join(csv_pieces(rows)) == b"".join(csv_pieces(rows))
    assert [list(row) for row in read_csv(b"".join(csv_pieces(rows))).rows] == rows[1:]
    for name in ("a", "b"):
        write_workbook(tmp_path / name, rows)
        time.sleep(0.01)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert [list(row) for row in read_workbook((tmp_path / "a").read_bytes()).rows] == rows[1:]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.lists(st.text(st.characters(blacklist_categories=["Cs", "Cc", "Cn", "Co"]), max_size=20), min_size=3, max_size=3),
        min_size=1,
        max_size=4,
    )
)
def test_any_text_comes_back_from_a_workbook(rows: list[list[str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        write_workbook(path, [HEADER, *rows, ["end", "end", "end"]])
        assert [list(row) for row in read_workbook(path.read_bytes()).rows] == [*rows, ["end", "end", "end"]]


def test_templates_are_sheets_without_rows() -> None:
    assert next(csv.reader(io.StringIO(csv_template(["CNY"], "zh-CN").decode("utf-8-sig"))))[0] == "商品编码"
    assert read_workbook(workbook_template(["CNY", "USD"], "en", [])).rows == []


def test_a_long_file_of_flaws_is_bounded() -> None:
    data = ("sku code\r\n" + "=1\r\n" * 1000).encode()
    assert len(read_csv(data).flaws) == 1000
    assert zlib.crc32(data)
    assert limits.FLAWS_MAX >= 100_000


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("goods.csv", "goods.csv"),
        ("商品 2026.xlsx", "商品 2026.xlsx"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\x\\goods.csv", "goods.csv"),
        ("..", "-"),
        ("", "-"),
        ("a\0b\r\nc.csv", "abc.csv"),
        ("CON", "CON"),
        ("gpj.\u202excod.csv", "gpj.xcod.csv"),
        ("\u2028x", "x"),
        ("x" * 500, "x" * 200),
    ],
)
def test_a_file_name_is_only_shown(name: str, shown: str) -> None:
    assert shown_name(name) == shown


def test_the_reading_process_loads_nothing_of_the_database() -> None:
    told = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import actors.storage.sheets.reading"], capture_output=True, text=True, check=True
    )
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in told.stderr.splitlines()}
    assert not loaded & {"asyncpg", "polars", "ray"}
