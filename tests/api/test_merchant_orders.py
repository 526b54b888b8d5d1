"""A firm's list of orders finds its own however many of others lie between, by the key of the firm's own rows."""

import json
import secrets
from typing import Any

import pytest

from actors.storage.desk_reads import MERCHANT_ORDERS
from serve.staff.merchant import LAST_ORDER
from tests.api.staff_people import MACHINE_ACTOR, firm, member

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

OTHERS = 2500
INSERT_MANY = """
INSERT INTO orders SELECT 'ord_' || $1 || lpad(n::text, 6, '0'), 'usr_crowd', 'paid', 100, 'CNY', '', n, n, 0, 1, $2::jsonb
FROM generate_series($3::int, $4::int) n"""


async def article(shop: Any) -> tuple[str, str]:
    """An article and its product."""
    sku_id = await shop.sku()
    return sku_id, "prd_" + sku_id[4:]


async def ordered(shop: Any, prefix: str, sku_id: str, first: int, last: int) -> None:
    lines = json.dumps([{"sku_id": sku_id, "quantity": 1, "unit_price": 100, "stock_key": sku_id + "#0"}])
    await shop.pool.execute(INSERT_MANY, prefix, lines, first, last)


async def listed(shop: Any, bearer: str, limit: int = 20) -> list[list[str]]:
    """The pages of a firm's list, until its end."""
    pages, cursor = [], ""
    while True:
        page = (await shop.ask("GET", f"/v1/merchant/orders?limit={limit}{cursor}", token=bearer)).json
        pages.append([order["order_id"] for order in page["orders"]])
        if page["next_cursor"] is None:
            return pages
        cursor = f"&cursor={page['next_cursor']}"


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for part in plan.get("Plans", ()) for node in nodes(part))]


async def test_the_oldest_order_is_on_the_first_page_behind_thousands_of_another_firm(shop) -> None:
    own, other = await firm(shop), await firm(shop)
    (mine, my_product), (theirs, their_product) = await article(shop), await article(shop)
    for name, product in ((own, my_product), (other, their_product)):
        await shop.application.desk.roles.set_merchant(MACHINE_ACTOR, name, "Firm", "商家", [product])
    prefix = secrets.token_hex(4)
    await ordered(shop, prefix, mine, 1, 1)
    await ordered(shop, prefix, theirs, 2, 1 + OTHERS)
    _, bearer = await member(shop, "merchant", merchant_id=own)
    assert await listed(shop, bearer) == [[f"ord_{prefix}000001"]]
    _, rival = await member(shop, "merchant", merchant_id=other)
    pages = await listed(shop, rival, 100)
    assert [len(page) for page in pages] == [100] * (OTHERS // 100)
    assert [name for page in pages for name in page] == [f"ord_{prefix}{n:06}" for n in range(1 + OTHERS, 1, -1)]


async def test_a_page_reads_the_firm_s_rows_by_their_key_and_no_table_whole(shop) -> None:
    own, (mine, product) = await firm(shop), await article(shop)
    await shop.application.desk.roles.set_merchant(MACHINE_ACTOR, own, "Firm", "商家", [product])
    await ordered(shop, secrets.token_hex(4), mine, 1, OTHERS)
    for table in ("merchant_order", "orders", "sku"):
        await shop.pool.execute(f"ANALYZE {table}")
    found = await shop.pool.fetchval("EXPLAIN (ANALYZE, FORMAT JSON) " + MERCHANT_ORDERS, own, LAST_ORDER, 21)
    read = nodes(json.loads(found)[0]["Plan"])
    keyed = [node for node in read if node.get("Index Name") == "merchant_order_pkey"]
    assert [(node["Scan Direction"], node["Actual Rows"] <= 30) for node in keyed] == [("Backward", True)], found
    assert [node for node in read if node["Node Type"] == "Seq Scan" and node["Relation Name"] in ("orders", "merchant_order")] == []


async def test_goods_that_are_given_to_a_firm_bring_their_earlier_orders_and_leave_the_firm_before(shop) -> None:
    first, second, (sku_id, product) = await firm(shop), await firm(shop), await article(shop)
    prefix = secrets.token_hex(4)
    await ordered(shop, prefix, sku_id, 1, 2)
    found = []
    for name in (first, second):
        await shop.application.desk.roles.set_merchant(MACHINE_ACTOR, name, "Firm", "商家", [product])
        _, bearer = await member(shop, "merchant", merchant_id=name)
        found.append((bearer, await listed(shop, bearer)))
    assert [pages for _, pages in found] == [[[f"ord_{prefix}000002", f"ord_{prefix}000001"]]] * 2
    assert await listed(shop, found[0][0]) == [[]]
