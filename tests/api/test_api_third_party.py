"""Third-party logins over HTTP, from the first button to the session, with the providers simulated."""

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest
import pytest_asyncio

from actors.adapters.oauth.offered import logins_of
from actors.storage.identities import IDENTITIES_MAX
from actors.testing.oauth_simulator import plan as simulator_plan
from actors.testing.oauth_simulator.control import SimulatorControl
from actors.testing.oauth_simulator.plan import Person
from actors.testing.oauth_simulator.server import serving
from actors.testing.oauth_simulator.settings_file import variables
from schemas.oauth import PROVIDERS
from schemas.settings import from_environment
from serve.third_party_flows import FLOW_S, hash_of_state

pytestmark = pytest.mark.asyncio(loop_scope="session")

BACK = "https://shop.example.com/back"
APP = "https://shop.example.com/app"
SHOP = {"STAMPEDE_SHARD_COUNT": "16", "STAMPEDE_REPLICAS": "1", "STAMPEDE_LOGIN_RETURN_URL": f"{BACK}, {APP}"}
HOOK = {"STAMPEDE_LOGIN_HOOK_URL": "https://shop.example.com/v1/hooks/apple"}
COUNT_ACCOUNTS = "SELECT count(*) FROM account"
EXPIRE = "UPDATE oauth_flow SET expires_at_ms = expires_at_ms - $2 WHERE flow_hash = $1"
_numbers = itertools.count(1)


def somebody() -> str:
    """A new test identity, whom no other test has used."""
    who = f"p{next(_numbers)}x{secrets.token_hex(3)}"
    simulator_plan.PEOPLE[who] = Person(name=f"名{who}", first_name=who, last_name="T", email=f"{who}@example.com")
    return who


class Walk:
    """A shop that offers all four, and a person's way through them."""

    def __init__(self, shop: Any, control: SimulatorControl) -> None:
        self.shop, self.control = shop, control

    async def begin(self, provider: str, *, token: str = "", **body: Any) -> Any:
        answer = await self.shop.ask("POST", f"/v1/logins/{provider}", body, token=token, key=None)
        assert answer.status == 201, answer.body
        return answer.json

    async def come_back(self, begun: Any, who: str) -> dict[str, Any]:
        """The provider's page, and what the shop's page then knows: of the query, or of the fragment that Apple's form became."""
        chosen = await self.control.choose(begun["authorize_url"], who)
        if not chosen.posted:
            fields = dict(parse_qsl(urlsplit(chosen.url).query))
        else:
            form, kind = urlencode(chosen.fields).encode(), {"Content-Type": "application/x-www-form-urlencoded"}
            answer = await self.shop.ask("POST", "/v1/hooks/apple", form, key=None, headers=kind)
            assert answer.status == 303
            assert answer.headers["Location"].startswith(BACK + "#")
            fields = dict(parse_qsl(urlsplit(answer.headers["Location"]).fragment))
        body = {"state": fields["state"], "login_secret": begun["login_secret"], "code": fields.get("auth_code") or fields.get("code")}
        return body | ({"user": fields["user"]} if "user" in fields else {})

    async def finish(self, provider: str, body: dict[str, Any], *, token: str = "") -> Any:
        return await self.shop.ask("POST", f"/v1/logins/{provider}/callback", body, token=token, key=None)

    async def login(self, provider: str, who: str, **body: Any) -> Any:
        begun = await self.begin(provider)
        return await self.finish(provider, await self.come_back(begun, who) | body)

    async def tokens(self, provider: str, who: str) -> Any:
        answer = await self.login(provider, who)
        assert answer.status == 200, answer.body
        return answer.json["tokens"]

    async def link(self, provider: str, who: str, token: str) -> Any:
        begun = await self.begin(provider, token=token, purpose="link")
        return await self.finish(provider, await self.come_back(begun, who), token=token)

    async def identities(self, token: str) -> list[Any]:
        return (await self.shop.ask("GET", "/v1/me/identities", token=token)).json["identities"]

    async def mini(self, who: str, *, token: str = "", **body: Any) -> Any:
        code = await self.control.mini_code(who)
        return await self.shop.ask("POST", "/v1/logins/wechat/mini-program", {"code": code, **body}, token=token, key=None)

    async def accounts(self) -> int:
        return await self.shop.pool.fetchval(COUNT_ACCOUNTS)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def one_walk(running_shop: Any, database_url: str) -> AsyncIterator[Walk]:
    async with serving() as (url, simulator), SimulatorControl(url) as control:
        settings = from_environment({**SHOP, **HOOK, **variables(url, simulator.desk.keys.given)})
        logins = logins_of(settings)
        async with running_shop(database_url, settings, logins=logins) as shop:
            yield Walk(shop, control)
        await logins.close()


@pytest_asyncio.fixture(loop_scope="session")
async def walk(one_walk: Walk) -> Walk:
    await one_walk.control.reset()
    return one_walk


@pytest.mark.slow
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_person_logs_in_and_comes_back_as_the_same_user(walk: Walk, provider: str) -> None:
    who = somebody()
    first, again, other = await walk.tokens(provider, who), await walk.tokens(provider, who), await walk.tokens(provider, somebody())
    assert first["user_id"] == again["user_id"] != other["user_id"]
    assert first["session_id"] != again["session_id"]
    opened = await walk.shop.ask("GET", "/v1/sessions", token=first["access_token"])
    assert {one["session_id"] for one in opened.json["sessions"]} == {first["session_id"], again["session_id"]}
    [identity] = await walk.identities(first["access_token"])
    assert (identity["kind"], identity["shown"]) == (provider, f"{who} T" if provider == "apple" else f"名{who}")


async def test_what_is_offered_is_what_there_are_keys_for(walk: Walk, shop: Any) -> None:
    assert (await walk.shop.ask("GET", "/v1/logins")).json == {"providers": list(PROVIDERS), "mini_programs": ["wechat"]}
    assert (await shop.ask("GET", "/v1/logins")).json == {"providers": [], "mini_programs": []}
    for path, body in (
        ("/v1/logins/wechat", {}),
        ("/v1/logins/weibo/callback", {"state": "s", "login_secret": "s"}),
        ("/v1/logins/qq/mini-program", {"code": "c"}),
    ):
        answer = await shop.ask("POST", path, body, key=None)
        assert (answer.status, answer.code) == (404, "login_not_offered")


async def test_f65_a_login_that_somebody_else_began_is_not_finished_here(walk: Walk) -> None:
    """An attacker's own code and state, put under a victim's browser, which has begun a login of its own or none."""
    attackers = await walk.come_back(await walk.begin("wechat"), somebody())
    victims = await walk.begin("wechat")
    for secret in (victims["login_secret"], "made-up"):
        answer = await walk.finish("wechat", attackers | {"login_secret": secret})
        assert (answer.status, answer.code) == (409, "state_invalid")
    assert (await walk.finish("wechat", attackers)).status == 200


async def test_a_state_is_good_for_its_own_provider_alone(walk: Walk) -> None:
    body = await walk.come_back(await walk.begin("wechat"), somebody())
    assert (await walk.finish("qq", body)).code == "state_invalid"
    assert (await walk.finish("wechat", body)).status == 200


async def test_a_state_is_good_once_also_for_many_at_the_same_instant(walk: Walk) -> None:
    body, before = await walk.come_back(await walk.begin("qq"), somebody()), await walk.accounts()
    answers = await asyncio.gather(*(walk.finish("qq", body) for _ in range(8)))
    assert sorted(answer.code for answer in answers) == [""] + ["state_invalid"] * 7
    assert await walk.accounts() == before + 1
    assert (await walk.control.report()).calls["qq.token"] == 1


async def test_a_login_is_to_be_finished_in_ten_minutes(walk: Walk) -> None:
    for late_ms, code in ((FLOW_S * 1000 - 5_000, ""), (FLOW_S * 1000 + 5_000, "state_invalid")):
        body = await walk.come_back(await walk.begin("alipay"), somebody())
        await walk.shop.pool.execute(EXPIRE, hash_of_state(body["state"]), late_ms)
        assert (await walk.finish("alipay", body)).code == code


async def test_a_replayed_code_is_denied_in_another_login_too(walk: Walk) -> None:
    who = somebody()
    for provider in PROVIDERS:
        body = await walk.come_back(await walk.begin(provider), who)
        assert (await walk.finish(provider, body)).status == 200
        begun = await walk.begin(provider)
        answer = await walk.finish(provider, {"state": begun["state"], "login_secret": begun["login_secret"], "code": body["code"]})
        assert (answer.status, answer.code) == (403, "login_denied")


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_who_says_no_at_the_provider_is_not_logged_in_and_the_state_is_spent(walk: Walk, provider: str) -> None:
    body, before = await walk.come_back(await walk.begin(provider), ""), await walk.accounts()
    assert body["code"] is None
    answer = await walk.finish(provider, body)
    assert (answer.status, answer.code) == (403, "login_denied")
    assert (await walk.finish(provider, body)).code == "state_invalid"
    assert await walk.accounts() == before


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_provider_that_fails_is_said_to_fail_and_makes_no_account(walk: Walk, provider: str) -> None:
    before = await walk.accounts()
    await walk.control.fault(kind="refuse", operation=f"{provider}.token", status=502)
    answer = await walk.login(provider, somebody())
    assert (answer.status, answer.code) == (503, "provider_unavailable")
    assert answer.headers["Retry-After"]
    assert await walk.accounts() == before


@pytest.mark.parametrize("twist", ["nonce", "audience", "issuer", "expired", "key", "forged"])
async def test_an_id_token_that_is_not_of_this_login_opens_nothing(walk: Walk, twist: str) -> None:
    before = await walk.accounts()
    await walk.control.fault(kind="twist", operation="apple.token", twist=twist)
    assert (await walk.login("apple", somebody())).code == "login_denied"
    assert await walk.accounts() == before


async def test_a_page_of_somebody_else_is_not_come_back_to(walk: Walk) -> None:
    for page in ("https://evil.example.com/back", BACK + "/..", BACK + "?x=1", "HTTPS://SHOP.EXAMPLE.COM/back", "javascript:alert(1)", ""):
        answer = await walk.shop.ask("POST", "/v1/logins/wechat", {"return_url": page}, key=None)
        assert (answer.status, answer.code) == (422, "invalid_request"), page
    begun = await walk.begin("wechat", return_url=APP)
    assert parse_qs(urlsplit(begun["authorize_url"]).query)["redirect_uri"] == [APP]


async def test_a_browser_gets_its_tokens_as_cookies(walk: Walk) -> None:
    answer = await walk.login("wechat", somebody(), cookie=True)
    assert (answer.json["tokens"]["access_token"], answer.json["tokens"]["refresh_token"]) == (None, None)
    assert len(answer.headers.getall("Set-Cookie")) == 2


async def test_a_link_adds_a_login_to_the_account_and_takes_it_from_nobody(walk: Walk) -> None:
    who, other = somebody(), somebody()
    mine, others = await walk.tokens("qq", who), await walk.tokens("alipay", other)
    linked = await walk.link("wechat", who, mine["access_token"])
    assert (linked.status, linked.json) == (200, {"purpose": "link", "tokens": None})
    assert (await walk.link("wechat", who, mine["access_token"])).status == 200
    assert [one["kind"] for one in await walk.identities(mine["access_token"])] == ["qq", "wechat"]
    assert (await walk.tokens("wechat", who))["user_id"] == mine["user_id"]
    taken = await walk.link("wechat", who, others["access_token"])
    assert (taken.status, taken.code) == (409, "identity_taken")
    assert [one["kind"] for one in await walk.identities(others["access_token"])] == ["alipay"]


async def test_a_link_is_finished_by_whoever_began_it(walk: Walk) -> None:
    mine, others = await walk.tokens("qq", somebody()), await walk.tokens("qq", somebody())
    for token, status in ((others["access_token"], 409), ("", 401)):
        begun = await walk.begin("wechat", token=mine["access_token"], purpose="link")
        body = await walk.come_back(begun, somebody())
        assert (await walk.finish("wechat", body, token=token)).status == status
    answer = await walk.shop.ask("POST", "/v1/logins/wechat", {"purpose": "link"}, key=None)
    assert (answer.status, answer.code) == (401, "unauthenticated")
    assert [one["kind"] for one in await walk.identities(others["access_token"])] == ["qq"]


async def test_an_identity_is_removed_by_its_owner_and_the_last_one_stays(walk: Walk) -> None:
    who = somebody()
    token, others = (await walk.tokens("qq", who))["access_token"], (await walk.tokens("qq", somebody()))["access_token"]
    await walk.link("apple", who, token)
    qq, apple = [one["identity_id"] for one in await walk.identities(token)]
    for bad in ("idn_unknown", "x", (await walk.identities(others))[0]["identity_id"]):
        answer = await walk.shop.ask("DELETE", f"/v1/me/identities/{bad}", token=token)
        assert (answer.status, answer.code) == (404, "identity_unknown")
    assert (await walk.shop.ask("DELETE", f"/v1/me/identities/{qq}", token=token)).status == 204
    last = await walk.shop.ask("DELETE", f"/v1/me/identities/{apple}", token=token)
    assert (last.status, last.code) == (409, "last_identity")
    assert [one["kind"] for one in await walk.identities(token)] == ["apple"]
    assert (await walk.shop.ask("DELETE", f"/v1/me/identities/{apple}")).status == 401


async def test_who_is_unlinked_from_one_app_is_unlinked_from_all_apps_of_that_third_party(walk: Walk) -> None:
    who = somebody()
    tokens = await walk.tokens("wechat", who)
    assert (await walk.mini(who)).json["tokens"]["user_id"] == tokens["user_id"]
    site, mini = await walk.identities(tokens["access_token"])
    assert (site["kind"], mini["kind"]) == ("wechat", "wechat")
    path = f"/v1/me/identities/{mini['identity_id']}"
    assert (await walk.shop.ask("DELETE", path, token=tokens["access_token"])).code == "last_identity"
    await walk.link("qq", who, tokens["access_token"])
    assert (await walk.shop.ask("DELETE", path, token=tokens["access_token"])).status == 204
    assert [one["kind"] for one in await walk.identities(tokens["access_token"])] == ["qq"]
    assert (await walk.tokens("wechat", who))["user_id"] != tokens["user_id"]


@pytest.mark.slow
async def test_an_account_holds_so_many_identities_and_no_more(walk: Walk) -> None:
    token = (await walk.tokens("qq", somebody()))["access_token"]
    for _ in range(IDENTITIES_MAX - 1):
        assert (await walk.link("alipay", somebody(), token)).status == 200
    answer = await walk.link("alipay", somebody(), token)
    assert (answer.status, answer.code, answer.json["params"]) == (409, "identities_full", {"limit": IDENTITIES_MAX})


async def test_the_mini_program_and_the_website_are_one_person_where_wechat_says_so(walk: Walk) -> None:
    who = somebody()
    by_mini = await walk.mini(who)
    assert by_mini.status == 200, by_mini.body
    assert (await walk.tokens("wechat", who))["user_id"] == by_mini.json["tokens"]["user_id"]
    # Next time WeChat says no unionid, and the openid of the website is known by itself.
    await walk.control.plan(unionids=False)
    assert (await walk.tokens("wechat", who))["user_id"] == by_mini.json["tokens"]["user_id"]


async def test_a_unionid_that_is_said_later_is_remembered(walk: Walk) -> None:
    who = somebody()
    await walk.control.plan(unionids=False)
    first = (await walk.mini(who)).json["tokens"]["user_id"]
    await walk.control.plan(unionids=True)
    assert (await walk.mini(who)).json["tokens"]["user_id"] == first
    assert (await walk.tokens("wechat", who))["user_id"] == first


async def test_a_mini_program_links_and_its_code_is_good_once(walk: Walk) -> None:
    token, who = (await walk.tokens("qq", somebody()))["access_token"], somebody()
    assert (await walk.mini(who, token=token, purpose="link")).json == {"purpose": "link", "tokens": None}
    assert (await walk.mini(who, purpose="link")).status == 401
    code = await walk.control.mini_code(who)
    answers = [await walk.shop.ask("POST", "/v1/logins/wechat/mini-program", {"code": code}, key=None) for _ in range(2)]
    assert [answer.code for answer in answers] == ["", "login_denied"]


async def test_who_had_a_user_id_at_alipay_is_known_by_the_open_id(walk: Walk) -> None:
    who = somebody()
    users = []
    for names in ("user_id", "both", "open_id"):
        await walk.control.plan(alipay_names=names)
        users.append((await walk.tokens("alipay", who))["user_id"])
    assert len(set(users)) == 1


async def test_apples_form_is_handed_on_and_nothing_in_it_is_believed(walk: Walk) -> None:
    kind = {"Content-Type": "application/x-www-form-urlencoded"}

    async def posted(form: bytes) -> Any:
        return await walk.shop.ask("POST", "/v1/hooks/apple", form, key=None, headers=kind)

    stray = await posted(b"state=lgn_unknown&code=c&next=https://evil.example.com&x=1")
    assert (stray.status, stray.headers["Location"]) == (303, f"{BACK}#provider=apple&state=lgn_unknown&code=c")
    begun = await walk.begin("apple", return_url=APP)
    known = await posted(urlencode({"state": begun["state"], "error": "user_cancelled_authorize"}).encode())
    assert known.headers["Location"].startswith(APP + "#provider=apple&state=")
    assert (await posted(b"code=" + b"c" * 513)).code == "invalid_request"
    assert (await posted(b"&".join(b"a%d=1" % n for n in range(50)))).code == "malformed_body"
    assert (await posted(b"\xff\xfe")).code == "malformed_body"


async def test_bad_input_is_refused_before_anybody_is_asked(walk: Walk) -> None:
    begun = await walk.begin("wechat")
    good = {"state": begun["state"], "login_secret": begun["login_secret"], "code": "c"}
    for bad in ({"code": 1}, {"code": ""}, {"code": "c" * 513}, {"state": ""}, {"login_secret": None}, {"more": 1}, {"user": "u" * 1001}):
        assert (await walk.finish("wechat", good | bad)).status == 422, bad
    assert "wechat.token" not in (await walk.control.report()).calls
    for bad in ({"purpose": "other"}, {"return_url": 1}, {"purpose": "login", "x": 1}):
        assert (await walk.shop.ask("POST", "/v1/logins/wechat", bad, key=None)).status == 422
