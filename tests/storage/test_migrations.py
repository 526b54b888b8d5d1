"""Migrations are applied once each, in order, whoever else applies them at the same time."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import asyncpg
import pytest

from actors.storage import migrate as migrate_module
from actors.storage.migrate import found_cluster, migrate, migrations
from actors.storage.seed import copy_rows, small_shop
from actors.storage.shop import SKU_COLUMNS

pytestmark = pytest.mark.slow


@pytest.fixture
def empty_url(copy_of_database: Callable[[str], AbstractContextManager[str]]) -> Iterator[str]:
    """A database without a single table."""
    with copy_of_database("template0") as url:
        yield url


def test_numbers_are_unique_and_every_file_says_why_it_is_there() -> None:
    known = migrations()
    assert len({number for number, _, _ in known}) == len(known)
    assert [name for _, name, sql in known if not sql.startswith("-- ")] == []


async def test_what_is_missing_is_applied_in_order_and_only_once(empty_url: str) -> None:
    connection = await asyncpg.connect(empty_url)
    assert await migrate(connection) == [name for _, name, _ in migrations()]
    assert await migrate(connection) == []
    assert await connection.fetchval("SELECT count(*) FROM migration") == len(migrations())
    await connection.close()


async def test_of_two_at_once_the_second_waits_and_finds_nothing_to_do(empty_url: str) -> None:
    connections = [await asyncpg.connect(empty_url) for _ in range(3)]
    applied = await asyncio.gather(*(migrate(connection) for connection in connections))
    assert sorted(map(len, applied)) == [0, 0, len(migrations())]
    for connection in connections:
        await connection.close()


async def test_a_migration_that_fails_leaves_nothing_of_itself_and_all_before_it(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = (9999, "9999_bad.sql", "CREATE TABLE half (one integer); SELECT 1 / 0")
    known = [*migrations(), bad]
    with monkeypatch.context() as patched:
        patched.setattr(migrate_module, "migrations", lambda: known)
        connection = await asyncpg.connect(empty_url)
        with pytest.raises(asyncpg.DivisionByZeroError):
            await migrate(connection)
    assert await connection.fetchval("SELECT to_regclass('half')") is None
    assert await migrate(connection) == []
    await connection.close()


async def test_the_products_of_an_older_shop_get_the_categories_that_a_new_one_has(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shop, known = small_shop(3), migrations()
    connection = await asyncpg.connect(empty_url)
    with monkeypatch.context() as patched:
        patched.setattr(migrate_module, "migrations", lambda: [one for one in known if one[0] < 20])
        await migrate(connection)
    old = ("product_id", "title", "title_zh", "department", "department_zh", "category", "type", "brand", "size")
    await copy_rows(connection, "product", shop.products.select(old))
    await copy_rows(connection, "sku", shop.skus, columns=SKU_COLUMNS)
    strange = "INSERT INTO product (product_id, title, title_zh, department, department_zh, category) VALUES ($1, 't', 't', $2, $2, $3)"
    await connection.executemany(strange, [("prd_x", "食品", "X"), ("prd_y", "Housewares", "!"), ("prd_z", "HOUSE-WARES", "cup")])
    await migrate(connection)
    filed = "SELECT product_id, category_id, brand_id, code FROM product WHERE product_id = ANY($1)"
    placed = {row["product_id"]: tuple(row)[1:] for row in await connection.fetch(filed, shop.products["product_id"].to_list())}
    assert placed == {row[0]: row[1:] for row in shop.products.select("product_id", "category_id", "brand_id", "code").rows()}
    rows = await connection.fetch(filed, ["prd_x", "prd_y", "prd_z"])
    assert {row["product_id"]: row["category_id"] for row in rows} == {
        "prd_x": None, "prd_y": "cat_housewares", "prd_z": "cat_house-wares.cup",
    }  # fmt: skip
    tree = {row["category_id"]: row["parent_id"] for row in await connection.fetch("SELECT category_id, parent_id FROM category")}
    assert dict(shop.categories.select("category_id", "parent_id").rows()).items() <= tree.items()
    await connection.close()


async def test_a_cluster_is_founded_once_and_keeps_its_secrets_and_its_number_of_shards(empty_url: str) -> None:
    connections = [await asyncpg.connect(empty_url) for _ in range(2)]
    await migrate(connections[0])
    found = await asyncio.gather(*(found_cluster(connection, 16) for connection in connections))
    assert vars(found[0]) == vars(found[1])
    assert len({found[0].hash_secret, found[0].ticket_key, found[0].token_key}) == 3
    assert await connections[0].fetchval("SELECT count(*) FROM shard_owner") == 16
    with pytest.raises(ValueError, match="STAMPEDE_SHARD_COUNT=16"):
        await found_cluster(connections[0], 32)
    with pytest.raises(ValueError, match="STAMPEDE_POOLS=''"):
        await found_cluster(connections[0], 16, "goods=stock:4")
    assert await connections[0].fetchval("SELECT count(*) FROM shard_owner") == 16
    for connection in connections:
        await connection.close()


async def test_a_cluster_keeps_the_pools_that_it_was_founded_with(empty_url: str) -> None:
    connection = await asyncpg.connect(empty_url)
    await migrate(connection)
    founded = await found_cluster(connection, 16, "goods=stock,quota:4")
    again = await found_cluster(connection, 16, " goods = stock,quota : 4 ")
    assert again.pools == founded.pools
    assert founded.sharding().pool(3) == "goods"
    for other in ("", "goods=stock:4", "goods=stock,quota:8"):
        with pytest.raises(ValueError, match="founded with the pools 'goods=stock,quota:4'"):
            await found_cluster(connection, 16, other)
    await connection.close()


async def test_every_table_keeps_its_room_for_updates(connection: Any) -> None:
    """Rows that every flush or step changes are changed within their page."""
    rows = await connection.fetch("SELECT relname, array_to_string(reloptions, ',') AS options FROM pg_class WHERE relkind = 'r'")
    options = {row["relname"]: row["options"] or "" for row in rows}
    assert "fillfactor=10" in options["shard_owner"]
    assert "fillfactor=10" in options["projection_position"]
    assert "fillfactor=50" in options["stock_level"]
