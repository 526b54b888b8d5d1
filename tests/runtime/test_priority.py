"""Processes that answer people are neither nice nor made to wait for the end of others' turns."""

import os
import re
import sys
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from actors.runtime.priority import SLICE_NS, take_short_turns


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux's scheduler")
def test_a_thread_asks_for_short_turns_and_stays_as_nice_as_it_was() -> None:
    found: dict[str, Any] = {}

    def ask() -> None:
        os.nice(1)  # of this thread alone
        found["taken"] = take_short_turns()
        found["niceness"] = os.getpriority(os.PRIO_PROCESS, 0)
        found["policy"] = os.sched_getscheduler(0)
        found["told"] = Path("/proc/thread-self/sched").read_text() if Path("/proc/thread-self/sched").exists() else ""

    before = os.getpriority(os.PRIO_PROCESS, 0)
    thread = Thread(target=ask)
    thread.start()
    thread.join()
    assert found["taken"]
    assert found["niceness"] == min(before + 1, 19)
    assert found["policy"] == os.SCHED_OTHER
    told = re.search(r"^se\.slice\s*:\s*(\d+)$", found["told"], re.MULTILINE)
    if told is not None and tuple(map(int, re.findall(r"\d+", os.uname().release)[:2])) >= (6, 12):
        assert int(told[1]) == SLICE_NS


@pytest.mark.ray
@pytest.mark.slow
async def test_hosts_of_a_copy_are_not_nice(crowd: Any) -> None:
    pids = (await crowd.copy.hosts()).values()
    assert {os.getpriority(os.PRIO_PROCESS, pid) for pid in pids} == {os.getpriority(os.PRIO_PROCESS, 0)}
