"""Products go on the shelf and leave it at their time, once, whoever does it and whatever dies."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from actors.storage.connect import open_pool
from actors.storage.goods import By, Edit, Goods
from actors.storage.goods_reads import GoodsReads
from actors.storage.goods_writing import TAKE_TURN
from actors.storage.seed import small_shop
from actors.storage.shelf import DUE, Shelf
from actors.storage.shop import load_shop
from schemas.goods import Product

pytestmark = pytest.mark.slow

BY = By(actor_id="usr_1", role="operator")
NOW_MS = 1_790_000_000_000


@pytest.fixture
async def pool(database_url: str, connection: Any, sharding: Any) -> AsyncIterator[Any]:
    await load_shop(connection, sharding, small_shop(7), lambda *_: None)
    pool = await open_pool(database_url, size=6)
    yield pool
    await pool.close()


async def set_to(connection: Any, pool: Any, product_id: str, **fields: Any) -> None:
    goods = Goods(pool)
    stored = await goods.read(product_id)
    assert stored is not None
    for step in ({"state": "off_shelf"}, fields):  # what is on the shelf is not scheduled without leaving it
        doc: Product = msgspec.structs.replace(stored.doc, **step)
        async with connection.transaction():
            await goods.write_many(connection, [Edit(product_id=product_id, doc=doc)], BY, NOW_MS - 1)


async def states(connection: Any, *ids: str) -> list[tuple[str, bool, int]]:
    sql = """SELECT p.state, s.on_shelf, p.revision FROM product p JOIN sku s USING (product_id)
             WHERE product_id = ANY($1) ORDER BY array_position($1, product_id)"""
    return [tuple(row) for row in await connection.fetch(sql, list(ids))]


async def test_what_is_due_moves_once_however_many_look_and_what_is_not_due_stays(connection: Any, pool: Any) -> None:
    await set_to(connection, pool, "prd_1", state="scheduled", shelf_at_ms=NOW_MS)
    await set_to(connection, pool, "prd_2", state="scheduled", shelf_at_ms=NOW_MS + 1)
    await set_to(connection, pool, "prd_3", state="on_shelf", off_at_ms=NOW_MS)
    await set_to(connection, pool, "prd_4", state="on_shelf", off_at_ms=NOW_MS + 1)
    await set_to(connection, pool, "prd_5", state="off_shelf", off_at_ms=NOW_MS)
    ids = ("prd_1", "prd_2", "prd_3", "prd_4", "prd_5")
    assert await states(connection, *ids) == [
        ("scheduled", False, 2), ("scheduled", False, 2), ("on_shelf", True, 2), ("on_shelf", True, 2), ("off_shelf", False, 2),
    ]  # fmt: skip
    moved = await asyncio.gather(*(Shelf(pool).move_due(NOW_MS) for _ in range(5)))
    assert sorted(one for found in moved for one in found) == ["prd_1", "prd_3"]
    assert await states(connection, *ids) == [
        ("on_shelf", True, 3), ("scheduled", False, 2), ("off_shelf", False, 3), ("on_shelf", True, 2), ("off_shelf", False, 2),
    ]  # fmt: skip
    [last, *_] = await GoodsReads(pool).revisions("prd_1", 9, 9)
    assert (last.actor_id, last.role, last.reason, last.at_ms, last.state) == ("machine", "machine", "scheduled", NOW_MS, "on_shelf")
    assert await connection.fetchval("SELECT on_shelf_since_ms FROM product WHERE product_id = 'prd_1'") == NOW_MS
    # A time that has passed is forgotten: it moves nothing a second time.
    assert await connection.fetch(DUE, NOW_MS, 10) == []
    assert await Shelf(pool).move_due(NOW_MS) == []


async def test_a_window_that_is_over_already_is_gone_through(connection: Any, pool: Any) -> None:
    await set_to(connection, pool, "prd_1", state="scheduled", shelf_at_ms=NOW_MS, off_at_ms=NOW_MS + 5)
    assert await Shelf(pool).move_due(NOW_MS + 10) == ["prd_1"]
    assert await Shelf(pool).move_due(NOW_MS + 10) == ["prd_1"]
    assert await states(connection, "prd_1") == [("off_shelf", False, 4)]


async def test_whoever_dies_in_the_middle_leaves_everything_to_the_next(connection: Any, pool: Any) -> None:
    await set_to(connection, pool, "prd_1", state="scheduled", shelf_at_ms=NOW_MS)
    async with pool.acquire() as dying:
        transaction = dying.transaction()
        await transaction.start()
        await dying.execute(TAKE_TURN)
        waiting = asyncio.ensure_future(Shelf(pool).move_due(NOW_MS))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        dying.terminate()
        assert await waiting == ["prd_1"]
    assert await states(connection, "prd_1") == [("on_shelf", True, 3)]


async def test_one_that_cannot_be_moved_holds_nobody_up(connection: Any, pool: Any) -> None:
    for product_id in ("prd_1", "prd_2"):
        await set_to(connection, pool, product_id, state="scheduled", shelf_at_ms=NOW_MS)
    # Not by any path of ours: its document names an article that is another product's.
    await connection.execute("UPDATE product SET doc = jsonb_set(doc, '{skus,0,sku_id}', '\"sku_9\"') WHERE product_id = 'prd_1'")
    assert await Shelf(pool).move_due(NOW_MS) == ["prd_2"]
    assert await states(connection, "prd_1", "prd_2") == [("scheduled", False, 2), ("on_shelf", True, 3)]
