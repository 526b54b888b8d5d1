"""What is particular to Tencent's two: names per app, names for all apps that come or do not, errors in answers of 200."""

from collections.abc import AsyncIterator

import pytest

from actors.adapters.oauth.qq import QQLogin
from actors.adapters.oauth.wechat import WeChatLogin
from actors.testing.oauth_simulator.books import name_for_all, name_in
from actors.testing.oauth_simulator.control import SimulatorControl
from actors.testing.oauth_simulator.server import Simulator
from schemas.oauth import ExternalIdentity, LoginDenied, LoginReturn, LoginStart, LoginUnknown, Proof

START = LoginStart(redirect_uri="https://shop.example.com/back?a=1&b=ü", state="st_1", nonce="n", code_verifier="v" * 43)
NOW = 1_764_000_000


@pytest.fixture
async def wechat(simulator: Simulator) -> AsyncIterator[WeChatLogin]:
    given, url = simulator.desk.keys.given, simulator.desk.url
    login = WeChatLogin(
        app_id=given.wechat_app_id, app_secret=given.wechat_app_secret, mini_app_id=given.wechat_mini_app_id,
        mini_app_secret=given.wechat_mini_app_secret, authorize_url=url, api_url=url, timeout_s=0.5,
    )  # fmt: skip
    yield login
    await login.close()


@pytest.fixture
async def qq(simulator: Simulator) -> AsyncIterator[QQLogin]:
    given, url = simulator.desk.keys.given, simulator.desk.url
    login = QQLogin(app_id=given.qq_app_id, app_key=given.qq_app_key, url=url, timeout_s=0.5)
    yield login
    await login.close()


async def login(provider: WeChatLogin | QQLogin, control: SimulatorControl, who: str = "kim", *, start: LoginStart = START) -> Proof:
    code = (await control.choose(provider.authorize_url(start), who)).fields["code"]
    return await provider.identify(LoginReturn(code=code, redirect_uri=START.redirect_uri, nonce="n", code_verifier="v" * 43), NOW)


def test_wechats_parameters_stand_in_its_order_and_the_fragment_is_there() -> None:
    login = WeChatLogin(app_id="wx1", app_secret="s")
    assert login.authorize_url(START) == (
        "https://open.weixin.qq.com/connect/qrconnect?appid=wx1&redirect_uri=https%3A%2F%2Fshop.example.com%2Fback%3Fa%3D1%26b%3D%C3%BC"
        "&response_type=code&scope=snsapi_login&state=st_1#wechat_redirect"
    )


async def test_a_wechat_openid_goes_with_its_app_and_the_unionid_ties_both_apps(wechat: WeChatLogin, control: SimulatorControl) -> None:
    page, mini = await login(wechat, control), await wechat.identify_mini_program(await control.mini_code("kim"), NOW)
    site_id, mini_id, union = "wxsimulator0site", "wxsimulator0mini", name_for_all("wechat", "kim")
    assert page == ExternalIdentity(
        provider="wechat", subject=f"{site_id}:{name_in(site_id, 'kim')}", union_subject=union, display_name="小金"
    )  # fmt: skip
    assert mini == ExternalIdentity(provider="wechat", subject=f"{mini_id}:{name_in(mini_id, 'kim')}", union_subject=union)


async def test_wechat_without_unionids_still_identifies(wechat: WeChatLogin, control: SimulatorControl) -> None:
    await control.plan(unionids=False)
    found, mini = await login(wechat, control), await wechat.identify_mini_program(await control.mini_code("kim"), NOW)
    assert isinstance(found, ExternalIdentity)
    assert isinstance(mini, ExternalIdentity)
    assert (found.union_subject, mini.union_subject) == ("", "")


@pytest.mark.parametrize("kind", ["lose", "refuse", "garbage"])
async def test_a_lost_profile_hides_a_name_but_never_a_unionid(wechat: WeChatLogin, control: SimulatorControl, kind: str) -> None:
    await control.fault(kind=kind, operation="wechat.user")
    with_union = await login(wechat, control)
    assert isinstance(with_union, ExternalIdentity)
    assert (with_union.display_name, with_union.union_subject) == ("", name_for_all("wechat", "kim"))
    await control.fault(kind="twist", operation="wechat.token", twist="no_union")
    await control.fault(kind=kind, operation="wechat.user")
    assert isinstance(await login(wechat, control), LoginUnknown)
    await control.fault(kind="twist", operation="wechat.token", twist="no_union")
    assert await login(wechat, control) == ExternalIdentity(
        provider="wechat", subject=with_union.subject, union_subject=with_union.union_subject, display_name="小金"
    )  # fmt: skip


async def test_a_wechat_profile_of_somebody_else_is_not_believed(wechat: WeChatLogin, control: SimulatorControl) -> None:
    await control.fault(kind="twist", operation="wechat.user", twist="other_person")
    assert await login(wechat, control) == LoginUnknown(detail="userinfo_of_another")


@pytest.mark.parametrize(
    ("errcode", "expected"),
    [
        ("40029", LoginDenied(reason="code_invalid", detail="errcode_40029")),
        ("40163", LoginDenied(reason="code_invalid", detail="errcode_40163")),
        ("40226", LoginDenied(reason="blocked", detail="errcode_40226")),
        ("-1", LoginUnknown(detail="errcode_-1")),
        ("45011", LoginUnknown(detail="errcode_45011")),
        ("40125", LoginUnknown(detail="errcode_40125")),
    ],
)
async def test_wechats_errors_are_read_in_answers_of_200(
    wechat: WeChatLogin, control: SimulatorControl, errcode: str, expected: Proof
) -> None:  # fmt: skip
    await control.fault(kind="error", operation="wechat.token", code=errcode)
    assert await login(wechat, control) == expected
    await control.fault(kind="error", operation="wechat.session", code=errcode)
    assert await wechat.identify_mini_program(await control.mini_code("kim"), NOW) == expected


async def test_a_code_of_one_wechat_app_is_none_of_the_other(wechat: WeChatLogin, control: SimulatorControl) -> None:
    back = LoginReturn(code=await control.mini_code("kim"), redirect_uri="", nonce="", code_verifier="")
    assert await wechat.identify(back, NOW) == LoginDenied(reason="code_invalid", detail="errcode_40029")


@pytest.mark.parametrize("ignores", [False, True])
@pytest.mark.parametrize("written", ["callback", "form", "json"])
async def test_qq_is_understood_however_it_writes(qq: QQLogin, control: SimulatorControl, ignores: bool, written: str) -> None:
    await control.plan(qq_ignores_fmt=ignores, qq_format="callback" if written == "json" else written)
    found = await login(qq, control)
    assert found == ExternalIdentity(
        provider="qq", subject=f"101000001:{name_in('101000001', 'kim', 32).upper()}", union_subject=name_for_all("qq", "kim"),
        display_name="小金",
    )  # fmt: skip


async def test_a_qq_app_that_may_not_ask_for_unionids_asks_again_without(qq: QQLogin, control: SimulatorControl) -> None:
    await control.plan(unionids=False)
    found = await login(qq, control)
    assert isinstance(found, ExternalIdentity)
    assert found.union_subject == ""
    assert (await control.report()).calls["qq.me"] == 2


async def test_a_qq_token_that_was_made_for_another_app_lets_nobody_in(qq: QQLogin, control: SimulatorControl) -> None:
    await control.fault(kind="twist", operation="qq.me", twist="other_app")
    assert await login(qq, control) == LoginDenied(reason="not_genuine", detail="client_id")


@pytest.mark.parametrize("kind", ["lose", "refuse", "garbage", "error"])
async def test_qqs_name_is_worth_no_login_but_its_openid_is(qq: QQLogin, control: SimulatorControl, kind: str) -> None:
    await control.fault(kind=kind, operation="qq.user", code="1002")
    found = await login(qq, control)
    assert isinstance(found, ExternalIdentity)
    assert found.display_name == ""
    await control.fault(kind=kind, operation="qq.me", code="100016")
    assert isinstance(await login(qq, control), LoginUnknown)


async def test_qqs_code_is_bound_to_the_page_it_was_sent_to(qq: QQLogin, control: SimulatorControl) -> None:
    other = LoginStart(redirect_uri="https://shop.example.com/other", state="s", nonce="n", code_verifier="v")
    assert await login(qq, control, start=other) == LoginUnknown(detail="error_100010")
