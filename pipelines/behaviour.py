"""What people did in the shop, from the lake: the events of some days, and the way from looking to buying.

``read`` gives a lazy table: a question about two columns of one week reads these and no others.
"""

import asyncio
from datetime import date
from pathlib import Path
from typing import Final

import asyncpg
import polars

from actors.storage.connect import CONNECT_TIMEOUT_S
from actors.storage.events.manifest import files_between
from actors.storage.events.parquet import SCHEMA, links_table, with_owners
from actors.storage.events.people import LINKS

DIRECT: Final = "direct"
"""The source of whoever came without a campaign."""


def event_files(url: str, first: date, last: date) -> list[str]:
    """The whole files of events that arrived on these days (UTC), both included: what the manifest lists, not what lies there."""
    return asyncio.run(_event_files(url, first, last))


async def _event_files(url: str, first: date, last: date) -> list[str]:
    connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_S)
    try:
        return [file.file for file in await files_between(connection, first, last)]
    finally:
        await connection.close()


def read(lake: Path, files: list[str]) -> polars.LazyFrame:
    """The events of these files, each once, in any order; columns of ``actors.storage.events.parquet.SCHEMA``.

    A column that a file of an earlier version lacks is null.
    """
    if not files:
        return polars.LazyFrame(schema=SCHEMA)
    found = polars.scan_parquet(
        [lake / file for file in files], schema=SCHEMA, hive_partitioning=False, missing_columns="insert", extra_columns="ignore"
    )
    # A landing knows the events of the last hour; one that was sent again a day later is found here.
    return found.unique(subset="key", keep="any")


def visitor_links(url: str) -> polars.DataFrame:
    """Which terminal became whose at a login, and when: actor, visitor, joined_at_ms. Without accounts that say no to events."""
    return asyncio.run(_visitor_links(url))


async def _visitor_links(url: str) -> polars.DataFrame:
    connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_S)
    try:
        return links_table([tuple(row) for row in await connection.fetch(LINKS)])
    finally:
        await connection.close()


def joined(events: polars.LazyFrame, links: polars.DataFrame) -> polars.LazyFrame:
    """The same events; what a guest did is the account's that logged in on that terminal next, and nobody's when none did."""
    return with_owners(events, links)


def of_actor(events: polars.LazyFrame, actor: str) -> polars.LazyFrame:
    """The events of one user, by the pseudonym (``actors.domain.pseudonym``)."""
    return events.filter(polars.col("actor") == actor)


def funnel(events: polars.LazyFrame) -> polars.DataFrame:
    """How many visitors viewed, then added, then purchased, by day (UTC, when it happened) and campaign source.

    Columns date, source, viewed, added, purchased; a step counts only after the one before it, on the same day. The source of a
    visitor's day is the last campaign that was named on it, else ``direct``.
    """
    at, kind, by = polars.col("at_ms"), polars.col("type"), ("date", "visitor")
    dated = events.with_columns(date=polars.from_epoch("at_ms", time_unit="ms").dt.date())
    viewed = at.filter(kind == "view").min()
    visits = dated.group_by(by).agg(
        source=polars.col("source").sort_by("at_ms").drop_nulls().last().fill_null(DIRECT),
        viewed_at=viewed,
        added_at=at.filter((kind == "add") & (at >= viewed)).min(),
        last_purchase_at=at.filter(kind == "purchase").max(),
    )
    counted = visits.group_by("date", "source").agg(
        viewed=polars.col("viewed_at").is_not_null().sum(),
        added=polars.col("added_at").is_not_null().sum(),
        purchased=(polars.col("last_purchase_at") >= polars.col("added_at")).sum(),
    )
    return counted.sort("date", "source").collect()
