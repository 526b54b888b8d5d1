"""Sign in with Apple beside the browser: logins of an app of ours, and what Apple's server tells by itself."""

import json
import secrets
from typing import Any

import pytest

from tests.api.test_api_notices import told
from tests.api.test_api_third_party import Walk, one_walk, somebody, walk

__all__ = ["one_walk", "walk"]

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]


async def native(walk: Walk, who: str, *, token: str = "", **twist: Any) -> Any:
    begun = await walk.begin("apple", token=token, **({"purpose": "link"} if token else {}))
    id_token = await walk.control.apple_native(twist.pop("nonce", begun["nonce"]), who, **twist)
    body = {"state": begun["state"], "login_secret": begun["login_secret"], "id_token": id_token}
    return body, await walk.shop.ask("POST", "/v1/logins/apple/native", body, token=token, key=None)


async def notify(walk: Walk, kind: str, who: str, **more: Any) -> tuple[bytes, Any]:
    body = json.dumps({"payload": await walk.control.apple_told(kind, who, **more)}).encode()
    return body, await post(walk, body)


async def post(walk: Walk, body: bytes) -> Any:
    return await walk.shop.ask("POST", "/v1/hooks/apple/notifications", body, key=None)


async def linked(walk: Walk, who: str) -> tuple[str, str]:
    """An account with an address, and Apple beside it; its address and token."""
    address = f"kim.{secrets.token_hex(6)}@example.com"
    token = (await walk.shop.register({"email": address, "password": "correct horse battery staple"}))["access_token"]
    assert (await walk.link("apple", who, token)).status == 200
    return address, token


async def kinds(walk: Walk, address: str) -> list[str]:
    opened = await walk.shop.ask("POST", "/v1/sessions", {"email": address, "password": "correct horse battery staple"})
    return sorted(one["kind"] for one in await walk.identities(opened.json["access_token"]))


async def test_an_app_logs_the_same_person_in_as_the_page_does(walk: Walk) -> None:
    who = somebody()
    on_page = await walk.tokens("apple", who)
    body, in_app = await native(walk, who)
    assert (in_app.status, in_app.json["tokens"]["user_id"]) == (200, on_page["user_id"])
    again = await walk.shop.ask("POST", "/v1/logins/apple/native", body, key=None)
    assert (again.status, again.code) == (409, "state_invalid")


@pytest.mark.parametrize(
    "twist", [{"nonce": "of another login"}, *({"twist": name} for name in ("audience", "issuer", "expired", "forged"))]
)
async def test_an_app_s_token_that_is_not_for_this_login_opens_nothing(walk: Walk, twist: dict[str, str]) -> None:
    before = await walk.accounts()
    _, answer = await native(walk, somebody(), **twist)
    assert (answer.status, answer.code, await walk.accounts()) == (403, "login_denied", before)


async def test_a_token_for_the_website_is_none_for_the_app_and_the_app_links_too(walk: Walk) -> None:
    address, token = await linked(walk, somebody())
    _, answer = await native(walk, somebody(), token=token)
    assert (answer.status, answer.json["purpose"]) == (200, "link")
    assert await kinds(walk, address) == ["apple", "apple", "email"]


@pytest.mark.parametrize("kind", ["consent-revoked", "account-delete"])
async def test_who_takes_the_leave_back_is_logged_out_and_not_logged_in_by_it_any_more(walk: Walk, kind: str) -> None:
    who = somebody()
    address, token = await linked(walk, who)
    body, answer = await notify(walk, kind, who)
    assert (answer.status, answer.json) == (200, {"received": True})
    assert (await walk.shop.ask("GET", "/v1/me", token=token)).code == "token_revoked"
    assert await kinds(walk, address) == ["email"]
    assert (await told(walk.shop, address))["identity_removed"] == 1
    opened = await walk.shop.ask("POST", "/v1/sessions", {"email": address, "password": "correct horse battery staple"})
    assert (await walk.link("apple", who, opened.json["access_token"])).status == 200
    # Somebody has kept the notification, and sends it again.
    assert (await post(walk, body)).status == 200
    assert await kinds(walk, address) == ["apple", "email"]
    assert (await walk.shop.ask("GET", "/v1/me", token=opened.json["access_token"])).status == 200


async def test_the_only_way_in_stays_and_its_sessions_end(walk: Walk) -> None:
    who = somebody()
    tokens = await walk.tokens("apple", who)
    assert (await notify(walk, "consent-revoked", who))[1].status == 200
    assert (await walk.shop.ask("GET", "/v1/me", token=tokens["access_token"])).code == "token_revoked"
    assert (await walk.tokens("apple", who))["user_id"] == tokens["user_id"]


@pytest.mark.parametrize("kind", ["email-enabled", "email-disabled", "something-new"])
async def test_what_is_no_end_is_taken_and_changes_nothing(walk: Walk, kind: str) -> None:
    who = somebody()
    tokens = await walk.tokens("apple", who)
    assert (await notify(walk, kind, who))[1].status == 200
    assert (await walk.shop.ask("GET", "/v1/me", token=tokens["access_token"])).status == 200


@pytest.mark.parametrize(
    "wrong", [{"twist": "audience"}, {"twist": "issuer"}, {"twist": "forged"}, {"twist": "key"}, {"twist": "future"}, {"age_s": 8 * 86_400}]
)
async def test_a_notification_that_is_not_apple_s_or_not_ours_or_old_ends_nothing(walk: Walk, wrong: dict[str, Any]) -> None:
    who = somebody()
    tokens = await walk.tokens("apple", who)
    _, answer = await notify(walk, "consent-revoked", who, **wrong)
    assert (answer.status, answer.code) == (401, "signature_stale" if "age_s" in wrong else "signature_invalid")
    assert (await walk.shop.ask("GET", "/v1/me", token=tokens["access_token"])).status == 200


async def test_nonsense_is_refused_and_a_shop_without_apple_offers_nothing(walk: Walk, shop: Any) -> None:
    for body in (b"", b"{}", b'{"payload": "a.b.c"}', b'{"payload": 1}', b"\xff"):
        assert (await post(walk, body)).code == "signature_invalid"
    answer = await shop.ask("POST", "/v1/hooks/apple/notifications", b"{}", key=None)
    assert (answer.status, answer.code) == (404, "login_not_offered")


async def test_when_apple_s_keys_cannot_be_had_it_is_to_tell_again(walk: Walk) -> None:
    apple = walk.shop.services.logins.apple
    apple._keys, apple._keys_at_s, apple._asked_at_s = {}, -(10**9), -(10**9)
    await walk.control.fault(kind="refuse", operation="apple.keys", status=503)
    who = somebody()
    body, answer = await notify(walk, "consent-revoked", who)
    assert (answer.status, answer.code) == (503, "provider_unavailable")
    apple._asked_at_s = -(10**9)
    assert (await post(walk, body)).status == 200
