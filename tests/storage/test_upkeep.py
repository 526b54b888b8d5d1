"""Old records leave for the archive and are pruned, and nobody who reads the journal notices."""

import asyncio
import os
import resource
import shutil
import signal
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from actors.owners.remembering import OwnersMemory
from actors.storage.audit import audit
from actors.storage.bulk import AlreadyStocked, bulk_put_in
from actors.storage.projections.follower import Follower
from actors.storage.projections.groups import GROUPS
from actors.storage.projections.rebuild import RebuildFailed, rebuild
from actors.storage.upkeep.archiving import WAIT_MS_MAX
from actors.storage.upkeep.lake import Lake
from actors.storage.upkeep.report import Problem, Report, Task
from actors.storage.upkeep.status import JournalStatus, journal_status, lake_status, metrics_text
from actors.storage.upkeep.upkeep import upkeep
from schemas.ids import derived_id
from schemas.stock import PutIn

pytestmark = pytest.mark.slow

ALL = Task(everything=True, keep_ms=0)
TABLES = ("orders", "payment", "stock_level", "quota_level", "ledger_entry", "revoked_session", "sale_state")


async def keep(url: str, lake: Path, task: Task = ALL, **more: Any) -> Report:
    return await upkeep(url, lake, OwnersMemory(), task, **more)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return tmp_path / "lake"


@pytest.fixture
async def db(busy_url: str) -> AsyncIterator[Any]:
    """The busy shop's database, whose owners are gone."""
    connection = await asyncpg.connect(busy_url)
    yield connection
    await connection.close()


def files_in(lake: Path) -> list[str]:
    return sorted(str(path.relative_to(lake)) for path in lake.glob("journal/*/*"))


async def contents(db: Any) -> dict[str, list[Any]]:
    """All rows of what people query."""
    return {table: sorted(tuple(row) for row in await db.fetch(f"SELECT * FROM {table}")) for table in TABLES}


# --- the whole cycle ------------------------------------------------------------------------------


async def test_everything_that_rests_is_archived_and_pruned_and_the_books_still_balance(busy_url: str, db: Any, lake: Path) -> None:
    before = await audit(busy_url)
    records = await db.fetchval("SELECT count(*) FROM journal")
    report = await keep(busy_url, lake)
    assert (report.problems, report.held, report.archived, report.pruned) == ((), {}, records, records)
    assert await db.fetchval("SELECT count(*) FROM journal") == 0
    after = await audit(busy_url, lake=lake)
    assert after.findings == ()
    assert after.counts == {**before.counts, "archived": records}
    assert [row["file"] for row in await db.fetch("SELECT file FROM journal_archive ORDER BY file")] == files_in(lake)
    assert report.files == len(files_in(lake))
    assert stat.S_IMODE(os.stat(lake).st_mode) == 0o700


async def test_a_second_upkeep_finds_nothing_to_do(busy_url: str, lake: Path) -> None:
    assert (await keep(busy_url, lake)).archived > 0
    assert await keep(busy_url, lake) == Report()


async def test_a_rebuild_from_the_archive_fills_the_tables_as_they_were(busy_url: str, db: Any, lake: Path) -> None:
    before = await contents(db)
    heads = await db.fetch("SELECT shard, head_seq FROM shard_owner ORDER BY shard")
    assert all(before.values())
    await keep(busy_url, lake)
    assert await rebuild(busy_url, "orders", lake=lake) == sum(row["head_seq"] for row in heads)
    assert await contents(db) == before
    assert await db.fetch("SELECT shard, seq AS head_seq FROM projection_position WHERE projection = 'orders' ORDER BY shard") == heads


async def test_a_rebuild_reads_the_archive_and_then_what_the_journal_still_has(busy_url: str, db: Any, lake: Path) -> None:
    before = await contents(db)
    # Half of each shard is young.
    await db.execute("UPDATE journal j SET at_ms = at_ms + 864000000 FROM shard_owner o WHERE o.shard = j.shard AND j.seq > o.head_seq / 2")
    report = await keep(busy_url, lake)
    assert 0 < report.pruned < report.archived
    await rebuild(busy_url, "orders", lake=lake)
    assert {**await contents(db), "orders": 0} == {**before, "orders": 0}


async def test_a_rebuild_that_cannot_read_the_archive_fails_and_leaves_the_tables_alone(busy_url: str, db: Any, lake: Path) -> None:
    before = await contents(db)
    await keep(busy_url, lake)
    with pytest.raises(RebuildFailed, match="in the archive alone"):
        await rebuild(busy_url, "orders")
    (lake / files_in(lake)[0]).write_bytes(b"no")
    with pytest.raises(RebuildFailed, match=files_in(lake)[0]):
        await rebuild(busy_url, "orders", lake=lake)
    assert await contents(db) == before


async def test_orders_go_on_while_the_journal_is_pruned_behind_them(
    shop: Any, whole_follower: Follower, connection: Any, lake: Path
) -> None:
    await shop.put_in("sku_1#0", 5000)
    stop = asyncio.Event()
    reports: list[Report] = []

    async def keep_it() -> None:
        while not stop.is_set():
            await whole_follower.step()
            reports.append(await keep(shop.url, lake))

    keeping = asyncio.ensure_future(keep_it())
    for round_number in range(400):
        if round_number > 8 and sum(report.pruned > 0 for report in reports) > 4:
            break
        answers = await asyncio.gather(*(shop.order(f"usr_{number}", "sku_1", "sku_2") for number in range(12)))
        assert {answer.code for answer in answers} == {"sold_out"}
        answers = await asyncio.gather(*(shop.order(f"usr_{round_number}_{number}", "sku_1") for number in range(12)))
        assert {answer.code for answer in answers} == {""}
        for host in shop.hosts:
            # Whoever comes next is read from its snapshot, which the upkeep wrote.
            host.passivate(keep=0, idle_ms=0)
    await shop.settled()
    stop.set()
    await keeping
    while await whole_follower.step():
        pass
    reports.append(await keep(shop.url, lake))
    assert [problem for report in reports for problem in report.problems] == []
    assert sum(report.pruned > 0 for report in reports) > 4
    before = await contents(connection)
    found = await audit(shop.url, lake=lake)
    assert (found.findings, found.counts["orders"] >= 96) == ((), True)
    await rebuild(shop.url, "orders", lake=lake)
    assert await contents(connection) == before


# --- owners after pruning -------------------------------------------------------------------------


async def ask(shop: Any, command: Any, name: str, digest: bytes = b"d") -> Any:
    deadline_ms = shop.clock.now_ms() + 15_000
    return await shop.client.ask("stock", "sku_1#0", command, command_id=derived_id("t", name), digest=digest, deadline_ms=deadline_ms)


async def everything_pruned(shop: Any, whole_follower: Follower, connection: Any, lake: Path) -> None:
    await shop.settled()
    while await whole_follower.step():
        pass
    await keep(shop.url, lake)
    assert await connection.fetchval("SELECT count(*) FROM journal") == 0


async def test_a_repeated_command_gets_its_first_answer_after_its_record_was_pruned(
    shop: Any, whole_follower: Follower, connection: Any, lake: Path
) -> None:
    first = await ask(shop, PutIn(quantity=5), "put")
    await ask(shop, PutIn(quantity=7), "put more")
    await everything_pruned(shop, whole_follower, connection, lake)
    for host in shop.hosts:
        host.passivate(keep=0, idle_ms=0)
        assert sum(len(shard.cells) for shard in host.shards.values()) == 0
    again = await ask(shop, PutIn(quantity=5), "put")
    assert (again.code, again.reply) == ("", first.reply)
    assert (await ask(shop, PutIn(quantity=6), "put", b"other")).code == "idempotency_key_reused"
    assert await connection.fetchval("SELECT count(*) FROM journal") == 0
    assert (await ask(shop, PutIn(quantity=1), "third")).reply.available == 13


async def test_a_shard_whose_whole_journal_was_pruned_is_taken_over_with_all_its_entities(
    shop: Any, whole_follower: Follower, connection: Any, lake: Path
) -> None:
    await ask(shop, PutIn(quantity=5), "put")
    await everything_pruned(shop, whole_follower, connection, lake)
    number = shop.sharding.shard("stock", "sku_1#0")
    [owner] = [host for host in shop.hosts if number in host.shards]
    [other] = [host for host in shop.hosts if host is not owner]
    shard = owner.shards[number]
    await owner.hand_over(shard)
    await shop.boards[0].release(owner.name, {number: shard.epoch})
    await shop.until(lambda: number in other.shards or number in owner.shards)
    assert (await ask(shop, PutIn(quantity=1), "after")).reply.available == 6
    row = await connection.fetchrow("SELECT seq, version FROM journal")
    assert tuple(row) == (await connection.fetchval("SELECT head_seq FROM shard_owner WHERE shard = $1", number), 2)


async def test_an_entity_that_lost_its_snapshot_after_pruning_refuses_and_does_not_begin_anew(
    shop: Any, whole_follower: Follower, connection: Any, lake: Path
) -> None:
    await ask(shop, PutIn(quantity=5), "put")
    await everything_pruned(shop, whole_follower, connection, lake)
    await connection.execute("DELETE FROM snapshot WHERE kind = 'stock'")
    for host in shop.hosts:
        host.passivate(keep=0, idle_ms=0)
    assert (await ask(shop, PutIn(quantity=1), "after")).code == "internal_error"
    assert await connection.fetchval("SELECT count(*) FROM journal") == 0
    found = await audit(shop.url, lake=lake)
    assert {name for finding in found.findings for name in finding.ids} >= {"sku_1#0"}


async def test_initial_stock_is_refused_for_a_part_whose_records_are_in_the_archive_alone(
    shop: Any, whole_follower: Follower, connection: Any, lake: Path
) -> None:
    await ask(shop, PutIn(quantity=5), "put")
    await everything_pruned(shop, whole_follower, connection, lake)
    with pytest.raises(AlreadyStocked, match="sku_1#0"):
        await bulk_put_in(connection, shop.sharding, [("sku_1#0", 5)], 1)


async def test_a_new_group_of_projections_stops_before_the_pruned_records_until_it_is_rebuilt(busy_url: str, db: Any, lake: Path) -> None:
    await keep(busy_url, lake)
    follower = Follower(busy_url, {"later": GROUPS["orders"]})
    assert await follower.step() == 0
    reasons = {row["reason"] for row in await db.fetch("SELECT reason FROM projection_stop WHERE projection = 'later'")}
    assert reasons == {"record 1 is not in the journal"}
    await follower.close()


# --- what is due, and what is not -----------------------------------------------------------------


async def test_a_quiet_shard_is_archived_after_a_day_and_a_busy_one_when_a_file_is_full(busy_url: str, db: Any, lake: Path) -> None:
    assert (await keep(busy_url, lake, Task())).archived == 0
    shard, head = await db.fetchrow("SELECT shard, head_seq FROM shard_owner WHERE head_seq > 3 LIMIT 1")
    await db.execute("UPDATE journal SET at_ms = at_ms - $2 WHERE shard = $1 AND seq = 1", shard, WAIT_MS_MAX)
    report = await keep(busy_url, lake, Task())
    assert (report.archived, report.pruned) == (head, 0)
    assert files_in(lake) == [f"journal/shard={shard:03d}/{1:012d}-{head:012d}.parquet"]
    other = await db.fetchval("SELECT shard FROM shard_owner WHERE head_seq > 3 AND shard <> $1 LIMIT 1", shard)
    await db.execute(
        "INSERT INTO journal SELECT $1, n, n, 1, 0, 'cart', 'usr_x', ''::bytea, ''::bytea, ''::bytea FROM"
        " generate_series((SELECT head_seq + 1 FROM shard_owner WHERE shard = $1), 41000) n",
        other,
    )
    await db.execute("UPDATE journal SET at_ms = 4102444800000 WHERE shard = $1", other)
    await db.execute("UPDATE shard_owner SET head_seq = 41000 WHERE shard = $1", other)
    report = await keep(busy_url, lake, Task(prune=False))
    assert (report.archived, report.files) == (40_000, 2)


async def test_a_run_ends_when_its_time_is_over_and_the_next_one_goes_on(busy_url: str, lake: Path) -> None:
    assert (await keep(busy_url, lake, Task(everything=True, keep_ms=0, seconds_max=0))).archived == 0
    assert (await keep(busy_url, lake)).archived > 0


async def test_two_upkeeps_at_once_are_one(busy_url: str, db: Any, lake: Path) -> None:
    assert await db.fetchval("SELECT pg_try_advisory_lock(7272)")
    assert (await keep(busy_url, lake)).problems == (Problem(code="busy"),)
    assert await db.fetchval("SELECT count(*) FROM journal_upkeep") == 0


async def test_a_lake_of_another_database_is_never_written_to(busy_url: str, db: Any, lake: Path) -> None:
    await keep(busy_url, lake)
    files = files_in(lake)
    await db.execute("UPDATE cluster SET hash_secret = 'another'")
    await db.execute("UPDATE shard_owner SET head_seq = head_seq + 1")
    assert (await keep(busy_url, lake)).problems == (Problem(code="lake_foreign", detail=str(lake)),)
    assert files_in(lake) == files


async def test_a_lake_that_went_away_is_not_begun_anew(busy_url: str, db: Any, lake: Path) -> None:
    await keep(busy_url, lake)
    shutil.move(lake, lake.with_name("moved"))
    report = await keep(busy_url, lake)
    assert report.problems == (Problem(code="lake_lost", detail=str(lake)),)
    assert files_in(lake) == []
    assert (await journal_status(db)).last.reason == f"lake_lost {lake}"  # type: ignore[union-attr]


async def test_a_lake_that_cannot_be_written_is_a_problem_and_nothing_is_pruned(busy_url: str, tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    report = await keep(busy_url, in_the_way)
    assert [problem.code for problem in report.problems] == ["lake_unwritable"]
    assert (report.archived, report.pruned) == (0, 0)


async def test_a_disk_that_fills_up_leaves_no_half_file_and_the_next_run_goes_on(busy_url: str, db: Any, lake: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        # No file may grow beyond this; the mark of the lake is smaller, Parquet files are not.
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))
        report = await keep(busy_url, lake)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert [problem.code for problem in report.problems] == ["lake_unwritable"]
    assert (files_in(lake), report.archived, report.pruned) == ([], 0, 0)
    assert (await keep(busy_url, lake)).problems == ()
    assert await db.fetchval("SELECT count(*) FROM journal") == 0


# --- what is deleted is what is kept --------------------------------------------------------------


async def archived(url: str, lake: Path) -> None:
    assert (await keep(url, lake, Task(everything=True, prune=False))).problems == ()


async def test_a_record_that_differs_from_the_archive_is_not_deleted(busy_url: str, db: Any, lake: Path) -> None:
    await archived(busy_url, lake)
    shard, head = await db.fetchrow("SELECT shard, head_seq FROM shard_owner WHERE head_seq > 3 LIMIT 1")
    await db.execute("UPDATE journal SET at_ms = at_ms - 1 WHERE shard = $1 AND seq = 3", shard)
    report = await keep(busy_url, lake)
    assert [(problem.code, problem.shard) for problem in report.problems] == [("records_differ", shard)]
    assert report.problems[0].detail.endswith("parquet: 3")
    assert await db.fetchval("SELECT count(*) FROM journal WHERE shard = $1", shard) == head
    assert await db.fetchval("SELECT count(*) FROM journal WHERE shard <> $1", shard) == 0


@pytest.mark.parametrize("harm", ["missing", "altered", "cut"])
async def test_behind_a_file_that_is_damaged_nothing_is_deleted(harm: str, busy_url: str, db: Any, lake: Path) -> None:
    await archived(busy_url, lake)
    name = files_in(lake)[0]
    data = (lake / name).read_bytes()
    (lake / name).unlink()
    if harm != "missing":
        (lake / name).write_bytes(data[:-1] if harm == "cut" else data[:60] + bytes([data[60] ^ 1]) + data[61:])
    report = await keep(busy_url, lake, Task(archive=False, keep_ms=0))
    shard = int(name[14:17])
    assert [(problem.code, problem.shard) for problem in report.problems] == [("file_damaged", shard)]
    assert name in report.problems[0].detail
    assert await db.fetchval("SELECT count(DISTINCT shard) FROM journal") == 1
    (lake / name).write_bytes(data)
    assert (await keep(busy_url, lake)).problems == ()
    assert await db.fetchval("SELECT count(*) FROM journal") == 0


async def test_a_record_that_is_lost_is_not_archived_over(busy_url: str, db: Any, lake: Path) -> None:
    shard = await db.fetchval("SELECT shard FROM shard_owner WHERE head_seq > 3 LIMIT 1")
    await db.execute("DELETE FROM journal WHERE shard = $1 AND seq = 2", shard)
    report = await keep(busy_url, lake)
    assert report.problems == (Problem(code="journal_gap", shard=shard, detail="2"),)
    assert await db.fetchval("SELECT archived_seq FROM journal_kept WHERE shard = $1", shard) == 0


async def test_a_file_that_nobody_listed_is_set_aside_and_written_anew(busy_url: str, db: Any, lake: Path) -> None:
    await archived(busy_url, lake)
    shard = await db.fetchval("SELECT min(shard) FROM journal_archive")
    await db.execute("DELETE FROM journal_archive WHERE shard = $1", shard)
    await db.execute("UPDATE journal_kept SET archived_seq = 0 WHERE shard = $1", shard)
    (lake / f"journal/shard={shard:03d}/_x.parquet.draft").write_bytes(b"half")
    (lake / f"journal/shard={shard:03d}/000000000001-000000000002.parquet").write_bytes(b"an older try")
    assert (await keep(busy_url, lake)).problems == ()
    assert [row["file"] for row in await db.fetch("SELECT file FROM journal_archive ORDER BY file")] == files_in(lake)
    assert len(os.listdir(lake / "_set_aside")) == 2


# --- what is said ---------------------------------------------------------------------------------


async def test_the_status_counts_what_is_in_the_table_in_the_archive_and_pruned(busy_url: str, db: Any, lake: Path) -> None:
    records = await db.fetchval("SELECT count(*) FROM journal")
    assert await journal_status(db) == JournalStatus(rows=records, archived=0, pruned=0, last=None)
    await keep(busy_url, lake, Task(everything=True, keep_ms=864_000_000))
    found = await journal_status(db)
    assert (found.rows, found.archived, found.pruned) == (records, records, 0)
    assert found.last is not None
    assert (found.last.archived, found.last.pruned, found.last.reason) == (records, 0, "")
    assert found.last.held == {"horizon": await db.fetchval("SELECT count(*) FROM shard_owner WHERE head_seq > 0")}
    assert (await lake_status(db)).files == len(files_in(lake))
    text = metrics_text(found)
    assert f"stampede_journal_rows {records}\n" in text
    assert f"stampede_journal_archived_records {records}\n" in text
    assert "stampede_journal_pruned_records 0\n" in text
    assert "stampede_journal_upkeep_failed 0\n" in text


async def test_the_archive_can_be_read_by_its_path_and_by_day(busy_url: str, db: Any, lake: Path) -> None:
    import polars

    await archived(busy_url, lake)
    found = (
        polars.scan_parquet(lake / "journal/**/*.parquet", hive_partitioning=True).select("shard", "seq", "kind", "key", "at_ms").collect()
    )
    rows = await db.fetch("SELECT shard, seq, kind, key, at_ms FROM journal ORDER BY shard, seq")
    assert found.sort("shard", "seq").rows() == [tuple(row) for row in rows]


def test_a_file_proves_every_value_that_is_in_it(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    records: list[Any] = [(1, 1, 5, 0, "cart", "usr_é", b"", b"\0\xff", b""), (2, 2, 6, 2**60, "order", "usr_2", b"id", b"", b"meta")]
    file = lake.write(300, records, lambda what: None)
    assert (file.rows, file.first_seq, file.last_seq, lake.read(file)) == (2, 1, 2, records)
