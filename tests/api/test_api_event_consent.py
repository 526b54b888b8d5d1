"""What an account allows of its behaviour events, and that a login takes the guest's events on its terminal along."""

import secrets
from datetime import datetime
from typing import Any

import pytest

from actors.domain.pseudonym import Pseudonyms
from tests.api.test_api_events import ALL_KINDS, batch, send, spooled

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

PATH = "/v1/me/event-consent"
PASSWORD = "correct horse battery staple"
TERMINALS = ("web", "app", "mini_program")
SAID = "SELECT choice, text_version, at_ms, actor FROM event_consent WHERE user_id = $1 ORDER BY consent_id"


def visitor() -> str:
    return "v-" + secrets.token_hex(12)


async def say(shop: Any, token: str, choice: str, text_version: str) -> dict[str, Any]:
    answer = await shop.ask("PUT", PATH, {"choice": choice, "text_version": text_version}, token=token)
    assert answer.status == 200, answer.body
    return answer.json


async def test_who_says_no_on_the_account_has_no_events_kept_on_any_terminal_until_the_next_yes(shop: Any) -> None:
    user_id, token = shop.user()
    _, other = shop.user()
    assert (await shop.ask("GET", PATH, token=token)).json == {"choice": None, "text_version": None, "at": None}
    started_ms = shop.clock.now_ms()
    await say(shop, token, "granted", "2026-11")
    assert (await send(shop, batch(visitor_id=visitor()), token=token)).json["accepted"] == 1
    said = await say(shop, token, "denied", "2026-12")
    assert (await shop.ask("GET", PATH, token=token)).json == said
    assert (said["choice"], said["text_version"]) == ("denied", "2026-12")

    counters, names = shop.services.counters, {terminal: visitor() for terminal in TERMINALS}
    before = counters.events_without_consent
    for terminal, name in names.items():
        answer = await send(shop, batch(ALL_KINDS, visitor_id=name, terminal=terminal), token=token)
        assert (answer.status, answer.json) == (202, {"accepted": 0, "too_old": 0, "consent": "denied", "durable": True})
    assert counters.events_without_consent == before + 3 * len(ALL_KINDS)
    # Somebody else on the same terminal comes after: what was to be kept of the first would be there by now.
    for name in names.values():
        assert (await send(shop, batch(visitor_id=name), token=other)).json["accepted"] == 1
        [kept] = spooled(shop, name)
        assert len(kept.events) == 1

    await say(shop, token, "granted", "2026-12")
    assert (await send(shop, batch(visitor_id=visitor()), token=token)).json["accepted"] == 1
    rows = await shop.pool.fetch(SAID, user_id)
    assert [tuple(row)[:2] for row in rows] == [("granted", "2026-11"), ("denied", "2026-12"), ("granted", "2026-12")]
    times = [row["at_ms"] for row in rows]
    assert [started_ms, *times, shop.clock.now_ms()] == sorted([started_ms, *times, shop.clock.now_ms()])
    assert int(datetime.fromisoformat(said["at"]).timestamp() * 1000) == times[1]
    actor = Pseudonyms(shop.client.sharding.derived_key("events")).actor(user_id)
    assert {row["actor"] for row in rows} == {actor}


WRONG = [
    {"choice": "maybe", "text_version": "2026-11"},
    {"choice": "granted"},
    {"choice": "granted", "text_version": ""},
    {"choice": "granted", "text_version": "a b"},
    {"choice": "granted", "text_version": "x" * 41},
    {"choice": "granted", "text_version": "1", "user_id": "usr_1"},
]


@pytest.mark.parametrize("body", WRONG)
async def test_a_choice_that_is_none_is_refused_and_not_written_down(shop: Any, body: dict[str, str]) -> None:
    user_id, token = shop.user()
    refused = await shop.ask("PUT", PATH, body, token=token)
    assert (refused.status, refused.code) == (422, "invalid_request")
    assert await shop.pool.fetch(SAID, user_id) == []
    assert (await shop.ask("PUT", PATH, {"choice": "granted", "text_version": "1"})).status == 401
    assert (await shop.ask("GET", PATH)).status == 401


LINKS = "SELECT actor, visitor, joined_at_ms FROM visitor_link WHERE user_id = $1"


async def logged_in(shop: Any, email: str, **headers: str) -> Any:
    return await shop.ask("POST", "/v1/sessions", {"email": email, "password": PASSWORD}, headers=headers)


async def test_a_login_that_names_its_terminal_takes_the_guest_s_events_along_unless_the_account_says_no(shop: Any) -> None:
    email = f"kim.{secrets.token_hex(6)}@example.com"
    first = await shop.register({"email": email, "password": PASSWORD})
    user_id, name, names = first["user_id"], visitor(), Pseudonyms(shop.client.sharding.derived_key("events"))
    assert (await logged_in(shop, email)).status == 201
    assert (await logged_in(shop, email, **{"Visitor-Id": name, "Sec-GPC": "1"})).status == 201
    await say(shop, first["access_token"], "denied", "2026-11")
    assert (await logged_in(shop, email, **{"Visitor-Id": name})).status == 201
    assert await shop.pool.fetch(LINKS, user_id) == []

    await say(shop, first["access_token"], "granted", "2026-11")
    before_ms = shop.clock.now_ms()
    assert (await logged_in(shop, email, **{"Visitor-Id": name})).status == 201
    [row] = await shop.pool.fetch(LINKS, user_id)
    assert (row["actor"], row["visitor"]) == (names.actor(user_id), names.visitor(name))
    assert before_ms <= row["joined_at_ms"] <= shop.clock.now_ms()
    # The next login on it is the same terminal, later.
    assert (await logged_in(shop, email, **{"Visitor-Id": name})).status == 201
    [again] = await shop.pool.fetch(LINKS, user_id)
    assert again["joined_at_ms"] >= row["joined_at_ms"]


@pytest.mark.parametrize("name", ["short", "x" * 65, "with a space in it"])
async def test_a_login_with_a_name_that_no_terminal_has_is_refused(shop: Any, name: str) -> None:
    email = f"kim.{secrets.token_hex(6)}@example.com"
    first = await shop.register({"email": email, "password": PASSWORD})
    refused = await logged_in(shop, email, **{"Visitor-Id": name})
    assert (refused.status, refused.code) == (422, "invalid_request")
    assert await shop.pool.fetch(LINKS, first["user_id"]) == []
