"""Apple behind the login port: OpenID Connect with a client secret that is a token of ours.

The person comes back by a POSTed form, with the name in it the first time and never again. The id_token comes straight from
Apple over TLS, and is checked in full all the same. The exchange is bound by PKCE, the token by the nonce.
https://developer.apple.com/documentation/signinwithapplerestapi
"""

import asyncio
import base64
import hashlib
from typing import Final
from urllib.parse import quote, urlencode

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from actors.adapters.oauth.calls import TIMEOUT_S, Calls, Reply
from actors.adapters.oauth.id_token import AppleClaims, AppleNotice, Keys, key_id_of, read_id_token, read_keys, read_notice
from schemas.oauth import ExternalIdentity, LoginDenied, LoginReturn, LoginStart, LoginUnknown, Proof, Provider
from schemas.providers.apple import AppleError, ApplePosted, AppleToken, AppleUser

URL: Final = "https://appleid.apple.com"

SECRET_S: Final = 300
"""How long a client secret is good. Apple takes up to six months; made for each exchange, one that leaks is soon worth nothing."""

KEYS_S: Final = 24 * 3600
"""How long Apple's keys are kept. An unknown one is asked for before."""

KEYS_PAUSE_S: Final = 60
"""Between two tries to find an unknown key: tokens that name nonsense do not make us call Apple for each."""

NAME_MAX: Final = 100


def challenge_of(code_verifier: str) -> str:
    """RFC 7636, S256."""
    return base64.urlsafe_b64encode(hashlib.sha256(code_verifier.encode()).digest()).rstrip(b"=").decode()


class AppleLogin:
    """Implements ``actors.ports.oauth.LoginProvider``. Keeps Apple's public keys and no state of logins.

    url: also Apple's name as issuer and audience. client_id: the Services ID. app_id: the app's bundle id, for native logins.
    private_key: of ``key_id``, PEM (the ``.p8`` file). ValueError when it cannot be read.
    """

    name: Provider = "apple"

    def __init__(
        self,
        *,
        client_id: str,
        team_id: str,
        key_id: str,
        private_key: str,
        url: str = URL,
        timeout_s: float = TIMEOUT_S,
        app_id: str = "",
    ) -> None:
        self._client_id, self._team_id, self._key_id = client_id, team_id, key_id
        self._app_id = app_id
        self._url = url.rstrip("/")
        self._private_key = _private_key(private_key)
        self._calls = Calls(timeout_s)
        self._keys: Keys = {}
        self._keys_at_s = self._asked_at_s = -KEYS_S
        self._fetching = asyncio.Lock()

    async def close(self) -> None:
        """See the port."""
        await self._calls.close()

    def authorize_url(self, start: LoginStart) -> str:
        """See the port. Whoever asks for a name or an address gets the answer as a form."""
        query = {
            "response_type": "code",
            "response_mode": "form_post",
            "client_id": self._client_id,
            "redirect_uri": start.redirect_uri,
            "scope": "name email",
            "state": start.state,
            "nonce": start.nonce,
            "code_challenge": challenge_of(start.code_verifier),
            "code_challenge_method": "S256",
        }
        return f"{self._url}/auth/authorize?{urlencode(query, quote_via=quote)}"

    async def identify(self, back: LoginReturn, now_s: int) -> Proof:
        """See the port."""
        form = {
            "grant_type": "authorization_code",
            "client_id": self._client_id,
            "client_secret": self.client_secret(now_s),
            "code": back.code,
            "redirect_uri": back.redirect_uri,
            "code_verifier": back.code_verifier,
        }
        reply = await self._calls.post(f"{self._url}/auth/token", form)
        token = reply.read(AppleToken)
        if token is None:
            return _refused(reply)
        if not await self._knows_key(token.id_token, now_s):
            return LoginUnknown(detail="keys_unavailable")
        claims = read_id_token(token.id_token, self._keys, issuer=self._url, audience=self._client_id, nonce=back.nonce, now_s=now_s)
        if not isinstance(claims, AppleClaims):
            return LoginDenied(reason="not_genuine", detail=claims)
        return _identity(claims, back.user)

    async def identify_native(self, id_token: str, nonce: str, user: str, now_s: int) -> Proof:
        """Who the system of a telephone says is there, to our app and for this nonce. No code is exchanged."""
        if not await self._knows_key(id_token, now_s):
            return LoginUnknown(detail="keys_unavailable")
        claims = read_id_token(id_token, self._keys, issuer=self._url, audience=self._app_id, nonce=nonce, now_s=now_s)
        if not isinstance(claims, AppleClaims):
            return LoginDenied(reason="not_genuine", detail=claims)
        return _identity(claims, user)

    async def read_notice(self, body: bytes, now_s: int) -> AppleNotice | LoginDenied | LoginUnknown:
        """What a server-to-server notification says, once it is known to be Apple's and meant for us."""
        try:
            payload = msgspec.json.decode(body, type=ApplePosted).payload
        except (msgspec.DecodeError, UnicodeDecodeError):
            return LoginDenied(reason="not_genuine", detail="malformed")
        if not await self._knows_key(payload, now_s):
            return LoginUnknown(detail="keys_unavailable")
        audiences = {name for name in (self._client_id, self._app_id) if name}
        found = read_notice(payload, self._keys, issuer=self._url, audiences=audiences, now_s=now_s)
        return found if isinstance(found, AppleNotice) else LoginDenied(reason="not_genuine", detail=found)

    def client_secret(self, now_s: int) -> str:
        """A token that says who asks, good for ``SECRET_S``."""
        claims = {"iss": self._team_id, "iat": now_s, "exp": now_s + SECRET_S, "aud": self._url, "sub": self._client_id}
        return jwt.encode({"alg": "ES256", "kid": self._key_id}, claims, self._private_key, algorithms=["ES256"])

    async def _knows_key(self, id_token: str, now_s: int) -> bool:
        """Fetch Apple's keys when they are old, or do not have this token's. False when they cannot be had."""
        async with self._fetching:
            fresh = now_s < self._keys_at_s + KEYS_S
            known = key_id_of(id_token) in self._keys
            if fresh and (known or now_s < self._asked_at_s + KEYS_PAUSE_S):
                return True
            self._asked_at_s = now_s
            reply = await self._calls.get(f"{self._url}/auth/keys")
            try:
                keys = read_keys(reply.body) if reply.status == 200 else {}
            except (msgspec.DecodeError, UnicodeDecodeError):
                keys = {}
            if keys:
                self._keys, self._keys_at_s = keys, now_s
            return bool(keys)


def _identity(claims: AppleClaims, user: str) -> ExternalIdentity:
    return ExternalIdentity(
        provider="apple",
        subject=claims.subject,
        display_name=name_of(user),
        email=claims.email,
        email_verified=claims.email_verified,
        email_relayed=claims.email_relayed,
    )


def _refused(reply: Reply) -> LoginDenied | LoginUnknown:
    """``invalid_grant`` is about the code; ``invalid_client`` and the rest are about us."""
    try:
        error = msgspec.json.decode(reply.body, type=AppleError).error if reply.status == 400 else ""
    except (msgspec.DecodeError, UnicodeDecodeError):
        error = ""
    if error == "invalid_grant":
        return LoginDenied(reason="code_invalid", detail=error)
    return LoginUnknown(detail=error[:40] or reply.reason())


def name_of(user: str) -> str:
    """The name in the form field ``user``; "" when there is none. For greeting alone: the browser could write anything."""
    try:
        name = msgspec.json.decode(user, type=AppleUser).name
    except (msgspec.DecodeError, UnicodeEncodeError):
        return ""
    return " ".join(part for part in (name.first_name.strip(), name.last_name.strip()) if part)[:NAME_MAX]


def _private_key(text: str) -> ECKey:
    try:
        key = ECKey.import_key(text)
        usable = key.is_private and key.curve_name == "P-256"
    except (JoseError, ValueError, TypeError):
        usable = False
    if not usable:
        raise ValueError("the private key of Apple must be a P-256 key in PEM")
    return key
