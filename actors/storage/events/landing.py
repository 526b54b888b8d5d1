"""A landing: what waits in this node's spool becomes Parquet files of the lake, each event once.

Order of one round, which may end anywhere: the names of the files are written down, the files are written and renamed, files and
spools are listed in one transaction, the spools are deleted. Before the transaction the spool has everything and the next
run puts unlisted files aside; after it the files have everything and the next run deletes the spools without reading them.
One landing at a time in the whole cluster, by an advisory lock.
"""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec
import structlog

from actors.storage.connect import CONNECT_TIMEOUT_S, LOST, storage_error
from actors.storage.events import manifest
from actors.storage.events.frames import read_frames
from actors.storage.events.lake import EventLake
from actors.storage.events.listing import closed_spools, remove_drafts, taken
from actors.storage.events.people import OLD_LINKS, allowed, names_of
from actors.storage.events.rows import Row, rows_of
from actors.storage.upkeep.lake import Lake, LakeRefused

log = structlog.get_logger("stampede.events")

SETTINGS: Final = {"application_name": "stampede events", "statement_timeout": "30000", "lock_timeout": "20000"}
LOCK: Final = "SELECT pg_advisory_lock(7273)"
READ_CLUSTER: Final = """
SELECT hash_secret, EXISTS (SELECT FROM journal_archive) OR EXISTS (SELECT FROM event_file) AS has_files FROM cluster"""

ROUND_BYTES: Final = 16 * 1024 * 1024
"""Of spools that are read into memory at once: as rows they are ten times as large."""

RUN_S_MAX: Final = 300.0
SEEN_S: Final = 3600.0
SEEN_ROWS_MAX: Final = 10_000_000
"""An event that comes again is recognised among those that were landed in the last hour, ten million at most (80 MB).
Readers drop what is older than that (``pipelines.behaviour``)."""

EXPIRED_MAX: Final = 500
"""Files whose names are held in one transaction while they are deleted."""


class LandingReport(msgspec.Struct, frozen=True, kw_only=True):
    """One run. duplicates: events that were there already. damaged: stretches of spools that could not be read.

    expired: files deleted for their age. forgotten: events that were not landed, as their people were erased or said no.
    rewritten: files that were written anew without the names of the erased. merged: files fewer, as small ones became one.
    problem: a code and a word for a person; empty when all went well.
    """

    rows: int = 0
    files: int = 0
    spools: int = 0
    duplicates: int = 0
    damaged: int = 0
    expired: int = 0
    forgotten: int = 0
    rewritten: int = 0
    merged: int = 0
    problem: str = ""


class Landing(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is told. free_bytes_min: it writes nothing while the lake's disk has less left than this."""

    lake: Path
    spool: Path
    keep_days: int
    free_bytes_min: int = 0


async def land(url: str, task: Landing, passed: Callable[[str], None] = lambda step: None) -> LandingReport:
    """Land what waits here, delete what is too old. ``passed`` hears of each step. StorageUnknown when the database was lost."""
    try:
        connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_S, server_settings=SETTINGS)
        try:
            await connection.execute(LOCK)
            report = await _Run(connection, task, passed).run()
            await connection.execute(manifest.SAVE_LANDING, report.rows, report.duplicates, report.damaged, report.problem)
            return report
        finally:
            connection.terminate()
    except LOST as error:
        raise storage_error(error) from error


class _Run:
    def __init__(self, connection: Any, task: Landing, passed: Callable[[str], None]) -> None:
        self._connection = connection
        self._task = task
        self._lake = EventLake(task.lake)
        self._passed = passed
        self._report = LandingReport()

    async def run(self) -> LandingReport:
        cluster = await self._connection.fetchrow(READ_CLUSTER)
        if cluster is None:
            return self._report
        try:
            Lake(self._task.lake).claim(cluster["hash_secret"], has_files=cluster["has_files"])
            self._names = names_of(cluster["hash_secret"])
            await self._recover()
            await self._expire()
            await self._land()
            await self._rewrite()
        except LakeRefused as error:
            self._add(problem=f"{error.code}: {error.lake}")
        except OSError as error:
            self._add(problem=f"lake_unwritable: {error}")
        return self._report

    def _add(self, *, problem: str = "", **counts: int) -> None:
        found = {name: getattr(self._report, name) + count for name, count in counts.items()}
        self._report = msgspec.structs.replace(self._report, **found, problem=self._report.problem or problem)

    async def _recover(self) -> None:
        """End what an earlier run began."""
        if self._lake.rewriting():
            from actors.storage.events.rewriting import recover

            await recover(self._connection, self._lake)
        begun = self._lake.begun()
        if begun:
            listed = {row["file"] for row in await self._connection.fetch(manifest.LISTED, begun)}
            self._lake.set_aside([file for file in begun if file not in listed])
        remove_drafts(self._task.spool)
        names = [path.name for path in closed_spools(self._task.spool)]
        await self._end_spools([row["spool"] for row in await self._connection.fetch(manifest.LANDED_SPOOLS, names)])

    async def _end_spools(self, names: list[str]) -> None:
        """Delete spools that are listed, then their lines: a file without its line would be landed again."""
        for name in names:
            (self._task.spool / name).unlink(missing_ok=True)
        if names:
            _sync(self._task.spool)
            await self._connection.execute(manifest.FORGET_SPOOLS, names)

    async def _expire(self) -> None:
        """Delete the days that are too old: the files first, so that no run forgets one that is there."""
        while rows := await self._connection.fetch(manifest.EXPIRED, self._task.keep_days, EXPIRED_MAX):
            files = [row["file"] for row in rows]
            self._lake.remove(files)
            await self._connection.execute(manifest.FORGET_FILES, files)
            self._add(expired=len(files))
        self._lake.remove_set_aside(self._task.keep_days)
        await self._connection.execute(OLD_LINKS, self._task.keep_days)

    async def _rewrite(self) -> None:
        """Take the names of erased people out of the files, and make few files of many."""
        if self._lake.free_bytes() < self._task.free_bytes_min:
            return
        from actors.storage.events.rewriting import compact, forget

        self._add(rewritten=await forget(self._connection, self._lake, self._names, self._passed))
        self._add(merged=await compact(self._connection, self._lake, self._passed))

    async def _land(self) -> None:
        started_s = time.monotonic()
        while time.monotonic() - started_s < RUN_S_MAX:
            if self._lake.free_bytes() < self._task.free_bytes_min:
                self._add(problem=f"disk_full: {self._task.lake}")
                return
            if not await self._round():
                return

    async def _round(self) -> bool:
        """Land some spools; False when none is left that has no writer."""
        with contextlib.ExitStack() as held:
            names, rows, damaged, size = [], [], 0, 0
            for path in closed_spools(self._task.spool):
                data = held.enter_context(taken(path))
                if data is None:
                    continue
                found, lost = _rows(data)
                names.append(path.name)
                rows += found
                damaged += lost
                size += len(data)
                if size >= ROUND_BYTES:
                    break
            if not names:
                return False
            kept = await allowed(self._connection, self._names, rows)
            self._add(forgotten=len(rows) - len(kept))
            written, duplicates = await self._write(kept)
            async with self._connection.transaction():
                await self._connection.executemany(manifest.ADD_FILE, [_line(file) for file in written])
                await self._connection.execute(manifest.ADD_SPOOLS, names)
            self._passed("committed")
            self._lake.ended()
            await self._end_spools(names)
            self._passed("deleted")
        if damaged:
            log.warning("spool_damaged", stretches=damaged, spools=names)
        landed = sum(file.rows for file in written)
        self._add(rows=landed, files=len(written), spools=len(names), duplicates=duplicates, damaged=damaged)
        return True

    async def _write(self, rows: list[Row]) -> tuple[list[manifest.EventFile], int]:
        """Write rows into the files of their hours, without the events that were landed before; the files, and how many these were."""
        if not rows:
            return [], 0
        recent = [row["file"] for row in await self._connection.fetch(manifest.RECENT, SEEN_S, SEEN_ROWS_MAX)]
        return self._lake.write(rows, recent, self._passed)


def _rows(data: bytes) -> tuple[list[Row], int]:
    rows: list[Row] = []
    damaged = 0
    for batch in read_frames(data):
        try:
            rows += rows_of(batch) if batch is not None else ()
        except (AttributeError, TypeError):
            # Whole, and yet not what is written here: it must not keep all that comes after it from landing.
            batch = None
        damaged += batch is None
    return rows, damaged


def _line(file: manifest.EventFile) -> tuple[Any, ...]:
    return file.file, file.date, file.hour, file.rows, file.size, file.first_at_ms, file.last_at_ms, file.checksum


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
