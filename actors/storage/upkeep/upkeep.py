"""One run of the upkeep over all shards, the fullest first.

It may be killed at any moment: what it had done stays done, and the next run does the rest. Two at
once: the second one says that it is ``busy``. It works on connections of its own, and waits for no owner.
"""

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec

from actors.ports.remembering import Remembering
from actors.storage.connect import CONNECT_TIMEOUT_S, LOST, storage_error
from actors.storage.journal import PostgresJournal
from actors.storage.projections.groups import GROUPS
from actors.storage.upkeep.archiving import Archiver
from actors.storage.upkeep.bounds import Judge
from actors.storage.upkeep.lake import Lake, LakeRefused
from actors.storage.upkeep.pruning import Pruner
from actors.storage.upkeep.report import Report, Tally, Task, Tell

SETTINGS: Final = {
    "application_name": "stampede upkeep",
    "synchronous_commit": "off",
    "statement_timeout": "30000",
    "lock_timeout": "2000",
    "idle_in_transaction_session_timeout": "5000",
    "enable_seqscan": "off",
}
"""Nobody waits for its fsync: what a crash takes back is done again, and the log keeps the order, so a deletion that stays was preceded
by its snapshots. The journal is read by its indexes."""

TRY_LOCK: Final = "SELECT pg_try_advisory_lock(7272)"
READ_CLUSTER: Final = """
SELECT hash_secret, (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms,
    EXISTS (SELECT FROM journal_archive) AS has_files FROM cluster
"""
BEGIN_KEPT: Final = "INSERT INTO journal_kept (shard) SELECT shard FROM shard_owner ON CONFLICT DO NOTHING"
READ_SHARDS: Final = """
SELECT k.shard, k.archived_seq, o.head_seq FROM journal_kept k JOIN shard_owner o USING (shard)
WHERE o.head_seq > k.pruned_seq ORDER BY o.head_seq - k.pruned_seq DESC, k.shard
"""
READ_REBUILDS: Final = "SELECT DISTINCT projection FROM projection_position WHERE projection LIKE '%@rebuild'"
TRY_REBUILD: Final = "SELECT pg_try_advisory_lock(7270, hashtext($1))"
END_REBUILD: Final = "SELECT pg_advisory_unlock(7270, hashtext($1))"
FORGET_POSITIONS: Final = "DELETE FROM projection_position WHERE projection = $1"
SAVE_REPORT: Final = """
INSERT INTO journal_upkeep (ended_at, succeeded_at, archived, pruned, reason, held)
VALUES (clock_timestamp(), CASE WHEN $3 = '' THEN clock_timestamp() END, $1, $2, $3, $4::jsonb)
ON CONFLICT (one) DO UPDATE SET ended_at = excluded.ended_at,
    succeeded_at = coalesce(excluded.succeeded_at, journal_upkeep.succeeded_at),
    archived = excluded.archived, pruned = excluded.pruned, reason = excluded.reason, held = excluded.held
"""


async def upkeep(
    url: str, lake: Path, remembering: Remembering, task: Task, tell: Tell = lambda step: None, *, groups: Iterable[str] = tuple(GROUPS)
) -> Report:
    """Archive and prune what ``task`` asks for; the report is written into the database, too.

    groups: the registered projections. StorageUnknown when the database was lost on the way: run it again.
    """
    journal = PostgresJournal(url, "upkeep")
    try:
        connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_S, server_settings=SETTINGS)
        try:
            return await _Run(connection, journal, Lake(lake), remembering, task, tell, groups).run()
        finally:
            connection.terminate()
    except LOST as error:
        raise storage_error(error) from error
    finally:
        await journal.close()


class _Run:
    def __init__(
        self, connection: Any, journal: PostgresJournal, lake: Lake, remembering: Remembering, task: Task, tell: Tell, groups: Iterable[str]
    ) -> None:
        self._connection = connection
        self._journal = journal
        self._lake = lake
        self._remembering = remembering
        self._task = task
        self._tell = tell
        self._groups = groups
        self._tally = Tally()
        self._started_s = self._resumed_s = time.monotonic()

    async def run(self) -> Report:
        if not await self._connection.fetchval(TRY_LOCK):
            self._tally.add("busy")
            return self._tally.report()
        cluster = await self._connection.fetchrow(READ_CLUSTER)
        try:
            if cluster is not None:
                self._lake.claim(cluster["hash_secret"], has_files=cluster["has_files"])
                await self._forget_abandoned_rebuilds()
                await self._work(cluster["now_ms"])
        except LakeRefused as refused:
            self._tally.add(refused.code, detail=refused.lake)
        except OSError as error:
            self._tally.add("lake_unwritable", detail=f"{self._lake.path}: {error.strerror or error}")
        return await self._finish()

    async def _work(self, now_ms: int) -> None:
        archiver = Archiver(self._lake, self._task, self._tally, self._tell, self._pause)
        judge = Judge(self._groups, now_ms - self._task.keep_ms, self._remembering)
        pruner = Pruner(self._lake, judge, self._remembering, self._journal, self._tally, self._tell, self._pause)
        await self._connection.execute(BEGIN_KEPT)
        for shard, archived, head in await self._connection.fetch(READ_SHARDS):
            if self._task.archive:
                await archiver.archive(self._connection, shard, archived, head, now_ms)
            if self._task.prune:
                await pruner.prune(self._connection, shard, now_ms)

    async def _pause(self) -> bool:
        """Rest after work, in proportion to it; False when the run's time is over."""
        worked_s = time.monotonic() - self._resumed_s
        if self._task.rest:
            await asyncio.sleep(worked_s * self._task.rest)
        self._resumed_s = time.monotonic()
        return self._resumed_s - self._started_s < self._task.seconds_max

    async def _forget_abandoned_rebuilds(self) -> None:
        """A rebuild that died would hold back every shard for ever; the next one begins anew anyway."""
        for row in await self._connection.fetch(READ_REBUILDS):
            name = row["projection"].removesuffix("@rebuild")
            if await self._connection.fetchval(TRY_REBUILD, name):
                await self._connection.execute(FORGET_POSITIONS, row["projection"])
                await self._connection.execute(END_REBUILD, name)

    async def _finish(self) -> Report:
        report = self._tally.report()
        reason = "; ".join(f"{problem.code} {problem.detail}".strip() for problem in report.problems[:10])
        held = msgspec.json.encode(report.held).decode()
        await self._connection.execute(SAVE_REPORT, report.archived, report.pruned, reason[:1000], held)
        return report
