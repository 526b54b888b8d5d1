"""What a server leaves on the machine, and how it is told from a stranger's: its process, its port, its small files."""

import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import Final

import msgspec
import psutil

HOST: Final = "127.0.0.1"
WATCH: Final = 'read -r _; [ -n "$2" ] && [ "$(cut -d" " -f22 /proc/$1/stat 2>/dev/null)" != "$2" ] || kill -"$3" "$1" 2>/dev/null'
"""Waits for the end of its input, which is the end of our process; then stops server $1, if it is still the one started at $2."""


class ServerState(msgspec.Struct, frozen=True, kw_only=True):
    """``server.json``: the port to come back to, and the process that last served (``started`` tells a reused pid)."""

    port: int = 0
    pid: int = 0
    started: str = ""


def watch(pid: int, started: str, number: signal.Signals) -> subprocess.Popen[bytes]:
    """A process that sends signal ``number`` to ``pid`` when we end. Kill it before the server is stopped in order."""
    ticks = started if Path("/proc/self/stat").exists() else ""
    command = ["/bin/sh", "-c", WATCH, "watch", str(pid), ticks, str(int(number))]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", start_new_session=True
    )


def started_at(pid: int) -> str:
    """When a process was started, in a form that a later process of the same number does not share; empty when there is none."""
    try:
        if Path("/proc/self/stat").exists():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
            return "" if fields[0] in "ZX" else fields[19]
        return str(psutil.Process(pid).create_time())
    except (OSError, psutil.Error):
        return ""


def is_free(port: int) -> bool:
    """True when a server could listen on this port of loopback now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def read_state(path: Path) -> ServerState:
    """What ``server.json`` says; an empty state when there is none or it cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=ServerState)
    except (OSError, msgspec.DecodeError):
        return ServerState()


def write_private(path: Path, content: bytes) -> None:
    """Replace ``path`` at once by a file that only we may read."""
    partial = path.with_name(path.name + ".partial")
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
