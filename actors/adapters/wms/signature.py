"""Signatures as the Standard Webhooks specification has them: ``webhook-id``, ``webhook-timestamp`` (UTC seconds), ``webhook-signature``.

The signature is ``v1,`` and the base64 of HMAC-SHA256 over ``<id>.<timestamp>.<body>``; the header holds one for each live secret,
with spaces between them, and any match is enough. A secret is ``whsec_`` and the base64 of 24 to 64 bytes.
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Final

PREFIX: Final = "whsec_"
KEY_BYTES: Final = 32
KEY_BYTES_MIN, KEY_BYTES_MAX = 24, 64
TOLERANCE_S: Final = 300
HEADER_CHARACTERS_MAX: Final = 2048
SIGNATURES_MAX: Final = 16
"""Signatures compared of one header: more is somebody who makes us work."""

_ID: Final = re.compile(r"[A-Za-z0-9_.\-]{1,100}\Z")
_TIME: Final = re.compile(r"[0-9]{1,12}\Z")


def key_of(secret: str) -> bytes:
    """The key in a secret. ValueError when it is none, or too short or long."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not KEY_BYTES_MIN <= len(key) <= KEY_BYTES_MAX or not secret.startswith(PREFIX):
        raise ValueError(f"a secret is {PREFIX} and the base64 of {KEY_BYTES_MIN} to {KEY_BYTES_MAX} bytes")
    return key


def secret_of(key: bytes) -> str:
    """A key as it is written."""
    return PREFIX + base64.b64encode(key).decode()


def headers(secrets: Sequence[str], message_id: str, body: bytes, at_s: int) -> dict[str, str]:
    """The three headers of a body, signed with every one of the secrets."""
    signatures = " ".join(_signature(secret, message_id, str(at_s), body) for secret in secrets)
    return {"webhook-id": message_id, "webhook-timestamp": str(at_s), "webhook-signature": signatures}


def flaw(found: Mapping[str, str], body: bytes, secrets: Sequence[str], now_s: int, tolerance_s: int = TOLERANCE_S) -> str:
    """Empty when the body was signed with one of the secrets just now; else ``signature_invalid`` or ``signature_stale``.

    The signature is looked at before the time, so that a refusal as stale tells a forger nothing.
    """
    message_id, at = found.get("webhook-id", ""), found.get("webhook-timestamp", "")
    header = found.get("webhook-signature", "")
    if not _ID.match(message_id) or not _TIME.match(at) or len(header) > HEADER_CHARACTERS_MAX:
        return "signature_invalid"
    theirs = [part.encode() for part in header.split(" ") if part.startswith("v1,")][:SIGNATURES_MAX]
    ours = [_signature(secret, message_id, at, body).encode() for secret in secrets]
    # Every pair is compared, also after a match: the time taken says nothing.
    matches = [hmac.compare_digest(one, other) for one in ours for other in theirs]
    if not any(matches):
        return "signature_invalid"
    return "signature_stale" if abs(now_s - int(at)) > tolerance_s else ""


def _signature(secret: str, message_id: str, at: str, body: bytes) -> str:
    digest = hmac.digest(key_of(secret), f"{message_id}.{at}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(digest).decode()
