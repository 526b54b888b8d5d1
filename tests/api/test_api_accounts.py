"""Accounts and sessions over HTTP."""

import asyncio
import secrets
import time

import pytest

from schemas.identity import ProvenIdentity
from schemas.ids import base32

pytestmark = pytest.mark.asyncio(loop_scope="session")

PASSWORD = "correct horse battery staple"


def email() -> str:
    return f"kim.{secrets.token_hex(6)}@example.com"


async def registered(shop) -> str:
    address = email()
    await shop.register({"email": address, "password": PASSWORD})
    return address


async def logged_in(shop, address: str, **more):
    answer = await shop.ask("POST", "/v1/sessions", {"email": address, "password": PASSWORD, **more})
    assert answer.status == 201, answer.body
    return answer.json


async def test_an_account_logs_in_under_every_spelling_of_its_address(shop) -> None:
    address = await registered(shop)
    for spelling in (address, address.upper(), f"  {address} ", address.replace("kim", "ｋｉｍ")):
        tokens = await logged_in(shop, spelling)
        assert sorted(tokens) == ["access_token", "expires_in", "refresh_token", "session_id", "user_id"]
        assert (await shop.ask("GET", "/v1/cart", token=tokens["access_token"])).status == 200


async def test_a_repeated_registration_gets_the_first_answer_and_another_one_a_refusal(shop) -> None:
    body = {"email": email(), "password": PASSWORD}
    first = await shop.ask("POST", "/v1/users", body, key="the-same-key")
    again = await shop.ask("POST", "/v1/users", body, key="the-same-key")
    assert (first.status, again.status, again.body) == (201, 201, first.body)
    other = await shop.ask("POST", "/v1/users", body | {"password": "another good password"}, key="the-same-key")
    assert (other.status, other.code) == (422, "idempotency_key_reused")
    taken = await shop.ask("POST", "/v1/users", body | {"email": body["email"].upper()})
    assert (taken.status, taken.code) == (409, "email_taken")


async def test_of_many_registrations_of_one_address_one_wins(shop) -> None:
    body = {"email": email(), "password": PASSWORD}
    answers = await asyncio.gather(*(shop.ask("POST", "/v1/users", body) for _ in range(5)))
    assert sorted(answer.status for answer in answers) == [201, 409, 409, 409, 409]


@pytest.mark.parametrize("password", ["password", "12345678", "qwertyuiop", "aaaaaaaaaaaa"])
async def test_a_password_that_everybody_guesses_is_refused(shop, password) -> None:
    refused = await shop.ask("POST", "/v1/users", {"email": email(), "password": password})
    assert (refused.status, refused.code) == (422, "weak_password")


@pytest.mark.parametrize(
    "text", ["nobody", "@example.com", "a@b", "a b@example.com", "a@-x.com", "a..b@example.com", "a@example.com\r\nBcc: x", "a@1.2.3.4"]
)
async def test_f57_what_is_no_address_opens_no_account(shop, text) -> None:
    refused = await shop.ask("POST", "/v1/users", {"email": text, "password": PASSWORD})
    assert (refused.status, refused.code) == (422, "invalid_request")


@pytest.mark.slow
async def test_f58_an_unknown_address_takes_as_long_to_refuse_as_a_wrong_password(shop) -> None:
    known = await registered(shop)
    times: dict[str, list[float]] = {"known": [], "unknown": []}
    for _ in range(5):
        for name, address in (("known", known), ("unknown", email())):
            started = time.perf_counter()
            refused = await shop.ask("POST", "/v1/sessions", {"email": address, "password": "wrong"})
            times[name].append(time.perf_counter() - started)
            assert (refused.status, refused.code) == (401, "wrong_credentials")
    known_s, unknown_s = sorted(times["known"])[2], sorted(times["unknown"])[2]
    assert 0.4 < known_s / unknown_s < 2.5


async def test_f58_guessing_one_account_is_slowed_down(shop) -> None:
    address = await registered(shop)
    answers = [await shop.ask("POST", "/v1/sessions", {"email": address, "password": "wrong"}) for _ in range(12)]
    assert {answer.code for answer in answers} == {"wrong_credentials", "rate_limited"}
    assert answers[-1].status == 429
    assert answers[-1].headers["retry-after"] == "5"


async def test_a_repeated_login_gets_the_same_tokens_of_one_session(shop) -> None:
    address = await registered(shop)
    body = {"email": address, "password": PASSWORD}
    first = (await shop.ask("POST", "/v1/sessions", body, key="the-same-key")).json
    again = (await shop.ask("POST", "/v1/sessions", body, key="the-same-key")).json
    assert (again["session_id"], again["refresh_token"]) == (first["session_id"], first["refresh_token"])
    listed = (await shop.ask("GET", "/v1/sessions", token=first["access_token"])).json["sessions"]
    assert [one["session_id"] for one in listed] == [first["session_id"]]
    assert listed[0]["current"] is True


async def test_a_refresh_token_works_once_and_its_reuse_ends_the_session(shop) -> None:
    first = await logged_in(shop, await registered(shop))
    second = await shop.ask("POST", "/v1/sessions/refresh", {"refresh_token": first["refresh_token"]})
    assert second.status == 200
    slow = await shop.ask("POST", "/v1/sessions/refresh", {"refresh_token": first["refresh_token"]})
    assert slow.json["refresh_token"] == second.json["refresh_token"]
    third = await shop.ask("POST", "/v1/sessions/refresh", {"refresh_token": second.json["refresh_token"]})
    assert third.status == 200
    stolen = await shop.ask("POST", "/v1/sessions/refresh", {"refresh_token": first["refresh_token"]})
    assert (stolen.status, stolen.code) == (401, "session_reused")
    for token in (first["access_token"], second.json["access_token"], third.json["access_token"]):
        assert (await shop.ask("GET", "/v1/cart", token=token)).code == "token_revoked"
    assert (await shop.ask("POST", "/v1/sessions/refresh", {"refresh_token": third.json["refresh_token"]})).code == "session_unknown"


async def test_forged_refresh_tokens_are_refused(shop) -> None:
    tokens = await logged_in(shop, await registered(shop))
    text = tokens["refresh_token"]
    for forged in ("x", text[:-2] + ("00" if text[-2:] != "00" else "11"), text.replace("usr_", "usr_0"), text + "0", "..", text.upper()):
        refused = await shop.ask("POST", "/v1/sessions/refresh", {"refresh_token": forged})
        assert (refused.status, refused.code) == (401, "session_unknown")


async def test_f62_a_session_that_was_ended_is_dead_at_once(shop) -> None:
    address = await registered(shop)
    phone, laptop = await logged_in(shop, address), await logged_in(shop, address)
    ended = await shop.ask("DELETE", f"/v1/sessions/{laptop['session_id']}", token=phone["access_token"])
    assert ended.status == 204
    assert (await shop.ask("GET", "/v1/cart", token=laptop["access_token"])).code == "token_revoked"
    assert (await shop.ask("GET", "/v1/cart", token=phone["access_token"])).status == 200
    assert (await shop.ask("DELETE", "/v1/sessions/current", token=phone["access_token"])).status == 204
    assert (await shop.ask("GET", "/v1/cart", token=phone["access_token"])).code == "token_revoked"


async def test_logging_out_everywhere_ends_all_sessions(shop) -> None:
    address = await registered(shop)
    sessions = [await logged_in(shop, address) for _ in range(3)]
    assert (await shop.ask("DELETE", "/v1/sessions", token=sessions[0]["access_token"])).status == 204
    for session in sessions:
        assert (await shop.ask("GET", "/v1/cart", token=session["access_token"])).code == "token_revoked"
        assert (await shop.ask("POST", "/v1/sessions/refresh", {"refresh_token": session["refresh_token"]})).code == "session_unknown"


async def test_what_another_replica_ended_is_learnt_from_the_table(shop) -> None:
    user_id, _ = shop.user()
    token = shop.token_of(user_id, session_id=f"ses_{secrets.token_hex(8)}x")
    assert (await shop.ask("GET", "/v1/cart", token=token)).status == 200
    session_id = shop.application.desk.authentication.customer(b"Bearer " + token.encode(), shop.clock.now_ms()).session_id
    await shop.pool.execute("INSERT INTO revoked_session VALUES ($1, $2)", session_id, shop.clock.now_ms())
    async with asyncio.timeout(2):
        while (await shop.ask("GET", "/v1/cart", token=token)).status == 200:
            pass
    assert (await shop.ask("GET", "/v1/cart", token=token)).code == "token_revoked"


async def test_a_guest_takes_the_cart_along_at_login(shop) -> None:
    address, sku_id = await registered(shop), await shop.sku(5)
    guest = (await shop.ask("PUT", f"/v1/cart/lines/{sku_id}", {"quantity": 2})).json["guest_token"]
    tokens = await logged_in(shop, address, guest_token=guest)
    mine = (await shop.ask("GET", "/v1/cart", token=tokens["access_token"])).json
    assert [(line["sku_id"], line["quantity"]) for line in mine["lines"]] == [(sku_id, 2)]
    assert (await shop.ask("GET", "/v1/cart", headers={"Guest-Token": guest})).json["lines"] == []


async def test_no_password_is_written_down(shop) -> None:
    address = await registered(shop)
    account = await shop.application.desk.users.find(ProvenIdentity(kind="email", subject=address))
    assert account.password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert PASSWORD not in repr(account)
    assert account.user_id == f"usr_{base32(int.from_bytes(account.register_id, 'big') & ((1 << 100) - 1), 20)}"
