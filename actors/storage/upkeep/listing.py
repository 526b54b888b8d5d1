"""What the database says of the archive: its files, and how far each shard was archived and pruned."""

from typing import Any, Final

import msgspec

READ_FILES: Final = """
SELECT shard, first_seq, last_seq, file, rows, bytes AS size, checksum, file_checksum FROM journal_archive ORDER BY shard, first_seq
"""
READ_FILES_OF: Final = """
SELECT shard, first_seq, last_seq, file, rows, bytes AS size, checksum, file_checksum FROM journal_archive
WHERE shard = $1 AND last_seq > $2 ORDER BY first_seq
"""
READ_FILE_NAMES: Final = "SELECT file FROM journal_archive WHERE shard = $1"
READ_PRUNED: Final = "SELECT shard, pruned_seq FROM journal_kept WHERE pruned_seq > 0 ORDER BY shard"
LIST_FILE: Final = """
INSERT INTO journal_archive (shard, first_seq, last_seq, file, rows, bytes, checksum, file_checksum, archived_at, verified_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, clock_timestamp())
"""
MARK_ARCHIVED: Final = "UPDATE journal_kept SET archived_seq = $3 WHERE shard = $1 AND archived_seq = $2 RETURNING archived_seq"


class ArchiveFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of the archive: records ``first_seq`` to ``last_seq`` of a shard.

    file: its path within the lake. size: in bytes. checksum: SHA-256 over the records
    (``actors.storage.upkeep.lake.checksum``); file_checksum: over the file.
    """

    shard: int
    first_seq: int
    last_seq: int
    file: str
    rows: int
    size: int
    checksum: bytes
    file_checksum: bytes


async def list_files(connection: Any) -> dict[int, list[ArchiveFile]]:
    """All files by shard, in order."""
    found: dict[int, list[ArchiveFile]] = {}
    for row in await connection.fetch(READ_FILES):
        found.setdefault(row["shard"], []).append(ArchiveFile(**row))
    return found


async def files_after(connection: Any, shard: int, seq: int) -> list[ArchiveFile]:
    """The files of a shard that hold records after ``seq``, in order."""
    return [ArchiveFile(**row) for row in await connection.fetch(READ_FILES_OF, shard, seq)]


async def pruned_seqs(connection: Any) -> dict[int, int]:
    """Up to where each shard was pruned; shards that never were are absent."""
    return {row["shard"]: row["pruned_seq"] for row in await connection.fetch(READ_PRUNED)}
