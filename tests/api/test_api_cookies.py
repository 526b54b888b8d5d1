"""Sessions in cookies: for pages of this shop alone."""

import secrets

import pytest

from schemas.settings import Settings
from serve.cookies import Cookies
from serve.requests import Refusal, Request

pytestmark = pytest.mark.asyncio(loop_scope="session")

PASSWORD = "correct horse battery staple"


async def browser(shop) -> dict[str, str]:
    """Log in as a page does; answers the cookies by name."""
    person = {"email": f"kim.{secrets.token_hex(6)}@example.com", "password": PASSWORD}
    await shop.register(person)
    answer = await shop.ask("POST", "/v1/sessions", person | {"cookie": True})
    assert answer.status == 201, answer.body
    assert (answer.json["access_token"], answer.json["refresh_token"]) == (None, None)
    given = answer.headers.getall("set-cookie")
    assert all("HttpOnly" in cookie and "SameSite=Lax" in cookie and "Secure" in cookie for cookie in given)
    return dict(cookie.partition(";")[0].split("=", 1) for cookie in given)


def header(cookies: dict[str, str], **more: str) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()), **more}


async def test_a_page_is_known_by_its_cookie(shop) -> None:
    cookies = await browser(shop)
    assert sorted(cookies) == ["__Host-stampede", "__Secure-stampede-refresh"]
    assert (await shop.ask("GET", "/v1/sessions", headers=header(cookies))).status == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "", None, "http://127.0.0.1.evil.example"])
async def test_f65_a_cookie_changes_nothing_for_a_page_of_another_site(shop, origin: str | None) -> None:
    cookies = await browser(shop)
    more = {} if origin is None else {"Origin": origin}
    for method, path, body in (
        ("PUT", "/v1/cart/lines/sku_1", {"quantity": 1}),
        ("DELETE", "/v1/sessions", None),
        ("POST", "/v1/sessions/refresh", {}),
    ):
        refused = await shop.ask(method, path, body, headers=header(cookies, **more))
        assert (refused.status, refused.code) == (403, "csrf_refused")
    assert (await shop.ask("GET", "/v1/sessions", headers=header(cookies))).status == 200


async def test_f65_control_the_same_cookie_changes_things_for_a_page_of_this_shop(shop) -> None:
    cookies, sku_id = await browser(shop), await shop.sku(5)
    own = shop.base
    put = await shop.ask("PUT", f"/v1/cart/lines/{sku_id}", {"quantity": 1}, headers=header(cookies, Origin=own))
    assert put.status == 200
    assert put.json["guest_token"] is None
    refreshed = await shop.ask("POST", "/v1/sessions/refresh", {}, headers=header(cookies, **{"Sec-Fetch-Site": "same-origin"}))
    assert refreshed.status == 200
    newer = dict(cookie.partition(";")[0].split("=", 1) for cookie in refreshed.headers.getall("set-cookie"))
    ended = await shop.ask("DELETE", "/v1/sessions/current", headers=header(newer, Origin=own))
    assert ended.status == 204
    assert all("Max-Age=0" in cookie for cookie in ended.headers.getall("set-cookie"))
    assert (await shop.ask("GET", "/v1/sessions", headers=header(newer))).code == "token_revoked"


async def test_a_flash_order_may_come_from_a_page_as_well(shop) -> None:
    cookies, sku_id = await browser(shop), await shop.sku(5)
    sale_id = await shop.sale(sku_id)
    body = {"sku_id": sku_id, "quantity": 1}
    path = f"/v1/flash-sales/{sale_id}/orders"
    assert (await shop.ask("POST", path, body, headers=header(cookies, Origin="https://evil.example"))).code == "csrf_refused"
    assert (await shop.ask("POST", path, body, headers=header(cookies, Origin=shop.base))).status == 201


def request(**headers: str) -> Request:
    found = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": found}, b"r")


async def test_named_origins_are_pages_of_this_shop_too() -> None:
    cookies = Cookies(Settings(web_origins="https://shop.example, https://m.shop.example/", cookie_secure=False))
    for origin in ("https://shop.example", "https://m.shop.example"):
        assert cookies.credential(request(cookie="a=b; stampede=T", origin=origin, host="api.example")) == b"Bearer T"
    with pytest.raises(Refusal, match="csrf_refused"):
        cookies.credential(request(cookie="stampede=T", origin="https://shop.example.evil", host="api.example"))
    assert cookies.credential(request(cookie="xstampede=T", host="api.example")) is None
    assert cookies.credential(request(authorization="Bearer A", cookie="stampede=T")) == b"Bearer A"
