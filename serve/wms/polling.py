"""Asking warehouses what they said: what a webhook lost is found here, under the same id."""

import random
from collections.abc import Callable
from typing import Final

import structlog

from actors.ports.clock import Clock
from actors.ports.wms import Unknown, Warehouse
from actors.storage.wms_inbox import Inbox
from actors.storage.wms_outbox import Outbox

log = structlog.get_logger("stampede.wms")

PAGE: Final = 100
PAGES_MAX: Final = 20
"""Pages of one round: the rest is asked for at the next, soon."""

JITTER: Final = 0.2


class Polling:
    """One a replica; of several one asks at a time."""

    def __init__(
        self,
        inbox: Inbox,
        outbox: Outbox,
        clock: Clock,
        rng: random.Random,
        every_s: float,
        tell: Callable[[str], None] = lambda step: None,
    ) -> None:
        self._inbox = inbox
        self._outbox = outbox
        self._clock = clock
        self._rng = rng
        self._every_s = every_s
        self._tell = tell

    async def round(self, connection_id: str, warehouse: Warehouse, *, waiting: int = 0, waiting_max: int = 10_000) -> int | None:
        """Read on, when it is time and there is room; answers how many messages were new. None: it was not, or it failed."""
        now_ms = self._clock.now_ms()
        if waiting >= waiting_max:
            return None
        await self._inbox.ask_for_gaps(connection_id, now_ms)
        every_ms = self._every_s * 1000 * (1 - JITTER + 2 * JITTER * self._rng.random())
        cursor = await self._inbox.poll(connection_id, now_ms, now_ms + int(every_ms))
        if cursor is None:
            return None
        return await self.read_on(connection_id, warehouse, cursor)

    async def read_on(self, connection_id: str, warehouse: Warehouse, cursor: str) -> int | None:
        """Everything behind a cursor; None when the end was not reached."""
        new = 0
        for _ in range(PAGES_MAX):
            page = await warehouse.changes(cursor, PAGE)
            self._tell("fetched")
            now_ms = self._clock.now_ms()
            if isinstance(page, Unknown):
                log.info("wms_poll_failed", connection=connection_id, reason=page.reason)
                await self._outbox.called(connection_id, page.reason, now_ms)
                return None
            ids = [message.id for message in page.messages]
            found = await self._inbox.store_page(connection_id, cursor, page.next_cursor, ids, page.bodies, now_ms)
            self._tell("stored")
            if found is None:
                return None
            new += found
            if not page.more:
                await self._outbox.answered(connection_id)
                return new
            cursor = page.next_cursor
        return None
