"""How often somebody may ask, kept in this process alone: it works without any server, and costs a microsecond."""

from collections.abc import Callable
from typing import Final

KEYS_MAX: Final = 200_000
"""Keys remembered; past it those at rest are forgotten, and if that is not enough, all."""


class Rate:
    """A bucket for each key: ``per_s`` a second, ``burst`` at once after a rest. ``per_s`` 0 lets everything pass.

    Kept as the one time at which the bucket is full again.
    """

    __slots__ = ("_full_at", "_now_ms", "_span_ms", "_step_ms")

    def __init__(self, now_ms: Callable[[], float], per_s: float, burst: float) -> None:
        self._now_ms = now_ms
        self._step_ms = 1000 / per_s if per_s > 0 else 0.0
        self._span_ms = self._step_ms * burst
        self._full_at: dict[str, float] = {}

    def take(self, key: str) -> bool:
        """True when ``key`` may, and it is counted; a refused try is not."""
        step = self._step_ms
        if not step:
            return True
        now = self._now_ms()
        full_at = self._full_at.get(key, 0.0)
        if full_at < now:
            full_at = now
        if full_at + step - now > self._span_ms + 1e-6:
            return False
        if len(self._full_at) >= KEYS_MAX:
            self._forget(now)
        self._full_at[key] = full_at + step
        return True

    def _forget(self, now: float) -> None:
        self._full_at = {key: full_at for key, full_at in self._full_at.items() if full_at > now}
        if len(self._full_at) >= KEYS_MAX:
            self._full_at = {}
