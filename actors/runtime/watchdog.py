"""Kills a host that is alive and does not turn. Ray does not notice a hung actor.

A separate small process a node, so that nothing a host does can stop it. It knows the pulses and
nothing else. A host that waits for a database that is away still turns its loop, and is left alone.
"""

import fcntl
import os
import signal
import sys
import time
from pathlib import Path
from typing import Final

from actors.runtime.detached import start_module
from actors.runtime.heartbeat import read_pulse

LOOK_S: Final = 0.25
LONELY_S: Final = 30.0
"""With no pulse to watch for this long, the watchdog ends."""


class Watch:
    """What was last seen of every pulse, and since when it has not moved."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._seen: dict[Path, tuple[int, int, float]] = {}
        self._looked_s = 0.0

    def look(self, directory: Path, now_s: float) -> list[int]:
        """The processes whose pulse has stood still for longer than the limit."""
        hung = []
        if now_s - self._looked_s > self._limit_s / 2:
            # This process stood still itself, most likely with the whole machine: nobody is judged by that time.
            self._seen.clear()
        self._looked_s = now_s
        for path in directory.glob("*.pulse"):
            pulse = read_pulse(path)
            if pulse is None:
                continue
            pid, beats = pulse
            last = self._seen.get(path)
            if last is None or (pid, beats) != last[:2]:
                self._seen[path] = (pid, beats, now_s)
            elif now_s - last[2] > self._limit_s:
                hung.append(pid)
                del self._seen[path]
        return hung

    def forget_gone(self, directory: Path) -> int:
        """Remove pulses of processes that are gone; answers how many are left."""
        left = 0
        for path in directory.glob("*.pulse"):
            pulse = read_pulse(path)
            if pulse is not None and not Path(f"/proc/{pulse[0]}").exists():
                path.unlink(missing_ok=True)
                self._seen.pop(path, None)
            else:
                left += 1
        return left


def watch(directory: Path, limit_s: float) -> None:
    """Watch until there is nothing left to watch. A second watchdog of the same node ends at once."""
    with (directory / "watchdog.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        watcher = Watch(limit_s)
        lonely_since = time.monotonic()
        while time.monotonic() - lonely_since < LONELY_S:
            for pid in watcher.look(directory, time.monotonic()):
                print(f"host process {pid} has not turned for {limit_s:g} s: killed", file=sys.stderr, flush=True)
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            if watcher.forget_gone(directory):
                lonely_since = time.monotonic()
            time.sleep(LOOK_S)


def ensure_watchdog(directory: Path, limit_s: float) -> None:
    """Start the node's watchdog, if it does not run."""
    directory.mkdir(parents=True, exist_ok=True)
    start_module("actors.runtime.watchdog", str(directory), str(limit_s), log=directory / "watchdog.log")


if __name__ == "__main__":
    watch(Path(sys.argv[1]), float(sys.argv[2]))
