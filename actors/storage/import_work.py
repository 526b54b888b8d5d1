"""The work of imports: one worker of the whole shop takes one job after the other, and may be killed at any moment.

What it knows is in the tables: a job that is ``checking`` or ``importing`` while nobody holds the workers' lock was left behind, and
its step is done again from its file. The import itself is one transaction that also ends the job: it happened, or it did not.
"""

import asyncio
import hashlib
import json
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec
import structlog

from actors.domain.staff import MACHINE, allows
from actors.storage import staff_actions
from actors.storage.connect import CONNECT_TIMEOUT_S, LOST, storage_error
from actors.storage.goods import By, Goods, NotWritten
from actors.storage.import_reports import list_csv, list_json, sheet_again
from actors.storage.import_rows import Judged, judged
from actors.storage.imports import DROP, DROP_UPLOADS, KEEP_MS, NOW, PERMISSION, PIECE, PIECE_BYTES, UPLOADING_MS
from actors.storage.sheets.limits import Sheet, SheetRefused
from actors.storage.sheets.reading import read_sheet
from actors.storage.staff import actor_of
from schemas.ids import random_id

log = structlog.get_logger("stampede.imports")

TRIES_MAX: Final = 5
"""A job that ended its worker so often is given up."""
AGAIN_MAX: Final = 3
"""How often a sheet is read anew because somebody changed its goods meanwhile."""
KIB: Final = 1024
TOLD_S: Final = 0.5
"""Between two lines of progress."""
FOLDER: Final = "import-"

HOLD: Final = "SELECT pg_try_advisory_lock(7284, 0)"
TAKE: Final = """
UPDATE import_job SET tries = tries + 1 WHERE job_id = (
    SELECT job_id FROM import_job WHERE state IN ('uploaded', 'checking', 'importing') ORDER BY asked_at_ms, job_id LIMIT 1
) AND state IN ('uploaded', 'checking', 'importing')
RETURNING job_id, state, merchant_id, actor_id, role, language, dry_run, tries, digest, file_bytes"""
MOVE: Final = "UPDATE import_job SET state = $3, tries = $4, rows_done = 0 WHERE job_id = $1 AND state = $2 RETURNING job_id"
READ: Final = "UPDATE import_job SET format = $2, encoding = $3, rows_total = $4 WHERE job_id = $1"
TELL: Final = "UPDATE import_job SET rows_done = $2 WHERE job_id = $1 RETURNING state"
CHECKED: Final = """
UPDATE import_job SET state = 'checked', bad_cells = $2, created = $3, changed = $4, same = $5, rows_done = rows_total, ended_at_ms = $6,
    read_ms = $7, check_ms = $8, write_ms = $9, peak_bytes = $10
WHERE job_id = $1 AND state IN ('checking', 'importing') RETURNING job_id"""
ENDED: Final = """
UPDATE import_job SET state = $2, reason = $3, params = $4::text::jsonb,
    ended_at_ms = (extract(epoch FROM clock_timestamp()) * 1000)::bigint
WHERE job_id = $1 AND state IN ('uploaded', 'checking', 'importing') RETURNING job_id"""
DONE: Final = """
UPDATE import_job SET state = 'done', created = $2, changed = $3, same = $4, rows_done = rows_total, bad_cells = 0,
    ended_at_ms = (extract(epoch FROM clock_timestamp()) * 1000)::bigint, read_ms = $5, check_ms = $6, write_ms = $7, peak_bytes = $8
WHERE job_id = $1 AND state = 'importing' RETURNING job_id"""
ADD_PIECES: Final = "INSERT INTO import_piece (job_id, part, position, data) VALUES ($1, $2, $3, $4)"
DROP_PARTS: Final = "DELETE FROM import_piece WHERE job_id = $1 AND part <> 'file'"
TO_NOTE: Final = """
SELECT job_id, state, actor_id, role, reason, created, changed, same FROM import_job
WHERE NOT noted AND state IN ('done', 'failed') ORDER BY job_id LIMIT 100"""
NOTE: Final = "UPDATE import_job SET noted = true WHERE job_id = $1 AND NOT noted RETURNING job_id"


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A job as a worker takes it."""

    job_id: str
    state: str
    merchant_id: str
    actor_id: str
    role: str
    language: str
    dry_run: bool
    tries: int
    digest: bytes
    file_bytes: int


class Cancelled(Exception):
    """Somebody ended the job meanwhile: nothing more is done for it."""


class Worker:
    """Works until there is nothing to do. url: of the database. folder: for files while they are read. read: reads one of them."""

    def __init__(self, url: str, folder: Path, read: Callable[[Path, Path], Sheet] = read_sheet) -> None:
        self._read = read
        self._url = url
        self._folder = folder
        self._link: Any = None
        self._side: Any = None
        self._told_s = 0.0
        self.seconds: dict[str, float] = {}
        """How long each phase of the last job took."""

    async def run(self) -> int:
        """Do what is to be done, unless another worker does; answers how many jobs. StorageUnknown when the database is lost."""
        try:
            self._side = await asyncpg.connect(
                self._url, timeout=CONNECT_TIMEOUT_S, server_settings={"application_name": "stampede imports"}
            )
            if not await self._side.fetchval(HOLD):
                return 0
            self._link = await asyncpg.connect(
                self._url, timeout=CONNECT_TIMEOUT_S, server_settings={"application_name": "stampede import"}
            )
            self._clear_folder()
            return await self._work()
        except LOST as error:
            raise storage_error(error) from error
        finally:
            for connection in (self._link, self._side):
                if connection is not None:
                    connection.terminate()

    def _clear_folder(self) -> None:
        """What a worker left that was killed: whoever holds the lock is the only one."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for left in self._folder.glob(FOLDER + "*"):
            shutil.rmtree(left, ignore_errors=True)

    async def _work(self) -> int:
        count = 0
        while (row := await self._side.fetchrow(TAKE)) is not None:
            task = Task(**dict(row))
            try:
                await self._one(task)
            except Cancelled:
                log.info("import_cancelled", job_id=task.job_id)
            except LOST:
                raise
            except Exception:
                log.exception("import_failed", job_id=task.job_id)
                await self._end(task, "failed", "import_failed")
            count += 1
            await self._note()
        await self._note()
        now_ms = await self._side.fetchval(NOW)
        await self._side.execute(DROP, now_ms - KEEP_MS, now_ms - UPLOADING_MS)
        await self._side.execute(DROP_UPLOADS, now_ms - UPLOADING_MS)
        return count

    # --- one job ----------------------------------------------------------------------------------

    async def _one(self, task: Task) -> None:
        if task.tries > TRIES_MAX:
            await self._end(task, "failed", "import_failed")
            return
        self.seconds = {}
        if task.state == "uploaded":
            await self._move(task, "uploaded", "checking", task.tries)
        writing = task.state == "importing"
        with tempfile.TemporaryDirectory(prefix=FOLDER, dir=self._folder) as folder:
            for _ in range(AGAIN_MAX):
                try:
                    found = await self._judged(task, Path(folder))
                except SheetRefused as refused:
                    await self._end(task, "refused", refused.code, refused.params)
                    return
                if found.bad or (task.dry_run and not writing):
                    await self._checked(task, found)
                    return
                if not writing:
                    await self._move(task, "checking", "importing", 1)
                    writing = True
                if await self._written(task, found):
                    return
        await self._end(task, "failed", "import_goods_changed")

    async def _move(self, task: Task, before: str, after: str, tries: int) -> None:
        if await self._side.fetchval(MOVE, task.job_id, before, after, tries) is None:
            raise Cancelled

    async def _end(self, task: Task, state: str, reason: str, params: dict[str, Any] | None = None) -> None:
        await self._side.fetchval(ENDED, task.job_id, state, reason, json.dumps(params or {}))

    async def _judged(self, task: Task, folder: Path) -> Judged:
        began = time.perf_counter()
        path = folder / "file"
        await self._fetch(task, path)
        sheet = await asyncio.to_thread(self._read, path, folder / "rows")
        self._phase("read", began)
        await self._side.execute(READ, task.job_id, sheet.format, sheet.encoding, len(sheet.rows))
        began = time.perf_counter()

        async def progress(rows: int) -> None:
            await self._tell(task, rows)

        found = await judged(self._link, sheet, task.merchant_id, progress)
        self._format = sheet.format
        self._phase("check", began)
        return found

    def _phase(self, name: str, began_s: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began_s

    def _costs(self) -> tuple[int, int, int, int]:
        """Milliseconds of each phase, and the memory of this process, or of the one that read, at its peak."""
        phases = [round(self.seconds.get(name, 0.0) * 1000) for name in ("read", "check", "write")]
        peaks = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return phases[0], phases[1], phases[2], max(peaks) * KIB

    async def _fetch(self, task: Task, path: Path) -> None:
        """The file out of its pieces. SheetRefused where it is not what was sent."""
        digest, position = hashlib.sha256(), 0
        with path.open("wb") as target:
            while (data := await self._link.fetchval(PIECE, task.job_id, "file", position)) is not None:
                digest.update(data)
                target.write(data)
                position += 1
        if digest.digest() != task.digest:
            raise SheetRefused("sheet_damaged")

    async def _tell(self, task: Task, rows: int) -> None:
        """Tell how far it is, from time to time. Cancelled."""
        if time.monotonic() - self._told_s < TOLD_S:
            return
        self._told_s = time.monotonic()
        if await self._side.fetchval(TELL, task.job_id, rows) not in ("checking", "importing"):
            raise Cancelled

    async def _checked(self, task: Task, found: Judged) -> None:
        """The check's end, with the files of what was wrong."""
        parts = {}
        if found.bad:
            sheet = await asyncio.to_thread(sheet_again, found, self._format, task.language)
            parts = {"sheet": sheet, "list_json": list_json(found), "list_csv": list_csv(found, task.language)}
        new = sum(not edit.product_id for edit in found.edits)
        async with self._side.transaction():
            await self._side.execute(DROP_PARTS, task.job_id)
            for part, data in parts.items():
                for position, start in enumerate(range(0, len(data), PIECE_BYTES)):
                    await self._side.execute(ADD_PIECES, task.job_id, part, position, data[start : start + PIECE_BYTES])
            now_ms = await self._side.fetchval(NOW)
            counts = (found.bad, new, len(found.edits) - new, found.same)
            if await self._side.fetchval(CHECKED, task.job_id, *counts, now_ms if found.bad else 0, *self._costs()) is None:
                raise Cancelled

    async def _written(self, task: Task, found: Judged) -> bool:
        """Write everything and end the job, or nothing: False where somebody changed these goods since they were read."""
        began = time.perf_counter()
        found.rows = []  # a hundred megabytes that nobody needs any more
        by = By(actor_id=task.actor_id, role=task.role, reason=f"import {task.job_id}", merchant_id=task.merchant_id)
        try:
            async with self._link.transaction():
                if not await self._allowed(task):
                    await self._end(task, "failed", "forbidden")
                    return True
                now_ms = await self._link.fetchval(NOW)
                written = await Goods(None).write_many(self._link, found.edits, by, now_ms) if found.edits else []
                new = sum(not edit.product_id for edit in found.edits)
                changed = sum(one.changed for one in written) - new
                same = found.same + len(written) - new - changed
                self._phase("write", began)
                if await self._link.fetchval(DONE, task.job_id, new, changed, same, *self._costs()) is None:
                    raise Cancelled
        except NotWritten as refused:
            log.info("import_meets_changes", job_id=task.job_id, products=len(refused.refusals))
            return False
        log.info("import_done", job_id=task.job_id, created=new, changed=changed, same=same, seconds=self.seconds)
        return True

    async def _allowed(self, task: Task) -> bool:
        """Whether who asked may still import, for the same firm."""
        if task.actor_id == MACHINE:
            return True
        now = await actor_of(self._link, task.actor_id)
        return allows(now.roles, PERMISSION) and task.merchant_id in ("", now.merchant_id)

    async def _note(self) -> None:
        """Write the ends of jobs into the trail: after their transaction, whose locks nobody of the staff shall wait for, and once."""
        for row in await self._side.fetch(TO_NOTE):
            after = {name: row[name] for name in ("state", "reason", "created", "changed", "same")}
            async with self._side.transaction():
                if await self._side.fetchval(NOTE, row["job_id"]) is None:
                    continue
                action = staff_actions.Action(
                    action_id=random_id("act"), state="done" if row["state"] == "done" else "failed", at_ms=0, actor_id=row["actor_id"],
                    role=row["role"], permission=PERMISSION, target=row["job_id"], reason="import", after=json.dumps(after),
                )  # fmt: skip
                await staff_actions.add(self._side, action)
