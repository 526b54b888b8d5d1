"""Every statement of the edge fits the migrated schema, and news of facts miss nothing."""

import asyncpg
import pytest

from actors.ports.peers import EVERYTHING
from actors.storage import catalogue, facts, orders, users
from actors.storage.facts import PostgresFacts
from serve import revocations

pytestmark = pytest.mark.asyncio(loop_scope="session")

STATEMENTS = {
    f"{module.__name__}.{name}": value
    for module in (catalogue, facts, orders, users, revocations)
    for name, value in vars(module).items()
    if name.isupper()
    and not name.startswith("_")
    and isinstance(value, str)
    and any(word in value for word in ("SELECT", "INSERT", "UPDATE"))
}


@pytest.mark.parametrize("name", sorted(STATEMENTS))
async def test_a_statement_can_be_prepared(shop, name) -> None:
    async with shop.pool.acquire() as connection:
        await connection.prepare(STATEMENTS[name])


async def test_whoever_has_seen_a_version_has_seen_every_lower_one(shop, database_url) -> None:
    sku_id, other = await shop.sku(), await shop.sku()
    source = PostgresFacts(shop.pool)
    since, _ = await source.changed(-1)
    first, second = await asyncpg.connect(database_url), await asyncpg.connect(database_url)
    change = "UPDATE sku SET price_minor = price_minor + 1 WHERE sku_id = $1"
    begun = first.transaction()
    await begun.start()
    await first.execute(change, sku_id)
    # The second writer would have the higher number, and cannot commit before the first.
    await second.execute("SET lock_timeout = '50ms'")
    with pytest.raises(asyncpg.LockNotAvailableError):
        await second.execute(change, other)
    assert await source.changed(since) == (since, [])
    await begun.commit()
    await second.execute(change, other)
    newest, names = await source.changed(since)
    assert sorted(names) == sorted(["sku:" + sku_id, "sku:" + other])
    assert newest > since
    await first.close()
    await second.close()


async def test_more_changes_than_can_be_named_are_told_as_one(shop) -> None:
    sku_id = await shop.sku()
    source = PostgresFacts(shop.pool)
    since, _ = await source.changed(-1)
    # Every position of an article is a row of its price list, and one name.
    price = """
    INSERT INTO sku_price (sku_id, position, kind, currency, price_minor)
    SELECT $1, n, 'tier', 'CNY', n FROM generate_series(1, 99) n"""
    await shop.pool.execute(price, sku_id)
    newest, names = await source.changed(since)
    assert names == ["prices:" + sku_id]
    many = """
    INSERT INTO sku (sku_id, product_id, code, price_minor, currency)
    SELECT $1 || '_' || n, product_id, $1 || '_' || n, 1, 'CNY' FROM sku, generate_series(1, $2) n WHERE sku_id = $1"""
    await shop.pool.execute(many, sku_id, facts.CHANGED_MAX + 1)
    assert (await source.changed(newest))[1] == [EVERYTHING]
    await shop.pool.execute("DELETE FROM sku WHERE sku_id LIKE $1 || '_%'", sku_id)


async def test_a_sale_that_moves_is_news(shop) -> None:
    sku_id = await shop.sku()
    sale_id = await shop.sale(sku_id, state="closed")
    source = PostgresFacts(shop.pool)
    since, _ = await source.changed(-1)
    await shop.pool.execute("INSERT INTO sale_state VALUES ($1, 'open', 1, 1)", sale_id)
    assert (await source.changed(since))[1] == ["sale:" + sale_id]
    assert (await source.load(["sale:" + sale_id]))["sale:" + sale_id].state == "open"
