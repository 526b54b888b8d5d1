"""What a system's processes cost, read from /proc: CPU by group, and memory as PSS.

A system is everything that descends from its root processes or carries its mark in the environment:
daemons that were adopted by init are still found by the mark.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

MARK: Final = "LOADTEST_SYSTEM"
"""The environment variable that all processes of a measured system inherit."""

TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")

GROUPS: Final = (
    ("wrk", "load generator"),
    ("loadtests.generator", "load generator"),
    ("serve.alone host", "hosts"),
    ("serve.alone replica", "replicas"),
    ("loadtests.baselines", "replicas"),
    ("multiprocessing.spawn", "replicas"),
    ("postgres", "postgres"),
    ("valkey", "redis"),
    ("redis-server", "redis"),
    ("haproxy", "haproxy"),
    ("shardhost", "hosts"),
    ("_coordinator", "projections"),
    ("serve.hashing", "password hashes"),
    ("servereplica", "replicas"),
    ("simulator", "simulator"),
    ("watchdog", "watchdog"),
    ("ray::", "ray"),
    ("raylet", "ray"),
    ("gcs_server", "ray"),
    ("/ray/", "ray"),
    ("stampede", "supervisor"),
    ("serve.cli", "supervisor"),
)
"""The first needle that occurs in the lower-cased command line names the group; else it is ``other``."""


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """One process. cpu_s counts its own time and that of its children which have ended and were waited for."""

    pid: int
    parent: int
    group: str
    cpu_s: float


def group_of(command: str) -> str:
    """The group of a command line, by the table."""
    lowered = command.lower()
    return next((group for needle, group in GROUPS if needle in lowered), "other")


def cpu_of_stat(line: str) -> tuple[int, float]:
    """Parent id and CPU seconds (user, system, and of waited-for children) of a /proc/<pid>/stat line."""
    fields = line[line.rindex(")") + 2 :].split()
    return int(fields[1]), sum(int(ticks) for ticks in fields[11:15]) * TICK_S


def system_of(roots: Iterable[int], mark: str | None, proc: Path = Path("/proc")) -> dict[int, Process]:
    """All live processes of a system by pid: the roots, their descendants, and whoever carries ``mark``."""
    table = _table(proc)
    members = {pid for pid in roots if pid in table}
    if mark is not None:
        members |= {pid for pid in table if _carries(proc / str(pid) / "environ", mark)}
    children: dict[int, list[int]] = {}
    for pid, (parent, _) in table.items():
        children.setdefault(parent, []).append(pid)
    queue = list(members)
    while queue:
        for child in children.get(queue.pop(), ()):
            if child not in members:
                members.add(child)
                queue.append(child)
    return {
        pid: Process(pid=pid, parent=table[pid][0], group=group_of(_command(proc / str(pid))), cpu_s=table[pid][1])
        for pid in sorted(members)
    }


def spent(before: Mapping[int, Process], after: Mapping[int, Process]) -> dict[str, float]:
    """CPU seconds by group between two readings.

    A child that ended in between has moved into its parent's figure, and its own earlier figure is
    subtracted from its group; so the sum is exact as long as parents wait for their children.
    """
    total: dict[str, float] = {}
    for process in after.values():
        total[process.group] = total.get(process.group, 0.0) + process.cpu_s
    for process in before.values():
        total[process.group] = total.get(process.group, 0.0) - process.cpu_s
    return {group: round(seconds, 3) for group, seconds in sorted(total.items())}


def machine_busy_s(proc: Path = Path("/proc")) -> float:
    """CPU seconds that this machine has spent on anything since it started, stolen ones included."""
    user, nice, system, _, _, *interrupts = (proc / "stat").read_text().split("\n", 1)[0].split()[1:9]
    return sum(int(ticks) for ticks in (user, nice, system, *interrupts)) * TICK_S


def pss_bytes(pids: Iterable[int], proc: Path = Path("/proc")) -> int:
    """The proportional set size of these processes together: shared pages are counted once."""
    total = 0
    for pid in pids:
        try:
            rollup = (proc / str(pid) / "smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) * 1024
    return total


def _process(pid: int, stat: tuple[int, float], proc: Path) -> Process:
    return Process(pid=pid, parent=stat[0], group=group_of(_command(proc / str(pid))), cpu_s=stat[1])


def _table(proc: Path) -> dict[int, tuple[int, float]]:
    found = {}
    for entry in proc.iterdir():
        if entry.name.isdigit():
            try:
                found[int(entry.name)] = cpu_of_stat((entry / "stat").read_text())
            except OSError:
                continue
    return found


def _carries(environ: Path, mark: str) -> bool:
    try:
        return f"{MARK}={mark}".encode() in environ.read_bytes().split(b"\0")
    except OSError:
        return False


def _command(folder: Path) -> str:
    try:
        return (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace") or (folder / "comm").read_text()
    except OSError:
        return ""
