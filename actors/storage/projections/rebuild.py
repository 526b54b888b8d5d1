"""Rebuilding a group of projections: beside, from the first record, and then swapped in, while everything is served on.

The first record may have left the table: what was pruned is read from the archive, the rest from the journal.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import asyncpg
import structlog

from actors.storage.connect import CONNECT_TIMEOUT_S
from actors.storage.projections.follower import BEGIN_POSITIONS, Follower
from actors.storage.projections.groups import GROUPS, Group, kinds_of
from actors.storage.projections.reading import ROWS_MAX, runs_of_archive
from actors.storage.upkeep.lake import FileDamaged, Lake
from actors.storage.upkeep.listing import list_files, pruned_seqs
from actors.storage.upkeep.pruning import LOCK_PRUNE

log = structlog.get_logger("stampede.projections")

SWAP_TRIES_MAX: Final = 30
"""A swap waits at most a second for whoever reads the tables, then lets them go on and tries again."""

LOCK_REBUILD: Final = "SELECT pg_try_advisory_lock(7270, hashtext($1))"
CLOSE_DOOR: Final = "SELECT pg_advisory_xact_lock(7269, hashtext($1))"
"""The door of ``follower.ADVANCE``: while it is closed the group's positions stand still."""
BEHIND: Final = """
SELECT coalesce(sum(greatest(p.seq - r.seq, 0)), 0)::bigint FROM projection_position p
JOIN projection_position r ON r.projection = $2 AND r.shard = p.shard
WHERE p.projection = $1
"""
FORGET_POSITIONS: Final = "DELETE FROM projection_position WHERE projection = $1"
FORGET_STOPS: Final = "DELETE FROM projection_stop WHERE projection = $1"
RENAME_POSITIONS: Final = "UPDATE projection_position SET projection = $1 WHERE projection = $2"
FIRST_STOP: Final = "SELECT shard, seq, reason FROM projection_stop WHERE projection = $1 ORDER BY shard LIMIT 1"
TRIGGERS: Final = """
SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = $1::regclass AND NOT tgisinternal ORDER BY tgname
"""
INDEX_NAMES: Final = """
WITH old AS (
    SELECT c.relname, replace(pg_get_indexdef(i.indexrelid, 0, false), c.relname || ' ON public.', ' ON ') AS shape
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = ('public.' || $1)::regclass
), new AS (
    SELECT c.relname, replace(pg_get_indexdef(i.indexrelid, 0, false), c.relname || ' ON ' || $2 || '.', ' ON ') AS shape
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = ($2 || '.' || $1)::regclass
)
SELECT new.relname AS made, old.relname AS wanted FROM old JOIN new USING (shape) WHERE new.relname <> old.relname
"""
"""Copied indexes have names of PostgreSQL's making: they get those of the migrations back."""


class RebuildFailed(Exception):
    """The new tables could not be filled or put in place; the old ones are in use as before. The message says why."""


async def rebuild(url: str, name: str, groups: Mapping[str, Group] = GROUPS, *, lake: Path | None = None) -> int:
    """Fill the tables of a group anew and put them in place; answers how many records were followed.

    lake: where the archive is; it is needed once a shard was pruned. Readers wait a moment at the swap,
    and never see a table that is not whole. Stops of the group are forgotten: a rebuild that comes to the
    end has met no such record. RebuildFailed when it meets one, when another rebuild runs, when a file of
    the archive is missing or altered, or when readers hold the tables for too long.
    """
    beside, schema = f"{name}@rebuild", f"rebuild_{name}"
    connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_S, server_settings={"application_name": "stampede rebuild"})
    follower = Follower(url, {beside: groups[name]}, settings={"search_path": f"{schema}, public"})
    try:
        if not await connection.fetchval(LOCK_REBUILD, name):
            raise RebuildFailed(f"{name} is being rebuilt already")
        await _begin(connection, beside, schema, _tables(groups[name]))
        followed = await _from_archive(connection, follower, beside, groups[name], lake)
        followed += await _catch_up(connection, follower, beside, _tables(groups[name]), schema)
        for _ in range(SWAP_TRIES_MAX):
            try:
                followed += await _swap(connection, follower, name, beside, schema, groups[name])
                return followed
            except asyncpg.LockNotAvailableError:
                log.info("rebuild_waits_for_readers", projection=name)
                await asyncio.sleep(0.2)
        raise RebuildFailed(f"{name}: its tables are being read without a pause; try again later")
    finally:
        await follower.close()
        await connection.close()


def _tables(group: Group) -> list[str]:
    return [table for projection in group for table in projection.tables]


async def _begin(connection: Any, beside: str, schema: str, tables: list[str]) -> None:
    """Empty tables of the same shape, and positions before the first record. What an interrupted rebuild left is dropped."""
    async with connection.transaction():
        await connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
        await connection.execute(f"CREATE SCHEMA {schema}")
        for table in tables:
            await connection.execute(f"CREATE TABLE {schema}.{table} (LIKE public.{table} INCLUDING ALL)")
            options = await connection.fetchval(
                "SELECT array_to_string(reloptions, ', ') FROM pg_class WHERE oid = $1::regclass", f"public.{table}"
            )
            if options:
                await connection.execute(f"ALTER TABLE {schema}.{table} SET ({options})")
        await connection.execute(FORGET_POSITIONS, beside)
        await connection.execute(FORGET_STOPS, beside)
        # Whoever prunes from now on sees that everything is still to be read.
        await connection.execute(LOCK_PRUNE)
        await connection.execute(BEGIN_POSITIONS, beside)


async def _from_archive(connection: Any, follower: Follower, beside: str, group: Group, lake: Path | None) -> int:
    """Follow the files of every shard that was pruned, up to where the journal begins or further."""
    pruned, files, kinds = await pruned_seqs(connection), await list_files(connection), set(kinds_of(group))
    if pruned and lake is None:
        raise RebuildFailed("the first records are in the archive alone: say where it is")
    total = 0
    for shard, until in pruned.items():
        for file in files.get(shard, ()):
            if file.first_seq > until:
                break
            try:
                records = Lake(lake or Path()).read(file)
            except FileDamaged as damaged:
                raise RebuildFailed(f"the archive: {damaged}") from damaged
            for run in runs_of_archive(shard, records, kinds):
                total += await follower.follow(beside, [run])
            await _refuse_stopped(connection, beside)
    return total


async def _refuse_stopped(connection: Any, beside: str) -> None:
    stop = await connection.fetchrow(FIRST_STOP, beside)
    if stop is not None:
        raise RebuildFailed(f"record {stop['seq']} of shard {stop['shard']}: {stop['reason']}")


async def _catch_up(connection: Any, follower: Follower, beside: str, tables: list[str], schema: str) -> int:
    """Follow until only the last moment is missing: while orders come in there is always one."""
    total = followed = await _step(connection, follower, beside)
    while followed >= ROWS_MAX // 4:
        followed = await _step(connection, follower, beside)
        total += followed
    for table in tables:
        await connection.execute(f"ANALYZE {schema}.{table}")
    return total


async def _step(connection: Any, follower: Follower, beside: str) -> int:
    followed = await follower.step()
    await _refuse_stopped(connection, beside)
    return followed


async def _swap(connection: Any, follower: Follower, name: str, beside: str, schema: str, group: Group) -> int:
    """With the group's positions held still: follow the last few records, then let the new tables be the ones in use."""
    async with connection.transaction():
        await connection.execute("SET LOCAL lock_timeout = '1s'")
        await connection.execute(CLOSE_DOOR, name)
        followed = 0
        while await connection.fetchval(BEHIND, name, beside):
            followed += await _step(connection, follower, beside)
        for table in _tables(group):
            await _put_in_place(connection, schema, table)
        await connection.execute(f"DROP SCHEMA {schema}")
        await connection.execute(FORGET_POSITIONS, name)
        await connection.execute(RENAME_POSITIONS, name, beside)
        await connection.execute(FORGET_STOPS, name)
        for projection in group:
            for statement in projection.after_swap:
                await connection.execute(statement)
    return followed


async def _put_in_place(connection: Any, schema: str, table: str) -> None:
    names = await connection.fetch(INDEX_NAMES, table, schema)
    triggers = [row[0] for row in await connection.fetch(TRIGGERS, f"public.{table}")]
    await connection.execute(f"DROP TABLE public.{table}")
    await connection.execute(f"ALTER TABLE {schema}.{table} SET SCHEMA public")
    for row in names:
        await connection.execute(f"ALTER INDEX public.{row['made']} RENAME TO {row['wanted']}")
    for trigger in triggers:
        await connection.execute(trigger)
