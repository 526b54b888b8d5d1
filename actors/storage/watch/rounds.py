"""One round of the watch: count what was sold, find whose facts have changed, make them anew, judge tags and propose.

Every step is a transaction that says by itself how far it came; a round that is killed is taken up by the next. Two rounds are never at
work at once: the second one answers at once that it had nothing to do.
"""

import asyncio
import time
from typing import Any, Final

import asyncpg
import msgspec
import structlog

from actors.storage.connect import CONNECT_TIMEOUT_S, LOST, storage_error
from actors.storage.watch.proposing import Settings, propose, read_settings
from actors.storage.watch.refreshing import Surroundings, find_due, keep_facts, read_facts, surroundings, take_due
from actors.storage.watch.selling import count_news, recount, recount_asked
from actors.storage.watch.tagging import judge_tags, read_judges, show_tags

log = structlog.get_logger("stampede.goods")

BATCH: Final = 500
"""Products of one transaction: it holds the goods' lock only for its last statement."""

LEARN_EVERY: Final = 10
"""Batches after which the planner learns of what was written: a plan for an empty table is kept by the session, and is a slow one."""

LEARN: Final = "ANALYZE product_fact, product_fact_due, product_tag, proposal, sku_day, product_pair"
ALONE: Final = "SELECT pg_try_advisory_lock(7281)"
NOW_MS: Final = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"
ENDED: Final = "UPDATE watch_state SET ended_at_ms = $1, reason = $2"


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """What a round did. whole: False when its time was over first; the next one goes on. alone: False when another one was at work."""

    counted: int = 0
    products: int = 0
    tags: int = 0
    proposals: int = 0
    whole: bool = True
    alone: bool = True


async def run_round(url: str, *, seconds_max: float = 300.0, rest: float = 0.0, now_ms: int = 0) -> Round:
    """One round. seconds_max: it ends after so long. rest: so many times as long as a transaction took, it rests after it.

    now_ms: UTC, for tests; 0 is the database's time. StorageUnknown when the database was lost on the way.
    """

    settings = {"application_name": "stampede watch", "lock_timeout": "30s"}
    try:
        connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_S, server_settings=settings)
        try:
            if not await connection.fetchval(ALONE):
                return Round(alone=False)
            return await _round(connection, seconds_max, rest, now_ms)
        finally:
            # Nothing of an ended round is left to be waited for: a transaction that is open is undone by the server.
            connection.terminate()
    except LOST as error:
        raise storage_error(error) from error


async def _round(connection: Any, seconds_max: float, rest: float, now_ms: int) -> Round:
    until = time.monotonic() + seconds_max
    at_ms = now_ms or await connection.fetchval(NOW_MS)
    counted = await _count(connection, until, rest)
    await find_due(connection, at_ms)
    around, settings, judges = await surroundings(connection, at_ms), await read_settings(connection), await read_judges(connection)
    products = tags = proposals = batches = 0
    while time.monotonic() < until:
        begun = time.monotonic()
        found, given, proposed = await _batch(connection, around, settings, judges)
        if not found:
            await connection.execute(ENDED, at_ms, "")
            return Round(counted=counted, products=products, tags=tags, proposals=proposals)
        products, tags, proposals = products + found, tags + given, proposals + proposed
        if batches % LEARN_EVERY == 1:
            await connection.execute(LEARN)
        batches += 1
        await asyncio.sleep(rest * (time.monotonic() - begun))
    await connection.execute(ENDED, at_ms, "time")
    return Round(counted=counted, products=products, tags=tags, proposals=proposals, whole=False)


async def _count(connection: Any, until: float, rest: float) -> int:
    """Count what was sold; everything, where that was asked for."""
    if await recount_asked(connection):
        await recount(connection)
        log.info("sales_recounted")
    counted = 0
    while time.monotonic() < until:
        begun = time.monotonic()
        taken = await count_news(connection)
        counted += taken
        if not taken:
            break
        await asyncio.sleep(rest * (time.monotonic() - begun))
    return counted


async def _batch(connection: Any, around: Surroundings, settings: Settings, judges: list[Any]) -> tuple[int, int, int]:
    """The next products that are due: (how many, tags given and taken, proposals changed)."""
    async with connection.transaction():
        product_ids = await take_due(connection, BATCH)
        if not product_ids:
            return 0, 0, 0
        found = await read_facts(connection, product_ids, around)
        await keep_facts(connection, found, around)
        proposed = await propose(connection, found, settings, around.now_ms)
        given = await judge_tags(connection, found, judges, around.now_ms)
        await show_tags(connection, product_ids)
    return len(product_ids), given, proposed
