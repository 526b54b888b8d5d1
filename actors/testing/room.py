"""A room for owners: one or more real hosts on a virtual clock, over a journal that a test can hold, fail and fence.

A test is ``play(scene)``: the coroutine runs in a loop of virtual time, so that nothing waits and
everything happens in the same order each time.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from actors.client.client import Client, ClientPeers
from actors.domain.kinds import encoder
from actors.domain.pools import Pool
from actors.domain.sharding import Sharding
from actors.owners.door import Door
from actors.owners.host import Host
from actors.owners.limits import Limits
from actors.owners.placement import Placement
from actors.owners.turns import Incoming
from actors.ports.clock import Clock
from actors.ports.journal import Fence, Loaded, Row, StorageUnknown
from actors.ports.transport import TransportLost
from actors.testing.market import shop
from actors.testing.memory import MemoryJournal
from actors.testing.sim_loop import SimLoop
from actors.testing.sim_world import WorldClock
from schemas.envelope import Answer

T = TypeVar("T")


def play(scene: Callable[[], Coroutine[Any, Any, T]], seed: int = 0) -> T:
    """Run a scene in virtual time. AssertionError when a task failed beside it."""
    loop = SimLoop(random.Random(seed))  # type: ignore[abstract]
    outcome = loop.run(scene())
    assert loop.errors == []
    return outcome


class StubbornJournal(MemoryJournal):
    """A journal that does what a test says of the next appends: ``hold``, ``lose``, ``forget`` or ``fence``.

    hold: it waits until :attr:`go` is set. lose: it raises and nothing was written. forget: it is
    written, and raises. fence: another owner has taken the shards. ``batches`` lists the rows of each append.
    """

    def __init__(self, clock: Clock, shard_count: int) -> None:
        super().__init__(clock, shard_count)
        self.troubles: deque[str] = deque()
        self.go = asyncio.Event()
        self.batches: list[list[Row]] = []
        self.loads: list[int] = []
        self.loading_slow = False
        self.loads_at_once = 0

    async def append(self, fences: list[Fence], rows: list[Row]) -> bool:
        trouble = self.troubles.popleft() if self.troubles else ""
        self.batches.append(rows)
        await asyncio.sleep(0.001)
        if trouble == "hold":
            await self.go.wait()
        if trouble == "lose":
            raise StorageUnknown("lost")
        if trouble == "fence":
            for fence in fences:
                self.epochs[fence.shard] += 1
        held = self.append_now(fences, rows)
        if trouble == "forget":
            raise StorageUnknown("written, and not told")
        return held

    async def load(self, keys: list[tuple[int, str, str]]) -> list[Loaded]:
        self.loads.append(len(keys))
        await asyncio.sleep(0.5 if self.loading_slow else 0)
        return await super().load(keys)


class NoEffects:
    """A provider that never answers."""

    def handles(self, kind: str) -> bool:
        """True for the payment provider's kind."""
        return kind == "gateway"

    async def perform(self, kind: str, command: Any, command_id: bytes) -> Any:
        """Nobody is there."""
        raise TimeoutError(kind)


class ShopFacts:
    """Facts that change when a test says so."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self.facts = facts
        self.news: list[str] = []

    def put(self, name: str, fact: Any) -> None:
        """A fact is now this."""
        self.facts[name] = fact
        self.news.append(name)

    async def load(self, names: list[str]) -> dict[str, Any]:
        """See the port."""
        return {name: self.facts[name] for name in names if name in self.facts}

    async def changed(self, since: int) -> tuple[int, list[str]]:
        """See the port."""
        return len(self.news) + 1, self.news[max(0, since - 1) :] if since >= 0 else []


class Room:
    """Hosts, their journal, and a client. Must be made inside a scene."""

    def __init__(
        self,
        *,
        hosts: int = 1,
        shards: int = 4,
        limits: Limits | None = None,
        facts: dict[str, Any] | None = None,
        pools: tuple[Pool, ...] = (),
    ) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimLoop)
        self.loop = loop
        self.clock = WorldClock(loop)
        self.journal = StubbornJournal(self.clock, shards)
        self.sharding = Sharding(b"room", shards, pools)
        self.limits = limits or Limits()
        self.doors: dict[str, Door] = {}
        self.lost_replies = 0
        self.client = Client(self.sharding, self, self.journal, self.clock, random.Random(0))
        self.hosts: list[Host] = []
        self.placements: list[Placement] = []
        self._numbers = 0
        self.facts = ShopFacts(facts or shop())
        for number in range(hosts):
            self._add(f"host{number}", self.facts)

    def _add(self, name: str, facts: ShopFacts) -> None:
        host = Host(name, self.sharding, self.journal, facts, ClientPeers(self.client, self.clock), NoEffects(), self.clock, self.limits)
        self.hosts.append(host)
        self.placements.append(Placement(host, self.journal))
        self.doors[name] = Door(host)

    async def open(self) -> "Room":
        """Start every host's loops, and wait until all shards are served."""
        for host, placement in zip(self.hosts, self.placements, strict=True):
            for work in (placement.keep_lease(), placement.keep_shards(), host.keep_reminding()):
                self.loop.create_task(work)
        await self.served()
        return self

    async def served(self) -> None:
        """Wait until every shard has an owner that serves it."""
        while sum(shard.serving for host in self.hosts for shard in host.shards.values()) < self.sharding.shard_count:
            await self.clock.sleep(0.05)

    @property
    def host(self) -> Host:
        """The first host."""
        return self.hosts[0]

    async def call(self, host: str, payload: bytes) -> bytes:
        """The transport between client and hosts."""
        answers = await self.doors[host].envelope(payload)
        if self.lost_replies:
            self.lost_replies -= 1
            raise TransportLost("lost on the way back")
        return answers

    def submit(
        self,
        kind: str,
        key: str,
        command: Any,
        command_id: bytes = b"",
        *,
        digest: bytes = b"d",
        deadline_ms: int = 0,
        host: Host | None = None,
    ) -> "asyncio.Future[Answer]":
        """Hand a command to a host as its door does; the answer in a future."""
        self._numbers += 1
        future: asyncio.Future[Answer] = self.loop.create_future()

        def respond(answer: Answer) -> None:
            assert not future.done() or future.cancelled(), "answered twice"
            if not future.cancelled():
                future.set_result(answer)

        shard = self.sharding.shard(kind, key)
        command_id = command_id or b"room %d" % self._numbers
        (host or self.host).submit([Incoming(shard, kind, key, command, command_id, respond, digest, deadline_ms)])
        return future

    def records(self, kind: str, key: str) -> int:
        """How many records of an entity are durable."""
        return len(self.journal.entities.get((self.sharding.shard(kind, key), kind, key), []))

    def state(self, kind: str, key: str) -> Any:
        """An entity's state in the memory of whichever host has it."""
        number = self.sharding.shard(kind, key)
        for host in self.hosts:
            shard = host.shards.get(number)
            if shard is not None and shard.serving and (kind, key) in shard.cells:
                return shard.cells[(kind, key)].state
        return None


def envelope_of(*calls: Any) -> bytes:
    """Calls as one envelope."""
    return encoder.encode(list(calls))
