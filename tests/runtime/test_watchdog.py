"""The watchdog: who is killed, who is not, and that it judges nobody by a time in which it stood still itself."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from actors.runtime.heartbeat import Pulse, read_pulse
from actors.runtime.watchdog import Watch, ensure_watchdog

HANGS = """
import asyncio, sys, time
from pathlib import Path
from actors.runtime.heartbeat import Pulse
async def main():
    pulse = Pulse(Path(sys.argv[1]), "host-1")
    for _ in range(10):
        pulse.beat()
        await asyncio.sleep(0.02)
    print("now", flush=True)
    time.sleep(60)
asyncio.run(main())
"""
WAITS = """
import asyncio, sys
from pathlib import Path
from actors.runtime.heartbeat import BEAT_S, Pulse
async def beat(pulse):
    while True:
        pulse.beat()
        await asyncio.sleep(BEAT_S)
async def main():
    task = asyncio.ensure_future(beat(Pulse(Path(sys.argv[1]), "host-2")))
    print("now", flush=True)
    await asyncio.Event().wait()  # as a host waits for a database that is away
asyncio.run(main())
"""


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Callable[[str], "subprocess.Popen[str]"]]:
    """Starts a process that beats in ``tmp_path``, and ends it."""
    started: list[subprocess.Popen[str]] = []

    def start(program: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "now\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def test_a_pulse_says_who_beats_and_how_often(tmp_path: Path) -> None:
    pulse = Pulse(tmp_path, "host-1")
    pulse.beat()
    pulse.beat()
    found = read_pulse(tmp_path / "host-1.pulse")
    assert found is not None
    assert found[1] == 2
    pulse.end()
    assert read_pulse(tmp_path / "host-1.pulse") is None


def test_half_a_pulse_is_none(tmp_path: Path) -> None:
    (tmp_path / "host-1.pulse").write_bytes(b"12345")
    assert read_pulse(tmp_path / "host-1.pulse") is None


def test_a_pulse_that_stands_still_for_longer_than_the_limit_is_named_once(tmp_path: Path) -> None:
    watch, pulse = Watch(5.0), Pulse(tmp_path, "host-1")
    found = read_pulse(pulse.path)
    assert found is not None
    named = {}
    for tenth in range(130):
        if tenth == 20:
            pulse.beat()
        if hung := watch.look(tmp_path, tenth / 10):
            named[tenth / 10] = hung
    assert named == {7.1: [found[0]], 12.3: [found[0]]}


def test_a_host_that_came_back_under_another_process_number_starts_anew(tmp_path: Path) -> None:
    watch, path = Watch(1.0), tmp_path / "host-1.pulse"
    path.write_bytes((1).to_bytes(8, "little") + bytes(8))
    assert [watch.look(tmp_path, at_s) for at_s in (0.0, 0.4, 0.8)] == [[], [], []]
    path.write_bytes((2).to_bytes(8, "little") + bytes(8))
    assert [watch.look(tmp_path, at_s) for at_s in (1.2, 1.6, 2.0, 2.3)] == [[], [], [], [2]]


def test_a_watchdog_that_stood_still_with_everybody_judges_nobody_by_that_time(tmp_path: Path) -> None:
    watch = Watch(5.0)
    Pulse(tmp_path, "host-1")
    assert [watch.look(tmp_path, at_s) for at_s in (0.0, 2.0, 60.0, 62.0, 64.0)] == [[]] * 5
    assert len(watch.look(tmp_path, 65.5)) == 1


def test_pulses_of_processes_that_are_gone_are_removed(tmp_path: Path) -> None:
    Pulse(tmp_path, "host-1")
    (tmp_path / "host-2.pulse").write_bytes((2**22 + 1).to_bytes(8, "little") + bytes(8))
    assert Watch(5.0).forget_gone(tmp_path) == 1
    assert [path.name for path in tmp_path.glob("*.pulse")] == ["host-1.pulse"]


@pytest.mark.slow
def test_f15_a_process_that_hangs_is_killed_within_a_second_past_the_limit_and_one_that_waits_is_not(
    tmp_path: Path, child: Callable[[str], "subprocess.Popen[str]"]
) -> None:
    waits, hangs = child(WAITS), child(HANGS)
    ensure_watchdog(tmp_path, 1.0)
    started = time.monotonic()
    assert hangs.wait(10) == -signal.SIGKILL
    # The watchdog is a process: it takes a moment to be there.
    assert 0.9 < time.monotonic() - started < 1.0 + 1.0 + 2.0
    assert waits.poll() is None
    assert "has not turned for 1 s: killed" in (tmp_path / "watchdog.log").read_text()


@pytest.mark.slow
def test_a_second_watchdog_of_a_node_ends_at_once(tmp_path: Path, child: Callable[[str], "subprocess.Popen[str]"]) -> None:
    child(WAITS)
    program = [sys.executable, "-m", "actors.runtime.watchdog", str(tmp_path), "60"]
    first = subprocess.Popen(program)
    lock = tmp_path / "watchdog.lock"
    try:
        deadline = time.monotonic() + 10
        while not lock.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert subprocess.run(program, timeout=10, check=False).returncode == 0
        assert first.poll() is None
    finally:
        first.kill()
        first.wait()
