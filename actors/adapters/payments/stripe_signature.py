"""Stripe's webhook signatures: ``Stripe-Signature: t=<seconds>,v1=<hex>[,v1=<hex>...]``.

Each ``v1`` is HMAC-SHA256, under one signing secret, of ``<t>.<raw body>``. While a secret is being
rolled Stripe signs with the old and the new one; any match is enough. Other schemes (``v0`` of test
events) are ignored, so that nobody can choose a weaker one.
https://docs.stripe.com/webhooks/signatures
"""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

from schemas.payment import NoticeRefused

TOLERANCE_S: Final = 300
"""How far a signature's time may lie from ours, in seconds: Stripe's own default."""

HEADER_CHARACTERS_MAX: Final = 4096
"""Stripe signs with at most a few secrets (~70 characters each); more is somebody who makes us work."""

SIGNATURES_MAX: Final = 16
"""Signatures compared of one header, for the same reason."""


def sign(body: bytes, secret: str, at_s: int) -> str:
    """The header's value for ``body``, signed at ``at_s`` (UTC seconds)."""
    return f"t={at_s},v1={_digest(body, secret, at_s)}"


def verify(header: str | None, body: bytes, secrets: Sequence[str], now_s: int, tolerance_s: int = TOLERANCE_S) -> NoticeRefused | None:
    """None when ``body`` was signed with one of ``secrets`` within ``tolerance_s`` of ``now_s``; else why not.

    The signature is checked before its time, so that a refusal as stale tells a forger nothing.
    """
    if not header or len(header) > HEADER_CHARACTERS_MAX:
        return NoticeRefused(code="signature_invalid", reason="no usable Stripe-Signature header")
    at_s, signatures = _parse(header)
    if at_s is None or not signatures:
        return NoticeRefused(code="signature_invalid", reason="no time or no v1 signature in the header")
    expected = [_digest(body, secret, at_s) for secret in secrets if secret.strip()]
    # Every pair is compared, also after a match: the time taken says nothing.
    matches = [hmac.compare_digest(ours.encode(), theirs.encode(errors="replace")) for ours in expected for theirs in signatures]
    if not any(matches):
        return NoticeRefused(code="signature_invalid", reason="no signature matches")
    if abs(now_s - at_s) > tolerance_s:
        return NoticeRefused(code="signature_stale", reason=f"signed {now_s - at_s} s ago")
    return None


def _parse(header: str) -> tuple[int | None, list[str]]:
    """The time and the v1 signatures of a header; None when there is not exactly one whole, plain number as time."""
    pairs = [item.strip().partition("=") for item in header.split(",")]
    times = [value for name, _, value in pairs if name == "t"]
    signatures = [value for name, _, value in pairs if name == "v1"]
    usable = len(times) == 1 and times[0].isascii() and times[0].isdigit() and len(times[0]) <= 12
    return (int(times[0]) if usable else None), signatures[:SIGNATURES_MAX]


def _digest(body: bytes, secret: str, at_s: int) -> str:
    return hmac.new(secret.encode(), b"%d." % at_s + body, hashlib.sha256).hexdigest()
