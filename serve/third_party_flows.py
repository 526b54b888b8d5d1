"""What binds a third-party login to whoever began it.

The state travels through the provider and through URLs, so it may be seen. The secret does not: it stays with the page or
app that began, and is presented with what came back. So a link with somebody else's code and state logs nobody in (RFC 9700,
4.7), and a stolen one is worth nothing. PKCE's verifier and the nonce are made of the secret: none of them is stored.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable
from typing import Final

import msgspec

from schemas.ids import base32

FLOW_S: Final = 600
"""A person has ten minutes for the provider's page."""

STATE_BITS: Final = 130
SECRET_BYTES: Final = 32


class FlowSecrets(msgspec.Struct, frozen=True, kw_only=True):
    """The two halves of a login under way."""

    state: str
    secret: str

    def __repr__(self) -> str:
        return "FlowSecrets()"

    @property
    def flow_hash(self) -> bytes:
        """What the state is stored as."""
        return hash_of_state(self.state)

    @property
    def secret_hash(self) -> bytes:
        """What the secret is stored as."""
        return hashlib.sha256(b"secret\0" + self.secret.encode()).digest()

    @property
    def code_verifier(self) -> str:
        """RFC 7636: 43 characters that only the secret's holder brings back."""
        return self._made(b"pkce")

    @property
    def nonce(self) -> str:
        """What the provider signs into its word about this login."""
        return self._made(b"nonce")

    def _made(self, purpose: bytes) -> str:
        return _text(hmac.digest(self.secret.encode(), purpose, "sha256"))


def new_secrets(random_bytes: Callable[[int], bytes]) -> FlowSecrets:
    """Two halves that nobody can guess."""
    state = int.from_bytes(random_bytes(17), "big") & ((1 << STATE_BITS) - 1)
    return FlowSecrets(state=f"lgn_{base32(state, STATE_BITS // 5)}", secret=_text(random_bytes(SECRET_BYTES)))


def hash_of_state(state: str) -> bytes:
    """What a state is stored as."""
    return hashlib.sha256(b"state\0" + state.encode()).digest()


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
