"""The reader of events and the funnel, on days made by hand."""

import asyncio
import os
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars
import pytest

from actors.domain.pseudonym import Pseudonyms
from actors.storage.events.frames import SpooledBatch, encode_batch, frame_of, head_of
from actors.storage.events.landing import Landing, land
from actors.storage.events.parquet import SCHEMA
from actors.storage.events.people import EventPeople
from pipelines.behaviour import event_files, funnel, joined, of_actor, read, visitor_links

DAY = date(2026, 11, 11)


def at(hour: int, minute: int = 0, day: int = 11) -> int:
    return int(datetime(2026, 11, day, hour, minute, tzinfo=UTC).timestamp() * 1000)


def table(*rows: tuple[str, str, int, str | None]) -> polars.LazyFrame:
    """Rows of visitor, kind, time and source."""
    made = [
        {"visitor": visitor, "type": kind, "at_ms": at_ms, "source": source, "key": n}
        for n, (visitor, kind, at_ms, source) in enumerate(rows)
    ]
    return polars.DataFrame(made, schema=SCHEMA).lazy()


def test_a_step_counts_after_the_one_before_it_and_each_visitor_once_a_day() -> None:
    events = table(
        ("looks", "view", at(9), None),
        ("looks", "view", at(10), None),
        ("adds", "view", at(9), None),
        ("adds", "add", at(9, 1), None),
        ("adds", "add", at(9, 2), None),
        ("buys", "view", at(9), None),
        ("buys", "add", at(9, 1), None),
        ("buys", "purchase", at(9, 2), None),
        ("buys", "purchase", at(9, 3), None),
        ("adds before looking", "add", at(8), None),
        ("adds before looking", "view", at(9), None),
        ("buys without adding", "view", at(9), None),
        ("buys without adding", "purchase", at(9, 5), None),
        ("buys before adding", "view", at(9), None),
        ("buys before adding", "purchase", at(9, 1), None),
        ("buys before adding", "add", at(9, 2), None),
        ("only searches", "search", at(9), None),
    )
    assert funnel(events).rows() == [(DAY, "direct", 6, 3, 1)]


def test_a_day_belongs_to_the_last_campaign_that_was_named_on_it() -> None:
    events = table(
        ("one", "campaign", at(8), "wechat"),
        ("one", "view", at(9), None),
        ("one", "add", at(9, 1), "qq"),
        ("two", "view", at(9), "wechat"),
        ("two", "view", at(9, 1), None),
        ("three", "view", at(9), None),
        ("one", "view", at(1, day=12), None),
    )
    assert funnel(events).rows() == [
        (DAY, "direct", 1, 0, 0),
        (DAY, "qq", 1, 1, 0),
        (DAY, "wechat", 1, 0, 0),
        (date(2026, 11, 12), "direct", 1, 0, 0),
    ]


def test_no_events_are_an_empty_funnel(tmp_path: Path) -> None:
    found = funnel(read(tmp_path, []))
    assert (found.columns, found.height) == (["date", "source", "viewed", "added", "purchased"], 0)


@pytest.mark.slow
def test_what_was_landed_is_read_by_its_days_each_event_once_and_a_user_is_found_by_the_pseudonym(
    database_url: str, tmp_path: Path
) -> None:
    asyncio.run(_found(database_url))
    names = Pseudonyms(b"k" * 32)
    task = Landing(lake=tmp_path / "lake", spool=tmp_path / "spool", keep_days=100_000)
    task.spool.mkdir()

    def arrive(received_ms: int, user_id: str, *ids: str) -> None:
        events = [{"type": "view", "id": name, "at_ms": received_ms} for name in ids]
        batch = SpooledBatch(
            received_ms=received_ms, skew_ms=0, actor=names.actor(user_id), visitor="v", session="", terminal="web", campaign=None,
            events=events,
        )  # fmt: skip
        mark = os.urandom(8)
        (task.spool / f"{received_ms:015d}-{os.urandom(4).hex()}.spool").write_bytes(head_of(mark) + frame_of(mark, encode_batch(batch)))

    arrive(at(9), "usr_1", "event-01", "event-02")
    asyncio.run(land(database_url, task))
    asyncio.run(_age(database_url))
    # Sent again two days later, when no landing remembers it.
    arrive(at(9, day=13), "usr_2", "event-02", "event-03")
    asyncio.run(land(database_url, task))
    assert (len(event_files(database_url, DAY, DAY)), len(event_files(database_url, DAY, date(2026, 11, 13)))) == (1, 2)
    events = read(task.lake, event_files(database_url, DAY, date(2026, 11, 13)))
    assert sorted(events.collect()["id"].to_list()) == ["event-01", "event-02", "event-03"]
    first = read(task.lake, event_files(database_url, DAY, DAY))
    assert sorted(of_actor(first, names.actor("usr_1")).collect()["id"].to_list()) == ["event-01", "event-02"]
    assert of_actor(first, Pseudonyms(b"another").actor("usr_1")).collect().height == 0
    assert read(task.lake, event_files(database_url, date(2026, 11, 12), date(2026, 11, 12))).collect().height == 0


async def _found(url: str) -> None:
    import asyncpg

    from actors.storage.migrate import found_cluster

    connection: Any = await asyncpg.connect(url)
    await found_cluster(connection, 8)
    await connection.close()


async def _age(url: str) -> None:
    import asyncpg

    connection: Any = await asyncpg.connect(url)
    await connection.execute("UPDATE event_file SET landed_at = landed_at - interval '2 days'")
    await connection.close()


@pytest.mark.slow
def test_what_a_guest_did_is_the_account_s_that_logged_in_next_on_that_terminal(database_url: str) -> None:
    asyncio.run(_logins(database_url, Pseudonyms(b"k" * 32)))
    names = Pseudonyms(b"k" * 32)
    shared, lone = names.visitor("shared-terminal-0001"), names.visitor("a-guest-for-ever-001")
    kim, lee, no = names.actor("usr_kim"), names.actor("usr_lee"), names.actor("usr_no")
    made = [
        ("before kim", None, shared, at(9)),
        ("before lee", None, shared, at(11)),
        ("after both", None, shared, at(13)),
        ("kim herself", kim, shared, at(10, 30)),
        ("no's, before his login", None, names.visitor("of-who-said-no-00001"), at(9)),
        ("nobody's", None, lone, at(9)),
    ]
    events = polars.DataFrame([{"id": i, "actor": a, "visitor": v, "at_ms": t} for i, a, v, t in made], schema=SCHEMA).lazy()
    links = visitor_links(database_url)
    assert no not in links["actor"].to_list()
    found = joined(events, links).collect()
    assert found.columns == list(SCHEMA)
    assert dict(found.select("id", "actor").rows()) == {
        "before kim": kim, "before lee": lee, "after both": None, "kim herself": kim, "no's, before his login": None, "nobody's": None,
    }  # fmt: skip
    assert sorted(of_actor(joined(events, links), kim).collect()["id"].to_list()) == ["before kim", "kim herself"]


async def _logins(url: str, names: Pseudonyms) -> None:
    import asyncpg

    async with asyncpg.create_pool(url, min_size=1, max_size=2) as pool:
        people = EventPeople(pool, names)
        assert await people.join("usr_kim", "shared-terminal-0001", at(10))
        assert await people.join("usr_lee", "shared-terminal-0001", at(12))
        assert await people.join("usr_no", "of-who-said-no-00001", at(10))
        await people.choose("usr_no", "denied", "2026-11", at(11))
