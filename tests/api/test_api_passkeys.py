"""Passkeys over HTTP, with an authenticator in software: what is accepted, once, and what is refused."""

import asyncio
import copy
import secrets

import pytest
from structlog.testing import capture_logs

from actors.testing.authenticator import Authenticator, Credential
from schemas.settings import Settings
from serve.passkeys import is_own_origin

# Every account here costs a hash of a password.
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

PASSWORD = "correct horse battery staple"


class Holder:
    """Somebody who is logged in, has stepped up, and holds an authenticator."""

    def __init__(self, shop, authenticator: Authenticator) -> None:
        self.shop = shop
        self.authenticator = authenticator
        self.email = f"lee.{secrets.token_hex(6)}@example.com"
        self.token = ""
        self.user_id = ""

    async def ask(self, method: str, path: str, body=None):
        return await self.shop.ask(method, path, body, token=self.token)

    async def options(self, path: str, body=None) -> dict:
        answer = await self.ask("POST", path, body)
        assert answer.status == 200, answer.body
        return answer.json["publicKey"]

    async def register(self, **more):
        credential = self.authenticator.create(await self.options("/v1/me/passkeys/options"), **more)
        return await self.ask("POST", "/v1/me/passkeys", {"name": "laptop", "credential": credential})

    async def signed(self, **more) -> dict:
        return self.authenticator.get(await self.options("/v1/sessions/passkey/options"), **more)

    async def log_in(self, assertion: dict):
        return await self.shop.ask("POST", "/v1/sessions/passkey", {"assertion": assertion})


async def holder(shop, *, registered: bool = True, **more) -> Holder:
    made = Holder(shop, Authenticator(**more))
    await shop.register({"email": made.email, "password": PASSWORD})
    tokens = (await shop.ask("POST", "/v1/sessions", {"email": made.email, "password": PASSWORD})).json
    made.token, made.user_id = tokens["access_token"], tokens["user_id"]
    made.token = (await made.ask("POST", "/v1/me/step-up", {"password": PASSWORD})).json["access_token"]
    if registered:
        answer = await made.register()
        assert (answer.status, answer.json["method"]) == (201, "passkey"), answer.body
        made.token = answer.json["access_token"]
    return made


async def test_a_passkey_logs_in_without_a_name_and_counts_as_a_second_factor(shop) -> None:
    lee = await holder(shop)
    asked = (await shop.ask("POST", "/v1/sessions/passkey/options")).json["publicKey"]
    assert (asked["rpId"], asked["userVerification"], asked["allowCredentials"]) == ("localhost", "required", [])
    done = await lee.log_in(lee.authenticator.get(asked))
    assert (done.status, done.json["user_id"]) == (201, lee.user_id)
    assert (await shop.ask("POST", "/v1/me/factors/recovery-codes", token=done.json["access_token"])).status == 201
    refused = await shop.ask("POST", "/v1/sessions", {"email": lee.email, "password": PASSWORD})
    assert (refused.code, refused.json["params"]["methods"]) == ("second_factor_required", ["passkey", "recovery_code"])


async def test_a_registration_asks_for_a_finger_a_name_of_its_own_and_no_passkey_twice(shop) -> None:
    lee = await holder(shop)
    asked = await lee.options("/v1/me/passkeys/options")
    assert asked["rp"] == {"id": "localhost", "name": "Stampede"}
    assert asked["user"]["name"] == lee.email
    chosen = asked["authenticatorSelection"]
    assert (chosen["userVerification"], chosen["residentKey"], chosen["requireResidentKey"]) == ("required", "required", True)
    assert [one["transports"] for one in asked["excludeCredentials"]] == [["internal"]]
    assert asked["attestation"] == "none"


async def test_a_passkey_finishes_a_login_and_steps_up(shop) -> None:
    lee = await holder(shop)
    refused = await shop.ask("POST", "/v1/sessions", {"email": lee.email, "password": PASSWORD})
    ticket = refused.json["params"]["login_ticket"]
    asked = await lee.options("/v1/sessions/second-factor/passkey-options", {"login_ticket": ticket})
    body = {"login_ticket": ticket, "assertion": lee.authenticator.get(asked)}
    done = await shop.ask("POST", "/v1/sessions/second-factor", body)
    assert done.status == 201, done.body
    lee.token = done.json["access_token"]
    stepped = await lee.ask(
        "POST", "/v1/me/step-up", {"assertion": lee.authenticator.get(await lee.options("/v1/me/step-up/passkey-options"))}
    )
    assert (stepped.status, stepped.json["method"]) == (200, "passkey")


async def test_a_signature_opens_one_session_however_often_it_is_sent(shop) -> None:
    lee = await holder(shop)
    signed = await lee.signed()
    answers = await asyncio.gather(*(lee.log_in(signed) for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [201] + [403] * 7
    assert {answer.code for answer in answers if answer.status == 403} == {"challenge_invalid"}


async def test_a_registration_that_is_sent_again_is_the_same_passkey(shop) -> None:
    lee = await holder(shop, registered=False)
    body = {"name": "laptop", "credential": lee.authenticator.create(await lee.options("/v1/me/passkeys/options"))}
    first, again = await asyncio.gather(lee.ask("POST", "/v1/me/passkeys", body), lee.ask("POST", "/v1/me/passkeys", body))
    assert {answer.json["factor_id"] for answer in (first, again) if answer.status == 201} == {first.json["factor_id"]}
    assert len((await lee.ask("GET", "/v1/me/factors")).json["passkeys"]) == 1


async def test_f61_a_question_that_was_asked_for_one_thing_is_not_answered_for_another(shop) -> None:
    lee, kim = await holder(shop), await holder(shop)
    refused = await shop.ask("POST", "/v1/sessions", {"email": lee.email, "password": PASSWORD})
    ticket = refused.json["params"]["login_ticket"]
    login = await lee.options("/v1/sessions/passkey/options")
    step_up = await lee.options("/v1/me/step-up/passkey-options")
    second = await lee.options("/v1/sessions/second-factor/passkey-options", {"login_ticket": ticket})
    sign = lee.authenticator.get
    told = [
        await lee.ask("POST", "/v1/me/step-up", {"assertion": sign(login)}),
        await lee.ask("POST", "/v1/me/step-up", {"assertion": sign(second)}),
        await lee.log_in(sign(step_up)),
        await lee.log_in(sign(second)),
        await shop.ask("POST", "/v1/sessions/second-factor", {"login_ticket": ticket, "assertion": sign(step_up)}),
        await shop.ask("POST", "/v1/sessions/second-factor", {"login_ticket": ticket, "assertion": sign(login)}),
    ]
    assert [answer.code for answer in told] == ["challenge_invalid"] * 6
    # Each of them is good for what it was asked for.
    assert (await lee.ask("POST", "/v1/me/step-up", {"assertion": sign(step_up)})).status == 200
    assert (await lee.log_in(sign(login))).status == 201
    assert kim.user_id != lee.user_id


async def test_f61_a_question_to_somebody_else_is_not_answered_by_me(shop) -> None:
    lee, kim = await holder(shop), await holder(shop)
    asked_of_kim = await kim.options("/v1/me/step-up/passkey-options")
    mine = lee.authenticator.get(asked_of_kim, credential=lee.authenticator.credentials[0])
    assert (await lee.ask("POST", "/v1/me/step-up", {"assertion": mine})).code == "challenge_invalid"
    assert (await kim.ask("POST", "/v1/me/step-up", {"assertion": mine})).code == "passkey_refused"
    made = Authenticator().create(await kim.options("/v1/me/passkeys/options"))
    assert (await lee.ask("POST", "/v1/me/passkeys", {"name": "x", "credential": made})).code == "challenge_invalid"
    # Nor in another session of the same user.
    other = (await lee.log_in(await lee.signed())).json["access_token"]
    mine = lee.authenticator.get(await lee.options("/v1/me/step-up/passkey-options"))
    assert (await shop.ask("POST", "/v1/me/step-up", {"assertion": mine}, token=other)).code == "challenge_invalid"


async def test_a_counter_that_falls_back_is_refused_and_an_alarm(shop) -> None:
    lee = await holder(shop)
    [passkey] = lee.authenticator.credentials
    for _ in range(3):
        assert (await lee.log_in(await lee.signed())).status == 201
    passkey.count = 1
    with capture_logs() as logs:
        refused = await lee.log_in(await lee.signed())
    assert (refused.status, refused.code) == (403, "passkey_cloned")
    alarms = [one for one in logs if one["log_level"] == "error"]
    assert [(one["event"], one["user_id"], one["presented"]) for one in alarms] == [("passkey_counter_regressed", lee.user_id, 2)]
    passkey.count = 3
    assert (await lee.log_in(await lee.signed())).status == 201


async def test_an_authenticator_that_does_not_count_logs_in_as_often_as_it_likes(shop) -> None:
    lee = await holder(shop, counts=False)
    assert [(await lee.log_in(await lee.signed())).status for _ in range(3)] == [201] * 3


@pytest.mark.parametrize("more", [{"verifies": False}, {"origin": "https://localhost.example.com"}, {"origin": "http://127.0.0.1:80"}])
async def test_no_passkey_is_made_without_a_finger_or_on_another_page(shop, more) -> None:
    lee = await holder(shop, registered=False, **more)
    refused = await lee.register()
    assert (refused.status, refused.code) == (403, "passkey_refused")
    assert (await lee.ask("GET", "/v1/me/factors")).json["passkeys"] == []


async def test_what_an_authenticator_signs_is_checked_to_the_last_part(shop) -> None:
    lee, kim = await holder(shop), await holder(shop)
    genuine = await lee.signed()

    def changed(**parts) -> dict:
        made = copy.deepcopy(genuine)
        for name, value in parts.items():
            (made["response"] if name in made["response"] else made)[name] = value
        return made

    other = kim.authenticator.credentials[0]
    stranger = Credential("localhost", lee.user_id.encode(), secrets.token_bytes(32), counts=True)
    without = Authenticator(verifies=False)
    told = [
        await lee.log_in(changed(signature=(await lee.signed())["response"]["signature"])),
        await lee.log_in(changed(authenticatorData="AAAA")),
        await lee.log_in(changed(clientDataJSON="e30")),
        await lee.log_in(changed(clientDataJSON="AAAA")),
        await lee.log_in(changed(userHandle="AAAA")),
        await lee.log_in(changed(userHandle=None)),
        await lee.log_in(changed(id="AAAA")),
        await lee.log_in(await lee.signed(credential=other) | {"id": genuine["id"], "rawId": genuine["rawId"]}),
        await lee.log_in(await lee.signed(credential=stranger)),
        await lee.log_in(without.get(await lee.options("/v1/sessions/passkey/options"), credential=lee.authenticator.credentials[0])),
    ]
    assert [answer.code for answer in told] == ["passkey_refused"] * 10
    # What was refused has cost nothing: neither the question nor the counter.
    assert (await lee.log_in(genuine)).status == 201


async def test_one_passkey_is_one_users(shop) -> None:
    lee, kim = await holder(shop), await holder(shop)
    taken = lee.authenticator.credentials[0].id
    refused = await kim.register(credential_id=taken)
    assert (refused.status, refused.code) == (409, "passkey_known")
    again = await lee.register(credential_id=taken)
    assert (again.status, again.code) == (409, "passkey_known")
    assert await shop.application.desk.passkeys.owner(taken) == lee.user_id


async def test_a_removed_passkey_logs_nobody_in_and_may_be_registered_anew(shop) -> None:
    lee, kim = await holder(shop), await holder(shop)
    [passkey] = (await lee.ask("GET", "/v1/me/factors")).json["passkeys"]
    assert (await lee.ask("DELETE", f"/v1/me/factors/{passkey['factor_id']}")).status == 204
    assert (await lee.log_in(await lee.signed())).code == "passkey_refused"
    assert (await kim.register(credential_id=lee.authenticator.credentials[0].id)).status == 201


async def test_a_twenty_first_passkey_is_refused_and_leaves_no_trace(shop) -> None:
    lee = await holder(shop)
    for _ in range(19):
        assert (await lee.register()).status == 201
    refused = await lee.register()
    assert (refused.status, refused.code, refused.json["params"]) == (409, "too_many_factors", {"limit": 20})
    assert await shop.application.desk.passkeys.owner(lee.authenticator.credentials[-1].id) is None


async def test_questions_that_nobody_answered_are_forgotten_when_they_have_expired(shop) -> None:
    passkeys, now_ms = shop.application.desk.passkeys, shop.clock.now_ms()
    await passkeys.keep_challenge(b"late", now_ms + 1000, now_ms)
    assert await passkeys.take_challenge(b"late", now_ms + 1000) is False
    await passkeys.keep_challenge(b"next", now_ms + 2000, now_ms + 1000)
    assert await shop.pool.fetchval("SELECT count(*) FROM passkey_challenge WHERE challenge_id = $1", b"late") == 0
    assert [await passkeys.take_challenge(b"next", now_ms) for _ in range(2)] == [True, False]


@pytest.mark.parametrize(
    ("settings", "origin", "own"),
    [
        ({}, "http://localhost:8700", True),
        ({}, "https://localhost", True),
        ({}, "http://localhost.evil.example", False),
        ({}, "http://localhost:1@evil.example", False),
        ({"rp_id": "shop.example"}, "https://shop.example", True),
        ({"rp_id": "shop.example"}, "http://shop.example", False),
        ({"rp_id": "shop.example"}, "http://localhost:8700", False),
        ({"rp_id": "shop.example", "origins": "https://www.shop.example, https://m.shop.example/"}, "https://m.shop.example", True),
        ({"rp_id": "shop.example", "origins": "https://www.shop.example"}, "https://shop.example", False),
    ],
)
async def test_pages_that_may_ask_for_passkeys(settings, origin, own) -> None:
    assert is_own_origin(Settings(**settings), origin) is own
