"""WeChat's side: errors with HTTP 200, and JSON that calls itself plain text."""

from typing import Any, Final

from aiohttp import web

from actors.testing.oauth_simulator.answers import Call, Desk, json_answer
from actors.testing.oauth_simulator.books import Grant, name_for_all, name_in
from actors.testing.oauth_simulator.plan import PEOPLE

_ERRORS: Final = {
    40013: "invalid appid", 40029: "invalid code", 40125: "invalid appsecret", 40163: "code been used", 40001: "invalid credential",
    40226: "code blocked", 45011: "api minute-quota reach limit", -1: "system error", 40002: "invalid grant_type",
}  # fmt: skip
_CODE: Final = {"unknown": 40029, "used": 40163, "expired": 40029}


def _error(code: int) -> web.Response:
    return _text({"errcode": code, "errmsg": f"{_ERRORS.get(code, 'error')}, rid: simulated"})


def _text(body: dict[str, Any]) -> web.Response:
    return json_answer(body, content_type="text/plain")


def token(desk: Desk, call: Call) -> web.Response:
    """``sns/oauth2/access_token``."""
    given, query = desk.keys.given, call.query
    if call.error:
        return _error(int(call.error))
    grant = _redeemed(desk, query, "code", given.wechat_app_id, given.wechat_app_secret)
    if not isinstance(grant, Grant):
        return grant
    body = {
        "access_token": desk.books.token(grant),
        "expires_in": 7200,
        "refresh_token": "simulated",
        "openid": name_in(grant.app_id, grant.who),
        "scope": "snsapi_login",
    }
    return _text(body | _union(desk, call, grant.who))


def user(desk: Desk, call: Call) -> web.Response:
    """``sns/userinfo``."""
    grant = desk.books.of_token(call.query.get("access_token", ""), "wechat")
    if call.error or grant is None or call.query.get("openid") != name_in(grant.app_id, grant.who):
        return _error(int(call.error or 40001))
    openid = name_in(grant.app_id, "nobody" if call.twist == "other_person" else grant.who)
    body = {"openid": openid, "nickname": PEOPLE[grant.who].name, "sex": 0, "privilege": [], "headimgurl": ""}
    return _text(body | _union(desk, call, grant.who))


def session(desk: Desk, call: Call) -> web.Response:
    """``sns/jscode2session``."""
    given = desk.keys.given
    if call.error:
        return _error(int(call.error))
    grant = _redeemed(desk, call.query, "js_code", given.wechat_mini_app_id, given.wechat_mini_app_secret)
    if not isinstance(grant, Grant):
        return grant
    return _text({"session_key": "c2ltdWxhdGVkIQ==", "openid": name_in(grant.app_id, grant.who)} | _union(desk, call, grant.who))


def _redeemed(desk: Desk, query: dict[str, str], name: str, app_id: str, secret: str) -> Grant | web.Response:
    if query.get("appid") != app_id:
        return _error(40013)
    if query.get("secret") != secret:
        return _error(40125)
    if query.get("grant_type") != "authorization_code":
        return _error(40002)
    grant = desk.books.redeem(query.get(name, ""), "wechat", app_id, desk.plan.code_s)
    return grant if isinstance(grant, Grant) else _error(_CODE[grant])


def _union(desk: Desk, call: Call, who: str) -> dict[str, str]:
    return {"unionid": name_for_all("wechat", who)} if desk.plan.unionids and call.twist != "no_union" else {}
