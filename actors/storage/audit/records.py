"""The whole history, one record after the other: of each shard first what was pruned, from the archive, then the journal."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

from actors.storage.audit.report import Findings
from actors.storage.audit.tables import FETCH
from actors.storage.upkeep.lake import FileDamaged, Lake
from actors.storage.upkeep.listing import ArchiveFile, list_files, pruned_seqs

READ_JOURNAL: Final = """
SELECT shard, seq, version, at_ms, kind, key, command_id, body, meta FROM journal ORDER BY shard, seq
"""
READ_ARCHIVED: Final = "SELECT shard, archived_seq FROM journal_kept WHERE archived_seq > 0 ORDER BY shard"


class Records:
    """Reads everything once. Every listed file is proven by its checksums, also those whose records are in the journal still."""

    def __init__(self, findings: Findings, lake: Path | None) -> None:
        self.archived = 0
        self._findings = findings
        self._lake = lake
        self._files: dict[int, list[ArchiveFile]] = {}
        self._pruned: dict[int, int] = {}

    def is_pruned(self, shard: int, seq: int) -> bool:
        """True for a record that is in the archive alone."""
        return seq <= self._pruned.get(shard, 0)

    async def all(self, connection: Any) -> AsyncIterator[Any]:
        """The rows of :data:`READ_JOURNAL`, as if nothing had ever been pruned."""
        self._files, self._pruned = await list_files(connection), await pruned_seqs(connection)
        await self._check_marks(connection)
        before = sorted(self._files, reverse=True)
        async for row in connection.cursor(READ_JOURNAL, prefetch=FETCH):
            while before and before[-1] <= row[0]:
                for record in self._archive_of(before.pop()):
                    yield record
            yield row
        while before:
            for record in self._archive_of(before.pop()):
                yield record

    async def _check_marks(self, connection: Any) -> None:
        """The files of a shard follow each other from its first record to its mark."""
        archived = {row["shard"]: row["archived_seq"] for row in await connection.fetch(READ_ARCHIVED)}
        for shard in sorted(archived.keys() | self._files.keys() | self._pruned.keys()):
            last = 0
            for file in self._files.get(shard, ()):
                if file.first_seq != last + 1:
                    self._findings.add(1, f"the archive of shard {shard} has no file with record {last + 1}", f"shard {shard}", file.file)
                last = file.last_seq
            if last != archived.get(shard, 0) or last < self._pruned.get(shard, 0):
                marks = f"archived to {archived.get(shard, 0)} and pruned to {self._pruned.get(shard, 0)}"
                self._findings.add(1, f"shard {shard} is {marks}, its files end at {last}", f"shard {shard}")

    def _archive_of(self, shard: int) -> Iterator[Any]:
        """The pruned records of a shard."""
        until = self._pruned.get(shard, 0)
        for file in self._files[shard]:
            if self._lake is None:
                self._findings.add(1, f"{file.file} cannot be read: nobody said where the archive is", file.file, f"shard {shard}")
                continue
            try:
                records = Lake(self._lake).read(file)
            except FileDamaged as damaged:
                self._findings.add(1, f"the archive: {damaged}", file.file, f"shard {shard}")
                continue
            self.archived += len(records)
            for seq, version, at_ms, _, kind, key, command_id, body, meta in records:
                if seq > until:
                    break
                yield (shard, seq, version, at_ms, kind, key, command_id, body, meta)
