"""The database's time, carried on by this machine's monotonic clock."""

import asyncio
import time
from typing import Any, Final

_NOW: Final = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"


class DatabaseClock:
    """Agrees with PostgreSQL to within a round trip; a step of the wall clock does not move it, and it never goes back."""

    def __init__(self) -> None:
        self._offset_ms = time.time() * 1000 - time.monotonic() * 1000
        self._last_ms = 0

    def now_ms(self) -> int:
        now = int(time.monotonic() * 1000 + self._offset_ms)
        if now < self._last_ms:
            return self._last_ms
        self._last_ms = now
        return now

    def monotonic_ms(self) -> float:
        return time.monotonic() * 1000

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def sync(self, connection: Any) -> float:
        """Take the server's time; answers by how many milliseconds this clock was off."""
        before = time.monotonic() * 1000
        server_ms = float(await connection.fetchval(_NOW))
        middle = (before + time.monotonic() * 1000) / 2
        off = server_ms - middle - self._offset_ms
        self._offset_ms += off
        return off
