"""Public pages in memory: read at most once a second each, by one asker for all, with an ETag; old ones while the database is away."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Final

from actors.ports.clock import Clock
from actors.ports.journal import StorageUnknown
from serve.answers import JSON_TYPE, Reply, problem_reply
from serve.requests import Request

FRESH_MS: Final = 1000.0
STALE_MS: Final = 60_000.0
PAGES_MAX: Final = 4096

Make = Callable[[], Awaitable[bytes | None]]


class _Page:
    """One page: its replies, and when it was read. ``whole`` None: there is no such page."""

    __slots__ = ("etag", "read_ms", "unchanged", "whole")

    def __init__(self, body: bytes | None, read_ms: float) -> None:
        self.read_ms = read_ms
        self.whole: Reply | None = None
        if body is not None:
            self.etag = b'"' + hashlib.blake2b(body, digest_size=12).hexdigest().encode() + b'"'
            public = ((b"cache-control", b"public, max-age=1"), (b"etag", self.etag))
            self.whole = Reply(200, body, (JSON_TYPE, (b"content-length", b"%d" % len(body)), *public))
            self.unchanged = Reply(304, b"", public)


class Pages:
    """The pages of one replica, by name."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pages: dict[str, _Page] = {}
        self._reading: dict[str, asyncio.Task[_Page]] = {}

    async def reply(self, request: Request, name: str, missing: str, make: Make) -> Reply:
        """The page, made by ``make`` if it is not here; the problem ``missing`` when that says None."""
        page = self._pages.get(name)
        now_ms = self._clock.monotonic_ms()
        if page is None or now_ms - page.read_ms >= FRESH_MS:
            page = await self._renewed(name, page, now_ms, make)
        if page.whole is None:
            return problem_reply(missing, language=request.language)
        known = request.headers.get(b"if-none-match")
        if known is not None and (known == b"*" or page.etag in known):
            return page.unchanged
        return page.whole

    async def _renewed(self, name: str, page: _Page | None, now_ms: float, make: Make) -> _Page:
        reading = self._reading.get(name)
        if reading is None:
            reading = self._reading[name] = asyncio.ensure_future(self._read(name, make))
            reading.add_done_callback(lambda _: self._reading.pop(name, None))
        try:
            return await asyncio.shield(reading)
        except StorageUnknown:
            if page is None or page.whole is None or now_ms - page.read_ms > STALE_MS:
                raise
            return page

    async def _read(self, name: str, make: Make) -> _Page:
        read_ms = self._clock.monotonic_ms()
        page = _Page(await make(), read_ms)
        if len(self._pages) >= PAGES_MAX:
            for oldest in sorted(self._pages, key=lambda key: self._pages[key].read_ms)[: PAGES_MAX // 4]:
                del self._pages[oldest]
        self._pages[name] = page
        return page
