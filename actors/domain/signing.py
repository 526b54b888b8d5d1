"""Short signed texts that a client carries and any replica can check without asking: tickets and access tokens.

``base64url(version | key id | MessagePack of the fields | HMAC-SHA256)``. The purpose is signed but
not sent, so a ticket never passes for a token. There is one algorithm: nothing in the text can choose another.
"""

import binascii
import hmac
from typing import Final

import msgspec

VERSION: Final = 1
MAC_BYTES: Final = 32
HEAD_BYTES: Final = 2
KEY_BYTES_MIN: Final = 32

TEXT_MAX: Final = 512
"""Characters; ours are under 200. Longer ones are refused before anything is computed."""

_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
_FROM_URL: Final = bytes.maketrans(b"-_+/", b"+/!!")


class SigningKeys(msgspec.Struct, frozen=True, kw_only=True):
    """The secrets by key id (0 to 255); ``current`` signs, all of them verify.

    To change the secret: add the new one everywhere, then make it current everywhere, then remove
    the old one when the last text that it signed has expired. ValueError when the keys are not usable.
    """

    current: int
    keys: dict[int, bytes]

    def __post_init__(self) -> None:
        if self.current not in self.keys:
            raise ValueError("the current key is not among the keys")
        if any(not 0 <= key_id <= 255 or len(key) < KEY_BYTES_MIN for key_id, key in self.keys.items()):
            raise ValueError(f"a key needs an id from 0 to 255 and at least {KEY_BYTES_MIN} bytes")

    def __repr__(self) -> str:
        return f"SigningKeys(current={self.current}, ids={sorted(self.keys)})"


def sign(keys: SigningKeys, purpose: bytes, fields: bytes) -> str:
    """The text that carries these fields."""
    body = bytes((VERSION, keys.current)) + fields
    mac = hmac.digest(keys.keys[keys.current], purpose + body, "sha256")
    return _encode(body + mac)


def verified(keys: SigningKeys, purpose: bytes, text: str) -> bytes | None:
    """The fields of a text that one of our keys signed for this purpose; None for every other text."""
    data = _decode(text)
    if data is None or len(data) <= HEAD_BYTES + MAC_BYTES or data[0] != VERSION:
        return None
    key = keys.keys.get(data[1])
    if key is None:
        return None
    body = data[:-MAC_BYTES]
    if not hmac.compare_digest(hmac.digest(key, purpose + body, "sha256"), data[-MAC_BYTES:]):
        return None
    return body[HEAD_BYTES:]


def _encode(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).translate(_TO_URL).rstrip(b"=").decode()


def _decode(text: str) -> bytes | None:
    """The bytes of a base64url text in its one canonical form, else None: two texts are never the same ticket."""
    if len(text) > TEXT_MAX or not text.isascii():
        return None
    padded = text.encode().translate(_FROM_URL) + b"=" * (-len(text) % 4)
    try:
        data = binascii.a2b_base64(padded, strict_mode=True)
    except binascii.Error:
        return None
    return data if _encode(data) == text else None
