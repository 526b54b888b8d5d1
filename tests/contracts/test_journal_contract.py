"""What every journal promises, on each of them: the one in memory that owners are tested on, and PostgreSQL."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from actors.ports.journal import Board, Fence, Journal, Row, ShardMeta, Snapshot
from actors.storage.board import PostgresBoard
from actors.storage.journal import PostgresJournal
from actors.storage.migrate import found_cluster
from actors.testing.memory import MemoryJournal

SHARDS = 8


class _StillClock:
    def now_ms(self) -> int:
        return 1_700_000_000_000

    def monotonic_ms(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing here waits")


class Both:
    """A journal and the board beside it. Two hosts, ``h1`` and ``h2``, have joined; ``h1`` owns every shard at epoch 1."""

    def __init__(self, journal: Journal, board: Board) -> None:
        self.journal = journal
        self.board = board

    async def settle(self) -> "Both":
        assert len(await self.board.claim("h1", dict.fromkeys(range(SHARDS), 0))) == SHARDS
        return self


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest) -> str:
    """The database of the journal under test; empty for the one in memory."""
    return request.getfixturevalue("database_url") if request.param == "postgres" else ""


@pytest.fixture
async def both(url: str) -> AsyncIterator[Both]:
    if not url:
        memory = MemoryJournal(_StillClock(), SHARDS)
        for host in ("h1", "h2"):
            await memory.renew(host)
        yield await Both(memory, memory).settle()
        return
    connection = await asyncpg.connect(url)
    await found_cluster(connection, SHARDS)
    await connection.close()
    journal, board = PostgresJournal(url, "h1"), PostgresBoard(url, "contract", node="n")
    for host in ("h1", "h2"):
        await board.join(host, "nowhere")
    yield await Both(journal, board).settle()
    await journal.close()
    await board.close()


def row(shard: int, seq: int, version: int = 0, key: str = "k", **more: Any) -> Row:
    values = {"command_id": b"c%d" % seq, "at_ms": 1000 + seq, "wake_ms": 0, "body": b"body %d" % seq, **more}
    return Row(shard=shard, seq=seq, kind="stock", key=f"{key}{shard}", version=version or seq, **values)


def fence(shard: int, head: int, new_head: int, epoch: int = 1) -> Fence:
    return Fence(shard=shard, epoch=epoch, head=head, new_head=new_head)


async def heads(both: Both) -> dict[int, int]:
    return {owned.shard: owned.head for owned in await both.board.shards() if owned.head}


async def test_a_batch_is_written_whole_and_moves_the_heads(both: Both) -> None:
    rows = [row(1, 1), row(1, 2), row(3, 1, wake_ms=77, meta=b"meta")]
    assert await both.journal.append([fence(1, 0, 2), fence(3, 0, 1)], rows)
    assert await heads(both) == {1: 2, 3: 1}
    loaded = await both.journal.load([(1, "stock", "k1"), (3, "stock", "k3"), (2, "stock", "none")])
    assert [[found.body for found in item.rows] for item in loaded] == [[b"body 1", b"body 2"], [b"body 1"], []]
    assert [item.snapshot for item in loaded] == [None, None, None]


@pytest.mark.parametrize("wrong", [fence(3, 0, 1, epoch=0), fence(3, 0, 1, epoch=2), fence(3, 1, 2)])
async def test_one_fence_that_does_not_hold_means_that_nothing_is_written(both: Both, wrong: Fence) -> None:
    assert not await both.journal.append([fence(1, 0, 1), wrong], [row(1, 1), row(3, wrong.new_head)])
    assert await heads(both) == {}
    assert (await both.journal.load([(1, "stock", "k1")]))[0].rows == []
    assert await both.journal.append([fence(1, 0, 1)], [row(1, 1)])


async def test_the_same_batch_twice_is_written_once(both: Both) -> None:
    assert await both.journal.append([fence(1, 0, 1)], [row(1, 1)])
    assert not await both.journal.append([fence(1, 0, 1)], [row(1, 1)])
    assert await heads(both) == {1: 1}


async def test_a_new_owner_reads_the_tail_after_the_meta_with_its_reminders_and_sends(both: Both) -> None:
    rows = [row(1, 1), row(1, 2, wake_ms=77, meta=b"meta"), row(1, 3)]
    assert await both.journal.append([fence(1, 0, 3)], rows)
    found = await both.journal.recover(1, 3)
    assert found.meta is None
    assert [(item.seq, item.key, item.wake_ms, item.meta) for item in found.tail] == [
        (1, "k1", 0, b""),
        (2, "k1", 77, b"meta"),
        (3, "k1", 0, b""),
    ]
    await both.journal.save_meta(1, 1, ShardMeta(seq=2, data=b"two"))
    found = await both.journal.recover(1, 3)
    assert found.meta == ShardMeta(seq=2, data=b"two")
    assert [item.seq for item in found.tail] == [3]


async def test_a_meta_of_a_passed_epoch_or_an_older_one_is_not_kept(both: Both) -> None:
    assert await both.journal.append([fence(1, 0, 3)], [row(1, 1), row(1, 2), row(1, 3)])
    await both.journal.save_meta(1, 1, ShardMeta(seq=2, data=b"two"))
    await both.journal.save_meta(1, 0, ShardMeta(seq=3, data=b"stale"))
    await both.journal.save_meta(1, 1, ShardMeta(seq=1, data=b"one"))
    assert (await both.journal.recover(1, 3)).meta == ShardMeta(seq=2, data=b"two")


def snapshot(version: int, data: bytes) -> Snapshot:
    return Snapshot(shard=1, kind="stock", key="k1", version=version, seq=version, data=data)


async def test_f03_a_snapshot_is_kept_only_by_the_shards_owner_and_never_replaces_a_higher_one(both: Both) -> None:
    assert await both.journal.append([fence(1, 0, 3)], [row(1, 1), row(1, 2), row(1, 3)])
    await both.journal.save_snapshots({1: 0}, [snapshot(3, b"stale")])
    assert (await both.journal.load([(1, "stock", "k1")]))[0].snapshot is None
    await both.journal.save_snapshots({1: 1}, [snapshot(2, b"two")])
    await both.journal.save_snapshots({1: 1}, [snapshot(1, b"one")])
    [loaded] = await both.journal.load([(1, "stock", "k1")])
    assert loaded.snapshot == snapshot(2, b"two")
    assert [item.version for item in loaded.rows] == [3]


async def test_f07_one_of_two_that_claim_at_once_wins_and_the_other_cannot_write(both: Both) -> None:
    await both.board.release("h1", {1: 1})
    taken = [await both.board.claim("h2", {1: 1}), await both.board.claim("h1", {1: 1})]
    assert taken == [{1: (2, 0)}, {}]
    assert not await both.journal.append([fence(1, 0, 1, epoch=1)], [row(1, 1)])
    assert await both.journal.append([fence(1, 0, 1, epoch=2)], [row(1, 1)])


async def test_a_shard_of_a_live_host_is_not_taken_and_its_own_host_may_take_it_anew(both: Both) -> None:
    assert await both.board.claim("h2", {1: 1}) == {}
    assert await both.board.claim("h1", {1: 0}) == {}
    assert await both.board.claim("h1", {1: 1}) == {1: (2, 0)}


async def test_a_release_of_a_passed_epoch_changes_nothing(both: Both) -> None:
    assert await both.board.claim("h1", {1: 1}) == {1: (2, 0)}
    await both.board.release("h1", {1: 1})
    await both.board.release("h2", {1: 2})
    assert await both.board.claim("h2", {1: 2}) == {}
    await both.board.release("h1", {1: 2})
    assert await both.board.claim("h2", {1: 2}) == {1: (3, 0)}


async def test_targets_and_leaving_hosts_are_seen_by_all(both: Both) -> None:
    await both.board.propose({1: "h2", 2: "h1"})
    assert await both.board.drain("h2", True)
    assert not await both.board.drain("nobody", True)
    shards = {owned.shard: owned for owned in await both.board.shards()}
    assert [shards[number].target for number in (1, 2)] == ["h2", "h1"]
    assert all(owned.host == "h1" and owned.alive and owned.epoch == 1 for owned in shards.values())
    assert {lease.host: lease.draining for lease in await both.board.hosts()} == {"h1": False, "h2": True}
