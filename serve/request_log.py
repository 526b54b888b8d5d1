"""What of the answers is logged: the slow and the failed, one line a second of each kind.

A crowd that is refused, or a database that is away, gives thousands of the same answer a second: a line for each
costs a third of what the answer itself costs, and fills the disk with what the counters say better.
"""

from collections.abc import Callable
from typing import Final

import structlog

from serve.answers import Reply
from serve.requests import Request

log = structlog.get_logger("stampede.http")

SLOW_S: Final = 1.0
EVERY_MS: Final = 1000.0
KINDS_MAX: Final = 1000
"""Kinds remembered: routes by codes are fewer, so that this is only a bound."""


class RequestLog:
    """One a replica. A line says how many of its kind came since the last one and have none."""

    def __init__(self, now_ms: Callable[[], float]) -> None:
        self._now_ms = now_ms
        self._kinds: dict[tuple[str, int, str], tuple[float, int]] = {}

    def note(self, request: Request, reply: Reply, seconds: float) -> None:
        """Log an answer that took longer than a second, or failed."""
        if reply.status < 500 and seconds <= SLOW_S:
            return
        kind = (request.route, reply.status, reply.code)
        now = self._now_ms()
        silent_until, unwritten = self._kinds.get(kind, (0.0, 0))
        if now < silent_until:
            self._kinds[kind] = (silent_until, unwritten + 1)
            return
        if len(self._kinds) >= KINDS_MAX:
            self._kinds.clear()
        self._kinds[kind] = (now + EVERY_MS, 0)
        log.info(
            "request", method=request.method, route=request.route, status=reply.status, code=reply.code,
            ms=round(seconds * 1000, 1), request_id=request.id.decode(), unwritten=unwritten,
        )  # fmt: skip
