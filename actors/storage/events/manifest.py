"""Which files of events are whole, in PostgreSQL. A reader asks here; a directory listing shows half-finished work."""

from datetime import date
from typing import Any, Final

import msgspec

ADD_FILE: Final = """
INSERT INTO event_file (file, date, hour, rows, bytes, first_at, last_at, checksum)
VALUES ($1, $2, $3, $4, $5, to_timestamp($6::bigint / 1000.0), to_timestamp($7::bigint / 1000.0), $8)"""
ADD_SPOOLS: Final = "INSERT INTO event_spool (spool) SELECT unnest($1::text[])"
LANDED_SPOOLS: Final = "SELECT spool FROM event_spool WHERE spool = ANY($1::text[])"
FORGET_SPOOLS: Final = "DELETE FROM event_spool WHERE spool = ANY($1::text[])"
LISTED: Final = "SELECT file FROM event_file WHERE file = ANY($1::text[])"
RECENT: Final = """
SELECT file FROM (
    SELECT file, landed_at, sum(rows) OVER (ORDER BY landed_at DESC, file) AS rows_since
    FROM event_file WHERE landed_at > clock_timestamp() - make_interval(secs => $1)
) recent WHERE rows_since <= $2::bigint ORDER BY landed_at DESC, file"""
EXPIRED: Final = """
SELECT file, date FROM event_file
WHERE date < ((clock_timestamp() AT TIME ZONE 'UTC') - make_interval(days => $1))::date ORDER BY date, file LIMIT $2"""
FORGET_FILES: Final = "DELETE FROM event_file WHERE file = ANY($1::text[])"
FILES: Final = """
SELECT file, date, hour, rows, bytes AS size, (extract(epoch FROM first_at) * 1000)::bigint AS first_at_ms,
    (extract(epoch FROM last_at) * 1000)::bigint AS last_at_ms, checksum
FROM event_file WHERE date BETWEEN $1 AND $2 ORDER BY date, hour, file"""
TOTALS: Final = """
SELECT count(*) AS files, coalesce(sum(rows), 0)::bigint AS rows, coalesce(sum(bytes), 0)::bigint AS bytes,
    min(date)::text AS first_day, max(date)::text AS last_day
FROM event_file"""
SAVE_LANDING: Final = """
INSERT INTO event_landing (ended_at, succeeded_at, rows, duplicates, damaged, reason)
VALUES (clock_timestamp(), CASE WHEN $4 = '' THEN clock_timestamp() END, $1, $2, $3, $4)
ON CONFLICT (one) DO UPDATE SET ended_at = excluded.ended_at, succeeded_at = coalesce(excluded.succeeded_at, event_landing.succeeded_at),
    rows = excluded.rows, duplicates = excluded.duplicates, damaged = excluded.damaged, reason = excluded.reason"""
LAST_LANDING: Final = """
SELECT extract(epoch FROM clock_timestamp() - ended_at)::float8 AS ended_s,
    extract(epoch FROM clock_timestamp() - succeeded_at)::float8 AS succeeded_s, rows, duplicates, damaged, reason
FROM event_landing"""


class EventFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file. date, hour: UTC, when its events arrived. size: bytes. first_at_ms, last_at_ms: when they
    happened. checksum: SHA-256 of the file."""

    file: str
    date: date
    hour: int
    rows: int
    size: int
    first_at_ms: int
    last_at_ms: int
    checksum: bytes


class LastLanding(msgspec.Struct, frozen=True, kw_only=True):
    """How the last landing ended, so many seconds ago; succeeded_s: since the last one without a problem. reason: what went wrong."""

    ended_s: float
    succeeded_s: float | None
    rows: int
    duplicates: int
    damaged: int
    reason: str


class EventsStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What is in the lake. last is None before the first landing."""

    files: int
    rows: int
    bytes: int
    first_day: str | None
    last_day: str | None
    last: LastLanding | None


async def files_between(connection: Any, first: date, last: date) -> list[EventFile]:
    """The files of events that arrived on these days, both included, in their order."""
    return [EventFile(**row) for row in await connection.fetch(FILES, first, last)]


async def events_status(connection: Any) -> EventsStatus:
    """As it is now."""
    row = await connection.fetchrow(LAST_LANDING)
    return EventsStatus(**await connection.fetchrow(TOTALS), last=None if row is None else LastLanding(**row))
