"""Who owns what, in PostgreSQL (``actors.ports.journal.Board`` and ``actors.ports.transport.Directory``)."""

import asyncio
import os
from pathlib import Path
from typing import Any, Final

from actors.ports.journal import HostLease, Ownership
from actors.storage.connect import Identity, Link

JOIN: Final = """
INSERT INTO host_lease (host, address, node, pid, until, pools)
VALUES ($1, $2, $3, $4, clock_timestamp() + $5::int * interval '1 ms', $6)
ON CONFLICT (host) DO UPDATE SET address = $2, node = $3, pid = $4, pools = $6, draining = false,
    until = clock_timestamp() + $5::int * interval '1 ms', started_at = now()
"""
RENEW: Final = "UPDATE host_lease SET until = clock_timestamp() + $2::int * interval '1 ms' WHERE host = $1 AND pid = $3"
LEAVE: Final = "DELETE FROM host_lease WHERE host = $1 AND pid = $2"
HOSTS: Final = """
SELECT host, address, node, pid, draining, pools, until > clock_timestamp() AS alive FROM host_lease
WHERE until > clock_timestamp() - interval '1 minute' ORDER BY host
"""
SHARDS: Final = """
SELECT o.shard, o.epoch, o.head_seq, o.host, o.target, coalesce(l.until > clock_timestamp(), false) AS alive, l.node, l.pid
FROM shard_owner o LEFT JOIN host_lease l ON l.host = o.host ORDER BY o.shard
"""
CLAIM: Final = """
WITH free AS (
    SELECT o.shard FROM unnest($2::smallint[], $3::bigint[]) AS w (shard, epoch)
    JOIN shard_owner o ON o.shard = w.shard AND o.epoch = w.epoch
    LEFT JOIN host_lease l ON l.host = o.host
    WHERE o.host IN ('', $1) OR l.host IS NULL OR l.until < clock_timestamp() OR o.host = ANY ($4::text[])
    ORDER BY o.shard
    FOR UPDATE OF o
)
UPDATE shard_owner o SET epoch = o.epoch + 1, host = $1 FROM free WHERE o.shard = free.shard
RETURNING o.shard, o.epoch, o.head_seq
"""
RELEASE: Final = """
WITH mine AS (
    SELECT o.shard FROM unnest($2::smallint[], $3::bigint[]) AS w (shard, epoch)
    JOIN shard_owner o ON o.shard = w.shard AND o.epoch = w.epoch AND o.host = $1
    ORDER BY o.shard
    FOR UPDATE OF o
)
UPDATE shard_owner o SET host = '' FROM mine WHERE o.shard = mine.shard
"""
PROPOSE: Final = """
WITH planned AS (
    SELECT o.shard, p.target FROM unnest($1::smallint[], $2::text[]) AS p (shard, target)
    JOIN shard_owner o ON o.shard = p.shard
    ORDER BY o.shard
    FOR UPDATE OF o
)
UPDATE shard_owner o SET target = planned.target FROM planned WHERE o.shard = planned.shard
"""
DRAIN: Final = "UPDATE host_lease SET draining = $2 WHERE host = $1 RETURNING host"
ROUTES: Final = "SELECT shard, host FROM shard_owner WHERE host <> ''"


class PostgresBoard:
    """The board on connections of its own: a lease is renewed however busy the flushes are."""

    def __init__(self, url: str, name: str, *, node: str = "", lease_ms: int = 5000, identity: Identity | None = None) -> None:
        self._leases = Link(url, f"{name} lease", identity=identity)
        self._rows = Link(url, f"{name} board", identity=identity)
        self._lock = asyncio.Lock()
        self._node = node
        self._lease_ms = lease_ms
        self._dead: set[str] = set()

    async def join(self, host: str, address: str, pools: tuple[str, ...] = ()) -> None:
        """Appear on the board with a fresh lease. pools: those that it serves; none means all."""
        arguments = (host, address, self._node, os.getpid(), self._lease_ms, pools)
        await self._leases.run(lambda connection: connection.execute(JOIN, *arguments))

    async def renew(self, host: str) -> bool:
        tag = await self._leases.run(lambda connection: connection.execute(RENEW, host, self._lease_ms, os.getpid()))
        return bool(tag == "UPDATE 1")

    async def leave(self, host: str) -> None:
        """Disappear from the board: whatever is still owned may be taken at once."""
        await self._leases.run(lambda connection: connection.execute(LEAVE, host, os.getpid()))

    async def hosts(self) -> list[HostLease]:
        rows = await self._run(lambda connection: connection.fetch(HOSTS))
        return [
            HostLease(
                host=row["host"],
                address=row["address"],
                node=row["node"],
                pid=row["pid"],
                draining=row["draining"],
                pools=tuple(row["pools"]),
                alive=row["alive"] and not self._is_gone(row["node"], row["pid"]),
            )
            for row in rows
        ]

    async def shards(self) -> list[Ownership]:
        rows = await self._run(lambda connection: connection.fetch(SHARDS))
        # Asked once a host, not once a shard: this is looked at several times a second.
        processes = {(row["host"], row["node"], row["pid"]) for row in rows if row["alive"]}
        gone = {host for host, node, pid in processes if self._is_gone(node, pid)}
        self._dead = gone
        return [
            Ownership(
                shard=row["shard"],
                epoch=row["epoch"],
                head=row["head_seq"],
                host=row["host"],
                target=row["target"],
                alive=row["alive"] and row["host"] not in gone,
            )
            for row in rows
        ]

    def _is_gone(self, node: str | None, pid: int | None) -> bool:
        """True when the process is proven dead on this very node: then its lease need not be waited for."""
        if not self._node or node != self._node or pid is None:
            return False
        try:
            # A process that ended but was not yet waited for (state Z) writes no more.
            return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
        except OSError:
            return True

    async def claim(self, host: str, wanted: dict[int, int]) -> dict[int, tuple[int, int]]:
        arguments = (host, list(wanted), list(wanted.values()), sorted(self._dead))
        rows = await self._run(lambda connection: connection.fetch(CLAIM, *arguments))
        return {row["shard"]: (row["epoch"], row["head_seq"]) for row in rows}

    async def release(self, host: str, epochs: dict[int, int]) -> None:
        await self._run(lambda connection: connection.execute(RELEASE, host, list(epochs), list(epochs.values())))

    async def propose(self, targets: dict[int, str]) -> None:
        await self._run(lambda connection: connection.execute(PROPOSE, list(targets), list(targets.values())))

    async def drain(self, host: str, draining: bool) -> bool:
        return await self._run(lambda connection: connection.fetchval(DRAIN, host, draining)) is not None

    async def routes(self) -> dict[int, str]:
        return {row["shard"]: row["host"] for row in await self._run(lambda connection: connection.fetch(ROUTES))}

    async def _run(self, work: Any) -> Any:
        async with self._lock:
            return await self._rows.run(work)

    async def close(self) -> None:
        """Close all connections."""
        await self._leases.close()
        await self._rows.close()
