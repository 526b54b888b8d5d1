"""Who asks: an access token is checked here, alone; its session's end is known from a list."""

from typing import Final

from actors.domain.entity import Refused
from actors.domain.signing import SigningKeys
from actors.domain.token import AccessToken, Role, verify
from serve.revocations import Revocations

VERIFIED_MAX: Final = 65_536
"""Tokens remembered as genuine: a signature costs 8 us, a look-up a tenth of one."""

_CUSTOMER: Final = int(Role.CUSTOMER)
_NOBODY: Final = Refused(code="unauthenticated")
_EXPIRED: Final = Refused(code="token_expired")
_REVOKED: Final = Refused(code="token_revoked")


class Authentication:
    """Checks ``Authorization`` headers."""

    def __init__(self, keys: SigningKeys, revocations: Revocations) -> None:
        self._keys = keys
        self._revocations = revocations
        self._verified: dict[bytes, AccessToken] = {}

    def customer(self, header: bytes | None, now_ms: int) -> AccessToken | Refused:
        """The token of a logged-in customer. Refused: unauthenticated, token_expired, token_revoked."""
        if header is None:
            return _NOBODY
        token = self._verified.get(header)
        if token is None:
            checked = self._check(header, now_ms)
            if isinstance(checked, Refused):
                return checked
            token = checked
        if now_ms >= token.expires_at_ms:
            return _EXPIRED
        if token.session_id in self._revocations.ended:
            return _REVOKED
        return token

    def _check(self, header: bytes, now_ms: int) -> AccessToken | Refused:
        if header[:7].lower() != b"bearer ":
            return _NOBODY
        token = verify(self._keys, header[7:].decode("latin-1").strip(), at_ms=now_ms)
        if isinstance(token, Refused):
            return token
        if not token.roles & _CUSTOMER:
            return _NOBODY
        if len(self._verified) >= VERIFIED_MAX:
            self._forget()
        self._verified[header] = token
        return token

    def _forget(self) -> None:
        """The half that was verified first goes; whoever is still here is verified again."""
        for header in list(self._verified)[: VERIFIED_MAX // 2]:
            del self._verified[header]
