"""What every third-party login promises, on all four adapters with the simulator behind them."""

import asyncio
import time
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import pytest

from actors.adapters.oauth.alipay import AlipayLogin
from actors.adapters.oauth.apple import AppleLogin
from actors.adapters.oauth.qq import QQLogin
from actors.adapters.oauth.wechat import WeChatLogin
from actors.ports.oauth import LoginProvider
from actors.testing.oauth_simulator.control import SimulatorControl
from actors.testing.oauth_simulator.keys import SimulatorKeys
from actors.testing.oauth_simulator.server import serving
from schemas.oauth import PROVIDERS, ExternalIdentity, LoginDenied, LoginReturn, LoginStart, LoginUnknown, Proof

REDIRECT = "https://shop.example.com/back"
START = LoginStart(redirect_uri=REDIRECT, state="st_1", nonce="n-1", code_verifier="v" * 43)
TIMEOUT_S = 0.2

NAMES = {"wechat": "小金", "qq": "小金", "alipay": "小金", "apple": "Kim Jin"}
ERRORS_OF_OURS = {"wechat": "40125", "qq": "100009", "alipay": "40002,isv.invalid-signature", "apple": "invalid_client"}
ERRORS_OF_THEIRS = {"wechat": "-1", "qq": "100032", "alipay": "20000,isp.unknow-error", "apple": "temporarily_unavailable"}


class World:
    """One provider's adapter, and the simulator behind it."""

    def __init__(self, provider: LoginProvider, control: SimulatorControl) -> None:
        self.provider, self.control = provider, control
        self.token = f"{provider.name}.token"

    async def code(self, who: str = "kim", start: LoginStart = START) -> str:
        """A person walks through the provider's page; the code they come back with."""
        fields = (await self.control.choose(self.provider.authorize_url(start), who)).fields
        assert fields["state"] == start.state
        return fields.get("auth_code") or fields.get("code", "")

    async def identify(self, code: str, **other: str) -> Proof:
        back = {"redirect_uri": REDIRECT, "nonce": START.nonce, "code_verifier": START.code_verifier, **other}
        return await self.provider.identify(LoginReturn(code=code, **back), int(time.time()))

    async def login(self, who: str = "kim", **other: str) -> Proof:
        return await self.identify(await self.code(who), **other)


@pytest.fixture(scope="session")
def simulator_keys() -> SimulatorKeys:
    return SimulatorKeys()


@pytest.fixture(params=PROVIDERS)
async def world(request: pytest.FixtureRequest, simulator_keys: SimulatorKeys) -> AsyncIterator[World]:
    given = simulator_keys.given
    async with serving(simulator_keys) as (url, _), SimulatorControl(url) as control:
        made: dict[str, LoginProvider] = {
            "wechat": WeChatLogin(
                app_id=given.wechat_app_id, app_secret=given.wechat_app_secret, authorize_url=url, api_url=url, timeout_s=TIMEOUT_S
            ),
            "qq": QQLogin(app_id=given.qq_app_id, app_key=given.qq_app_key, url=url, timeout_s=TIMEOUT_S),
            "alipay": AlipayLogin(
                app_id=given.alipay_app_id, app_private_key=given.alipay_private_key, alipay_public_key=given.alipay_public_key,
                authorize_url=url, gateway_url=f"{url}/gateway.do", timeout_s=TIMEOUT_S,
            ),
            "apple": AppleLogin(
                client_id=given.apple_client_id, team_id=given.apple_team_id, key_id=given.apple_key_id,
                private_key=given.apple_private_key, url=url, timeout_s=TIMEOUT_S,
            ),
        }  # fmt: skip
        provider = made[request.param]
        yield World(provider, control)
        await provider.close()


async def test_who_says_yes_at_the_provider_is_identified(world: World) -> None:
    fields = (await world.control.choose(world.provider.authorize_url(START))).fields
    found = await world.identify(fields.get("auth_code") or fields["code"], user=fields.get("user", ""))
    assert isinstance(found, ExternalIdentity)
    assert found.provider == world.provider.name
    assert found.subject
    assert found.display_name == NAMES[found.provider]


async def test_the_same_person_has_the_same_subject_and_another_person_another(world: World) -> None:
    first, again, other = await world.login("kim"), await world.login("kim"), await world.login("lee")
    assert isinstance(first, ExternalIdentity)
    assert isinstance(again, ExternalIdentity)
    assert isinstance(other, ExternalIdentity)
    assert (first.subject, first.union_subject) == (again.subject, again.union_subject)
    assert first.subject != other.subject


async def test_the_url_carries_the_state_and_no_secret(world: World) -> None:
    url = world.provider.authorize_url(START)
    query = parse_qs(urlsplit(url).query)
    assert query["state"] == ["st_1"]
    assert query["redirect_uri"] == [REDIRECT]
    assert START.code_verifier not in url
    assert "secret" not in url


async def test_who_says_no_brings_no_code(world: World) -> None:
    assert await world.code("") == ""


async def test_a_code_is_good_once(world: World) -> None:
    code = await world.code()
    assert isinstance(await world.identify(code), ExternalIdentity)
    second = await world.identify(code)
    assert isinstance(second, LoginDenied)
    assert second.reason == "code_invalid"
    assert (await world.control.report()).replays == 1


async def test_of_many_who_bring_one_code_at_once_one_is_identified(world: World) -> None:
    code = await world.code()
    found = await asyncio.gather(*(world.identify(code) for _ in range(5)))
    assert sum(isinstance(one, ExternalIdentity) for one in found) == 1
    assert sum(isinstance(one, LoginDenied) for one in found) == 4


async def test_an_expired_code_and_a_made_up_one_are_denied(world: World) -> None:
    await world.control.plan(code_s=0.0)
    for code in (await world.code(), "made-up", "x" * 512, "a b&c=d"):
        found = await world.identify(code)
        assert isinstance(found, LoginDenied), code
        assert found.reason == "code_invalid"


@pytest.mark.parametrize("kind", ["lose", "drop", "refuse", "garbage", "hang"])
async def test_what_the_network_or_the_provider_breaks_is_unknown(world: World, kind: str) -> None:
    await world.control.fault(kind=kind, operation=world.token, seconds=5 * TIMEOUT_S)
    assert isinstance(await world.login(), LoginUnknown)


async def test_an_error_of_ours_or_of_theirs_says_nothing_about_the_person(world: World) -> None:
    for code in (ERRORS_OF_OURS[world.provider.name], ERRORS_OF_THEIRS[world.provider.name]):
        await world.control.fault(kind="error", operation=world.token, code=code)
        assert isinstance(await world.login(), LoginUnknown)


async def test_a_redirect_is_not_followed(world: World) -> None:
    await world.control.fault(kind="redirect", operation=world.token)
    assert isinstance(await world.login(), LoginUnknown)
    assert "stolen" not in (await world.control.report()).calls


async def test_a_call_is_tried_once(world: World) -> None:
    await world.control.fault(kind="lose", operation=world.token, times=3)
    assert isinstance(await world.login(), LoginUnknown)
    assert (await world.control.report()).open_faults == 2


async def test_a_login_goes_on_after_the_connections_were_closed(world: World) -> None:
    await world.login()
    await world.provider.close()
    assert isinstance(await world.login(), ExternalIdentity)


async def test_nothing_that_opens_something_is_in_a_repr(world: World) -> None:
    found = await world.login()
    assert isinstance(found, ExternalIdentity)
    for text in (repr(found), repr(START), repr(LoginReturn(code="the-code", redirect_uri="", nonce="the-nonce", code_verifier="ver"))):
        assert found.subject not in text
        assert "the-code" not in text
        assert "the-nonce" not in text
        assert START.code_verifier not in text
