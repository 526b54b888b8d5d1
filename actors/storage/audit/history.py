"""Replays the journal by the rules of the domain, shard by shard, and checks every record on the way.

What is checked of a record: its place in the shard and in its entity's history, that the entity lives
there, that its command had no effect before, that it can be applied, and that the counters balance
after it. Whoever wants more of the history (``holds``, ``sagas``, ``tables``) is told as it passes.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from actors.domain import admission, cart, codes, factors, member_state, order, quota, sessions, sms_budget, stock, stock_state
from actors.domain.kinds import KINDS, events_decoder
from actors.domain.order_state import OPEN_ORDERS_MAX
from actors.domain.sharding import Sharding
from actors.storage.audit.report import Findings
from schemas.cart import CartTouched
from schemas.order import OrderPlaced, OrderStarted
from schemas.quota import QuotaClaimed

REMEMBER_MS: Final = 7 * 86_400_000
"""For this long a command id has one effect (promise 3)."""

INVARIANTS: Final[Mapping[str, Callable[[Any], list[str]]]] = {
    "admission": admission.invariant,
    "cart": cart.invariant,
    "factors": factors.invariant,
    "member": member_state.invariant,
    "order": order.invariant,
    "quota": quota.invariant,
    "sessions": sessions.invariant,
    "codes": codes.invariant,
    "sms_budget": sms_budget.invariant,
    "stock": stock.invariant,
}
"""What must hold of each kind's state. They recompute sums, so they run once an entity; counters are checked at every record."""


class Record:
    """One row of the journal, read."""

    __slots__ = ("at_ms", "command_id", "digest", "events", "key", "kind", "meta", "seq", "shard", "version")

    def __init__(self, row: Any) -> None:
        self.shard, self.seq, self.version, self.at_ms, self.kind, self.key, self.command_id, body, self.meta = row
        read = events_decoder.decode(body)
        self.events: list[Any] = read.events
        self.digest: bytes = read.digest


class Entity:
    """One entity as of the record that was replayed last. ``broken``: it could not be replayed further."""

    __slots__ = ("broken", "key", "kind", "state", "version")

    def __init__(self, kind: str, key: str) -> None:
        self.kind = kind
        self.key = key
        self.state: Any = KINDS[kind].new(key)
        self.version = 0
        self.broken = False


class Witness(Protocol):
    """Watches the history pass by."""

    def before(self, entity: Entity, record: Record) -> None:
        """The record is about to be applied."""
        ...

    def after(self, entity: Entity, record: Record, entities: Mapping[tuple[str, str], Entity]) -> None:
        """It was applied, or could not be. ``entities``: all of this shard so far."""
        ...

    def end(self, shard: int, entities: Mapping[tuple[str, str], Entity]) -> None:
        """The shard has no more records."""
        ...


class History:
    """The replay of all shards, one after the other; only one shard is in memory."""

    def __init__(self, findings: Findings, sharding: Sharding, heads: Mapping[int, int], witnesses: tuple[Witness, ...]) -> None:
        self.records = 0
        self.entities_seen = 0
        self.shards_seen: set[int] = set()
        self._findings = findings
        self._sharding = sharding
        self._heads = heads
        self._witnesses = witnesses
        self._shard = -1
        self._seq = 0
        self._entities: dict[tuple[str, str], Entity] = {}
        self._effects: dict[tuple[str, str, bytes], int] = {}

    def take(self, row: Any) -> None:
        """The next row of ``records.READ_JOURNAL``."""
        shard, seq, _, _, kind, key = row[:6]
        if shard != self._shard:
            self.close()
            self._shard, self._seq = shard, 0
            self.shards_seen.add(shard)
        self.records += 1
        self._check_seq(shard, seq)
        if kind not in KINDS:
            self._findings.add(1, f"record {seq} of shard {shard} is of the unknown kind {kind}", key)
            return
        entity = self._entities.get((kind, key))
        if entity is None:
            entity = self._entities[(kind, key)] = Entity(kind, key)
            self._check_home(entity)
        try:
            record = Record(row)
        except Exception as error:
            self._findings.add(1, f"record {seq} of shard {shard} cannot be read: {error}", key)
            entity.broken = True
            return
        self._check_version(entity, record)
        self._check_once(record)
        for witness in self._witnesses:
            witness.before(entity, record)
        self._apply(entity, record)
        for witness in self._witnesses:
            witness.after(entity, record, self._entities)

    def entity(self, kind: str, key: str) -> Entity | None:
        """An entity of the shard that is being read, as of the last record."""
        return self._entities.get((kind, key))

    def close(self) -> None:
        """The shard has ended: check its head, and every entity as a whole."""
        if self._shard < 0:
            return
        head = self._heads.get(self._shard)
        if head != self._seq:
            self._findings.add(1, f"the head of shard {self._shard} is {head}, its last record {self._seq}", f"shard {self._shard}")
        for entity in self._entities.values():
            if not entity.broken:
                for wrong in INVARIANTS[entity.kind](entity.state):
                    self._findings.add(2, wrong, entity.key)
        for witness in self._witnesses:
            witness.end(self._shard, self._entities)
        self.entities_seen += len(self._entities)
        self._entities, self._effects, self._shard = {}, {}, -1

    def _check_seq(self, shard: int, seq: int) -> None:
        if seq != self._seq + 1:
            missing = f"{self._seq + 1}" if seq == self._seq + 2 else f"{self._seq + 1} to {seq - 1}"
            self._findings.add(1, f"record {missing} of shard {shard} is missing", f"shard {shard}")
        self._seq = seq

    def _check_home(self, entity: Entity) -> None:
        home = self._sharding.shard(entity.kind, entity.key)
        if home != self._shard:
            self._findings.add(4, f"{entity.kind} {entity.key} lives in shard {home} and has a record in {self._shard}", entity.key)

    def _check_version(self, entity: Entity, record: Record) -> None:
        if record.version != entity.version + 1:
            text = f"{record.kind} {record.key}: record {record.version} follows {entity.version}"
            self._findings.add(4, text, record.key, f"shard {record.shard}")
        entity.version = record.version

    def _check_once(self, record: Record) -> None:
        """One effect of an id in an entity. A read that leaves a trace is no effect."""
        if not record.command_id or not record.events or (not record.digest and isinstance(record.events[0], CartTouched)):
            return
        effect = (record.kind, record.key, record.command_id)
        at_ms = self._effects.get(effect)
        if at_ms is not None and record.at_ms - at_ms < REMEMBER_MS:
            command = record.command_id.hex()
            text = f"{record.kind} {record.key}: command {command} has a second effect, record {record.seq} of shard {record.shard}"
            self._findings.add(3, text, record.key, command)
        self._effects[effect] = record.at_ms

    def _apply(self, entity: Entity, record: Record) -> None:
        if entity.broken:
            return
        kind = KINDS[entity.kind]
        try:
            for event in record.events:
                kind.apply(entity.state, event)
                wrong = _imbalance(entity, event)
                if wrong:
                    self._findings.add(2, f"after record {record.seq} of shard {record.shard}: {wrong}", entity.key)
        except Exception as error:
            entity.broken = True
            text = f"{record.kind} {record.key}: record {record.seq} of shard {record.shard} cannot be applied: {error!r}"
            self._findings.add(1, text, record.key)


def _imbalance(entity: Entity, event: Any) -> str:
    """What the counters say at this very point; constant time, unlike the invariants."""
    state = entity.state
    match entity.kind:
        case "stock":
            return stock_state.imbalance(state)
        case "quota":
            if min(state.available, state.claimed, state.redeemed) < 0 or state.total != state.available + state.claimed + state.redeemed:
                return f"{state.key}: uses appeared or vanished: {quota.level(state)}"
            if isinstance(event, QuotaClaimed) and state.per_user and state.users.get(event.user_id, 0) > state.per_user:
                return f"{state.key}: {event.user_id} uses it more often than allowed"
        case "member":
            return "; ".join(member_state.imbalance(state))
        case "order":
            if isinstance(event, (OrderPlaced, OrderStarted)) and len(state.open) > OPEN_ORDERS_MAX:
                return f"{state.user_id}: {len(state.open)} open orders"
    return ""
