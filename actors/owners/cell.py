"""One entity in memory, and one shard of them."""

import heapq
from array import array
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Final

import msgspec

from actors.domain.entity import Kind, Refused
from actors.domain.kinds import Seen, WireSend, body_decoder, encoder, meta_decoder
from actors.ports.journal import Row, ShardMeta
from schemas.envelope import Answer

SEEN_MS: Final = 7 * 86_400_000
"""A command's answer is remembered at least this long (promise 3)."""

EntityKey = tuple[str, str]
Respond = Callable[[Answer], None]

_META_DECODER: Final[Any] = msgspec.msgpack.Decoder(tuple[list[tuple[str, str, WireSend]], dict[str, int], bytes])


class Cell:
    """One entity in memory. ``batch`` is the number of the batch that holds its latest record; ``counted`` the version at
    which its records were last counted (``actors.owners.heat``)."""

    __slots__ = (
        "batch", "counted", "key", "kind", "kind_name", "replayed", "seen", "seq", "shard", "snapshot_bytes", "snapshot_version", "state",
        "touched_ms", "version", "waiters",
    )  # fmt: skip

    def __init__(self, kind: Kind, key: str, shard: "Shard") -> None:
        self.kind = kind
        self.kind_name = kind.name
        self.key = key
        self.shard = shard
        self.state: Any = kind.new(key)
        self.version = 0
        self.seq = 0
        self.snapshot_version = 0
        self.counted = 0
        self.snapshot_bytes = 0
        self.seen: dict[bytes, Seen] = {}
        self.waiters: dict[bytes, list[Respond]] = {}
        self.batch = 0
        self.touched_ms = 0.0
        self.replayed = 0

    def replay(self, rows: list[Row]) -> None:
        """Apply records after the snapshot. AssertionError on a gap: a lost record must never pass for a state."""
        for row in rows:
            assert row.version == self.version + 1, f"{row.kind} {row.key}: record {row.version} follows {self.version}"
            body = body_decoder.decode(row.body)
            for event in body.events:
                self.kind.apply(self.state, event)
            self.version, self.seq = row.version, row.seq
            if body.digest:
                self.seen[row.command_id] = Seen(digest=body.digest, at_ms=row.at_ms, answer=body.answer)
            for command_id, answer in body.completes:
                remember_answer(self.seen, command_id, answer)
        self.replayed += len(rows)
        self.counted = self.version

    def fresh_seen(self, at_ms: int) -> dict[bytes, Seen]:
        """Forget what is older than the horizon; answers what is left, for a snapshot."""
        horizon = at_ms - SEEN_MS
        if any(item.at_ms < horizon for item in self.seen.values()):
            self.seen = {key: item for key, item in self.seen.items() if item.at_ms >= horizon or item.answer is None}
        return self.seen


def remember_answer(seen: dict[bytes, Seen], command_id: bytes, answer: Any) -> None:
    """Close an open command. One that is not known belongs to a message, whose sender remembers it."""
    item = seen.get(command_id)
    if item is not None:
        item.answer = answer


class Outgoing:
    """A send on its way: from which entity, and how often it was tried."""

    __slots__ = ("from_key", "send", "since_ms", "tries")

    def __init__(self, from_key: EntityKey, send: Any, since_ms: int) -> None:
        self.from_key = from_key
        self.send = send
        self.since_ms = since_ms
        self.tries = 0


def entity_hash(entity: EntityKey) -> int:
    """Eight bytes that stand for an entity in a shard's filter of known ones."""
    return int.from_bytes(blake2b(f"{entity[0]}\0{entity[1]}".encode(), digest_size=8).digest(), "little")


class Shard:
    """One shard as its owner holds it: the fence, the entities in memory, open sends, reminders.

    ``head`` is the last seq that is durable, ``next_seq`` the next one to give. ``known`` holds a hash of
    every entity that has a record: an entity that is not in it is new, and costs no query. ``fresh`` are those
    whose first record may not be durable yet, with its seq: they are not in the shard's meta.
    """

    __slots__ = ("cells", "due", "epoch", "fresh", "head", "known", "meta_seq", "next_seq", "number", "outbox", "serving")

    def __init__(self, number: int, epoch: int, head: int) -> None:
        self.number = number
        self.epoch = epoch
        self.head = head
        self.next_seq = head + 1
        self.serving = True
        self.cells: dict[EntityKey, Cell] = {}
        self.known: set[int] = set()
        self.fresh: dict[int, int] = {}
        self.due: dict[EntityKey, int] = {}
        self.outbox: dict[bytes, Outgoing] = {}
        self.meta_seq = 0

    def absorb(self, meta: ShardMeta | None, tail: list[Row]) -> None:
        """Rebuild sends, reminders and known entities from the shard's meta and the records after it."""
        if meta is not None:
            sends, due, known = _META_DECODER.decode(meta.data)
            self.outbox = {send.id: Outgoing((kind, key), send, 0) for kind, key, send in sends}
            self.due = {_split(name): at_ms for name, at_ms in due.items()}
            hashes = array("Q")
            hashes.frombytes(known)
            self.known = set(hashes)
            self.meta_seq = meta.seq
        for row in tail:
            entity = (row.kind, row.key)
            self.known.add(entity_hash(entity))
            self.set_due(entity, row.wake_ms)
            if row.meta:
                found = meta_decoder.decode(row.meta)
                for send in found.sends:
                    self.outbox[send.id] = Outgoing(entity, send, row.at_ms)
                for send_id in found.acks:
                    self.outbox.pop(send_id, None)

    def set_due(self, entity: EntityKey, wake_ms: int) -> None:
        """The entity wants to be woken then (0: not at all)."""
        if wake_ms:
            self.due[entity] = wake_ms
        else:
            self.due.pop(entity, None)

    def pack_meta(self) -> bytes:
        """The shard's own snapshot at ``head``: sends and reminders change at commit, so they are never ahead of it."""
        sends = [(*item.from_key, item.send) for item in self.outbox.values()]
        due = {f"{kind}\0{key}": at_ms for (kind, key), at_ms in self.due.items()}
        # A record that is lost after all must leave no entity behind that exists and cannot be read.
        self.fresh = {name: seq for name, seq in self.fresh.items() if seq > self.head}
        return encoder.encode((sends, due, array("Q", self.known - self.fresh.keys()).tobytes()))


def _split(name: str) -> EntityKey:
    kind, _, key = name.partition("\0")
    return kind, key


class Reminders:
    """When entities want to be woken: a heap with lazy removal; ``Shard.due`` says which entries still count."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, EntityKey]] = []

    def add(self, due_ms: int, shard: int, entity: EntityKey) -> None:
        heapq.heappush(self._heap, (due_ms, shard, entity))

    def next_ms(self) -> int | None:
        """When the next entry falls due (it may turn out stale)."""
        return self._heap[0][0] if self._heap else None

    def pop(self) -> tuple[int, int, EntityKey]:
        return heapq.heappop(self._heap)

    def __len__(self) -> int:
        return len(self._heap)


def refusal_answer(refused: Refused, shard: int = -1, seq: int = 0) -> Answer:
    """A refusal as it goes to the client."""
    return Answer(code=refused.code, params=refused.params, shard=shard, seq=seq)
