"""The follower: what the journal says, written into the tables that people query.

Promises of :meth:`Follower.step`:

- a record's rows and the position behind it are written in one transaction: each record counts once;
- positions move by compare-and-set: of two followers that do the same, one is discarded;
- a shard with a gap, or with a record that cannot be folded or written, stops there with a row in
  ``projection_stop``; everything before that record is written, and the other shards go on.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

import asyncpg
import structlog

from actors.domain.kinds import events_decoder
from actors.ports.journal import StorageUnknown
from actors.storage.connect import Link
from actors.storage.projections.groups import GROUPS, Group, kinds_of
from actors.storage.projections.projection import Fact, Projection
from actors.storage.projections.reading import READ, ROWS_MAX, Run, runs_of

T = TypeVar("T")

log = structlog.get_logger("stampede.projections")

RUSH_ROWS: Final = 256
RUSH_S: Final = 0.1
CALM_S: Final = 0.02
"""Between two steps while there is work. A step costs two milliseconds however small it is: after one of ``RUSH_ROWS`` or more
the next may as well be as big, and a tenth of a second is soon enough; otherwise it is cheaper to be quick."""

IDLE_S: Final = (0.01, 0.02, 0.05, 0.1, 0.25)
"""Waits while there is nothing to do; the last one repeats."""

SETTINGS: Final = {
    "synchronous_commit": "off",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "plan_cache_mode": "force_generic_plan",
}
"""What is written here can be written again from the journal: nobody waits for its fsync. Rows and position are lost together.
The journal is always read by its index, also while its statistics are still those of an empty table."""

BEGIN_POSITIONS: Final = """
INSERT INTO projection_position (projection, shard) SELECT $1, shard FROM shard_owner ON CONFLICT DO NOTHING
"""
ADVANCE: Final = """
WITH door AS MATERIALIZED (
    SELECT pg_try_advisory_xact_lock(7269, hashtext($1)) AS open
), moved AS (
    UPDATE projection_position p SET seq = n.until
    FROM unnest($2::smallint[], $3::bigint[], $4::bigint[]) AS n (shard, after, until), door
    WHERE door.open AND p.projection = $1 AND p.shard = n.shard AND p.seq = n.after
    RETURNING p.shard
)
SELECT count(*) FROM moved
"""
"""One follower of a group writes at a time; another one finds the door closed, or the positions moved, and comes again."""
STOP: Final = """
INSERT INTO projection_stop (projection, shard, seq, reason) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING
"""
RESUME: Final = "DELETE FROM projection_stop WHERE projection = $1 AND ($2::smallint IS NULL OR shard = $2) RETURNING shard"
LAG: Final = """
SELECT coalesce(sum(o.head_seq - p.seq), 0)::bigint AS behind,
    coalesce(extract(epoch FROM clock_timestamp()) - min(
        (SELECT j.at_ms FROM journal j WHERE j.shard = p.shard AND j.seq = p.seq + 1)
    ) / 1000.0, 0)::float8 AS seconds
FROM projection_position p JOIN shard_owner o ON o.shard = p.shard AND o.head_seq > p.seq
WHERE p.projection = $1
"""
STOPPED: Final = "SELECT count(*) FROM projection_stop WHERE projection = $1"


class FollowerCounters:
    """For metrics. ``overtaken``: steps that another follower had done; ``stops``: poison events met by this one."""

    def __init__(self) -> None:
        self.steps = 0
        self.rows = 0
        self.overtaken = 0
        self.stops = 0
        self.failures = 0


class _Poison(Exception):
    """A record that cannot be folded."""

    def __init__(self, shard: int, seq: int, reason: str) -> None:
        super().__init__(shard, seq, reason)
        self.shard = shard
        self.seq = seq
        self.reason = reason


class _Overtaken(Exception):
    """Another follower has moved a position."""


class Follower:
    """Follows all shards for some groups of projections, on one connection of its own."""

    def __init__(self, url: str, groups: Mapping[str, Group] = GROUPS, *, settings: Mapping[str, str] = {}) -> None:
        self.counters = FollowerCounters()
        self._groups = dict(groups)
        self._link = Link(url, "projections", {**SETTINGS, **settings})
        self._lock = asyncio.Lock()
        self._begun: set[str] = set()
        self._more = False

    async def run(self) -> None:
        """Follow for ever; a database that is away is waited for."""
        idle = 0
        while True:
            try:
                followed = await self.step()
            except StorageUnknown as error:
                self.counters.failures += 1
                log.warning("follower_waits", reason=error.reason)
                followed = 0
            idle = 0 if followed else min(idle + 1, len(IDLE_S))
            if idle:
                await asyncio.sleep(IDLE_S[idle - 1])
            elif not self._more:
                await asyncio.sleep(RUSH_S if followed >= RUSH_ROWS else CALM_S)

    async def step(self) -> int:
        """Follow every group once; answers how many records were followed. StorageUnknown when the database was lost."""
        self._more = False
        followed = 0
        for name in self._groups:
            followed += await self._run(self._step, name)
        self.counters.steps += 1
        self.counters.rows += followed
        return followed

    async def follow(self, group: str, runs: list[Run]) -> int:
        """Follow records that were read elsewhere (the archive); answers how many. The positions must stand right before them."""
        return await self._run(self._apply, group, runs)

    async def lag(self) -> dict[str, tuple[int, float]]:
        """By group: how many records are not yet followed, and how old the oldest of them is, in seconds."""
        found = {}
        for name in self._groups:
            row = await self._run(_lag, name)
            found[name] = (row["behind"], max(0.0, row["seconds"]))
        return found

    async def stopped(self) -> dict[str, int]:
        """By group: how many shards stand at a record that could not be followed."""
        return {name: await self._run(_stopped, name) for name in self._groups}

    async def resume(self, group: str, shard: int | None = None) -> list[int]:
        """Follow stopped shards again (all, or one), after the cause was mended; answers which."""
        return await self._run(_resume, group, shard)

    async def close(self) -> None:
        """Close the connection."""
        await self._link.close()

    async def _run(self, work: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """One thing at a time on the connection: whoever asks for the lag waits for a step, at most."""
        async with self._lock:
            return await self._link.run(lambda connection: work(connection, *arguments))

    async def _step(self, connection: Any, name: str) -> int:
        if name not in self._begun:
            await connection.execute(BEGIN_POSITIONS, name)
            self._begun.add(name)
        runs = runs_of(await connection.fetch(READ, name, kinds_of(self._groups[name]), ROWS_MAX))
        if not runs:
            return 0
        followed = await self._apply(connection, name, runs)
        self._more = self._more or followed >= ROWS_MAX // 2
        return followed

    async def _apply(self, connection: Any, name: str, runs: list[Run]) -> int:
        """Fold and write; answers how many records were written. What is poison stops its shard alone."""
        while True:
            try:
                projections = self._fold(name, runs)
                break
            except _Poison as poison:
                log.exception("event_unreadable", projection=name, shard=poison.shard, seq=poison.seq)
                runs = [run.first(poison.seq - run.after - 1, poison.reason) if run.shard == poison.shard else run for run in runs]
        try:
            return await self._write(connection, name, runs, projections)
        except _Overtaken:
            self.counters.overtaken += 1
            return 0
        except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
            return await self._isolate(connection, name, runs, str(error))

    def _fold(self, name: str, runs: list[Run]) -> list[Projection]:
        projections = [projection() for projection in self._groups[name]]
        takers: dict[type, list[Projection]] = {}
        for projection in projections:
            for event in projection.events:
                takers.setdefault(event, []).append(projection)
        for run in runs:
            for fact, body in zip(run.facts, run.bodies, strict=True):
                if body is not None:
                    _fold_one(takers, fact, body)
        return projections

    async def _write(self, connection: Any, name: str, runs: list[Run], projections: list[Projection]) -> int:
        moved = [run for run in runs if run.facts]
        positions = [run.shard for run in moved], [run.after for run in moved], [run.until for run in moved]
        async with connection.transaction():
            if await connection.fetchval(ADVANCE, name, *positions) != len(moved):
                raise _Overtaken
            for projection in projections:
                for statement in projection.statements():
                    await connection.execute(statement.sql, *statement.columns)
            for run in runs:
                if run.broken:
                    await self._stop(connection, name, run)
        return sum(len(run.facts) for run in moved)

    async def _stop(self, connection: Any, name: str, run: Run) -> None:
        self.counters.stops += 1
        log.error("projection_stopped", projection=name, shard=run.shard, seq=run.until + 1, reason=run.broken)
        await connection.execute(STOP, name, run.shard, run.until + 1, run.broken.replace("\0", "\\0")[:1000])

    async def _isolate(self, connection: Any, name: str, runs: list[Run], reason: str) -> int:
        """PostgreSQL refuses something in these runs: halve them until it is one record, which stops its shard."""
        if len(runs) > 1:
            half = len(runs) // 2
            return await self._apply(connection, name, runs[:half]) + await self._apply(connection, name, runs[half:])
        run = runs[0]
        if len(run.facts) == 1:
            return await self._apply(connection, name, [run.first(0, reason)])
        half = len(run.facts) // 2
        followed = await self._apply(connection, name, [run.first(half)])
        return followed + (await self._apply(connection, name, [run.rest(half)]) if followed == half else 0)


def _fold_one(takers: dict[type, list[Projection]], fact: Fact, body: bytes) -> None:
    try:
        turn = events_decoder.decode(body).events
        for event in turn:
            for projection in takers.get(type(event), ()):
                projection.fold(fact, event, turn)
    except Exception as error:
        raise _Poison(fact.shard, fact.seq, f"{type(error).__name__}: {error}") from error


async def _lag(connection: Any, name: str) -> Any:
    return await connection.fetchrow(LAG, name)


async def _stopped(connection: Any, name: str) -> int:
    return int(await connection.fetchval(STOPPED, name))


async def _resume(connection: Any, name: str, shard: int | None) -> list[int]:
    return [row["shard"] for row in await connection.fetch(RESUME, name, shard)]
