"""A host's pulse in shared memory, so that a hung process is seen without asking it anything."""

import mmap
import os
import struct
from pathlib import Path
from typing import Final

_LAYOUT: Final = struct.Struct("<QQ")
"""Process id, and a counter that rises while the event loop turns."""

BEAT_S: Final = 0.25


class Pulse:
    """The writing side: one small file per host in the node's directory of pulses."""

    def __init__(self, directory: Path, host: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / f"{host}.pulse"
        self.path.write_bytes(_LAYOUT.pack(os.getpid(), 0))
        with self.path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _LAYOUT.size)
        self._beats = 0

    def beat(self) -> None:
        """Called by the event loop a few times a second: lease renewal alone is always work."""
        self._beats += 1
        self._map[:] = _LAYOUT.pack(os.getpid(), self._beats)

    def end(self) -> None:
        """The host leaves of its own will."""
        self._map.close()
        self.path.unlink(missing_ok=True)


def read_pulse(path: Path) -> tuple[int, int] | None:
    """(process id, beats), or None when the file is not there or not whole."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    return _LAYOUT.unpack(data) if len(data) == _LAYOUT.size else None
