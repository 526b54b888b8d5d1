"""QQ behind the login port.

A code becomes a token, a token an openid (of one app) and a unionid (of all apps of a company, for apps that have asked for
it). The name is a third call that identifies nobody. There is no PKCE and no nonce: the state alone binds.
https://wiki.connect.qq.com
"""

from typing import Final
from urllib.parse import quote, urlencode

from actors.adapters.oauth.calls import TIMEOUT_S, Calls, Reply
from actors.adapters.oauth.qq_answers import read_answer
from schemas.oauth import ExternalIdentity, LoginDenied, LoginReturn, LoginStart, LoginUnknown, Proof, Provider

API_URL: Final = "https://graph.qq.com"

_CODE_INVALID: Final = frozenset({"100018", "100019", "100020"})
"""No such code, not to be exchanged (expired, or of another app), used. All others are QQ's trouble or ours."""

_NO_UNION: Final = frozenset({"100048", "100049"})
"""This app may not ask for unionids."""


class QQLogin:
    """Implements ``actors.ports.oauth.LoginProvider``."""

    name: Provider = "qq"

    def __init__(self, *, app_id: str, app_key: str, url: str = API_URL, timeout_s: float = TIMEOUT_S) -> None:
        self._app_id, self._app_key, self._url = app_id, app_key, url.rstrip("/")
        self._calls = Calls(timeout_s)

    async def close(self) -> None:
        """See the port."""
        await self._calls.close()

    def authorize_url(self, start: LoginStart) -> str:
        """See the port."""
        query = {
            "response_type": "code",
            "client_id": self._app_id,
            "redirect_uri": start.redirect_uri,
            "state": start.state,
            "scope": "get_user_info",
        }
        return f"{self._url}/oauth2.0/authorize?{urlencode(query, quote_via=quote)}"

    async def identify(self, back: LoginReturn, now_s: int) -> Proof:
        """See the port."""
        query = {
            "grant_type": "authorization_code",
            "client_id": self._app_id,
            "client_secret": self._app_key,
            "code": back.code,
            "redirect_uri": back.redirect_uri,
            "fmt": "json",
        }
        answer = _answer(await self._calls.get(f"{self._url}/oauth2.0/token", query))
        if isinstance(answer, LoginUnknown):
            return answer
        error = _error(answer)
        if error:
            detail = f"error_{error}"
            return LoginDenied(reason="code_invalid", detail=detail) if error in _CODE_INVALID else LoginUnknown(detail=detail)
        token = answer.get("access_token", "")
        if not token:
            return LoginUnknown(detail="token_incomplete")
        return await self._described(token)

    async def _described(self, token: str) -> Proof:
        me = await self._me({"access_token": token, "unionid": "1", "fmt": "json"})
        if isinstance(me, dict) and _error(me) in _NO_UNION and not me.get("openid"):
            me = await self._me({"access_token": token, "fmt": "json"})
        if isinstance(me, LoginUnknown):
            return me
        openid, error = me.get("openid", ""), _error(me)
        if not openid or (error and error not in _NO_UNION):
            return LoginUnknown(detail=f"me_error_{error}" if error else "me_incomplete")
        if me.get("client_id") != self._app_id:
            # A token that was given to another app: whoever runs that one would be let in here as its users.
            return LoginDenied(reason="not_genuine", detail="client_id")
        return ExternalIdentity(
            provider="qq",
            subject=f"{self._app_id}:{openid}",
            union_subject=me.get("unionid", ""),
            display_name=await self._name(token, openid),
        )

    async def _me(self, query: dict[str, str]) -> dict[str, str] | LoginUnknown:
        return _answer(await self._calls.get(f"{self._url}/oauth2.0/me", query))

    async def _name(self, token: str, openid: str) -> str:
        """What the person is called; "" when QQ does not say."""
        query = {"access_token": token, "oauth_consumer_key": self._app_id, "openid": openid}
        answer = _answer(await self._calls.get(f"{self._url}/user/get_user_info", query))
        if isinstance(answer, LoginUnknown) or answer.get("ret") != "0":
            return ""
        return answer.get("nickname", "")


def _answer(reply: Reply) -> dict[str, str] | LoginUnknown:
    fields = read_answer(reply.body) if reply.status == 200 else None
    return LoginUnknown(detail=reply.reason()) if fields is None else fields


def _error(answer: dict[str, str]) -> str:
    """QQ's error number; "" for none."""
    error = answer.get("error") or answer.get("code") or "0"
    return "" if error == "0" else error
