"""A workbook as an archive: looked at before anything is unpacked, unpacked within bounds, and made anew of the parts that are read.

What is handed on is an archive of our own with five parts at most, so that no parser ever sees what a stranger packed: overlapping
entries, sizes that lie, links to elsewhere, macros.
"""

import io
import posixpath
import re
import zipfile
import zlib
from typing import Final

from actors.storage.sheets.limits import ENTRIES_MAX, RATIO_MAX, UNPACKED_BYTES_MAX, SheetRefused

OLD: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
PACKED: Final = b"PK\x03\x04"
END: Final = b"PK\x05\x06"
SMALL: Final = 1 << 20
TYPES: Final = "[Content_Types].xml"

_NESTED: Final = re.compile(r"(^|/)embeddings/|\.(zip|xlsx|xlsm|xlsb|xls|docx?|pptx?|jar|exe|dll|js|vbs|7z|rar|gz|html?)\Z", re.IGNORECASE)
_MACROS: Final = re.compile(r"vbaproject|(^|/)(macrosheets|activex|dialogsheets|ctrlprops)/|\.bin\Z", re.IGNORECASE)
_HARMLESS_BINARY: Final = re.compile(r"(^|/)printerSettings/printerSettings\d*\.bin\Z")
_DECLARED: Final = re.compile(rb"<!\s*(DOCTYPE|ENTITY)", re.IGNORECASE)
_ENCODING: Final = re.compile(rb"<\?xml[^>]*encoding\s*=\s*[\"']([^\"']+)[\"']")
_TAG: Final = r"<(?:\w+:)?{}\b([^>]*)>"
_SHEET: Final = re.compile(_TAG.format("sheet"))
_RELATION: Final = re.compile(_TAG.format("Relationship"))
_ATTRIBUTE: Final = re.compile(r"([\w:]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")

RELATIONS: Final = (
    '<?xml version="1.0" encoding="UTF-8"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{}'
    "</Relationships>"
)
_OFFICE: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_CONTENT: Final = (
    '<?xml version="1.0" encoding="UTF-8"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/></Types>'
)


class Workbook:
    """The first visible sheet of a workbook, unpacked. sheet, strings, styles: XML. dates_1904: whether its days count from 1904."""

    def __init__(self, sheet: bytes, strings: bytes, styles: bytes, *, dates_1904: bool) -> None:
        self.sheet = sheet
        self.strings = strings
        self.styles = styles
        self.dates_1904 = dates_1904

    def packed(self) -> bytes:
        """The workbook again, of these parts alone."""
        target = io.BytesIO()
        relations = "".join(
            f'<Relationship Id="r{number}" Type="{_OFFICE}/{kind}" Target="{name}"/>'
            for number, (kind, name) in enumerate(
                [("worksheet", "sheet.xml"), *([("sharedStrings", "sharedStrings.xml")] if self.strings else []),
                 *([("styles", "styles.xml")] if self.styles else [])]
            )
        )  # fmt: skip
        book = (
            '<?xml version="1.0" encoding="UTF-8"?><workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" '
            f'xmlns:r="{_OFFICE}"><workbookPr date1904="{int(self.dates_1904)}"/>'
            '<sheets><sheet name="sheet" sheetId="1" r:id="r0"/></sheets></workbook>'
        )
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(TYPES, _CONTENT)
            root = f'<Relationship Id="r0" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/>'
            archive.writestr("_rels/.rels", RELATIONS.format(root))
            archive.writestr("xl/workbook.xml", book)
            archive.writestr("xl/_rels/workbook.xml.rels", RELATIONS.format(relations))
            archive.writestr("xl/sheet.xml", self.sheet)
            if self.strings:
                archive.writestr("xl/sharedStrings.xml", self.strings)
            if self.styles:
                archive.writestr("xl/styles.xml", self.styles)
        return target.getvalue()


def open_workbook(data: bytes) -> Workbook:
    """The first visible sheet. SheetRefused for whatever is no plain workbook, before more than its parts' names was read."""
    if data.startswith(OLD):
        raise SheetRefused("sheet_old")
    if not data.startswith(PACKED):
        raise SheetRefused("not_a_sheet")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = _checked(archive, data)
            return _read(archive, names)
    except (
        zipfile.BadZipFile,
        zipfile.LargeZipFile,
        zlib.error,
        EOFError,
        KeyError,
        ValueError,
        OSError,
        RuntimeError,
    ):
        raise SheetRefused("sheet_damaged") from None


def _checked(archive: zipfile.ZipFile, data: bytes) -> dict[str, zipfile.ZipInfo]:
    """The parts by name, of which none is a trap. Nothing is unpacked here."""
    entries = archive.infolist()
    if len(entries) > ENTRIES_MAX:
        raise SheetRefused("sheet_bomb")
    # Something before the archive or behind it: a file that is two things at once.
    if not entries or min(entry.header_offset for entry in entries) != 0 or data.rfind(END) + 22 != len(data):
        raise SheetRefused("sheet_damaged")
    if sum(entry.file_size for entry in entries) > UNPACKED_BYTES_MAX:
        raise SheetRefused("sheet_bomb")
    found: dict[str, zipfile.ZipInfo] = {}
    ends = 0
    for entry in sorted(entries, key=lambda one: one.header_offset):
        name = entry.filename
        if entry.flag_bits & 1:
            raise SheetRefused("sheet_old")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or entry.header_offset < ends:
            raise SheetRefused("sheet_damaged")
        ends = entry.header_offset + entry.compress_size
        if entry.file_size > SMALL and entry.file_size > entry.compress_size * RATIO_MAX:
            raise SheetRefused("sheet_bomb")
        if _NESTED.search(name):
            raise SheetRefused("sheet_nested")
        if _MACROS.search(name) and not _HARMLESS_BINARY.search(name):
            raise SheetRefused("sheet_macros")
        if "\\" in name or name.startswith("/") or ".." in name.split("/") or name in found or "\0" in entry.orig_filename:
            raise SheetRefused("sheet_damaged")
        found[name] = entry
    return found


def _read(archive: zipfile.ZipFile, names: dict[str, zipfile.ZipInfo]) -> Workbook:
    left = UNPACKED_BYTES_MAX

    def part(name: str) -> bytes:
        nonlocal left
        with archive.open(names[name]) as stream:
            found = stream.read(left + 1)
        left -= len(found)
        if left < 0:
            raise SheetRefused("sheet_bomb")
        return _plain_xml(found)

    if b"macroEnabled" in part(TYPES):
        raise SheetRefused("sheet_macros")
    book = part("xl/workbook.xml").decode()
    relations = {
        attributes.get("Id", ""): attributes
        for attributes in map(_attributes, _RELATION.findall(part("xl/_rels/workbook.xml.rels").decode()))
    }
    sheets = [found for found in map(_attributes, _SHEET.findall(book)) if found.get("state", "visible") == "visible"]
    if not sheets:
        raise SheetRefused("file_empty")
    relation_id = next((value for name, value in sheets[0].items() if name.endswith(":id")), "")
    sheet = _target(relations[relation_id])
    by_kind = {relation.get("Type", "").rpartition("/")[2]: relation for relation in relations.values()}
    others = {kind: _target(by_kind[kind]) if kind in by_kind else "" for kind in ("sharedStrings", "styles")}
    return Workbook(
        part(sheet),
        part(others["sharedStrings"]) if others["sharedStrings"] in names else b"",
        part(others["styles"]) if others["styles"] in names else b"",
        dates_1904=re.search(r"date1904\s*=\s*[\"'](1|true)[\"']", book) is not None,
    )


def _attributes(text: str) -> dict[str, str]:
    return {name: double or single for name, double, single in _ATTRIBUTE.findall(text)}


def _target(relation: dict[str, str]) -> str:
    """The name of a part of this archive. SheetRefused where it is elsewhere."""
    if relation.get("TargetMode", "Internal") != "Internal":
        raise SheetRefused("sheet_damaged")
    target = relation["Target"]
    return target[1:] if target.startswith("/") else posixpath.normpath(posixpath.join("xl", target))


def _plain_xml(data: bytes) -> bytes:
    """The part, where it is XML in UTF-8 that declares nothing. SheetRefused."""
    if b"\0" in data[:64]:
        raise SheetRefused("sheet_damaged")
    encoding = _ENCODING.match(data.removeprefix(b"\xef\xbb\xbf")[:200])
    if encoding is not None and encoding[1].lower() not in (b"utf-8", b"us-ascii"):
        raise SheetRefused("sheet_damaged")
    if _DECLARED.search(data):
        raise SheetRefused("sheet_entities")
    return data
