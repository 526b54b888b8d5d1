"""What the journal promises, on a real PostgreSQL: fenced, all or nothing, and never a false "not done"."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from actors.domain.kinds import Body, encoder, pack_state
from actors.domain.stock import StockState
from actors.ports.journal import Fence, Row, ShardMeta, Snapshot, StorageUnknown
from actors.storage.board import PostgresBoard
from actors.storage.connect import Link, UnsafeDatabase, check_durable, known, open_pool
from actors.storage.embedded.postgres import EmbeddedPostgres
from actors.storage.journal import PostgresJournal
from actors.storage.migrate import found_cluster, migrate
from schemas.stock import StockPutIn


def row(shard: int, seq: int, *, version: int | None = None, key: str = "", **more: Any) -> Row:
    values: dict[str, Any] = {
        "kind": "stock",
        "key": key or f"sku_{shard}#0",
        "version": seq if version is None else version,
        "command_id": b"c%d" % seq,
        "at_ms": 1000 + seq,
        "wake_ms": 0,
        "body": encoder.encode(Body([StockPutIn(quantity=1)])),
    }
    return Row(shard=shard, seq=seq, **(values | more))


def fence(shard: int, head: int, new_head: int, epoch: int = 1) -> Fence:
    return Fence(shard=shard, epoch=epoch, head=head, new_head=new_head)


@pytest.fixture
async def journal(database_url: str, connection: Any) -> AsyncIterator[PostgresJournal]:
    await connection.execute("UPDATE shard_owner SET epoch = 1, host = 'h1'")
    journal = PostgresJournal(database_url, "h1")
    yield journal
    await journal.close()


async def heads(connection: Any) -> dict[int, int]:
    return {item["shard"]: item["head_seq"] for item in await connection.fetch("SELECT * FROM shard_owner WHERE head_seq > 0")}


async def written(connection: Any) -> list[tuple[int, int]]:
    return [tuple(item) for item in await connection.fetch("SELECT shard, seq FROM journal ORDER BY shard, seq")]


async def test_a_batch_of_several_shards_is_written_with_their_heads(journal: PostgresJournal, connection: Any) -> None:
    assert await journal.append([fence(1, 0, 2), fence(3, 0, 1)], [row(1, 1), row(1, 2), row(3, 1)])
    assert await written(connection) == [(1, 1), (1, 2), (3, 1)]
    assert await heads(connection) == {1: 2, 3: 1}


async def test_a_row_is_read_back_as_it_was_written(journal: PostgresJournal, connection: Any) -> None:
    wrote = row(2, 1, wake_ms=77, meta=b"meta", command_id=b"\0\xff")
    assert await journal.append([fence(2, 0, 1)], [wrote])
    [loaded] = await journal.load([(2, "stock", "sku_2#0")])
    assert loaded.snapshot is None
    assert loaded.rows == [Row(**{name: getattr(wrote, name) for name in wrote.__struct_fields__ if name != "meta"})]
    recovered = await journal.recover(2, 1)
    assert [(item.key, item.wake_ms, item.meta) for item in recovered.tail] == [("sku_2#0", 77, b"meta")]


@pytest.mark.parametrize(
    "stale",
    [
        pytest.param(fence(1, 0, 1, epoch=0), id="an epoch that has passed"),
        pytest.param(fence(1, 0, 1, epoch=2), id="an epoch that has not come"),
        pytest.param(fence(1, 5, 6), id="a head that is not reached"),
        pytest.param(fence(99, 0, 1), id="a shard that does not exist"),
    ],
)
async def test_a_batch_with_one_fence_that_does_not_hold_writes_nothing_anywhere(
    stale: Fence, journal: PostgresJournal, connection: Any
) -> None:
    assert not await journal.append([fence(0, 0, 1), stale], [row(0, 1), row(stale.shard, stale.new_head)])
    assert await written(connection) == []
    assert await heads(connection) == {}


async def test_f27_a_database_that_went_back_in_time_takes_no_write(journal: PostgresJournal, connection: Any) -> None:
    assert await journal.append([fence(1, 0, 2)], [row(1, 1), row(1, 2)])
    # As after a failover to a standby that had not received the last record.
    await connection.execute("DELETE FROM journal WHERE shard = 1 AND seq = 2")
    await connection.execute("UPDATE shard_owner SET head_seq = 1 WHERE shard = 1")
    assert not await journal.append([fence(1, 2, 3)], [row(1, 3)])
    assert await written(connection) == [(1, 1)]


async def test_f27_a_tail_with_a_gap_is_never_taken_for_a_history(journal: PostgresJournal, connection: Any) -> None:
    assert await journal.append([fence(1, 0, 3)], [row(1, 1), row(1, 2), row(1, 3)])
    await connection.execute("DELETE FROM journal WHERE shard = 1 AND seq = 2")
    with pytest.raises(AssertionError, match="gap"):
        await journal.recover(1, 3)


async def test_f07_of_two_owners_that_start_at_once_one_can_commit(database_url: str, connection: Any) -> None:
    boards = [PostgresBoard(database_url, name) for name in ("h1", "h2")]
    for board, name in zip(boards, ("h1", "h2"), strict=True):
        await board.join(name, name)
    taken = await asyncio.gather(*(board.claim(name, {1: 0}) for board, name in zip(boards, ("h1", "h2"), strict=True)))
    assert sorted(map(len, taken)) == [0, 1]
    [epoch] = [found[1][0] for found in taken if found]
    journals = [PostgresJournal(database_url, name) for name in ("h1", "h2")]
    # The loser believes that it won the step before.
    epochs = [epoch if found else epoch - 1 for found in taken]
    outcomes = await asyncio.gather(
        *(journal.append([fence(1, 0, 1, epoch=own)], [row(1, 1)]) for journal, own in zip(journals, epochs, strict=True))
    )
    assert outcomes == [bool(found) for found in taken]
    assert await written(connection) == [(1, 1)]
    for closing in (*boards, *journals):
        await closing.close()


async def test_a_plan_that_is_written_on_the_row_meanwhile_does_not_break_a_flush(
    journal: PostgresJournal, database_url: str, connection: Any, eventually: Any
) -> None:
    """The row is updated by another transaction while the flush waits for it: the fence is judged by the newest version."""
    await journal.append([fence(1, 0, 1)], [row(1, 1)])
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("UPDATE shard_owner SET target = 'h2' WHERE shard = 1")
    flush = asyncio.ensure_future(journal.append([fence(1, 1, 2)], [row(1, 2)]))
    onlooker = await asyncpg.connect(database_url)
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'stampede h1 flush' AND wait_event_type = 'Lock'"
    await eventually(lambda: onlooker.fetchval(waiting))
    await transaction.commit()
    assert await flush
    assert await written(onlooker) == [(1, 1), (1, 2)]
    assert tuple(await onlooker.fetchrow("SELECT head_seq, target FROM shard_owner WHERE shard = 1")) == (2, "h2")
    await onlooker.close()


async def test_a_takeover_that_happens_while_a_flush_waits_makes_it_write_nothing(
    journal: PostgresJournal, database_url: str, connection: Any, eventually: Any
) -> None:
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("UPDATE shard_owner SET epoch = 2 WHERE shard = 1")
    flush = asyncio.ensure_future(journal.append([fence(0, 0, 1), fence(1, 0, 1)], [row(0, 1), row(1, 1)]))
    onlooker = await asyncpg.connect(database_url)
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'stampede h1 flush' AND wait_event_type = 'Lock'"
    await eventually(lambda: onlooker.fetchval(waiting))
    await transaction.commit()
    assert not await flush
    assert await written(onlooker) == []
    assert await heads(onlooker) == {}
    await onlooker.close()


@pytest.mark.slow
async def test_f26_batches_that_cross_each_other_are_written_or_refused_and_never_deadlock(database_url: str, connection: Any) -> None:
    await connection.execute("UPDATE shard_owner SET epoch = 1")
    journals = [PostgresJournal(database_url, f"h{number}") for number in range(3)]
    for head in range(60):
        rows = [row(1, head + 1), row(2, head + 1)]
        fences = [fence(1, head, head + 1), fence(2, head, head + 1)]
        outcomes = await asyncio.gather(
            journals[0].append(fences, rows), journals[1].append(fences[::-1], rows[::-1]), journals[2].append(fences, rows)
        )
        assert sorted(outcomes) == [False, False, True]
    assert await heads(connection) == {1: 60, 2: 60}
    for journal in journals:
        await journal.close()


@pytest.mark.parametrize("lost", [asyncpg.InternalClientError, asyncpg.InterfaceError, asyncpg.AdminShutdownError, EOFError, OSError])
async def test_f22_whatever_a_lost_server_raises_is_an_unknown_and_the_connection_is_made_anew(
    lost: type[Exception], database_url: str
) -> None:
    link = Link(database_url, "test")

    async def fail(connection: Any) -> None:
        raise lost("the server is gone")

    pid = await link.run(lambda connection: connection.fetchval("SELECT pg_backend_pid()"))
    with pytest.raises(StorageUnknown):
        await link.run(fail)
    assert await link.run(lambda connection: connection.fetchval("SELECT pg_backend_pid()")) != pid
    await link.close()


@pytest.mark.parametrize("frozen", ["before", "during"])
async def test_f22_a_connection_that_is_cut_leaves_an_unknown_and_the_next_owner_finds_out(
    frozen: str, journal: PostgresJournal, database_url: str, connection: Any, eventually: Any
) -> None:
    await journal.append([fence(1, 0, 1)], [row(1, 1)])
    holder = connection.transaction()
    await holder.start()
    if frozen == "during":
        await connection.execute("SELECT 1 FROM shard_owner WHERE shard = 1 FOR UPDATE")
    onlooker = await asyncpg.connect(database_url)
    kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'stampede h1 flush'"
    if frozen == "before":
        await onlooker.execute(kill)
    flush = asyncio.ensure_future(journal.append([fence(1, 1, 2)], [row(1, 2)]))
    if frozen == "during":
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'stampede h1 flush' AND wait_event_type = 'Lock'"
        await eventually(lambda: onlooker.fetchval(waiting))
        await onlooker.execute(kill)
    if frozen == "during":
        with pytest.raises(StorageUnknown):
            await flush
    else:
        with contextlib.suppress(StorageUnknown):  # unless the end of the connection was heard of before the flush
            assert await flush
    await holder.rollback()
    # Taking the shard again ends what may still be under way; then the head says what was.
    await onlooker.execute("UPDATE shard_owner SET epoch = epoch + 1 WHERE shard = 1")
    epoch, head = await onlooker.fetchrow("SELECT epoch, head_seq FROM shard_owner WHERE shard = 1")
    assert [item.seq for item in (await journal.recover(1, head)).tail] == list(range(1, head + 1))
    assert await journal.append([fence(1, head, head + 1, epoch=epoch)], [row(1, head + 1)])
    assert await written(onlooker) == [(1, seq) for seq in range(1, head + 2)]
    await onlooker.close()


async def test_a_flush_whose_caller_leaves_gives_its_connection_up(journal: PostgresJournal, connection: Any) -> None:
    holder = connection.transaction()
    await holder.start()
    await connection.execute("SELECT 1 FROM shard_owner WHERE shard = 1 FOR UPDATE")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(journal.append([fence(1, 0, 1)], [row(1, 1)]), 0.05)
    await holder.rollback()
    await connection.execute("UPDATE shard_owner SET epoch = 2 WHERE shard = 1")
    head = (await heads(connection)).get(1, 0)
    assert await journal.append([fence(1, head, head + 1, epoch=2)], [row(1, head + 1)])


async def test_a_snapshot_and_the_records_after_it_come_in_one_view(journal: PostgresJournal) -> None:
    await journal.append([fence(1, 0, 4)], [row(1, seq) for seq in range(1, 5)])
    taken = Snapshot(shard=1, kind="stock", key="sku_1#0", version=3, seq=3, data=pack_state(StockState(key="sku_1#0"), {}))
    await journal.save_snapshots({1: 1}, [taken])
    loaded, new = await journal.load([(1, "stock", "sku_1#0"), (1, "stock", "sku_none#0")])
    assert loaded.snapshot == taken
    assert [item.version for item in loaded.rows] == [4]
    assert (new.snapshot, new.rows) == (None, [])


async def test_a_snapshot_never_replaces_a_later_one_and_only_an_owner_writes_one(journal: PostgresJournal, connection: Any) -> None:
    await journal.append([fence(1, 0, 4)], [row(1, seq) for seq in range(1, 5)])

    def at(version: int) -> Snapshot:
        return Snapshot(shard=1, kind="stock", key="sku_1#0", version=version, seq=version, data=b"%d" % version)

    await journal.save_snapshots({1: 1}, [at(3)])
    await journal.save_snapshots({1: 1}, [at(2)])
    await journal.save_snapshots({1: 0}, [at(4)])
    assert await connection.fetchval("SELECT data FROM snapshot") == b"3"
    ahead = Snapshot(shard=1, kind="stock", key="sku_1#0", version=9, seq=9, data=b"9")
    await journal.save_snapshots({1: 1}, [ahead])
    assert await connection.fetchval("SELECT data FROM snapshot") == b"3"


async def test_a_shards_meta_is_kept_by_its_owner_alone_and_goes_forward(journal: PostgresJournal, connection: Any) -> None:
    await journal.append([fence(1, 0, 4)], [row(1, seq) for seq in range(1, 5)])
    for epoch, seq in ((1, 2), (1, 1), (0, 3), (1, 9)):
        await journal.save_meta(1, epoch, ShardMeta(seq=seq, data=b"%d" % seq))
    recovered = await journal.recover(1, 4)
    assert recovered.meta == ShardMeta(seq=2, data=b"2")
    assert [item.seq for item in recovered.tail] == [3, 4]


async def test_two_histories_of_one_entity_cannot_both_be_written(journal: PostgresJournal, connection: Any) -> None:
    await journal.append([fence(1, 0, 1)], [row(1, 1)])
    with pytest.raises(StorageUnknown):
        await journal.append([fence(2, 0, 1)], [row(2, 1, key="sku_1#0", version=1)])
    assert await written(connection) == [(1, 1)]
    assert await heads(connection) == {1: 1}


@pytest.mark.slow
async def test_f25_a_lock_of_a_hung_owner_is_gone_after_a_second_and_the_takeover_goes_on(database_url: str, connection: Any) -> None:
    await connection.execute("UPDATE shard_owner SET epoch = 1, host = 'hung'")
    hung = PostgresJournal(database_url, "hung")
    locked = asyncio.Event()

    async def hang(own: Any) -> None:
        await own.execute("BEGIN")
        await own.execute("SELECT 1 FROM shard_owner WHERE shard = 1 FOR UPDATE")
        locked.set()
        await asyncio.Event().wait()

    hanging = asyncio.ensure_future(hung._flushes.run(hang))
    await locked.wait()
    board = PostgresBoard(database_url, "h2")
    await board.join("h2", "h2")
    async with asyncio.timeout(4):
        assert await board.claim("h2", {1: 1}) == {1: (2, 0)}
    hanging.cancel()
    await board.close()


@pytest.mark.slow
async def test_f29_a_server_that_may_lose_acknowledged_commits_is_refused(connection: Any, tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path / "server") as server:
        safe = await asyncpg.connect(server.url)
        await check_durable(safe)
        await safe.close()
        careless = await asyncpg.connect(server.url, server_settings={"synchronous_commit": "off"})
        with pytest.raises(UnsafeDatabase, match="synchronous_commit = off"):
            await check_durable(careless)
        await careless.close()
    with pytest.raises(UnsafeDatabase, match="fsync = off"):
        await check_durable(connection)


@pytest.mark.slow
async def test_f28_a_reader_waits_for_a_free_connection_no_longer_than_it_may(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.storage.connect.ANSWER_TIMEOUT_S", 0.1)
    pool = await open_pool(database_url, size=1)
    async with pool.acquire():
        with pytest.raises(StorageUnknown):
            await known(pool.fetchval("SELECT 1"))
    assert await known(pool.fetchval("SELECT 1")) == 1
    await pool.close()


@pytest.mark.slow
async def test_f21_orders_under_immediate_restarts_are_neither_lost_nor_doubled(tmp_path: Path) -> None:
    """Each command is asked again with its id until it is answered; what was answered is there once."""
    server = EmbeddedPostgres(tmp_path / "server")
    server.start()
    connection = await asyncpg.connect(server.url)
    await migrate(connection)
    await found_cluster(connection, 8)
    await connection.close()
    epoch = head = unknown = 0
    done: list[int] = []
    journal, board = PostgresJournal(server.url, "h1"), PostgresBoard(server.url, "h1")
    stop = asyncio.Event()

    async def restart() -> None:
        for _ in range(3):
            before = len(done)
            while len(done) < before + 20:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            await asyncio.to_thread(server.stop, "immediate")
            await asyncio.to_thread(server.start)
        stop.set()

    restarting = asyncio.ensure_future(restart())
    command = 0
    while not stop.is_set():
        try:
            if not epoch:
                await board.join("h1", "h1")
                shards = {item.shard: item.epoch for item in await board.shards()}
                epoch, head = (await board.claim("h1", {1: shards[1]}))[1]
                taken = {item.command_id for item in (await journal.load([(1, "stock", "sku_1#0")]))[0].rows}
                if b"id %d" % command in taken:
                    done.append(command)
                    command += 1
            assert await journal.append([fence(1, head, head + 1, epoch)], [row(1, head + 1, command_id=b"id %d" % command)])
            head += 1
            done.append(command)
            command += 1
        except StorageUnknown:
            unknown, epoch = unknown + 1, 0
            await asyncio.sleep(0.01)
    await restarting
    await journal.close()
    await board.close()
    connection = await asyncpg.connect(server.url)
    ids = [bytes(item["command_id"]) for item in await connection.fetch("SELECT command_id FROM journal ORDER BY seq")]
    await connection.close()
    server.stop()
    assert unknown >= 3
    assert len(set(ids)) == len(ids)
    assert {b"id %d" % number for number in done} <= set(ids)
    assert len(ids) - len(done) <= 1
