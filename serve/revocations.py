"""Which sessions were ended before their access tokens expired. Every replica keeps the few that matter and asks for news."""

from collections.abc import Iterable
from typing import Any, Final

import structlog

from actors.ports.clock import Clock
from actors.storage.connect import LOST
from serve.news import News

log = structlog.get_logger("stampede.revocations")

TOPIC: Final = "revoked"
POLL_S: Final = 0.5
OVERLAP_MS: Final = 60_000
"""Rows are written a moment after the time that they carry: each poll looks this far back."""

REVOKED: Final = "SELECT session_id, revoked_at_ms FROM revoked_session WHERE revoked_at_ms > $1"
_COUNT_TO_FORGET: Final = 10_000


class Revocations:
    """Session ids by the time of their end (UTC, ms); forgotten when no access token of theirs can live any more."""

    def __init__(self, clock: Clock, pool: Any, news: News, token_s: int) -> None:
        self._clock = clock
        self._pool = pool
        self._news = news
        self._token_ms = token_s * 1000
        self._since_ms = 0
        self.ended: dict[str, int] = {}
        news.on(TOPIC, self.heard)

    def end(self, session_ids: Iterable[str]) -> None:
        """These were ended through this replica: it acts at once, and tells the others if it can."""
        now_ms = self._clock.now_ms()
        names = list(session_ids)
        self.ended.update(dict.fromkeys(names, now_ms))
        if names:
            self._news.tell(TOPIC, " ".join(names))

    def heard(self, text: str) -> None:
        """Another replica ended these."""
        self.ended.update(dict.fromkeys(text.split(), self._clock.now_ms()))

    async def poll(self) -> None:
        """Read what the table has learnt. A database that does not answer is asked again next time."""
        now_ms = self._clock.now_ms()
        since = max(self._since_ms - OVERLAP_MS, now_ms - self._token_ms - OVERLAP_MS)
        try:
            rows = await self._pool.fetch(REVOKED, since)
        except LOST as error:
            log.info("revocations_not_read", reason=type(error).__name__)
            return
        for row in rows:
            self.ended[row["session_id"]] = row["revoked_at_ms"]
            self._since_ms = max(self._since_ms, row["revoked_at_ms"])
        if len(self.ended) > _COUNT_TO_FORGET:
            self.ended = {name: at_ms for name, at_ms in self.ended.items() if at_ms > now_ms - self._token_ms}

    async def keep_polling(self) -> None:
        """Poll for ever."""
        while True:
            await self.poll()
            await self._clock.sleep(POLL_S)
