"""Taking and giving up shards: the lease, the board, and what a host does about them.

The lease is for speed, the epoch for safety: a host that lost its lease without noticing cannot
commit, because whoever took its shards raised their epoch.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from actors.domain.placement import plan_pools
from actors.owners.cell import Shard
from actors.ports.journal import Board, HostLease, Ownership, StorageUnknown

if TYPE_CHECKING:
    from actors.owners.host import Host

log = structlog.get_logger("stampede.owners")


class Placement:
    """Keeps one host's lease, and its shards in step with the board."""

    def __init__(self, host: "Host", board: Board) -> None:
        self._host = host
        self._board = board
        self._lost = asyncio.Event()
        host.lost = lambda shards: self._lost.set()

    async def keep_lease(self) -> None:
        """Renew for ever. The lease counts from before the renewal was sent, less a margin; past it, reads stop too."""
        limits = self._host.limits
        while True:
            sent_ms = self._host.clock.monotonic_ms()
            try:
                async with asyncio.timeout(limits.lease_ms / 1000):
                    renewed: bool | None = await self._renew()
            except (StorageUnknown, TimeoutError):
                renewed = None
            if renewed:
                self._host.lease_until_ms = sent_ms + limits.lease_ms - limits.lease_margin_ms
            elif renewed is False:
                log.warning("lease_lost", host=self._host.name)
                self._host.lease_until_ms = 0.0
                for shard in list(self._host.shards.values()):
                    self._host.lose(shard)
            await self._host.clock.sleep(limits.lease_renew_ms / 1000)

    async def _renew(self) -> bool:
        """After a lapse (this process stood still, or could not reach the database) others may have taken shards:
        those are given up before anything is read here again."""
        renewed = await self._board.renew(self._host.name)
        if renewed and self._host.shards and self._host.clock.monotonic_ms() > self._host.lease_until_ms:
            self._drop_lost(await self._board.shards())
        return renewed

    async def keep_shards(self) -> None:
        """Look at the board for ever: take what is ours to take, hand over what belongs elsewhere."""
        while True:
            try:
                await self.look()
            except StorageUnknown as error:
                log.warning("board_unreadable", host=self._host.name, reason=error.reason)
                self._host.note_storage_down()
            try:
                async with asyncio.timeout(self._host.limits.board_ms / 1000):
                    await self._lost.wait()
                await self._host.clock.sleep(0.01)
            except TimeoutError:
                pass
            self._lost.clear()

    async def look(self) -> None:
        """One look. Any live host claims what is meant for it; and what is meant for nobody who lives, by the common plan."""
        host = self._host
        if host.clock.monotonic_ms() > host.lease_until_ms:
            return
        rows, leases = await self._board.shards(), await self._board.hosts()
        self._drop_lost(rows)
        targets = self._targets(rows, leases)
        wanted = {
            row.shard: row.epoch
            for row in rows
            if targets.get(row.shard) == host.name and row.shard not in host.shards and (not row.alive or row.host in ("", host.name))
        }
        adopted_all = not wanted or await self._take(wanted)
        # A release that did not reach the database: nobody else may take these while this host lives.
        stray = {
            row.shard: row.epoch
            for row in rows
            if row.host == host.name and row.shard not in host.shards and targets.get(row.shard, host.name) != host.name
        }
        if stray:
            await self._board.release(host.name, stray)
        mine = [row.shard for row in rows if row.host == host.name and row.shard in host.shards]
        leaving = [host.shards[shard] for shard in mine if targets.get(shard, host.name) != host.name]
        await asyncio.gather(*(self._hand_over(shard) for shard in leaving))
        if adopted_all:
            host.storage_down_since_ms = 0.0

    def _targets(self, rows: list[Ownership], leases: list[HostLease]) -> dict[int, str]:
        live = _live(leases)
        planned = plan_pools(live, {row.shard: row.host for row in rows}, self._host.sharding.pool)
        return {row.shard: row.target if row.target in live else planned.get(row.shard, "") for row in rows}

    def _drop_lost(self, rows: list[Ownership]) -> None:
        for row in rows:
            shard = self._host.shards.get(row.shard)
            if shard is None:
                continue
            if row.epoch > shard.epoch:
                log.warning("shard_lost", host=self._host.name, shard=row.shard, epoch=row.epoch)
                self._host.lose(shard)
            elif not shard.serving:
                # It was to leave, or the lease was gone, and then it stayed: it is taken anew, not left unserved.
                self._host.lose(shard)

    async def _take(self, wanted: dict[int, int]) -> bool:
        """Claim and adopt. False when the storage went away in the middle: a shard is claimed and could not be read."""
        taken = await self._board.claim(self._host.name, wanted)
        adopted = await asyncio.gather(
            *(self._host.adopt(number, epoch, head) for number, (epoch, head) in taken.items()), return_exceptions=True
        )
        for number, outcome in zip(taken, adopted, strict=True):
            if isinstance(outcome, BaseException):
                log.error("adopt_failed", host=self._host.name, shard=number, reason=repr(outcome))
        lost = any(isinstance(outcome, StorageUnknown) for outcome in adopted)
        if lost:
            self._host.note_storage_down()
        return not lost

    async def _hand_over(self, shard: Shard) -> None:
        await self._host.hand_over(shard)
        await self._board.release(self._host.name, {shard.number: shard.epoch})


class Coordinator:
    """Proposes where shards live. One is enough; two do no harm; none stops nobody. ``pool_of``: the pool of a shard."""

    def __init__(self, board: Board, pool_of: Callable[[int], str]) -> None:
        self._board = board
        self._pool_of = pool_of

    async def propose(self) -> int:
        """Write a better plan, if there is one; answers how many shards it would move."""
        rows, leases = await self._board.shards(), await self._board.hosts()
        targets = plan_pools(_live(leases), {row.shard: row.host for row in rows}, self._pool_of)
        changed = {row.shard: targets[row.shard] for row in rows if targets and row.target != targets[row.shard]}
        if changed:
            await self._board.propose(changed)
        return len(changed)


def _live(leases: list[HostLease]) -> dict[str, tuple[str, ...]]:
    """The hosts that may be given shards, and the pools they serve."""
    return {lease.host: lease.pools for lease in leases if lease.alive and not lease.draining}
