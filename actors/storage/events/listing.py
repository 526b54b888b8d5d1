"""What lies in a spool's directory: how much waits, since when, and which files have no writer any more."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

PATTERN: Final = "[0-9]*.spool"


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """Files that were not landed yet, their bytes, and the age of the oldest: how far the lake is behind."""

    files: int
    bytes: int
    oldest_s: float


def waiting(directory: Path) -> Waiting:
    """How much waits. Nothing where there is no directory."""
    files, size, oldest_ms = 0, 0, None
    try:
        entries = list(os.scandir(directory))
    except FileNotFoundError:
        entries = []
    for entry in entries:
        if not entry.name.endswith(".spool") or entry.name.startswith("_"):
            continue
        try:
            size += entry.stat().st_size
        except FileNotFoundError:
            continue  # landed meanwhile
        files += 1
        began_ms = int(entry.name[:15])
        oldest_ms = began_ms if oldest_ms is None else min(oldest_ms, began_ms)
    oldest_s = 0.0 if oldest_ms is None else max(0.0, time.time() - oldest_ms / 1000)
    return Waiting(files=files, bytes=size, oldest_s=round(oldest_s, 3))


def closed_spools(directory: Path) -> list[Path]:
    """Files by age; whether one still has a writer is known when it is taken (:func:`taken`)."""
    return sorted(directory.glob(PATTERN)) if directory.exists() else []


@contextmanager
def taken(path: Path) -> Iterator[bytes | None]:
    """The bytes of a spool whose writer is gone, held against other landings; None while somebody has it, or when it is gone."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        yield None
        return
    with open(handle, "rb") as file:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        # Another landing may have ended with it between the opening and the lock.
        yield file.read() if path.exists() else None


def remove_drafts(directory: Path) -> None:
    """Files whose writer died before they had a name: nothing was answered that is in them."""
    for path in directory.glob("_*.spool"):
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            path.unlink(missing_ok=True)
