"""The database of the simulated world: a journal in memory behind a line that fails.

The database does its work in its own process: a statement that a host has sent goes on while the
host dies, freezes or gives up waiting. Commits happen at one instant and are shown to ``watch``.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from contextvars import Context
from typing import Any, Final

from actors.ports.clock import Clock
from actors.ports.journal import Fence, HostLease, Loaded, Ownership, Recovered, Row, ShardMeta, Snapshot, StorageUnknown
from actors.testing.memory import MemoryJournal
from actors.testing.sim_loop import SimLoop

HANG_S: Final = (5.0, 8.0)
"""A driver gives up on a statement after this long."""

SLOW_S_MAX: Final = 12.0


class WatchedJournal(MemoryJournal):
    """The memory journal with its upkeep: records behind a snapshot are pruned."""

    def __init__(self, clock: Clock, shard_count: int, watch: Callable[[Row], None], *, lease_ms: int) -> None:
        super().__init__(clock, shard_count, lease_ms=lease_ms)
        self._watch = watch
        self._pruned: dict[tuple[int, str, str], int] = {}

    def _keep(self, row: Row) -> None:
        super()._keep(row)
        self._watch(row)

    def prune(self) -> None:
        """Forget the records of entities that are behind their snapshots."""
        for key, snapshot in self.snapshots.items():
            self._pruned[key] = max(self._pruned.get(key, 0), snapshot.version)

    async def load(self, keys: list[tuple[int, str, str]]) -> list[Loaded]:
        found = await super().load(keys)
        return [
            Loaded(snapshot=loaded.snapshot, rows=[row for row in loaded.rows if row.version > self._pruned.get(key, 0)])
            for key, loaded in zip(keys, found, strict=True)
        ]


class SimStore:
    """The line to the database. ``fault_share``: how many statements of a hundred go wrong while it is up."""

    def __init__(self, loop: SimLoop, rng: random.Random, journal: WatchedJournal, counts: Counter[str]) -> None:
        self.journal = journal
        self.fault_share = 0.0
        self.away = False
        self.cut: set[str] = set()
        self._loop = loop
        self._rng = rng
        self._counts = counts

    def ask(self, place: str, act: Callable[[], Any], *, slow_share: float = 0.0) -> asyncio.Future[Any]:
        """Send a statement from a host: it is done once, late, or never, and is answered or not."""
        future = self._loop.create_future()
        draw = self._rng.random
        delay_s = 0.0005 + 0.002 * draw() if draw() < 0.95 else 0.2 * draw()
        if slow_share and draw() < slow_share:
            self._counts["statement_slow"] += 1
            delay_s = SLOW_S_MAX * draw()
        if self.away or place in self.cut:
            self._counts["database_away"] += 1
            self._later(delay_s if draw() < 0.6 else self._rng.uniform(*HANG_S), self._fail, future, "away")
        elif draw() >= self.fault_share:
            self._later(delay_s, self._answer, future, act)
        else:
            self._go_wrong(future, act, delay_s)
        return future

    def _go_wrong(self, future: asyncio.Future[Any], act: Callable[[], Any], delay_s: float) -> None:
        match self._rng.randrange(4):
            case 0:
                self._counts["unknown_before_commit"] += 1
                self._later(delay_s, self._fail, future, "connection reset before commit")
            case 1:
                self._counts["unknown_after_commit"] += 1
                self._later(delay_s, self._do, act)
                self._later(delay_s + 0.001, self._fail, future, "connection reset after commit")
            case 2:
                self._counts["statement_lingers"] += 1
                self._later(self._rng.uniform(0.1, 9.0), self._do, act)
                self._later(self._rng.uniform(0.05, HANG_S[1]), self._fail, future, "timed out, still running")
            case _:
                self._counts["statement_hangs"] += 1
                self._later(self._rng.uniform(*HANG_S), self._fail, future, "timed out")

    def _later(self, delay_s: float, callback: Callable[..., None], *args: Any) -> None:
        self._loop.call_later(delay_s, callback, *args, context=_NOBODY)

    def _answer(self, future: asyncio.Future[Any], act: Callable[[], Any]) -> None:
        outcome = act()
        if not future.done():
            future.set_result(outcome)

    def _do(self, act: Callable[[], Any]) -> None:
        act()

    def _fail(self, future: asyncio.Future[Any], reason: str) -> None:
        if not future.done():
            future.set_exception(StorageUnknown(reason))


_NOBODY: Final = Context()
"""The database's own process: it neither dies nor freezes with a host."""


class StoreLine:
    """One host's line: implements ``Journal``, ``Board`` and ``Directory``."""

    def __init__(self, store: SimStore, place: str) -> None:
        self._store = store
        self._place = place

    def _ask(self, work: Callable[[], Any]) -> asyncio.Future[Any]:
        return self._store.ask(self._place, work)

    async def append(self, fences: list[Fence], rows: list[Row]) -> bool:
        journal = self._store.journal
        return bool(await self._ask(lambda: journal.append_now(fences, rows)))

    async def load(self, keys: list[tuple[int, str, str]]) -> list[Loaded]:
        journal = self._store.journal
        found: list[Loaded] = await self._ask(lambda: _now(journal.load(keys)))
        return found

    async def recover(self, shard: int, head: int) -> Recovered:
        journal = self._store.journal
        found: Recovered = await self._ask(lambda: _now(journal.recover(shard, head)))
        return found

    async def save_snapshots(self, epochs: dict[int, int], snapshots: list[Snapshot]) -> None:
        journal = self._store.journal
        # Nobody waits for a snapshot: it may well be written after the shard has moved on.
        await self._store.ask(self._place, lambda: _now(journal.save_snapshots(epochs, snapshots)), slow_share=0.2)

    async def save_meta(self, shard: int, epoch: int, meta: ShardMeta) -> None:
        journal = self._store.journal
        await self._ask(lambda: _now(journal.save_meta(shard, epoch, meta)))

    async def renew(self, host: str) -> bool:
        journal = self._store.journal
        return bool(await self._ask(lambda: _now(journal.renew(host))))

    async def hosts(self) -> list[HostLease]:
        journal = self._store.journal
        found: list[HostLease] = await self._ask(lambda: _now(journal.hosts()))
        return found

    async def shards(self) -> list[Ownership]:
        journal = self._store.journal
        found: list[Ownership] = await self._ask(lambda: _now(journal.shards()))
        return found

    async def claim(self, host: str, wanted: dict[int, int]) -> dict[int, tuple[int, int]]:
        journal = self._store.journal
        taken: dict[int, tuple[int, int]] = await self._ask(lambda: _now(journal.claim(host, wanted)))
        return taken

    async def release(self, host: str, epochs: dict[int, int]) -> None:
        journal = self._store.journal
        await self._ask(lambda: _now(journal.release(host, epochs)))

    async def propose(self, targets: dict[int, str]) -> None:
        journal = self._store.journal
        await self._ask(lambda: _now(journal.propose(targets)))

    async def drain(self, host: str, draining: bool) -> bool:
        journal = self._store.journal
        return bool(await self._ask(lambda: _now(journal.drain(host, draining))))

    async def routes(self) -> dict[int, str]:
        journal = self._store.journal
        found: dict[int, str] = await self._ask(lambda: _now(journal.routes()))
        return found


def _now(work: Any) -> Any:
    """The result of a coroutine that never waits."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("a statement is one instant")
