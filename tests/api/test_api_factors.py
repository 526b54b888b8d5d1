"""Devices that make codes, recovery codes, the second step of a login, and step-up, over HTTP."""

import asyncio
import json
import secrets
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import msgspec
import pyotp
import pytest
from structlog.testing import capture_logs

from actors.domain import factors
from actors.domain.signing import sign
from actors.domain.token import AccessToken, issue
from actors.testing.authenticator import Authenticator, Credential, base64url
from schemas.ids import is_id
from schemas.settings import Settings
from serve import passkeys, second_factor
from serve.application import build
from serve.passkeys import Challenge
from serve.proofs import STEP_MS
from serve.second_factor import LoginTicket, remove_factors

# Every account here costs a hash of a password.
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

PASSWORD = "correct horse battery staple"


class User:
    """Somebody with an account, a session, and perhaps a device that makes codes."""

    def __init__(self, shop) -> None:
        self.shop = shop
        self.email = f"kim.{secrets.token_hex(6)}@example.com"
        self.token = ""
        self.user_id = ""
        self.factor_id = ""
        self.secret = ""
        self.first_step = 0

    async def ask(self, method: str, path: str, body=None, **more):
        return await self.shop.ask(method, path, body, token=self.token, **more)

    async def log_in(self, **more):
        return await self.shop.ask("POST", "/v1/sessions", {"email": self.email, "password": PASSWORD}, **more)

    async def step_up(self, **proof):
        answer = await self.ask("POST", "/v1/me/step-up", proof)
        if answer.status == 200:
            self.token = answer.json["access_token"]
        return answer

    async def enrol(self) -> None:
        """A device, confirmed by the code of this half minute."""
        answer = await self.ask("POST", "/v1/me/factors/totp", {"name": "phone"})
        assert answer.status == 201, answer.body
        self.factor_id, self.secret = answer.json["factor_id"], answer.json["secret"]
        self.first_step = self.shop.clock.now_ms() // STEP_MS
        confirmed = await self.ask("POST", f"/v1/me/factors/totp/{self.factor_id}/confirm", {"code": self.code(0)})
        assert confirmed.status == 200, confirmed.body
        self.token = confirmed.json["access_token"]

    def code(self, later: int = 1) -> str:
        """The code of the half minute after the one in which the device was confirmed: accepted for half a minute from now."""
        return pyotp.TOTP(self.secret).generate_otp(self.first_step + later)

    def wrong_code(self) -> str:
        made = pyotp.TOTP(self.secret)
        near = {made.generate_otp(self.first_step + off) for off in range(-3, 6)}
        return next(code for number in range(100) if (code := f"{number:06}") not in near)

    async def recovery_codes(self) -> list[str]:
        return (await self.ask("POST", "/v1/me/factors/recovery-codes")).json["codes"]

    async def ticket(self) -> str:
        refused = await self.log_in()
        assert (refused.status, refused.code) == (401, "second_factor_required")
        return refused.json["params"]["login_ticket"]


async def user(shop, *, device: bool = False) -> User:
    """A new account that is logged in and, with a device, has proven it just now."""
    made = User(shop)
    await shop.register({"email": made.email, "password": PASSWORD})
    tokens = (await made.log_in()).json
    made.token, made.user_id = tokens["access_token"], tokens["user_id"]
    if device:
        assert (await made.step_up(password=PASSWORD)).status == 200
        await made.enrol()
    return made


async def test_an_enrolment_shows_its_secret_once_as_text_as_uri_and_as_picture(shop) -> None:
    kim = await user(shop)
    await kim.step_up(password=PASSWORD)
    made = (await kim.ask("POST", "/v1/me/factors/totp", {"name": "phone"}, key="the-same-key")).json
    again = (await kim.ask("POST", "/v1/me/factors/totp", {"name": "phone"}, key="the-same-key")).json
    assert again == made
    assert is_id(made["factor_id"], "fac")
    uri = urlsplit(made["uri"])
    assert (uri.scheme, uri.netloc, uri.path) == ("otpauth", "totp", f"/Stampede:{kim.email.replace('@', '%40')}")
    assert parse_qs(uri.query) == {"secret": [made["secret"]], "issuer": ["Stampede"]}
    assert ElementTree.fromstring(made["qr_svg"]).tag == "{http://www.w3.org/2000/svg}svg"
    shown = (await kim.ask("GET", "/v1/me/factors")).json
    assert (shown["totp"][0]["confirmed"], shown["methods"]) == (False, ["password"])
    assert made["secret"] not in json.dumps(shown)
    code = pyotp.TOTP(made["secret"]).generate_otp(shop.clock.now_ms() // STEP_MS)
    assert (await kim.ask("POST", f"/v1/me/factors/totp/{made['factor_id']}/confirm", {"code": code})).status == 200
    assert (await kim.ask("POST", "/v1/me/factors/totp", {"name": "phone"}, key="the-same-key")).status in (403, 404)
    shown = (await kim.ask("GET", "/v1/me/factors")).json
    assert (shown["totp"][0]["confirmed"], shown["methods"]) == (True, ["totp"])


async def test_a_login_with_a_second_factor_is_finished_by_a_ticket_and_a_code(shop) -> None:
    kim = await user(shop, device=True)
    refused = await kim.log_in(key="the-same-key")
    assert (refused.status, refused.code, refused.json["params"]["methods"]) == (401, "second_factor_required", ["totp"])
    ticket = refused.json["params"]["login_ticket"]
    wrong = await shop.ask("POST", "/v1/sessions/second-factor", {"login_ticket": ticket, "totp": kim.wrong_code()})
    assert (wrong.status, wrong.code, wrong.json["params"]) == (403, "factor_wrong", {"left": 4})
    done = await shop.ask("POST", "/v1/sessions/second-factor", {"login_ticket": ticket, "totp": kim.code()})
    assert (done.status, done.json["user_id"], done.json["device_token"]) == (201, kim.user_id, None)
    listed = (await shop.ask("GET", "/v1/sessions", token=done.json["access_token"])).json["sessions"]
    assert [one["current"] for one in listed] == [False, False, True]
    # What was just proven counts as a step-up.
    assert (await shop.ask("POST", "/v1/me/factors/recovery-codes", token=done.json["access_token"])).status == 201


@pytest.mark.parametrize("more", [{}, {"totp": "123456", "recovery_code": "0123456789"}])
async def test_a_second_step_brings_exactly_one_proof(shop, more) -> None:
    kim = await user(shop, device=True)
    refused = await shop.ask("POST", "/v1/sessions/second-factor", {"login_ticket": await kim.ticket(), **more})
    assert (refused.status, refused.code) == (422, "invalid_request")
    assert (await kim.ask("POST", "/v1/me/step-up", more)).code == "invalid_request"


async def test_a_ticket_is_of_one_login_for_five_minutes_and_is_no_token(shop) -> None:
    kim = await user(shop, device=True)
    ticket = await kim.ticket()
    for forged in (kim.token, "x", ticket[:-2] + "AA", ""):
        refused = await shop.ask("POST", "/v1/sessions/second-factor", {"login_ticket": forged, "totp": kim.code()})
        assert refused.code == ("login_ticket_invalid" if forged else "invalid_request")
    assert (await shop.ask("GET", "/v1/cart", token=ticket)).code == "unauthenticated"
    device = (await shop.ask("POST", "/v1/sessions/second-factor", {"login_ticket": ticket, "totp": kim.code(), "trust_device": True})).json
    refused = await shop.ask("POST", "/v1/sessions/second-factor", {"login_ticket": device["device_token"], "totp": kim.code()})
    assert refused.code == "login_ticket_invalid"


async def test_a_ticket_a_trusted_device_and_a_question_end_by_the_clock(shop) -> None:
    kim = await user(shop, device=True)
    now_ms = shop.clock.now_ms()

    def ticket(until_ms: int) -> str:
        made = LoginTicket(user_id=kim.user_id, key=b"the-same-key", guest_token=None, cookie=False, sms=False, expires_at_ms=until_ms)
        return sign(shop.services.token_keys, second_factor._TICKET, msgspec.msgpack.encode(made))

    late = await shop.ask("POST", "/v1/sessions/second-factor", {"login_ticket": ticket(now_ms), "totp": kim.code()})
    assert (late.status, late.code) == (401, "login_ticket_invalid")
    for until_ms, status in ((now_ms, 401), (now_ms + 60_000, 201)):
        made = second_factor._Device(user_id=kim.user_id, generation=0, expires_at_ms=until_ms)
        device = sign(shop.services.token_keys, second_factor._DEVICE, msgspec.msgpack.encode(made))
        assert (await kim.log_in(headers={"Device-Token": device})).status == status
    asked = Challenge(id=b"i" * 16, purpose="login", user_id="", bound="", expires_at_ms=now_ms)
    text = sign(shop.services.token_keys, passkeys._CHALLENGE, msgspec.msgpack.encode(asked))
    authenticator = Authenticator()
    stranger = Credential("localhost", b"usr_1", b"c" * 16, counts=True)
    signed = authenticator.get({"challenge": base64url(text.encode()), "rpId": "localhost"}, credential=stranger)
    assert (await shop.ask("POST", "/v1/sessions/passkey", {"assertion": signed})).code == "challenge_invalid"
    done = await shop.ask("POST", "/v1/sessions/second-factor", {"login_ticket": ticket(now_ms + 60_000), "totp": kim.code()})
    assert done.status == 201


@pytest.mark.parametrize(("ago_s", "status"), [(0, 200), (590, 200), (601, 403)])
async def test_a_step_up_counts_for_ten_minutes(shop, ago_s, status) -> None:
    kim = await user(shop)
    now_ms = shop.clock.now_ms()
    token = AccessToken(
        user_id=kim.user_id, session_id="ses_1", generation=0, roles=1, expires_at_ms=now_ms + 60_000,
        stepped_up_at_ms=now_ms - ago_s * 1000,
    )  # fmt: skip
    answer = await shop.ask("POST", "/v1/me/passkeys/options", token=issue(shop.services.token_keys, token))
    assert answer.status == status


async def test_f63_whoever_has_but_a_stolen_token_changes_no_factor_and_is_seen_and_ended_by_its_owner(shop) -> None:
    kim = await user(shop, device=True)
    body = {"login_ticket": await kim.ticket(), "totp": kim.code()}
    session = (await shop.ask("POST", "/v1/sessions/second-factor", body)).json
    refreshed = await shop.ask("POST", "/v1/sessions/refresh", {"refresh_token": session["refresh_token"]})
    stolen = refreshed.json["access_token"]
    for method, path, sent in (
        ("POST", "/v1/me/factors/totp", {"name": "thief"}),
        ("DELETE", f"/v1/me/factors/{kim.factor_id}", None),
        ("POST", "/v1/me/factors/recovery-codes", None),
        ("POST", "/v1/me/passkeys/options", None),
    ):
        assert (await shop.ask(method, path, sent, token=stolen)).code == "step_up_required"
    seen = [one["session_id"] for one in (await kim.ask("GET", "/v1/sessions")).json["sessions"]]
    assert session["session_id"] in seen
    assert (await kim.ask("DELETE", f"/v1/sessions/{session['session_id']}")).status == 204
    assert (await shop.ask("GET", "/v1/me/factors", token=stolen)).code == "token_revoked"


async def test_of_an_account_that_is_closed_every_factor_is_taken_away(shop) -> None:
    kim = await user(shop, device=True)
    made = Authenticator().create((await kim.ask("POST", "/v1/me/passkeys/options")).json["publicKey"])
    assert (await kim.ask("POST", "/v1/me/passkeys", {"name": "key", "credential": made})).status == 201
    await kim.recovery_codes()
    for _ in range(2):
        await remove_factors(shop.application.desk, kim.user_id)
    shown = (await kim.ask("GET", "/v1/me/factors")).json
    assert (shown["totp"], shown["passkeys"], shown["recovery_codes_left"]) == ([], [], 0)
    assert await shop.pool.fetchval("SELECT count(*) FROM passkey WHERE user_id = $1", kim.user_id) == 0


async def test_a_code_by_sms_is_nobodys_method_while_nobody_has_a_telephone(shop) -> None:
    kim = await user(shop)
    assert (await kim.ask("POST", "/v1/me/step-up/sms")).code == "method_unavailable"
    assert (await kim.step_up(sms={"challenge_id": "x", "code": "123456"})).code == "method_unavailable"


async def test_f60_a_code_is_accepted_once_and_an_earlier_one_never_again(shop) -> None:
    kim = await user(shop, device=True)
    assert (await kim.step_up(totp=kim.code(0))).code == "factor_code_used"
    assert (await kim.step_up(totp=kim.code())).status == 200
    again = await kim.step_up(totp=kim.code())
    assert (again.status, again.code) == (403, "factor_code_used")
    finished = await shop.ask("POST", "/v1/sessions/second-factor", {"login_ticket": await kim.ticket(), "totp": kim.code()})
    assert finished.code == "factor_code_used"


async def by_two_nodes(shop, kim: User) -> list[str]:
    """The same code of the same user, at the same instant, at two applications; what each of four requests was told."""
    other = build(shop.services)
    body = json.dumps({"totp": kim.code()}).encode()

    async def asked(application) -> str:
        sent: list[dict] = []
        headers = [(b"authorization", b"Bearer " + kim.token.encode()), (b"content-type", b"application/json"), (b"host", b"shop")]
        scope = {
            "type": "http", "method": "POST", "path": "/v1/me/step-up", "raw_path": b"/v1/me/step-up", "query_string": b"",
            "headers": headers, "client": ("127.0.0.1", 1), "scheme": "http", "http_version": "1.1", "root_path": "",
            "server": ("shop", 80),
        }  # fmt: skip

        async def receive() -> dict:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict) -> None:
            sent.append(message)

        await application(scope, receive, send)
        answer = json.loads(sent[1]["body"])
        return answer.get("code") or answer["method"]

    told = await asyncio.gather(*(asked(application) for application in (shop.application, other) * 2))
    await other.stop()
    return sorted(told)


async def test_f60_of_two_nodes_that_are_shown_a_code_at_the_same_instant_one_accepts_it(shop) -> None:
    kim = await user(shop, device=True)
    assert await by_two_nodes(shop, kim) == ["factor_code_used"] * 3 + ["totp"]


async def test_the_control_without_the_check_of_the_step_every_node_accepts_the_code(shop, monkeypatch) -> None:
    kim = await user(shop, device=True)
    monkeypatch.setattr(factors, "is_replay", lambda device, step: False)
    assert await by_two_nodes(shop, kim) == ["totp"] * 4


async def test_f59_fifty_guesses_at_the_same_instant_are_five_tries(shop) -> None:
    kim = await user(shop, device=True)
    wrong = kim.wrong_code()
    answers = await asyncio.gather(*(kim.ask("POST", "/v1/me/step-up", {"totp": wrong}) for _ in range(50)))
    codes = [answer.code for answer in answers]
    assert (codes.count("factor_wrong"), codes.count("factor_locked")) == (5, 45)
    locked = await kim.step_up(totp=kim.code())
    assert (locked.status, locked.code) == (429, "factor_locked")
    assert 50 <= int(locked.headers["retry-after"]) <= 60
    # Whoever guesses codes locks nobody out of the other methods.
    assert (await kim.ask("POST", "/v1/me/factors/recovery-codes")).status == 201


async def test_recovery_codes_finish_a_login_once_each_and_are_nowhere_written_down(shop) -> None:
    kim = await user(shop, device=True)
    codes = await kim.recovery_codes()
    assert (len(set(codes)), {len(code) for code in codes}) == (10, {11})
    spelled = codes[0].upper().replace("-", " ")
    done = await shop.ask("POST", "/v1/sessions/second-factor", {"login_ticket": await kim.ticket(), "recovery_code": spelled})
    assert done.status == 201
    again = await shop.ask("POST", "/v1/sessions/second-factor", {"login_ticket": await kim.ticket(), "recovery_code": codes[0]})
    assert (again.status, again.code) == (403, "factor_wrong")
    left = await kim.step_up(recovery_code=codes[1])
    assert (left.json["method"], left.json["recovery_codes_left"]) == ("recovery_code", 8)
    journal = repr(vars(shop.services.directory))
    assert kim.factor_id in journal
    assert [code for code in (*codes, kim.secret) if code in journal or code.replace("-", "") in journal] == []


async def test_a_recovery_code_that_is_shown_ten_times_at_once_is_spent_once(shop) -> None:
    kim = await user(shop, device=True)
    codes = await kim.recovery_codes()
    answers = await asyncio.gather(*(kim.ask("POST", "/v1/me/step-up", {"recovery_code": codes[0]}) for _ in range(10)))
    assert [answer.status for answer in answers].count(200) == 1
    assert (await kim.ask("GET", "/v1/me/factors")).json["recovery_codes_left"] == 9


async def test_of_recovery_codes_made_in_two_windows_at_once_one_set_is_good(shop) -> None:
    kim = await user(shop, device=True)
    sets = await asyncio.gather(kim.recovery_codes(), kim.recovery_codes())
    told = sorted([(await kim.ask("POST", "/v1/me/step-up", {"recovery_code": codes[0]})).status for codes in sets])
    assert told == [200, 403]


async def test_what_changes_factors_asks_for_a_step_up_and_says_by_what(shop) -> None:
    kim = await user(shop)
    refused = await kim.ask("POST", "/v1/me/factors/totp", {"name": "phone"})
    assert (refused.status, refused.code, refused.json["params"]) == (403, "step_up_required", {"methods": ["password"]})
    wrong = await kim.step_up(password="wrong")
    assert (wrong.status, wrong.code) == (403, "factor_wrong")
    assert (await kim.step_up(password=PASSWORD)).json["method"] == "password"
    await kim.enrol()
    plain = shop.token_of(kim.user_id)
    for method, path in (
        ("POST", "/v1/me/factors/recovery-codes"),
        ("DELETE", f"/v1/me/factors/{kim.factor_id}"),
        ("POST", "/v1/me/passkeys/options"),
    ):
        refused = await shop.ask(method, path, token=plain)
        assert (refused.status, refused.code, refused.json["params"]) == (403, "step_up_required", {"methods": ["totp"]})
    # A password is what a second factor is the second to.
    assert (await kim.step_up(password=PASSWORD)).code == "method_unavailable"


async def test_a_step_up_is_of_this_session_and_a_refreshed_token_does_not_carry_it_on(shop) -> None:
    kim = await user(shop)
    tokens = (await kim.log_in()).json
    kim.token = tokens["access_token"]
    await kim.step_up(password=PASSWORD)
    assert (await kim.ask("POST", "/v1/me/passkeys/options")).status == 200
    refreshed = (await shop.ask("POST", "/v1/sessions/refresh", {"refresh_token": tokens["refresh_token"]})).json
    assert (await shop.ask("POST", "/v1/me/passkeys/options", token=refreshed["access_token"])).code == "step_up_required"
    assert (await kim.ask("DELETE", "/v1/sessions/current")).status == 204
    assert (await kim.step_up(password=PASSWORD)).code == "token_revoked"


async def test_a_browser_that_steps_up_gets_its_token_as_a_cookie(shop) -> None:
    kim = await user(shop)
    answer = await shop.ask("POST", "/v1/sessions", {"email": kim.email, "password": PASSWORD, "cookie": True})
    cookie = "; ".join(one.partition(";")[0] for one in answer.headers.getall("set-cookie"))
    headers = {"Cookie": cookie, "Origin": shop.base}
    stepped = await shop.ask("POST", "/v1/me/step-up", {"password": PASSWORD}, headers=headers)
    assert (stepped.status, stepped.json["access_token"]) == (200, None)
    [fresh] = stepped.headers.getall("set-cookie")
    assert fresh.startswith("__Host-stampede=")
    headers = {"Cookie": fresh.partition(";")[0], "Origin": shop.base}
    assert (await shop.ask("POST", "/v1/me/passkeys/options", headers=headers)).status == 200


async def test_a_trusted_device_is_not_asked_again_until_something_is_taken_away(shop) -> None:
    kim, lee = await user(shop, device=True), await user(shop, device=True)
    body = {"login_ticket": await kim.ticket(), "totp": kim.code(), "trust_device": True}
    device = (await shop.ask("POST", "/v1/sessions/second-factor", body)).json["device_token"]
    assert (await kim.log_in(headers={"Device-Token": device})).status == 201
    assert (await lee.log_in(headers={"Device-Token": device})).code == "second_factor_required"
    assert (await kim.log_in(headers={"Device-Token": "x"})).code == "second_factor_required"
    assert (await kim.ask("DELETE", "/v1/me/trusted-devices")).status == 204
    assert (await kim.log_in(headers={"Device-Token": device})).code == "second_factor_required"


async def test_a_device_is_renamed_and_removed_and_then_the_password_is_enough_again(shop) -> None:
    kim, lee = await user(shop, device=True), await user(shop, device=True)
    path = f"/v1/me/factors/{kim.factor_id}"
    assert (await lee.ask("PUT", path, {"name": "mine"})).code == "factor_unknown"
    assert (await lee.ask("DELETE", path)).code == "factor_unknown"
    assert (await kim.ask("PUT", path, {"name": "old phone"})).status == 204
    assert (await kim.ask("GET", "/v1/me/factors")).json["totp"][0]["name"] == "old phone"
    assert (await kim.ask("DELETE", path)).status == 204
    assert (await kim.log_in()).status == 201


async def test_a_secret_that_does_not_open_is_an_alarm_and_no_code_of_it_is_right(shop) -> None:
    kim = await user(shop, device=True)
    altered = shop.application.desk.sealer.seal("another purpose", kim.user_id, kim.secret)
    opened = shop.application.desk.sealer.open
    shop.application.desk.sealer.open = lambda purpose, owner, data: opened(purpose, owner, altered)
    try:
        with capture_logs() as logs:
            assert (await kim.step_up(totp=kim.code())).code == "factor_wrong"
    finally:
        del shop.application.desk.sealer.open
    assert [(one["event"], one["factor_id"]) for one in logs if one["log_level"] == "error"] == [("totp_secret_unreadable", kim.factor_id)]


async def test_a_large_order_asks_for_a_step_up_and_a_small_one_does_not(database_url, running_shop) -> None:
    settings = Settings(shard_count=16, replicas=1, rate_user_per_s=1000, step_up_order_minor=5000)
    address = {"country": "CN", "name": "王芳", "phone": "13800138000", "line1": "南京西路 1 号", "city": "上海"}
    address |= {"region": "上海", "district": "静安区"}
    async with running_shop(database_url, settings) as shop:
        kim, sku_id = await user(shop), await shop.sku(5, price=1999)
        await kim.ask("PUT", f"/v1/cart/lines/{sku_id}", {"quantity": 3})
        for total in ({"expected_total": {"amount": 5997, "currency": "CNY"}}, {}):
            refused = await kim.ask("POST", "/v1/checkout", {"ship_to": address, **total})
            assert (refused.code, refused.json["params"]) == ("step_up_required", {"methods": ["password"]})
        await kim.step_up(password=PASSWORD)
        assert (await kim.ask("POST", "/v1/checkout", {"ship_to": address})).status == 201
        kim.token = shop.token_of(kim.user_id)
        await kim.ask("PUT", f"/v1/cart/lines/{sku_id}", {"quantity": 2})
        lied = await kim.ask("POST", "/v1/checkout", {"ship_to": address, "expected_total": {"amount": 1, "currency": "CNY"}})
        assert lied.code == "total_changed"
        small = {"ship_to": address, "expected_total": {"amount": 3998, "currency": "CNY"}}
        assert (await kim.ask("POST", "/v1/checkout", small)).status == 201


async def test_f63_a_stolen_token_changes_nothing_of_how_a_protected_account_is_logged_in_to(shop) -> None:
    kim = await user(shop, device=True)
    proven = kim.token
    kim.token = shop.token_of(kim.user_id)  # of the same account, without a proof
    code = {"email": "thief@example.com", "challenge_id": "chl_" + "0" * 20, "code": "000000"}
    identity = (await kim.ask("GET", "/v1/me/identities")).json["identities"][0]["identity_id"]
    tries = (
        ("PUT", "/v1/me/password", {"current": PASSWORD, "password": "another good password"}),
        ("POST", "/v1/me/identities", code),
        ("POST", "/v1/me/merge", code),
        ("DELETE", f"/v1/me/identities/{identity}", None),
    )
    for method, path, body in tries:
        refused = await kim.ask(method, path, body)
        assert (refused.status, refused.code, refused.json["params"]["methods"]) == (403, "step_up_required", ["totp"])
    kim.token = proven
    assert (await kim.ask(*tries[0])).status == 204
    assert (await kim.ask(*tries[1])).code == "code_unknown"
    assert (await kim.ask(*tries[3])).code == "last_identity"
