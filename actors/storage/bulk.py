"""Initial stock for very many parts at once: the records that ``PutIn`` would write, by COPY."""

from typing import Any, Final

from actors.domain.entity import Accepted, Context
from actors.domain.kinds import KINDS, Body, encoder
from actors.domain.sharding import Sharding
from schemas.ids import derived_id
from schemas.stock import PutIn

KEYS_MAX: Final = 100_000
"""Keys of one call: some thirty megabytes of rows in memory."""

HOLD_SHARDS: Final = "SELECT shard, head_seq FROM shard_owner WHERE shard = ANY ($1::smallint[]) ORDER BY shard FOR UPDATE"
FIND_KNOWN: Final = """
SELECT k.key FROM unnest($1::text[]) AS k (key)
WHERE EXISTS (SELECT FROM journal j WHERE j.key = k.key AND j.kind = 'stock')
    OR EXISTS (SELECT FROM snapshot s WHERE s.key = k.key AND s.kind = 'stock') ORDER BY k.key LIMIT 10
"""
"""A part whose records are all in the archive has a snapshot."""
MOVE_HEADS: Final = """
UPDATE shard_owner o SET head_seq = m.head, epoch = o.epoch + 1
FROM unnest($1::smallint[], $2::bigint[]) AS m (shard, head) WHERE o.shard = m.shard
"""
COLUMNS: Final = ("shard", "seq", "version", "at_ms", "wake_ms", "kind", "key", "command_id", "body", "meta")


class AlreadyStocked(Exception):
    """These parts (the first ten) have records: stock is put into them by a command to their owner. Nothing was written."""

    def __init__(self, keys: list[str]) -> None:
        super().__init__(keys)
        self.keys = keys

    def __str__(self) -> str:
        return f"stock was put in before: {', '.join(self.keys)}"


async def bulk_put_in(connection: Any, sharding: Sharding, quantities: list[tuple[str, int]], at_ms: int) -> int:
    """Put stock into parts that have none yet, all or nothing; answers how many records were written.

    quantities: (stock key, units); a part with 0 units gets no record. at_ms: UTC, when it arrived.
    Safe while hosts own the shards: their epoch rises in the same transaction, so an owner's next flush
    writes nothing and the owner reads its shard again; until then (half a second) it may answer
    that there is none of a SKU. AlreadyStocked, or ValueError for a quantity or number that cannot be.
    """
    if len(quantities) > KEYS_MAX or len({key for key, _ in quantities}) < len(quantities):
        raise ValueError(f"up to {KEYS_MAX} different keys at once, {len(quantities)} were given")
    bodies = {key: _body(key, quantity, at_ms) for key, quantity in quantities if quantity}
    by_shard: dict[int, list[str]] = {}
    for key in bodies:
        by_shard.setdefault(sharding.shard("stock", key), []).append(key)
    async with connection.transaction():
        heads = {row["shard"]: row["head_seq"] for row in await connection.fetch(HOLD_SHARDS, sorted(by_shard))}
        if heads.keys() != by_shard.keys():
            raise ValueError("this database has other shards than the ones asked for")
        # Nobody can write to these shards any more: what is not there now will not come.
        known = [row["key"] for row in await connection.fetch(FIND_KNOWN, list(bodies))]
        if known:
            raise AlreadyStocked(known)
        records = [
            (shard, heads[shard] + number, 1, at_ms, 0, "stock", key, derived_id("bulk", key), bodies[key], b"")
            for shard in sorted(by_shard)
            for number, key in enumerate(by_shard[shard], start=1)
        ]
        await connection.copy_records_to_table("journal", records=records, columns=COLUMNS)
        moved = [heads[shard] + len(by_shard[shard]) for shard in sorted(by_shard)]
        await connection.execute(MOVE_HEADS, sorted(by_shard), moved)
    return len(records)


def _body(key: str, quantity: int, at_ms: int) -> bytes:
    """What the part's owner would have written, by the same rule."""
    kind = KINDS["stock"]
    outcome = kind.decide(kind.new(key), PutIn(quantity=quantity, reason="initial"), Context(at_ms=at_ms, command_id=b""))
    if not isinstance(outcome, Accepted):
        raise ValueError(f"{key}: {quantity} units cannot be put in")
    return encoder.encode(Body(outcome.events, b"", None, []))
