"""A host put together from its parts, as it runs in a process: no Ray in here."""

import asyncio
import os
import random
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

import asyncpg
import msgspec
import structlog

from actors.adapters.payments.gateway import GatewayEffects
from actors.adapters.payments.stripe import StripeGateway
from actors.client.client import Client, ClientPeers
from actors.domain.pools import served_by
from actors.owners.door import Door
from actors.owners.host import Host
from actors.owners.limits import limits_of
from actors.owners.memory_watch import MemoryWatch
from actors.owners.placement import Placement
from actors.ports.journal import StorageUnknown
from actors.ports.transport import Transport
from actors.runtime.heartbeat import BEAT_S, Pulse
from actors.runtime.memory import ProcessMemory, host_bytes
from actors.storage.board import PostgresBoard
from actors.storage.clock import DatabaseClock
from actors.storage.connect import CONNECT_TIMEOUT_S, Identity, check_durable, open_pool
from actors.storage.facts import PostgresFacts
from actors.storage.journal import PostgresJournal
from actors.storage.migrate import Cluster, found_cluster
from schemas.settings import Settings

log = structlog.get_logger("stampede.runtime")

SYNC_S: Final = 30.0
HOT_SHOWN: Final = 20
"""Busiest entities that a host tells of."""

STOP_S: Final = 10.0
LEFT_FOR_MEMORY: Final = 70
"""The exit code of a host that ends to start anew; Ray starts it again."""


def host_name(node_id: str, number: int) -> str:
    """A host's name: its node and its number there. The same after a restart, so that it claims its shards at once."""
    return f"host-{node_id[:8]}-{number}"


def host_number(name: str) -> int:
    """Which host of its node it is; 0 for a name that was not made by :func:`host_name`."""
    number = name.rpartition("-")[2]
    return int(number) if number.isdigit() else 0


async def meet_cluster(settings: Settings, clock: DatabaseClock) -> Cluster:
    """Connect once: the server must be durable, the clock takes its time, the cluster's constants are read."""
    connection = await asyncpg.connect(settings.database_url, timeout=CONNECT_TIMEOUT_S)
    try:
        await check_durable(connection)
        await clock.sync(connection)
        return await found_cluster(connection, settings.shard_count, settings.pools)
    finally:
        await connection.close()


class HostProcess:
    """One host with its lease, its board, its reminders, and the door that transports knock at."""

    def __init__(self, name: str, node: str, settings: Settings, transport: Transport, *, leave: Callable[[int], None] = os._exit) -> None:
        assert settings.database_url is not None, "a host is given its database"
        self.name = name
        self._settings = settings
        self._transport = transport
        self._exit = leave
        self._clock = DatabaseClock()
        identity = Identity(lambda: self.host.forget_everything())
        self._board = PostgresBoard(settings.database_url, name, node=node, lease_ms=settings.lease_ms, identity=identity)
        self._journal = PostgresJournal(settings.database_url, name, identity=identity)
        self._pool: Any = None
        self._gateway = gateway_of(settings)
        self._pulse: Pulse | None = None
        self._tasks: list[asyncio.Task[Any]] = []
        self._started_s = time.time()
        self.host: Host
        self.door: Door
        self.memory: MemoryWatch

    async def start(self) -> None:
        """Join the board and begin to serve what is claimed."""
        cluster = await meet_cluster(self._settings, self._clock)
        sharding = cluster.sharding()
        peers = ClientPeers(Client(sharding, self._transport, self._board, self._clock, random.Random()), self._clock)
        effects = GatewayEffects(self._gateway)
        self._pool = await open_pool(str(self._settings.database_url), size=2)
        facts = PostgresFacts(self._pool)
        self.host = Host(self.name, sharding, self._journal, facts, peers, effects, self._clock, limits_of(self._settings))
        self.door = Door(self.host)
        await self._board.join(self.name, self.name, served_by(self._settings.host_pools, host_number(self.name)))
        if self._settings.watchdog_ms:
            self._pulse = Pulse(self._settings.data_path / "pulse", self.name)
            self._run(self._beat(self._pulse))
        placement = Placement(self.host, self._board)
        self._run(placement.keep_lease())
        self._run(placement.keep_shards())
        self._run(self.host.keep_reminding())
        self._run(self.host.facts.keep_fresh())
        self._run(self.host.heat.keep_sampling())
        self.memory = MemoryWatch(self.host, ProcessMemory(), host_bytes(self._settings), self._start_anew)
        self._run(self.memory.keep_watching())
        self._run(self._keep_time())

    async def envelope(self, payload: bytes) -> bytes:
        """Answer one envelope (``actors.owners.door``). An empty one asks for this host's numbers, as JSON."""
        if not payload:
            return msgspec.json.encode({**self.status(), "pid": os.getpid()})
        return await self.door.envelope(payload)

    def _run(self, work: Coroutine[Any, Any, Any]) -> None:
        self._tasks.append(asyncio.ensure_future(work))

    async def _beat(self, pulse: Pulse) -> None:
        while True:
            pulse.beat()
            await asyncio.sleep(BEAT_S)

    async def _keep_time(self) -> None:
        """Follow the database's clock."""
        while True:
            await asyncio.sleep(SYNC_S)
            await self._sync_clock()

    async def _start_anew(self) -> None:
        """Hand everything over and end this process; whoever runs it starts it again, empty. It ends also when handing over hangs."""
        try:
            async with asyncio.timeout(STOP_S):
                await self._hand_over()
        except (StorageUnknown, TimeoutError) as error:
            log.warning("left_without_handing_over", host=self.name, reason=str(error) or "timed out")
        self._exit(LEFT_FOR_MEMORY)

    async def _sync_clock(self) -> None:
        try:
            connection = await asyncpg.connect(self._settings.database_url, timeout=CONNECT_TIMEOUT_S)
            try:
                off_ms = await self._clock.sync(connection)
            finally:
                await connection.close()
        except (OSError, asyncpg.PostgresError, TimeoutError) as error:
            log.info("clock_not_synced", host=self.name, reason=str(error))
            return
        if abs(off_ms) > 250:
            log.warning("clock_was_off", host=self.name, milliseconds=round(off_ms))

    async def _hand_over(self) -> None:
        """Give every shard away, and say that no more are wanted."""
        await self._board.drain(self.name, True)
        for shard in list(self.host.shards.values()):
            await self.host.hand_over(shard)
            await self._board.release(self.name, {shard.number: shard.epoch})

    async def stop(self) -> None:
        """Hand over every shard, leave the board, close."""
        await self._hand_over()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._board.leave(self.name)
        if self._pulse is not None:
            self._pulse.end()
        await self._gateway.close()
        self._pool.terminate()
        await self._journal.close()
        await self._board.close()

    def status(self) -> dict[str, Any]:
        """What ``stampede status`` and ``/metrics`` show of this host."""
        host = self.host
        sends = [item for shard in host.shards.values() for item in shard.outbox.values()]
        return {
            "host": self.name,
            "up_s": round(time.time() - self._started_s, 1),
            "shards": len(host.shards),
            "entities": sum(len(shard.cells) for shard in host.shards.values()),
            "queue": len(host.queue),
            "loading": len(host.loading),
            "sends_open": len(sends),
            "sends_oldest_ms": max((host.clock.now_ms() - item.since_ms for item in sends), default=0),
            "reminders": len(host.reminders),
            "memory_bytes": self.memory.used,
            "memory_limit_bytes": self.memory.limit,
            "memory_pressure": int(self.memory.pressure),
            "lease_left_ms": round(host.lease_until_ms - host.clock.monotonic_ms()),
            "hot": [
                {"kind": kind, "key": key, "records_per_s": round(rate)} for (kind, key), rate in list(host.heat.rates.items())[:HOT_SHOWN]
            ],
            "counters": host.counters.as_dict(),
        }


def gateway_of(settings: Settings) -> StripeGateway:
    """The payment provider that the settings name; without a URL the simulator beside us."""
    url = settings.stripe_url or f"http://127.0.0.1:{settings.simulator_port}"
    return StripeGateway(
        base_url=url,
        api_key=settings.stripe_api_key,
        webhook_secrets=settings.stripe_webhook_secrets,
        tolerance_s=settings.stripe_webhook_tolerance_s,
    )
