"""What is particular to the two that sign: whose word is believed, and how keys and names change under us."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from actors.adapters.oauth.alipay import AlipayLogin
from actors.adapters.oauth.apple import KEYS_PAUSE_S, KEYS_S, SECRET_S, URL, AppleLogin, challenge_of, name_of
from actors.testing.oauth_simulator.books import name_for_all, name_in
from actors.testing.oauth_simulator.control import SimulatorControl
from actors.testing.oauth_simulator.keys import SimulatorKeys, pem_of
from actors.testing.oauth_simulator.server import Simulator
from schemas.oauth import ExternalIdentity, LoginDenied, LoginReturn, LoginStart, LoginUnknown, Proof

START = LoginStart(redirect_uri="https://shop.example.com/back", state="st_1", nonce="n-1", code_verifier="v" * 43)
SIX_MONTHS_S = 15_777_000


def now_s() -> int:
    return int(time.time())


async def login(
    provider: AlipayLogin | AppleLogin, control: SimulatorControl, who: str = "kim", *, later_s: int = 0, **other: str
) -> Proof:
    fields = (await control.choose(provider.authorize_url(START), who)).fields
    told = {"redirect_uri": START.redirect_uri, "nonce": START.nonce, "code_verifier": START.code_verifier, "user": fields.get("user", "")}
    back = LoginReturn(code=fields.get("auth_code") or fields["code"], **{**told, **other})
    return await provider.identify(back, now_s() + later_s)


# --- Alipay -----------------------------------------------------------------------------------------


@pytest.fixture
async def alipay(simulator: Simulator) -> AsyncIterator[AlipayLogin]:
    given, url = simulator.desk.keys.given, simulator.desk.url
    login = AlipayLogin(
        app_id=given.alipay_app_id, app_private_key=given.alipay_private_key, alipay_public_key=given.alipay_public_key,
        authorize_url=url, gateway_url=f"{url}/gateway.do", timeout_s=0.5,
    )  # fmt: skip
    yield login
    await login.close()


@pytest.mark.parametrize("names", ["user_id", "both", "open_id"])
async def test_alipays_old_and_new_names_are_both_found(alipay: AlipayLogin, control: SimulatorControl, names: str) -> None:
    await control.plan(alipay_names=names)
    user_id, open_id = name_for_all("alipay", "kim"), f"2021000000000001:{name_in('2021000000000001', 'kim', 40)}"
    assert await login(alipay, control) == ExternalIdentity(
        provider="alipay",
        subject=user_id if names == "user_id" else open_id,
        union_subject="" if names == "open_id" else user_id,
        display_name="小金",
    )


@pytest.mark.parametrize("twist", ["forged", "unsigned"])
async def test_what_alipay_did_not_sign_is_not_believed(alipay: AlipayLogin, control: SimulatorControl, twist: Any) -> None:
    await control.fault(kind="twist", operation="alipay.token", twist=twist)
    assert await login(alipay, control) == LoginUnknown(detail="not_signed_by_alipay")
    await control.fault(kind="twist", operation="alipay.user", twist=twist)
    found = await login(alipay, control)
    assert isinstance(found, ExternalIdentity)
    assert found.display_name == ""


async def test_an_alipay_profile_of_somebody_else_is_not_believed(alipay: AlipayLogin, control: SimulatorControl) -> None:
    await control.fault(kind="twist", operation="alipay.user", twist="other_person")
    assert await login(alipay, control) == LoginUnknown(detail="user_of_another")


async def test_alipay_refuses_a_call_that_another_key_signed(simulator: Simulator, control: SimulatorControl) -> None:
    given, url = simulator.desk.keys.given, simulator.desk.url
    stranger = AlipayLogin(
        app_id=given.alipay_app_id, app_private_key=pem_of(simulator.desk.keys.stranger), alipay_public_key=given.alipay_public_key,
        authorize_url=url, gateway_url=f"{url}/gateway.do",
    )  # fmt: skip
    assert await login(stranger, control) == LoginUnknown(detail="code_40002_isv.invalid-signature")
    await stranger.close()


async def test_alipays_errors_are_about_the_code_or_say_nothing(alipay: AlipayLogin, control: SimulatorControl) -> None:
    for code, expected in (
        ("40002,isv.code-invalid", LoginDenied(reason="code_invalid", detail="code_40002_isv.code-invalid")),
        ("20000,isp.unknow-error", LoginUnknown(detail="code_20000_isp.unknow-error")),
        ("40006,isv.insufficient-isv-permissions", LoginUnknown(detail="code_40006_isv.insufficient-isv-permissions")),
    ):
        await control.fault(kind="error", operation="alipay.token", code=code)
        assert await login(alipay, control) == expected


# --- Apple ------------------------------------------------------------------------------------------


@pytest.fixture
async def apple(simulator: Simulator) -> AsyncIterator[AppleLogin]:
    provider = _apple(simulator)
    yield provider
    await provider.close()


def _apple(simulator: Simulator, **other: str) -> AppleLogin:
    given = simulator.desk.keys.given
    told = {
        "client_id": given.apple_client_id, "team_id": given.apple_team_id, "key_id": given.apple_key_id,
        "private_key": given.apple_private_key, "url": simulator.desk.url,
    }  # fmt: skip
    return AppleLogin(**{**told, **other}, timeout_s=0.5)  # type: ignore[arg-type]


def test_the_challenge_is_the_one_of_rfc_7636() -> None:
    assert challenge_of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_apple_is_asked_for_a_form_with_a_nonce_and_a_challenge(simulator_keys: SimulatorKeys) -> None:
    given = simulator_keys.given
    provider = AppleLogin(client_id="c", team_id="t", key_id="k", private_key=given.apple_private_key)
    parts = urlsplit(provider.authorize_url(START))
    assert (parts.scheme, parts.netloc, parts.path) == ("https", "appleid.apple.com", "/auth/authorize")
    assert parse_qs(parts.query) == {
        "response_type": ["code"], "response_mode": ["form_post"], "client_id": ["c"], "redirect_uri": [START.redirect_uri],
        "scope": ["name email"], "state": ["st_1"], "nonce": ["n-1"], "code_challenge": [challenge_of("v" * 43)],
        "code_challenge_method": ["S256"],
    }  # fmt: skip


def test_the_client_secret_is_a_short_lived_token_of_ours(simulator_keys: SimulatorKeys) -> None:
    provider = AppleLogin(client_id="c", team_id="t", key_id="k", private_key=simulator_keys.given.apple_private_key)
    read = jwt.decode(provider.client_secret(1000), simulator_keys.apple_app, algorithms=["ES256"])
    assert (read.header["alg"], read.header["kid"]) == ("ES256", "k")
    assert read.claims == {"iss": "t", "iat": 1000, "exp": 1000 + SECRET_S, "aud": URL, "sub": "c"}
    assert SECRET_S <= SIX_MONTHS_S


@pytest.mark.parametrize(
    "other", [{"team_id": "OTHER"}, {"key_id": "OTHER"}, {"private_key": ECKey.generate_key("P-256").as_pem(private=True).decode()}]
)
async def test_apple_refuses_a_secret_that_is_not_the_apps(simulator: Simulator, control: SimulatorControl, other: dict[str, str]) -> None:
    provider = _apple(simulator, **other)
    assert await login(provider, control) == LoginUnknown(detail="invalid_client")
    await provider.close()


async def test_apple_refuses_a_code_without_its_verifier_or_page(apple: AppleLogin, control: SimulatorControl) -> None:
    for other in ({"code_verifier": "w" * 43}, {"code_verifier": ""}, {"redirect_uri": "https://evil.example.com"}):
        assert await login(apple, control, **other) == LoginDenied(reason="code_invalid", detail="invalid_grant")


@pytest.mark.parametrize(
    ("twist", "reason"),
    [
        ("nonce", "nonce"), ("audience", "audience"), ("issuer", "issuer"), ("expired", "expired"), ("future", "not_yet"),
        ("key", "key_unknown"), ("forged", "signature"),
    ],
)  # fmt: skip
async def test_apples_word_is_for_this_login_or_for_nothing(apple: AppleLogin, control: SimulatorControl, twist: str, reason: str) -> None:
    await control.fault(kind="twist", operation="apple.token", twist=twist)
    assert await login(apple, control) == LoginDenied(reason="not_genuine", detail=reason)


async def test_a_nonce_of_another_login_is_refused(apple: AppleLogin, control: SimulatorControl) -> None:
    assert await login(apple, control, nonce="n-2") == LoginDenied(reason="not_genuine", detail="nonce")


@pytest.mark.parametrize("twist", ["", "text_truth"])
async def test_a_relayed_address_is_said_to_be_one(apple: AppleLogin, control: SimulatorControl, twist: str) -> None:
    found = {}
    for who in ("kim", "lee"):
        await control.fault(kind="twist", operation="apple.token", twist=twist)
        found[who] = await login(apple, control, who)
    kim, lee = found["kim"], found["lee"]
    assert isinstance(kim, ExternalIdentity)
    assert isinstance(lee, ExternalIdentity)
    assert (kim.email, kim.email_verified, kim.email_relayed) == ("kim@example.com", True, False)
    assert (lee.email, lee.email_verified, lee.email_relayed) == ("a1b2c3@privaterelay.appleid.com", True, True)


async def test_apple_says_the_name_the_first_time_alone(apple: AppleLogin, control: SimulatorControl) -> None:
    first, second = await login(apple, control), await login(apple, control)
    assert isinstance(first, ExternalIdentity)
    assert isinstance(second, ExternalIdentity)
    assert (first.display_name, second.display_name) == ("Kim Jin", "")
    assert first.subject == second.subject


def test_a_name_field_that_is_none_is_no_name() -> None:
    assert name_of('{"name":{"firstName":" Ada ","lastName":""},"email":"x@y.z"}') == "Ada"
    for bad in ("", "{", "[]", '{"name":null}', '{"name":{"firstName":1}}', "\ud800"):
        assert name_of(bad) == ""
    assert len(name_of('{"name":{"firstName":"' + "a" * 500 + '"}}')) == 100


async def test_apples_keys_are_asked_for_once_a_day_also_by_many_at_once(apple: AppleLogin, control: SimulatorControl) -> None:
    found = await asyncio.gather(*(login(apple, control) for _ in range(6)))
    assert all(isinstance(one, ExternalIdentity) for one in found)
    assert (await control.report()).calls["apple.keys"] == 1


async def test_a_new_key_of_apples_is_fetched_when_it_is_first_seen(apple: AppleLogin, control: SimulatorControl) -> None:
    await login(apple, control)
    await control.plan(apple_rotates=True)
    assert isinstance(await login(apple, control, later_s=KEYS_PAUSE_S), ExternalIdentity)
    assert (await control.report()).calls["apple.keys"] == 2


async def test_tokens_with_unknown_keys_do_not_make_us_ask_apple_every_time(apple: AppleLogin, control: SimulatorControl) -> None:
    await login(apple, control)
    await control.fault(kind="twist", operation="apple.token", twist="key", times=5)
    for _ in range(5):
        assert await login(apple, control) == LoginDenied(reason="not_genuine", detail="key_unknown")
    assert (await control.report()).calls["apple.keys"] == 1


async def test_without_apples_keys_nobody_is_judged(apple: AppleLogin, control: SimulatorControl) -> None:
    for kind in ("lose", "refuse", "garbage"):
        await control.fault(kind=kind, operation="apple.keys")
        assert await login(apple, control) == LoginUnknown(detail="keys_unavailable")
    assert isinstance(await login(apple, control), ExternalIdentity)


async def test_old_keys_are_not_believed_for_ever(apple: AppleLogin, control: SimulatorControl, simulator: Simulator) -> None:
    await login(apple, control)
    simulator.desk.books.now_s = lambda: time.time() + KEYS_S + 1
    await control.fault(kind="refuse", operation="apple.keys")
    assert await login(apple, control, later_s=KEYS_S + 1) == LoginUnknown(detail="keys_unavailable")
