"""This process' memory, and its share of the machine (``actors.ports.memory.Memory``)."""

import ctypes
import gc
from pathlib import Path
from typing import Any, Final

import psutil

from schemas.settings import Settings

HOSTS_SHARE: Final = 0.5
"""Of the machine, for all its shard hosts: the other half is PostgreSQL's, the replicas' and the page cache's."""

LEAST_BYTES: Final = 512 * 1024 * 1024
"""A host that owns nothing takes some 130 MB: a limit near that would close it for ever."""

CGROUP_LIMITS: Final = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


class ProcessMemory:
    """Without what is shared with other processes, Ray's object store above all."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._trim: Any = getattr(ctypes.CDLL(None), "malloc_trim", None)

    def used(self) -> int:
        info = self._process.memory_info()
        return int(info.rss - getattr(info, "shared", 0))

    def give_back(self) -> None:
        gc.collect()
        if self._trim is not None:
            self._trim(0)


def machine_bytes() -> int:
    """The memory of this machine, or of the container that this process is in."""
    found = int(psutil.virtual_memory().total)
    for path in CGROUP_LIMITS:
        try:
            text = path.read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            found = min(found, int(text))
    return found


def host_bytes(settings: Settings) -> int:
    """The memory that one host may use: as set, or its share of the machine."""
    return settings.host_memory_bytes or max(LEAST_BYTES, int(machine_bytes() * HOSTS_SHARE / max(1, settings.hosts)))
