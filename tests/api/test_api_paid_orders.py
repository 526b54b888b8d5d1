"""Delivery over HTTP, what lists and staff see of points, the packing list by priority, and a step-up in every way to order much."""

import json

import msgspec
import pytest
import pytest_asyncio

from schemas.member import Earn
from tests.api.conftest import SETTINGS
from tests.api.staff_people import member, token

pytestmark = pytest.mark.asyncio(loop_scope="session")

SHIP_TO = {
    "country": "CN", "name": "王芳", "phone": "13800138000", "line1": "南京西路 1 号",
    "city": "上海", "region": "上海", "district": "静安区",
}  # fmt: skip
INSERT = """
INSERT INTO orders (order_id, user_id, status, total_amount, currency, sale_id, placed_at_ms, expires_at_ms, shard, updated_seq, lines,
    priority, points, points_discount, shipping)
VALUES ($1, $2, $3, 1000, 'CNY', '', $4, 0, 0, 1, $5, $6, 300, 200, 100)"""
LINES = json.dumps([{"sku_id": "sku_x", "quantity": 1, "unit_price": 1100, "stock_key": "sku_x#0", "discount": 200}])


@pytest_asyncio.fixture(loop_scope="session")
async def delivery(shop):
    """Delivery costs 8.00, and nothing from 50.00 on."""
    await shop.pool.execute("INSERT INTO shipping_fee (currency, fee_minor, free_from_minor) VALUES ('CNY', 800, 5000)")
    for _ in range(2):
        await shop.fresh_facts()
    yield
    await shop.pool.execute("DELETE FROM shipping_fee")
    for _ in range(2):
        await shop.fresh_facts()


async def filled(shop, bearer: str, price: int, quantity: int = 1):
    sku_id = await shop.sku(50, price=price)
    return (await shop.ask("PUT", f"/v1/cart/lines/{sku_id}", {"quantity": quantity}, token=bearer)).json


async def check_out(shop, bearer: str, **body):
    return await shop.ask("POST", "/v1/checkout", {"ship_to": SHIP_TO, **body}, token=bearer)


async def test_the_cart_says_what_delivery_costs_and_the_checkout_charges_it(shop, delivery) -> None:
    _, bearer = shop.user()
    cart = await filled(shop, bearer, 1000)
    assert (cart["total"]["amount"], cart["shipping"]["amount"], cart["shipping_saved"]) == (1800, 800, None)
    order = await check_out(shop, bearer, expected_total=cart["total"])
    assert order.status == 201, order.body
    assert (order.json["total"]["amount"], order.json["shipping"]["amount"], order.json["shipping_saved"]) == (1800, 800, None)
    read = (await shop.ask("GET", f"/v1/orders/{order.json['order_id']}", token=bearer)).json
    assert (read["shipping"], read["total"]) == (order.json["shipping"], order.json["total"])
    rich = await filled(shop, shop.user()[1], 5000)
    assert (rich["total"]["amount"], rich["shipping"]) == (5000, None)
    guest = (await shop.ask("PUT", f"/v1/cart/lines/{await shop.sku(5, price=700)}", {"quantity": 1})).json
    assert (guest["total"]["amount"], guest["shipping"]["amount"]) == (1500, 800)


async def test_a_member_s_free_parcel_is_taken_and_comes_back_with_a_cancelled_order(shop, delivery) -> None:
    user_id, bearer = shop.user()
    await shop.client.ask("member", user_id, Earn(order_id="ord_e", amount=100_000, currency="CNY"), command_id=b"e" * 16)
    cart = await filled(shop, bearer, 1000)
    assert (cart["total"]["amount"], cart["shipping"], cart["shipping_saved"]["amount"]) == (1000, None, 800)
    order = await check_out(shop, bearer, expected_total=cart["total"])
    assert (order.status, order.json["total"]["amount"], order.json["shipping_saved"]["amount"]) == (201, 1000, 800)

    async def left() -> int:
        return (await shop.ask("GET", "/v1/me/membership", token=bearer)).json["free_shipping_left"]

    assert await left() == 0
    assert (await filled(shop, bearer, 1000))["shipping"]["amount"] == 800
    assert (await shop.ask("POST", f"/v1/orders/{order.json['order_id']}/cancel", token=bearer)).status == 200
    assert await left() == 1


async def test_points_and_delivery_stand_in_lists_of_the_buyer_and_of_staff(shop) -> None:
    user_id, bearer = shop.user()
    await shop.pool.execute(INSERT, "ord_points" + user_id[-5:], user_id, "paid", 5, LINES, 0)
    [listed] = (await shop.ask("GET", "/v1/orders", token=bearer)).json["orders"]
    assert (listed["points"], listed["points_discount"]["amount"], listed["shipping"]["amount"]) == (300, 200, 100)
    _, staff = await member(shop, "support")
    [seen] = (await shop.ask("GET", f"/v1/staff/users/{user_id}/orders", token=staff)).json["orders"]
    assert seen == listed


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["c", "e", "b", "a", "d"]),
        ("?sort=age", ["a", "b", "c", "d", "e"]),
        ("?min_priority=1", ["c", "e", "b"]),
        ("?sort=age&min_priority=3", ["c", "e"]),
    ],
)
async def test_the_packing_list_is_sorted_and_filtered(shop, query: str, expected: list[str]) -> None:
    await shop.pool.execute("DELETE FROM orders WHERE order_id LIKE 'ord_pack%'")
    rows = (("a", 0), ("b", 1), ("c", 3), ("d", 0), ("e", 3), ("f", 9))
    for name, priority in rows:
        status = "cancelled" if name == "f" else "paid"
        await shop.pool.execute(INSERT, "ord_pack" + name, "usr_pack", status, ord(name), LINES, priority)
    _, staff = await member(shop, "warehouse")
    found, cursor = [], None
    while True:
        more = "&".join(filter(None, (query[1:], "limit=2", f"cursor={cursor}" if cursor else "")))
        page = await shop.ask("GET", f"/v1/staff/paid-orders?{more}", token=staff)
        assert page.status == 200, page.body
        found += page.json["orders"]
        cursor = page.json["next_cursor"]
        if cursor is None:
            break
    ours = [order for order in found if order["user_id"] == "usr_pack"]
    assert [order["order_id"][-1] for order in ours] == expected
    assert ours[0]["lines"][0]["total"]["amount"] == 900
    assert (ours[0]["points"], ours[0]["points_discount"]["amount"], ours[0]["shipping"]["amount"]) == (300, 200, 100)
    await shop.pool.execute("DELETE FROM orders WHERE order_id LIKE 'ord_pack%'")
    for wrong in ("?sort=name", "?cursor=x", "?min_priority=-1", "?min_priority=99999"):
        assert (await shop.ask("GET", f"/v1/staff/paid-orders{wrong}", token=staff)).code == "invalid_request"
    assert (await shop.ask("GET", "/v1/staff/paid-orders", token=shop.user()[1])).code == "forbidden"


async def test_a_member_and_staff_are_told_where_questions_wait(shop) -> None:
    user_id, _ = await member(shop)
    bearer = token(shop, user_id)
    await shop.client.ask("member", user_id, Earn(order_id="ord_e", amount=600_000, currency="CNY"), command_id=b"e" * 16)
    own = (await shop.ask("GET", "/v1/me/membership", token=bearer)).json
    assert own["level"]["support_queue"] == "priority"
    _, staff = await member(shop, "support")
    seen = (await shop.ask("GET", f"/v1/staff/users/{user_id}", token=staff)).json["membership"]
    assert (seen["level_id"], seen["priority"], seen["support_queue"], seen["points"]) == ("gold", 2, "priority", 6000)


async def test_an_order_over_the_threshold_wants_a_second_factor_in_the_cart_and_in_a_flash_sale(database_url, running_shop) -> None:
    async with running_shop(database_url, msgspec.structs.replace(SETTINGS, step_up_order_minor=2000)) as shop:
        user_id, bearer = shop.user()
        proven = token(shop, user_id)
        sku_id = await shop.sku(50, price=1500)
        sale_id = await shop.sale(sku_id, price=999)
        earlier = len(shop.transport.asked)
        small = await shop.flash_order(sale_id, sku_id, bearer, quantity=2)
        assert (small.status, len(shop.transport.asked_since(earlier))) == (201, 1), "a small one asks its owner and nobody else"
        large = await shop.flash_order(sale_id, sku_id, bearer, quantity=3)
        assert (large.status, large.code, large.json["params"]) == (403, "step_up_required", {"methods": []})
        assert (await shop.flash_order(sale_id, sku_id, proven, quantity=3)).status == 201
        cart = (await shop.ask("PUT", f"/v1/cart/lines/{sku_id}", {"quantity": 2}, token=bearer)).json
        for body in ({"expected_total": cart["total"]}, {}):
            assert (await check_out(shop, bearer, **body)).code == "step_up_required"
        assert (await check_out(shop, proven, expected_total=cart["total"])).status == 201
