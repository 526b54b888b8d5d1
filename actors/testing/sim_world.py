"""The simulated world: hosts as processes, a shop to sell from, a provider to pay at, and what goes wrong."""

import asyncio
import random
from collections import Counter
from typing import Any, Final

import msgspec

from actors.adapters.payments.gateway import GatewayEffects
from actors.client.client import Client, ClientPeers
from actors.domain.sharding import Sharding
from actors.owners.door import Door
from actors.owners.host import Host
from actors.owners.limits import Limits
from actors.owners.placement import Coordinator, Placement
from actors.testing.payments import FakeFaults, FakeGateway
from actors.testing.sim_books import Books
from actors.testing.sim_loop import Life, SimLoop
from actors.testing.sim_network import Network, NetworkLine
from actors.testing.sim_shop import SALE_LIMIT, FactLine, Shop
from actors.testing.sim_store import SimStore, StoreLine, WatchedJournal

SHARDS: Final = 12
HOSTS: Final = 3
EPOCH_MS: Final = 1_790_000_000_000
"""When the world begins, UTC."""

LIMITS: Final = Limits(
    snapshot_every=4,
    meta_every=24,
    entities_max=12,
    lease_ms=4000,
    lease_renew_ms=1400,
    lease_margin_ms=300,
    board_ms=1300,
    flush_timeout_ms=2500,
)
"""Short, so that a run sees many snapshots, takeovers and passivations."""


class Controls(msgspec.Struct, frozen=True, kw_only=True):
    """Protections that a run can do without, to prove that the books would notice."""

    fence: bool = True
    gate: bool = True
    dedup: bool = True
    tombstone: bool = True
    snapshot_fence: bool = True


class WorldClock:
    """The database's clock."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop

    def now_ms(self) -> int:
        return EPOCH_MS + int(self._loop.time() * 1000)

    def monotonic_ms(self) -> float:
        return self._loop.time() * 1000

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class HostClock(WorldClock):
    """A host's clock: near the database's, never going back; its wall clock may step as it likes."""

    def __init__(self, loop: SimLoop, started_s: float) -> None:
        super().__init__(loop)
        self.offset_ms = 0
        self._started_ms = started_s * 1000
        self._last_ms = 0

    def now_ms(self) -> int:
        self._last_ms = max(self._last_ms, super().now_ms() + self.offset_ms)
        return self._last_ms

    def monotonic_ms(self) -> float:
        return super().monotonic_ms() - self._started_ms


class UngatedHost(Host):
    """The control of the gate: answers leave before the commit."""

    def submit(self, calls: list[Any]) -> None:
        super().submit(calls)
        for batch in (self.turns.flying, self.turns.open_batch):
            if batch is not None:
                answers, batch.answers = batch.answers, []
                for respond, answer in answers:
                    respond(answer)


class Process:
    """One host process, from its start to its death."""

    def __init__(self, world: "World", name: str) -> None:
        self.name = name
        self.life = Life(name)
        self.clock = HostClock(world.loop, world.loop.time())
        self.clock.offset_ms = world.rng.randint(-100, 100)
        line = StoreLine(world.store, name)
        self.client = Client(world.sharding, NetworkLine(world.network, name), line, self.clock, random.Random(world.rng.random()))
        host_type = Host if world.controls.gate else UngatedHost
        self.host = host_type(
            name,
            world.sharding,
            line,
            FactLine(world.store, name, world.shop),
            ClientPeers(self.client, self.clock),
            GatewayEffects(world.gateway),
            self.clock,
            LIMITS,
        )
        self.host.outbox.jitter = random.Random(world.rng.random())
        if not world.controls.dedup:
            self.host.turns._answered_before = lambda cell, call: False  # type: ignore[method-assign]
        self.placement = Placement(self.host, line)
        self.door = Door(self.host)

    def start(self, loop: SimLoop) -> None:
        """Begin its loops; all that they start lives and dies with it."""
        for work in (self.placement.keep_lease(), self.placement.keep_shards(), self.host.keep_reminding(), self._keep_small()):
            loop.create_task(work, context=self.life.context)

    async def _keep_small(self) -> None:
        while True:
            await asyncio.sleep(7.0)
            self.host.passivate()


class World:
    """Everything of one run. ``counts`` tells which faults occurred."""

    def __init__(self, seed: int, controls: Controls) -> None:
        self.controls = controls
        self.rng = random.Random(f"{seed}:world")
        self.counts: Counter[str] = Counter()
        self.loop = SimLoop(random.Random(f"{seed}:loop"))  # type: ignore[abstract]  # what a run never needs is not there
        self.clock = WorldClock(self.loop)
        self.books = Books(SALE_LIMIT)
        self.journal = WatchedJournal(self.clock, SHARDS, self.books.see, lease_ms=LIMITS.lease_ms)
        self.journal.fenced = controls.fence
        self.journal.snapshots_fenced = controls.snapshot_fence
        self.store = SimStore(self.loop, random.Random(f"{seed}:store"), self.journal, self.counts)
        self.network: Network = Network(self.loop, random.Random(f"{seed}:network"), self.find, self.counts)
        self.gateway: FakeGateway = FakeGateway(self.clock, random.Random(f"{seed}:gateway"))
        self.shop: Shop = Shop(self.rng, self.clock)
        self.sharding: Sharding = Sharding(self.rng.randbytes(16), SHARDS)
        self.processes: dict[str, Process] = {}
        self.died: list[Process] = []
        self.clients = [
            Client(
                self.sharding, NetworkLine(self.network, place), StoreLine(self.store, place), self.clock, random.Random(f"{seed}:{place}")
            )
            for place in ("web0", "web1")
        ]
        self.coordinator = Coordinator(StoreLine(self.store, "coordinator"), self.sharding.pool)

    def find(self, host: str) -> Process | None:
        """The process behind a host's name."""
        return self.processes.get(host)

    def live(self) -> list[Process]:
        """Processes that run, frozen ones among them."""
        return [process for process in self.processes.values() if not process.life.dead]

    def boot(self, name: str) -> None:
        """Start a host process under this name."""
        process = Process(self, name)
        self.processes[name] = process
        process.start(self.loop)

    def crash(self, process: Process) -> None:
        """SIGKILL."""
        self.loop.kill(process.life)
        self.died.append(process)

    def break_things(self) -> None:
        """From now on lines and provider fail."""
        self.store.fault_share = self.rng.choice((0.0, 0.005, 0.02))
        self.network.fault_share = self.rng.choice((0.01, 0.03, 0.08))
        self.gateway._faults = FakeFaults(
            lose_share=0.1, drop_share=0.1, delay_ms_max=self.rng.choice((20, 20, 300)), notice_lost_share=0.3, notice_copies_max=3
        )

    def heal(self) -> None:
        """All lines work, every process runs."""
        self.store.fault_share = self.network.fault_share = 0.0
        self.store.away = False
        self.store.cut.clear()
        self.network.cuts.clear()
        self.journal.draining.clear()
        self.gateway._faults = FakeFaults(notice_lost_share=0.5, notice_copies_max=2)
        for process in self.live():
            if process.life.frozen:
                self.loop.thaw(process.life)

    def takeovers(self) -> int:
        """Shards taken, by all hosts that ever ran, after the first time."""
        taken = sum(process.host.counters.takeovers for process in [*self.processes.values(), *self.died])
        return taken - SHARDS
