"""Membership over HTTP: standing, visits, points at the checkout and in the mall, the birthday."""

import asyncio

import pytest

from schemas.member import Earn, ReadMember
from schemas.quota import Configure
from serve.cursors import cursor_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

SHIP_TO = {
    "country": "CN",
    "name": "王芳",
    "phone": "13800138000",
    "line1": "南京西路 1 号",
    "city": "上海",
    "region": "上海",
    "district": "静安区",
}
INSERT_MALL = """
INSERT INTO points_mall_item (item_id, title, title_zh, kind, points, coupon_id, quota_total) VALUES ($1, 'Mug', '马克杯', $2, $3, $4, 3)"""


async def earned(shop, user_id, amount, order_id="ord_earlier"):
    """As an order's payment would have it."""
    answer = await shop.client.ask("member", user_id, Earn(order_id=order_id, amount=amount, currency="CNY"), command_id=order_id.encode())
    assert not answer.code


async def standing(shop, token):
    answer = await shop.ask("GET", "/v1/me/membership", token=token)
    assert answer.status == 200, answer.body
    return answer.json


async def check_out(shop, token, price, *, key="", **body):
    sku_id = await shop.sku(5, price=price)
    put = await shop.ask("PUT", f"/v1/cart/lines/{sku_id}", {"quantity": 1}, token=token)
    assert put.status == 200
    return await shop.ask("POST", "/v1/checkout", {"ship_to": SHIP_TO, **body}, token=token, key=key)


async def mall_item(shop, item_id, *, kind="goods", points=100, coupon_id="", total=1):
    await shop.pool.execute(INSERT_MALL, item_id, kind, points, coupon_id)
    await shop.client.ask("quota", item_id, Configure(total=total), command_id=b"q" * 16, digest=b"d")
    await shop.fresh_facts()


async def test_a_new_member_stands_on_the_lowest_level(shop) -> None:
    _, token = shop.user()
    found = await standing(shop, token)
    assert (found["level"]["level_id"], found["level"]["titles"]) == ("ordinary", {"en": "Ordinary", "zh-CN": "普通会员"})
    assert found["next_level"] == {"level_id": "silver", "titles": {"en": "Silver", "zh-CN": "银卡会员"}, "growth_missing": 1000}
    assert found["points"] == {"available": 0, "held": 0, "debt": 0, "expiring": 0, "expires_at": None}
    assert (found["birthday"], found["gifts"], found["review_at"], found["signed_in_today"]) == (None, [], None, False)


async def test_a_visit_counts_once_a_day_whatever_the_number_of_windows(shop) -> None:
    _, token = shop.user()
    answers = await asyncio.gather(*(shop.ask("POST", "/v1/me/sign-ins", token=token, key=None) for _ in range(8)))
    assert {(answer.status, answer.json["streak"], answer.json["points"]) for answer in answers} == {(200, 1, 1)}
    found = await standing(shop, token)
    assert (found["points"]["available"], found["growth"], found["streak"], found["signed_in_today"]) == (1, 1, 1, True)


async def test_points_pay_half_of_a_checkout_at_most_and_come_back_when_it_is_cancelled(shop) -> None:
    user_id, token = shop.user()
    await earned(shop, user_id, 90_000)
    order = await check_out(shop, token, 1000, points=800)
    assert order.status == 201, order.body
    assert (order.json["total"]["amount"], order.json["points"], order.json["lines"][0]["discount"]["amount"]) == (500, 500, 500)
    assert (await standing(shop, token))["points"]["held"] == 500
    read = await shop.ask("GET", f"/v1/orders/{order.json['order_id']}", token=token)
    assert read.json["points"] == 500
    assert (await shop.ask("POST", f"/v1/orders/{order.json['order_id']}/cancel", token=token)).status == 200
    points = (await standing(shop, token))["points"]
    assert (points["available"], points["held"]) == (900, 0)


async def test_a_checkout_with_more_points_than_one_has_takes_nothing(shop) -> None:
    user_id, token = shop.user()
    await earned(shop, user_id, 10_000)
    refused = await check_out(shop, token, 1000, points=400)
    assert (refused.status, refused.code, refused.json["params"]) == (409, "points_insufficient", {"available": 100})
    assert (await standing(shop, token))["points"]["available"] == 100
    for points in (-1, "1", 1.5, 10**9 + 1):
        assert (await check_out(shop, token, 1000, points=points)).code == "invalid_request"


async def test_two_windows_cannot_spend_the_same_points(shop) -> None:
    user_id, token = shop.user()
    await earned(shop, user_id, 60_000)
    await mall_item(shop, "mal_window", points=600, total=5)
    answers = await asyncio.gather(
        *(shop.ask("POST", "/v1/points-mall/mal_window/redemptions", {"points": 600}, token=token) for _ in range(6))
    )
    assert sorted(answer.status for answer in answers) == [201, 409, 409, 409, 409, 409]
    assert {answer.code for answer in answers} == {"", "points_insufficient"}
    assert (await standing(shop, token))["points"]["available"] == 0


async def test_a_gold_member_pays_less_and_the_cart_says_so(shop) -> None:
    user_id, token = shop.user()
    await earned(shop, user_id, 600_000)
    assert (await standing(shop, token))["level"]["level_id"] == "gold"
    sku_id = await shop.sku(5, price=1000)
    cart = await shop.ask("PUT", f"/v1/cart/lines/{sku_id}", {"quantity": 2}, token=token)
    assert cart.json["total"]["amount"] == 1960
    await shop.pool.execute("INSERT INTO member_price (sku_id, level_id, price_minor) VALUES ($1, 'gold', 900)", sku_id)
    await shop.fresh_facts()
    await shop.fresh_facts()
    cart = await shop.ask("GET", "/v1/cart", token=token)
    assert cart.json["total"]["amount"] == 1800
    order = await shop.ask("POST", "/v1/checkout", {"ship_to": SHIP_TO, "expected_total": cart.json["total"]}, token=token)
    assert (order.status, order.json["lines"][0]["unit_price"]["amount"]) == (201, 900)


async def test_an_exchange_is_one_whoever_repeats_it(shop) -> None:
    user_id, token = shop.user()
    await earned(shop, user_id, 50_000)
    await mall_item(shop, "mal_gift", kind="coupon", points=100, coupon_id="cpn_personal", total=2)
    body = {"points": 100}
    first = await shop.ask("POST", "/v1/points-mall/mal_gift/redemptions", body, token=token, key="the-one-key")
    again = await shop.ask("POST", "/v1/points-mall/mal_gift/redemptions", body, token=token, key="the-one-key")
    assert (first.status, first.json) == (201, again.json)
    assert (first.json["coupon_id"], first.json["points"]) == ("cpn_personal", 100)
    assert [gift["coupon_id"] for gift in (await standing(shop, token))["gifts"]] == ["cpn_personal"]
    stale = await shop.ask("POST", "/v1/points-mall/mal_gift/redemptions", {"points": 90}, token=token)
    assert (stale.status, stale.code, stale.json["params"]) == (409, "points_changed", {"points": 100})
    unknown = await shop.ask("POST", "/v1/points-mall/mal_none/redemptions", body, token=token)
    assert (unknown.status, unknown.code) == (404, "mall_item_unknown")
    assert (await shop.ask("POST", "/v1/points-mall/mal_gift/redemptions", body, token=token)).status == 201
    gone = await shop.ask("POST", "/v1/points-mall/mal_gift/redemptions", body, token=token)
    assert (gone.status, gone.code) == (409, "mall_item_gone")
    assert (await standing(shop, token))["points"]["available"] == 300
    listed = (await shop.ask("GET", "/v1/points-mall", token=token)).json["items"]
    assert {"item_id": "mal_gift", "titles": {"en": "Mug", "zh-CN": "马克杯"}, "kind": "coupon", "points": 100, "left": 0} in listed


async def test_a_personal_coupon_works_for_whom_it_was_given_to(shop) -> None:
    user_id, token = shop.user()
    coupon_id = await shop.coupon()
    await shop.pool.execute("UPDATE coupon SET personal = true WHERE coupon_id = $1", coupon_id)
    await shop.client.ask("quota", coupon_id, Configure(total=9), command_id=b"c" * 16, digest=b"d")
    await mall_item(shop, "mal_mine", kind="coupon", points=10, coupon_id=coupon_id)
    refused = await check_out(shop, token, 1000, coupon_ids=[coupon_id])
    assert (refused.status, refused.code, refused.json["params"]) == (422, "coupon_not_yours", {"coupon_id": coupon_id})
    await earned(shop, user_id, 1000)
    assert (await shop.ask("POST", "/v1/points-mall/mal_mine/redemptions", {"points": 10}, token=token)).status == 201
    order = await shop.ask("POST", "/v1/checkout", {"ship_to": SHIP_TO, "coupon_ids": [coupon_id]}, token=token)
    assert (order.status, order.json["total"]["amount"]) == (201, 900)
    assert (await standing(shop, token))["gifts"] == []


async def test_a_birthday_is_said_once_a_year(shop) -> None:
    _, token = shop.user()
    said = await shop.ask("PUT", "/v1/me/birthday", {"month": 2, "day": 29}, token=token)
    assert (said.status, said.json["month"], said.json["day"]) == (200, 2, 29)
    assert (await shop.ask("PUT", "/v1/me/birthday", {"month": 2, "day": 29}, token=token)).json == said.json
    other = await shop.ask("PUT", "/v1/me/birthday", {"month": 3, "day": 1}, token=token)
    assert (other.status, other.code) == (409, "birthday_locked")
    assert (await standing(shop, token))["birthday"] == said.json
    for body in ({"month": 2, "day": 30}, {"month": 0, "day": 1}, {"month": 1}, {"month": 1, "day": 1, "year": 1990}):
        assert (await shop.ask("PUT", "/v1/me/birthday", body, token=token)).code == "invalid_request"


async def test_the_moves_of_points_are_listed_page_by_page(shop) -> None:
    user_id, token = shop.user()
    insert = "INSERT INTO points_entry (posting, account, user_id, amount, at_ms, seq) VALUES ($1, $2, $3, $4, $5, $6)"
    for number in range(5):
        for account, amount in (("issued", -number), ("available", number)):
            await shop.pool.execute(insert, f"earned:{user_id}:sign_in:{number}", account, user_id, amount, number, number)
    await shop.pool.execute(insert, f"held:{user_id}:ab", "available", user_id, -3, 5, 5)
    first = (await shop.ask("GET", "/v1/me/points?limit=4", token=token)).json
    rest = (await shop.ask("GET", f"/v1/me/points?limit=4&cursor={first['next_cursor']}", token=token)).json
    assert rest["next_cursor"] is None
    assert [(move["what"], move["ref"], move["points"]) for move in (*first["moves"], *rest["moves"])] == [
        ("held", "", -3), *(("earned", f"sign_in:{number}", number) for number in (4, 3, 2, 1, 0)),
    ]  # fmt: skip
    _, stranger = shop.user()
    assert (await shop.ask("GET", "/v1/me/points", token=stranger)).json == {"moves": [], "next_cursor": None}
    for cursor in ("x", cursor_of("o", "1", "x"), cursor_of("p", "x", "y"), cursor_of("p", "9" * 19, "y")):
        assert (await shop.ask("GET", f"/v1/me/points?cursor={cursor}", token=token)).code == "invalid_request"


async def test_a_shop_that_changes_its_rules_is_heard_by_everybody(shop) -> None:
    user_id, token = shop.user()
    await earned(shop, user_id, 100_000)
    assert (await standing(shop, token))["level"]["level_id"] == "silver"
    before = await shop.pool.fetchval("SELECT version FROM member_level WHERE level_id = 'silver'")
    await shop.pool.execute("UPDATE member_level SET title = 'Argent' WHERE level_id = 'silver'")
    # The first may have joined a reading that began before the change.
    for _ in range(2):
        await shop.fresh_facts()
    try:
        assert (await standing(shop, token))["level"]["titles"]["en"] == "Argent"
        assert await shop.pool.fetchval("SELECT version FROM member_level WHERE level_id = 'silver'") > before
    finally:
        await shop.pool.execute("UPDATE member_level SET title = 'Silver' WHERE level_id = 'silver'")
        await shop.fresh_facts()
    answer = await shop.client.ask("member", user_id, ReadMember(), command_id=b"m" * 16)
    assert answer.reply.level_id == "silver"
