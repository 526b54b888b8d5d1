"""Who owns what: claims by compare-and-set, leases, and processes that are proven dead."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from actors.ports.journal import StorageUnknown
from actors.storage.board import PostgresBoard

MakeBoard = Callable[..., Awaitable[PostgresBoard]]


@pytest.fixture
async def join(database_url: str, connection: Any) -> AsyncIterator[MakeBoard]:
    """Makes a board whose host has joined."""
    async with AsyncExitStack() as stack:

        async def make(host: str, **options: Any) -> PostgresBoard:
            board = PostgresBoard(database_url, host, **options)
            stack.push_async_callback(board.close)
            await board.join(host, f"address of {host}")
            return board

        yield make


@pytest.fixture
def ended_pid() -> int:
    """The number of a process that is no more."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


@pytest.fixture
def zombie_pid() -> Iterator[int]:
    """The number of a process that has ended and that its parent has not looked after yet."""
    zombie = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    yield zombie.pid
    zombie.wait()


async def test_a_shard_that_nobody_owns_is_taken_at_the_next_epoch(join: MakeBoard, connection: Any) -> None:
    await connection.execute("UPDATE shard_owner SET head_seq = 7 WHERE shard = 2")
    board = await join("h1")
    assert await board.claim("h1", {2: 0, 3: 0}) == {2: (1, 7), 3: (1, 0)}
    assert await board.routes() == {2: "h1", 3: "h1"}


async def test_a_host_says_which_pools_it_serves(join: MakeBoard) -> None:
    board = await join("h1")
    assert [lease.pools for lease in await board.hosts()] == [()]
    await board.join("h1", "here", ("goods", "doors"))
    assert [lease.pools for lease in await board.hosts()] == [("goods", "doors")]


async def test_of_many_claims_of_one_epoch_one_succeeds(join: MakeBoard) -> None:
    boards = {f"h{number}": await join(f"h{number}") for number in range(4)}
    wanted = dict.fromkeys(range(8), 0)
    taken = await asyncio.gather(*(board.claim(host, wanted) for host, board in boards.items()))
    assert sorted(shard for found in taken for shard in found) == list(range(8))
    assert {found for claims in taken for found in claims.values()} == {(1, 0)}


async def test_a_shard_of_a_live_host_is_not_taken_by_another_and_may_be_taken_anew_by_its_own(join: MakeBoard) -> None:
    first, second = await join("h1"), await join("h2")
    assert await first.claim("h1", {1: 0}) == {1: (1, 0)}
    assert await second.claim("h2", {1: 1}) == {}
    assert await first.claim("h1", {1: 1}) == {1: (2, 0)}
    assert await first.claim("h1", {1: 1}) == {}


async def test_a_shard_may_be_taken_once_its_owners_lease_has_ended(join: MakeBoard, connection: Any) -> None:
    first, second = await join("h1"), await join("h2")
    await first.claim("h1", {1: 0})
    await connection.execute("UPDATE host_lease SET until = clock_timestamp() - interval '1 ms' WHERE host = 'h1'")
    assert [row.alive for row in await second.shards() if row.shard == 1] == [False]
    assert {lease.host: lease.alive for lease in await second.hosts()} == {"h1": False, "h2": True}
    assert await second.claim("h2", {1: 1}) == {1: (2, 0)}


async def test_a_renewal_extends_the_lease_and_says_when_there_is_none(join: MakeBoard, connection: Any) -> None:
    board = await join("h1", lease_ms=60_000)
    await connection.execute("UPDATE host_lease SET until = clock_timestamp()")
    assert await board.renew("h1")
    left = await connection.fetchval("SELECT extract(epoch FROM until - clock_timestamp()) FROM host_lease")
    assert 55 < left <= 60
    await board.leave("h1")
    assert not await board.renew("h1")
    assert await board.hosts() == []


async def test_a_lease_of_another_process_is_neither_renewed_nor_ended(join: MakeBoard, connection: Any) -> None:
    board = await join("h1")
    await connection.execute("UPDATE host_lease SET pid = pid + 1")
    assert not await board.renew("h1")
    await board.leave("h1")
    assert await connection.fetchval("SELECT count(*) FROM host_lease") == 1


async def test_a_process_that_is_proven_dead_on_this_node_is_not_waited_for(join: MakeBoard, connection: Any, ended_pid: int) -> None:
    first = await join("h1", node="n1", lease_ms=3_600_000)
    here, elsewhere = await join("h2", node="n1"), await join("h3", node="n2")
    await first.claim("h1", {1: 0})
    await connection.execute("UPDATE host_lease SET pid = $1 WHERE host = 'h1'", ended_pid)
    # From another node nothing can be proven: the lease counts.
    assert next(row for row in await elsewhere.shards() if row.shard == 1).alive
    assert await elsewhere.claim("h3", {1: 1}) == {}
    assert not next(row for row in await here.shards() if row.shard == 1).alive
    assert [lease.alive for lease in await here.hosts() if lease.host == "h1"] == [False]
    assert await here.claim("h2", {1: 1}) == {1: (2, 0)}


async def test_a_process_that_ended_and_was_not_waited_for_counts_as_dead(join: MakeBoard, connection: Any, zombie_pid: int) -> None:
    await join("h1", node="n1")
    here = await join("h2", node="n1")
    await connection.execute("UPDATE host_lease SET pid = $1 WHERE host = 'h1'", zombie_pid)
    assert [lease.alive for lease in await here.hosts()] == [False, True]


async def test_a_released_shard_is_free_for_everybody_at_once(join: MakeBoard) -> None:
    first, second = await join("h1"), await join("h2")
    await first.claim("h1", {1: 0, 2: 0})
    await first.release("h1", {1: 1, 2: 0})
    assert await first.routes() == {2: "h1"}
    assert await second.claim("h2", {1: 1, 2: 1}) == {1: (2, 0)}


async def test_a_draining_host_is_shown_as_such_until_it_joins_anew(join: MakeBoard) -> None:
    board = await join("h1")
    assert await board.drain("h1", True)
    assert [lease.draining for lease in await board.hosts()] == [True]
    await board.join("h1", "again")
    assert [(lease.draining, lease.address) for lease in await board.hosts()] == [(False, "again")]
    assert not await board.drain("nobody", True)


async def test_proposals_are_written_beside_the_owners(join: MakeBoard) -> None:
    board = await join("h1")
    await board.claim("h1", {1: 0})
    await board.propose({1: "h2", 3: "h1"})
    rows = {row.shard: (row.host, row.target, row.epoch) for row in await board.shards()}
    assert (rows[1], rows[3], rows[4]) == (("h1", "h2", 1), ("", "h1", 0), ("", "", 0))


async def test_a_board_whose_connections_are_cut_does_not_know_at_worst_and_then_goes_on(join: MakeBoard, connection: Any) -> None:
    board = await join("h1")
    await board.shards()
    await connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'stampede h1 %'")
    for question in (board.shards, lambda: board.renew("h1")):
        with contextlib.suppress(StorageUnknown):  # unless the end of the connection was heard of before the question
            await question()
    assert len(await board.shards()) == 8
    assert await board.renew("h1")
