"""A host: many shards with one writer, one batch pipeline, one lease.

Promises of :meth:`Host.submit`:

- an answer leaves only when every record that it looked at is durable;
- ``moved``: nothing happened here, ask the shard's owner; ``busy`` and ``deadline_passed``: nothing happened;
- ``outcome_unknown``: the flush that held the command did not answer; ask again with the same id, and
  the owner, whoever it is then, answers from the journal.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

import structlog

from actors.domain.entity import Wake
from actors.domain.kinds import ENDING, KINDS, meta_decoder, pack_state
from actors.domain.sharding import Sharding
from actors.owners.batch import Batch
from actors.owners.cell import Cell, EntityKey, Outgoing, Reminders, Shard, entity_hash
from actors.owners.counters import Counters
from actors.owners.facts import FactCache, NeedsFacts
from actors.owners.heat import WARM, Heat
from actors.owners.limits import Limits
from actors.owners.loading import Loading
from actors.owners.outbox import Outbox
from actors.owners.queue import FairQueue
from actors.owners.turns import Incoming, NeedsLoading, Turns
from actors.ports.clock import Clock
from actors.ports.journal import Journal, ShardMeta, Snapshot, StorageFull, StorageUnknown
from actors.ports.peers import Effects, FactSource, Peers
from schemas.envelope import Answer

log = structlog.get_logger("stampede.owners")

IDLE_MS: Final = 30_000
"""An entity idle for this long may be dropped from memory when room is needed."""


SNAPSHOT_BYTES_PER_RECORD: Final = 64
"""What snapshots may add to the journal's own bytes, roughly a quarter."""

FULL_MS: Final = 500
"""So long nobody writes after the database said that its disk is full."""

STALLED_MS: Final = 1000
"""Past this the database counts as away."""


class Host:
    """The owner of its shards. Plain asyncio: everything runs on one loop, nothing needs a lock."""

    def __init__(
        self,
        name: str,
        sharding: Sharding,
        journal: Journal,
        facts: FactSource,
        peers: Peers,
        effects: Effects,
        clock: Clock,
        limits: Limits,
    ) -> None:
        self.name = name
        self.sharding = sharding
        self.journal = journal
        self.clock = clock
        self.limits = limits
        self.counters = Counters()
        self.heat = Heat(clock)
        self.shards: dict[int, Shard] = {}
        self.lease_until_ms = 0.0
        self.lost: Callable[[list[Shard]], None] = lambda shards: None
        self.storage_down_since_ms = 0.0
        self.full_until_ms = 0.0
        self.closed = False
        self.facts = FactCache(facts, clock, limits)
        self.turns = Turns(clock, self, self.facts.get, self.counters)
        self.turns.poison_max = limits.poison_max
        self.loading = Loading(self, journal)
        self.outbox = Outbox(self, peers, effects)
        self.reminders = Reminders()
        self.queue = FairQueue(limits.queue_commands_max)
        self._tasks: set[asyncio.Task[None]] = set()
        self._kicked = False
        self._reminder_set = asyncio.Event()
        self._flush_ended = asyncio.Event()

    # --- coming in --------------------------------------------------------------------------------

    def submit(self, calls: list[Incoming]) -> None:
        """Take commands; each one's ``respond`` is called once, now or later."""
        self.counters.commands += len(calls)
        stalled, closed = self._is_stalled(), self.closed
        for call in calls:
            if stalled and call.digest:
                self.turns.refuse(call, "storage_unavailable")
            elif closed and call.digest and type(call.command) not in ENDING:
                # No room for anything new (``actors.owners.memory_watch``).
                self.turns.refuse(call, "busy")
            else:
                self.enter(call)
        self.kick()

    def _is_stalled(self) -> bool:
        """True when a flush has not been answered for a second, the database has been away for one, or its disk was full a moment ago:
        whoever comes now is told that nothing happened, before a flush could make that uncertain."""
        flying = self.turns.flying
        now_ms = self.clock.monotonic_ms()
        waited_since_ms = self.storage_down_since_ms or (flying.started_ms if flying else now_ms)
        return now_ms < self.full_until_ms or now_ms - waited_since_ms > STALLED_MS

    def enter(self, call: Incoming) -> None:
        """One command: into the open batch, or the queue while that is full."""
        if not self.queue.count and not self._is_full():
            self._take(call)
        elif not self.queue.add(call):
            self.turns.refuse(call, "busy")

    def _take(self, call: Incoming) -> None:
        shard = self.shards.get(call.shard)
        if shard is None or not shard.serving or self.clock.monotonic_ms() > self.lease_until_ms:
            self.turns.refuse(call, "storage_unavailable" if self.storage_down_since_ms else "moved")
            return
        rows, seq = len(self.turns.open_batch.rows), 0
        try:
            cell = self._cell(shard, (call.kind, call.key))
            seq = cell.seq
            cell.touched_ms = self.clock.monotonic_ms()
            self.turns.take(cell, call)
            if len(self.turns.open_batch.rows) != rows:
                self.turns.open_batch.commands += 1
        except NeedsLoading as needed:
            self.loading.wait(call, needed.entities)
        except NeedsFacts as wanted:
            self._spawn(self._with_facts(call, wanted.names))
        except (Exception, SystemExit):
            log.exception("turn_failed", kind=call.kind, key=call.key, command=type(call.command).__name__)
            self.turns.note_raise(call, seq)
            self.turns.refuse(call, "internal_error")
            if len(self.turns.open_batch.rows) != rows:
                # Half a turn stands in memory: nothing of this batch may be believed, and none of it was sent.
                self._discard(self.turns.open_batch, "moved")

    def _cell(self, shard: Shard, entity: EntityKey) -> Cell:
        cell = shard.cells.get(entity)
        if cell is not None:
            return cell
        if entity_hash(entity) in shard.known:
            raise NeedsLoading([(shard.number, *entity)])
        return Cell(KINDS[entity[0]], entity[1], shard)

    def resident(self, kind: str, key: str) -> Cell | None:
        """See :class:`actors.owners.turns.Residents`."""
        if kind not in KINDS:
            return None
        shard = self.shards.get(self.sharding.shard(kind, key))
        if shard is None or not shard.serving:
            return None
        return self._cell(shard, (kind, key))

    async def _with_facts(self, call: Incoming, names: list[str]) -> None:
        if await self.facts.fetch(names):
            self.enter(call)
        else:
            self.turns.refuse(call, "storage_unavailable")
        self.kick()

    # --- flushing ---------------------------------------------------------------------------------

    def kick(self) -> None:
        """Flush what is open as soon as this round of the loop has added to it and nothing is flying."""
        if self.turns.flying is None and self.turns.open_batch.rows and not self._kicked:
            self._kicked = True
            asyncio.get_running_loop().call_soon(self._fly)

    def _fly(self) -> None:
        self._kicked = False
        if self.turns.flying is not None or not self.turns.open_batch.rows:
            return
        batch = self.turns.open_batch
        self.turns.open_batch = Batch(batch.number + 1)
        self.turns.flying = batch
        batch.started_ms = self.clock.monotonic_ms()
        self._take_snapshots(batch)
        self._spawn(self._flush(batch))
        self._drain_queue()

    def _drain_queue(self) -> None:
        while self.queue.count and not self._is_full():
            self._take(self.queue.pop())

    def _is_full(self) -> bool:
        batch = self.turns.open_batch
        return batch.commands >= self.limits.batch_commands_max or batch.bytes >= self.limits.batch_bytes_max

    async def _flush(self, batch: Batch) -> None:
        """One flush; its own task, so that no caller's leaving can end it."""
        timeout = self.limits.flush_timeout_ms / 1000
        try:
            async with asyncio.timeout(timeout):
                held = await self.journal.append(batch.fences(), batch.rows)
        except (StorageUnknown, TimeoutError) as error:
            self.counters.unknown += 1
            log.warning("flush_unknown", host=self.name, rows=len(batch.rows), reason=str(error) or "timed out")
            self.note_storage_down(full=isinstance(error, StorageFull))
            self._discard(batch, "outcome_unknown")
            return
        except Exception:
            log.exception("flush_failed", host=self.name, shards=sorted(batch.shards))
            self._discard(batch, "outcome_unknown")
            return
        if not held:
            self.counters.fenced += 1
            log.warning("flush_fenced", host=self.name, shards=sorted(batch.shards))
            self._discard(batch, "moved")
            return
        self._committed(batch)

    def note_storage_down(self, *, full: bool = False) -> None:
        """The database did not answer: until it does, a command for a shard that is not served here is told so, not sent round."""
        now_ms = self.clock.monotonic_ms()
        self.storage_down_since_ms = self.storage_down_since_ms or now_ms
        if full:
            # It reads and does not write: commands are refused, and once in a while one is let through to see.
            self.counters.storage_full += 1
            log.error("storage_full", host=self.name)
            self.full_until_ms = now_ms + FULL_MS

    def _committed(self, batch: Batch) -> None:
        self.storage_down_since_ms = 0.0
        self._flush_ended.set()
        self.counters.flushed(len(batch.rows), batch.commands, self.clock.monotonic_ms() - batch.started_ms)
        self.turns.durable = batch.number
        self.turns.flying = None
        for row in batch.rows:
            shard = batch.shards[row.shard]
            shard.head = row.seq
            entity = (row.kind, row.key)
            if shard.due.get(entity, 0) != row.wake_ms:
                shard.set_due(entity, row.wake_ms)
                if row.wake_ms:
                    self.remind(row.wake_ms, shard.number, entity)
            if row.meta:
                self._settle_sends(shard, row.meta, entity, row.at_ms)
        # Next batch first: the database works while the answers leave.
        self._fly()
        for respond, answer in batch.answers:
            respond(answer)
        if batch.snapshots or any(shard.head - shard.meta_seq >= self.limits.meta_every for shard in batch.shards.values()):
            self._spawn(self._save(batch))
        if self.queue.count:
            self._drain_queue()
            self.kick()

    def _settle_sends(self, shard: Shard, packed: bytes, entity: EntityKey, at_ms: int) -> None:
        meta = meta_decoder.decode(packed)
        for send_id in meta.acks:
            shard.outbox.pop(send_id, None)
        for send in meta.sends:
            outgoing = Outgoing(entity, send, at_ms)
            shard.outbox[send.id] = outgoing
            self.outbox.carry(shard, outgoing)

    def _discard(self, failed: Batch, code: str) -> None:
        """Forget every entity that took part in undurable records, and tell their callers to ask again.

        A batch that flies while a later one fails goes on: its own answer decides about it.
        """
        batches = [batch for batch in (self.turns.flying, self.turns.open_batch) if batch is not None and batch.number >= failed.number]
        if self.turns.flying is failed:
            self.turns.flying = None
        self.turns.open_batch = Batch(self.turns.open_batch.number + 1)
        self._flush_ended.set()
        shards: dict[int, Shard] = {}
        for batch in batches:
            shards.update(batch.shards)
        for shard in shards.values():
            self.drop(shard)
        for batch in batches:
            for respond, answer in batch.answers:
                respond(Answer(code=code if batch is failed else "moved", shard=answer.shard))
        for shard in shards.values():
            self._answer_waiters(shard, code)
        self.lost(list(shards.values()))
        self.kick()

    def _answer_waiters(self, shard: Shard, code: str) -> None:
        for cell in shard.cells.values():
            for responds in cell.waiters.values():
                for respond in responds:
                    respond(Answer(code=code, shard=shard.number))
            cell.waiters.clear()

    # --- shards come and go -----------------------------------------------------------------------

    async def adopt(self, number: int, epoch: int, head: int) -> None:
        """Begin to serve a shard that was just taken. StorageUnknown when it cannot be read: it is not served."""
        recovered = await self.journal.recover(number, head)
        shard = Shard(number, epoch, head)
        shard.absorb(recovered.meta, recovered.tail)
        self.shards[number] = shard
        self.counters.takeovers += 1
        for entity, due_ms in shard.due.items():
            self.remind(due_ms, number, entity)
        for outgoing in list(shard.outbox.values()):
            self.outbox.carry(shard, outgoing)
        self.kick()

    def drop(self, shard: Shard) -> None:
        """Stop serving a shard at once; nothing of it is written any more."""
        shard.serving = False
        if self.shards.get(shard.number) is shard:
            del self.shards[shard.number]
        self.loading.forget(shard)

    def lose(self, shard: Shard) -> None:
        """Another host has taken the shard. What is not durable yet will be fenced, and takes with it all that it touched:
        until then the shard is not forgotten, so that it cannot come back into a batch that holds its old records."""
        shard.serving = False
        if shard.head + 1 == shard.next_seq:
            self.drop(shard)

    def forget_everything(self) -> None:
        """The database is another one (a failover, a restored backup): what is in memory may be more than it holds.
        Every shard is taken anew and read. A batch that flies is answered by its own connection, which led to the old one."""
        shards = list(self.shards.values())
        self.facts.forget()
        for shard in shards:
            self.drop(shard)
            self._answer_waiters(shard, "moved")
        self._discard(self.turns.open_batch, "moved")
        self.lost(shards)

    async def hand_over(self, shard: Shard) -> None:
        """Stop, flush, snapshot: after this the shard may be released. Open sagas go along; they are not waited for."""
        shard.serving = False
        while shard.head + 1 < shard.next_seq and self.shards.get(shard.number) is shard:
            self.kick()
            self._flush_ended.clear()
            await self._flush_ended.wait()
        if self.shards.get(shard.number) is shard:
            try:
                await self._save_meta(shard)
            except StorageUnknown as error:
                log.warning("meta_failed", host=self.name, shard=shard.number, reason=error.reason)
        self._answer_waiters(shard, "moved")
        self.drop(shard)

    # --- snapshots --------------------------------------------------------------------------------

    def _take_snapshots(self, batch: Batch) -> None:
        """States as they are after this batch, encoded now, written once the batch is durable."""
        for cell in batch.cells:
            if cell.version - cell.counted >= WARM:
                self.heat.note(cell)
            behind = cell.version - cell.snapshot_version
            # A big state is written more seldom, so that its cost per record stays the same.
            if behind < self.limits.snapshot_every or behind * SNAPSHOT_BYTES_PER_RECORD < cell.snapshot_bytes:
                continue
            data = pack_state(cell.state, cell.fresh_seen(self.clock.now_ms()))
            cell.snapshot_version, cell.snapshot_bytes = cell.version, len(data)
            batch.snapshots.append(
                Snapshot(shard=cell.shard.number, kind=cell.kind_name, key=cell.key, version=cell.version, seq=cell.seq, data=data)
            )

    async def _save(self, batch: Batch) -> None:
        try:
            if batch.snapshots:
                epochs = {snapshot.shard: batch.shards[snapshot.shard].epoch for snapshot in batch.snapshots}
                await self.journal.save_snapshots(epochs, batch.snapshots)
                self.counters.snapshots += len(batch.snapshots)
            for shard in batch.shards.values():
                if shard.head - shard.meta_seq >= self.limits.meta_every:
                    await self._save_meta(shard)
        except StorageUnknown as error:
            log.warning("snapshot_failed", host=self.name, reason=error.reason)

    async def _save_meta(self, shard: Shard) -> None:
        meta = ShardMeta(seq=shard.head, data=shard.pack_meta())
        shard.meta_seq = shard.head
        await self.journal.save_meta(shard.number, shard.epoch, meta)

    # --- reminders --------------------------------------------------------------------------------

    def remind(self, due_ms: int, shard: int, entity: EntityKey) -> None:
        """Wake the entity then."""
        first = self.reminders.next_ms()
        self.reminders.add(due_ms, shard, entity)
        if first is None or due_ms < first:
            self._reminder_set.set()

    async def keep_reminding(self) -> None:
        """Fire what is due, at most so many a second, so that thousands ending together stop nobody."""
        tenth = max(1, self.limits.reminders_per_second_max // 10)
        while True:
            now_ms = self.clock.now_ms()
            fired: dict[int, int] = {}
            later: list[tuple[int, int, EntityKey]] = []
            calls = []
            while (due_ms := self.reminders.next_ms()) is not None and due_ms <= now_ms:
                entry = self.reminders.pop()
                shard = self.shards.get(entry[1])
                if shard is None or shard.due.get(entry[2]) != entry[0]:
                    continue
                if fired.get(entry[1], 0) >= tenth:
                    later.append(entry)
                    continue
                fired[entry[1]] = fired.get(entry[1], 0) + 1
                calls.append(self._wake(shard, *entry))
            for entry in later:
                self.reminders.add(*entry)
            if calls:
                self.counters.reminders += len(calls)
                self.submit(calls)
            await self._until_reminder(0.1 if later else None)

    def _wake(self, shard: Shard, due_ms: int, number: int, entity: EntityKey) -> Incoming:
        def answered(_: Answer) -> None:
            # Still due: more is left to do, or the turn could not be taken. Try again in a moment.
            if shard.due.get(entity) == due_ms and self.shards.get(number) is shard:
                shard.due[entity] = self.clock.now_ms() + 200
                self.remind(shard.due[entity], number, entity)

        return Incoming(number, entity[0], entity[1], Wake(), b"", answered)

    async def _until_reminder(self, seconds: float | None) -> None:
        self._reminder_set.clear()
        next_ms = self.reminders.next_ms()
        if seconds is None:
            seconds = 1.0 if next_ms is None else min(1.0, max(0.005, (next_ms - self.clock.now_ms()) / 1000))
        try:
            async with asyncio.timeout(seconds):
                await self._reminder_set.wait()
        except TimeoutError:
            return

    # --- memory -----------------------------------------------------------------------------------

    def passivate(self, *, keep: int | None = None, idle_ms: int = IDLE_MS) -> int:
        """Drop idle, clean entities while there are more than ``keep`` (without it: than the limit); answers how many."""
        cells = [cell for shard in self.shards.values() for cell in shard.cells.values()]
        surplus = len(cells) - (self.limits.entities_max if keep is None else min(keep, self.limits.entities_max))
        if surplus <= 0:
            return 0
        horizon = self.clock.monotonic_ms() - idle_ms
        idle = [cell for cell in cells if cell.batch <= self.turns.durable and not cell.waiters and cell.touched_ms < horizon]
        idle.sort(key=lambda cell: cell.touched_ms)
        for cell in idle[:surplus]:
            del cell.shard.cells[(cell.kind_name, cell.key)]
        self.counters.passivations += min(surplus, len(idle))
        return min(surplus, len(idle))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
