"""The network or the disk fails at the very moment of a commit: nothing is lost, nothing counts twice, and the shop goes on by itself."""

import asyncio
import itertools
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import psutil
import pytest

from actors.domain.kinds import body_decoder
from actors.storage.audit import audit
from actors.storage.embedded.postgres import EmbeddedPostgres
from actors.storage.migrate import found_cluster, migrate
from actors.storage.projections.follower import Follower
from actors.testing.cutting_proxy import MOMENTS, CuttingProxy
from actors.testing.market import HOME
from schemas.envelope import Answer
from schemas.ids import derived_id, order_id
from schemas.order import Line, OrderConfirmed, OrderPlaced, PlaceOrder
from schemas.stock import ReadStock

pytestmark = pytest.mark.slow

CUTS = 60
STOCK = 100_000
GROW = """
INSERT INTO journal (shard, seq, version, at_ms, wake_ms, kind, key, command_id, body, meta)
SELECT 0, 1000000 + n, 1, 0, 0, 'filler', 'filler' || n, '', convert_to(repeat(md5(n::text), 58), 'UTF8'), ''
FROM generate_series(1, 9500) n"""
SHRINK = "DELETE FROM journal WHERE kind = 'filler'"
TORN = """
SELECT o.shard FROM shard_owner o LEFT JOIN journal j USING (shard) GROUP BY o.shard, o.head_seq
HAVING count(j.seq) <> o.head_seq OR coalesce(max(j.seq), 0) <> o.head_seq"""
SEGMENT_BYTES = 16 << 20


class Buyers:
    """Each orders one piece after the other, and asks again under the same id until it is told."""

    def __init__(self, shop: Any, run: str) -> None:
        self.shop, self.run = shop, run
        self.accepted: dict[str, tuple[str, bytes, PlaceOrder]] = {}
        self.codes: Counter[str] = Counter()
        self.progress = asyncio.Event()
        self._numbers = itertools.count()
        self._stopping = False

    async def ask(self, user_id: str, command_id: bytes, command: PlaceOrder) -> Answer:
        deadline_ms = self.shop.clock.now_ms() + 1_500
        answer: Answer = await self.shop.client.ask("order", user_id, command, command_id=command_id, digest=b"d", deadline_ms=deadline_ms)
        self.codes[answer.code] += 1
        return answer

    async def buy(self) -> None:
        while not self._stopping:
            number = next(self._numbers)
            user_id = f"usr_{self.run}{number}"
            proposal = order_id(self.shop.clock.now_ms(), self.shop.sharding.shard("order", user_id), number)
            command = PlaceOrder(order_id=proposal, ship_to=HOME, lines=(Line(sku_id="sku_1", quantity=1),))
            command_id = derived_id(self.run, str(number))
            while (answer := await self.ask(user_id, command_id, command)).code:
                assert answer.code in ("outcome_unknown", "busy", "storage_unavailable"), answer
                await asyncio.sleep(0.01)
            self.accepted[answer.reply.order_id] = (user_id, command_id, command)
            self.progress.set()

    @asynccontextmanager
    async def buying(self, count: int = 6) -> AsyncIterator[None]:
        tasks = [asyncio.ensure_future(self.buy()) for _ in range(count)]
        try:
            yield
        finally:
            self._stopping = True
            async with asyncio.timeout(30):
                await asyncio.gather(*tasks)

    async def more(self, count: int) -> None:
        """Wait until so many more orders are acknowledged."""
        wanted = len(self.accepted) + count
        async with asyncio.timeout(20):
            while len(self.accepted) < wanted:
                self.progress.clear()
                await self.progress.wait()

    async def check_books(self, connection: Any) -> None:
        """Every acknowledged order stands in the journal once and nothing else does; a repeat gets its first answer; the stock agrees."""
        before = await connection.fetchval("SELECT count(*) FROM journal")
        for expected, call in list(self.accepted.items())[::25]:
            assert (await self.ask(*call)).reply.order_id == expected
        assert await connection.fetchval("SELECT count(*) FROM journal") == before
        bodies = await connection.fetch("SELECT body FROM journal WHERE kind = 'order'")
        events = [event for row in bodies for event in body_decoder.decode(row["body"]).events]
        assert Counter(event.order_id for event in events if isinstance(event, OrderPlaced | OrderConfirmed)) == Counter(
            dict.fromkeys(self.accepted, 1)
        )
        level = (await self.shop.ask("stock", "sku_1#0", ReadStock())).reply
        assert (level.held, level.available) == (len(self.accepted), STOCK - len(self.accepted))
        follower = Follower(self.shop.url)
        while await follower.step():
            pass
        await follower.close()
        report = await audit(self.shop.url)
        assert report.ok, report.findings[:5]


async def test_f22_lines_that_are_cut_around_the_commit_lose_nothing_and_double_nothing(
    database_url: str, connection: Any, open_shop: Any
) -> None:
    parts = urlsplit(database_url)
    assert parts.hostname
    assert parts.port
    proxy = CuttingProxy(parts.hostname, parts.port, b" flush\0")
    port = await proxy.start()
    through = database_url.replace(f":{parts.port}/", f":{port}/")
    async with open_shop(database_url, connection, through) as shop:
        await shop.put_in("sku_1#0", STOCK)
        buyers = Buyers(shop, "cut")
        async with buyers.buying():
            for moment in itertools.islice(itertools.cycle(MOMENTS), CUTS):
                proxy.arm(moment)
                async with asyncio.timeout(20):
                    await proxy.cut.wait()
                await buyers.more(4)
        assert proxy.cuts == Counter(dict.fromkeys(MOMENTS, CUTS // len(MOMENTS)))
        assert sum(host.counters.unknown for host in shop.hosts) >= CUTS
        await buyers.check_books(connection)
    await proxy.close()


def limit_files(server: EmbeddedPostgres, size: int | None) -> None:
    """From now on no process of the server can make a file longer than this: to it, that is a disk without room. None: no limit."""
    postmaster = psutil.Process(server.pid)
    for process in (postmaster, *postmaster.children()):
        # Of its own user, so that nobody needs rights for it.
        limit = ["prlimit", "--pid", str(process.pid), f"--fsize={size or 'unlimited'}:"]
        subprocess.run(limit, check=True, cwd="/", **server.account.popen_options())


async def test_f24_with_the_disk_full_the_shop_refuses_and_goes_on_by_itself_when_there_is_room(tmp_path: Path, open_shop: Any) -> None:
    with EmbeddedPostgres(tmp_path / "postgres", options={"autovacuum": "off"}) as server:
        connection = await asyncpg.connect(server.url)
        await migrate(connection)
        await found_cluster(connection, 8)
        # The journal is longer than a segment of the log, so that it meets the limit and the log does not.
        await connection.execute(GROW)
        await connection.execute(SHRINK)
        size = await connection.fetchval("SELECT pg_relation_size('journal')")
        assert size > SEGMENT_BYTES
        async with open_shop(server.url, connection) as shop:
            await shop.put_in("sku_1#0", STOCK)
            buyers = Buyers(shop, "full")
            async with buyers.buying():
                await buyers.more(20)
                limit_files(server, size)
                try:
                    await shop.until(lambda: buyers.codes["storage_unavailable"] >= 50)
                    assert await connection.fetch(TORN) == []
                    # One batch now and then finds out that there is still no room; everybody else is told at once.
                    await shop.until(lambda: sum(host.counters.storage_full for host in shop.hosts) >= 3)
                    assert buyers.codes["storage_unavailable"] > buyers.codes["outcome_unknown"]
                finally:
                    limit_files(server, None)
                await buyers.more(50)
            # A small batch may have found room in the last page that was there: it is whole, and counts like any other.
            assert await connection.fetch(TORN) == []
            await buyers.check_books(connection)
        await connection.close()
