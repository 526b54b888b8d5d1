"""What the tables say of members: in one step and in many, and after a rebuild."""

from typing import Any

import asyncpg
import pytest

from actors.owners.facts import FactCache
from actors.owners.limits import Limits
from actors.storage.audit import audit
from actors.storage.clock import DatabaseClock
from actors.storage.facts import PostgresFacts
from actors.storage.projections.follower import Follower
from actors.storage.projections.groups import GROUPS
from actors.storage.projections.rebuild import rebuild
from schemas.member import (
    Estate,
    MemberEarned,
    MemberHandedOver,
    MemberLevelSet,
    MemberSignedIn,
    MemberTakenBack,
    MemberTookOver,
    PointsCommitted,
    PointsHeld,
    PointsReinstated,
    PointsReleased,
)
from schemas.membership import MallItem, MemberPrices, MemberRules

pytestmark = pytest.mark.slow

USER = "usr_1"
EARNED = MemberEarned(source="order", ref="ord_1", growth=10, points=100, expires_ms=900, day=1, at_ms=1, rules_version=1, amount=1000)
LEVEL = MemberLevelSet(
    level_id="gold", reason="growth", review_ms=365, priority=2, support_queue="dedicated", rules_version=1, at_ms=1
)  # fmt: skip
LIFE: tuple[list[Any], ...] = (
    [EARNED, LEVEL],
    [MemberSignedIn(day=1, streak=1, points=0, at_ms=2)],
    [PointsHeld(hold_id=b"a", order_id="ord_2", points=60, deadline_ms=9, at_ms=3, parts=((900, 60),))],
    [PointsHeld(hold_id=b"b", order_id="ord_3", points=30, deadline_ms=9, at_ms=3, parts=((900, 30),))],
    [PointsCommitted(hold_id=b"a", points=60, at_ms=4)],
    [PointsReleased(hold_id=b"c", points=0, reason="order", at_ms=4)],
    [MemberTakenBack(refund_id="ref_1", order_id="ord_1", amount=500, growth=5, points=50, at_ms=5, parts=((900, 10),))],
    [PointsReleased(hold_id=b"b", points=30, reason="order", at_ms=6, debt_paid=30)],
    [PointsReinstated(hold_id=b"a", points=60, expires_ms=950, at_ms=7, debt_paid=10)],
    [MemberLevelSet(level_id="silver", reason="lowered", review_ms=730, priority=1, support_queue="standard", rules_version=1, at_ms=9)],
    [MemberLevelSet(level_id="silver", reason="kept", review_ms=999, priority=1, support_queue="standard", rules_version=1, at_ms=10)],
)

CHANGES = (
    "INSERT INTO product (product_id, title, title_zh, department, department_zh) VALUES ('p', 't', 't', 'd', 'd')",
    "INSERT INTO sku (sku_id, product_id, code, price_minor, currency) VALUES ('sku_1', 'p', 'c', 100, 'CNY')",
    "INSERT INTO member_price (sku_id, level_id, price_minor) VALUES ('sku_1', 'gold', 90), ('sku_1', 'silver', 95)",
    "INSERT INTO points_mall_item (item_id, title, title_zh, kind, points, quota_total) VALUES ('mal_1', 't', 't', 'goods', 5, 9)",
    "UPDATE member_rule SET terms = jsonb_set(terms, '{points_share_percent}', '40')",
)


@pytest.mark.parametrize("at_once", [True, False], ids=["in one step", "step by step"])
async def test_a_standing_is_the_sum_of_its_events(writer: Any, database_url: str, connection: Any, at_once: bool) -> None:
    follower = Follower(database_url, {"members": GROUPS["members"]})
    for turn in LIFE:
        await writer.write("member", USER, *turn)
        if not at_once:
            await follower.step()
    while await follower.step():
        pass
    await follower.close()
    state = writer.states[("member", USER)]
    standing = await connection.fetchrow("SELECT * FROM member_standing")
    assert (standing["level_id"], standing["level_since_ms"], standing["review_ms"], standing["priority"]) == ("silver", 9, 999, 1)
    assert (standing["available"], standing["held"], standing["debt"]) == (50, 0, 0) == (state.available, state.held, state.debt)
    sums = {row[0]: row[1] for row in await connection.fetch("SELECT account, sum(amount)::bigint FROM points_entry GROUP BY account")}
    assert sums == {"issued": -100, "available": 50, "held": 0, "spent": 0, "taken_back": 50, "debt": 0}
    assert await connection.fetch("SELECT posting FROM points_entry GROUP BY posting HAVING sum(amount) <> 0") == []
    assert tuple(await connection.fetchrow("SELECT * FROM sign_in")) == (USER, 1, 1, 0, 2)


async def test_a_rebuild_gives_the_same_tables_and_the_audit_finds_them_right(busy_url: str) -> None:
    db = await asyncpg.connect(busy_url)
    tables = ("member_standing", "points_entry", "sign_in")
    before = [await db.fetch(f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables]
    assert all(before)
    await rebuild(busy_url, "members")
    assert [await db.fetch(f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables] == before
    await db.close()
    assert (await audit(busy_url)).findings == ()


async def test_rules_prices_and_the_mall_are_facts_that_make_news(connection: Any, database_url: str) -> None:
    pool = await asyncpg.create_pool(database_url, min_size=1, max_size=1)
    facts = PostgresFacts(pool)
    since, _ = await facts.changed(-1)
    found = await facts.load(["member:rules", "member:other", "member_price:sku_1", "mall:mal_1"])
    rules = found.pop("member:rules")
    assert (isinstance(rules, MemberRules), found) == (True, {})
    assert [level.level_id for level in rules.levels] == ["ordinary", "silver", "gold", "platinum"]
    await connection.execute(
        "INSERT INTO product (product_id, title, title_zh, department, department_zh) VALUES ('p', 't', 't', 'd', 'd')"
    )
    await connection.execute("INSERT INTO sku (sku_id, product_id, code, price_minor, currency) VALUES ('sku_1', 'p', 'c', 100, 'CNY')")
    await connection.execute(
        "INSERT INTO member_price (sku_id, level_id, price_minor) VALUES ('sku_1', 'gold', 90), ('sku_1', 'silver', 95)"
    )
    await connection.execute(
        "INSERT INTO points_mall_item (item_id, title, title_zh, kind, points, quota_total) VALUES ('mal_1', 't', 't', 'goods', 5, 9)"
    )
    await connection.execute("UPDATE member_rule SET terms = jsonb_set(terms, '{points_share_percent}', '40')")
    version, names = await facts.changed(since)
    assert set(names) == {"sku:sku_1", "member_price:sku_1", "mall:mal_1", "member:rules"}
    found = await facts.load(["member:rules", "member_price:sku_1", "mall:mal_1"])
    assert (found["member:rules"].terms.points_share_percent, found["member:rules"].version) == (40, version)
    prices = found["member_price:sku_1"]
    assert (isinstance(prices, MemberPrices), prices.prices) == (True, {"gold": 90, "silver": 95})
    item = found["mall:mal_1"]
    assert isinstance(item, MallItem)
    assert (item.kind, item.points, item.active) == ("goods", 5, True)
    await pool.close()


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        ("DELETE FROM member_price WHERE sku_id = 'sku_1' AND level_id = 'silver'", "member_price:sku_1"),
        ("DELETE FROM member_price", "member_price:sku_1"),
        ("UPDATE member_price SET sku_id = 'sku_2' WHERE level_id = 'gold'", "member_price:sku_1"),
        ("DELETE FROM points_mall_item", "mall:mal_1"),
        ("DELETE FROM member_level WHERE level_id = 'platinum'", "member:rules"),
        ("DELETE FROM shipping_fee", "shop:shipping"),
    ],
)
async def test_what_is_deleted_is_news_too(connection: Any, database_url: str, sql: str, name: str) -> None:
    pool = await asyncpg.create_pool(database_url, min_size=1, max_size=1)
    facts = PostgresFacts(pool)
    for change in CHANGES:
        await connection.execute(change)
    await connection.execute("INSERT INTO sku (sku_id, product_id, code, price_minor, currency) VALUES ('sku_2', 'p', 'd', 100, 'CNY')")
    await connection.execute("INSERT INTO shipping_fee (currency, fee_minor) VALUES ('CNY', 800)")
    since, _ = await facts.changed(-1)
    before = (await facts.load([name]))[name]
    await connection.execute(sql)
    version, names = await facts.changed(since)
    assert name in names
    assert version > since
    assert (await facts.load([name])).get(name) != before
    # Whoever begins now begins after the deletion, and hears of it no more.
    assert await facts.changed(-1) == (version, [])
    assert (await facts.changed(version))[1] == []
    await pool.close()


async def test_a_cache_drops_a_member_price_that_was_deleted(connection: Any, database_url: str) -> None:
    pool = await asyncpg.create_pool(database_url, min_size=1, max_size=1)
    for change in CHANGES:
        await connection.execute(change)
    cache = FactCache(PostgresFacts(pool), DatabaseClock(), Limits())
    names = ("member_price:sku_1", "sku:sku_1")
    assert await cache.fetch(list(names))
    assert cache.get(names)["member_price:sku_1"].prices == {"gold": 90, "silver": 95}
    await connection.execute("DELETE FROM member_price")
    await cache.refresh()
    assert await cache.fetch(list(names))
    assert cache.get(names)["member_price:sku_1"] is None
    await pool.close()


async def test_a_transfer_between_two_members_is_in_the_tables_of_both(writer: Any, database_url: str, connection: Any) -> None:
    estate = Estate(parts=((900, 100),), growth=((1, 10),), level_id="gold")
    owing = Estate(debt=30)
    follower = Follower(database_url, {"members": GROUPS["members"]})
    await writer.write("member", USER, EARNED)
    await writer.write("member", USER, MemberHandedOver(to_user_id="usr_2", number=1, estate=estate, at_ms=3))
    await writer.write("member", "usr_2", MemberTookOver(from_user_id=USER, number=1, estate=estate, at_ms=3))
    await writer.write("member", "usr_2", MemberTookOver(from_user_id="usr_3", number=1, estate=owing, at_ms=4, taken=((900, 30),)))
    while await follower.step():
        pass
    rows = await connection.fetch("SELECT user_id, account, sum(amount)::bigint FROM points_entry GROUP BY 1, 2 ORDER BY 1, 2")
    assert [tuple(row) for row in rows if row[2]] == [
        (USER, "issued", -100), (USER, "moved", 100), ("usr_2", "available", 70), ("usr_2", "moved", -70),
    ]  # fmt: skip
    assert await connection.fetchval("SELECT count(*) FROM (SELECT FROM points_entry GROUP BY posting HAVING sum(amount) <> 0) x") == 0
    standings = await connection.fetch("SELECT user_id, available FROM member_standing ORDER BY user_id")
    assert [tuple(row) for row in standings] == [(USER, 0), ("usr_2", 70)]
    await follower.close()
