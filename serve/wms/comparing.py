"""Fetching a count and comparing ours with it: page by page, so that whoever dies in between loses one page at most."""

import random
from typing import Final

import structlog

from actors.domain.wms import wait_ms
from actors.ports.clock import Clock
from actors.ports.wms import Unknown, Warehouse
from actors.storage.wms_counts import Counts, Run
from actors.storage.wms_inbox import Inbox
from schemas.wms import Connection
from serve.wms.polling import Polling
from serve.wms.taking import Taking

log = structlog.get_logger("stampede.wms")

PAGES_MAX: Final = 100
"""Pages of one round; a count with more goes on at the next."""

SOON_MS: Final = 1000


class Comparing:
    """One a replica; of several one works on a comparison."""

    def __init__(self, counts: Counts, inbox: Inbox, polling: Polling, taking: Taking, clock: Clock, rng: random.Random) -> None:
        self._counts = counts
        self._inbox = inbox
        self._polling = polling
        self._taking = taking
        self._clock = clock
        self._rng = rng

    async def round(self, connection: Connection, warehouse: Warehouse) -> bool:
        """Bring the comparison that waits longest as far as it goes; True when it is a preview."""
        name = connection.connection_id
        run = await self._counts.claim(name, self._clock.now_ms())
        if run is None:
            return False
        try:
            snapshot_id, wrong = await self._fetch(run, name, warehouse)
            if wrong:
                await self._again(run, wrong)
                return False
            if not snapshot_id or await self._counts.pages_missing(name, snapshot_id):
                await self._counts.later(run.run_id, "", self._clock.now_ms() + SOON_MS)
                return False
            return await self._compare(run, connection, warehouse, snapshot_id)
        except Exception:
            await self._again(run, "internal_error")
            raise

    async def _fetch(self, run: Run, name: str, warehouse: Warehouse) -> tuple[str, str]:
        """(the count's id, what went wrong)."""
        snapshot_id = run.snapshot_id
        for page in ([1] if not snapshot_id else await self._counts.pages_missing(name, snapshot_id))[:PAGES_MAX]:
            found = await warehouse.snapshot(snapshot_id, page)
            if isinstance(found, Unknown):
                return snapshot_id, found.reason
            if wrong := await self._counts.keep_page(run.run_id, name, found):
                return snapshot_id, wrong
            snapshot_id = found.snapshot_id
        if not run.snapshot_id and snapshot_id:
            return await self._fetch(Run(run_id=run.run_id, snapshot_id=snapshot_id, tries=run.tries), name, warehouse)
        return snapshot_id, ""

    async def _compare(self, run: Run, connection: Connection, warehouse: Warehouse, snapshot_id: str) -> bool:
        """What they have counted and said is heard first, as far as they let themselves be asked."""
        name, now_ms = connection.connection_id, self._clock.now_ms()
        cursor = await self._inbox.poll(name, 2**53, now_ms)
        if cursor is None or await self._polling.read_on(name, warehouse, cursor) is None:
            await self._again(run, "changes_unread")
            return False
        await self._taking.round(connection)
        if await self._counts.unopened(name):
            await self._again(run, "messages_waiting")
            return False
        await self._counts.compare(run.run_id, name, snapshot_id)
        return True

    async def _again(self, run: Run, reason: str) -> None:
        wait = wait_ms(run.tries, self._rng.random())
        log.info("wms_comparison_waits", run=run.run_id, reason=reason, tries=run.tries)
        await self._counts.later(run.run_id, reason, None if wait is None else self._clock.now_ms() + wait)
