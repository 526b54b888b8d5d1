"""A hot article is split while it is bought: units are conserved at every commit, and everybody who can buy does."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from actors.domain.entity import Refused
from actors.owners.heat import WARM
from actors.runtime.metrics import metrics_text
from actors.storage.sales import split_skus
from actors.testing.room import Room, play
from actors.testing.sim_books import Books
from schemas.offer import Offer
from schemas.order import Line, PlaceOrder
from schemas.stock import PutIn

SKU = "sku_a"


class SkuTable:
    """The row of an article, as everybody reads it."""

    def __init__(self, room: Room) -> None:
        self.room = room

    async def execute(self, sql: str, sku_ids: list[str], parts: int) -> str:
        before = self.room.facts.facts["sku:" + SKU]
        assert isinstance(before, Offer)
        if before.parts >= parts:
            return "UPDATE 0"
        self.room.facts.put("sku:" + SKU, Offer(sku_id=SKU, product_id="prd_a", price=1000, currency="CNY", parts=parts, version=9))
        return "UPDATE 1"


class Rush:
    """A crowd that buys one unit each."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.codes: Counter[str] = Counter()
        self.number = 0

    async def buy(self) -> None:
        self.number += 1
        number = self.number
        place = PlaceOrder(order_id=f"ord_{number}", lines=(Line(sku_id=SKU, quantity=1),), sale_id="sal_open")
        answer = await self.room.client.ask("order", f"usr_{number}", place, command_id=b"buy %d" % number, digest=b"d")
        self.codes[answer.code] += 1

    async def run(self, seconds: float) -> None:
        until_s = self.room.loop.time() + seconds
        buying = set()
        while self.room.loop.time() < until_s:
            buying.add(asyncio.ensure_future(self.buy()))
            await self.room.clock.sleep(0.004)
        await asyncio.gather(*buying)


def parts_of(room: Room) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for host in room.hosts:
        for shard in host.shards.values():
            found |= {key: cell.state for (kind, key), cell in shard.cells.items() if kind == "stock" and shard.serving}
    return found


def check_every_commit(room: Room, put_in: int) -> Books:
    """Read the journal batch by batch: after each commit the parts together have what was put in, less what is on its way."""
    books = Books(sale_limit=3)
    for rows in room.journal.batches:
        for row in rows:
            books.see(row)
        parts = books.parts.values()
        here = sum(part.available + part.written_off + sum(part.holds.values()) + sum(part.sold.values()) for part in parts)
        on_the_way = sum(part.sent - part.received for part in parts)
        assert on_the_way >= 0
        assert here + on_the_way == sum(part.put_in for part in parts) <= put_in
    assert books.broken == []
    return books


@pytest.mark.slow
@pytest.mark.parametrize("parts", [2, 5])
def test_a_split_under_load_moves_units_and_loses_none(parts: int) -> None:
    async def scene() -> None:
        room = await Room(hosts=2, shards=8).open()
        await room.client.ask("stock", SKU + "#0", PutIn(quantity=3000), command_id=b"put in", digest=b"d")
        rush = Rush(room)
        load = asyncio.ensure_future(rush.run(5.0))
        await room.clock.sleep(1.0)
        levels = await split_skus(SkuTable(room), room.client, [SKU], parts)
        assert not isinstance(levels, Refused)
        assert min(part.level.available for part in levels) > 0
        await load
        assert rush.codes == {"": rush.number}
        states = parts_of(room)
        assert set(states) == {f"{SKU}#{part}" for part in range(parts)}
        assert all(state.held > 0 and state.in_transit == 0 for state in states.values())
        assert sum(state.held for state in states.values()) == rush.number
        assert sum(state.available for state in states.values()) == 3000 - rush.number
        check_every_commit(room, 3000)

    play(scene)


@pytest.mark.slow
def test_the_last_unit_of_a_split_article_is_sold_and_not_one_more() -> None:
    async def scene() -> None:
        room = await Room(hosts=2, shards=8).open()
        await room.client.ask("stock", SKU + "#0", PutIn(quantity=700), command_id=b"put in", digest=b"d")
        rush = Rush(room)
        load = asyncio.ensure_future(rush.run(5.0))
        await room.clock.sleep(0.2)
        assert not isinstance(await split_skus(SkuTable(room), room.client, [SKU], 3), Refused)
        await load
        assert rush.codes == {"": 700, "sold_out": rush.number - 700}
        assert rush.number > 800
        books = check_every_commit(room, 700)
        assert sum(sum(part.holds.values()) for part in books.parts.values()) == 700

    play(scene)


def test_a_split_that_is_asked_for_again_after_a_failure_goes_on_from_there() -> None:
    async def scene() -> None:
        room = await Room(hosts=2, shards=8).open()
        await room.client.ask("stock", SKU + "#0", PutIn(quantity=100), command_id=b"put in", digest=b"d")
        table = SkuTable(room)
        assert await table.execute("", [SKU], 4) == "UPDATE 1"
        for _ in range(2):
            levels = await split_skus(table, room.client, [SKU], 4)
            assert not isinstance(levels, Refused)
            assert [part.level.available for part in levels] == [25, 25, 25, 25]
        check_every_commit(room, 100)

    play(scene)


def test_the_rate_of_the_busiest_entities_is_measured_and_nobody_elses() -> None:
    async def scene() -> None:
        room = await Room().open()
        await room.submit("stock", SKU + "#0", PutIn(quantity=10_000))
        room.host.heat.sample()
        rush = Rush(room)
        await rush.run(1.0)
        room.host.heat.sample()
        [(entity, rate)] = room.host.heat.rates.items()
        assert entity == ("stock", SKU + "#0")
        assert rate == pytest.approx(rush.number, rel=0.1)
        assert rush.number > WARM
        await room.clock.sleep(1.0)
        room.host.heat.sample()
        assert room.host.heat.rates == {}

    play(scene)


def test_metrics_name_hot_articles_coupons_and_sales_and_no_buyer() -> None:
    hot = [{"kind": "stock", "key": "sku_a#1", "records_per_s": 1200}, {"kind": "order", "key": "usr_1", "records_per_s": 90}]
    lines = metrics_text([{"host": "h0", "hot": hot}], {}).splitlines()
    shown = [line for line in lines if line.startswith("stampede_host_entity")]
    assert shown == ['stampede_host_entity_records_per_second{host="h0",kind="stock",key="sku_a#1"} 1200']
