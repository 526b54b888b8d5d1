"""Numbered migrations: each ``NNNN_name.sql`` is applied once, in order, in its own transaction."""

import secrets
from importlib import resources
from typing import Any, Final

from actors.domain.pools import Pool, parse_pools, write_pools
from actors.domain.sharding import Sharding

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS migration (
    number integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now()
)"""
_APPLIED: Final = "SELECT number FROM migration"
_RECORD: Final = "INSERT INTO migration (number, name) VALUES ($1, $2)"
_LOCK: Final = "SELECT pg_advisory_lock(7267)"
_UNLOCK: Final = "SELECT pg_advisory_unlock(7267)"
_CLUSTER: Final = "SELECT shard_count, pools, hash_secret, ticket_key, token_key FROM cluster"
_FOUND: Final = """
INSERT INTO cluster (shard_count, pools, hash_secret, ticket_key, token_key) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING"""
_SHARDS: Final = "INSERT INTO shard_owner (shard) SELECT generate_series(0, $1::int - 1) ON CONFLICT DO NOTHING"


def migrations() -> list[tuple[int, str, str]]:
    """(number, name, SQL) of every migration that this version knows, in order."""
    found = []
    for entry in resources.files("actors.storage").joinpath("migrations").iterdir():
        if entry.name.endswith(".sql"):
            found.append((int(entry.name.split("_", 1)[0]), entry.name, entry.read_text()))
    return sorted(found)


async def migrate(connection: Any) -> list[str]:
    """Apply what is missing; answers the names. Two at once: the second waits and finds nothing to do."""
    await connection.execute(_LOCK)
    try:
        await connection.execute(_TABLE)
        applied = {row["number"] for row in await connection.fetch(_APPLIED)}
        done = []
        for number, name, sql in migrations():
            if number not in applied:
                async with connection.transaction():
                    await connection.execute(sql)
                    await connection.execute(_RECORD, number, name)
                done.append(name)
        return done
    finally:
        await connection.execute(_UNLOCK)


class Cluster:
    """What is decided once in a database's life: the number of shards, their pools, the hash's secret, the signing keys."""

    def __init__(self, shard_count: int, pools: tuple[Pool, ...], hash_secret: bytes, ticket_key: bytes, token_key: bytes) -> None:
        self.shard_count = shard_count
        self.pools = pools
        self.hash_secret = hash_secret
        self.ticket_key = ticket_key
        self.token_key = token_key

    def sharding(self) -> Sharding:
        """Where entities live in this cluster."""
        return Sharding(self.hash_secret, self.shard_count, self.pools)


async def found_cluster(connection: Any, shard_count: int, pools: str = "") -> Cluster:
    """The cluster of this database, founded now if it is new. ValueError when it was founded with other shards or pools.

    pools: as :func:`actors.domain.pools.parse_pools` reads them.
    """
    wanted = parse_pools(pools, shard_count)
    await connection.execute(_FOUND, shard_count, write_pools(wanted), *(secrets.token_bytes(32) for _ in range(3)))
    row = await connection.fetchrow(_CLUSTER)
    if row["shard_count"] != shard_count:
        raise ValueError(
            f"this database was founded with {row['shard_count']} shards and cannot be run with {shard_count}: "
            f"set STAMPEDE_SHARD_COUNT={row['shard_count']}"
        )
    if row["pools"] != write_pools(wanted):
        raise ValueError(
            f"this database was founded with the pools {row['pools']!r} and cannot be run with {write_pools(wanted)!r}: "
            f"set STAMPEDE_POOLS={row['pools']!r}"
        )
    await connection.execute(_SHARDS, shard_count)
    return Cluster(shard_count, wanted, row["hash_secret"], row["ticket_key"], row["token_key"])
