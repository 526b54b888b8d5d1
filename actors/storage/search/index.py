"""The index on disk: its fields, where it lies, which one is in use, and whether a file of it is damaged."""

import json
import os
import shutil
import struct
import zlib
from pathlib import Path
from typing import Any, Final

import msgspec
import tantivy

VERSION: Final = 1
"""Of the fields and of how texts are cut. An index of another version is built anew."""

CURRENT: Final = "current"
DAMAGED: Final = "damaged"
"""Put into an index by whoever could not read it: the indexer builds another one."""
WANTED: Final = "rebuild"
STATUS: Final = "status.json"
LOCK: Final = "indexer.lock"
PREFIX: Final = "index-"

PRODUCT: Final = "product"
META: Final = "meta"
NAMES: Final = "names"

_FOOTER: Final = struct.Struct("<II")
_MAGIC: Final = 1337


def schema() -> tantivy.Schema:
    """The fields. Words are cut before they come here, so the index only splits at spaces."""
    builder = tantivy.SchemaBuilder()
    for name in ("id", "kind"):
        builder.add_text_field(name, stored=True, tokenizer_name="raw", index_option="basic")
    builder.add_bytes_field("body", stored=True)
    for name in ("title", "kinds", "words", "chars"):
        builder.add_text_field(name, tokenizer_name="whitespace", index_option="position")
    for name in ("pinyin", "initials", "prefix", "code", "exact"):
        builder.add_text_field(name, tokenizer_name="whitespace", index_option="basic")
    for name in ("category", "brand", "tag", "attr", "shown"):
        builder.add_text_field(name, fast=True, tokenizer_name="raw", index_option="basic")
    for name in ("in_stock", "price_min", "price_max", "since", "sales"):
        builder.add_integer_field(name, indexed=True, fast=True)
    return builder.build()


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """What an index has seen. database: which one, by its number and timeline; goods, facts: the highest versions;
    xid: the oldest transaction that was open when the flips of stock were read."""

    version: int = VERSION
    database: str = ""
    goods: int = 0
    facts: int = 0
    xid: int = 0


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What the indexer of a node does. state: building, following, waiting (for the database). Times: UTC, milliseconds."""

    state: str
    pid: int
    index: str = ""
    products: int = 0
    built: int = 0
    to_build: int = 0
    build_ms: int = 0
    changed_at_ms: int = 0
    written_at_ms: int = 0
    reason: str = ""


def current(directory: Path) -> Path | None:
    """The index in use; None where there is none."""
    try:
        name = (directory / CURRENT).read_text().strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    path = directory / name
    return path if name.startswith(PREFIX) and "/" not in name and path.is_dir() else None


def put_in_use(directory: Path, path: Path) -> None:
    """From now on this index is the one in use: a rename, whole or not at all, also on the disk."""
    write_whole(directory / CURRENT, path.name.encode())


def write_whole(path: Path, data: bytes) -> None:
    """A file that is never seen half written."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def next_path(directory: Path) -> Path:
    """An empty directory for a new index."""
    taken = [int(path.name.removeprefix(PREFIX)) for path in directory.glob(PREFIX + "*") if path.name.removeprefix(PREFIX).isdigit()]
    path = directory / f"{PREFIX}{max(taken, default=0) + 1:06d}"
    path.mkdir(parents=True)
    return path


def drop_others(directory: Path, kept: Path | None) -> None:
    """Delete every index but one. Who reads a deleted one reads on: its files stay until they are closed."""
    for path in directory.glob(PREFIX + "*"):
        if path != kept:
            shutil.rmtree(path, ignore_errors=True)


def read_status(directory: Path) -> Status | None:
    """What the indexer wrote last; None when it never wrote."""
    try:
        return msgspec.json.decode((directory / STATUS).read_bytes(), type=Status)
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
        return None


def damage(path: Path) -> str:
    """What is wrong with the files of an index, '' when nothing is: each is compared with the checksum at its end."""
    try:
        meta = json.loads((path / "meta.json").read_bytes())
        names = {segment["segment_id"].replace("-", "") for segment in meta["segments"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"meta.json: {error}"
    if (path / DAMAGED).exists():
        return "a replica could not read it"
    files = [file for file in path.iterdir() if file.stem.split(".")[0] in names]
    found = {file.name.split(".")[0] for file in files}
    if found != names:
        return "files are missing"
    return next((f"{file.name}: {wrong}" for file in files if (wrong := _wrong(file))), "")


def _wrong(file: Path) -> str:
    data = file.read_bytes()
    if len(data) < _FOOTER.size:
        return "is too short"
    size, magic = _FOOTER.unpack_from(data, len(data) - _FOOTER.size)
    end = len(data) - _FOOTER.size - size
    if magic != _MAGIC or end < 0:
        return "has no end"
    try:
        crc = json.loads(data[end : end + size])["crc"]
    except (ValueError, KeyError, TypeError):
        return "has no checksum"
    return "" if zlib.crc32(memoryview(data)[:end]) == crc else "has another checksum"


def stored(searcher: tantivy.Searcher, fields: tantivy.Schema, name: str) -> bytes | None:
    """The body of the one document of this id."""
    hits: Any = searcher.search(tantivy.Query.term_query(fields, "id", name), 1, count=False).hits
    return bytes(searcher.doc(hits[0][1])["body"][0]) if hits else None
