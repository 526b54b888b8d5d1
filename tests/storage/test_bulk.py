"""Initial stock by COPY: as if each part's owner had been told, also while owners are at work."""

import asyncio
from typing import Any

import pytest

from actors.storage.audit import audit
from actors.storage.bulk import AlreadyStocked, bulk_put_in
from schemas.stock import PutIn


@pytest.mark.slow
async def test_bulk_stock_goes_in_while_hosts_own_the_shards_and_they_sell_it_as_soon_as_they_notice(
    shop: Any, connection: Any, follower: Any
) -> None:
    await shop.put_in("sku_1#0", 5)
    before = {item["shard"]: item["epoch"] for item in await connection.fetch("SELECT shard, epoch FROM shard_owner")}
    quantities = [(f"sku_b{number}#0", 3) for number in range(200)] + [("sku_zero#0", 0)]
    assert await bulk_put_in(connection, shop.sharding, quantities, shop.clock.now_ms()) == 200
    after = {item["shard"]: item["epoch"] for item in await connection.fetch("SELECT shard, epoch FROM shard_owner")}
    assert all(after[shard] > before[shard] for shard in before)
    # Until an owner has noticed, it may say that there is none of a SKU.
    await shop.until(
        lambda: all(
            any(shard in host.shards and host.shards[shard].epoch >= epoch for host in shop.hosts) for shard, epoch in after.items()
        )
    )

    answers = await asyncio.gather(*(shop.order(f"usr_{number}", "sku_1", f"sku_b{number}") for number in range(8)))
    assert sorted(answer.code for answer in answers) == [""] * 5 + ["sold_out"] * 3
    with pytest.raises(AlreadyStocked, match="sku_b7#0"):
        await bulk_put_in(connection, shop.sharding, [("sku_new#0", 1), ("sku_b7#0", 1)], 1)
    assert await connection.fetchval("SELECT count(*) FROM journal WHERE key = 'sku_new#0'") == 0
    await shop.settled()
    while await follower.step():
        pass
    assert (await shop.ask("stock", "sku_b99#0", PutIn(quantity=1))).reply.available == 4
    assert (await audit(shop.url)).findings == ()


@pytest.mark.parametrize("quantities", [[("sku_1#0", -1)], [("sku_1#0", 2**60)], [("sku_1#0", 1), ("sku_1#0", 1)]])
async def test_bulk_stock_with_an_impossible_number_writes_nothing(quantities: Any, connection: Any, sharding: Any) -> None:
    with pytest.raises(ValueError):
        await bulk_put_in(connection, sharding, [("sku_2#0", 1), *quantities], 1)
    assert await connection.fetchval("SELECT count(*) FROM journal") == 0
