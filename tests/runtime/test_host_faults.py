"""One node with two hosts on real Ray, under constant load: what each fault costs, and that nothing that was promised is among it."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """The process stands still in this block."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_f01_f02_a_killed_host_is_replaced_within_three_seconds_and_every_id_has_its_effect_once(crowd: Any, eventually: Any) -> None:
    pid = (await crowd.copy.hosts()).popitem()[1]
    async with crowd.ordering():
        killed_s = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        await crowd.goes_on(200)
        again = [(await crowd.order_once(*call[:3])).reply.order_id for call in crowd.calls]
    assert again == [call[3] for call in crowd.calls[: len(again)]]
    assert crowd.longest_gap_s(killed_s) <= 3
    await crowd.check_books()
    assert await eventually(lambda: crowd.copy.settled(2)) < 15


async def test_f01_with_all_hosts_killed_orders_go_on_as_soon_as_they_are_back(crowd: Any) -> None:
    pids = (await crowd.copy.hosts()).values()
    async with crowd.ordering():
        killed_s = time.monotonic()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        await crowd.goes_on(200)
    assert crowd.longest_gap_s(killed_s) <= 8  # two processes start at once on what may be two cores
    await crowd.check_books()


async def test_f04_a_host_that_stood_still_wakes_up_fenced(crowd: Any, eventually: Any) -> None:
    victim, pid = (await crowd.copy.hosts()).popitem()
    before = await crowd.copy.numbers(victim)
    async with crowd.ordering():
        stopped_s = time.monotonic()
        with stopped(pid):

            async def taken_over() -> bool:
                return (await crowd.copy.owners()).get(victim, 0) == 0

            assert await eventually(taken_over) <= 10
            await crowd.goes_on(200)
            # Its lease and its shards are gone; a while longer, so that it wakes into a world that went on without it.
            await eventually(lambda: time.monotonic() - stopped_s > 12)
        await crowd.goes_on(200)
        await eventually(lambda: crowd.copy.settled(2))
        await crowd.goes_on(200)
    after = await crowd.copy.numbers(victim)
    assert after["pid"] == before["pid"] == pid
    assert after["counters"]["fenced"] >= before["counters"]["fenced"]
    assert after["counters"]["takeovers"] > before["counters"]["takeovers"]
    await crowd.check_books()


async def test_f08_the_data_path_does_not_notice_that_the_control_store_is_away(crowd: Any) -> None:
    async with crowd.ordering():
        stopped_s = time.monotonic()
        with stopped(crowd.copy.pids["gcs"]):
            while time.monotonic() - stopped_s < 20:
                await crowd.goes_on(20)
        await crowd.goes_on(50)
    assert crowd.longest_gap_s(stopped_s) < 1
    assert [code for at_s, _, code in crowd.answers if at_s > stopped_s and code] == []
    await crowd.check_books()


async def test_orders_go_on_without_a_coordinator_and_it_comes_back(crowd: Any, eventually: Any) -> None:
    async with crowd.ordering():
        killed_s = time.monotonic()
        await asyncio.to_thread(crowd.copy.do, "kill_coordinator")
        await crowd.goes_on(100)

        async def followed() -> bool:
            connection = await crowd.copy.connect()
            try:
                return bool(await connection.fetchval("SELECT count(*) > 0 FROM orders WHERE order_id = $1", crowd.calls[-1][3]))
            finally:
                await connection.close()

        assert await eventually(followed) < 20
    assert crowd.longest_gap_s(killed_s) < 1
    await crowd.check_books()


async def test_f11_ray_itself_never_repeats_a_call_of_a_host_or_coordinator(two_hosts: Any) -> None:
    options = await asyncio.to_thread(two_hosts.do, "options")
    assert {name: (given["max_task_retries"], given["max_restarts"]) for name, given in options.items()} == {
        "host": (0, -1),
        "coordinator": (0, -1),
    }


async def test_a_host_answers_through_ray_as_through_its_socket(two_hosts: Any) -> None:
    host, pid = (await two_hosts.hosts()).popitem()
    through_ray = await asyncio.to_thread(two_hosts.do, "envelope", host)
    through_socket = await two_hosts.numbers(host)
    assert (through_ray["host"], through_ray["pid"]) == (through_socket["host"], through_socket["pid"]) == (host, pid)


async def test_a_host_that_is_not_there_is_lost_and_not_waited_for(two_hosts: Any) -> None:
    with pytest.raises(AssertionError, match=r"TransportLost.*host-0-0: Failed to look up"):
        await asyncio.to_thread(two_hosts.do, "envelope", "host-0-0")
