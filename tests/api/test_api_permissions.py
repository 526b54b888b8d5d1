"""Who may ask what: the matrix of every route and every role, made from the document; and what is somebody else's is not there."""

import json
import re
import secrets
from typing import Any

import pytest
import structlog
from litestar import get

from actors.domain.staff import allows, role_bits
from actors.domain.token import Role
from schemas.permissions import GRANTABLE, PERMISSIONS, SHOPPERS
from serve.application import HANDLERS
from serve.ops.operations import HOT, SAID
from serve.permissions import Undeclared, check_declared
from tests.api.staff_people import account, firm, member, token

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOME = {
    "country": "CN", "name": "李雷", "phone": "+86 13800138000", "line1": "中关村大街1号", "region": "北京市", "city": "北京市",
    "district": "海淀区",
}  # fmt: skip
SAMPLES = {
    "user_id": "usr_nobody", "order_id": "ord_nobody", "address_id": "adr_nobody", "export_id": "exp_nobody", "factor_id": "fac_nobody",
    "identity_id": "idn_nobody", "session_id": "ses_nobody", "sku_id": "sku_nobody", "sale_id": "sal_nobody", "product_id": "prd_nobody",
    "item_id": "mal_nobody", "merchant_id": "mer_nobody", "role": "support",
    "category_id": "cat_nobody", "brand_id": "brd_nobody", "number": "1",
}  # fmt: skip
BESIDE = {"staff.factors"}
"""Permissions that an operation asks for beside its own, where the account is of the staff."""

STREAMS = {"watchCart"}
"""Answers that do not end by themselves."""


def operations() -> list[tuple[str, str, str]]:
    """(method, path, operation) of everything that is served."""
    found = [(hot.method.upper(), hot.path, hot.operation_id) for hot in HOT]
    for handler in HANDLERS:
        [method] = [name for name in handler.http_methods if name != "OPTIONS"]
        found += [(method, re.sub(r":\w+}", "}", path), handler.operation_id) for path in handler.paths]
    return sorted(found, key=lambda one: one[2])


def filled(path: str, ids: dict[str, str] = SAMPLES) -> str:
    return re.sub(r"{(\w+)}", lambda name: ids.get(name[1], f"x_{name[1]}"), path)


async def asked(shop: Any, method: str, path: str, bearer: str, body: Any = None) -> Any:
    sent = {} if body is None and method in ("POST", "PUT") else body
    return await shop.ask(method, filled(path), sent, token=bearer)


async def test_every_route_says_who_may_use_it_and_every_permission_is_used() -> None:
    served = {name for _, _, name in operations()}
    assert {name for name in served if SAID[name].who not in PERMISSIONS} == set()
    assert {SAID[name].who for name in served} == set(PERMISSIONS) - BESIDE
    for row in PERMISSIONS.values():
        assert row.en.isascii()
        assert re.search(r"[\u4e00-\u9fff]", row.zh)


async def test_a_route_that_does_not_say_who_may_use_it_keeps_the_application_from_being_built(monkeypatch) -> None:
    @get("/v1/open-by-mistake")
    async def open_by_mistake() -> None:
        return None

    check_declared(handler.operation_id or str(handler) for handler in HANDLERS)
    with pytest.raises(Undeclared, match="open_by_mistake"):
        check_declared(handler.operation_id or str(handler) for handler in (*HANDLERS, open_by_mistake))
    monkeypatch.setitem(SAID, "placeFlashOrder", SAID["placeFlashOrder"]._replace(who=""))
    with pytest.raises(Undeclared, match="placeFlashOrder"):
        check_declared([])
    for who in ("role.invented", "role.read"):
        monkeypatch.setitem(SAID, "placeFlashOrder", SAID["placeFlashOrder"]._replace(who=who))
        with pytest.raises(Undeclared, match="placeFlashOrder"):
            check_declared([])


@pytest.mark.slow
@pytest.mark.parametrize("role", ["customer", *GRANTABLE])
async def test_the_matrix_each_role_is_let_in_where_it_has_the_permission_and_nowhere_else(shop, role: str) -> None:
    held = [] if role == "customer" else [role]
    user_id, _ = await member(shop, *held)
    bits = int(Role.CUSTOMER) | role_bits([role])
    wrong = []
    for method, path, operation in operations():
        if operation in STREAMS:
            continue
        # A session for each: some of them end the one that asks.
        answer = await asked(shop, method, path, token(shop, user_id, *held))
        let_in = not (answer.status == 403 and answer.code == "forbidden")
        may = allows(bits, SAID[operation].who)
        if let_in is not may or answer.status in (401, 500) or (not may and answer.status < 400):
            wrong.append((operation, answer.status, answer.body))
    assert [one for one in wrong if one[0] not in ("refreshSession", "logIn", "stripeWebhook")] == []


@pytest.mark.slow
async def test_the_matrix_whoever_has_no_good_token_is_told_to_log_in_on_every_route_that_is_not_public(shop) -> None:
    user_id, good = shop.user()
    bad = {
        "": "unauthenticated",
        good[:-4] + "AAAA": "unauthenticated",
        shop.token_of(user_id, roles=16): "unauthenticated",
        shop.token_of(user_id, expires_in_ms=-5): "token_expired",
    }
    for method, path, operation in operations():
        for bearer, code in bad.items():
            if SAID[operation].who in ("public", "anyone") or (not bearer and operation == "putCartLine"):  # who is nobody becomes a guest
                continue
            body = {"quantity": 1} if operation == "putCartLine" else {}
            sent = {"guest_token": "gst_" + "0" * 20} if operation == "mergeCart" else body
            answer = await asked(shop, method, path, bearer, sent if method in ("POST", "PUT") else None)
            assert (operation, answer.status, answer.code) == (operation, 401, code)
            assert answer.headers["www-authenticate"] == "Bearer"


async def test_the_document_says_which_permission_an_operation_takes(shop) -> None:
    document = (await shop.ask("GET", "/openapi.json")).json
    for methods in document["paths"].values():
        for one in methods.values():
            assert one["x-permission"] == SAID[one["operationId"]].who


# --- row 68 -------------------------------------------------------------------------------------------


async def test_f68_a_customer_on_a_route_of_the_staff_is_refused_counted_and_logged(shop) -> None:
    user_id = await account(shop)
    bearer = token(shop, user_id)
    staff = [one for one in operations() if SAID[one[2]].who not in SHOPPERS]
    assert len(staff) >= 16
    before = dict(shop.services.counters.staff_refused)
    with structlog.testing.capture_logs() as lines:
        for method, path, _ in staff:
            answer = await asked(shop, method, path, bearer)
            assert (answer.status, answer.code) == (403, "forbidden")
    told = [line for line in lines if line["event"] == "staff_route_refused"]
    assert [line["operation"] for line in told] == [operation for _, _, operation in staff]
    assert {line["user_id"] for line in told} == {user_id}
    for _, _, operation in staff:
        assert shop.services.counters.staff_refused[operation] == before.get(operation, 0) + 1
    text = (await shop.ask("GET", "/metrics")).body.decode()
    assert 'stampede_http_staff_refused_total{operation="grantRole"}' in text


async def test_f68_a_token_that_says_more_than_the_table_opens_nothing(shop) -> None:
    """A role that was taken away a moment ago, on another replica: the token still has its bit."""
    user_id = await account(shop)
    bearer = token(shop, user_id, *(role for role in GRANTABLE if role != "merchant"), "merchant")
    for method, path, operation in operations():
        if SAID[operation].who not in SHOPPERS:
            answer = await asked(shop, method, path, bearer)
            assert (operation, answer.status, answer.code) == (operation, 403, "forbidden")


# --- row 67 -------------------------------------------------------------------------------------------


PUBLIC_IDS = {"item_id", "sku_id", "sale_id", "product_id", "provider"}
"""Names of what everybody may see or take part in."""

BODIES = {"changeAddress": HOME, "payOrder": {}, "cancelOrder": {}, "confirmTotp": {"code": "123456"}, "renameFactor": {"name": "x"}}


async def belongings(shop: Any) -> dict[str, str]:
    """One of each thing that a customer has, of a customer of their own."""
    person = {"email": f"kim.{secrets.token_hex(6)}@example.com", "password": "correct horse battery staple"}
    await shop.register(person)
    session = (await shop.ask("POST", "/v1/sessions", person)).json
    bearer = session["access_token"]
    sku_id = await shop.sku(5)
    await shop.ask("PUT", f"/v1/cart/lines/{sku_id}", {"quantity": 1}, token=bearer)
    ordered = await shop.ask("POST", "/v1/checkout", {"ship_to": HOME}, token=bearer)
    assert ordered.status == 201, ordered.body
    address = await shop.ask("POST", "/v1/me/addresses", HOME, token=bearer)
    assert address.status == 201, address.body
    proven = token(shop, session["user_id"])
    factor = await shop.ask("POST", "/v1/me/factors/totp", {"name": "phone"}, token=proven)
    assert factor.status == 201, factor.body
    return {
        "factor_id": factor.json["factor_id"],
        "order_id": ordered.json["order_id"],
        "address_id": address.json["address_id"],
        "session_id": session["session_id"],
        "identity_id": (await shop.ask("GET", "/v1/me/identities", token=bearer)).json["identities"][0]["identity_id"],
        "export_id": (await shop.ask("POST", "/v1/me/export", token=bearer)).json["export_id"],
    }


@pytest.mark.slow
async def test_f67_every_id_of_somebody_else_is_unknown_on_every_route(shop) -> None:
    theirs = await belongings(shop)
    _, bearer = shop.user()
    tried = set()
    for method, path, operation in operations():
        names = set(re.findall(r"{(\w+)}", path)) - PUBLIC_IDS
        if SAID[operation].who != "customer" or not names:
            continue
        assert names <= theirs.keys(), f"{operation}: make one of somebody else's in belongings()"
        body = BODIES.get(operation) if method in ("POST", "PUT") else None
        answer = await shop.ask(method, filled(path, theirs), body, token=bearer)
        assert (operation, answer.status) == (operation, 404), answer.body
        tried |= names
    assert tried == theirs.keys()


@pytest.mark.slow
async def test_f67_control_the_same_ids_are_known_to_their_owner(shop) -> None:
    person = {"email": f"kim.{secrets.token_hex(6)}@example.com", "password": "correct horse battery staple"}
    await shop.register(person)
    bearer = (await shop.ask("POST", "/v1/sessions", person)).json["access_token"]
    address = await shop.ask("POST", "/v1/me/addresses", HOME, token=bearer)
    assert (await shop.ask("GET", f"/v1/me/addresses/{address.json['address_id']}", token=bearer)).status == 200


async def bought(shop: Any, *skus: str) -> str:
    """An order of these articles, as the table of orders has it."""
    user_id, bearer = shop.user()
    for sku_id in skus:
        await shop.ask("PUT", f"/v1/cart/lines/{sku_id}", {"quantity": 2}, token=bearer)
    ordered = await shop.ask("POST", "/v1/checkout", {"ship_to": HOME}, token=bearer)
    assert ordered.status == 201, ordered.body
    lines = [{"sku_id": s, "quantity": 2, "unit_price": 1999, "stock_key": s + "#0"} for s in skus]
    await shop.pool.execute(
        "INSERT INTO orders VALUES ($1, $2, 'paid', 100, 'CNY', '', $3, $3, 0, 1, $4)",
        ordered.json["order_id"], user_id, shop.clock.now_ms(), json.dumps(lines),
    )  # fmt: skip
    return ordered.json["order_id"]


async def sold_by(shop: Any, merchant_id: str) -> str:
    sku_id = await shop.sku(50)
    await shop.pool.execute("UPDATE sku SET merchant_id = $2 WHERE sku_id = $1", sku_id, merchant_id)
    await shop.pool.execute("UPDATE product SET merchant_id = $2 WHERE product_id = 'prd_' || substr($1, 5)", sku_id, merchant_id)
    return sku_id


@pytest.mark.slow
async def test_f67_a_merchant_sees_own_goods_and_own_lines_and_nothing_of_another_firm(shop) -> None:
    one, other = await firm(shop), await firm(shop)
    own, foreign, plain = await sold_by(shop, one), await sold_by(shop, other), await shop.sku(50)
    mixed, theirs = await bought(shop, own, foreign, plain), await bought(shop, foreign)
    _, bearer = await member(shop, "merchant", merchant_id=one)
    _, rival = await member(shop, "merchant", merchant_id=other)
    goods = (await shop.ask("GET", "/v1/merchant/products", token=bearer)).json
    assert [product["product_id"] for product in goods["products"]] == ["prd_" + own[4:]]
    seen = (await shop.ask("GET", "/v1/merchant/orders", token=bearer)).json["orders"]
    assert [(order["order_id"], [line["sku_id"] for line in order["lines"]]) for order in seen] == [(mixed, [own])]
    assert "user_id" not in seen[0]
    seen = (await shop.ask("GET", "/v1/merchant/orders?limit=1", token=rival)).json
    assert [(order["order_id"], [line["sku_id"] for line in order["lines"]]) for order in seen["orders"]] == [(theirs, [foreign])]
    more = seen["next_cursor"]
    rest = (await shop.ask("GET", f"/v1/merchant/orders?limit=1&cursor={more}", token=rival)).json["orders"]
    assert [(order["order_id"], [line["sku_id"] for line in order["lines"]]) for order in rest] == [(mixed, [foreign])]
    stolen = await shop.ask("GET", f"/v1/merchant/orders?limit=1&cursor={more}", token=bearer)
    assert (stolen.status, stolen.code) == (422, "invalid_request")
