"""Pruning: records that nobody needs in the table any more leave it, a thousand at a time.

Promises of :meth:`Pruner.prune`:

- the rows deleted are the archive's, byte for byte: they are compared in the transaction that deletes them;
- the shard's mark moves in that transaction, so what is missing from the table is always below the mark;
- no lock is taken that a flush waits for: a shard's row of ``shard_owner`` is read, never locked.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from actors.ports.journal import Journal
from actors.ports.remembering import Remembering
from actors.storage.upkeep.bounds import Bounds, Judge, Uncovered
from actors.storage.upkeep.lake import FileDamaged, Lake
from actors.storage.upkeep.listing import ArchiveFile, files_after
from actors.storage.upkeep.record import Record
from actors.storage.upkeep.report import Step, Tally, Tell

PRUNE_ROWS: Final = 1000
"""Records of one transaction: some ten milliseconds of the server's time."""
LOAD_ENTITIES: Final = 50
"""Entities rebuilt at once, as many as a host activates at once."""

LOCK_PRUNE: Final = "SELECT pg_advisory_xact_lock(7271)"
"""A rebuild takes it while it puts its positions before the first record: whoever deletes afterwards sees them."""
DELETE: Final = """
WITH gone AS (
    DELETE FROM journal WHERE shard = $1 AND seq > $2 AND seq <= $3
    RETURNING seq, version, at_ms, wake_ms, kind, key, command_id, body, meta
)
SELECT * FROM gone ORDER BY seq
"""
MARK_PRUNED: Final = "UPDATE journal_kept SET pruned_seq = $3 WHERE shard = $1 AND pruned_seq = $2 RETURNING pruned_seq"


class RecordsDiffer(Exception):
    """The table and the archive do not say the same of a record; nothing was deleted."""

    def __init__(self, file: str, seq: int) -> None:
        super().__init__(file, seq)
        self.file = file
        self.seq = seq


class Pruner:
    """Prunes one shard after the other."""

    def __init__(
        self, lake: Lake, judge: Judge, remembering: Remembering, journal: Journal, tally: Tally, tell: Tell,
        pause: Callable[[], Awaitable[bool]],
    ) -> None:  # fmt: skip
        self._lake = lake
        self._judge = judge
        self._remembering = remembering
        self._journal = journal
        self._tally = tally
        self._tell = tell
        self._pause = pause
        self._file: ArchiveFile | None = None
        self._records: list[Record] = []
        self._hopeless: set[tuple[str, str]] = set()
        self._met: set[int] = set()

    async def prune(self, connection: Any, shard: int, now_ms: int) -> None:
        """Delete what may go, having made the snapshots that were missing; says in the tally what holds the rest."""
        try:
            while await self._pause():
                bounds = await self._judge.bounds(connection, shard, PRUNE_ROWS)
                if await self._mend(shard, bounds, now_ms):
                    continue
                if bounds.until == bounds.pruned:
                    if bounds.held is not None:
                        self._tally.held[bounds.held] = self._tally.held.get(bounds.held, 0) + 1
                    return
                await self._delete(connection, shard, bounds.pruned, bounds.until)
        except FileDamaged as damaged:
            self._tally.add("file_damaged", shard, str(damaged))
        except RecordsDiffer as differ:
            self._tally.add("records_differ", shard, f"{differ.file}: {differ.seq}")

    # --- what is missing --------------------------------------------------------------------------

    async def _mend(self, shard: int, bounds: Bounds, now_ms: int) -> bool:
        """Write the meta or the snapshots that hold the shard back; True when something was written."""
        # A message may have been answered since the last meta.
        if bounds.held in ("meta", "messages"):
            return await self._save_meta(shard, bounds)
        missing = [entity for entity in bounds.uncovered if (entity.kind, entity.key) not in self._hopeless]
        return bool(missing) and await self._save_snapshots(shard, bounds.epoch, missing[:LOAD_ENTITIES], now_ms)

    async def _save_meta(self, shard: int, bounds: Bounds) -> bool:
        """Once a run, under the shard's current epoch, as its owner would; an owner that writes a newer one meanwhile wins."""
        if shard in self._met:
            return False
        self._met.add(shard)
        try:
            recovered = await self._journal.recover(shard, bounds.head)
        except AssertionError as gap:
            self._tally.add("journal_gap", shard, str(gap))
            return False
        await self._journal.save_meta(shard, bounds.epoch, self._remembering.shard(shard, bounds.head, recovered))
        self._tally.metas += 1
        self._tell(Step(what="meta", shard=shard, count=1))
        return True

    async def _save_snapshots(self, shard: int, epoch: int, missing: list[Uncovered], now_ms: int) -> bool:
        loaded = await self._journal.load([(shard, entity.kind, entity.key) for entity in missing])
        snapshots = []
        for entity, found in zip(missing, loaded, strict=True):
            if entity.unreadable:
                self._give_up(shard, entity, "snapshot_unreadable", entity.unreadable)
                continue
            try:
                snapshots.append(self._remembering.entity(shard, entity.kind, entity.key, found, now_ms))
            except Exception as error:
                self._give_up(shard, entity, "entity_unreadable", f"{type(error).__name__}: {error}")
        if not snapshots:
            return True
        await self._journal.save_snapshots({shard: epoch}, snapshots)
        # Under an epoch that has passed nothing was kept: these are tried once a run, and again by the next.
        self._hopeless.update((snapshot.kind, snapshot.key) for snapshot in snapshots)
        self._tally.snapshots += len(snapshots)
        self._tell(Step(what="snapshots", shard=shard, count=len(snapshots)))
        return True

    def _give_up(self, shard: int, entity: Uncovered, code: str, reason: str) -> None:
        self._hopeless.add((entity.kind, entity.key))
        self._tally.add(code, shard, f"{entity.kind} {entity.key}: {reason}")

    # --- deleting ---------------------------------------------------------------------------------

    async def _delete(self, connection: Any, shard: int, pruned: int, until: int) -> None:
        file = await self._open_file(connection, shard, pruned)
        until = min(until, file.last_seq)
        async with connection.transaction():
            await connection.execute(LOCK_PRUNE)
            until = min(until, (await self._judge.bounds(connection, shard, until - pruned)).until)
            gone = await connection.fetch(DELETE, shard, pruned, until)
            self._compare(file, [tuple(row) for row in gone], pruned, until)
            moved = await connection.fetchval(MARK_PRUNED, shard, pruned, until)
            assert moved == until, f"shard {shard} was pruned by somebody else meanwhile"
            self._tell(Step(what="deleting", shard=shard, count=until - pruned))
        self._tally.pruned += until - pruned
        self._tell(Step(what="pruned", shard=shard, count=until - pruned))

    async def _open_file(self, connection: Any, shard: int, pruned: int) -> ArchiveFile:
        """The file that holds the next record, proven whole right now."""
        file = self._file
        if file is None or file.shard != shard or not file.first_seq <= pruned + 1 <= file.last_seq:
            files = await files_after(connection, shard, pruned)
            if not files or files[0].first_seq > pruned + 1:
                raise FileDamaged(f"shard {shard}", f"no file of the archive holds record {pruned + 1}")
            self._records = self._lake.read(files[0])
            file = self._file = files[0]
        return file

    def _compare(self, file: ArchiveFile, gone: list[Record], pruned: int, until: int) -> None:
        kept = self._records[pruned + 1 - file.first_seq : until + 1 - file.first_seq]
        if gone != kept:
            wrong = next((a[0] for a, b in zip(kept, gone, strict=False) if a != b), pruned + 1 + min(len(kept), len(gone)))
            raise RecordsDiffer(file.file, wrong)
