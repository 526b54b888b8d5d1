"""The journal, snapshots and ownership of shards, as the owners need them.

Whatever raises :class:`StorageUnknown` may or may not have happened. Everything else that is
raised is a bug.
"""

from typing import Protocol

import msgspec


class StorageUnknown(Exception):
    """The database did not answer: the statement may have committed or not. ``reason`` is for the log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class StorageFull(StorageUnknown):
    """The database answers and cannot write: its disk is full, or fails."""


class StorageBusy(StorageUnknown):
    """Somebody else held what was wanted for too long: nothing happened."""


class Row(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """One record: what one turn of one entity changed. ``(shard, seq)`` is unique and has no gaps.

    version counts the records of this entity from 1. wake_ms is when the entity wants to be woken
    after this record (0: never). body and meta are msgpack (``actors.domain.kinds.Body``, ``Meta``);
    meta is empty when the turn sent nothing and settled nothing.
    """

    shard: int
    seq: int
    kind: str
    key: str
    version: int
    command_id: bytes
    at_ms: int
    wake_ms: int
    body: bytes
    meta: bytes = b""


class Fence(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """What must be true of a shard for an append to happen, and its head afterwards."""

    shard: int
    epoch: int
    head: int
    new_head: int


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """An entity's state after its ``version``-th record. ``data`` carries its own checksum."""

    shard: int
    kind: str
    key: str
    version: int
    seq: int
    data: bytes


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """What is needed to build an entity: its latest snapshot, if any, and the records after it, in order."""

    snapshot: Snapshot | None
    rows: list[Row]


class ShardMeta(msgspec.Struct, frozen=True, kw_only=True):
    """A shard's own snapshot at ``seq``: open sends, reminders, known entities (msgpack)."""

    seq: int
    data: bytes


class Recovered(msgspec.Struct, frozen=True, kw_only=True):
    """What a new owner needs: the shard's meta, if any, and the records after it, in order, without bodies."""

    meta: ShardMeta | None
    tail: list[Row]


class Ownership(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the board: who owns a shard, who should, and whether the owner's lease still runs."""

    shard: int
    epoch: int
    head: int
    host: str
    target: str
    alive: bool


class HostLease(msgspec.Struct, frozen=True, kw_only=True):
    """One live host, as others see it. ``address`` tells the transport how to reach it; ``pools``: what it serves, empty for all."""

    host: str
    address: str
    node: str
    pid: int
    draining: bool
    alive: bool
    pools: tuple[str, ...] = ()


class Journal(Protocol):
    """Append-only truth, fenced by epoch."""

    async def append(self, fences: list[Fence], rows: list[Row]) -> bool:
        """All or nothing: every fence holds, the rows are written and heads advanced; or False and nothing changed.

        StorageUnknown: it may have happened.
        """
        ...

    async def load(self, keys: list[tuple[int, str, str]]) -> list[Loaded]:
        """For each (shard, kind, key) its snapshot and tail, in one consistent view."""
        ...

    async def recover(self, shard: int, head: int) -> Recovered:
        """Meta and tail up to ``head``. AssertionError when the tail has a gap."""
        ...

    async def save_snapshots(self, epochs: dict[int, int], snapshots: list[Snapshot]) -> None:
        """Keep snapshots of shards that are still at these epochs; never replaces a higher version."""
        ...

    async def save_meta(self, shard: int, epoch: int, meta: ShardMeta) -> None:
        """Keep a shard's meta, if the shard is still at this epoch and the meta is newer."""
        ...


class Board(Protocol):
    """Who owns what."""

    async def renew(self, host: str) -> bool:
        """Extend the lease; False when the row is gone (the host was declared dead and must drop all shards)."""
        ...

    async def hosts(self) -> list[HostLease]:
        """All hosts whose lease runs or ended less than a minute ago."""
        ...

    async def shards(self) -> list[Ownership]:
        """All shards, in order."""
        ...

    async def claim(self, host: str, wanted: dict[int, int]) -> dict[int, tuple[int, int]]:
        """Take shards: for each wanted shard that is at the given epoch and whose owner is this host, nobody, or dead,
        epoch + 1. Answers (new epoch, head) of those taken."""
        ...

    async def release(self, host: str, epochs: dict[int, int]) -> None:
        """Give shards up, if still owned at these epochs."""
        ...

    async def propose(self, targets: dict[int, str]) -> None:
        """Write where shards should live."""
        ...

    async def drain(self, host: str, draining: bool) -> bool:
        """Mark a host as leaving (or staying after all); False when it is not known."""
        ...
