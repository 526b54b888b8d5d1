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


def phone() -> str:
    return f"+861{secrets.choice('3578')}{secrets.choice('05678')}{secrets.randbelow(10**8):08d}"


async def test_a_repeated_registration_gets_the_first_answer_and_another_one_a_refusal(shop) -> None:
    address = email()
    body = {**await shop.code("register", email=address), "password": PASSWORD}
    first = await shop.ask("POST", "/v1/users", body, key="the-same-key")
    again = await shop.ask("POST", "/v1/users", body, key="the-same-key")
    assert (first.status, again.status) == (201, 201)
    assert [again.json[name] for name in ("user_id", "session_id", "refresh_token")] == [
        first.json[name] for name in ("user_id", "session_id", "refresh_token")
    ]
    other = await shop.ask("POST", "/v1/users", body | {"password": "another good password"}, key="the-same-key")
    assert (other.status, other.code) == (422, "idempotency_key_reused")
    spent = await shop.ask("POST", "/v1/users", body)
    assert (spent.status, spent.code) == (409, "code_spent")


async def test_of_many_registrations_with_one_code_one_wins(shop) -> None:
    body = {**await shop.code("register", email=email()), "password": PASSWORD}
    answers = await asyncio.gather(*(shop.ask("POST", "/v1/users", body) for _ in range(5)))
    assert sorted(answer.status for answer in answers) == [201, 409, 409, 409, 409]


async def test_who_asks_for_a_code_does_not_learn_whether_there_is_an_account_and_its_owner_is_told(shop) -> None:
    known, unknown = await registered(shop), email()
    shop.clock_forward(61_000)
    asked = {
        address: await shop.ask("POST", "/v1/codes", {"channel": "email", "to": address, "purpose": "register"})
        for address in (known, unknown)
    }
    assert [answer.status for answer in asked.values()] == [202, 202]
    assert sorted(asked[known].json) == sorted(asked[unknown].json)
    kept = (await shop.ask("GET", "/dev/outbox.json")).json["messages"]
    templates = {address: next(message["template"] for message in kept if message["to"] == address) for address in (known, unknown)}
    assert templates == {known: "account_exists", unknown: "code"}


async def test_a_weak_password_is_refused_before_the_code_is_spent(shop) -> None:
    body = await shop.code("register", email=email())
    for password in ("password", "12345678", "qwertyuiop", "aaaaaaaaaaaa"):
        refused = await shop.ask("POST", "/v1/users", {**body, "password": password})
        assert (refused.status, refused.code) == (422, "weak_password")
    assert (await shop.ask("POST", "/v1/users", {**body, "password": PASSWORD})).status == 201


@pytest.mark.parametrize(
    "text", ["nobody", "@example.com", "a@b", "a b@example.com", "a@-x.com", "a..b@example.com", "a@example.com\r\nBcc: x", "a@1.2.3.4"]
)
async def test_f57_what_is_no_address_opens_no_account(shop, text) -> None:
    body = {"challenge_id": "chl_" + "0" * 20, "code": "000000", "password": PASSWORD}
    refused = await shop.ask("POST", "/v1/users", {**body, "email": text})
    assert (refused.status, refused.code) == (422, "invalid_request")
    refused = await shop.ask("POST", "/v1/codes", {"channel": "email", "to": text, "purpose": "login"})
    assert (refused.status, refused.code) == (422, "invalid_request")


@pytest.mark.parametrize("named", [{}, {"email": "a@example.com", "phone": "+8613800138000"}])
async def test_a_login_names_an_address_or_a_number_and_not_both(shop, named) -> None:
    refused = await shop.ask("POST", "/v1/sessions", {**named, "password": PASSWORD})
    assert (refused.status, refused.code) == (422, "invalid_request")


async def test_a_phone_registers_by_its_code_and_is_the_same_account_ever_after(shop) -> None:
    number = phone()
    first = await shop.ask("POST", "/v1/sessions/code", await shop.code("login", phone=number))
    assert first.status == 201, first.body
    shop.clock_forward(61_000)
    spelling = f"{number[3:6]} {number[6:10]} {number[10:]}"
    second = await shop.ask("POST", "/v1/sessions/code", await shop.code("login", phone=spelling))
    assert second.json["user_id"] == first.json["user_id"]
    assert second.json["session_id"] != first.json["session_id"]


async def test_a_forgotten_password_is_replaced_by_a_code_and_whoever_was_in_is_out(shop) -> None:
    address = await registered(shop)
    thief = await logged_in(shop, address)
    shop.clock_forward(61_000)
    reset = {**await shop.code("reset_password", email=address), "password": "another good password"}
    assert (await shop.ask("POST", "/v1/passwords/reset", reset)).status == 204
    assert (await shop.ask("GET", "/v1/cart", token=thief["access_token"])).code == "token_revoked"
    assert (await shop.ask("POST", "/v1/sessions/refresh", {"refresh_token": thief["refresh_token"]})).code == "session_unknown"
    old = await shop.ask("POST", "/v1/sessions", {"email": address, "password": PASSWORD})
    assert (old.status, old.code) == (401, "wrong_credentials")
    new = await shop.ask("POST", "/v1/sessions", {"email": address, "password": "another good password"})
    assert new.status == 201


async def test_f62_another_password_ends_every_other_session(shop) -> None:
    address = await registered(shop)
    here, there = await logged_in(shop, address), await logged_in(shop, address)
    wrong = await shop.ask("PUT", "/v1/me/password", {"current": "wrong", "password": "another good password"}, token=here["access_token"])
    assert (wrong.status, wrong.code) == (401, "wrong_credentials")
    right = {"current": PASSWORD, "password": "another good password"}
    assert (await shop.ask("PUT", "/v1/me/password", right, token=here["access_token"])).status == 204
    assert (await shop.ask("GET", "/v1/me", token=here["access_token"])).json["has_password"] is True
    assert (await shop.ask("GET", "/v1/me", token=there["access_token"])).code == "token_revoked"


async def test_an_account_logs_in_by_what_was_added_to_it(shop) -> None:
    tokens = await shop.register({"email": email(), "password": PASSWORD})
    number = phone()
    bind = await shop.code("bind", token=tokens["access_token"], phone=number)
    assert (await shop.ask("POST", "/v1/me/identities", bind, token=tokens["access_token"])).status == 204
    answer = await shop.ask("POST", "/v1/sessions", {"phone": number, "password": PASSWORD})
    assert answer.json["user_id"] == tokens["user_id"]


async def test_f62_a_disabled_account_gets_no_session(shop) -> None:
    address = await registered(shop)
    tokens = await logged_in(shop, address)
    assert await shop.application.desk.users.set_status(tokens["user_id"], "active", "disabled")
    refused = await shop.ask("POST", "/v1/sessions", {"email": address, "password": PASSWORD})
    assert (refused.status, refused.code) == (403, "account_disabled")


async def test_f63_a_login_from_a_new_device_is_told_to_the_owner_who_can_end_it(shop) -> None:
    address = await registered(shop)
    person = {"email": address, "password": PASSWORD}
    here = (await shop.ask("POST", "/v1/sessions", person, headers={"User-Agent": "Laptop"})).json
    stolen = (await shop.ask("POST", "/v1/sessions", person, headers={"User-Agent": "Somebody else's"})).json
    again = (await shop.ask("POST", "/v1/sessions", person, headers={"User-Agent": "Laptop"})).json
    async with asyncio.timeout(5):
        while not (told := await notices(shop, address)):  # noqa: ASYNC110 (they are sent in the background)
            await asyncio.sleep(0.01)
    assert [("Somebody else's" in body, "Laptop" in body) for body in told[:1]] == [(True, False)]
    sessions = (await shop.ask("GET", "/v1/sessions", token=here["access_token"])).json["sessions"]
    assert {stolen["session_id"], again["session_id"]} < {one["session_id"] for one in sessions}
    assert (await shop.ask("DELETE", f"/v1/sessions/{stolen['session_id']}", token=here["access_token"])).status == 204
    assert (await shop.ask("GET", "/v1/me", token=stolen["access_token"])).code == "token_revoked"


async def notices(shop, address: str) -> list[str]:
    kept = (await shop.ask("GET", "/dev/outbox.json")).json["messages"]
    return [one["body"] for one in kept if one["to"] == address and one["template"] == "new_device"]


async def test_two_accounts_of_one_person_become_one_with_cart_and_orders(shop) -> None:
    number, sku_id, sale_sku = phone(), await shop.sku(9), await shop.sku(9)
    older = (await shop.ask("POST", "/v1/sessions/code", await shop.code("login", phone=number))).json
    newer = await shop.register({"email": email(), "password": PASSWORD})
    await shop.ask("PUT", f"/v1/cart/lines/{sku_id}", {"quantity": 2}, token=older["access_token"])
    await shop.ask("PUT", f"/v1/cart/lines/{sku_id}", {"quantity": 3}, token=newer["access_token"])
    order = (await shop.flash_order(await shop.sale(sale_sku), sale_sku, newer["access_token"])).json["order_id"]
    shop.clock_forward(61_000)
    bind = await shop.code("bind", token=newer["access_token"], phone=number)
    taken = await shop.ask("POST", "/v1/me/identities", bind, token=newer["access_token"])
    assert (taken.status, taken.code) == (409, "identity_taken")
    shop.clock_forward(61_000)
    merge = await shop.code("merge", token=newer["access_token"], phone=number)
    merged = await shop.ask("POST", "/v1/me/merge", merge, token=newer["access_token"])
    assert merged.status == 200, merged.body
    assert merged.json["user_id"] == older["user_id"]
    token = merged.json["access_token"]
    assert (await shop.ask("GET", "/v1/me", token=token)).json["merged"] == [newer["user_id"]]
    cart = (await shop.ask("GET", "/v1/cart", token=token)).json
    assert [(line["sku_id"], line["quantity"]) for line in cart["lines"]] == [(sku_id, 5)]
    assert (await shop.ask("GET", f"/v1/orders/{order}", token=token)).json["status"] == "pending_payment"
    assert (await shop.ask("POST", f"/v1/orders/{order}/cancel", token=token)).json["status"] in ("cancelled", "closing")
    assert (await shop.ask("GET", "/v1/me", token=newer["access_token"])).code == "token_revoked"
    stranger = shop.user()[1]
    assert (await shop.ask("GET", f"/v1/orders/{order}", token=stranger)).code == "order_unknown"


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
    assert [one["session_id"] for one in listed if one["current"]] == [first["session_id"]]
    assert len(listed) == 2  # the registration opened one


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
