"""WeChat behind the login port: the website's QR code, and the mini-program's ``jscode2session``.

Errors come with HTTP 200 and an ``errcode``. An openid is of one app, so it goes with the app's id; the unionid ties the
apps of one open-platform account together and is not always said. There is no PKCE and no nonce: the state alone binds.
"""

from typing import Final
from urllib.parse import quote, urlencode

from actors.adapters.oauth.calls import TIMEOUT_S, Calls
from schemas.oauth import DeniedReason, ExternalIdentity, LoginDenied, LoginReturn, LoginStart, LoginUnknown, Proof, Provider
from schemas.providers.wechat import WeChatSession, WeChatToken, WeChatUser

AUTHORIZE_URL: Final = "https://open.weixin.qq.com"
API_URL: Final = "https://api.weixin.qq.com"

_DENIED: Final[dict[int, DeniedReason]] = {
    40029: "code_invalid",  # not a code of this app
    40163: "code_invalid",  # used
    42003: "code_invalid",  # expired
    40226: "blocked",  # a person whom WeChat holds for a risk
}
"""Every other ``errcode`` is WeChat's trouble (-1, 45011) or ours (40013, 40125, 40164), and says nothing of the person."""


class WeChatLogin:
    """Implements ``actors.ports.oauth.LoginProvider``, and ``MiniProgramProvider`` when ``mini_app_id`` is given."""

    name: Provider = "wechat"

    def __init__(
        self,
        *,
        app_id: str,
        app_secret: str,
        mini_app_id: str = "",
        mini_app_secret: str = "",
        authorize_url: str = AUTHORIZE_URL,
        api_url: str = API_URL,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._app_id, self._app_secret = app_id, app_secret
        self._mini_app_id, self._mini_app_secret = mini_app_id, mini_app_secret
        self._authorize_url, self._api_url = authorize_url.rstrip("/"), api_url.rstrip("/")
        self._calls = Calls(timeout_s)

    async def close(self) -> None:
        """See the port."""
        await self._calls.close()

    def authorize_url(self, start: LoginStart) -> str:
        """See the port. WeChat wants its parameters in this order, and the fragment."""
        query = {
            "appid": self._app_id,
            "redirect_uri": start.redirect_uri,
            "response_type": "code",
            "scope": "snsapi_login",
            "state": start.state,
        }
        return f"{self._authorize_url}/connect/qrconnect?{urlencode(query, quote_via=quote)}#wechat_redirect"

    async def identify(self, back: LoginReturn, now_s: int) -> Proof:
        """See the port."""
        query = {"appid": self._app_id, "secret": self._app_secret, "code": back.code, "grant_type": "authorization_code"}
        reply = await self._calls.get(f"{self._api_url}/sns/oauth2/access_token", query)
        token = reply.read(WeChatToken)
        if token is None:
            return LoginUnknown(detail=reply.reason())
        if token.errcode:
            return _refused(token.errcode)
        if not token.openid or not token.access_token:
            return LoginUnknown(detail="token_incomplete")
        return await self._described(token)

    async def _described(self, token: WeChatToken) -> Proof:
        """The name, and the unionid if the token came without. A unionid that a lost call hides would make a second account."""
        query = {"access_token": token.access_token, "openid": token.openid, "lang": "zh_CN"}
        reply = await self._calls.get(f"{self._api_url}/sns/userinfo", query)
        user = reply.read(WeChatUser)
        if user is None:
            return self._identity(token.openid, token.unionid) if token.unionid else LoginUnknown(detail=f"userinfo_{reply.reason()}")
        if user.errcode in (-1, 45011) and not token.unionid:
            return LoginUnknown(detail=f"userinfo_errcode_{user.errcode}")
        if user.errcode:
            return self._identity(token.openid, token.unionid)
        if user.openid != token.openid:
            return LoginUnknown(detail="userinfo_of_another")
        return self._identity(token.openid, token.unionid or user.unionid, user.nickname)

    async def identify_mini_program(self, code: str, now_s: int) -> Proof:
        """See the port."""
        query = {"appid": self._mini_app_id, "secret": self._mini_app_secret, "js_code": code, "grant_type": "authorization_code"}
        reply = await self._calls.get(f"{self._api_url}/sns/jscode2session", query)
        session = reply.read(WeChatSession)
        if session is None:
            return LoginUnknown(detail=reply.reason())
        if session.errcode:
            return _refused(session.errcode)
        if not session.openid:
            return LoginUnknown(detail="session_incomplete")
        return ExternalIdentity(provider="wechat", subject=f"{self._mini_app_id}:{session.openid}", union_subject=session.unionid)

    def _identity(self, openid: str, unionid: str, nickname: str = "") -> ExternalIdentity:
        return ExternalIdentity(
            provider="wechat", subject=f"{self._app_id}:{openid}", union_subject=unionid, display_name=nickname
        )  # fmt: skip


def _refused(errcode: int) -> LoginDenied | LoginUnknown:
    reason = _DENIED.get(errcode)
    detail = f"errcode_{errcode}"
    return LoginUnknown(detail=detail) if reason is None else LoginDenied(reason=reason, detail=detail)
