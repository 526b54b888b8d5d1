"""Access tokens, which any replica can check alone, and refresh tokens, which only the user's sessions can."""

import binascii
import enum
import hashlib
import hmac
from typing import Final

import msgspec

from actors.domain.entity import Refused
from actors.domain.signing import SigningKeys, sign, verified
from schemas.ids import is_id

_ACCESS: Final = b"stampede.access\0"
_REFRESH: Final = b"stampede.refresh\0"

SECRET_BYTES: Final = 32
REFRESH_MAX: Final = 256
"""Characters of a refresh token; ours are under 120."""


class Role(enum.IntFlag):
    """What the bearer may do, as bits. A meaning never changes; a removed one leaves its bit unused."""

    CUSTOMER = 1
    GUEST = 2
    SUPPORT = 4
    MERCHANT = 8
    OPERATOR = 16
    WAREHOUSE = 32
    MARKETING = 64
    FINANCE = 128
    ADMINISTRATOR = 256


class AccessToken(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """What an access token says.

    generation: the user's when the token was made; where it is behind, ask ``CheckSession``.
    roles: bits of :class:`Role`. expires_at_ms: UTC, the first instant at which it is void.
    stepped_up_at_ms: UTC, when the bearer last proved a second factor in this session; 0: never.
    """

    user_id: str
    session_id: str
    generation: int
    roles: int
    expires_at_ms: int
    stepped_up_at_ms: int = 0


class RefreshToken(msgspec.Struct, frozen=True, kw_only=True):
    """Where a refresh token leads, and the 32 bytes that prove it."""

    user_id: str
    session_id: str
    secret: bytes

    def __repr__(self) -> str:
        return f"RefreshToken(user_id={self.user_id!r}, session_id={self.session_id!r})"


_DECODER: Final = msgspec.msgpack.Decoder(AccessToken)


def issue(keys: SigningKeys, token: AccessToken) -> str:
    """The text of an access token."""
    return sign(keys, _ACCESS, msgspec.msgpack.encode(token))


def verify(keys: SigningKeys, text: str, *, at_ms: int) -> AccessToken | Refused:
    """The token, when it is ours and not expired. Refused: ``unauthenticated`` before ``token_expired``."""
    fields = verified(keys, _ACCESS, text)
    if fields is None:
        return Refused(code="unauthenticated")
    token = _DECODER.decode(fields)
    if at_ms >= token.expires_at_ms:
        return Refused(code="token_expired")
    return token


def refresh_token_text(token: RefreshToken) -> str:
    """``<user id>.<session id>.<secret in hex>``."""
    return f"{token.user_id}.{token.session_id}.{token.secret.hex()}"


def parse_refresh_token(text: str) -> RefreshToken | Refused:
    """The parts of a refresh token; nothing is proven yet. Refused: ``session_unknown``."""
    parts = text.split(".") if len(text) <= REFRESH_MAX else []
    if len(parts) != 3 or not is_id(parts[0], "usr") or not is_id(parts[1], "ses"):
        return Refused(code="session_unknown")
    try:
        secret = binascii.unhexlify(parts[2])
    except ValueError:
        return Refused(code="session_unknown")
    if len(secret) != SECRET_BYTES or secret.hex() != parts[2]:
        return Refused(code="session_unknown")
    return RefreshToken(user_id=parts[0], session_id=parts[1], secret=secret)


def refresh_hash(token: RefreshToken) -> bytes:
    """What the sessions keep of a refresh token: 32 bytes. The secret is random, so a plain hash cannot be turned back."""
    return hashlib.sha256(_REFRESH + token.secret).digest()


def refresh_token_after(keys: SigningKeys, token: RefreshToken) -> RefreshToken:
    """The successor of a refresh token, the same for everybody who presents it.

    Two exchanges of one token by a slow client therefore get the same answer, and a thief who is
    quick gets no line of tokens of his own: his next exchange or the owner's gives him away.
    """
    message = b"\0".join((_REFRESH, token.user_id.encode(), token.session_id.encode(), token.secret))
    secret = hmac.digest(keys.keys[keys.current], message, "sha256")
    return RefreshToken(user_id=token.user_id, session_id=token.session_id, secret=secret)
