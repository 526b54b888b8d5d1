"""Bad input on every endpoint: a problem with a stable code, never a 500, and nothing happens."""

import asyncio
import json

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="session")

SHIP_TO = {"country": "CN", "name": "K", "phone": "13800138000", "line1": "1", "city": "沪", "region": "沪", "district": "静安"}

# method, path, a body that has the right form
BODIES = [
    (
        "POST",
        "/v1/users",
        {"email": "a@example.com", "password": "correct horse battery", "challenge_id": "chl_" + "0" * 20, "code": "000000"},
    ),
    ("POST", "/v1/sessions", {"email": "a@example.com", "password": "correct horse battery"}),
    ("POST", "/v1/sessions/refresh", {"refresh_token": "x"}),
    ("POST", "/v1/flash-sales/sal_1/orders", {"sku_id": "sku_1", "quantity": 1}),
    ("PUT", "/v1/cart/lines/sku_1", {"quantity": 1}),
    ("POST", "/v1/cart/merge", {"guest_token": "gst_" + "0" * 20}),
    ("POST", "/v1/checkout", {"ship_to": SHIP_TO}),
]

NOT_JSON = [
    b"", b"{", b"nonsense", b"\xff\xfe", b'{"a":"\xc3"}', b"[" * 10_000, b'{"a":' * 10_000, b"NaN", b'{"a":NaN}', b'{"a":Infinity}',
    b"'", b'{"a":1,}', b"{}x",
]  # fmt: skip

SHAPES = [[], "text", 1, None, True, {}, {"unknown": 1}]


@pytest.mark.parametrize(("method", "path", "body"), BODIES)
async def test_f53_what_is_no_strict_json_is_refused_before_it_is_read(shop, method, path, body) -> None:
    _, token = shop.user()
    whole = json.dumps(body)
    first = next(iter(body))
    doubled = '{"%s":1,%s' % (first, whole[1:])  # noqa: UP031 (braces)
    texts = [whole[:-1] + r',"more":"\u0000"}', whole[:-1] + r',"more":"\ud800"}', whole[:-1] + ',"more":"\0"}', doubled]
    for text in (*NOT_JSON, *(text.encode() for text in texts)):
        answer = await shop.ask(method, path, text, token=token)
        assert (answer.status, answer.code) in {(400, "malformed_body"), (422, "invalid_request")}, (text[:40], answer.body)
    assert (await shop.ask(method, path, doubled.encode(), token=token)).code == "malformed_body"


@pytest.mark.parametrize(("method", "path", "body"), BODIES)
async def test_f54_wrong_shapes_and_fields_that_are_not_the_clients_are_refused(shop, method, path, body) -> None:
    _, token = shop.user()
    for shape in SHAPES:
        answer = await shop.ask(
            method, path, shape if not isinstance(shape, (list, str, type(None))) else json.dumps(shape).encode(), token=token
        )
        assert (answer.status, answer.code) == (422, "invalid_request"), (shape, answer.body)
    for field in ("price", "role", "roles", "user_id", "total", "status", "unit_price"):
        answer = await shop.ask(method, path, body | {field: 1}, token=token)
        assert (answer.status, answer.code) == (422, "invalid_request"), field
    for field in body:
        for value in (None, [], {}, 1.5, True, [[1]]):
            answer = await shop.ask(method, path, body | {field: value}, token=token)
            assert (answer.status, answer.code) == (422, "invalid_request"), (field, value, answer.body)


@pytest.mark.parametrize(("method", "path", "body"), BODIES)
async def test_f20_a_large_body_is_refused_while_it_is_read(shop, method, path, body) -> None:
    _, token = shop.user()
    large = b'{"a":[' + b"1," * 100_000 + b"1]}"
    assert (await shop.ask(method, path, large, token=token)).code == "body_too_large"

    async def pieces():
        for _ in range(30):
            yield b" " * 4096

    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "k" * 12, "Content-Type": "application/json"}
    async with shop.session.request(method, shop.base + path, data=pieces(), headers=headers) as answer:
        assert (answer.status, (await answer.json(content_type=None))["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(("method", "path", "body"), BODIES)
async def test_only_json_is_taken(shop, method, path, body) -> None:
    _, token = shop.user()
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1", "application/jsonx"):
        answer = await shop.ask(method, path, body, token=token, headers={"Content-Type": kind})
        assert (answer.status, answer.code) == (415, "unsupported_media_type"), kind


QUANTITIES = ["0", "-1", "1.5", "1e309", "NaN", '"1"', "9223372036854775808", "null", "1e0", "true", "1000", "[1]", "-0.0", "1" * 5000]


@pytest.mark.parametrize("quantity", QUANTITIES)
async def test_f51_a_quantity_is_a_whole_number_in_its_limits(shop, quantity) -> None:
    _, token = shop.user()
    sku_id = await shop.sku(5)
    sale_id = await shop.sale(sku_id)
    body = f'{{"sku_id":"{sku_id}","quantity":{quantity}}}'.encode()
    ordered = await shop.ask("POST", f"/v1/flash-sales/{sale_id}/orders", body, token=token)
    assert ordered.code in ("invalid_request", "malformed_body"), ordered.body
    if quantity != "0":  # which removes a line
        line = await shop.ask("PUT", f"/v1/cart/lines/{sku_id}", f'{{"quantity":{quantity}}}'.encode(), token=token)
        assert line.code in ("invalid_request", "malformed_body"), line.body
    assert (await shop.ask("GET", "/v1/cart", token=token)).json["lines"] == []


@pytest.mark.parametrize("amount", ["-1", "0.5", '"1"', "1e400", "10000000000001", "null"])
async def test_f51_money_is_whole_minor_units(shop, amount) -> None:
    _, token = shop.user()
    body = f'{{"sku_id":"sku_1","quantity":1,"expected_total":{{"amount":{amount},"currency":"CNY"}}}}'.encode()
    answer = await shop.ask("POST", "/v1/flash-sales/sal_1/orders", body, token=token)
    assert (answer.status, answer.code) == (422, "invalid_request")


async def test_f52_a_made_up_article_makes_no_cart(shop) -> None:
    _, token = shop.user()
    off = await shop.sku(1, on_shelf=False)
    for name, code in (
        ("sku_nobody", "sku_unknown"),
        ("x", "sku_unknown"),
        ("%00", "not_found"),
        ("sku_%E2%80%AE", "not_found"),
        (off, "sku_not_on_sale"),
    ):
        answer = await shop.ask("PUT", f"/v1/cart/lines/{name}", {"quantity": 1}, token=token)
        assert answer.code == code, (name, answer.body)
    assert (await shop.ask("GET", "/v1/cart", token=token)).json["version"] == 0


WICKED = [
    "'; DROP TABLE orders; --", "%25", "_", "%00", "%0d%0aSet-Cookie:%20a=b", "..%2f..%2fetc", "%F0%9F%9B%92", "%ff", "a" * 3000,
    "%e2%80%ae", "\\",
]  # fmt: skip

PATHS = [
    ("GET", "/v1/products/{}"), ("GET", "/v1/products?cursor={}"), ("GET", "/v1/products?category={}"), ("GET", "/v1/products?limit={}"),
    ("GET", "/v1/flash-sales/{}"), ("POST", "/v1/flash-sales/{}/tickets"), ("POST", "/v1/flash-sales/{}/entries"),
    ("GET", "/v1/orders/{}"), ("GET", "/v1/orders?cursor={}"), ("GET", "/v1/orders?position={}"), ("GET", "/v1/orders?limit={}"),
    ("POST", "/v1/orders/{}/pay"), ("POST", "/v1/orders/{}/cancel"), ("DELETE", "/v1/sessions/{}"), ("DELETE", "/v1/cart/lines/{}"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_f55_injections_are_texts_that_name_nothing(shop, method, path) -> None:
    _, token = shop.user()
    for text in WICKED:
        answer = await raw(shop, method, path.format(text.replace(" ", "%20")), token)
        assert answer[0] in (200, 400, 404, 409, 422, 431), (text, answer)
        if answer[0] >= 400 and answer[1]:
            assert json.loads(answer[1])["code"] != "internal_error"
        assert b"set-cookie" not in answer[2].lower()


async def raw(shop, method: str, target: str, token: str, extra: bytes = b"") -> tuple[int, bytes, bytes]:
    """A request whose target no client library has tidied up."""
    host, port = shop.base.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"{method} {target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nIdempotency-Key: {'k' * 20}\r\n".encode()
        + extra + b"Connection: close\r\n\r\n"
    )  # fmt: skip
    data = await reader.read()
    writer.close()
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), body if b"chunked" not in head else b"", head


async def test_f55_a_request_id_comes_back_only_when_it_is_one(shop) -> None:
    kept = await shop.ask("GET", "/healthz", headers={"X-Request-Id": "abc-123"})
    assert kept.headers["x-request-id"] == "abc-123"
    for strange in ("a b", "x" * 65, "é", "a;b"):
        answer = await shop.ask("GET", "/healthz", headers={"X-Request-Id": strange})
        assert answer.headers["x-request-id"] != strange


async def test_f56_a_giant_head_is_refused(shop) -> None:
    _, token = shop.user()
    many = b"".join(b"x-%d: 1\r\n" % number for number in range(200))
    assert (await raw(shop, "GET", "/v1/cart", token, many))[0] == 431
    assert (await raw(shop, "GET", "/v1/cart", token, b"x-big: " + b"y" * 20_000 + b"\r\n"))[0] == 431


async def test_an_unknown_path_and_a_wrong_method_are_problems(shop) -> None:
    assert (await shop.ask("GET", "/v1/nothing")).code == "not_found"
    for method, path in (
        ("PUT", "/v1/orders"),
        ("DELETE", "/v1/products"),
        ("POST", "/v1/products/prd_1"),
        ("GET", "/v1/flash-sales/sal_1/orders"),
        ("POST", "/healthz"),
    ):
        answer = await shop.ask(method, path)
        assert (answer.status, answer.code) == (405, "method_not_allowed"), (method, path)


@pytest.mark.parametrize("limit", ["0", "-1", "101", "x", "1.5", "", "9" * 30, "%D9%A3"])
async def test_limits_of_pages_are_checked(shop, limit) -> None:
    _, token = shop.user()
    for path in ("/v1/products", "/v1/orders"):
        answer = await raw(shop, "GET", f"{path}?limit={limit}", token)
        assert (answer[0], json.loads(answer[1])["code"]) == (422, "invalid_request"), (path, answer)
