"""Apple's id_token: what must hold before its words are believed. Pure.

The key is chosen by us among Apple's published ones, and the key's own kind says the algorithm: a header that names another
algorithm, another place for keys (``jku``, ``x5u``) or brings a key along (``jwk``, ``x5c``) changes nothing.
"""

import base64
import hmac
from collections.abc import Collection, Mapping
from typing import Any, Final, Literal

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from schemas.providers.apple import AppleEvent

TOKEN_CHARS_MAX: Final = 8192
"""Apple's are under 1,000."""

SKEW_S: Final = 60
"""How far two clocks may be apart."""

NOTICE_S: Final = 7 * 86_400
"""How old a notification may be: Apple tries again for hours, and we are down for less than a week."""

KEYS_MAX: Final = 20
"""Apple publishes three or so."""

PublicKey = RSAKey | ECKey
Keys = Mapping[str, PublicKey]
Distrust = Literal["malformed", "algorithm", "key_unknown", "signature", "issuer", "audience", "expired", "not_yet", "nonce", "subject"]

_ALGORITHMS: Final = {"RSA": "RS256", "EC": "ES256"}


class AppleNotice(msgspec.Struct, frozen=True, kw_only=True):
    """What Apple's server told by itself. kind: as Apple names it. at_s: when it was signed (UTC)."""

    kind: str
    subject: str
    notice_id: str
    at_s: int

    def __repr__(self) -> str:
        return f"AppleNotice(kind={self.kind!r})"


class AppleClaims(msgspec.Struct, frozen=True, kw_only=True):
    """What is believed of a token. ``email`` is "" when the person or Apple gave none."""

    subject: str
    email: str = ""
    email_verified: bool = False
    email_relayed: bool = False

    def __repr__(self) -> str:
        return "AppleClaims()"


def read_keys(body: bytes) -> dict[str, PublicKey]:
    """The signing keys of a JWKS by their ``kid``; what is no RSA or P-256 signing key is left out. ValueError when it is no JWKS."""
    found: dict[str, PublicKey] = {}
    for entry in msgspec.json.decode(body, type=dict[str, list[dict[str, Any]]]).get("keys", [])[:KEYS_MAX]:
        kid, kty = entry.get("kid"), entry.get("kty")
        if not isinstance(kid, str) or entry.get("use", "sig") != "sig" or entry.get("alg") not in (None, _ALGORITHMS.get(str(kty))):
            continue
        try:
            if kty == "RSA":
                found[kid] = RSAKey.import_key({name: str(entry[name]) for name in ("kty", "n", "e")})
            elif kty == "EC" and entry.get("crv") == "P-256":
                found[kid] = ECKey.import_key({name: str(entry[name]) for name in ("kty", "crv", "x", "y")})
        except (JoseError, KeyError, ValueError, TypeError):
            continue
    return found


def key_id_of(text: str) -> str | None:
    """The ``kid`` that a token names; None when it has none or is no token."""
    kid = _header(text).get("kid")
    return kid if isinstance(kid, str) else None


def _header(text: str) -> dict[str, Any]:
    """What a token says of itself, unproven; empty when it is no signed token."""
    if len(text) > TOKEN_CHARS_MAX or text.count(".") != 2 or not text.isascii():
        return {}
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(text.partition(".")[0] + "=="), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
        return {}


def read_id_token(text: str, keys: Keys, *, issuer: str, audience: str, nonce: str, now_s: int) -> AppleClaims | Distrust:
    """The claims of a token of this login, or the first reason not to believe them."""
    claims = _signed(text, keys)
    if not isinstance(claims, dict):
        return claims
    return _distrusted(claims, issuer, audience, nonce, now_s) or _claims(claims)


def read_notice(text: str, keys: Keys, *, issuer: str, audiences: Collection[str], now_s: int) -> AppleNotice | Distrust:
    """What a server-to-server notification says, or the first reason not to believe it.

    It has no nonce: whoever acts on it remembers its id for ``NOTICE_S``, after which it is too old.
    """
    claims = _signed(text, keys)
    if not isinstance(claims, dict):
        return claims
    issued, expires, name = claims.get("iat"), claims.get("exp", now_s), claims.get("jti")
    if claims.get("iss") != issuer:
        return "issuer"
    if claims.get("aud") not in audiences:
        return "audience"
    if type(issued) is not int or issued - SKEW_S > now_s:
        return "not_yet"
    if issued + NOTICE_S <= now_s or type(expires) is not int or expires + SKEW_S < now_s:
        return "expired"
    if not isinstance(name, str) or not 0 < len(name) <= 255:
        return "malformed"
    try:
        event = msgspec.json.decode(claims["events"], type=AppleEvent)
    except (KeyError, TypeError, ValueError):
        return "malformed"
    if not 0 < len(event.sub) <= 255:
        return "subject"
    return AppleNotice(kind=event.type, subject=event.sub, notice_id=name, at_s=issued)


def _signed(text: str, keys: Keys) -> dict[str, Any] | Distrust:
    """The claims of a token that one of these keys has signed."""
    kid = key_id_of(text)
    if kid is None:
        return "malformed"
    key = keys.get(kid)
    if key is None:
        return "key_unknown"
    algorithm, header = _ALGORITHMS[key.key_type], _header(text)
    if header.get("alg") != algorithm or "crit" in header:
        return "algorithm"
    try:
        claims: Any = jwt.decode(text, key, algorithms=[algorithm]).claims
    except (JoseError, ValueError):
        return "signature"
    return claims if isinstance(claims, dict) else "malformed"


def _distrusted(claims: dict[str, Any], issuer: str, audience: str, nonce: str, now_s: int) -> Distrust | None:
    expires, issued, said = claims.get("exp"), claims.get("iat"), claims.get("nonce")
    if claims.get("iss") != issuer:
        return "issuer"
    # One audience, ours: a list with others in it was made for somebody else as well.
    if claims.get("aud") not in (audience, [audience]):
        return "audience"
    if type(expires) is not int or expires + SKEW_S <= now_s:
        return "expired"
    if type(issued) is not int or issued - SKEW_S > now_s:
        return "not_yet"
    if not isinstance(said, str) or not hmac.compare_digest(said.encode(), nonce.encode()):
        return "nonce"
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:
        return "subject"
    return None


def _claims(claims: dict[str, Any]) -> AppleClaims:
    email = claims.get("email")
    return AppleClaims(
        subject=claims["sub"],
        email=email if isinstance(email, str) and len(email) <= 254 else "",
        email_verified=_true(claims.get("email_verified")),
        email_relayed=_true(claims.get("is_private_email")),
    )


def _true(value: Any) -> bool:
    """Apple writes truth as a truth and as a text; anything else is not true."""
    return value is True or value == "true"
