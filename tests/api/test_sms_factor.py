"""A code by SMS as a factor: to one's own telephone, for one purpose, and never the second one of a login that began with it."""

import asyncio
import re
import secrets

import pyotp
import pytest

from schemas.identity import ProvenIdentity
from serve.proofs import STEP_MS

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

PASSWORD = "correct horse battery staple"


class Owner:
    """Somebody with a telephone."""

    def __init__(self, shop) -> None:
        self.shop = shop
        self.email = f"zoe.{secrets.token_hex(6)}@example.com"
        self.phone = f"+86138{secrets.randbelow(10**8):08}"
        self.token = ""
        self.user_id = ""

    async def ask(self, path: str, body=None):
        return await self.shop.ask("POST", path, body, token=self.token)

    async def log_in(self):
        return await self.shop.ask("POST", "/v1/sessions", {"email": self.email, "password": PASSWORD})

    async def received(self) -> str:
        """The code of the newest message to this telephone."""
        async with asyncio.timeout(5):
            while True:
                messages = (await self.shop.ask("GET", "/dev/outbox.json")).json["messages"]
                for message in messages:
                    if message["to"] == self.phone:
                        return re.search(r"\d{6}", message["body"])[0]


async def owner(shop) -> Owner:
    made = Owner(shop)
    await shop.register({"email": made.email, "password": PASSWORD})
    tokens = (await made.log_in()).json
    made.token, made.user_id = tokens["access_token"], tokens["user_id"]
    assert await shop.application.desk.identities.add(made.user_id, ProvenIdentity(kind="phone", subject=made.phone)) == ""
    return made


async def with_device(shop) -> Owner:
    zoe = await owner(shop)
    zoe.token = (await zoe.ask("/v1/me/step-up", {"password": PASSWORD})).json["access_token"]
    made = (await zoe.ask("/v1/me/factors/totp", {"name": "phone"})).json
    code = pyotp.TOTP(made["secret"]).generate_otp(shop.clock.now_ms() // STEP_MS)
    assert (await zoe.ask(f"/v1/me/factors/totp/{made['factor_id']}/confirm", {"code": code})).status == 200
    return zoe


async def stepped_up_by_sms(zoe: Owner):
    sent = await zoe.ask("/v1/me/step-up/sms")
    assert (sent.status, sorted(sent.json)) == (202, ["challenge_id", "expires_in", "resend_after_s"])
    return {"sms": {"challenge_id": sent.json["challenge_id"], "code": await zoe.received()}}


async def test_who_has_a_telephone_and_no_password_steps_up_by_a_code_once(shop) -> None:
    zoe = await owner(shop)
    await shop.pool.execute("UPDATE account SET password_hash = NULL WHERE user_id = $1", zoe.user_id)
    assert (await shop.ask("GET", "/v1/me/factors", token=zoe.token)).json["methods"] == ["sms"]
    answer = await stepped_up_by_sms(zoe)
    stepped = await zoe.ask("/v1/me/step-up", answer)
    assert (stepped.status, stepped.json["method"]) == (200, "sms")
    assert (await shop.ask("POST", "/v1/me/passkeys/options", token=stepped.json["access_token"])).status == 200
    assert (await zoe.ask("/v1/me/step-up", answer)).code == "code_spent"


async def test_a_chosen_telephone_finishes_a_login_that_began_with_the_password(shop) -> None:
    zoe = await owner(shop)
    zoe.token = (await zoe.ask("/v1/me/step-up", {"password": PASSWORD})).json["access_token"]
    assert (await shop.ask("PUT", "/v1/me/factors/sms", token=zoe.token)).status == 204
    refused = await zoe.log_in()
    assert refused.json["params"]["methods"] == ["sms"]
    ticket = refused.json["params"]["login_ticket"]
    sent = await shop.ask("POST", "/v1/sessions/second-factor/sms", {"login_ticket": ticket})
    assert sent.status == 202
    answer = {"challenge_id": sent.json["challenge_id"], "code": await zoe.received()}
    done = await shop.ask("POST", "/v1/sessions/second-factor", {"login_ticket": ticket, "sms": answer})
    assert (done.status, done.json["user_id"]) == (201, zoe.user_id)
    assert (await shop.ask("DELETE", "/v1/me/factors/sms", token=done.json["access_token"])).status == 204
    assert (await zoe.log_in()).status == 201


async def test_a_telephone_that_somebody_bound_later_is_no_second_factor(shop) -> None:
    zoe = await with_device(shop)
    refused = await zoe.log_in()
    assert refused.json["params"]["methods"] == ["totp"]
    ticket = refused.json["params"]["login_ticket"]
    assert (await shop.ask("POST", "/v1/sessions/second-factor/sms", {"login_ticket": ticket})).code == "method_unavailable"
    assert (await zoe.ask("/v1/me/step-up/sms")).code == "method_unavailable"
    assert (await shop.ask("PUT", "/v1/me/factors/sms", token=shop.token_of(zoe.user_id))).code == "step_up_required"


async def test_a_login_that_began_with_the_telephone_is_not_finished_by_it(shop) -> None:
    zoe = await owner(shop)
    zoe.token = (await zoe.ask("/v1/me/step-up", {"password": PASSWORD})).json["access_token"]
    assert (await shop.ask("PUT", "/v1/me/factors/sms", token=zoe.token)).status == 204
    codes = (await shop.ask("POST", "/v1/me/factors/recovery-codes", token=zoe.token)).json["codes"]
    sent = (await shop.ask("POST", "/v1/codes", {"channel": "sms", "to": zoe.phone, "purpose": "login"})).json
    body = {"phone": zoe.phone, "challenge_id": sent["challenge_id"], "code": await zoe.received()}
    refused = await shop.ask("POST", "/v1/sessions/code", body)
    assert (refused.code, refused.json["params"]["methods"]) == ("second_factor_required", ["recovery_code"])
    ticket = refused.json["params"]["login_ticket"]
    assert (await shop.ask("POST", "/v1/sessions/second-factor/sms", {"login_ticket": ticket})).code == "method_unavailable"
    done = await shop.ask("POST", "/v1/sessions/second-factor", {"login_ticket": ticket, "recovery_code": codes[0]})
    assert (done.status, done.json["user_id"]) == (201, zoe.user_id)


async def test_f61_a_code_that_was_sent_for_a_login_is_no_second_factor(shop) -> None:
    zoe = await owner(shop)
    await shop.pool.execute("UPDATE account SET password_hash = NULL WHERE user_id = $1", zoe.user_id)
    sent = (await shop.ask("POST", "/v1/codes", {"channel": "sms", "to": zoe.phone, "purpose": "login"})).json
    answer = {"sms": {"challenge_id": sent["challenge_id"], "code": await zoe.received()}}
    refused = await zoe.ask("/v1/me/step-up", answer)
    assert (refused.status, refused.code) == (409, "code_unknown")
