"""The audit: one snapshot, one pass over the history, one over each table."""

from pathlib import Path
from typing import Any, Final

import asyncpg

from actors.domain.pools import parse_pools
from actors.domain.sharding import Sharding
from actors.storage.audit.history import History
from actors.storage.audit.holds import Holds
from actors.storage.audit.members import MemberTables
from actors.storage.audit.records import Records
from actors.storage.audit.report import Finding, Findings, Report
from actors.storage.audit.sagas import Sagas
from actors.storage.audit.snapshots import Snapshots
from actors.storage.audit.tables import Tables
from actors.storage.audit.trail import check_trail
from actors.storage.connect import CONNECT_TIMEOUT_S
from actors.storage.upkeep.listing import pruned_seqs

SAGA_LIMIT_MS: Final = 15 * 60_000
"""A saga that waits longer than this needs a person."""

READ_CLUSTER: Final = "SELECT shard_count, pools, hash_secret FROM cluster"
READ_HEADS: Final = "SELECT shard, epoch, head_seq FROM shard_owner ORDER BY shard"
READ_POSITIONS: Final = "SELECT shard, seq FROM projection_position WHERE projection = 'orders' ORDER BY shard"
READ_MEMBER_POSITIONS: Final = "SELECT shard, seq FROM projection_position WHERE projection = 'members' ORDER BY shard"
READ_STOPS: Final = "SELECT projection, shard, seq, reason FROM projection_stop ORDER BY projection, shard"
READ_METAS: Final = "SELECT shard, seq FROM shard_meta ORDER BY shard"
READ_NOW: Final = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"


async def audit(url: str, *, saga_limit_ms: int = SAGA_LIMIT_MS, lake: Path | None = None) -> Report:
    """Prove the books of the database at ``url``, in one read-only REPEATABLE READ snapshot, while the shop is open.

    lake: where the archive is; its files are proven, and what was pruned is read from them. It reads the
    whole history as a stream: memory grows with the number of orders (about a kilobyte each), not with their
    history. Raises what asyncpg raises when the database cannot be read.
    """
    connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_S, server_settings={"application_name": "stampede audit"})
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return await _audit(connection, saga_limit_ms, lake)
    finally:
        await connection.close()


async def _audit(connection: Any, saga_limit_ms: int, lake: Path | None) -> Report:
    findings = Findings()
    cluster = await connection.fetchrow(READ_CLUSTER)
    if cluster is None:
        return _report(findings, {}, {}, 0.0)
    heads = await _check_heads(connection, findings, cluster["shard_count"])
    positions = await _check_positions(connection, findings, heads)
    holds, sagas, tables = Holds(findings), Sagas(), Tables(positions)
    members = MemberTables(await _check_member_positions(connection, findings, heads))
    pools = parse_pools(cluster["pools"], cluster["shard_count"])
    sharding = Sharding(cluster["hash_secret"], cluster["shard_count"], pools)
    history = History(findings, sharding, heads, (holds, sagas, tables, members))
    records, snapshots = Records(findings, lake), Snapshots(connection, findings)
    async for row in records.all(connection):
        history.take(row)
        await snapshots.follow(row[0], row[1], history.entity(row[4], row[5]), pruned=records.is_pruned(row[0], row[1]))
    history.close()
    await snapshots.end()
    _check_lost_shards(findings, heads, history)
    now_ms = await connection.fetchval(READ_NOW)
    holds.check(sagas.steps, now_ms, saga_limit_ms)
    counts = {
        "shards": len(heads),
        "records": history.records,
        "archived": records.archived,
        "entities": history.entities_seen,
        "orders": len(holds.orders),
        "rows": await tables.check(connection, findings) + await members.check(connection, findings),
        "staff_actions": await check_trail(connection, findings),
        "behind": sum(head - positions.get(shard, 0) for shard, head in heads.items()),
    }
    return _report(findings, counts, *sagas.check(findings, now_ms, saga_limit_ms))


def _report(findings: Findings, counts: dict[str, int], in_flight: dict[str, int], oldest_s: float) -> Report:
    listed: tuple[Finding, ...] = tuple(findings.listed)
    return Report(ok=not findings.count, found=findings.count, findings=listed, counts=counts, in_flight=in_flight, oldest_s=oldest_s)


async def _check_heads(connection: Any, findings: Findings, shard_count: int) -> dict[int, int]:
    """Every shard is there once, and whoever wrote had an epoch."""
    heads: dict[int, int] = {}
    for shard, epoch, head in await connection.fetch(READ_HEADS):
        heads[shard] = head
        if epoch < 0 or head < 0 or (head > 0 and epoch == 0):
            findings.add(4, f"shard {shard} has {head} records at epoch {epoch}", f"shard {shard}")
    if sorted(heads) != list(range(shard_count)):
        findings.add(4, f"the cluster has {shard_count} shards, and {len(heads)} are listed", "shard_owner")
    return heads


def _check_lost_shards(findings: Findings, heads: dict[int, int], history: History) -> None:
    for shard, head in heads.items():
        if head > 0 and shard not in history.shards_seen:
            findings.add(1, f"the head of shard {shard} is {head}, and it has no records", f"shard {shard}")


async def _check_member_positions(connection: Any, findings: Findings, heads: dict[int, int]) -> dict[int, int]:
    """The members' projections have positions of their own; they are not ahead of the journal either."""
    positions = {row["shard"]: row["seq"] for row in await connection.fetch(READ_MEMBER_POSITIONS)}
    for shard, seq in positions.items():
        if seq > heads.get(shard, 0):
            findings.add(6, f"the members of shard {shard} are at {seq}, its head is {heads.get(shard, 0)}", f"shard {shard}")
    return positions


async def _check_positions(connection: Any, findings: Findings, heads: dict[int, int]) -> dict[int, int]:
    """No projection is ahead of the journal, or stands still."""
    positions = {row["shard"]: row["seq"] for row in await connection.fetch(READ_POSITIONS)}
    for shard, seq in positions.items():
        if seq > heads.get(shard, 0):
            findings.add(6, f"the projections of shard {shard} are at {seq}, its head is {heads.get(shard, 0)}", f"shard {shard}")
    for name, shard, seq, reason in await connection.fetch(READ_STOPS):
        findings.add(6, f"projection {name} of shard {shard} stands before record {seq}: {reason}", f"shard {shard}")
    metas = {row["shard"]: row["seq"] for row in await connection.fetch(READ_METAS)}
    for shard, seq in metas.items():
        if seq > heads.get(shard, 0):
            findings.add(4, f"the snapshot of shard {shard} is at {seq}, its head is {heads.get(shard, 0)}", f"shard {shard}")
    for shard, seq in (await pruned_seqs(connection)).items():
        if metas.get(shard, 0) < seq:
            findings.add(1, f"shard {shard} was pruned to {seq}, and its snapshot is at {metas.get(shard, 0)}", f"shard {shard}")
        if positions.get(shard, 0) < seq:
            findings.add(6, f"shard {shard} was pruned to {seq}, and its projections are at {positions.get(shard, 0)}", f"shard {shard}")
    return positions
