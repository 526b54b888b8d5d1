"""Pages in memory: bounded by number and by bytes, and never older than what was heard."""

import asyncio
from typing import Any

import pytest

from actors.ports.journal import StorageUnknown
from serve.pages import BODY_MAX, BYTES_MAX, FRESH_MS, PAGES_MAX, STALE_MS, Content, Pages, confirm
from serve.requests import Request


class Hand:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.at_ms = 1_000_000.0

    def now_ms(self) -> int:
        return 1_700_000_000_000 + int(self.at_ms)

    def monotonic_ms(self) -> float:
        return self.at_ms

    async def sleep(self, seconds: float) -> None:
        self.at_ms += seconds * 1000


class Book:
    """Pages whose words a test sets, and how often they were read."""

    def __init__(self) -> None:
        self.clock = Hand()
        self.pages = Pages(self.clock)
        self.words = b"one"
        self.read = 0
        self.away = False
        self.gate: asyncio.Event | None = None

    async def ask(self, name: str = "/p", *, until_ms: int = 2**53, topics: tuple[str, ...] = ("product:p",), **headers: bytes) -> Any:
        async def make() -> Content:
            self.read += 1
            words = self.words
            if self.gate is not None:
                await self.gate.wait()
            if self.away:
                raise StorageUnknown("away")
            return Content(words, topics=frozenset(topics), until_ms=until_ms)

        sent = [(key.replace("_", "-").encode(), value) for key, value in headers.items()]
        request = Request({"method": "GET", "path": name, "headers": sent}, b"r")
        found = self.pages.begin(request, name, make)
        return found if not hasattr(found, "__await__") else await found


async def test_a_page_that_is_watched_is_read_again_only_when_news_say_so() -> None:
    book = Book()
    for _ in range(20):
        assert (await book.ask()).body == b"one"
        book.clock.at_ms += FRESH_MS / 2
        confirm(book.pages.asked(), book.clock.at_ms)
    assert book.read == 1
    book.words = b"two"
    book.pages.drop({"product:other"})
    assert (await book.ask()).body == b"one"
    book.pages.drop({"product:p"})
    assert (await book.ask()).body == b"two"
    book.words = b"three"
    book.pages.drop(None)
    assert (await book.ask()).body == b"three"


async def test_without_news_a_page_is_as_old_as_a_second_and_while_nothing_can_be_read_as_a_minute() -> None:
    book = Book()
    await book.ask()
    book.words = b"two"
    book.clock.at_ms += FRESH_MS - 1
    assert (await book.ask()).body == b"one"
    book.clock.at_ms += 1
    assert (await book.ask()).body == b"two"
    book.away = True
    book.clock.at_ms += STALE_MS - 1
    assert (await book.ask()).body == b"two"
    book.clock.at_ms += 2
    with pytest.raises(StorageUnknown):
        await book.ask()


async def test_what_changes_while_a_page_is_being_read_is_not_missed() -> None:
    book = Book()
    book.gate = asyncio.Event()
    reading = asyncio.ensure_future(book.ask())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert book.read == 1
    book.words = b"two"
    book.pages.drop({"product:p"})
    book.gate.set()
    assert (await reading).body == b"one"
    # It may be of before the change: nothing confirms it.
    book.clock.at_ms += FRESH_MS / 2
    confirm(book.pages.asked(), book.clock.at_ms)
    book.clock.at_ms += FRESH_MS / 2
    assert (await book.ask()).body == b"two"


async def test_a_page_ends_at_the_moment_at_which_its_prices_do() -> None:
    book = Book()
    until_ms = book.clock.now_ms() + 100
    await book.ask(until_ms=until_ms)
    book.words = b"two"
    book.clock.at_ms += 99
    assert (await book.ask()).body == b"one"
    book.clock.at_ms += 1
    assert (await book.ask(until_ms=until_ms + 9999)).body == b"two"


async def test_a_page_that_nobody_asks_for_is_not_confirmed() -> None:
    book = Book()
    await book.ask()
    assert len(book.pages.asked()) == 1
    assert book.pages.asked() == []


async def test_pages_are_bounded_by_number_and_by_bytes() -> None:
    book = Book()
    for number in range(PAGES_MAX + 10):
        await book.ask(f"/p{number}")
    assert len(book.pages._pages) <= PAGES_MAX
    assert "/p0" not in book.pages._pages
    assert f"/p{PAGES_MAX + 9}" in book.pages._pages
    book = Book()
    book.words = b"x" * 1_000_000
    for number in range(50):
        book.clock.at_ms += 1
        await book.ask(f"/p{number}")
        assert book.pages.size <= BYTES_MAX
        assert book.pages.size == sum(page.size for page in book.pages._pages.values())
    assert "/p49" in book.pages._pages
    book.words = b"x" * BODY_MAX
    assert len((await book.ask("/large")).body) == BODY_MAX
    assert "/large" not in book.pages._pages


async def test_a_crowd_waits_for_one_reading() -> None:
    book = Book()
    book.gate = asyncio.Event()
    crowd = [asyncio.ensure_future(book.ask()) for _ in range(50)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    book.gate.set()
    assert {(await one).body for one in crowd} == {b"one"}
    assert book.read == 1


async def test_if_none_match_is_answered_by_the_tag_alone() -> None:
    book = Book()
    whole = await book.ask()
    etag = dict(whole.headers)[b"etag"]
    for known, status in ((etag, 304), (b"*", 304), (b'"x", W/' + etag, 304), (b'"x"', 200), (b"", 200)):
        assert (await book.ask(if_none_match=known)).status == status, known
