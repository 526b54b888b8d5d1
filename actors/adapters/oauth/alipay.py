"""Alipay behind the login port: a page, then two signed calls of its gateway.

An answer is believed when Alipay's signature fits its exact text; an error without one is believed by nobody either, so it
is unknown. People are being moved from ``user_id`` (of all apps) to ``open_id`` (of one): both name the person here, so that
an account that was opened under the first is found when the second comes with it. There is no PKCE and no nonce.
https://opendocs.alipay.com/open/284/web
"""

import time
from typing import Final, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from actors.adapters.oauth.alipay_certificates import certificates
from actors.adapters.oauth.alipay_signature import private_key, public_key, signed, signed_part
from actors.adapters.oauth.calls import TIMEOUT_S, Calls
from schemas.oauth import ExternalIdentity, LoginDenied, LoginReturn, LoginStart, LoginUnknown, Proof, Provider
from schemas.providers.alipay import AlipayError, AlipayToken, AlipayUser

AUTHORIZE_URL: Final = "https://openauth.alipay.com"
GATEWAY_URL: Final = "https://openapi.alipay.com/gateway.do"

BEIJING_S: Final = 8 * 3600
"""The gateway reads times as Beijing's, which knows no summer time."""

_CODE_INVALID: Final = frozenset({"isv.code-invalid"})
_ERROR: Final = "error_response"
_Body = TypeVar("_Body")


class AlipayLogin:
    """Implements ``actors.ports.oauth.LoginProvider``. ValueError when a key or a certificate cannot be read.

    Either alipay_public_key, or the three certificates of Alipay's console in PEM: app_cert, root_cert, alipay_cert.
    """

    name: Provider = "alipay"

    def __init__(
        self,
        *,
        app_id: str,
        app_private_key: str,
        alipay_public_key: str = "",
        app_cert: str = "",
        root_cert: str = "",
        alipay_cert: str = "",
        authorize_url: str = AUTHORIZE_URL,
        gateway_url: str = GATEWAY_URL,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._app_id = app_id
        self._private_key = private_key(app_private_key)
        self._certificates = certificates(app_cert, root_cert, alipay_cert, self._private_key) if app_cert else None
        self._public_key = self._certificates.alipay_key if self._certificates else public_key(alipay_public_key)
        self._authorize_url, self._gateway_url = authorize_url.rstrip("/"), gateway_url
        self._calls = Calls(timeout_s)

    async def close(self) -> None:
        """See the port."""
        await self._calls.close()

    def authorize_url(self, start: LoginStart) -> str:
        """See the port. The code comes back as ``auth_code``."""
        query = {"app_id": self._app_id, "scope": "auth_user", "redirect_uri": start.redirect_uri, "state": start.state}
        return f"{self._authorize_url}/oauth2/publicAppAuthorize.htm?{urlencode(query, quote_via=quote)}"

    async def identify(self, back: LoginReturn, now_s: int) -> Proof:
        """See the port."""
        form = {"grant_type": "authorization_code", "code": back.code}
        token = await self._asked("alipay.system.oauth.token", form, now_s, AlipayToken)
        if isinstance(token, LoginDenied | LoginUnknown):
            return token
        if not token.user_id and not token.open_id:
            return LoginUnknown(detail="token_incomplete")
        asked = await self._asked("alipay.user.info.share", {"auth_token": token.access_token}, now_s, AlipayUser)
        # Who it is was said with the token, and signed; this call gives the name.
        user = asked if isinstance(asked, AlipayUser) else AlipayUser()
        if _differ(token.user_id, user.user_id) or _differ(token.open_id, user.open_id):
            return LoginUnknown(detail="user_of_another")
        open_id, user_id = token.open_id or user.open_id, token.user_id or user.user_id
        return ExternalIdentity(
            provider="alipay",
            subject=f"{self._app_id}:{open_id}" if open_id else user_id,
            union_subject=user_id,
            display_name=user.nick_name,
        )

    async def _asked(self, method: str, form: dict[str, str], now_s: int, kind: type[_Body]) -> _Body | LoginDenied | LoginUnknown:
        """One call of the gateway. Public parameters go into the query, as in Alipay's own libraries; codes and tokens do not."""
        query = {
            "app_id": self._app_id,
            "method": method,
            "format": "JSON",
            "charset": "utf-8",
            "sign_type": "RSA2",
            "timestamp": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now_s + BEIJING_S)),
            "version": "1.0",
        }
        if self._certificates is not None:
            query |= {"app_cert_sn": self._certificates.app_sn, "alipay_root_cert_sn": self._certificates.root_sn}
        query["sign"] = signed(query | form, self._private_key)
        reply = await self._calls.post(self._gateway_url, form, query)
        if reply.status != 200:
            return LoginUnknown(detail=reply.reason())
        names = (method.replace(".", "_") + "_response", _ERROR)
        part = signed_part(reply.body, names, self._public_key, self._certificates.alipay_sn if self._certificates else "")
        if part is None:
            return LoginUnknown(detail="not_signed_by_alipay")
        return _read(*part, kind)


def _differ(one: str, other: str) -> bool:
    return bool(one and other and one != other)


def _read(name: str, text: bytes, kind: type[_Body]) -> _Body | LoginDenied | LoginUnknown:
    try:
        error = msgspec.json.decode(text, type=AlipayError)
        if name != _ERROR and error.code in ("", "10000"):
            return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return LoginUnknown(detail="unreadable")
    detail = f"code_{error.code}_{error.sub_code}"[:80]
    return LoginDenied(reason="code_invalid", detail=detail) if error.sub_code in _CODE_INVALID else LoginUnknown(detail=detail)
