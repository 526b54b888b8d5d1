"""Public pages in memory, with an ETag: read once by one asker for all, and again when something of them has changed.

A page says what it is made of (``topics``). While news of all of these are heard (``serve.page_news``), it stays as it is; without
them, and where it names none, it is read again after a second. While the database is away, the old one is shown for a minute.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple

from actors.ports.clock import Clock
from actors.ports.journal import StorageUnknown
from schemas.goods import FOREVER_MS
from serve.answers import JSON_TYPE, Reply, problem_reply
from serve.hot.lane import keep_head
from serve.requests import Request

FRESH_MS: Final = 1000.0
STALE_MS: Final = 60_000.0
PAGES_MAX: Final = 4096
BYTES_MAX: Final = 32 * 1024 * 1024
"""Of the bodies that one replica keeps."""

BODY_MAX: Final = 2 * 1024 * 1024
"""A longer page is shown, and not kept."""

_OVERHEAD: Final = 600
"""Bytes that a page takes beside its body, and each of its topics."""
_OVERHEAD_TOPIC: Final = 120


class Content(NamedTuple):
    """What a page is made of. body: None where there is no page, but a problem.

    until_ms: when it changes by itself (wall clock). in_stock: those of the articles ``skus`` of ``product_id`` that there are.
    """

    body: bytes | None
    problem: tuple[str, Mapping[str, Any] | None] = ("not_found", None)
    topics: frozenset[str] = frozenset()
    until_ms: int = FOREVER_MS
    product_id: str = ""
    skus: frozenset[str] = frozenset()
    in_stock: frozenset[str] = frozenset()


Make = Callable[[], Awaitable[Content]]


class Page:
    """One page as it is kept. fresh_ms: what was committed before this moment (monotonic) is in it. asked: since news were last heard."""

    __slots__ = ("asked", "content", "etag", "fresh_ms", "read_ms", "size", "unchanged", "until_ms", "watched", "whole")

    def __init__(self, content: Content, read_ms: float, *, watched: bool) -> None:
        self.read_ms = self.fresh_ms = read_ms
        self.until_ms = content.until_ms
        self.watched = watched and bool(content.topics)
        self.asked = True
        self.whole: Reply | None = None
        body = content.body
        self.size = _OVERHEAD + _OVERHEAD_TOPIC * len(content.topics) + (0 if body is None else len(body))
        # The body is kept once, in the reply.
        self.content = content._replace(body=None)
        if body is not None:
            self.etag = b'"' + hashlib.blake2b(body, digest_size=12).hexdigest().encode() + b'"'
            public = ((b"cache-control", b"public, max-age=1"), (b"etag", self.etag))
            self.whole = keep_head(Reply(200, body, (JSON_TYPE, (b"content-length", b"%d" % len(body)), *public)))
            self.unchanged = keep_head(Reply(304, b"", public))


class Pages:
    """The pages of one replica, by name."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._monotonic_ms = clock.monotonic_ms
        self._pages: dict[str, Page] = {}
        self._reading: dict[str, asyncio.Task[Page]] = {}
        self._news = 0
        self.size = 0
        """Bytes of all pages, about."""

    def ready(self, request: Request, name: str) -> Reply | None:
        """The reply, where the page is here and fresh."""
        page = self._pages.get(name)
        if page is None or self._monotonic_ms() - page.fresh_ms >= FRESH_MS:
            return None
        if page.until_ms < FOREVER_MS and self._clock.now_ms() >= page.until_ms:
            return None
        page.asked = True
        return _answer(request, page)

    def begin(self, request: Request, name: str, make: Make) -> Reply | Awaitable[Reply]:
        """The page, made by ``make`` if it is not here or too old."""
        return self.ready(request, name) or self._renewed(request, name, make)

    async def _renewed(self, request: Request, name: str, make: Make) -> Reply:
        old = self._pages.get(name)
        reading = self._reading.get(name)
        if reading is None:
            reading = self._reading[name] = asyncio.ensure_future(self._read(name, make))
            reading.add_done_callback(lambda _: self._reading.pop(name, None))
        try:
            return _answer(request, await asyncio.shield(reading))
        except StorageUnknown:
            if old is None or old.whole is None or self._monotonic_ms() - old.read_ms > STALE_MS:
                raise
            return _answer(request, old)

    async def _read(self, name: str, make: Make) -> Page:
        read_ms, news = self._monotonic_ms(), self._news
        content = await make()
        # What was told meanwhile may be of this page: it is then as old as its reading, and not watched.
        page = Page(content, read_ms, watched=news == self._news)
        self._forget(name)
        if page.size <= BODY_MAX:
            self._make_room(page.size)
            self._pages[name] = page
            self.size += page.size
        return page

    def _forget(self, name: str) -> None:
        page = self._pages.pop(name, None)
        if page is not None:
            self.size -= page.size

    def _make_room(self, size: int) -> None:
        """Those that nobody has asked for the longest go first, a quarter at a time."""
        if len(self._pages) < PAGES_MAX and self.size + size <= BYTES_MAX:
            return
        for name in sorted(self._pages, key=lambda key: self._pages[key].fresh_ms):
            self._forget(name)
            if len(self._pages) <= PAGES_MAX * 3 // 4 and self.size + size <= BYTES_MAX * 3 // 4:
                return

    # --- news -------------------------------------------------------------------------------------

    def drop(self, topics: set[str] | None) -> None:
        """These have changed (None: anything may have): pages with them are read again when they are asked for.

        They are kept for when they cannot be read.
        """
        self._news += 1
        for page in self._pages.values():
            if page.watched and (topics is None or not topics.isdisjoint(page.content.topics)):
                page.watched = False
                page.fresh_ms = -FRESH_MS

    def asked(self) -> list[Page]:
        """The watched pages that somebody asked for since the last time."""
        found = [page for page in self._pages.values() if page.asked and page.watched]
        for page in found:
            page.asked = False
        return found


def confirm(pages: list[Page], fresh_ms: float) -> None:
    """Nothing of these has changed, up to this moment."""
    for page in pages:
        if page.watched:
            page.fresh_ms = max(page.fresh_ms, fresh_ms)


def outdated(page: Page) -> None:
    """This one is to be read again."""
    page.watched = False
    page.fresh_ms = -FRESH_MS


def _answer(request: Request, page: Page) -> Reply:
    if page.whole is None:
        code, params = page.content.problem
        return problem_reply(code, params, language=request.language)
    known = request.headers.get(b"if-none-match")
    if known is not None and (known == b"*" or page.etag in known):
        return page.unchanged
    return page.whole
