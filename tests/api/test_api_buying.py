"""Carts, checkout, orders, payment, webhooks over HTTP."""

import asyncio
import json

import pytest

from schemas.payment import PaymentRequest
from schemas.stock import ReadStock

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


async def put(shop, token, sku_id, quantity):
    answer = await shop.ask("PUT", f"/v1/cart/lines/{sku_id}", {"quantity": quantity}, token=token)
    assert answer.status == 200, answer.body
    return answer.json


async def cart(shop, token):
    return (await shop.ask("GET", "/v1/cart", token=token)).json


async def check_out(shop, token, *, key="", **body):
    return await shop.ask("POST", "/v1/checkout", {"ship_to": SHIP_TO, **body}, token=token, key=key)


async def held(shop, sku_id) -> int:
    return (await shop.client.ask("stock", sku_id + "#0", ReadStock(), command_id=b"r" * 16)).reply.held


async def ordered(shop, token, *, price=1999):
    sku_id = await shop.sku(5, price=price)
    await put(shop, token, sku_id, 1)
    answer = await check_out(shop, token)
    assert answer.status == 201, answer.body
    return answer.json


async def test_a_cart_shows_the_prices_of_the_moment(shop) -> None:
    _, token = shop.user()
    first, second = await shop.sku(5, price=1000), await shop.sku(5, price=250)
    await put(shop, token, first, 2)
    found = await put(shop, token, second, 3)
    assert found["total"] == {"amount": 2750, "currency": "CNY"}
    assert [line["total"]["amount"] for line in found["lines"]] == [2000, 750]
    await shop.pool.execute("UPDATE sku SET price_minor = 900 WHERE sku_id = $1", first)
    await shop.fresh_facts()
    assert (await cart(shop, token))["total"]["amount"] == 2550
    await put(shop, token, second, 0)
    removed = await shop.ask("DELETE", f"/v1/cart/lines/{first}", token=token)
    assert (removed.status, removed.json["lines"]) == (200, [])


async def test_a_checkout_orders_the_cart_and_empties_it(shop) -> None:
    _, token = shop.user()
    sku_id = await shop.sku(5, price=1000)
    version = (await put(shop, token, sku_id, 2))["version"]
    order = await check_out(shop, token, cart_version=version, expected_total={"amount": 2000, "currency": "CNY"})
    assert order.status == 201, order.body
    assert order.json["lines"][0]["unit_price"] == {"amount": 1000, "currency": "CNY"}
    assert (await cart(shop, token))["lines"] == []
    assert await held(shop, sku_id) == 2
    read = await shop.ask("GET", f"/v1/orders/{order.json['order_id']}", token=token)
    assert read.json == {**order.json, "position": None}


async def test_a_repeated_checkout_gets_the_first_answer(shop) -> None:
    _, token = shop.user()
    sku_id = await shop.sku(5)
    await put(shop, token, sku_id, 1)
    first = await check_out(shop, token, key="the-same-key")
    again = await check_out(shop, token, key="the-same-key")
    assert (first.status, again.status, again.body) == (201, 201, first.body)
    other = await check_out(shop, token, key="the-same-key", coupon_ids=["cpn_1"])
    assert (other.status, other.code) == (422, "idempotency_key_reused")
    assert await held(shop, sku_id) == 1


async def test_f49_two_windows_of_one_cart_make_one_order(shop) -> None:
    _, token = shop.user()
    sku_id = await shop.sku(9)
    version = (await put(shop, token, sku_id, 1))["version"]
    answers = await asyncio.gather(*(check_out(shop, token, cart_version=version) for _ in range(4)))
    orders = {answer.json["order_id"] for answer in answers if answer.status == 201}
    assert len(orders) == 1
    assert {answer.code for answer in answers if answer.status != 201} <= {"cart_changed"}
    assert await held(shop, sku_id) == 1
    assert (await cart(shop, token))["lines"] == []


async def test_a_checkout_whose_cart_was_not_emptied_heals_at_the_next_one(shop) -> None:
    _, token = shop.user()
    sku_id = await shop.sku(9)
    await put(shop, token, sku_id, 1)
    ask, desk = shop.client.ask, shop.application.desk

    async def dies(kind, key, command, **rest):
        if type(command).__name__ == "ConsumeLines":
            raise RuntimeError("the process ended here")
        return await ask(kind, key, command, **rest)

    desk.client.ask = dies
    try:
        assert (await check_out(shop, token)).status == 500
    finally:
        del desk.client.ask
    assert len((await cart(shop, token))["lines"]) == 1
    healed = await check_out(shop, token)
    assert healed.status == 201, healed.body
    assert (await cart(shop, token))["lines"] == []
    assert await held(shop, sku_id) == 1


async def test_a_cart_or_total_that_drifted_is_a_typed_refusal(shop) -> None:
    _, token = shop.user()
    sku_id = await shop.sku(5, price=1000)
    version = (await put(shop, token, sku_id, 1))["version"]
    await put(shop, token, sku_id, 2)
    assert (await check_out(shop, token, cart_version=version)).code == "cart_changed"
    drift = await check_out(shop, token, expected_total={"amount": 1000, "currency": "CNY"})
    assert (drift.status, drift.code, drift.json["params"]["total"]) == (409, "total_changed", {"amount": 2000, "currency": "CNY"})
    assert await held(shop, sku_id) == 0
    assert (await check_out(shop, shop.user()[1])).code == "cart_empty"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"district": ""}, "district"),
        ({"region": " ", "district": ""}, "region, district"),
        ({"country": "US"}, "postal_code"),
        ({"country": "US", "postal_code": "ABC"}, "postal_code"),
        ({"postal_code": "12345"}, "postal_code"),
        ({"country": "XX"}, "country XX"),
    ],
)
async def test_an_address_has_what_its_country_needs(shop, change, reason) -> None:
    _, token = shop.user()
    sku_id = await shop.sku(5)
    await put(shop, token, sku_id, 1)
    refused = await shop.ask("POST", "/v1/checkout", {"ship_to": SHIP_TO | change}, token=token)
    assert (refused.status, refused.code, refused.json["params"]) == (422, "address_invalid", {"reason": reason})
    assert await held(shop, sku_id) == 0


async def test_a_guests_cart_is_merged_once(shop) -> None:
    _, token = shop.user()
    sku_id = await shop.sku(5)
    await put(shop, token, sku_id, 1)
    guest = (await shop.ask("PUT", f"/v1/cart/lines/{sku_id}", {"quantity": 2})).json["guest_token"]
    for _ in range(2):
        merged = await shop.ask("POST", "/v1/cart/merge", {"guest_token": guest}, token=token)
        assert [line["quantity"] for line in merged.json["lines"]] == [3]


async def test_an_order_is_listed_once_the_table_has_come_to_its_position(shop) -> None:
    user_id, token = shop.user()
    shard = shop.client.sharding.shard("order", user_id)
    await shop.pool.execute("INSERT INTO projection_position VALUES ('orders', $1, 0) ON CONFLICT DO NOTHING", shard)
    waiting = asyncio.ensure_future(shop.ask("GET", f"/v1/orders?position={shard}:999999", token=token))
    early = await shop.ask("GET", "/v1/orders", token=token)
    assert early.json == {"orders": [], "next_cursor": None, "behind": False}
    for number in range(3):
        await shop.pool.execute(
            "INSERT INTO orders (order_id, user_id, status, total_amount, currency, sale_id, placed_at_ms, expires_at_ms, shard,"
            " updated_seq, lines) VALUES ($1, $2, 'paid', 5, 'CNY', '', $3, 9, $4, 1, '[]')",
            f"ord_{user_id}{number}", user_id, 1000 + number // 2, shard,
        )  # fmt: skip
    await shop.pool.execute("UPDATE projection_position SET seq = 999999 WHERE projection = 'orders' AND shard = $1", shard)
    found = (await waiting).json
    assert ([order["order_id"][-1] for order in found["orders"]], found["behind"]) == (["2", "1", "0"], False)
    assert (await shop.ask("GET", f"/v1/orders?position={shard}:9999999", token=token)).json["behind"] is True
    first = (await shop.ask("GET", "/v1/orders?limit=2", token=token)).json
    rest = (await shop.ask("GET", f"/v1/orders?limit=2&cursor={first['next_cursor']}", token=token)).json
    assert [order["order_id"][-1] for order in (*first["orders"], *rest["orders"])] == ["2", "1", "0"]
    assert rest["next_cursor"] is None
    foreign = await shop.ask("GET", f"/v1/orders?position={(shard + 1) % 16}:1", token=token)
    assert (foreign.status, foreign.code) == (422, "invalid_request")


async def test_f67_what_is_somebody_elses_is_not_there(shop) -> None:
    _, owner = shop.user()
    order_id = (await ordered(shop, owner))["order_id"]
    for _ in range(20):
        _, thief = shop.user()
        for method, path in (("GET", ""), ("POST", "/pay"), ("POST", "/cancel")):
            refused = await shop.ask(method, f"/v1/orders/{order_id}{path}", token=thief)
            assert (refused.status, refused.code) == (404, "order_unknown")
    assert (await shop.ask("GET", f"/v1/orders/{order_id}", token=owner)).json["status"] == "pending_payment"
    session_id = shop.application.desk.authentication.customer(b"Bearer " + owner.encode(), shop.clock.now_ms()).session_id
    assert (await shop.ask("DELETE", f"/v1/sessions/{session_id}", token=thief)).code == "not_found"
    assert (await shop.ask("GET", "/v1/cart", token=owner)).status == 200


CODE = {"email": "a@example.com", "challenge_id": "chl_" + "0" * 20, "code": "000000"}
PASSKEY = {"id": "AA", "rawId": "AA", "type": "public-key", "response": {"clientDataJSON": "AA", "attestationObject": "AA"}}
CUSTOMERS = [
    ("PUT", "/v1/me/password", {"password": "correct horse battery"}),
    ("POST", "/v1/me/identities", CODE),
    ("POST", "/v1/me/merge", CODE),
    ("GET", "/v1/me", None), ("GET", "/v1/cart/events", None), ("GET", "/v1/sessions", None), ("DELETE", "/v1/sessions", None),
    ("DELETE", "/v1/sessions/current", None), ("GET", "/v1/cart", None),
    ("GET", "/v1/me/identities", None), ("DELETE", "/v1/me/identities/idn_1", None),
    ("GET", "/v1/me/factors", None), ("POST", "/v1/me/factors/totp", {"name": "x"}), ("DELETE", "/v1/me/factors/fac_1", None),
    ("POST", "/v1/me/factors/totp/fac_1/confirm", {"code": "123456"}), ("PUT", "/v1/me/factors/fac_1", {"name": "x"}),
    ("PUT", "/v1/me/factors/sms", None), ("DELETE", "/v1/me/factors/sms", None), ("POST", "/v1/me/factors/recovery-codes", None),
    ("DELETE", "/v1/me/trusted-devices", None),
    ("POST", "/v1/me/passkeys/options", None), ("POST", "/v1/me/passkeys", {"name": "x", "credential": PASSKEY}),
    ("POST", "/v1/me/step-up", {"totp": "123456"}), ("POST", "/v1/me/step-up/passkey-options", None), ("POST", "/v1/me/step-up/sms", None),
    ("DELETE", "/v1/cart/lines/sku_1", None), ("POST", "/v1/cart/merge", {"guest_token": "gst_" + "0" * 20}),
    ("POST", "/v1/checkout", {"ship_to": SHIP_TO}), ("GET", "/v1/orders", None), ("GET", "/v1/orders/ord_1", None),
    ("POST", "/v1/orders/ord_1/pay", None), ("POST", "/v1/orders/ord_1/cancel", None), ("POST", "/v1/flash-sales/sal_1/tickets", None),
    ("POST", "/v1/flash-sales/sal_1/entries", None), ("POST", "/v1/flash-sales/sal_1/orders", {"sku_id": "sku_1", "quantity": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body"), CUSTOMERS)
async def test_every_route_of_customers_asks_who_it_is(shop, method, path, body) -> None:
    user_id, good = shop.user()
    for token, code in (
        ("", "unauthenticated"),
        (good[:-4] + "AAAA", "unauthenticated"),
        (shop.token_of(user_id, roles=16), "unauthenticated"),
        (shop.token_of(user_id, expires_in_ms=-5), "token_expired"),
    ):
        refused = await shop.ask(method, path, body, token=token)
        assert (refused.status, refused.code) == (401, code)
        assert refused.headers["www-authenticate"] == "Bearer"


async def test_every_route_in_that_list_is_one_that_needs_a_login(shop) -> None:
    document = (await shop.ask("GET", "/openapi.json")).json
    guarded = {(method.upper(), path) for path, methods in document["paths"].items() for method, one in methods.items() if one["security"]}
    listed = {
        (
            method,
            path.replace("sku_1", "{sku_id}")
            .replace("ord_1", "{order_id}")
            .replace("sal_1", "{sale_id}")
            .replace("idn_1", "{identity_id}")
            .replace("fac_1", "{factor_id}")
            .replace("current", "{session_id}"),
        )
        for method, path, _ in CUSTOMERS
    }
    # That all of them ask is proven of the whole document, in test_api_permissions.py.
    assert listed - guarded == set()


async def paid(shop, token, order_id, key=""):
    return await shop.ask("POST", f"/v1/orders/{order_id}/pay", token=token, key=key)


async def notify(shop, notice=None, **change):
    (found,) = shop.gateway.take_notices() if notice is None else (notice,)
    headers, body = found
    return await shop.ask(
        "POST", "/v1/hooks/stripe", change.get("body", body), headers={**headers, **change.get("headers", {})}, key=None
    ), found


async def test_an_order_is_paid_when_the_provider_says_so(shop) -> None:
    _, token = shop.user()
    order_id = (await ordered(shop, token))["order_id"]
    payment = await paid(shop, token, order_id, key="the-same-key")
    assert payment.status == 201, payment.body
    assert payment.json["client_secret"]
    assert (await paid(shop, token, order_id, key="the-same-key")).json["payment_id"] == payment.json["payment_id"]
    assert (await paid(shop, token, order_id)).json["payment_id"] == payment.json["payment_id"]
    shop.gateway.take_notices()
    shop.gateway.act(payment.json["payment_id"], "paid")
    assert (await shop.ask("GET", f"/v1/orders/{order_id}", token=token)).json["status"] == "pending_payment"
    answer, _ = await notify(shop)
    assert (answer.status, answer.json) == (200, {"received": True})
    assert (await shop.ask("GET", f"/v1/orders/{order_id}", token=token)).json["status"] == "paid"


async def test_f37_a_webhook_ten_times_at_once_is_one_payment(shop) -> None:
    _, token = shop.user()
    order_id = (await ordered(shop, token))["order_id"]
    payment_id = (await paid(shop, token, order_id)).json["payment_id"]
    shop.gateway.take_notices()
    shop.gateway.act(payment_id, "paid")
    (notice,) = shop.gateway.take_notices()
    answers = await asyncio.gather(*(notify(shop, notice) for _ in range(10)))
    assert {answer.status for answer, _ in answers} == {200}
    found = (await shop.ask("GET", f"/v1/orders/{order_id}", token=token)).json
    assert (found["status"], found["payments"]) == ("paid", {payment_id: "paid"})


async def test_f38_a_webhook_of_an_order_that_is_not_known_yet_is_asked_for_again(shop) -> None:
    user_id, _ = shop.user()
    shop.gateway.take_notices()
    await shop.gateway.create(PaymentRequest(payment_id="pay_early", order_id="ord_early", user_id=user_id, amount=100, currency="CNY"))
    shop.gateway.act("pay_early", "paid")
    for notice in shop.gateway.take_notices():
        answer, _ = await notify(shop, notice)
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")


async def test_f41_a_forged_webhook_changes_nothing(shop) -> None:
    _, token = shop.user()
    order_id = (await ordered(shop, token))["order_id"]
    payment_id = (await paid(shop, token, order_id)).json["payment_id"]
    shop.gateway.take_notices()
    shop.gateway.act(payment_id, "paid")
    (notice,) = shop.gateway.take_notices()
    name = next(iter(notice[0]))
    before = shop.services.counters.webhooks_refused
    altered, _ = await notify(shop, notice, body=notice[1].replace(b"paid", b"PAID"))
    unsigned, _ = await notify(shop, notice, headers={name: "1.00"})
    aged = shop.gateway.sign(notice[1], shop.clock.now_ms() // 1000 - 1000)
    old, _ = await notify(shop, (aged, notice[1]))
    assert [(answer.status, answer.code) for answer in (altered, unsigned, old)] == [
        (401, "signature_invalid"),
        (401, "signature_invalid"),
        (401, "signature_stale"),
    ]
    assert shop.services.counters.webhooks_refused == before + 3
    assert (await shop.ask("GET", f"/v1/orders/{order_id}", token=token)).json["status"] == "pending_payment"


async def test_f42_another_amount_pays_nothing(shop) -> None:
    _, token = shop.user()
    order_id = (await ordered(shop, token))["order_id"]
    payment_id = (await paid(shop, token, order_id)).json["payment_id"]
    shop.gateway.take_notices()
    shop.gateway.act(payment_id, "paid", amount=1)
    answer, _ = await notify(shop)
    assert answer.status == 200
    found = (await shop.ask("GET", f"/v1/orders/{order_id}", token=token)).json
    assert (found["status"], found["payments"]) == ("pending_payment", {payment_id: "questioned"})


async def test_a_cancelled_order_gives_its_units_back_and_says_so_twice(shop) -> None:
    _, token = shop.user()
    sku_id = await shop.sku(3)
    await put(shop, token, sku_id, 2)
    order_id = (await check_out(shop, token)).json["order_id"]
    first = await shop.ask("POST", f"/v1/orders/{order_id}/cancel", token=token, key=None)
    again = await shop.ask("POST", f"/v1/orders/{order_id}/cancel", token=token, key=None)
    assert (first.status, first.json["status"], again.body) == (200, "cancelled", first.body)
    async with asyncio.timeout(2):
        while await held(shop, sku_id):
            pass
    refused = await paid(shop, token, order_id)
    assert (refused.status, refused.code) == (409, "order_state")


async def test_products_come_in_pages_and_unchanged_ones_are_not_sent_again(shop) -> None:
    for _ in range(3):
        await shop.sku(1, category="PAGES")
    first = (await shop.ask("GET", "/v1/products?category=PAGES&limit=2")).json
    rest = (await shop.ask("GET", f"/v1/products?category=PAGES&limit=2&cursor={first['next_cursor']}")).json
    ids = [product["product_id"] for product in (*first["products"], *rest["products"])]
    assert (len(ids), ids, rest["next_cursor"]) == (3, sorted(set(ids)), None)
    page = await shop.ask("GET", f"/v1/products/{ids[0]}")
    assert page.json["titles"].keys() == {"en", "zh-CN"}
    unchanged = await shop.ask("GET", f"/v1/products/{ids[0]}", headers={"If-None-Match": page.headers["etag"]})
    assert (unchanged.status, unchanged.body) == (304, b"")
    assert (await shop.ask("GET", "/v1/products/prd_nobody")).code == "not_found"


async def test_a_sale_page_says_what_is_left(shop) -> None:
    sku_id = await shop.sku()
    sale_id = await shop.sale(sku_id, price=999)
    page = await shop.ask("GET", f"/v1/flash-sales/{sale_id}")
    assert page.status == 200
    assert page.json["skus"] == [{"sku_id": sku_id, "price": {"amount": 999, "currency": "CNY"}, "stock": "sold_out"}]
    assert page.json["state"] == "open"
    later = await shop.sale(sku_id, opens_in_ms=60_000)
    assert (await shop.ask("GET", f"/v1/flash-sales/{later}")).json["state"] == "closed"
    assert (await shop.ask("GET", "/v1/flash-sales/sal_nobody")).code == "sale_unknown"


async def test_the_doors_of_machines_are_open(shop) -> None:
    assert (await shop.ask("GET", "/healthz")).json == {"status": "ok"}
    assert (await shop.ask("GET", "/readyz")).json == {"status": "ok"}
    metrics = await shop.ask("GET", "/metrics")
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert b'stampede_http_requests_total{route="healthz",status="200"}' in metrics.body
    assert (await shop.ask("POST", "/bench/empty", {"any": "thing"})).json == {}
    assert json.loads((await shop.ask("GET", "/openapi.json")).body)["paths"]
