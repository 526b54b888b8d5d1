"""Archiving: records of a shard are copied into files of the lake, one after the other, without a gap.

A file is listed, and the shard's mark moved behind it, in one transaction, after the file was synced,
read back and found equal. Whatever a crash leaves before that is a file that nobody lists: it is set
aside, and the same records are written again.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

from actors.storage.upkeep.lake import FileDamaged, Lake, LakeRefused
from actors.storage.upkeep.listing import LIST_FILE, MARK_ARCHIVED, READ_FILE_NAMES, ArchiveFile
from actors.storage.upkeep.record import Record
from actors.storage.upkeep.report import Step, Tally, Task, Tell

FILE_ROWS_MAX: Final = 20_000
FILE_BYTES_MAX: Final = 32 * 1024 * 1024
"""What one file holds is in memory at once, three times over, while it is written and proven."""
READ_ROWS: Final = 2000
"""Records of one reading: a few milliseconds of the server's time."""
WAIT_MS_MAX: Final = 86_400_000
"""A record is in the lake a day later, however quiet its shard."""

READ_RECORDS: Final = """
SELECT seq, version, at_ms, wake_ms, kind, key, command_id, body, meta FROM journal
WHERE shard = $1 AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4
"""
READ_FIRST_AT: Final = "SELECT at_ms FROM journal WHERE shard = $1 AND seq = $2"


class GapFound(Exception):
    """A record that must be in the journal is not there."""

    def __init__(self, shard: int, seq: int) -> None:
        super().__init__(shard, seq)
        self.shard = shard
        self.seq = seq


class Archiver:
    """Copies what is due of one shard after the other."""

    def __init__(self, lake: Lake, task: Task, tally: Tally, tell: Tell, pause: Callable[[], Awaitable[bool]]) -> None:
        self._lake = lake
        self._task = task
        self._tally = tally
        self._tell = tell
        self._pause = pause

    async def archive(self, connection: Any, shard: int, archived: int, head: int, now_ms: int) -> int:
        """Copy what is due; answers up to where the shard is archived now. LakeRefused when the last file went away."""
        done = archived
        try:
            if not await self._is_due(connection, shard, done, head, now_ms):
                return done
            await self._prepare(connection, shard)
            while await self._is_due(connection, shard, done, head, now_ms) and await self._pause():
                records = await self._read(connection, shard, done, head)
                file = await self._write(connection, shard, records)
                done = file.last_seq
                self._tally.files += 1
                self._tally.archived += file.rows
                self._tell(Step(what="archived", shard=shard, count=file.rows))
        except GapFound as gap:
            self._tally.add("journal_gap", shard, str(gap.seq))
        except FileDamaged as damaged:
            self._tally.add("file_damaged", shard, str(damaged))
        except OSError as error:
            raise LakeRefused("lake_unwritable", f"{self._lake.path}: {error.strerror or error}") from error
        return done

    async def _is_due(self, connection: Any, shard: int, done: int, head: int, now_ms: int) -> bool:
        if head <= done:
            return False
        if self._task.everything or head - done >= FILE_ROWS_MAX:
            return True
        first_at_ms = await connection.fetchval(READ_FIRST_AT, shard, done + 1)
        return first_at_ms is None or now_ms - first_at_ms >= WAIT_MS_MAX

    async def _prepare(self, connection: Any, shard: int) -> None:
        listed = [row["file"] for row in await connection.fetch(READ_FILE_NAMES, shard)]
        if listed and not (self._lake.path / max(listed)).exists():
            raise LakeRefused("lake_lost", str(self._lake.path))
        self._lake.set_aside(shard, set(listed))

    async def _read(self, connection: Any, shard: int, done: int, head: int) -> list[Record]:
        """The next records, as many as go into a file. They are durable and never change: no transaction holds them."""
        records: list[Record] = []
        size = 0
        until = min(head, done + FILE_ROWS_MAX)
        while done < until and size < FILE_BYTES_MAX:
            rows = await connection.fetch(READ_RECORDS, shard, done, until, READ_ROWS)
            for row in rows:
                if row["seq"] != done + 1:
                    break
                records.append(tuple(row))
                size += len(row["body"]) + len(row["meta"])
                done += 1
            if not rows or rows[-1]["seq"] != done:
                raise GapFound(shard, done + 1)
        return records

    async def _write(self, connection: Any, shard: int, records: list[Record]) -> ArchiveFile:
        """The file first, then its row: what is listed is there."""
        file = self._lake.write(shard, records, lambda what: self._tell(Step(what=what, shard=shard, count=len(records))))
        values = (file.shard, file.first_seq, file.last_seq, file.file, file.rows, file.size, file.checksum, file.file_checksum)
        async with connection.transaction():
            await connection.execute(LIST_FILE, *values, datetime.now(UTC))
            moved = await connection.fetchval(MARK_ARCHIVED, shard, file.first_seq - 1, file.last_seq)
            assert moved == file.last_seq, f"shard {shard}: somebody else has archived it meanwhile"
        return file
