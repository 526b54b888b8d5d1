"""kill -9 of an upkeep at every step, and then again: nothing is lost, nothing is there twice."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from actors.owners.remembering import OwnersMemory
from actors.storage.audit import audit
from actors.storage.projections.rebuild import rebuild
from actors.storage.upkeep.report import Task
from actors.storage.upkeep.upkeep import upkeep

pytestmark = pytest.mark.slow

RUN = """
import asyncio, os, signal, sys
from pathlib import Path
from actors.owners.remembering import OwnersMemory
from actors.storage.upkeep.report import Task
from actors.storage.upkeep.upkeep import upkeep

url, lake, what, times = sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
seen = 0

def tell(step):
    global seen
    seen += step.what == what
    if seen == times:
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(upkeep(url, lake, OwnersMemory(), Task(everything=True, keep_ms=0), tell))
"""
STEPS = ("written", "renamed", "verified", "archived", "meta", "snapshots", "deleting", "pruned")


async def killed_at(url: str, lake: Path, what: str, times: int) -> int:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", RUN, url, str(lake), what, str(times))
    return await process.wait()


async def totals(db: Any) -> dict[str, list[Any]]:
    tables = ("stock_level", "quota_level", "ledger_entry", "payment")
    return {table: sorted(tuple(row) for row in await db.fetch(f"SELECT * FROM {table}")) for table in tables}


@pytest.mark.parametrize("what", STEPS)
async def test_after_a_kill_at_any_step_the_books_balance_and_the_next_run_ends_the_work(
    what: str, busy_url: str, tmp_path: Path, eventually: Any
) -> None:
    db = await asyncpg.connect(busy_url)
    before, tables = await audit(busy_url), await totals(db)
    records, lake = await db.fetchval("SELECT count(*) FROM journal"), tmp_path / "lake"
    for times in (1, 2):
        assert await killed_at(busy_url, lake, what, times) == -signal.SIGKILL
        # PostgreSQL notices that the process is gone, and ends what it had begun.
        await eventually(lambda: db.fetchval("SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'stampede upkeep'"))
        report = await audit(busy_url, lake=lake)
        assert (report.findings, report.counts["records"]) == ((), records)
    report_of_run = await upkeep(busy_url, lake, OwnersMemory(), Task(everything=True, keep_ms=0))
    assert (report_of_run.problems, report_of_run.held) == ((), {})
    assert await db.fetchval("SELECT count(*) FROM journal") == 0
    assert await db.fetchval("SELECT sum(rows) FROM journal_archive") == records
    listed = sorted(row["file"] for row in await db.fetch("SELECT file FROM journal_archive"))
    assert sorted(str(path.relative_to(lake)) for path in lake.glob("journal/*/*")) == listed
    after = await audit(busy_url, lake=lake)
    assert (after.findings, after.counts) == ((), {**before.counts, "archived": records})
    await rebuild(busy_url, "orders", lake=lake)
    assert await totals(db) == tables
    await db.close()
