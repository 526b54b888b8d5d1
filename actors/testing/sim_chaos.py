"""What goes wrong in the simulated world beside its lines: hosts die and freeze, nets split, the database goes, shards move."""

import asyncio
import random
from typing import Final

from actors.testing.sim_world import HOSTS, Process, World

ATLEAST: Final = 7
"""Things that go wrong in every run: a crash, a freeze, and five more."""


class Chaos:
    """Draws faults and mends them again."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._rng = random.Random(f"{seed}:chaos")
        self._names = 0
        self._under_way: set[asyncio.Task[None]] = set()

    async def reign(self) -> None:
        """One fault after another, for ever; the first ones are certain."""
        rng = self._rng
        kinds = (
            self._crash,
            self._freeze,
            self._cut,
            self._cut,
            self._database,
            self._line,
            self._restless,
            self._step_clock,
            self._drain,
            self._propose,
        )
        first = [self._crash, self._freeze, *(rng.choice(kinds) for _ in range(ATLEAST - 2))]
        rng.shuffle(first)
        while True:
            kind = first.pop() if first else rng.choice(kinds)
            task = asyncio.ensure_future(kind())
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
            if rng.random() < 0.5:
                self._world.shop.change_a_price()
                self._world.journal.prune()
            await asyncio.sleep(rng.expovariate(1 / 4.0))

    async def settle(self) -> None:
        """Wait until what was broken has been mended by itself."""
        while self._under_way:
            await asyncio.wait(list(self._under_way))

    def _victim(self) -> Process | None:
        """Some host that runs, while another one does too."""
        running = [process for process in self._world.live() if not process.life.frozen]
        return self._rng.choice(running) if len(running) > 1 else None

    async def _crash(self) -> None:
        victim = self._victim()
        if victim is None:
            return
        world = self._world
        world.counts["crash"] += 1
        world.crash(victim)
        await asyncio.sleep(self._rng.choice((0.05, 0.5, 3.0, 8.0)) * self._rng.random())
        again = self._rng.random() < 0.5
        if not again:
            del world.processes[victim.name]
            self._names += 1
        world.boot(victim.name if again else f"host{HOSTS + self._names}")

    async def _freeze(self) -> None:
        victim = self._victim()
        if victim is None:
            return
        world = self._world
        world.counts["freeze"] += 1
        world.loop.freeze(victim.life)
        await asyncio.sleep(
            self._rng.choice((self._rng.uniform(1, 8), self._rng.uniform(8, 16), self._rng.uniform(8, 16), self._rng.uniform(16, 60)))
        )
        if victim.life.frozen and not victim.life.dead:
            world.loop.thaw(victim.life)

    async def _cut(self) -> None:
        """A net splits between a client and a host, both ways or one."""
        world, rng = self._world, self._rng
        places = ["web0", "web1", *world.processes]
        one, other = rng.choice(places), rng.choice(sorted(world.processes))
        cuts = {(one, other), (other, one)}
        if rng.random() < 0.5:
            cuts.remove((one, other) if rng.random() < 0.5 else (other, one))
        world.counts["net_split" if len(cuts) == 2 else "net_split_one_way"] += 1
        world.network.cuts |= cuts
        await asyncio.sleep(rng.uniform(1, 12))
        world.network.cuts -= cuts

    async def _database(self) -> None:
        world = self._world
        world.counts["database_down"] += 1
        world.store.away = True
        await asyncio.sleep(self._rng.choice((0.5, 2.0, 5.0, 12.0)) * self._rng.random())
        world.store.away = False

    async def _line(self) -> None:
        """One host alone cannot reach the database."""
        world = self._world
        name = self._rng.choice(sorted(world.processes))
        world.counts["host_without_database"] += 1
        world.store.cut.add(name)
        await asyncio.sleep(self._rng.uniform(0.5, 8))
        world.store.cut.discard(name)

    async def _restless(self) -> None:
        """Shards are told to move every 100 ms."""
        world, rng = self._world, self._rng
        world.counts["shards_moved_about"] += 1
        for _ in range(rng.randint(10, 30)):
            names = sorted(world.processes)
            some = rng.sample(range(world.sharding.shard_count), 4)
            world.journal.targets.update({number: rng.choice(names) for number in some})
            for process in world.live():
                process.placement._lost.set()
            await asyncio.sleep(0.1)

    async def _step_clock(self) -> None:
        """A wall clock jumps by an hour; what is left of it, corrected by the database's clock, is some milliseconds."""
        world, rng = self._world, self._rng
        world.counts["clock_step"] += 1
        rng.choice(list(world.processes.values())).clock.offset_ms = rng.randint(-150, 150)

    async def _drain(self) -> None:
        world = self._world
        name = self._rng.choice(sorted(world.processes))
        world.counts["drain"] += 1
        world.journal.draining.add(name)
        await asyncio.sleep(self._rng.uniform(1, 6))
        world.journal.draining.discard(name)

    async def _propose(self) -> None:
        self._world.counts["rebalanced"] += 1
        try:
            await self._world.coordinator.propose()
        except Exception:
            self._world.counts["coordinator_failed"] += 1
