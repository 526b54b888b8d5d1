"""The simulator is as strict as what it stands for, and a person can walk it in a browser."""

import re
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from actors.adapters.oauth.wechat import WeChatLogin
from actors.testing.oauth_simulator.plan import PEOPLE
from actors.testing.oauth_simulator.server import Simulator
from schemas.oauth import LoginStart

BACK = "https://shop.example.com/back"


async def got(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.text()


async def pressed(base: str, page: str, who: str) -> tuple[int, str, str]:
    """A button of the page: status, where it leads, and the page that came instead."""
    found = re.search(r'name="authorize_url" value="([^"]*)"', page)
    assert found is not None
    form = {"authorize_url": found[1].replace("&amp;", "&"), "who": who}
    async with aiohttp.ClientSession() as session, session.post(f"{base}/_choose", data=form, allow_redirects=False) as answer:
        return answer.status, answer.headers.get("Location", ""), await answer.text()


async def test_a_page_has_a_button_for_each_person_and_each_leads_back_with_the_state(simulator: Simulator) -> None:
    url = simulator.desk.url
    login = WeChatLogin(app_id="wxsimulator0site", app_secret="s", authorize_url=url)
    status, page = await got(login.authorize_url(LoginStart(redirect_uri=BACK, state="<st>&1", nonce="", code_verifier="")))
    assert status == 200
    assert re.findall(r'<button name="who" value="(\w*)"', page) == [*PEOPLE, ""]
    status, location, _ = await pressed(url, page, "kim")
    assert (status, location.partition("?")[0]) == (303, BACK)
    query = parse_qs(urlsplit(location).query)
    assert (query["state"], len(query["code"])) == (["<st>&1"], 1)
    _, location, _ = await pressed(url, page, "")
    assert parse_qs(urlsplit(location).query) == {"state": ["<st>&1"]}


async def test_apples_page_posts_a_form_back(simulator: Simulator) -> None:
    url, client = simulator.desk.url, simulator.desk.keys.given.apple_client_id
    query = f"response_type=code&response_mode=form_post&client_id={client}&redirect_uri={BACK}&scope=name%20email&state=s1&nonce=n"
    _, page = await got(f"{url}/auth/authorize?{query}")
    status, _, posting = await pressed(url, page, "han")
    assert status == 200
    assert f'<form method="post" action="{BACK}">' in posting
    assert re.findall(r'type="hidden" name="(\w+)"', posting) == ["code", "state", "user"]


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("/connect/qrconnect?appid=other&redirect_uri=https://x&response_type=code&scope=snsapi_login", "appid is unknown"),
        ("/connect/qrconnect?appid=wxsimulator0site&response_type=code&scope=snsapi_login", "redirect_uri is missing"),
        ("/connect/qrconnect?appid=wxsimulator0site&redirect_uri=https://x&response_type=token&scope=snsapi_login", "response_type"),
        ("/oauth2.0/authorize?client_id=101000001&redirect_uri=javascript:1&response_type=code", "redirect_uri is missing"),
        ("/oauth2/publicAppAuthorize.htm?app_id=2021000000000001&redirect_uri=https://x&scope=auth_base", "scope"),
        (
            "/auth/authorize?client_id=com.example.shop.login&redirect_uri=https://x&response_type=code&scope=name%20email",
            "response_mode must be form_post",
        ),
    ],
)
async def test_a_page_that_is_asked_for_wrongly_says_so(simulator: Simulator, path: str, wrong: str) -> None:
    assert await got(simulator.desk.url + path) == (400, wrong)


async def test_nonsense_at_the_side_door_is_refused(simulator: Simulator) -> None:
    async with aiohttp.ClientSession() as session:
        for name, body in (("faults", b'{"kind":"x"}'), ("plan", b"{"), ("choose", b'{"authorize_url":"/nowhere"}')):
            async with session.post(f"{simulator.desk.url}/_control/{name}", data=body) as answer:
                assert answer.status == 422
