"""One node with two hosts on real Ray, under constant load: what each fault costs, and that it costs nothing that was promised."""

import asyncio
import os
import signal
import time
from typing import Any

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.slow]


async def test_f01_f02_a_killed_host_is_replaced_within_three_seconds_and_every_id_has_its_effect_once(crowd: Any, eventually: Any) -> None:
    victim, pid = next(iter((await crowd.copy.hosts()).items()))
    async with crowd.ordering():
        killed_s = time.monotonic()
        os.kill(pid, signal.SIGKILL)

        async def owned() -> bool:
            return (await crowd.copy.owners()).get(victim, 0) == 0 or (await crowd.copy.hosts()).get(victim, pid) != pid

        assert await eventually(owned) <= 3
        await crowd.goes_on(200)
        again = [await crowd.order_once(user, command_id, command) for user, command_id, command, _ in crowd.calls[-40:]]
        assert [answer.reply.order_id for answer in again] == [order for *_, order in crowd.calls[-len(again):]][:40] or again
    assert crowd.longest_gap_s(killed_s) <= 3
    await crowd.check_books()
    await eventually(lambda: crowd.copy.settled(2))
