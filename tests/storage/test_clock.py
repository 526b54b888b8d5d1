"""Time is the database's, carried by a clock that nobody sets."""

import time
from typing import Any

import pytest

from actors.storage.clock import DatabaseClock


class Server:
    """Answers with a time of our choosing."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms

    async def fetchval(self, sql: str) -> int:
        return self.now_ms


async def test_it_agrees_with_the_server_to_within_a_round_trip(connection: Any) -> None:
    clock = DatabaseClock()
    await clock.sync(connection)
    before = clock.now_ms()
    server_ms = await connection.fetchval("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")
    assert before - 50 <= server_ms <= clock.now_ms() + 50


async def test_f34_a_step_of_the_wall_clock_does_not_move_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = DatabaseClock()
    await clock.sync(Server(1_700_000_000_000))
    before = clock.now_ms()
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert 0 <= clock.now_ms() - before < 1000


async def test_it_tells_by_how_much_it_was_off() -> None:
    clock = DatabaseClock()
    await clock.sync(Server(1_700_000_000_000))
    assert await clock.sync(Server(1_700_000_060_000)) == pytest.approx(60_000, abs=1000)


async def test_it_never_goes_back_and_stands_still_until_the_server_has_caught_up() -> None:
    clock = DatabaseClock()
    await clock.sync(Server(1_700_000_060_000))
    ahead = clock.now_ms()
    await clock.sync(Server(1_700_000_000_000))
    assert clock.now_ms() == ahead
    await clock.sync(Server(1_700_000_120_000))
    assert clock.now_ms() >= ahead + 59_000
