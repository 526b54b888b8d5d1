"""Files of the lake that take the place of others: without somebody's names, or many small ones as one. Under the landing's lock.

Order, which may end anywhere: old and new names are written down, the new file is written, synced and renamed, the lines of the
manifest change in one transaction, the old files are deleted. What is written down and not listed is deleted by the next run:
the new file before the transaction, the old ones after it. A reader whose file is gone asks for the list again.
"""

import hashlib
import os
from collections.abc import Callable
from typing import Any, Final

import polars

from actors.domain.pseudonym import Pseudonyms
from actors.storage.events import manifest
from actors.storage.events.lake import EventLake
from actors.storage.events.parquet import scan
from actors.storage.events.people import Erased, erased_of

WAITING: Final = "SELECT user_id, visitors, erased_at_ms, secret FROM event_erasure WHERE done_at IS NULL ORDER BY user_id LIMIT 1000"
FOUND: Final = """
UPDATE event_erasure SET secret = $2,
    visitors = ARRAY(SELECT DISTINCT visitor FROM unnest(visitors || $3::text[]) AS visitor ORDER BY visitor) WHERE user_id = $1"""
DONE: Final = "UPDATE event_erasure SET done_at = now(), secret = NULL WHERE user_id = ANY($1::text[])"
DROP: Final = "DELETE FROM event_erasure WHERE done_at < now() - make_interval(days => $1)"
ALL_FILES: Final = "SELECT file FROM event_file ORDER BY file"
HOUR_OF: Final = "SELECT date, hour FROM event_file WHERE file = $1"
LANDED_AT: Final = "SELECT max(landed_at) FROM event_file WHERE file = ANY($1::text[])"
SET_LANDED_AT: Final = "UPDATE event_file SET landed_at = $2 WHERE file = $1"
SMALL: Final = """
SELECT date, hour, array_agg(file ORDER BY file) AS files FROM (
    SELECT date, hour, file, sum(bytes) OVER (PARTITION BY date, hour ORDER BY file) AS bytes_to,
        sum(rows) OVER (PARTITION BY date, hour ORDER BY file) AS rows_to
    FROM event_file WHERE bytes <= $1 AND landed_at < clock_timestamp() - make_interval(secs => $2)
) small WHERE bytes_to <= $3::bigint AND rows_to <= $4::bigint GROUP BY date, hour HAVING count(*) >= $5 ORDER BY date, hour LIMIT $6"""

LATE_DAYS: Final = 14
"""Spools and terminals hold nothing that is older: what comes of an erased person until then is dropped as it lands."""

SMALL_BYTES: Final = 8 * 1024 * 1024
MERGED_BYTES: Final = 32 * 1024 * 1024
MERGED_ROWS: Final = 2_000_000
"""Of one file that others become: some 500 MB while it is made."""

SMALL_FILES: Final = 8
"""So few in an hour are left alone."""

QUIET_S: Final = 2 * 3600.0
PARTITIONS_MAX: Final = 20
"""Hours whose files are merged in one run."""


async def recover(connection: Any, lake: EventLake) -> None:
    """End what an earlier run began."""
    begun = lake.rewriting()
    if begun:
        listed = {row["file"] for row in await connection.fetch(manifest.LISTED, begun)}
        lake.remove_rewritten([file for file in begun if file not in listed])


async def _swap(connection: Any, lake: EventLake, olds: list[str], table: polars.DataFrame, passed: Callable[[str], None]) -> None:
    hour = await connection.fetchrow(HOUR_OF, olds[0])
    file = lake.rewrite(olds, hour["date"], hour["hour"], table, passed)
    async with connection.transaction():
        # An event that comes again is looked for in the files of the last hour: the new one is as old as the youngest it replaces.
        landed_at = await connection.fetchval(LANDED_AT, olds)
        await connection.execute(manifest.FORGET_FILES, olds)
        await connection.execute(
            manifest.ADD_FILE, file.file, file.date, file.hour, file.rows, file.size, file.first_at_ms, file.last_at_ms, file.checksum
        )
        await connection.execute(SET_LANDED_AT, file.file, landed_at)
    passed("swapped")
    lake.remove_rewritten(olds)


async def compact(connection: Any, lake: EventLake, passed: Callable[[str], None], files_min: int = SMALL_FILES) -> int:
    """Make one file of the small ones of each hour that is over; answers how many files are fewer."""
    merged = 0
    bounds = (SMALL_BYTES, QUIET_S, MERGED_BYTES, MERGED_ROWS, files_min, PARTITIONS_MAX)
    for row in await connection.fetch(SMALL, *bounds):
        table = _read(lake, row["files"]).unique(subset="key", keep="any")
        await _swap(connection, lake, row["files"], table, passed)
        merged += len(row["files"]) - 1
    return merged


async def forget(connection: Any, lake: EventLake, names: Pseudonyms, passed: Callable[[str], None]) -> int:
    """Take the names of whoever was erased out of the files; answers how many files were rewritten. A repeat goes on where one ended."""
    await connection.execute(DROP, LATE_DAYS)
    rows = await connection.fetch(WAITING)
    if not rows:
        return 0
    files = [row["file"] for row in await connection.fetch(ALL_FILES)]
    secret = next((row["secret"] for row in rows if row["secret"]), None) or os.urandom(32)
    # All terminals first: once a file has no names any more, it does not say which these were.
    met = _visitors(lake, files, [names.actor(row["user_id"]) for row in rows])
    for row in rows:
        await connection.execute(FOUND, row["user_id"], secret, met.get(names.actor(row["user_id"]), []))
    erased = erased_of(await connection.fetch(WAITING), names)
    rewritten = 0
    for file in files:
        if not _theirs(_scan(lake, [file]).select("actor", "visitor", "at_ms"), erased).head(1).collect().height:
            continue
        await _swap(connection, lake, [file], _without_names(_read(lake, [file]), erased, secret), passed)
        rewritten += 1
    # What a crash put aside is in the lake under other names, and is read by nobody.
    lake.remove_set_aside(0)
    await connection.execute(DONE, [row["user_id"] for row in rows])
    return rewritten


def _scan(lake: EventLake, files: list[str]) -> polars.LazyFrame:
    return scan([lake.path / file for file in files])


def _read(lake: EventLake, files: list[str]) -> polars.DataFrame:
    return _scan(lake, files).collect()


def _visitors(lake: EventLake, files: list[str], actors: list[str]) -> dict[str, list[str]]:
    found: dict[str, set[str]] = {}
    for file in files:
        pairs = _scan(lake, [file]).select("actor", "visitor").filter(polars.col("actor").is_in(actors)).unique().collect()
        for actor, visitor in pairs.iter_rows():
            found.setdefault(actor, set()).add(visitor)
    return {actor: sorted(visitors) for actor, visitors in found.items()}


def _theirs(events: polars.LazyFrame, erased: Erased) -> polars.LazyFrame:
    return events.filter(_is_theirs(erased))


def _is_theirs(erased: Erased) -> polars.Expr:
    actor, visitor = polars.col("actor"), polars.col("visitor")
    until = visitor.replace_strict(erased.visitors, default=-1, return_dtype=polars.Int64) if erased.visitors else polars.lit(-1)
    return actor.is_in(list(erased.actors)).fill_null(False) | (actor.is_null() & (polars.col("at_ms") <= until))


def _without_names(table: polars.DataFrame, erased: Erased, secret: bytes) -> polars.DataFrame:
    """The same rows: whoever was erased has names that nobody can make again, the same in all files of this run."""

    def name(text: str) -> str:
        return hashlib.blake2b(text.encode(), key=secret, digest_size=16).hexdigest()

    def number(key: int) -> int:
        return int(name(str(key))[:16], 16) >> 1

    theirs = _is_theirs(erased)
    mine = table.filter(theirs).with_columns(
        *(polars.col(column).map_elements(name, return_dtype=polars.String) for column in ("actor", "visitor", "session", "id")),
        polars.col("key").map_elements(number, return_dtype=polars.Int64),
        # Words are somebody's own, and an order has a buyer.
        query=polars.lit(None, polars.String),
        order_id=polars.lit(None, polars.String),
    )
    return polars.concat([table.filter(~theirs), mine.select(table.columns)])
