"""The spool: files of this node into which one replica appends batches, and from which a landing takes them.

Nothing here is asked by an order. A thread of its own writes and syncs in groups; the event loop only puts bytes into
a bounded list. A file is its writer's for as long as the writer holds its lock: a process that dies leaves a file that
the landing may take at once.
"""

import asyncio
import fcntl
import os
import threading
import time
from collections import deque
from pathlib import Path
from typing import Final

import msgspec
import structlog

from actors.storage.events.frames import MARK_BYTES, frame_of, head_of
from actors.storage.events.listing import Waiting, waiting

log = structlog.get_logger("stampede.events")

SUFFIX: Final = ".spool"
FLUSH_S: Final = 0.2
"""Between the beginnings of two syncs: five a second are too few to disturb the journal's disk."""

LOOK_S: Final = 1.0
"""How often the sizes of spool and disk are looked at, and a failed write is tried again."""

FILE_BYTES_MAX: Final = 8 * 1024 * 1024
FILE_S_MAX: Final = 10.0
"""A file this large or old is closed, so that the landing finds it."""

QUEUE_BYTES_MAX: Final = 8 * 1024 * 1024
"""What waits in memory for a slow disk; a second of the highest rate that was measured."""


class SpoolLimits(msgspec.Struct, frozen=True, kw_only=True):
    """spool_bytes_max: of all replicas of the node together. free_bytes_min: what the disk must have left."""

    spool_bytes_max: int
    free_bytes_min: int
    queue_bytes_max: int = QUEUE_BYTES_MAX
    file_bytes_max: int = FILE_BYTES_MAX
    file_s_max: float = FILE_S_MAX
    flush_s: float = FLUSH_S


class SpoolRefused(Exception):
    """This batch is not taken. ``reason``: behind (ask again soon), full (no room), failing (the disk takes nothing now)."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Spool:
    """One replica's end of the spool. ``append`` is called on the event loop, and never waits.

    What ``append`` took is on the disk within ``flush_s`` and a sync, unless the process dies before; ``durable`` waits for that.
    """

    def __init__(self, directory: Path, limits: SpoolLimits) -> None:
        self.directory = directory
        self.seen = Waiting(files=0, bytes=0, oldest_s=0.0)
        self.failing = ""
        self.syncs = 0
        self._limits = limits
        self._free: int | None = None
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._taken = self._safe = 0
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._mark = os.urandom(MARK_BYTES)
        self._file: _OpenFile | None = None

    # --- on the event loop ------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to look after the directory. Twice is once."""
        if self._thread is None and not self._closing:
            self._loop = asyncio.get_running_loop()
            self._thread = threading.Thread(target=self._work, name="events", daemon=True)
            self._thread.start()

    def check(self) -> None:
        """SpoolRefused when nothing is taken now."""
        if self._closing or self._queued_bytes >= self._limits.queue_bytes_max:
            raise SpoolRefused("behind")
        if self.failing:
            raise SpoolRefused("failing")
        if self.seen.bytes + self._queued_bytes >= self._limits.spool_bytes_max:
            raise SpoolRefused("full")
        if self._free is not None and self._free < self._limits.free_bytes_min:
            raise SpoolRefused("full")

    def append(self, payload: bytes) -> int:
        """Take a batch; answers its number, for ``durable``. SpoolRefused when it is not taken."""
        self.check()
        self.start()
        frame = frame_of(self._mark, payload)
        with self._changed:
            if self._queued_bytes + len(frame) > self._limits.queue_bytes_max:
                raise SpoolRefused("behind")
            self._queue.append(frame)
            self._queued_bytes += len(frame)
            self._taken += 1
            self._changed.notify()
            return self._taken

    async def durable(self, number: int) -> None:
        """Return when this batch and all before it are synced. SpoolRefused ``failing``: the disk did not take it yet; it may still."""
        if number <= self._safe:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((number, future))
        await future

    async def close(self) -> None:
        """Write and sync what was taken, and end. What a broken disk does not take is lost."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    def _told(self, safe: int, failure: str) -> None:
        self._safe = safe
        waiters = self._waiters
        while waiters and (failure or waiters[0][0] <= safe):
            number, future = waiters.popleft()
            if future.done():
                continue
            if number <= safe:
                future.set_result(None)
            else:
                future.set_exception(SpoolRefused("failing"))

    # --- on the spool's thread --------------------------------------------------------------------

    def _work(self) -> None:
        looked_s = -LOOK_S
        while True:
            if time.monotonic() - looked_s >= LOOK_S:
                self._look()
                looked_s = time.monotonic()
            with self._changed:
                if not self._queue and not self._closing:
                    self._changed.wait(LOOK_S)
                frames, self._queue = self._queue, deque()
                taken, closing = self._taken, self._closing
            began_s = time.monotonic()
            failed = bool(frames) and not self._flush(frames, taken)
            if closing:
                self._close_file()
                return
            with self._changed:
                # A group that has just been written leaves the next one the time to gather; a disk that fails gets a rest.
                rest_s = LOOK_S if failed else self._limits.flush_s if frames else 0.0
                self._changed.wait_for(lambda: self._closing, max(0.0, rest_s - (time.monotonic() - began_s)))

    def _flush(self, frames: deque[bytes], taken: int) -> bool:
        """Write and sync a group. False when the disk did not take it: it goes back to where it was."""
        try:
            if self._file is None:
                self._file = _OpenFile(self.directory, self._mark)
            self._file.append(b"".join(frames))
        except OSError as error:
            if not self.failing:
                log.warning("events_not_written", reason=str(error), batches=len(frames))
            self.failing = str(error) or type(error).__name__
            self._close_file()
            with self._changed:
                self._queue.extendleft(reversed(frames))
            self._tell(taken - len(frames), self.failing)
            return False
        self.syncs += 1
        self.failing = ""
        with self._changed:
            self._queued_bytes -= sum(map(len, frames))
        self._tell(taken, "")
        if self._file.size >= self._limits.file_bytes_max:
            self._close_file()
        return True

    def _tell(self, safe: int, failure: str) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(self._told, safe, failure)
        except RuntimeError:
            # The loop has ended, and nobody waits any more.
            return

    def _look(self) -> None:
        if self._file is not None and time.monotonic() - self._file.since_s >= self._limits.file_s_max:
            self._close_file()
        try:
            self.seen = waiting(self.directory)
            self._free = _free_bytes(self.directory)
        except OSError as error:
            log.warning("events_not_looked_at", reason=str(error))

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


class _OpenFile:
    """The file that is being written, with its lock."""

    def __init__(self, directory: Path, mark: bytes) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.since_s = time.monotonic()
        self.size = 0
        name = f"{time.time_ns() // 1_000_000:015d}-{os.urandom(8).hex()}{SUFFIX}"
        draft = directory / f"_{name}"
        self._handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        try:
            # Locked before it has the name by which a landing finds it.
            fcntl.flock(self._handle, fcntl.LOCK_EX)
            self._write(head_of(mark))
            draft.replace(directory / name)
            _sync_directory(directory)
        except OSError:
            os.close(self._handle)
            draft.unlink(missing_ok=True)
            raise

    def append(self, data: bytes) -> None:
        """Write and sync. OSError: nothing of it is in the file, as far as the disk lets us say so."""
        before = self.size
        try:
            self._write(data)
            os.fdatasync(self._handle)
        except OSError:
            os.ftruncate(self._handle, before)
            raise

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            written = os.write(self._handle, view)
            view = view[written:]
        self.size += len(data)

    def close(self) -> None:
        """Let the landing have it."""
        os.close(self._handle)


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _free_bytes(directory: Path) -> int:
    """What the disk has left for us, also where the directory is not there yet."""
    while not directory.exists():
        directory = directory.parent
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize
