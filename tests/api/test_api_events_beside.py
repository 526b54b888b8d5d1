"""Events stand in nobody's way: they are read a few at a time, their queue is short, and what they lack costs no order."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest

from actors.storage.events.spool import SpoolRefused
from schemas.settings import Settings
from serve.hot import events

pytestmark = pytest.mark.asyncio(loop_scope="session")

NOW_MS = 1_795_000_000_000


def many(visitor: str, count: int = 1000) -> bytes:
    """A batch of as many events as there may be."""
    found = [{"type": "view", "id": f"event-{n:05}", "at_ms": NOW_MS} for n in range(count)]
    return json.dumps({"visitor_id": visitor * 20, "terminal": "app", "consent": "granted", "sent_at_ms": NOW_MS, "events": found}).encode()


async def buy(shop: Any, count: int) -> list[int]:
    """So many people buy one piece each; the statuses of their orders."""
    sku_id = await shop.sku(stock=count)
    sale_id = await shop.sale(sku_id)
    tokens = [shop.user()[1] for _ in range(count)]
    return [answer.status for answer in await asyncio.gather(*(shop.flash_order(sale_id, sku_id, token) for token in tokens))]


@contextmanager
def reading_seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[int]]:
    """Events that were read in each turn of the loop."""
    found: Counter[int] = Counter()
    turn = 0
    decode, ended = events._decode_slice, False

    async def count_turns() -> None:
        nonlocal turn
        while not ended:
            turn += 1
            await asyncio.sleep(0)

    def seen(part: bytes) -> Any:
        read = decode(part)
        found[turn] += len(read)
        return read

    with monkeypatch.context() as patched:
        patched.setattr(events, "_decode_slice", seen)
        counting = asyncio.ensure_future(count_turns())
        yield found
        ended = True
        counting.cancel()


async def _rush(shop: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int, list[int]]:
    """(most events read in one turn, batches taken, statuses of orders) of twenty full batches beside ten orders."""
    with reading_seen(monkeypatch) as turns:
        sent = [asyncio.ensure_future(shop.ask("POST", "/v1/events", many(f"{number:x}"[-1]), key=None)) for number in range(20)]
        orders = await buy(shop, 10)
        answers = [answer.status for answer in await asyncio.gather(*sent)]
    assert sum(turns.values()) == 20_000
    return max(turns.values()), answers.count(202), orders


@pytest.mark.slow
async def test_however_many_events_come_a_turn_of_the_loop_reads_one_slice_and_orders_go_through(shop: Any, monkeypatch: Any) -> None:
    assert await _rush(shop, monkeypatch) == (events.SLICE, 20, [201] * 10)


@pytest.mark.slow
async def test_without_slices_one_turn_would_read_a_whole_batch(shop: Any, monkeypatch: Any) -> None:
    """The control: what the test above measures is there to be seen."""
    monkeypatch.setattr(events, "SLICE", 10_000)
    assert await _rush(shop, monkeypatch) == (1000, 20, [201] * 10)


@asynccontextmanager
async def reading_held(shop: Any) -> AsyncIterator[None]:
    """No batch is read meanwhile: all wait."""
    async with shop.application.events._reading:
        yield


@pytest.mark.slow
async def test_beyond_a_short_queue_batches_are_told_to_come_later_and_orders_go_through(shop: Any) -> None:
    async with reading_held(shop):
        sent = [asyncio.ensure_future(shop.ask("POST", "/v1/events", many("q", 10), key=None)) for _ in range(events.WAITING_MAX + 5)]
        refused, _ = await asyncio.wait(sent, return_when=asyncio.FIRST_COMPLETED)
        while len(refused) < 5:
            more, _ = await asyncio.wait(set(sent) - refused, return_when=asyncio.FIRST_COMPLETED)
            refused |= more
        assert [(one.result().status, one.result().code, one.result().headers["Retry-After"]) for one in refused] == [
            (503, "events_busy", "5")
        ] * 5
        assert await buy(shop, 3) == [201] * 3
    assert sorted(answer.status for answer in await asyncio.gather(*sent)) == [202] * events.WAITING_MAX + [503] * 5


@pytest.mark.slow
async def test_one_address_cannot_fill_the_spool_for_all(running_shop: Any, database_url: str) -> None:
    settings = Settings(shard_count=16, forwarded_hops=1, rate_events_per_s=1, login_threads=1)
    async with running_shop(database_url, settings) as shop:
        one, other = {"X-Forwarded-For": "203.0.113.5"}, {"X-Forwarded-For": "203.0.113.6"}
        began_s = time.monotonic()
        answers = await asyncio.gather(*(shop.ask("POST", "/v1/events", many("a", 1), key=None, headers=one) for _ in range(40)))
        taken = [answer.status for answer in answers].count(202)
        # Five at once, and one more for each second that it took.
        assert 5 <= taken <= 6 + time.monotonic() - began_s
        assert [answer.code for answer in answers].count("rate_limited") == 40 - taken
        assert (await shop.ask("POST", "/v1/events", many("b", 1), key=None, headers=other)).status == 202


@pytest.mark.parametrize(
    ("reason", "code", "after"), [("behind", "events_busy", "5"), ("full", "events_full", "60"), ("failing", "events_full", "60")]
)
async def test_a_spool_that_takes_nothing_costs_events_alone(shop: Any, monkeypatch: Any, reason: str, code: str, after: str) -> None:
    def refuse() -> None:
        raise SpoolRefused(reason)

    with monkeypatch.context() as patched:
        patched.setattr(shop.application.desk.spool, "check", refuse)
        answer = await shop.ask("POST", "/v1/events", many("f", 10), key=None)
        assert (answer.status, answer.code, answer.headers["Retry-After"]) == (503, code, after)
        assert await buy(shop, 3) == [201] * 3
    assert (await shop.ask("POST", "/v1/events", many("f", 10), key=None)).status == 202
