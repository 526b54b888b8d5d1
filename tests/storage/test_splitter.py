"""An article that is too hot for one host is split by itself: real owners, real tables, while it is bought."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from actors.domain.splitting import SUSTAINED_MS
from actors.runtime.splitter import Splitter
from actors.storage.audit import audit
from actors.storage.facts import PostgresFacts
from schemas.settings import Settings
from schemas.stock import ReadStock

pytestmark = pytest.mark.slow

SHARDS = 8
SKU = "sku_drop"
UNITS = 100_000
NOW = 1_700_000_000_000
INSERT_PRODUCT = (
    "INSERT INTO product (product_id, title, title_zh, department, department_zh) VALUES ('prd_1', 'Shoe', '鞋', 'SHOES', '鞋')"
)
INSERT_SKU = "INSERT INTO sku (sku_id, product_id, code, price_minor, currency) VALUES ($1, 'prd_1', $1, 1999, 'CNY')"
PARTS = "SELECT parts FROM sku WHERE sku_id = $1"


def splitter_of(shop: Any, **settings: Any) -> Splitter:
    told = Settings(database_url=shop.url, shard_count=SHARDS, **{"split_rate_per_s": 20, **settings})
    return Splitter(told, shop.client_board, shop.doors)


@pytest.fixture
async def hot_shop(shop: Any, connection: Any) -> AsyncIterator[Any]:
    """A shop whose facts are those of the tables, with one article."""
    await connection.execute(INSERT_PRODUCT)
    await connection.execute(INSERT_SKU, SKU)
    shop.facts.tables = PostgresFacts(shop.url)
    await shop.put_in(SKU + "#0", UNITS)
    yield shop
    await shop.facts.tables.close()


class Rush:
    """Buyers who come one after the other, in so many queues."""

    def __init__(self, shop: Any, queues: int = 3) -> None:
        self.shop = shop
        self.codes: Counter[str] = Counter()
        self.over = False
        self.queues = [asyncio.ensure_future(self._queue(number)) for number in range(queues)]

    async def _queue(self, queue: int) -> None:
        number = 0
        while not self.over:
            number += 1
            answer = await self.shop.order(f"usr_{queue}x{number}", SKU)
            self.codes[answer.code] += 1

    async def end(self) -> None:
        self.over = True
        await asyncio.gather(*self.queues)

    def rates(self) -> dict[str, float]:
        """What the hosts have measured since they were asked last."""
        for host in self.shop.hosts:
            host.heat.sample()
        return {key: rate for host in self.shop.hosts for (kind, key), rate in host.heat.rates.items() if kind == "stock"}


async def test_a_rate_that_stays_up_splits_the_article_over_both_hosts_and_the_books_balance(hot_shop: Any, connection: Any) -> None:
    splitter, rush = splitter_of(hot_shop), Rush(hot_shop)
    split: list[str] = []
    async with asyncio.timeout(60):
        while not splitter.splits:
            await asyncio.sleep(1.0)  # what is waited for is the rate of a second
            split += await splitter.look(rush.rates(), hot_shop.clock.now_ms())
    parts = await connection.fetchval(PARTS, SKU)
    before = rush.codes.total()
    await hot_shop.until(lambda: rush.codes.total() > before + 200)
    await rush.end()
    await hot_shop.settled()
    assert set(split) == {SKU}
    # Nobody was refused for want of units. On a busy machine a flush may take a second, and those who come then are told so.
    assert set(rush.codes) <= {"", "storage_unavailable", "outcome_unknown"}
    homes = {host.name for host in hot_shop.hosts for shard in host.shards.values() for kind, key in shard.cells if kind == "stock"}
    assert homes == {"h0", "h1"}
    states = [
        cell.state
        for host in hot_shop.hosts
        for shard in host.shards.values()
        for (kind, _), cell in shard.cells.items()
        if kind == "stock"
    ]
    assert len(states) == parts > 1
    assert sum(state.held > 0 for state in states) > 1
    assert sum(state.available + state.held for state in states) == UNITS
    held = sum(state.held for state in states)
    assert rush.codes[""] <= held <= rush.codes[""] + rush.codes["outcome_unknown"]
    found = await audit(hot_shop.url)
    assert found.findings == ()


async def looked(splitter: Splitter, rates: dict[str, float]) -> list[str]:
    """Two looks, so far apart that what is hot is hot for long enough."""
    return [*await splitter.look(rates, NOW), *await splitter.look(rates, NOW + SUSTAINED_MS)]


@pytest.mark.parametrize(
    ("settings", "rates"),
    [
        ({"split_rate_per_s": 0}, {SKU + "#0": 1e6}),
        ({"split_rate_per_s": 1000}, {SKU + "#0": 999.0}),
        ({"split_parts_max": 1}, {SKU + "#0": 100.0}),
        ({}, {SKU + "#0": UNITS / 10 + 1}),
        ({}, {"sku_unknown#0": 100.0}),
        ({}, {}),
    ],
    ids=["off", "below the threshold", "a limit of one part", "sold in ten seconds", "an article that is not in the tables", "nothing"],
)
async def test_nothing_is_split_when(hot_shop: Any, connection: Any, settings: dict[str, Any], rates: dict[str, float]) -> None:
    splitter = splitter_of(hot_shop, **settings)
    assert await looked(splitter, rates) == []
    assert await connection.fetchval(PARTS, SKU) == 1


async def test_a_split_that_was_interrupted_before_its_units_moved_is_finished_by_the_next_look(hot_shop: Any, connection: Any) -> None:
    await connection.execute("UPDATE sku SET parts = 2 WHERE sku_id = $1", SKU)
    splitter = splitter_of(hot_shop, split_parts_max=2)
    assert await looked(splitter, {SKU + "#0": 100.0}) == [SKU]
    levels = [(await hot_shop.ask("stock", f"{SKU}#{part}", ReadStock())).reply.available for part in range(2)]
    assert levels == [UNITS // 2, UNITS // 2]
