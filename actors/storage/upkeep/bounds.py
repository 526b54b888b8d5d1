"""Up to where a shard may be pruned, and what holds the next record back.

Every reader of the journal has its bound here; the lowest one counts. A bound is judged again in the
transaction that deletes, behind a lock that a beginning rebuild takes too, so that none of them can have moved back.
"""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import msgspec

from actors.domain.kinds import unpack_state
from actors.ports.journal import ShardMeta
from actors.ports.remembering import Remembering
from actors.storage.upkeep.report import Held

READ_BOUNDS: Final = """
SELECT k.pruned_seq, k.archived_seq, o.epoch, o.head_seq, coalesce(m.seq, 0) AS meta_seq, (
    SELECT min(coalesce(p.seq, 0)) FROM (
        SELECT unnest($2::text[]) AS name UNION SELECT projection FROM projection_position WHERE shard = $1
    ) AS registered LEFT JOIN projection_position p ON p.projection = registered.name AND p.shard = $1
) AS followed_seq
FROM journal_kept k JOIN shard_owner o USING (shard) LEFT JOIN shard_meta m USING (shard)
WHERE k.shard = $1
"""
"""A projection without a position stands before the first record, and so does one whose rebuild has begun."""
FIRST_YOUNG: Final = """
SELECT seq FROM journal WHERE shard = $1 AND seq > $2 AND seq <= $3 AND at_ms >= $4 ORDER BY seq LIMIT 1
"""
READ_SENDERS: Final = """
SELECT seq, meta FROM journal WHERE shard = $1 AND seq > $2 AND seq <= $3 AND meta <> '' ORDER BY seq
"""
READ_COVER: Final = """
SELECT j.kind, j.key, min(j.seq) AS first_seq, max(j.version) AS version, max(s.version) AS kept
FROM journal j LEFT JOIN snapshot s ON s.key = j.key AND s.kind = j.kind
WHERE j.shard = $1 AND j.seq > $2 AND j.seq <= $3
GROUP BY j.kind, j.key ORDER BY first_seq
"""
READ_META: Final = "SELECT seq, data FROM shard_meta WHERE shard = $1"
READ_DATA: Final = "SELECT version, data FROM snapshot WHERE key = $1 AND kind = $2"


class Uncovered(msgspec.Struct, frozen=True, kw_only=True):
    """An entity with records that no snapshot covers, or (``unreadable``) whose snapshot cannot be read."""

    kind: str
    key: str
    first_seq: int
    unreadable: str = ""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """Where a shard stands. ``until``: its records up to here may go; ``held``: what keeps the next one, None when nothing is left."""

    pruned: int
    until: int
    wish: int
    held: Held | None
    epoch: int
    head: int
    uncovered: tuple[Uncovered, ...] = ()


class _Lowest(NamedTuple):
    seq: int
    held: Held | None

    def lowered(self, seq: int, held: Held) -> "_Lowest":
        return _Lowest(seq, held) if seq < self.seq else self


class Judge:
    """Knows the criteria; remembers which snapshots it has read, so that each version is read once a run."""

    def __init__(self, groups: Iterable[str], horizon_ms: int, remembering: Remembering) -> None:
        self._groups = list(groups)
        self._horizon_ms = horizon_ms
        self._remembering = remembering
        self._readable: dict[tuple[str, str], int] = {}
        self._open: tuple[int, int, frozenset[bytes]] = (-1, 0, frozenset())

    async def bounds(self, connection: Any, shard: int, rows_max: int) -> Bounds:
        """What may go of the next ``rows_max`` records."""
        row = await connection.fetchrow(READ_BOUNDS, shard, self._groups)
        pruned = row["pruned_seq"]
        wish = min(row["head_seq"], pruned + rows_max)
        lowest = _Lowest(wish, None)
        lowest = lowest.lowered(max(pruned, row["archived_seq"]), "archive").lowered(max(pruned, row["followed_seq"]), "projections")
        young = await connection.fetchval(FIRST_YOUNG, shard, pruned, lowest.seq, self._horizon_ms)
        if young is not None:
            lowest = lowest.lowered(young - 1, "horizon")
        wish = lowest.seq
        lowest = lowest.lowered(max(pruned, row["meta_seq"]), "meta")
        lowest = await self._behind_messages(connection, shard, pruned, lowest, row["meta_seq"])
        uncovered = await self._uncovered(connection, shard, pruned, lowest.seq)
        if uncovered:
            lowest = lowest.lowered(uncovered[0].first_seq - 1, "snapshots")
        return Bounds(
            pruned=pruned,
            until=lowest.seq,
            wish=wish,
            held=lowest.held,
            epoch=row["epoch"],
            head=row["head_seq"],
            uncovered=tuple(uncovered),
        )

    async def _behind_messages(self, connection: Any, shard: int, pruned: int, lowest: _Lowest, meta_seq: int) -> _Lowest:
        """The shard's meta knows what was open then; only records up to it are in question."""
        if lowest.seq <= pruned:
            return lowest
        if self._open[0] != shard or self._open[1] < meta_seq:
            meta = ShardMeta(**await connection.fetchrow(READ_META, shard))
            self._open = (shard, meta.seq, self._remembering.open_sends(meta))
        open_sends = self._open[2]
        for seq, packed in await connection.fetch(READ_SENDERS, shard, pruned, lowest.seq) if open_sends else ():
            if not open_sends.isdisjoint(self._remembering.sent(packed)):
                return lowest.lowered(seq - 1, "messages")
        return lowest

    async def _uncovered(self, connection: Any, shard: int, pruned: int, until: int) -> list[Uncovered]:
        """Entities that would lose records, by the first of these."""
        found = []
        for kind, key, first_seq, version, kept in await connection.fetch(READ_COVER, shard, pruned, until):
            if kept is None or kept < version:
                found.append(Uncovered(kind=kind, key=key, first_seq=first_seq))
            elif self._readable.get((kind, key)) != kept:
                reason = await self._read_snapshot(connection, kind, key)
                if reason:
                    found.append(Uncovered(kind=kind, key=key, first_seq=first_seq, unreadable=reason))
        return found

    async def _read_snapshot(self, connection: Any, kind: str, key: str) -> str:
        """Why a snapshot cannot be relied on; empty when it can."""
        version, data = await connection.fetchrow(READ_DATA, key, kind)
        try:
            unpack_state(kind, data)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        self._readable[(kind, key)] = version
        return ""
