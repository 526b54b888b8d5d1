"""Every change of how an account is protected is told to its owner, once, and in the way of nobody."""

import asyncio
import secrets
from collections import Counter
from typing import Any

import pytest
from structlog.testing import capture_logs

from actors.storage.notices import Notices
from tests.api.staff_people import member
from tests.api.test_api_factors import PASSWORD, User, user

# Every account here costs a hash of a password.
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

ANOTHER = "staple battery horse correct"


async def quiet(shop: Any) -> None:
    """No message is under way any more."""
    while under_way := list(shop.application.desk.codes._under_way):
        await asyncio.gather(*under_way, return_exceptions=True)


async def told(shop: Any, to: str) -> Counter[str]:
    """How often each notice went there."""
    await quiet(shop)
    kept = (await shop.ask("GET", "/dev/outbox.json")).json["messages"]
    return Counter(one["template"] for one in kept if one["to"] == to and one["template"] != "code")


async def text(shop: Any, to: str, template: str) -> str:
    await quiet(shop)
    kept = (await shop.ask("GET", "/dev/outbox.json")).json["messages"]
    return next(one["body"] for one in kept if (one["to"], one["template"]) == (to, template))


def phone() -> str:
    return f"+861{secrets.choice('3578')}{secrets.choice('05678')}{secrets.randbelow(10**8):08d}"


async def bind(shop: Any, kim: User, key: str = "", **named: str) -> None:
    proof = await shop.code("bind", token=kim.token, **named)
    for _ in range(2 if key else 1):
        answer = await kim.ask("POST", "/v1/me/identities", proof, key=key)
        assert answer.status == 204, answer.body


async def test_factors_that_are_added_and_removed_and_new_recovery_codes_are_told(shop) -> None:
    kim = await user(shop, device=True)
    assert await told(shop, kim.email) == {"factor_added": 1}
    assert "phone" in await text(shop, kim.email, "factor_added")
    await kim.recovery_codes()
    await kim.recovery_codes()
    for _ in range(2):
        await kim.ask("DELETE", f"/v1/me/factors/{kim.factor_id}")
    assert await told(shop, kim.email) == {"factor_added": 1, "recovery_renewed": 2, "factor_removed": 1}


async def test_a_recovery_code_that_was_used_is_told_with_how_many_are_left(shop) -> None:
    kim = await user(shop, device=True)
    codes = await kim.recovery_codes()
    assert (await kim.step_up(recovery_code=codes[0])).status == 200
    assert (await kim.step_up(recovery_code=codes[0])).status != 200
    assert (await told(shop, kim.email))["recovery_used"] == 1
    assert "9 are left" in await text(shop, kim.email, "recovery_used")


async def test_a_telephone_that_becomes_a_factor_is_told_once_however_often_it_is_asked_for(shop) -> None:
    kim, number = await user(shop), phone()
    await bind(shop, kim, phone=number)
    assert (await kim.step_up(password=PASSWORD)).status == 200
    for method in ("PUT", "PUT", "DELETE", "DELETE"):
        assert (await kim.ask(method, "/v1/me/factors/sms")).status == 204
    found = await told(shop, kim.email)
    assert (found["factor_added"], found["factor_removed"]) == (1, 1)
    assert number not in await text(shop, kim.email, "factor_added")


async def test_a_password_that_was_changed_or_reset_is_told_once_though_the_request_is_repeated(shop) -> None:
    kim = await user(shop)
    change = {"current": PASSWORD, "password": ANOTHER}
    answers = [(await kim.ask("PUT", "/v1/me/password", change)).status for _ in range(2)]
    assert (answers[0], await told(shop, kim.email)) == (204, {"password_changed": 1})
    shop.clock_forward(61_000)
    reset = {**await shop.code("reset_password", email=kim.email), "password": PASSWORD}
    for _ in range(2):
        assert (await shop.ask("POST", "/v1/passwords/reset", reset, key="one-and-the-same")).status == 204
    assert await told(shop, kim.email) == {"password_changed": 2}


async def test_an_address_that_is_added_or_removed_is_told_to_the_old_one_too(shop) -> None:
    kim = await user(shop)
    new = f"new.{secrets.token_hex(6)}@example.com"
    await bind(shop, kim, key="the-same-request", email=new)
    assert (await told(shop, kim.email), await told(shop, new)) == ({"identity_added": 1}, {"identity_added": 1})
    found = (await kim.ask("GET", "/v1/me/identities")).json["identities"]
    old = next(one for one in found if one["shown"].startswith("k"))
    assert (await kim.ask("DELETE", f"/v1/me/identities/{old['identity_id']}")).status == 204
    assert (await kim.ask("DELETE", f"/v1/me/identities/{old['identity_id']}")).status == 404
    assert (await told(shop, kim.email))["identity_removed"] == (await told(shop, new))["identity_removed"] == 1


async def test_an_account_that_had_a_telephone_alone_hears_there_of_its_first_address(shop) -> None:
    number, new, kim = phone(), f"thief.{secrets.token_hex(6)}@example.com", User(shop)
    kim.token = (await shop.ask("POST", "/v1/sessions/code", await shop.code("login", phone=number))).json["access_token"]
    await bind(shop, kim, email=new)
    assert await told(shop, number) == {"identity_added": 1}


async def test_a_new_device_is_told_once_for_each_session(shop) -> None:
    kim = await user(shop)
    for _ in range(2):
        answer = await kim.log_in(key="one-login", headers={"User-Agent": "Telephone"})
        assert answer.status == 201
    assert await told(shop, kim.email) == {"new_device": 1}


async def test_the_end_of_all_sessions_is_told_whoever_ended_them(shop) -> None:
    kim = await user(shop)
    assert (await kim.ask("DELETE", "/v1/sessions")).status == 204
    assert (await kim.ask("DELETE", "/v1/sessions")).status == 401
    assert await told(shop, kim.email) == {"sessions_ended": 1}
    _, support = await member(shop, "support")
    ended = await shop.ask("POST", f"/v1/staff/users/{kim.user_id}/sessions/end", {"reason": "telephone lost"}, token=support)
    assert (ended.status, await told(shop, kim.email)) == (204, {"sessions_ended": 2})


async def test_two_accounts_that_become_one_are_told_at_both_addresses(shop) -> None:
    gone, stays = await user(shop), await user(shop)
    shop.clock_forward(61_000)
    proof = await shop.code("merge", token=gone.token, email=stays.email)
    assert (await gone.ask("POST", "/v1/me/merge", proof)).status == 200
    assert (await told(shop, gone.email))["accounts_merged"] == (await told(shop, stays.email))["accounts_merged"] == 1


async def test_a_change_is_made_though_nobody_can_be_told_of_it(shop, monkeypatch) -> None:
    async def away(self: Notices, notice_id: bytes, now_ms: int) -> bool:
        raise ConnectionError("the table is away")

    kim = await user(shop, device=True)
    await quiet(shop)
    with monkeypatch.context() as patched, capture_logs() as logs:
        patched.setattr(Notices, "claim", away)
        assert len(await kim.recovery_codes()) == 10
        await quiet(shop)
    assert [entry["template"] for entry in logs if entry["event"] == "notice_not_sent"] == ["recovery_renewed"]
    assert "recovery_renewed" not in await told(shop, kim.email)


async def test_the_control_without_the_claim_a_repeat_tells_twice(shop, monkeypatch) -> None:
    async def anybody(self: Notices, notice_id: bytes, now_ms: int) -> bool:
        return True

    monkeypatch.setattr(Notices, "claim", anybody)
    kim = await user(shop)
    shop.clock_forward(61_000)
    reset = {**await shop.code("reset_password", email=kim.email), "password": ANOTHER}
    for _ in range(2):
        await shop.ask("POST", "/v1/passwords/reset", reset, key="one-and-the-same")
    assert await told(shop, kim.email) == {"password_changed": 2}
