"""A running copy on a Ray of its own with its own PostgreSQL, driven from outside: by its database, its sockets and signals."""

import asyncio
import contextlib
import itertools
import json
import os
import secrets
import select
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from actors.client.client import Client
from actors.domain.kinds import body_decoder
from actors.ports.transport import TransportLost
from actors.runtime.config import short_directory
from actors.runtime.socket_transport import SocketTransport
from actors.storage.audit import audit
from actors.storage.board import PostgresBoard
from actors.storage.clock import DatabaseClock
from actors.storage.embedded.postgres import EmbeddedPostgres
from actors.storage.migrate import found_cluster, migrate
from actors.testing.market import HOME
from schemas.envelope import Answer
from schemas.ids import derived_id, order_id
from schemas.order import Line, OrderConfirmed, OrderPlaced, PlaceOrder
from schemas.settings import Settings
from schemas.stock import PutIn, ReadStock

ROOT = Path(__file__).parents[2]
POISON = Path(__file__).with_name("poison")
SHARDS = 32
HOST_BYTES = 600_000_000
STOCK = 1_000_000
START_S = 90.0
ANSWER_S = 40.0
INSERT_PRODUCT = "INSERT INTO product (product_id, title, title_zh, department, department_zh) VALUES ($1, 'Cup', '杯子', 'HOME', '家居')"
INSERT_SKU = "INSERT INTO sku (sku_id, product_id, code, price_minor, currency, on_shelf) VALUES ($1, $2, $1, 1999, 'CNY', true)"
LEASES = "SELECT host, node, pid FROM host_lease WHERE until > clock_timestamp() ORDER BY host"
OWNERS = "SELECT host, count(*) FROM shard_owner GROUP BY host"

Eventually = Callable[..., Awaitable[float]]


async def _eventually(condition: Callable[[], Any], within_s: float = 30.0) -> float:
    """Wait until the condition (plain or async) holds; answers how long that took. What is waited for happens in other processes."""
    started = time.monotonic()
    while True:
        held = condition()
        if await held if asyncio.iscoroutine(held) else held:
            return time.monotonic() - started
        assert time.monotonic() - started < within_s, f"still not so after {within_s} s"
        await asyncio.sleep(0.02)


@pytest.fixture(scope="session")
def eventually() -> Eventually:
    return _eventually


class RayCopy:
    """A running copy: its driver process, its PostgreSQL, its hosts."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.postgres = EmbeddedPostgres(folder / "postgres")
        url = self.postgres.start()
        self.settings = Settings(data_dir=str(folder / "data"), database_url=url, shard_count=SHARDS, redis_url="", **settings)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "STAMPEDE_"))}
        given = {"data_dir": self.settings.data_dir, "database_url": url, "shard_count": SHARDS, "log_level": "info", **settings}
        environment |= {f"STAMPEDE_{name.upper()}": str(value) for name, value in given.items()} | {"PYTHONPATH": f"{POISON}:{ROOT}"}
        asyncio.run(self._prepare())
        with (folder / "driver.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("ray_driver.py"))],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self.log = folder / "driver.log"
        self.pids: dict[str, Any] = self._answer(START_S)

    async def _prepare(self) -> None:
        connection = await self.connect()
        await migrate(connection)
        await found_cluster(connection, SHARDS)
        await connection.close()

    async def connect(self) -> Any:
        return await asyncpg.connect(self.settings.database_url)

    def do(self, name: str, *arguments: Any) -> Any:
        """One of the driver's commands."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([name, *arguments]).encode() + b"\n")
        self.process.stdin.flush()
        return self._answer(ANSWER_S)

    def _answer(self, within_s: float) -> Any:
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], within_s)
        line = self.process.stdout.readline() if ready else b""
        assert line, f"the driver does not answer: {self.log.read_text()[-1500:]}"
        answer = json.loads(line)
        assert "ok" in answer, answer["error"]
        return answer["ok"]

    async def hosts(self) -> dict[str, int]:
        """Names and process ids of the hosts with a live lease."""
        connection = await self.connect()
        try:
            return {row["host"]: row["pid"] for row in await connection.fetch(LEASES)}
        finally:
            await connection.close()

    async def owners(self) -> dict[str, int]:
        """How many shards each host owns."""
        connection = await self.connect()
        try:
            return dict(await connection.fetch(OWNERS))
        finally:
            await connection.close()

    async def settled(self, hosts: int) -> bool:
        """True when so many hosts live and share all shards evenly."""
        live, owners = await self.hosts(), await self.owners()
        return len(live) == hosts and set(owners) == set(live) and max(owners.values()) - min(owners.values()) <= 1

    async def numbers(self, host: str) -> dict[str, Any]:
        """What the host says of itself, over its socket."""
        transport = self.transport()
        try:
            return dict(json.loads(await transport.call(host, b"")))
        finally:
            transport.close()

    def transport(self) -> SocketTransport:
        return SocketTransport(short_directory(self.settings), NoRemote())

    def stop(self) -> float:
        """End everything; answers how long that took."""
        started = time.monotonic()
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        took = time.monotonic() - started
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.postgres.stop("immediate")
        shutil.rmtree(short_directory(self.settings), ignore_errors=True)
        return took


class NoRemote:
    """There is no other machine."""

    async def call(self, host: str, payload: bytes) -> bytes:
        raise TransportLost(f"{host} has no socket")


class Crowd:
    """Customers who order one piece each, and ask again under the same id until they are told."""

    def __init__(self, copy: RayCopy, client: Client, clock: DatabaseClock, sku_id: str) -> None:
        self.copy, self.client, self.clock, self.sku_id = copy, client, clock, sku_id
        self.accepted: dict[str, float] = {}
        """Acknowledged order id, and when."""
        self.answers: list[tuple[float, float, str]] = []
        """When an answer came, how long it took, and its code; each try of a customer is one."""
        self.calls: list[tuple[str, bytes, PlaceOrder, str]] = []
        self._run = secrets.token_hex(4)
        self._numbers = itertools.count()
        self._stopping = False

    async def order_once(self, user_id: str, command_id: bytes, command: PlaceOrder) -> Answer:
        """One try."""
        started = time.monotonic()
        answer = await self.client.ask(
            "order", user_id, command, command_id=command_id, digest=b"d", deadline_ms=self.clock.now_ms() + 3_000
        )
        self.answers.append((time.monotonic(), time.monotonic() - started, answer.code))
        return answer

    async def newcomer(self) -> Answer:
        """One try of somebody who has never asked before."""
        return await self.order_once(*self._order(next(self._numbers)))

    def _order(self, number: int) -> tuple[str, bytes, PlaceOrder]:
        user_id = f"usr_{self._run}x{number}"
        proposal = order_id(self.clock.now_ms(), self.client.sharding.shard("order", user_id), number)
        command = PlaceOrder(order_id=proposal, ship_to=HOME, lines=(Line(sku_id=self.sku_id, quantity=1),))
        return user_id, derived_id(self._run, str(number)), command

    async def customer(self) -> None:
        """Orders until the crowd is stopped; each order is asked for until it is known."""
        while not self._stopping:
            user_id, command_id, command = self._order(next(self._numbers))
            while (answer := await self.order_once(user_id, command_id, command)).code:
                assert answer.code in ("outcome_unknown", "busy", "storage_unavailable", "internal_error"), answer
                await asyncio.sleep(0.02)
            self.accepted[answer.reply.order_id] = time.monotonic()
            self.calls.append((user_id, command_id, command, answer.reply.order_id))
            await asyncio.sleep(0.01)

    @contextlib.asynccontextmanager
    async def ordering(self, customers: int = 16) -> AsyncIterator[None]:
        """They order while the block runs, and finish what they began."""
        tasks = [asyncio.ensure_future(self.customer()) for _ in range(customers)]
        try:
            await _eventually(lambda: len(self.accepted) >= customers)
            yield
        finally:
            self._stopping = True
            async with asyncio.timeout(40):
                await asyncio.gather(*tasks)

    def longest_gap_s(self, since_s: float) -> float:
        """The longest time after ``since_s`` (monotonic) in which nobody's order was acknowledged."""
        times = sorted([since_s, *[at_s for at_s in self.accepted.values() if at_s >= since_s]])
        return max(after - before for before, after in itertools.pairwise(times))

    async def goes_on(self, count: int = 50) -> float:
        """Wait until so many more orders are acknowledged; answers how long that took."""
        wanted = len(self.accepted) + count
        return await _eventually(lambda: len(self.accepted) >= wanted)

    async def check_books(self) -> None:
        """Every acknowledged order stands in the journal once, nothing else does, the stock agrees, the audit finds nothing."""
        connection = await self.copy.connect()
        try:
            bodies = await connection.fetch("SELECT body FROM journal WHERE kind = 'order' AND key LIKE $1", f"usr_{self._run}x%")
            events = [event for row in bodies for event in body_decoder.decode(row["body"]).events]
            placed = Counter(event.order_id for event in events if isinstance(event, OrderPlaced | OrderConfirmed))
            assert placed == Counter(dict.fromkeys(self.accepted, 1))
            assert await self._stock(connection) == (len(self.accepted), STOCK - len(self.accepted))
            report = await audit(str(self.copy.settings.database_url))
            assert report.ok, report.findings[:5]
        finally:
            await connection.close()

    async def _stock(self, connection: Any) -> tuple[int, int]:
        """Held and available units of the article, over its parts: a crowd on two hosts may have had it split."""
        parts = await connection.fetchval("SELECT parts FROM sku WHERE sku_id = $1", self.sku_id)
        asked = [
            self.client.ask("stock", f"{self.sku_id}#{part}", ReadStock(), command_id=secrets.token_bytes(16)) for part in range(parts)
        ]
        levels = [answer.reply for answer in await asyncio.gather(*asked)]
        return sum(level.held for level in levels), sum(level.available for level in levels)


@contextlib.asynccontextmanager
async def crowd_of(copy: RayCopy) -> AsyncIterator[Crowd]:
    """Customers of a new article with a million pieces."""
    connection = await copy.connect()
    clock, name = DatabaseClock(), secrets.token_hex(4)
    try:
        await clock.sync(connection)
        cluster = await found_cluster(connection, SHARDS)
        await connection.execute(INSERT_PRODUCT, f"prd_{name}")
        await connection.execute(INSERT_SKU, f"sku_{name}", f"prd_{name}")
    finally:
        await connection.close()
    board, transport = PostgresBoard(str(copy.settings.database_url), "test"), copy.transport()
    client = Client(cluster.sharding(), transport, board, clock)
    put_in = await client.ask("stock", f"sku_{name}#0", PutIn(quantity=STOCK), command_id=secrets.token_bytes(16), digest=b"d")
    assert not put_in.code, put_in
    yield Crowd(copy, client, clock, f"sku_{name}")
    transport.close()
    await board.close()


@pytest.fixture(scope="session")
def two_hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayCopy]:
    """One node with two hosts, and no watchdog: a host that stands still stays. Each may use 600 MB."""
    copy = RayCopy(tmp_path_factory.mktemp("two_hosts"), hosts=2, watchdog_ms=0, host_memory_bytes=HOST_BYTES)
    yield copy
    copy.stop()


@pytest.fixture(scope="session")
def two_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayCopy]:
    """Two nodes with two hosts each; a hung host is killed after three seconds."""
    copy = RayCopy(tmp_path_factory.mktemp("two_nodes"), hosts=2, watchdog_ms=3000)
    copy.pids = copy.do("add_node")
    yield copy
    copy.stop()


@pytest.fixture
async def crowd(two_hosts: RayCopy) -> AsyncIterator[Crowd]:
    await _eventually(lambda: two_hosts.settled(2))
    async with crowd_of(two_hosts) as crowd:
        yield crowd


@pytest.fixture(scope="session", name="crowd_of")
def _crowd_of() -> Callable[[RayCopy], Any]:
    return crowd_of
