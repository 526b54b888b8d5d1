"""What holds pruning back: each criterion alone, and all of them in any mixture."""

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from actors.domain.entity import Send
from actors.owners.cell import Shard
from actors.owners.remembering import OwnersMemory, rebuild_cell
from actors.ports.journal import Loaded, Recovered, Row, ShardMeta, Snapshot
from actors.storage.journal import PostgresJournal
from actors.storage.upkeep.report import Report, Task
from actors.storage.upkeep.upkeep import upkeep
from schemas.ids import derived_id
from schemas.stock import Release, StockPutIn

pytestmark = pytest.mark.slow

ALL = Task(everything=True, keep_ms=0)
DAY_MS = 86_400_000


class Forgetful(OwnersMemory):
    """Makes no meta beyond a seq, and no snapshots of some entities: as where an owner is, and the upkeep cannot."""

    def __init__(self, metas: dict[int, int] | None = None, entities: set[str] | None = None) -> None:
        self.metas = metas or {}
        self.entities = entities or set()

    def shard(self, number: int, head: int, recovered: Recovered) -> ShardMeta:
        until = min(head, self.metas.get(number, head))
        return super().shard(number, until, Recovered(meta=recovered.meta, tail=[row for row in recovered.tail if row.seq <= until]))

    def entity(self, shard: int, kind: str, key: str, loaded: Loaded, at_ms: int) -> Snapshot:
        if key in self.entities:
            raise ValueError("nobody can")
        return super().entity(shard, kind, key, loaded, at_ms)


class Books:
    """The busy shop's database; one of its shards is looked at."""

    def __init__(self, url: str, lake: Path, connection: Any, shard: int, heads: dict[int, int]) -> None:
        self.url, self.lake, self.db, self.shard, self.heads = url, lake, connection, shard, heads

    async def keep(self, task: Task = ALL, remembering: OwnersMemory | None = None, **more: Any) -> Report:
        return await upkeep(self.url, self.lake, remembering or OwnersMemory(), task, **more)

    async def pruned(self) -> dict[int, int]:
        """Up to where each shard was pruned, by its mark; the rows that are left agree."""
        marks = {row["shard"]: row["pruned_seq"] for row in await self.db.fetch("SELECT shard, pruned_seq FROM journal_kept")}
        left = {row["shard"]: row["first"] for row in await self.db.fetch("SELECT shard, min(seq) AS first FROM journal GROUP BY shard")}
        assert all(left.get(shard, head + 1) == marks[shard] + 1 for shard, head in self.heads.items())
        return {shard: marks[shard] for shard in self.heads}


@pytest.fixture
async def books(busy_url: str, tmp_path: Path) -> AsyncIterator[Books]:
    connection = await asyncpg.connect(busy_url)
    heads = {row["shard"]: row["head_seq"] for row in await connection.fetch("SELECT shard, head_seq FROM shard_owner WHERE head_seq > 0")}
    yield Books(busy_url, tmp_path / "lake", connection, max(heads, key=lambda shard: heads[shard]), heads)
    await connection.close()


async def test_what_is_not_archived_stays(books: Books) -> None:
    assert (await books.keep(Task(archive=False, keep_ms=0))).held == {"archive": len(books.heads)}
    assert await books.pruned() == dict.fromkeys(books.heads, 0)
    await books.keep(Task(everything=True, prune=False))
    assert await books.pruned() == dict.fromkeys(books.heads, 0)
    assert (await books.keep(Task(archive=False, keep_ms=0))).held == {}
    assert await books.pruned() == books.heads


async def test_what_a_projection_has_not_followed_stays(books: Books) -> None:
    await books.db.execute("UPDATE projection_position SET seq = 3 WHERE shard = $1", books.shard)
    assert (await books.keep()).held == {"projections": 1}
    assert await books.pruned() == {**books.heads, books.shard: 3}
    await books.db.execute("UPDATE projection_position SET seq = $2 WHERE shard = $1", books.shard, books.heads[books.shard])
    assert (await books.keep()).held == {}
    assert await books.pruned() == books.heads


async def test_for_a_projection_that_has_not_begun_everything_stays(books: Books) -> None:
    assert (await books.keep(groups=("orders", "later"))).held == {"projections": len(books.heads)}
    assert await books.pruned() == dict.fromkeys(books.heads, 0)


async def test_what_a_rebuild_that_runs_has_not_followed_stays_and_one_that_died_holds_nothing_back(books: Books) -> None:
    rebuilding = await asyncpg.connect(books.url)
    assert await rebuilding.fetchval("SELECT pg_try_advisory_lock(7270, hashtext('orders'))")
    await books.db.execute("INSERT INTO projection_position VALUES ('orders@rebuild', $1, 2)", books.shard)
    assert (await books.keep()).held == {"projections": 1}
    assert await books.pruned() == {**books.heads, books.shard: 2}
    await rebuilding.close()
    assert (await books.keep()).held == {}
    assert await books.pruned() == books.heads


async def test_what_is_younger_than_the_horizon_stays(books: Books) -> None:
    old = "UPDATE journal SET at_ms = at_ms - $3 WHERE NOT (shard = $1 AND seq >= $2)"
    await books.db.execute(old, books.shard, 4, 8 * DAY_MS)
    assert (await books.keep(Task(everything=True))).held == {"horizon": 1}
    assert await books.pruned() == {**books.heads, books.shard: 3}


QUIET: str = """
SELECT shard, least(coalesce(min(seq) FILTER (WHERE meta <> ''), max(seq)), max(seq)) - 1 AS quiet
FROM journal GROUP BY shard ORDER BY quiet DESC LIMIT 1
"""


async def test_what_the_shards_own_snapshot_does_not_cover_stays(books: Books) -> None:
    # Up to there nothing was sent, so that no open message holds anything back.
    shard, quiet = await books.db.fetchrow(QUIET)
    assert quiet > 0
    assert (await books.keep(remembering=Forgetful({shard: quiet}))).held == {"meta": 1}
    assert await books.pruned() == {**books.heads, shard: quiet}


async def test_what_no_snapshot_of_its_entity_covers_stays(books: Books) -> None:
    key, first = await books.db.fetchrow(
        "SELECT key, min(seq) AS first FROM journal WHERE shard = $1 GROUP BY key ORDER BY first DESC LIMIT 1", books.shard
    )
    report = await books.keep(remembering=Forgetful(entities={key}))
    assert (report.held, {problem.code for problem in report.problems}) == ({"snapshots": 1}, {"entity_unreadable"})
    assert await books.pruned() == {**books.heads, books.shard: first - 1}
    assert (await books.keep()).held == {}


async def test_what_only_a_snapshot_that_cannot_be_read_covers_stays(books: Books) -> None:
    kind, key, first, version, last = await books.db.fetchrow(
        "SELECT kind, key, min(seq) AS first, max(version), max(seq) FROM journal WHERE shard = $1"
        " GROUP BY kind, key ORDER BY first LIMIT 1",
        books.shard,
    )
    await books.db.execute("INSERT INTO snapshot VALUES ($1, $2, $3, $4, $5, 'no snapshot')", books.shard, kind, key, version, last)
    report = await books.keep()
    assert (report.held, [problem.code for problem in report.problems]) == ({"snapshots": 1}, ["snapshot_unreadable"])
    assert await books.pruned() == {**books.heads, books.shard: first - 1}


async def test_a_message_that_is_not_answered_keeps_its_record(
    database_url: str, connection: Any, writer: Any, whole_follower: Any, tmp_path: Path
) -> None:
    send = Send(id=b"s" * 16, step="undo:ord_1:r0", kind="stock", key="sku_2#0", command=Release(reservation_id=b"r" * 16))
    for number in range(4):
        row = await writer.write("stock", "sku_1#0", StockPutIn(quantity=1), sends=(send,) if number == 2 else ())
    await whole_follower.step()
    books = Books(database_url, tmp_path / "lake", connection, row.shard, {row.shard: 4})
    assert (await books.keep()).held == {"messages": 1}
    assert await books.pruned() == {row.shard: 2}
    await writer.write("stock", "sku_1#0", StockPutIn(quantity=1), acks=(send.id,))
    await whole_follower.step()
    books.heads[row.shard] = 5
    # The shard's meta is from before the answer: the next one knows it.
    assert (await books.keep()).held == {}
    assert await books.pruned() == {row.shard: 5}


class Mixture:
    """A journal of random records, and for each shard random states of everything that reads it."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.rows: dict[int, list[tuple[Row, list[bytes], list[bytes]]]] = {}
        self.positions: dict[int, int] = {}
        self.memory = Forgetful()

    async def write(self, writer: Any) -> None:
        open_sends: list[bytes] = []
        for number in range(240):
            key = f"sku_{self.rng.randrange(40)}#0"
            sends, acks = [], []
            if self.rng.random() < 0.02:
                sends.append(
                    Send(id=derived_id("s", str(number)), step="s", kind="stock", key=key, command=Release(reservation_id=b"r" * 16))
                )
            mine = [item for item in open_sends if writer.sharding.shard("stock", key) == item[0]]
            if mine and self.rng.random() < 0.3:
                open_sends.remove(mine[0])
                acks.append(mine[0][1])
            young = self.rng.random() < 0.01
            row = await writer.write(
                "stock", key, StockPutIn(quantity=1), sends=tuple(sends), acks=tuple(acks), at_ms=4_000_000_000_000 if young else number
            )
            open_sends += [(row.shard, send.id) for send in sends]
            self.rows.setdefault(row.shard, []).append((row, [send.id for send in sends], acks))

    def draw(self) -> None:
        for shard, rows in self.rows.items():
            if self.rng.random() < 0.5:
                self.positions[shard] = self.rng.randint(0, len(rows))
            if self.rng.random() < 0.5:
                self.memory.metas[shard] = self.rng.randint(1, len(rows))
        self.memory.entities = {f"sku_{self.rng.randrange(40)}#0" for _ in range(self.rng.randrange(3))}

    def bound(self, shard: int) -> int:
        """The lowest of all criteria, from what was drawn alone."""
        rows = self.rows[shard]
        meta = self.memory.metas.get(shard, len(rows))
        open_at: dict[bytes, int] = {}
        for row, sends, acks in rows[:meta]:
            open_at |= dict.fromkeys(sends, row.seq)
            for ack in acks:
                open_at.pop(ack, None)
        young = [row.seq for row, _, _ in rows if row.at_ms >= 4_000_000_000_000]
        hopeless = [row.seq for row, _, _ in rows if row.key in self.memory.entities]
        return min([len(rows), meta, self.positions.get(shard, len(rows)), *(seq - 1 for seq in [*young, *hopeless, *open_at.values()])])


@pytest.mark.parametrize("seed", range(8))
async def test_pruning_stops_at_the_lowest_bound_and_every_entity_can_still_be_loaded(
    seed: int, database_url: str, connection: Any, writer: Any, whole_follower: Any, tmp_path: Path
) -> None:
    mixture = Mixture(seed)
    await mixture.write(writer)
    while await whole_follower.step():
        pass
    mixture.draw()
    for shard, position in mixture.positions.items():
        await connection.execute("UPDATE projection_position SET seq = $2 WHERE shard = $1", shard, position)
    books = Books(database_url, tmp_path / "lake", connection, 0, {shard: len(rows) for shard, rows in mixture.rows.items()})
    await books.keep(remembering=mixture.memory)
    assert await books.pruned() == {shard: mixture.bound(shard) for shard in mixture.rows}
    journal = PostgresJournal(database_url, "reader")
    keys = [(writer.sharding.shard(kind, key), kind, key) for kind, key in writer.states]
    for (shard, kind, key), loaded in zip(keys, await journal.load(keys), strict=True):
        assert rebuild_cell(Shard(shard, 0, 0), kind, key, loaded).state == writer.states[(kind, key)]
    for shard, rows in mixture.rows.items():
        recovered = await journal.recover(shard, len(rows))
        state = Shard(shard, 0, len(rows))
        state.absorb(recovered.meta, recovered.tail)
        sent = {item for _, sends, _ in rows for item in sends}
        assert set(state.outbox) == sent - {item for _, _, acks in rows for item in acks}
        assert len(state.known) == len({row.key for row, _, _ in rows})
    await journal.close()
