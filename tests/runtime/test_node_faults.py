"""Two nodes with two hosts each on real Ray, under constant load: nodes and hosts come, drain, hang and die."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from typing import Any

import psutil
import pytest

from actors.storage.board import PostgresBoard

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture
async def crowd(two_nodes: Any, eventually: Any, crowd_of: Any) -> AsyncIterator[Any]:
    """Customers of a cluster that is whole and even."""
    await eventually(lambda: two_nodes.settled(4), within_s=60)
    async with crowd_of(two_nodes) as crowd:
        yield crowd


async def test_a_drained_host_gives_its_shards_away_and_gets_its_part_back(crowd: Any, eventually: Any) -> None:
    copy = crowd.copy
    victim = (await copy.hosts()).popitem()[0]
    board = PostgresBoard(str(copy.settings.database_url), "test")

    async def is_empty() -> bool:
        return victim not in await copy.owners()

    async with crowd.ordering():
        drained_s = time.monotonic()
        assert await board.drain(victim, True)
        await eventually(is_empty)
        await crowd.goes_on(100)
        assert await board.drain(victim, False)
        await eventually(lambda: copy.settled(4))
        await crowd.goes_on(100)
    await board.close()
    assert crowd.longest_gap_s(drained_s) < 2
    assert [code for at_s, _, code in crowd.answers if at_s > drained_s and code] == []
    await crowd.check_books()


async def test_f15_a_host_that_does_not_turn_is_killed_by_the_watchdog_and_comes_back(crowd: Any, eventually: Any) -> None:
    victim, pid = (await crowd.copy.hosts()).popitem()

    async def is_back() -> bool:
        return (await crowd.copy.hosts()).get(victim, pid) != pid

    async with crowd.ordering():
        os.kill(pid, signal.SIGSTOP)
        # Three seconds of patience, a look every quarter.
        assert await eventually(lambda: not psutil.pid_exists(pid)) <= 6
        await eventually(is_back)
        await eventually(lambda: crowd.copy.settled(4))
        await crowd.goes_on(100)
    await crowd.check_books()


async def test_a_node_that_dies_gives_its_shards_to_the_others_and_a_new_one_takes_its_part(crowd: Any, eventually: Any) -> None:
    copy = crowd.copy
    raylet = psutil.Process((await asyncio.to_thread(copy.do, "pids"))["raylets"][-1])
    family = [raylet, *raylet.children(recursive=True)]
    async with crowd.ordering():
        killed_s = time.monotonic()
        for process in family:
            process.kill()
        await eventually(lambda: copy.settled(2))
        await crowd.goes_on(100)
        await asyncio.to_thread(copy.do, "add_node")
        await eventually(lambda: copy.settled(4), within_s=60)
        await crowd.goes_on(100)
    # On another machine its lease would have to end first: five seconds, and a look at the board.
    assert crowd.longest_gap_s(killed_s) < 10
    await crowd.check_books()
