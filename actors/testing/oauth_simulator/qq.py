"""QQ's side: forms, script calls and JSON, as it pleases."""

from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from actors.testing.oauth_simulator.answers import Call, Desk, json_answer
from actors.testing.oauth_simulator.books import Grant, name_for_all, name_in
from actors.testing.oauth_simulator.plan import PEOPLE, Format

_CODE: Final = {"unknown": "100019", "used": "100020", "expired": "100019"}


def _written(desk: Desk, call: Call, body: dict[str, Any], otherwise: Format) -> web.Response:
    """As JSON when asked (and when it listens), else in the endpoint's own way."""
    if call.query.get("fmt") == "json" and not desk.plan.qq_ignores_fmt:
        return json_answer(body)
    if otherwise == "form":
        return web.Response(text=urlencode(body), content_type="text/html")
    return web.Response(text=f"callback( {msgspec.json.encode(body).decode()} );\n", content_type="text/html")


def _error(desk: Desk, call: Call, code: str) -> web.Response:
    return _written(desk, call, {"error": int(code), "error_description": "simulated"}, "callback")


def token(desk: Desk, call: Call) -> web.Response:
    """``oauth2.0/token``."""
    given, query = desk.keys.given, call.query
    if call.error:
        return _error(desk, call, call.error)
    if query.get("grant_type") != "authorization_code":
        return _error(desk, call, "100004")
    if query.get("client_id") != given.qq_app_id:
        return _error(desk, call, "100008")
    if query.get("client_secret") != given.qq_app_key:
        return _error(desk, call, "100009")
    grant = desk.books.redeem(query.get("code", ""), "qq", given.qq_app_id, desk.plan.code_s)
    if not isinstance(grant, Grant):
        return _error(desk, call, _CODE[grant])
    if query.get("redirect_uri") != grant.redirect_uri:
        return _error(desk, call, "100010")
    body = {"access_token": desk.books.token(grant), "expires_in": 7776000, "refresh_token": "simulated"}
    return _written(desk, call, body, "form")


def me(desk: Desk, call: Call) -> web.Response:
    """``oauth2.0/me``. An app that may not ask for unionids is told so, and is to ask without."""
    grant = desk.books.of_token(call.query.get("access_token", ""), "qq")
    if call.error or grant is None:
        return _error(desk, call, call.error or "100016")
    asked = call.query.get("unionid") == "1"
    if asked and not desk.plan.unionids:
        return _error(desk, call, "100048")
    app_id = "101999999" if call.twist == "other_app" else grant.app_id
    body = {"client_id": app_id, "openid": name_in(grant.app_id, grant.who, 32).upper()}
    if asked and call.twist != "no_union":
        body["unionid"] = name_for_all("qq", grant.who)
    return _written(desk, call, body, desk.plan.qq_format)


def user(desk: Desk, call: Call) -> web.Response:
    """``user/get_user_info``: always JSON."""
    grant = desk.books.of_token(call.query.get("access_token", ""), "qq")
    if call.error or grant is None or call.query.get("oauth_consumer_key") != grant.app_id:
        return json_answer({"ret": int(call.error or -23), "msg": "simulated"}, content_type="text/html")
    return json_answer({"ret": 0, "msg": "", "is_lost": 0, "nickname": PEOPLE[grant.who].name}, content_type="text/html")
