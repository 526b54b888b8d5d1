"""Journal and board in memory: what PostgreSQL promises, without it. Passes the same contract suite."""

import msgspec

from actors.domain.kinds import body_decoder
from actors.ports.clock import Clock
from actors.ports.journal import Fence, HostLease, Loaded, Ownership, Recovered, Row, ShardMeta, Snapshot


class MemoryJournal:
    """One database for all hosts of a process. ``fenced=False`` turns the fence off, for the control of race tests."""

    def __init__(self, clock: Clock, shard_count: int, *, lease_ms: int = 5000) -> None:
        self._clock = clock
        self._lease_ms = lease_ms
        self.fenced = True
        self.snapshots_fenced = True
        self.rows: dict[int, list[Row]] = {number: [] for number in range(shard_count)}
        self.epochs = dict.fromkeys(range(shard_count), 0)
        self.heads = dict.fromkeys(range(shard_count), 0)
        self.owners = dict.fromkeys(range(shard_count), "")
        self.targets = dict.fromkeys(range(shard_count), "")
        self.metas: dict[int, ShardMeta] = {}
        self.snapshots: dict[tuple[int, str, str], Snapshot] = {}
        self.entities: dict[tuple[int, str, str], list[Row]] = {}
        self.leases: dict[str, float] = {}
        self.draining: set[str] = set()
        self.pools: dict[str, tuple[str, ...]] = {}

    # --- journal ----------------------------------------------------------------------------------

    async def append(self, fences: list[Fence], rows: list[Row]) -> bool:
        return self.append_now(fences, rows)

    def append_now(self, fences: list[Fence], rows: list[Row]) -> bool:
        """The commit itself, at one instant."""
        if self.fenced:
            if any(self.epochs[fence.shard] != fence.epoch or self.heads[fence.shard] != fence.head for fence in fences):
                return False
            for row in rows:
                assert row.seq == len(self.rows[row.shard]) + 1, "seqs have no gap"
                self._keep(row)
        else:
            for row in rows:
                self._keep(msgspec.structs.replace(row, seq=len(self.rows[row.shard]) + 1))
        for fence in fences:
            self.heads[fence.shard] = fence.new_head if self.fenced else len(self.rows[fence.shard])
        return True

    def _keep(self, row: Row) -> None:
        self.rows[row.shard].append(row)
        self.entities.setdefault((row.shard, row.kind, row.key), []).append(row)

    async def load(self, keys: list[tuple[int, str, str]]) -> list[Loaded]:
        found = []
        for key in keys:
            snapshot = self.snapshots.get(key)
            version = snapshot.version if snapshot else 0
            rows = [row for row in self.entities.get(key, []) if row.version > version]
            if not self.fenced:
                rows = _renumbered(rows, version)
            found.append(Loaded(snapshot=snapshot, rows=rows))
        return found

    async def recover(self, shard: int, head: int) -> Recovered:
        meta = self.metas.get(shard)
        after = meta.seq if meta else 0
        return Recovered(meta=meta, tail=self.rows[shard][after:head])

    async def save_snapshots(self, epochs: dict[int, int], snapshots: list[Snapshot]) -> None:
        for snapshot in snapshots:
            key = (snapshot.shard, snapshot.kind, snapshot.key)
            kept = self.snapshots.get(key)
            current = self.epochs[snapshot.shard] == epochs[snapshot.shard]
            if (current and (kept is None or kept.version < snapshot.version)) or not self.snapshots_fenced:
                self.snapshots[key] = snapshot

    async def save_meta(self, shard: int, epoch: int, meta: ShardMeta) -> None:
        kept = self.metas.get(shard)
        if self.epochs[shard] == epoch and (kept is None or kept.seq < meta.seq):
            self.metas[shard] = meta

    # --- board ------------------------------------------------------------------------------------

    def alive(self, host: str) -> bool:
        """True while the host's lease runs."""
        return self.leases.get(host, -1.0) > self._clock.monotonic_ms()

    async def renew(self, host: str) -> bool:
        self.leases[host] = self._clock.monotonic_ms() + self._lease_ms
        return True

    async def hosts(self) -> list[HostLease]:
        return [
            HostLease(
                host=host,
                address=host,
                node="memory",
                pid=0,
                draining=host in self.draining,
                alive=self.alive(host),
                pools=self.pools.get(host, ()),
            )
            for host in sorted(self.leases)
        ]

    async def shards(self) -> list[Ownership]:
        return [
            Ownership(
                shard=number,
                epoch=self.epochs[number],
                head=self.heads[number],
                host=self.owners[number],
                target=self.targets[number],
                alive=self.alive(self.owners[number]),
            )
            for number in self.epochs
        ]

    async def claim(self, host: str, wanted: dict[int, int]) -> dict[int, tuple[int, int]]:
        taken = {}
        for number in sorted(wanted):
            owner = self.owners[number]
            if self.epochs[number] == wanted[number] and (owner in ("", host) or not self.alive(owner)):
                self.epochs[number] += 1
                self.owners[number] = host
                taken[number] = (self.epochs[number], self.heads[number])
        return taken

    async def release(self, host: str, epochs: dict[int, int]) -> None:
        for number, epoch in epochs.items():
            if self.owners[number] == host and self.epochs[number] == epoch:
                self.owners[number] = ""

    async def propose(self, targets: dict[int, str]) -> None:
        self.targets.update(targets)

    async def drain(self, host: str, draining: bool) -> bool:
        if draining:
            self.draining.add(host)
        else:
            self.draining.discard(host)
        return host in self.leases

    # --- directory --------------------------------------------------------------------------------

    async def routes(self) -> dict[int, str]:
        return {number: owner for number, owner in self.owners.items() if owner}

    def events(self) -> list[tuple[Row, list[object]]]:
        """Every record with its events, shard by shard, in order."""
        return [(row, body_decoder.decode(row.body).events) for rows in self.rows.values() for row in rows]


def _renumbered(rows: list[Row], version: int) -> list[Row]:
    """Without the fence two owners may have written the same version; the control must be able to go on and be seen to oversell."""
    return [msgspec.structs.replace(row, version=version + index + 1) for index, row in enumerate(rows)]
