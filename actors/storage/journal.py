"""The journal in PostgreSQL (``actors.ports.journal.Journal``)."""

import asyncio
from typing import Any, Final

from actors.ports.journal import Fence, Loaded, Recovered, Row, ShardMeta, Snapshot
from actors.storage.connect import Identity, Link

APPEND: Final = """
WITH fence AS (
    SELECT o.shard, f.new_head
    FROM unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::bigint[]) AS f (shard, epoch, head, new_head)
    JOIN shard_owner o ON o.shard = f.shard AND o.epoch = f.epoch AND o.head_seq = f.head
    ORDER BY o.shard
    FOR UPDATE OF o
), held AS MATERIALIZED (
    SELECT count(*) = cardinality($1::smallint[]) AS all_held FROM fence
), moved AS (
    UPDATE shard_owner o SET head_seq = fence.new_head FROM fence, held
    WHERE o.shard = fence.shard AND held.all_held
), written AS (
    INSERT INTO journal (shard, seq, version, at_ms, wake_ms, kind, key, command_id, body, meta)
    SELECT r.* FROM unnest(
        $5::smallint[], $6::bigint[], $7::integer[], $8::bigint[], $9::bigint[], $10::text[], $11::text[],
        $12::bytea[], $13::bytea[], $14::bytea[]
    ) AS r, held
    WHERE held.all_held
)
SELECT all_held FROM held
"""

LOAD: Final = """
WITH wanted AS MATERIALIZED (
    SELECT k.n, k.kind, k.key FROM unnest($1::integer[], $2::text[], $3::text[]) AS k (n, kind, key)
), kept AS MATERIALIZED (
    SELECT w.n, s.version, s.seq, s.data FROM wanted w JOIN snapshot s ON s.key = w.key AND s.kind = w.kind
)
SELECT n, version, seq, 0::bigint AS at_ms, 0::bigint AS wake_ms, NULL::bytea AS command_id, data FROM kept
UNION ALL
SELECT w.n, j.version, j.seq, j.at_ms, j.wake_ms, j.command_id, j.body
FROM wanted w LEFT JOIN kept USING (n)
JOIN journal j ON j.key = w.key AND j.kind = w.kind AND j.version > coalesce(kept.version, 0)
ORDER BY n, version
"""
"""Snapshots (without a command id) and the records after them. One statement sees one moment, in one round trip."""

RECOVER: Final = """
WITH kept AS MATERIALIZED (SELECT seq, data FROM shard_meta WHERE shard = $1)
SELECT seq, 0 AS version, 0::bigint AS at_ms, 0::bigint AS wake_ms, NULL::text AS kind, '' AS key, data AS meta FROM kept
UNION ALL
SELECT j.seq, j.version, j.at_ms, j.wake_ms, j.kind, j.key, j.meta FROM journal j
WHERE j.shard = $1 AND j.seq > coalesce((SELECT seq FROM kept), 0) AND j.seq <= $2
ORDER BY seq, version
"""
"""The shard's meta (without a kind) and the records after it, as :data:`LOAD`: whoever takes over 128 shards asks 128 times."""

SAVE_SNAPSHOTS: Final = """
INSERT INTO snapshot (shard, kind, key, version, seq, data)
SELECT r.shard, r.kind, r.key, r.version, r.seq, r.data
FROM unnest($1::smallint[], $2::bigint[], $3::text[], $4::text[], $5::integer[], $6::bigint[], $7::bytea[])
    AS r (shard, epoch, kind, key, version, seq, data)
JOIN shard_owner o ON o.shard = r.shard AND o.epoch = r.epoch AND o.head_seq >= r.seq
ORDER BY r.key, r.kind
ON CONFLICT (key, kind) DO UPDATE SET version = excluded.version, seq = excluded.seq, data = excluded.data
WHERE snapshot.version < excluded.version
"""

SAVE_META: Final = """
INSERT INTO shard_meta (shard, seq, data)
SELECT o.shard, $3, $4 FROM shard_owner o WHERE o.shard = $1 AND o.epoch = $2 AND o.head_seq >= $3
ON CONFLICT (shard) DO UPDATE SET seq = excluded.seq, data = excluded.data WHERE shard_meta.seq < excluded.seq
"""


class PostgresJournal:
    """One connection for flushes alone, another for everything else, so that a slow read delays no order."""

    def __init__(self, url: str, host: str, *, identity: Identity | None = None) -> None:
        self._flushes = Link(url, f"{host} flush", identity=identity)
        self._reads = Link(url, f"{host} read", identity=identity)
        self._saves = Link(url, f"{host} save", identity=identity)
        self._queues: dict[Link, Any] = {}

    async def append(self, fences: list[Fence], rows: list[Row]) -> bool:
        columns = (
            [fence.shard for fence in fences],
            [fence.epoch for fence in fences],
            [fence.head for fence in fences],
            [fence.new_head for fence in fences],
            [row.shard for row in rows],
            [row.seq for row in rows],
            [row.version for row in rows],
            [row.at_ms for row in rows],
            [row.wake_ms for row in rows],
            [row.kind for row in rows],
            [row.key for row in rows],
            [row.command_id for row in rows],
            [row.body for row in rows],
            [row.meta for row in rows],
        )
        return bool(await self._flushes.run(lambda connection: connection.fetchval(APPEND, *columns)))

    async def load(self, keys: list[tuple[int, str, str]]) -> list[Loaded]:
        loaded: list[Loaded] = await self._exclusive(self._reads, lambda connection: _load(connection, keys))
        return loaded

    async def recover(self, shard: int, head: int) -> Recovered:
        recovered: Recovered = await self._exclusive(self._reads, lambda connection: _recover(connection, shard, head))
        return recovered

    async def save_snapshots(self, epochs: dict[int, int], snapshots: list[Snapshot]) -> None:
        columns = (
            [snapshot.shard for snapshot in snapshots],
            [epochs[snapshot.shard] for snapshot in snapshots],
            [snapshot.kind for snapshot in snapshots],
            [snapshot.key for snapshot in snapshots],
            [snapshot.version for snapshot in snapshots],
            [snapshot.seq for snapshot in snapshots],
            [snapshot.data for snapshot in snapshots],
        )
        await self._exclusive(self._saves, lambda connection: connection.execute(SAVE_SNAPSHOTS, *columns))

    async def save_meta(self, shard: int, epoch: int, meta: ShardMeta) -> None:
        await self._exclusive(self._saves, lambda connection: connection.execute(SAVE_META, shard, epoch, meta.seq, meta.data))

    async def _exclusive(self, link: Link, work: Any) -> Any:
        """One statement at a time on a link; the others wait their turn."""
        lock = self._queues.setdefault(link, asyncio.Lock())
        async with lock:
            return await link.run(work)

    async def close(self) -> None:
        """Close all connections."""
        for link in (self._flushes, self._reads, self._saves):
            await link.close()


async def _load(connection: Any, keys: list[tuple[int, str, str]]) -> list[Loaded]:
    snapshots: dict[int, Snapshot] = {}
    tails: list[list[Row]] = [[] for _ in keys]
    columns = (range(len(keys)), [key[1] for key in keys], [key[2] for key in keys])
    for n, version, seq, at_ms, wake_ms, command_id, data in await connection.fetch(LOAD, *columns):
        shard, kind, key = keys[n]
        if command_id is None:
            snapshots[n] = Snapshot(shard=shard, kind=kind, key=key, version=version, seq=seq, data=data)
            continue
        row = Row(
            shard=shard,
            seq=seq,
            kind=kind,
            key=key,
            version=version,
            command_id=command_id,
            at_ms=at_ms,
            wake_ms=wake_ms,
            body=data,
        )
        tails[n].append(row)
    return [Loaded(snapshot=snapshots.get(n), rows=tail) for n, tail in enumerate(tails)]


async def _recover(connection: Any, shard: int, head: int) -> Recovered:
    records = await connection.fetch(RECOVER, shard, head)
    meta = None
    if records and records[0]["kind"] is None:
        meta = ShardMeta(seq=records[0]["seq"], data=records[0]["meta"])
        records = records[1:]
    after = meta.seq if meta else 0
    tail = [
        Row(
            shard=shard,
            seq=seq,
            kind=kind,
            key=key,
            version=version,
            command_id=b"",
            at_ms=at_ms,
            wake_ms=wake_ms,
            body=b"",
            meta=packed,
        )
        for seq, version, at_ms, wake_ms, kind, key, packed in records
    ]
    assert [row.seq for row in tail] == list(range(after + 1, head + 1)), f"shard {shard}: the journal has a gap after {after}"
    return Recovered(meta=meta, tail=tail)
