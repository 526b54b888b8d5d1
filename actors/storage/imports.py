"""Imports of goods as jobs: what was sent, how far it is, what was wrong. The work itself is in ``import_work``.

A file lies in pieces in the database: it survives whatever node took it, and any node's worker can go on with it.
"""

import hashlib
import json
import unicodedata
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

from actors.domain.staff import MACHINE, Actor, role_used
from actors.storage.connect import known
from actors.storage.staff import Deed, NotDone, Staff
from schemas.ids import random_id

PIECE_BYTES: Final = 1 << 20
OPEN_MAX: Final = 20
"""Jobs that are not at an end, of the whole shop: each may hold a large file."""
KEEP_MS: Final = 30 * 86_400_000
"""Files and lists are deleted so long after the end; the line of the job stays."""
UPLOADING_MS: Final = 3_600_000
"""An upload that did not end within an hour never will."""
NAME_MAX: Final = 200

PERMISSION: Final = "goods.import"
LIVE: Final = ("uploading", "uploaded", "checking", "checked", "importing")

_COLUMNS: Final = """job_id, state, merchant_id, actor_id, role, file_name, file_bytes, language, dry_run, format, encoding, rows_total,
    rows_done, bad_cells, created, changed, same, read_ms, check_ms, write_ms,
    peak_bytes, reason, params::text AS params, asked_at_ms, ended_at_ms"""
NOW: Final = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"
BEGIN: Final = """
INSERT INTO import_job (job_id, state, merchant_id, actor_id, role, file_name, file_bytes, digest, language, dry_run, asked_at_ms)
VALUES ($1, 'uploading', $2, $3, $4, $5, 0, '', $6, $7, (extract(epoch FROM clock_timestamp()) * 1000)::bigint)"""
LOCK_TABLE: Final = "SELECT pg_advisory_xact_lock(7284, 1)"
COUNT_OPEN: Final = "SELECT count(*) FROM import_job WHERE state IN ('uploading', 'uploaded', 'checking', 'importing')"
ADD_PIECE: Final = "INSERT INTO import_piece (job_id, part, position, data) VALUES ($1, $2, $3, $4)"
UPLOADED: Final = """
UPDATE import_job SET state = 'uploaded', file_bytes = $2, digest = $3 WHERE job_id = $1 AND state = 'uploading' RETURNING job_id"""
ONE: Final = f"SELECT {_COLUMNS} FROM import_job WHERE job_id = $1 AND ($2 = '' OR merchant_id = $2)"
LIST: Final = f"""
SELECT {_COLUMNS} FROM import_job WHERE ($1 = '' OR merchant_id = $1) AND state <> 'uploading' AND (asked_at_ms, job_id) < ($2, $3)
ORDER BY asked_at_ms DESC, job_id DESC LIMIT $4"""
RUN: Final = """
UPDATE import_job SET state = 'importing', tries = 0, rows_done = 0, actor_id = $2, role = $3
WHERE job_id = $1 AND state = 'checked' AND bad_cells = 0 RETURNING job_id"""
CANCEL: Final = """
UPDATE import_job SET state = 'cancelled', ended_at_ms = (extract(epoch FROM clock_timestamp()) * 1000)::bigint
WHERE job_id = $1 AND state IN ('uploading', 'uploaded', 'checking', 'checked', 'importing') RETURNING job_id"""
FORGET: Final = "DELETE FROM import_piece WHERE job_id = $1"
PIECE: Final = "SELECT data FROM import_piece WHERE job_id = $1 AND part = $2 AND position = $3"
WAITING: Final = "SELECT EXISTS (SELECT FROM import_job WHERE state IN ('uploaded', 'checking', 'importing'))"
TO_NOTE: Final = "SELECT EXISTS (SELECT FROM import_job WHERE NOT noted AND state IN ('done', 'failed'))"
DROP: Final = """
DELETE FROM import_piece WHERE job_id IN (
    SELECT job_id FROM import_job WHERE (state IN ('done', 'failed', 'refused', 'cancelled', 'checked')
    AND greatest(asked_at_ms, ended_at_ms) < $1) OR (state = 'uploading' AND asked_at_ms < $2))"""
DROP_UPLOADS: Final = "DELETE FROM import_job WHERE state = 'uploading' AND asked_at_ms < $1"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One import. reason, params: why it was refused or failed. created, changed, same: products. Times UTC, ms; 0: not yet.

    read_ms, check_ms, write_ms: what each phase took. peak_bytes: the worker's memory, or that of the process which read the file.
    """

    job_id: str
    state: str
    merchant_id: str
    actor_id: str
    role: str
    file_name: str
    file_bytes: int
    language: str
    dry_run: bool
    format: str
    encoding: str
    rows_total: int
    rows_done: int
    bad_cells: int
    created: int
    changed: int
    same: int
    read_ms: int
    check_ms: int
    write_ms: int
    peak_bytes: int
    reason: str
    params: dict[str, Any]
    asked_at_ms: int
    ended_at_ms: int


class FileTooLarge(Exception):
    """More was sent than a file may have. Nothing is kept."""


def shown_name(name: str) -> str:
    """A file's name as it may be shown: its last part, without what would turn lines or letters around."""
    name = unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode())
    name = "".join(letter for letter in name if unicodedata.category(letter)[0] != "C" and unicodedata.category(letter) not in ("Zl", "Zp"))
    name = name.replace("\\", "/").rpartition("/")[2].strip()
    return name[:NAME_MAX] if name.strip(".") else "-"


class Imports:
    """Jobs on a pool. StorageUnknown when the database cannot be asked; NotDone for what a job does not allow."""

    def __init__(self, pool: Any, staff: Staff) -> None:
        self._pool = pool
        self._staff = staff

    async def upload(
        self,
        actor: Actor,
        merchant_id: str,
        name: str,
        language: str,
        body: AsyncIterator[bytes],
        most: int,
        *,
        dry_run: bool,
        request_id: str = "",
    ) -> Job:
        """Take a file, a piece at a time, and let it be checked. NotDone ``forbidden``, ``imports_waiting``; FileTooLarge.

        merchant_id: whose goods alone may be imported. dry_run: nothing is imported before somebody says so.
        """
        job_id = random_id("job")
        await known(self._begin(job_id, actor, merchant_id, shown_name(name), language, dry_run))
        try:
            size, digest = await self._keep(job_id, body, most)
        except BaseException:
            await known(self._pool.execute(CANCEL, job_id))
            await known(self._pool.execute(FORGET, job_id))
            raise

        async def change(connection: Any) -> None:
            if await connection.fetchval(UPLOADED, job_id, size, digest) is None:
                raise NotDone("import_unknown")

        after = json.dumps({"bytes": size, "dry_run": dry_run})
        await self._staff.do(actor, Deed(permission=PERMISSION, target=job_id, reason="import", request_id=request_id, after=after), change)
        return await self.one(job_id)

    async def _begin(self, job_id: str, actor: Actor, merchant_id: str, name: str, language: str, dry_run: bool) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(LOCK_TABLE)
            if await connection.fetchval(COUNT_OPEN) >= OPEN_MAX:
                raise NotDone("imports_waiting")
            await connection.execute(BEGIN, job_id, merchant_id, actor.user_id, _role(actor), name, language, dry_run)

    async def _keep(self, job_id: str, body: AsyncIterator[bytes], most: int) -> tuple[int, bytes]:
        """Write a file piece by piece; answers (its size, its SHA-256)."""
        digest, size, position = hashlib.sha256(), 0, 0
        waiting = bytearray()
        async for data in body:
            size += len(data)
            if size > most:
                raise FileTooLarge
            digest.update(data)
            waiting += data
            while len(waiting) >= PIECE_BYTES:
                await known(self._pool.execute(ADD_PIECE, job_id, "file", position, bytes(waiting[:PIECE_BYTES])))
                del waiting[:PIECE_BYTES]
                position += 1
        await known(self._pool.execute(ADD_PIECE, job_id, "file", position, bytes(waiting)))
        return size, digest.digest()

    async def one(self, job_id: str, merchant_id: str = "") -> Job:
        """A job; of a merchant's own alone. NotDone ``import_unknown``."""
        row = await known(self._pool.fetchrow(ONE, job_id, merchant_id))
        if row is None:
            raise NotDone("import_unknown")
        return _job(row)

    async def page(self, merchant_id: str, before: tuple[int, str], limit: int) -> list[Job]:
        """Jobs before one of them (its time and id), the newest first."""
        return [_job(row) for row in await known(self._pool.fetch(LIST, merchant_id, *before, limit))]

    async def run(self, actor: Actor, merchant_id: str, job_id: str, request_id: str = "") -> Job:
        """Let a checked job be imported. A repeat changes nothing. NotDone ``import_unknown``, ``import_flawed``, ``import_ended``."""
        job = await self.one(job_id, merchant_id)
        if job.state in ("importing", "done"):
            return job
        if job.state == "checked" and job.bad_cells:
            raise NotDone("import_flawed")

        async def change(connection: Any) -> None:
            if await connection.fetchval(RUN, job_id, actor.user_id, _role(actor)) is None:
                raise NotDone("import_not_checked" if job.state in LIVE else "import_ended")

        await self._staff.do(
            actor, Deed(permission=PERMISSION, target=job_id, reason="import", request_id=request_id, after='{"run":true}'), change
        )
        return await self.one(job_id)

    async def cancel(self, actor: Actor, merchant_id: str, job_id: str, request_id: str = "") -> Job:
        """End a job; what is being written is taken back. A repeat changes nothing. NotDone ``import_unknown``, ``import_ended``."""
        if (await self.one(job_id, merchant_id)).state == "cancelled":
            return await self.one(job_id)

        async def change(connection: Any) -> None:
            if await connection.fetchval(CANCEL, job_id) is None:
                raise NotDone("import_ended")

        deed = Deed(permission=PERMISSION, target=job_id, reason="import", request_id=request_id, after='{"cancel":true}')
        await self._staff.do(actor, deed, change)
        return await self.one(job_id)

    async def has(self, job_id: str, part: str) -> bool:
        """Whether there is such a part of a job."""
        return await known(self._pool.fetchval(PIECE, job_id, part, 0)) is not None

    async def pieces(self, job_id: str, part: str) -> AsyncIterator[bytes]:
        """A part of a job, a piece at a time: ``file``, ``sheet``, ``list_json``, ``list_csv``."""
        position = 0
        while (data := await known(self._pool.fetchval(PIECE, job_id, part, position))) is not None:
            yield data
            position += 1

    async def waiting(self) -> bool:
        """Whether there is something to do for a worker."""
        return bool(await known(self._pool.fetchval(WAITING))) or bool(await known(self._pool.fetchval(TO_NOTE)))


def _role(actor: Actor) -> str:
    return MACHINE if actor.user_id == MACHINE else role_used(actor.roles, PERMISSION)


def _job(row: Any) -> Job:
    return Job(**{**dict(row), "params": json.loads(row["params"])})
