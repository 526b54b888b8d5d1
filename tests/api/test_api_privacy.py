"""A copy of everything about oneself, and to be forgotten: sessions end at once, a login is a change of mind, the books stay whole."""

import asyncio
import contextlib
import io
import json
import secrets
import zipfile
from typing import Any

import msgspec
import pytest

from actors.owners.door import Door
from actors.storage.personal_data import PersonalData
from actors.storage.privacy import TRIES_MAX, StaffAccount, erase_due
from schemas.envelope import Answer, Call
from schemas.identity import ProvenIdentity
from serve import privacy_work
from serve.privacy_copy import COPY_BYTES_MAX, copy_of, page
from serve.shop.sessions import sessions_of
from serve.sms_factor import factors_of
from tests.api.staff_people import MACHINE_ACTOR, member, token
from tests.api.test_api_factors import user

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

PASSWORD = "correct horse battery staple"
HOME = {"country": "CN", "name": "李雷", "phone": "+86 13800138000", "line1": "<b>中关村大街1号</b>", "region_code": "110108"}


async def person(shop: Any) -> tuple[str, str, str]:
    """(user id, access token, address) of somebody who has registered and logged in."""
    email = f"kim.{secrets.token_hex(6)}@example.com"
    await shop.register({"email": email, "password": PASSWORD})
    answer = (await shop.ask("POST", "/v1/sessions", {"email": email, "password": PASSWORD})).json
    return answer["user_id"], answer["access_token"], email


async def made(shop: Any, bearer: str, export_id: str) -> dict[str, Any]:
    """The export, once whichever worker took it has made it."""
    for _ in range(200):
        await shop.application.privacy_work.copy_one()
        found = (await shop.ask("GET", f"/v1/me/exports/{export_id}", token=bearer)).json
        if found["state"] != "waiting":
            return found
    raise AssertionError("nobody made the export")


async def bought(shop: Any, bearer: str) -> str:
    sku_id = await shop.sku(5)
    await shop.ask("POST", "/v1/me/addresses", HOME, token=bearer)
    await shop.ask("PUT", f"/v1/cart/lines/{sku_id}", {"quantity": 1}, token=bearer)
    [address, *_] = (await shop.ask("GET", "/v1/me/addresses", token=bearer)).json["addresses"]
    answer = await shop.ask("POST", "/v1/checkout", {"address_id": address["address_id"]}, token=bearer)
    assert answer.status == 201, answer.body
    return answer.json["order_id"]


async def due(shop: Any, user_id: str) -> None:
    await shop.pool.execute("UPDATE erasure SET due_at = now() - interval '1 second' WHERE user_id = $1", user_id)


# --- a copy -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("language", "title"), [("en", "Everything about you"), ("zh-CN", "您的全部数据")])
async def test_a_copy_has_everything_as_json_and_as_a_page_in_the_reader_s_language(shop, language: str, title: str) -> None:
    user_id, bearer, email = await person(shop)
    await bought(shop, bearer)
    _, support = await member(shop, "support")
    await shop.ask("POST", f"/v1/staff/users/{user_id}/unmask", {"reason": "ticket 7", "fields": ["identities"]}, token=support)
    await shop.ask("PUT", "/v1/me/event-consent", {"choice": "denied", "text_version": "2026-11"}, token=bearer)
    asked = await shop.ask("POST", "/v1/me/export", token=bearer, headers={"Accept-Language": language})
    assert (asked.status, asked.json["state"]) == (202, "waiting")
    assert (await made(shop, bearer, asked.json["export_id"]))["state"] == "done"
    proven = token(shop, user_id)
    answer = await shop.ask("GET", f"/v1/me/exports/{asked.json['export_id']}/file", token=proven)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/zip")
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        assert sorted(archive.namelist()) == ["data.json", "events.jsonl", "index.html"]
        data, html = json.loads(archive.read("data.json")), archive.read("index.html").decode()
        events = archive.read("events.jsonl")
    assert data["account"][0]["user_id"] == user_id
    assert [one["subject"] for one in data["identities"]] == [email]
    assert [one["address"]["line1"] for one in data["addresses"]] == ["<b>中关村大街1号</b>"]
    open_ones = {view.session_id for view in (await sessions_of(shop.application.desk, user_id)).sessions}
    assert {one["session_id"] for one in data["sessions"]} == open_ones
    assert [one["permission"] for one in data["staff_actions"]] == ["person.unmask"]
    assert [(one["choice"], one["text_version"]) for one in data["event_consent"]] == [("denied", "2026-11")]
    assert events == b""
    assert title in html
    assert "&lt;b&gt;中关村大街1号" in html
    assert "<b>" not in html


async def test_a_copy_is_its_owner_s_after_a_second_factor_and_for_seven_days(shop) -> None:
    user_id, bearer, _ = await person(shop)
    _, other, _ = await person(shop)
    export_id = (await shop.ask("POST", "/v1/me/export", token=bearer)).json["export_id"]
    path = f"/v1/me/exports/{export_id}"
    await made(shop, bearer, export_id)
    assert (await shop.ask("GET", f"{path}/file", token=bearer)).code == "step_up_required"
    for foreign in (path, f"{path}/file"):
        assert (await shop.ask("GET", foreign, token=other)).code == "export_unknown"
    sealed = await shop.pool.fetchval("SELECT sealed FROM privacy_export WHERE export_id = $1", export_id)
    assert b"data.json" not in sealed
    days = await shop.pool.fetchval("SELECT expires_at - now() FROM privacy_export WHERE export_id = $1", export_id)
    assert 6.9 < days.total_seconds() / 86_400 <= 7
    await shop.pool.execute("UPDATE privacy_export SET expires_at = now() WHERE export_id = $1", export_id)
    proven = token(shop, user_id)
    for gone in (path, f"{path}/file"):
        assert (await shop.ask("GET", gone, token=proven)).code == "export_unknown"
    await shop.application.privacy_work.forget()
    assert await shop.pool.fetchval("SELECT count(*) FROM privacy_export WHERE export_id = $1", export_id) == 0


async def test_of_many_who_ask_at_once_for_one_person_one_copy_is_made(shop) -> None:
    user_id, bearer = shop.user()
    answers = await asyncio.gather(*(shop.ask("POST", "/v1/me/export", token=bearer) for _ in range(10)))
    assert len({answer.json["export_id"] for answer in answers}) == 1
    assert await shop.pool.fetchval("SELECT count(*) FROM privacy_export WHERE user_id = $1", user_id) == 1


async def test_a_copy_that_fails_is_tried_again_and_then_said_to_have_failed(shop, monkeypatch) -> None:
    _, bearer = shop.user()
    export_id = (await shop.ask("POST", "/v1/me/export", token=bearer)).json["export_id"]

    async def broken(self: Any, user_id: str) -> dict[str, Any]:
        raise ValueError("a field does not open")

    monkeypatch.setattr(PersonalData, "of_user", broken)
    answer = await shop.ask("GET", f"/v1/me/exports/{export_id}", token=bearer)
    while answer.json["state"] == "waiting":
        with contextlib.suppress(ValueError):
            await shop.application.privacy_work.copy_one()
        answer = await shop.ask("GET", f"/v1/me/exports/{export_id}", token=bearer)
    assert (answer.status, answer.json["state"]) == (200, "failed")
    assert await shop.pool.fetchval("SELECT tries FROM privacy_export WHERE export_id = $1", export_id) == TRIES_MAX
    again = await shop.ask("POST", "/v1/me/export", token=bearer)
    assert again.json["export_id"] != export_id


async def test_a_copy_is_bounded_and_a_page_escapes_what_people_wrote() -> None:
    with pytest.raises(ValueError, match="bytes"):
        copy_of({"orders": [{"x": secrets.token_hex(COPY_BYTES_MAX)}]}, "en")
    html = page({"orders": [{"<i>": ["<script>alert(1)</script>", {"a": None}]}]}, "en")
    assert "<script>" not in html
    assert "<i>" not in html


# --- to be forgotten ----------------------------------------------------------------------------------


async def test_erasing_takes_a_second_factor_or_the_password(shop) -> None:
    user_id, bearer, _ = await person(shop)
    assert (await shop.ask("DELETE", "/v1/me", token=bearer)).code == "step_up_required"
    wrong = await shop.ask("POST", "/v1/me/erasure", {"password": "another horse"}, token=bearer)
    assert (wrong.status, wrong.code) == (401, "wrong_credentials")
    assert await shop.pool.fetchval("SELECT count(*) FROM erasure WHERE user_id = $1", user_id) == 0
    _, nobody = shop.user()
    assert (await shop.ask("POST", "/v1/me/erasure", {"password": PASSWORD}, token=nobody)).code == "wrong_credentials"
    asked = await shop.ask("POST", "/v1/me/erasure", {"password": PASSWORD}, token=bearer)
    assert asked.status == 202, asked.body
    assert (await shop.ask("GET", "/v1/sessions", token=bearer)).code == "token_revoked"
    proven_id, _, _ = await person(shop)
    assert (await shop.ask("DELETE", "/v1/me", token=token(shop, proven_id))).status == 202


async def test_who_logs_in_within_the_days_of_regret_stays(shop) -> None:
    user_id, bearer, email = await person(shop)
    assert (await shop.ask("POST", "/v1/me/erasure", {"password": PASSWORD}, token=bearer)).status == 202
    assert user_id not in await shop.application.privacy_work.forget()
    assert (await shop.ask("POST", "/v1/sessions", {"email": email, "password": PASSWORD})).status == 201
    assert await shop.pool.fetchval("SELECT count(*) FROM erasure WHERE user_id = $1", user_id) == 0


async def test_whoever_is_due_is_forgotten_and_the_books_keep_their_pseudonym(shop) -> None:
    user_id, bearer, email = await person(shop)
    order_id = await bought(shop, bearer)
    asked = await shop.ask("POST", "/v1/me/erasure", {"password": PASSWORD}, token=bearer)
    assert asked.status == 202
    await due(shop, user_id)
    for _ in range(100):
        if user_id in await shop.application.privacy_work.forget():
            break
        if await shop.pool.fetchval("SELECT erased_at IS NOT NULL FROM erasure WHERE user_id = $1", user_id):
            break
    for table in ("identity", "address", "user_key", "privacy_export", "staff_role"):
        assert await shop.pool.fetchval(f"SELECT count(*) FROM {table} WHERE user_id = $1", user_id) == 0, table
    row = await shop.pool.fetchrow("SELECT status, password_hash FROM account WHERE user_id = $1", user_id)
    assert tuple(row) == ("erased", None)
    assert (await sessions_of(shop.application.desk, user_id)).sessions == ()
    assert (await shop.ask("POST", "/v1/sessions", {"email": email, "password": PASSWORD})).code == "wrong_credentials"
    # The order stands, under an id that says nothing; whoever registers the address again is somebody else.
    assert (await shop.ask("GET", f"/v1/orders/{order_id}", token=shop.token_of(user_id))).json["order_id"] == order_id
    proven = ProvenIdentity(kind="email", subject=email)
    assert await shop.application.desk.users.open("usr_" + secrets.token_hex(8), proven, None, secrets.token_bytes(16))
    kept = await shop.pool.fetch("SELECT actor_id, permission FROM staff_action WHERE target = $1", user_id)
    assert [tuple(row) for row in kept] == [("machine", "person.erase")]


async def test_who_acts_for_the_shop_is_not_forgotten_while_acting(shop) -> None:
    user_id, bearer, _ = await person(shop)
    await shop.application.desk.roles.grant(MACHINE_ACTOR, user_id, "support", "", "a test")
    refused = await shop.ask("POST", "/v1/me/erasure", {"password": PASSWORD}, token=bearer)
    assert (refused.status, refused.code) == (409, "staff_account")
    with pytest.raises(StaffAccount):
        await shop.application.desk.privacy.ask_erasure(user_id, 7)


class Refusing:
    """The door of a host, behind which everything that is asked about one person's sessions fails every time."""

    def __init__(self, door: Door, user_id: str) -> None:
        self._door = door
        self._user_id = user_id

    async def envelope(self, payload: bytes) -> bytes:
        answers = []
        for call in msgspec.msgpack.decode(payload, type=list[Call]):
            if (call.kind, call.key) == ("sessions", self._user_id):
                answers.append(Answer(code="command_poisoned"))
            else:
                answers += msgspec.msgpack.decode(await self._door.envelope(msgspec.msgpack.encode([call])), type=list[Answer])
        return msgspec.msgpack.encode(answers)


async def test_whoever_was_erased_by_hand_is_cleared_at_the_owners_and_one_that_fails_is_in_nobody_s_way(shop, monkeypatch) -> None:
    people = sorted([await user(shop, device=True), await user(shop, device=True)], key=lambda one: one.user_id)
    [failing, other], desk = people, shop.application.desk
    for one in people:
        await desk.privacy.ask_erasure(one.user_id, 7)
        await due(shop, one.user_id)
    # As ``stampede privacy run`` does it, which reaches no owner.
    async with shop.pool.acquire() as connection:
        for _ in range(100):
            async with connection.transaction():
                if await erase_due(connection) is None:
                    break
    assert len((await factors_of(desk, other.user_id)).totp) == 1
    assert (await sessions_of(desk, other.user_id)).sessions

    cleared = "SELECT cleared_at IS NOT NULL FROM erasure WHERE user_id = $1"
    monkeypatch.setattr(privacy_work, "CLEARED_AT_ONCE_MAX", 1)
    door = shop.transport.doors["h0"]
    monkeypatch.setitem(shop.transport.doors, "h0", Refusing(door, failing.user_id))
    for _ in range(100):
        await shop.application.privacy_work.clear()
        if await shop.pool.fetchval(cleared, other.user_id):
            break
    assert await shop.pool.fetchval(cleared, other.user_id) is True
    assert await shop.pool.fetchval(cleared, failing.user_id) is False
    assert (await factors_of(desk, other.user_id)).methods == ()
    assert (await sessions_of(desk, other.user_id)).sessions == ()

    monkeypatch.setitem(shop.transport.doors, "h0", door)
    for _ in range(100):
        await shop.application.privacy_work.clear()
        if await shop.pool.fetchval(cleared, failing.user_id):
            break
    assert (await factors_of(desk, failing.user_id)).totp == ()
    assert (await sessions_of(desk, failing.user_id)).sessions == ()
