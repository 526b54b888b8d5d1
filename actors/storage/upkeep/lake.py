"""The lake: a directory of Parquet files, ``journal/shard=NNN/<first seq>-<last seq>.parquet``.

A file is there when its name is there: it is written under a name that readers pass over, synced,
renamed, and the directory synced. Every reading proves the file by its checksums.
"""

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from actors.storage.upkeep.listing import ArchiveFile
from actors.storage.upkeep.record import Record, checksum

JOURNAL: Final = "journal"
MARK: Final = "_cluster"
"""Names the database whose records these are, so that two of them never share a lake. Readers of Parquet pass over names like this."""
ASIDE: Final = "_set_aside"
"""Files that a crash left unlisted: their records are in the journal still. They are kept, out of the readers' sight."""


class FileDamaged(Exception):
    """A file of the archive is missing, or is not what was written. ``file``: its path within the lake; ``reason`` says what is wrong."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(file, reason)
        self.file = file
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.file}: {self.reason}"


class LakeRefused(Exception):
    """This directory cannot be used. ``code``: ``lake_foreign`` (it is another database's) or ``lake_lost`` (the files are elsewhere)."""

    def __init__(self, code: str, lake: str) -> None:
        super().__init__(code, lake)
        self.code = code
        self.lake = lake


class Lake:
    """One database's files in a directory of this machine, or one that is mounted on all."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def claim(self, secret: bytes, *, has_files: bool) -> None:
        """Use the directory for the database with this secret. LakeRefused when it is another's, or files that are listed went away."""
        wanted = hashlib.sha256(b"stampede lake\0" + secret).hexdigest()
        mark = self.path / MARK
        if mark.exists():
            if mark.read_text().strip() != wanted:
                raise LakeRefused("lake_foreign", str(self.path))
        elif has_files:
            raise LakeRefused("lake_lost", str(self.path))
        elif (self.path / JOURNAL).exists():
            raise LakeRefused("lake_foreign", str(self.path))
        else:
            # Records say who bought what.
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_durably(mark, wanted.encode())

    def write(self, shard: int, records: list[Record], passed: Callable[[str], None]) -> ArchiveFile:
        """Write records of a shard, read the file back, and answer what can be listed. ``passed`` hears of each step.

        OSError when there is no room, or no right. FileDamaged when what is read back is not what was written.
        """
        from actors.storage.upkeep.parquet import write_parquet

        name = f"{JOURNAL}/shard={shard:03d}/{records[0][0]:012d}-{records[-1][0]:012d}.parquet"
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"_{path.name}.draft")
        try:
            write_parquet(draft, records)
            _sync(draft)
        except OSError:
            draft.unlink(missing_ok=True)
            raise
        passed("written")
        draft.replace(path)
        for directory in (path.parent, path.parent.parent, self.path):
            _sync(directory)
        passed("renamed")
        data = path.read_bytes()
        file = ArchiveFile(
            shard=shard,
            first_seq=records[0][0],
            last_seq=records[-1][0],
            file=name,
            rows=len(records),
            size=len(data),
            checksum=checksum(shard, records),
            file_checksum=hashlib.sha256(data).digest(),
        )
        self.read(file)
        passed("verified")
        return file

    def read(self, file: ArchiveFile) -> list[Record]:
        """The records of a listed file. FileDamaged when it is missing, or anything in it is not as it was listed."""
        try:
            data = (self.path / file.file).read_bytes()
        except OSError as error:
            raise FileDamaged(file.file, f"it cannot be read: {error.strerror or error}") from error
        # Before anything is parsed: what was altered never reaches the parser.
        if hashlib.sha256(data).digest() != file.file_checksum or len(data) != file.size:
            raise FileDamaged(file.file, "it is not the file that was written")
        from actors.storage.upkeep.parquet import parse_parquet

        try:
            records = parse_parquet(data)
        except ValueError as error:
            raise FileDamaged(file.file, str(error)) from error
        if [record[0] for record in records] != list(range(file.first_seq, file.last_seq + 1)):
            raise FileDamaged(file.file, f"it does not hold the records {file.first_seq} to {file.last_seq}")
        if checksum(file.shard, records) != file.checksum:
            raise FileDamaged(file.file, "its records are not those that were archived")
        return records

    def set_aside(self, shard: int, listed: set[str]) -> int:
        """Take what a crash left out of the readers' sight; answers how many whole files. ``listed``: paths of the shard's true files."""
        found = 0
        directory = self.path / JOURNAL / f"shard={shard:03d}"
        for path in sorted(directory.glob("*")) if directory.exists() else []:
            if path.name.startswith("_"):
                path.unlink()
            elif str(path.relative_to(self.path)) not in listed:
                (self.path / ASIDE).mkdir(exist_ok=True)
                path.replace(self.path / ASIDE / f"{shard:03d}-{time.time_ns()}-{path.name}")
                found += 1
        return found


def _write_durably(path: Path, data: bytes) -> None:
    draft = path.with_name(f"{path.name}.draft")
    draft.write_bytes(data)
    _sync(draft)
    draft.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
