"""PostgreSQL restarts, goes away and drops connections under a running Ray copy."""

import asyncio
import time
from typing import Any

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.slow]

DROP_FLUSHES = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'stampede % flush' AND datname = current_database()"""


async def test_f21_three_immediate_restarts_under_load_lose_nothing_and_double_nothing(crowd: Any) -> None:
    async with crowd.ordering():
        for _ in range(3):
            await asyncio.to_thread(crowd.copy.postgres.stop, "immediate")
            restarted_s = time.monotonic()
            await asyncio.to_thread(crowd.copy.postgres.start)
            await crowd.goes_on(100)
            assert crowd.longest_gap_s(restarted_s) < 8
    await crowd.check_books()


async def test_f22_connections_that_break_in_the_middle_of_a_commit_lose_nothing_and_double_nothing(crowd: Any) -> None:
    connection = await crowd.copy.connect()
    dropped = 0
    async with crowd.ordering():
        for _ in range(30):
            dropped += len(await connection.fetch(DROP_FLUSHES))
            await crowd.goes_on(10)
    await connection.close()
    assert dropped >= 30
    await crowd.check_books()


async def test_f23_admission_stops_while_the_database_is_away_and_resumes_by_itself(crowd: Any) -> None:
    told: list[tuple[float, str]] = []
    async with crowd.ordering():
        await asyncio.to_thread(crowd.copy.postgres.stop, "immediate")
        await asyncio.sleep(1)
        ends_s = time.monotonic() + 7  # the fault lasts this long
        while time.monotonic() < ends_s:
            # Newcomers: of an order that was asked for before the fault it may rightly be said that its outcome is not known.
            asked_s = time.monotonic()
            told += [(time.monotonic() - asked_s, answer.code) for answer in await asyncio.gather(*(crowd.newcomer() for _ in range(4)))]
            await asyncio.sleep(0.05)
        await asyncio.to_thread(crowd.copy.postgres.start)
        await crowd.goes_on(100)
    assert len(told) > 100
    assert {code for _, code in told} == {"storage_unavailable"}
    assert max(took_s for took_s, _ in told) < 1
    await crowd.check_books()
