"""The indexer of a node: follows what changes, builds beside what is in use, and swaps. See README.md for its states."""

import asyncio
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from actors.ports.journal import StorageUnknown
from actors.storage.connect import Link
from actors.storage.search.index import (
    CURRENT,
    DAMAGED,
    LOCK,
    STATUS,
    WANTED,
    Status,
    current,
    damage,
    drop_others,
    next_path,
    put_in_use,
    write_whole,
)
from actors.storage.search.writing import Another, IndexWriting

log = structlog.get_logger("stampede.search")

FOLLOW_S: Final = 0.3
COMMIT_S: Final = 0.5
"""While more waits than one step takes, what was written is shown at least so often."""
QUIET_S: Final = 120.0
"""After so long without a change the process ends, and is begun anew without the dictionaries in its memory."""
RETRY_S: Final = 1.0
OLD_S: Final = 86_400.0
"""An index is built anew once a day: how often a product was sold is written when it changes, and only then."""
STATUS_S: Final = 5.0


class Busy(Exception):
    """Another process indexes in this directory."""


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """The directory of indexes is ours for as long as this process lives. Busy when it is another's."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (directory / LOCK).open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Busy from error
        yield


def is_held(directory: Path) -> bool:
    """Whether an indexer lives here."""
    try:
        with (directory / LOCK).open("rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False
    except (FileNotFoundError, NotADirectoryError):
        return False


class Indexer:
    """Works in a directory that is :func:`held`. ``told``: is called with each status that is written."""

    def __init__(self, url: str, directory: Path, told: Callable[[Status], None] = lambda _: None) -> None:
        self._link = Link(url, "search")
        self._directory = directory
        self._told = told
        self._used: IndexWriting | None = None
        self._built: IndexWriting | None = None
        self._after: str | None = ""
        self._to_build = 0
        self._begun = 0.0
        self._build_ms = 0
        self._changed_at_ms = 0
        self._committed = 0.0
        self._status: tuple[float, str] = (0.0, "")
        self.quiet_since = time.monotonic()

    async def close(self) -> None:
        """Leave what is not committed; the next one finds it again."""
        await self._link.close()

    async def run(self, alive: Callable[[], bool], *, every_s: float = FOLLOW_S) -> None:
        """Follow until it has been quiet for long, or ``alive`` says no. A database that is away is waited for."""
        self.open()
        while alive() and not self._may_end():
            try:
                worked = await self.step()
            except StorageUnknown as error:
                self._say("waiting", error.reason)
                await asyncio.sleep(RETRY_S)
                continue
            self._say("following" if self._built is None else "building")
            # A build goes on at once, after whoever else has something to do.
            await asyncio.sleep(0 if worked else every_s)

    def _may_end(self) -> bool:
        return time.monotonic() - self.quiet_since > QUIET_S

    def open(self) -> None:
        """The index in use, if it can be read whole; otherwise one is built."""
        path = current(self._directory)
        wrong = damage(path) if path is not None else "there is none"
        if path is not None and not wrong:
            try:
                self._used = IndexWriting(path)
            except (ValueError, OSError, msgspec.DecodeError) as error:
                wrong = str(error)
        if wrong:
            log.warning("search_index_to_be_built", path=str(path), reason=wrong)
        drop_others(self._directory, path if self._used is not None else None)

    async def step(self) -> bool:
        """One look at what is new, and one piece of a build. True when there is more to do at once."""
        return await self._link.run(self._step)

    async def _step(self, connection: Any) -> bool:
        followed = await self._follow(connection) if self._used is not None else False
        if self._built is None and (self._used is None or self._is_wanted()):
            await self._begin(connection)
        if self._built is None:
            return followed
        await self._build(connection)
        return True

    def _is_wanted(self) -> bool:
        assert self._used is not None
        if (self._directory / WANTED).exists() or (self._used.path / DAMAGED).exists():
            return True
        return time.time() - (self._directory / CURRENT).stat().st_mtime > OLD_S

    async def _follow(self, connection: Any) -> bool:
        """What changed since the last look, into the index in use. True when more is waiting."""
        used = self._used
        assert used is not None
        try:
            await used.check(connection)
        except Another as error:
            # What it says is old, but true of what was; a better one is built at once.
            log.warning("search_index_to_be_built", path=str(used.path), reason=str(error))
            self._used = None
            return True
        if await used.look(connection):
            self.quiet_since = time.monotonic()
            self._changed_at_ms = int(time.time() * 1000)
        await self._write(used, connection)
        return bool(used.pending)

    async def _write(self, index: IndexWriting, connection: Any) -> None:
        if index.pending:
            await index.write_step(connection)
        now = time.monotonic()
        if index.dirty and (not index.pending or now - self._committed > COMMIT_S):
            index.commit()
            self._committed = time.monotonic()
        elif not index.dirty and now - self.quiet_since > STATUS_S:
            index.rest()

    async def _begin(self, connection: Any) -> None:
        self._begun = time.monotonic()
        self._built = IndexWriting(next_path(self._directory))
        self._to_build = await self._built.begin(connection)
        self._after = ""
        with suppress(FileNotFoundError):
            (self._directory / WANTED).unlink()

    async def _build(self, connection: Any) -> None:
        """The next piece; after the last one what changed meanwhile, then it is put in use."""
        built = self._built
        assert built is not None
        self.quiet_since = time.monotonic()
        if self._after is not None:
            self._after = await built.build_step(connection, self._after) or None
            return
        await built.look(connection)
        if built.pending:
            await built.write_step(connection)
            return
        built.commit()
        put_in_use(self._directory, built.path)
        self._used, self._built = built, None
        self._build_ms = int((time.monotonic() - self._begun) * 1000)
        drop_others(self._directory, built.path)
        self._status = (0.0, "")
        log.info("search_index_built", products=built.products, milliseconds=self._build_ms, path=str(built.path))

    def _say(self, state: str, reason: str = "") -> None:
        """Write what is being done, when it is something else, and now and then."""
        at, last = self._status
        now = time.monotonic()
        if state == last and now - at < (STATUS_S if state != "building" else 0.3):
            return
        self._status = (now, state)
        index = self._used
        status = Status(
            state=state, pid=os.getpid(), index=index.path.name if index else "", products=index.products if index else 0,
            built=self._built.products if self._built else 0, to_build=self._to_build if self._built else 0,
            build_ms=self._build_ms, changed_at_ms=self._changed_at_ms, written_at_ms=int(time.time() * 1000), reason=reason,
        )  # fmt: skip
        write_whole(self._directory / STATUS, msgspec.json.encode(status))
        self._told(status)


async def build(url: str, directory: Path, told: Callable[[Status], None] = lambda _: None) -> Status:
    """Build an index and put it in use, in this process. Busy when an indexer lives here; StorageUnknown without the database."""
    with held(directory):
        indexer = Indexer(url, directory, told)
        try:
            (directory / WANTED).touch()
            indexer.open()
            while await indexer.step():
                indexer._say("building" if indexer._built is not None else "following")
            indexer._say("stopped")
        finally:
            await indexer.close()
    return msgspec.json.decode((directory / STATUS).read_bytes(), type=Status)
