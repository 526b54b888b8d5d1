"""Idempotency keys as Stripe keeps them: the first answer for 24 hours, whatever it was."""

from collections.abc import Callable
from typing import Final

import msgspec

from actors.testing.stripe_simulator.forms import Refusal, refusal

KEPT_S: Final = 24 * 3600
KEY_CHARACTERS_MAX: Final = 255
KEYS_MAX: Final = 500_000
"""Beyond it the oldest are forgotten: see ``ledger.INTENTS_MAX``."""


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """The first request under a key, and its answer. ``status`` 0: it is still being worked on."""

    request: str
    at_s: float
    status: int = 0
    body: bytes = b""


class Keys:
    """The keys of one account."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.stored: dict[str, Stored] = {}
        self._now = now

    def begin(self, key: str, request: str) -> Stored | Refusal | None:
        """None: new, now being worked on. Else the stored answer, or why this key cannot be used."""
        if len(key) > KEY_CHARACTERS_MAX:
            return refusal("Idempotency-Key must be at most 255 characters.", kind="idempotency_error")
        known = self.stored.get(key)
        if known is None or known.at_s + KEPT_S <= self._now():
            while len(self.stored) >= KEYS_MAX:
                del self.stored[next(iter(self.stored))]
            self.stored[key] = Stored(request=request, at_s=self._now())
            return None
        if known.request != request:
            message = "Keys for idempotent requests can only be used with the same parameters they were first used with."
            return refusal(f"{message} Try using a key other than '{key}'.", kind="idempotency_error")
        if known.status == 0:
            message = "There is currently another in-progress request using this Idempotent Key. Please try again later."
            return refusal(message, code="idempotency_key_in_use", kind="idempotency_error", status=409)
        return known

    def finish(self, key: str, status: int, body: bytes) -> None:
        """Keep the answer."""
        self.stored[key] = msgspec.structs.replace(self.stored[key], status=status, body=body)

    def give_up(self, key: str) -> None:
        """Nothing was executed: the key may be used again."""
        self.stored.pop(key, None)
