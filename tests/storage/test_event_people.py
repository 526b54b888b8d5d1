"""People in the lake: the erased are not found any more, whoever said no is not landed, and small files become one."""

import asyncio
import signal
import sys
from datetime import date
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import polars
import pytest

from actors.ports.journal import StorageUnknown
from actors.storage.events import rewriting
from actors.storage.events.copying import Wanted, events_of, lines_of
from actors.storage.events.people import EventPeople, names_of
from actors.storage.migrate import found_cluster
from actors.storage.privacy import erase_due
from pipelines.behaviour import funnel, read
from tests.storage.test_event_landing import HOUR_MS, NOW_MS, Room, batch, event

pytestmark = pytest.mark.slow

RUN = """
import asyncio, os, signal, sys
from pathlib import Path
from actors.storage.events.landing import Landing, land
url, folder, step = sys.argv[1:]
def passed(name):
    if name == step: os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(land(url, Landing(lake=Path(folder) / "lake", spool=Path(folder) / "spool", keep_days=395), passed))
"""


@pytest.fixture
async def room(database_url: str, connection: Any, tmp_path: Path) -> Room:
    if await connection.fetchval("SELECT count(*) FROM cluster") == 0:
        await found_cluster(connection, 8)
    return Room(database_url, connection, tmp_path)


async def names(room: Room) -> Any:
    return names_of(await room.connection.fetchval("SELECT hash_secret FROM cluster"))


async def erase(room: Room, user_id: str) -> None:
    await room.connection.execute("INSERT INTO erasure (user_id, due_at) VALUES ($1, now() - interval '1 s')", user_id)
    async with room.connection.transaction():
        assert await erase_due(room.connection) == user_id


def shopping(prefix: str, at_ms: int) -> list[Any]:
    return [
        event(f"{prefix}-view", at_ms),
        event(f"{prefix}-find", at_ms, "search", query="a gift for Kim"),
        event(f"{prefix}-adds", at_ms + 1, "add", sku_id="sku_1", quantity=1),
        event(f"{prefix}-buys", at_ms + 2, "purchase", order_id="ord_kim"),
    ]


async def landed_history(room: Room) -> tuple[str, str]:
    """Kim as a guest on one terminal, as herself on another in two hours; somebody else beside her. Kim's actor, and her linked visitor."""
    known = await names(room)
    kim, other = known.actor("usr_kim"), known.actor("usr_other")
    guest, phone = known.visitor("g" * 20), known.visitor("p" * 20)
    before_ms = NOW_MS - 3 * HOUR_MS
    room.put(batch(shopping("guest", before_ms), received_ms=before_ms, visitor=guest))
    room.put(batch(shopping("phone", before_ms), received_ms=before_ms, visitor=phone, actor=kim, session="s"))
    room.put(batch([event("later-01", before_ms)], received_ms=before_ms + HOUR_MS, visitor=phone, actor=kim))
    room.put(batch([event("unsigned-01", before_ms)], received_ms=before_ms + HOUR_MS, visitor=phone))
    room.put(batch(shopping("other", before_ms), received_ms=before_ms, visitor="o", actor=other))
    await room.land()
    people = EventPeople(room.connection, known)
    assert await people.join("usr_kim", "g" * 20, NOW_MS - HOUR_MS)
    return kim, guest


def everything(room: Room) -> polars.DataFrame:
    """Whatever Parquet there is in the directory, listed or not."""
    return polars.concat([polars.read_parquet(path, hive_partitioning=False) for path in room.task.lake.rglob("*.parquet*")])


async def report(room: Room) -> tuple[Any, ...]:
    events = read(room.task.lake, await room.listed())
    counts = events.group_by("type").len().sort("type").collect().rows()
    distinct = events.select(polars.col("actor", "visitor").n_unique()).collect().rows()
    return funnel(events).rows(), counts, distinct


async def test_after_an_erasure_no_file_finds_the_person_and_the_reports_say_the_same(room: Room) -> None:
    kim, guest = await landed_history(room)
    known, before = await names(room), await report(room)
    aside = room.task.lake / "_set_aside_events"
    aside.mkdir()
    source = room.task.lake / (await room.listed())[0]
    (aside / "a.parquet").write_bytes(source.read_bytes())
    await erase(room, "usr_kim")
    assert everything(room).filter(polars.col("actor") == kim).height > 0
    done = await room.land()
    assert (done.rewritten, done.problem) == (2, "")
    left = everything(room)
    assert left.filter(polars.col("actor") == kim).height == 0
    theirs = left.filter(polars.col("visitor").is_in([guest, known.visitor("p" * 20)]))
    assert theirs.height == 0
    mine = left.filter(polars.col("query").is_null() & (polars.col("type") == "search"))
    assert mine.height == 2
    assert left["order_id"].drop_nulls().to_list() == left["query"].drop_nulls().len() * ["ord_kim"]
    assert not set(left["id"]) & {"guest-view", "phone-buys", "later-01", "unsigned-01"}
    assert await report(room) == before
    assert room.files() == await room.listed()
    row = await room.connection.fetchrow("SELECT secret, done_at FROM event_erasure WHERE user_id = 'usr_kim'")
    assert row["secret"] is None
    assert row["done_at"] is not None
    assert await room.connection.fetchval("SELECT count(*) FROM visitor_link") == 0
    # As a login leaves it that read the account before the erasure, and wrote after it.
    await room.connection.execute("INSERT INTO visitor_link VALUES ('usr_kim', $1, $2, $3)", kim, guest, NOW_MS)
    assert (await room.land()).rewritten == 0
    assert await room.connection.fetchval("SELECT count(*) FROM visitor_link") == 0


async def test_on_a_shared_terminal_what_another_account_did_stays_its_own(room: Room) -> None:
    await landed_history(room)
    known = await names(room)
    phone, other = known.visitor("p" * 20), known.actor("usr_other")
    room.put(batch([event("shared-01")], visitor=phone, actor=other))
    await room.land()
    await erase(room, "usr_kim")
    await room.land()
    found = everything(room).filter(polars.col("visitor") == phone)
    assert found.select("id", "actor").rows() == [("shared-01", other)]


@pytest.mark.parametrize("step", ["rewritten", "swapped"])
async def test_an_erasure_that_is_killed_goes_on_where_it_was(room: Room, tmp_path: Path, step: str) -> None:
    kim, guest = await landed_history(room)
    before = await report(room)
    await erase(room, "usr_kim")
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", RUN, room.url, str(tmp_path), step)
    assert await process.wait() == -signal.SIGKILL
    assert (await report(room))[1] == before[1]
    assert (await room.land()).problem == ""
    left = everything(room)
    assert left.filter((polars.col("actor") == kim) | (polars.col("visitor") == guest)).height == 0
    assert await report(room) == before
    assert room.files() == await room.listed()
    assert list(room.task.lake.glob("events/**/_*")) == []


async def test_what_comes_late_of_an_erased_person_is_not_landed(room: Room) -> None:
    kim, guest = await landed_history(room)
    await erase(room, "usr_kim")
    erased_ms = await room.connection.fetchval("SELECT erased_at_ms FROM event_erasure WHERE user_id = 'usr_kim'")
    for _ in range(2):  # waiting, and done
        room.put(batch([event("late-0001")], visitor="x", actor=kim), batch([event("late-0002", erased_ms)], visitor=guest))
        done = await room.land()
        assert (done.forgotten, done.rows) == (2, 0)
    new_ms = erased_ms + 60_000
    room.put(batch([event("new-guest", new_ms)], received_ms=new_ms, visitor=guest))
    assert (await room.land()).rows == 1


async def test_events_are_landed_as_their_account_said_when_they_were_received(room: Room) -> None:
    known = await names(room)
    actor = known.actor("usr_kim")
    async with asyncpg.create_pool(room.url, min_size=1, max_size=1) as pool:
        people = EventPeople(pool, known)
        for choice, at_ms in (("granted", NOW_MS - 3000), ("denied", NOW_MS - 2000), ("granted", NOW_MS - 1000)):
            await people.choose("usr_kim", choice, "2026-11", at_ms)
    for ago_ms in (3500, 2500, 2000, 1500, 500):
        room.put(batch([event(f"event-{ago_ms}", NOW_MS - ago_ms)], received_ms=NOW_MS - ago_ms, actor=actor))
    room.put(batch([event("of-a-guest", NOW_MS - 1500)], received_ms=NOW_MS - 1500))
    assert (await room.land()).forgotten == 2
    assert await room.names() == ["event-2500", "event-3500", "event-500", "of-a-guest"]


async def test_a_consent_is_written_down_once_with_its_text_and_never_changed(room: Room) -> None:
    async with asyncpg.create_pool(room.url, min_size=1, max_size=1) as pool:
        people = EventPeople(pool, await names(room))
        assert await people.choice("usr_kim") is None
        said = (("granted", "2026-10", 1), ("granted", "2026-10", 2), ("granted", "2026-11", 3), ("denied", "2026-11", 4))
        for choice, text_version, at_ms in said:
            await people.choose("usr_kim", choice, text_version, at_ms)
        assert not await people.join("usr_kim", "v" * 20, 5)
    rows = await room.connection.fetch("SELECT choice, text_version, at_ms FROM event_consent ORDER BY consent_id")
    assert [tuple(row) for row in rows] == [("granted", "2026-10", 1), ("granted", "2026-11", 3), ("denied", "2026-11", 4)]
    for statement in ("UPDATE event_consent SET choice = 'granted'", "DELETE FROM event_consent"):
        with pytest.raises(Exception, match="only added to"):
            await room.connection.execute(statement)
    assert await room.connection.fetchval("SELECT count(*) FROM visitor_link") == 0


@pytest.mark.parametrize("step", ["", "rewritten", "swapped"])
async def test_small_files_of_an_hour_become_one_whatever_ends_the_run(room: Room, tmp_path: Path, step: str) -> None:
    for number in range(rewriting.SMALL_FILES):
        room.put(batch([event(f"event-{number:02}", NOW_MS - HOUR_MS)], received_ms=NOW_MS - 4 * HOUR_MS))
        await room.land()
    assert len(await room.listed()) == rewriting.SMALL_FILES
    assert (await room.land()).merged == 0
    await room.connection.execute("UPDATE event_file SET landed_at = landed_at - interval '4 hours'")
    landed_at = await room.connection.fetchval("SELECT max(landed_at) FROM event_file")
    before = await room.names()
    if step:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", RUN, room.url, str(tmp_path), step)
        assert await process.wait() == -signal.SIGKILL
        assert await room.names() == before
    await room.land()
    assert await room.names() == before
    assert len(await room.listed()) == 1
    assert room.files() == await room.listed()
    row = await room.connection.fetchrow("SELECT date, rows, landed_at FROM event_file")
    assert (row["rows"], row["landed_at"]) == (rewriting.SMALL_FILES, landed_at)
    assert isinstance(row["date"], date)
    assert (await room.land()).merged == 0


async def test_what_becomes_one_file_is_bounded(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(12):
        room.put(batch([event(f"event-{number:02}", NOW_MS - HOUR_MS)], received_ms=NOW_MS - 4 * HOUR_MS))
        await room.land()
    await room.connection.execute("UPDATE event_file SET landed_at = landed_at - interval '4 hours'")
    monkeypatch.setattr(rewriting, "MERGED_ROWS", 9)
    assert (await room.land()).merged == 8
    assert len(await room.names()) == 12


async def test_a_copy_has_the_events_of_a_person_the_newest_first_and_of_a_guest_what_the_login_took_along(room: Room) -> None:
    await landed_history(room)
    known = await names(room)
    people = EventPeople(room.connection, known)
    assert await people.join("usr_other", "g" * 20, NOW_MS)  # a later login on the terminal: what was before Kim's stays Kim's
    copied = await events_of(room.connection, known, room.task.lake, ["usr_kim"])
    lines = [msgspec.json.decode(line) for line in copied.splitlines()]
    theirs = {"guest-view", "guest-find", "guest-adds", "guest-buys", "phone-view", "phone-find", "phone-adds", "phone-buys", "later-01"}
    assert {line["id"] for line in lines} == theirs
    assert len(lines) == len(theirs)
    assert lines[0]["id"] == "later-01"  # files of a later hour first
    assert next(line for line in lines if line["id"] == "guest-find")["query"] == "a gift for Kim"
    assert not [line for line in lines if line.keys() & {"actor", "key"}]
    assert lines[0]["at"].endswith("Z")
    both = await events_of(room.connection, known, room.task.lake, ["usr_kim", "usr_other"])
    assert len(both.splitlines()) == len(theirs) + 4
    assert await events_of(room.connection, known, room.task.lake, ["usr_nobody"]) == b""


async def test_a_copy_is_bounded_and_says_that_the_lake_cannot_be_read(room: Room) -> None:
    await landed_history(room)
    known, files = await names(room), await room.listed()
    wanted = Wanted(directory=str(room.task.lake), files=sorted(files, reverse=True), actors=[known.actor("usr_kim")], links=[])
    assert len(lines_of(wanted)) == 5
    assert len(lines_of(wanted, most=3)) == 3
    (room.task.lake / files[0]).unlink()
    with pytest.raises(StorageUnknown, match="files of the lake went"):
        await events_of(room.connection, known, room.task.lake, ["usr_kim"])
    (room.task.lake / files[0]).write_bytes(b"no Parquet at all")
    with pytest.raises(StorageUnknown, match="cannot be read"):
        await events_of(room.connection, known, room.task.lake, ["usr_kim"])
