"""What a run that was killed left behind: Ray's servers, workers, and the proxy that still holds the port."""

import os
import time
from typing import Final

import psutil

from actors.runtime.config import short_directory
from actors.runtime.environment import TOKEN
from schemas.settings import Settings

PROGRAMS: Final = ("haproxy", "raylet", "gcs_server", "python", "ray::", "sh")
PATIENCE_S: Final = 10.0
PAUSE_S: Final = 0.1


def end_leftovers(settings: Settings) -> int:
    """Kill them and wait until they are gone; answers how many there were. Only for whoever holds the copy's lock.

    They are known by this copy's directory in their arguments, or its token's path in their environment.
    """
    sockets, token = f"{short_directory(settings)}/", str(settings.data_path / TOKEN)
    count, deadline = 0, time.monotonic() + PATIENCE_S
    while (found := _find(sockets, token)) and time.monotonic() < deadline:
        count = max(count, len(found))
        for process in found:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(found, timeout=1)
        # Some start others again while they can.
        time.sleep(PAUSE_S)
    return count


def _find(sockets: str, token: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["name", "cmdline", "uids", "status"]):
        info = process.info
        if process.pid == os.getpid() or info["uids"] is None or info["uids"].real != os.getuid() or info["status"] == psutil.STATUS_ZOMBIE:
            continue
        if not info["name"].startswith(PROGRAMS):
            continue
        if any(sockets in argument for argument in info["cmdline"] or ()) or _token_of(process) == token:
            found.append(process)
    return found


def _token_of(process: psutil.Process) -> str:
    try:
        return str(process.environ().get("RAY_AUTH_TOKEN_PATH", ""))
    except psutil.Error:
        return ""
