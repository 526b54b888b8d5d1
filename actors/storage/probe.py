"""Whether the database answers, asked over a connection of its own: a pool that is empty says nothing about it."""

import asyncio
from typing import Final

from actors.storage.connect import Link

PING: Final = "SELECT 1"


class Probe:
    """Many askers at once share one question."""

    def __init__(self, url: str) -> None:
        self._link = Link(url, "probe")
        self._asking: asyncio.Task[None] | None = None

    async def ask(self, within_s: float) -> None:
        """Return when the database has answered. TimeoutError past ``within_s``, StorageUnknown when it cannot be reached."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.ensure_future(self._ask(within_s))
            # Whoever asked may have left by the time that it fails.
            self._asking.add_done_callback(lambda asking: asking.cancelled() or asking.exception())
        await asyncio.wait_for(asyncio.shield(self._asking), within_s)

    async def _ask(self, within_s: float) -> None:
        async with asyncio.timeout(within_s):
            await self._link.run(lambda connection: connection.fetchval(PING))

    async def close(self) -> None:
        """Hang up."""
        if self._asking is not None:
            await asyncio.gather(self._asking, return_exceptions=True)
        await self._link.close()
