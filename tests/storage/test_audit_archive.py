"""The audit reads the archive: a break planted there, or between it and the journal, is found by its name."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from actors.domain.kinds import pack_state, unpack_state
from actors.owners.remembering import OwnersMemory
from actors.storage.audit import Report, audit
from actors.storage.upkeep.report import Task
from actors.storage.upkeep.upkeep import upkeep

pytestmark = pytest.mark.slow


class Books:
    """The busy shop's database, whose journal was pruned (but for half of its fullest shard), to be tampered with."""

    def __init__(self, url: str, lake: Path, connection: Any) -> None:
        self.url, self.lake, self.db = url, lake, connection
        self.half = -1

    async def prepare(self) -> None:
        self.half = await self.db.fetchval("SELECT shard FROM shard_owner ORDER BY head_seq DESC LIMIT 1")
        young = "UPDATE journal SET at_ms = at_ms + 864000000 WHERE shard = $1 AND seq > 5"
        await self.db.execute(young, self.half)
        report = await upkeep(self.url, self.lake, OwnersMemory(), Task(everything=True, keep_ms=0))
        assert (report.problems, report.held) == ((), {"horizon": 1})
        await self.db.execute(young.replace("+", "-"), self.half)

    async def file_of(self, shard: int) -> str:
        name: str = await self.db.fetchval("SELECT file FROM journal_archive WHERE shard = $1", shard)
        return name

    async def pruned_shard(self) -> int:
        shard: int = await self.db.fetchval("SELECT shard FROM journal_kept WHERE pruned_seq > 0 AND shard <> $1 LIMIT 1", self.half)
        return shard


@pytest.fixture
async def books(busy_url: str, tmp_path: Path) -> AsyncIterator[Books]:
    connection = await asyncpg.connect(busy_url)
    books = Books(busy_url, tmp_path / "lake", connection)
    await books.prepare()
    yield books
    await connection.close()


def ids_of(report: Report) -> set[str]:
    return {name for finding in report.findings for name in finding.ids}


async def test_a_pruned_shop_is_in_order(books: Books) -> None:
    report = await audit(books.url, lake=books.lake)
    assert report.findings == ()
    assert report.counts["archived"] == await books.db.fetchval("SELECT sum(rows) FROM journal_archive")
    assert await books.db.fetchval("SELECT count(*) FROM journal") > 0


Break = Callable[[Books], Awaitable[str]]
BREAKS: dict[str, Break] = {}


def planted(name: str) -> Callable[[Break], Break]:
    def register(plant: Break) -> Break:
        BREAKS[name] = plant
        return plant

    return register


@planted("a file is missing")
async def a_file_is_missing(books: Books) -> str:
    name = await books.file_of(await books.pruned_shard())
    (books.lake / name).unlink()
    return name


@planted("a file whose records are in the journal still is missing")
async def a_file_that_is_not_pruned_is_missing(books: Books) -> str:
    name = await books.file_of(books.half)
    (books.lake / name).unlink()
    return name


@planted("one bit of a file was altered")
async def one_bit_was_altered(books: Books) -> str:
    name = await books.file_of(await books.pruned_shard())
    data = bytearray((books.lake / name).read_bytes())
    data[len(data) // 2] ^= 1
    (books.lake / name).write_bytes(data)
    return name


@planted("a file was replaced by that of another shard")
async def a_file_was_replaced(books: Books) -> str:
    name = await books.file_of(await books.pruned_shard())
    (books.lake / name).write_bytes((books.lake / await books.file_of(books.half)).read_bytes())
    return name


@planted("a file was written anew with another amount, and listed with its new sum")
async def a_record_was_forged(books: Books) -> str:
    import hashlib

    from actors.storage.upkeep.parquet import parse_parquet, write_parquet

    name = await books.file_of(await books.pruned_shard())
    records = parse_parquet((books.lake / name).read_bytes())
    write_parquet(books.lake / name, [(*record[:2], record[2] + 1, *record[3:]) for record in records])
    data = (books.lake / name).read_bytes()
    listed = "UPDATE journal_archive SET file_checksum = $2, bytes = $3 WHERE file = $1"
    await books.db.execute(listed, name, hashlib.sha256(data).digest(), len(data))
    return name


@planted("records between the archive and the journal are lost")
async def a_gap_between_archive_and_journal(books: Books) -> str:
    await books.db.execute("DELETE FROM journal WHERE shard = $1 AND seq IN (6, 7)", books.half)
    return f"shard {books.half}"


@planted("the archive forgot a file")
async def the_archive_forgot_a_file(books: Books) -> str:
    shard = await books.pruned_shard()
    await books.db.execute("DELETE FROM journal_archive WHERE shard = $1", shard)
    return f"shard {shard}"


@planted("records were deleted that no file holds")
async def pruned_without_archive(books: Books) -> str:
    shard = await books.pruned_shard()
    await books.db.execute("DELETE FROM journal_archive WHERE shard = $1", shard)
    await books.db.execute("DELETE FROM journal_kept WHERE shard = $1", shard)
    return f"shard {shard}"


@planted("the mark of a shard was moved back")
async def a_mark_was_moved_back(books: Books) -> str:
    await books.db.execute("UPDATE journal_kept SET pruned_seq = 3 WHERE shard = $1", books.half)
    return f"shard {books.half}"


@planted("an entity lost its snapshot")
async def an_entity_lost_its_snapshot(books: Books) -> str:
    shard = await books.pruned_shard()
    key: str = await books.db.fetchval(
        "DELETE FROM snapshot WHERE key = (SELECT min(key) FROM snapshot WHERE shard = $1) RETURNING key", shard
    )
    return key


@planted("a snapshot says something else than the history")
async def a_snapshot_says_something_else(books: Books) -> str:
    data = await books.db.fetchval("SELECT data FROM snapshot WHERE kind = 'stock' AND key = 'sku_1#0'")
    state, seen = unpack_state("stock", data)
    state.available += 1
    await books.db.execute("UPDATE snapshot SET data = $1 WHERE key = 'sku_1#0'", pack_state(state, seen))
    return "sku_1#0"


@planted("a shard lost its own snapshot")
async def a_shard_lost_its_meta(books: Books) -> str:
    shard = await books.pruned_shard()
    await books.db.execute("DELETE FROM shard_meta WHERE shard = $1", shard)
    return f"shard {shard}"


@planted("a projection fell behind what was pruned")
async def a_projection_fell_behind(books: Books) -> str:
    shard = await books.pruned_shard()
    await books.db.execute("UPDATE projection_position SET seq = 0 WHERE shard = $1", shard)
    return f"shard {shard}"


@pytest.mark.parametrize("name", BREAKS)
async def test_a_break_of_the_archive_is_found_by_its_name(name: str, books: Books) -> None:
    expected = await BREAKS[name](books)
    report = await audit(books.url, lake=books.lake)
    assert not report.ok
    assert expected in ids_of(report)


async def test_an_audit_that_is_not_told_where_the_archive_is_says_so_by_file(books: Books) -> None:
    assert await books.file_of(books.half) in ids_of(await audit(books.url))
