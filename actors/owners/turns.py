"""The turn: one command, one entity, no waiting in between.

A turn reads state, decides, applies, and puts a record into the open batch. Its answer leaves when
every record that it looked at is durable. Where a decision needs other entities and all of them are
in this host's memory, they take part in the same turn and the same flush.
"""

from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec
import structlog

from actors.domain.entity import Accepted, Answered, Ask, Context, Outcome, Plan, Refused, Send
from actors.domain.kinds import Body, Meta, Seen, WireSend, encoder
from actors.owners.batch import Batch
from actors.owners.cell import Cell, Respond, entity_hash, refusal_answer, remember_answer
from actors.owners.counters import Counters
from actors.owners.facts import NeedsFacts
from actors.ports.clock import Clock
from actors.ports.journal import Row
from schemas.envelope import Answer

log = structlog.get_logger("stampede.owners")

INLINE_MAX: Final = 64
"""Sends followed within one turn; more than a big cart ever makes, less than a runaway."""

POISONED_MAX: Final = 10_000
"""Commands remembered as raising; the oldest are forgotten."""

WAITERS_MAX: Final = 16
"""Callers that wait for one open command: those who asked before are told ``pending`` by their envelope's patience."""

_IDEMPOTENCY_REUSED: Final = Refused(code="idempotency_key_reused")
_INTERNAL: Final = Refused(code="internal_error")
_POISONED: Final = Refused(code="command_poisoned")


class Incoming:
    """A command that came in: from a client (with a digest, remembered by id), or from inside."""

    __slots__ = ("ack", "again", "command", "deadline_ms", "digest", "id", "key", "kind", "respond", "shard", "trace")

    def __init__(
        self,
        shard: int,
        kind: str,
        key: str,
        command: Any,
        command_id: bytes,
        respond: Respond,
        digest: bytes = b"",
        deadline_ms: int = 0,
        trace: str = "",
        ack: bytes = b"",
        again: bool = False,
    ) -> None:
        self.shard = shard
        self.kind = kind
        self.key = key
        self.command = command
        self.id = command_id
        self.respond = respond
        self.digest = digest
        self.deadline_ms = deadline_ms
        self.trace = trace
        self.ack = ack
        self.again = again


class NeedsLoading(Exception):
    """These local entities must be loaded first; then the turn is taken again."""

    def __init__(self, entities: list[tuple[int, str, str]]) -> None:
        super().__init__(entities)
        self.entities = entities


class Residents(Protocol):
    """Which entities are here."""

    def resident(self, kind: str, key: str) -> Cell | None:
        """The entity in memory (made, when it is new); None when its shard is elsewhere. NeedsLoading when it must be read."""
        ...


class Turns:
    """Takes turns. ``open_batch`` is where records go; ``durable`` the number of the last committed batch."""

    def __init__(self, clock: Clock, residents: Residents, facts: Callable[[tuple[str, ...]], dict[str, Any]], counters: Counters) -> None:
        self.clock = clock
        self.residents = residents
        self.facts = facts
        self.counters = counters
        self.durable = 0
        self.flying: Batch | None = None
        self.open_batch = Batch(1)
        self._raised: dict[bytes, int] = {}
        self.poison_max = 2

    def take(self, cell: Cell, call: Incoming) -> None:
        """One command. NeedsLoading leaves everything as it was."""
        now_ms = self.clock.now_ms()
        if call.deadline_ms and now_ms > call.deadline_ms:
            self.refuse(call, "deadline_passed")
            return
        if call.digest and self._answered_before(cell, call):
            return
        context = Context(at_ms=now_ms, command_id=call.id, facts=self.facts(cell.kind.needs(call.command)))
        decided = self._decide(cell, call, context)
        outcome = self._plan(cell, call, decided) if isinstance(decided, Plan) else decided
        if outcome is None:
            return
        self.counters.turns += 1
        if isinstance(outcome, Refused):
            # An answer whose rule raised is not settled: its send stays open and is carried again.
            if call.ack and outcome is not _INTERNAL and outcome is not _POISONED:
                self._accept(cell, call, Accepted(), now_ms)
            else:
                self._tell_refusal(cell, call, outcome, cell.batch)
            return
        self._accept(cell, call, outcome, now_ms)

    def _answered_before(self, cell: Cell, call: Incoming) -> bool:
        seen = cell.seen.get(call.id)
        if seen is None:
            return False
        if seen.digest != call.digest:
            self.gate(cell.batch, call.respond, refusal_answer(_IDEMPOTENCY_REUSED))
        elif seen.answer is None:
            waiters = cell.waiters.setdefault(call.id, [])
            waiters.append(call.respond)
            del waiters[:-WAITERS_MAX]
        else:
            self.gate(cell.batch, call.respond, _answer_of(seen.answer, cell))
        return True

    def _decide(self, cell: Cell, call: Incoming, context: Context) -> Outcome:
        if self._raised and self._raised.get(_name(call, cell.seq), 0) >= self.poison_max:
            return _POISONED
        try:
            return cell.kind.decide(cell.state, call.command, context)
        except (Exception, SystemExit):
            # decide only reads, so the state is what it was: the failure is this command's alone.
            times = self.note_raise(call, cell.seq)
            log.exception("command_raised", kind=call.kind, key=call.key, command=type(call.command).__name__, times=times)
            return _INTERNAL

    def note_raise(self, call: Incoming, seq: int) -> int:
        """Count a command that raised; how often it did so far."""
        self.counters.poisoned += 1
        if len(self._raised) >= POISONED_MAX:
            self._raised.pop(next(iter(self._raised)))
        name = _name(call, seq)
        self._raised[name] = self._raised.get(name, 0) + 1
        return self._raised[name]

    def _plan(self, cell: Cell, call: Incoming, plan: Plan) -> Accepted | None:
        """All agree in this turn, or one refuses and nothing happened; or the saga is opened; None: already answered."""
        agreed: list[tuple[Cell, Accepted]] = []
        looked_at = cell.batch
        for index, ask in enumerate(plan.asks):
            found = self._ask(ask, call.id)
            if found is None:
                self.counters.plans_staged += 1
                return plan.staged()
            other, outcome = found
            looked_at = max(looked_at, other.batch)
            if isinstance(outcome, Refused):
                self._tell_refusal(cell, call, plan.refuse(index, outcome), looked_at)
                return None
            agreed.append((other, outcome))
        self.counters.plans_direct += 1
        now_ms = self.clock.now_ms()
        chosen = tuple(other.key for other, _ in agreed)
        for other, accepted in agreed:
            if accepted.events:
                self._record(other, accepted, now_ms, call.id)
        return plan.direct(chosen, tuple(accepted.reply for _, accepted in agreed))

    def _tell_refusal(self, cell: Cell, call: Incoming, refusal: Refused, looked_at: int) -> None:
        """Nothing has changed, so nothing is written: a repeat is decided anew. Only where an earlier try may still come
        is the refusal remembered, so that it is not done after all when that comes."""
        self.counters.refusals[refusal.code] += 1
        if call.again and refusal is not _INTERNAL and refusal is not _POISONED:
            self._record(cell, Accepted(reply=refusal), self.clock.now_ms(), call.id, call.digest)
            looked_at = cell.batch
        self.gate(looked_at, call.respond, refusal_answer(refusal, cell.shard.number, cell.seq))

    def _ask(self, ask: Ask, command_id: bytes) -> tuple[Cell, Accepted | Refused] | None:
        """The first alternative that agrees, or the last refusal when all are here; None when one of them must be asked elsewhere."""
        elsewhere = False
        answer: tuple[Cell, Accepted | Refused] | None = None
        for key in ask.keys:
            other = self.residents.resident(ask.kind, key)
            if other is None:
                elsewhere = True
                continue
            context = Context(at_ms=self.clock.now_ms(), command_id=command_id)
            outcome = other.kind.decide(other.state, ask.command, context)
            assert not isinstance(outcome, Plan), "an asked entity answers by itself"
            if isinstance(outcome, Accepted):
                return other, outcome
            answer = (other, outcome)
        return None if elsewhere else answer

    def _accept(self, cell: Cell, call: Incoming, accepted: Accepted, now_ms: int) -> None:
        assert accepted.events or not accepted.completes, "an answer that was left open is closed by an event"
        # A command that had nothing to change gets a record all the same, for its answer: the state may move on before it is repeated.
        to_remember = call.ack or (call.digest and cell.version)
        if not accepted.events and not accepted.sends and not to_remember:
            self.gate(cell.batch, call.respond, _answer_of(accepted.reply, cell))
            return
        place = len(self.open_batch.rows)
        self._record(cell, accepted, now_ms, call.id, call.digest, call.ack)
        if accepted.reply is not None or not call.digest:
            self.open_batch.answers.append((call.respond, _answer_of(accepted.reply, cell)))
        else:
            cell.waiters.setdefault(call.id, []).append(call.respond)
        if accepted.sends:
            self._follow(cell, place, accepted.sends, now_ms, call.ack)

    def _record(self, cell: Cell, accepted: Accepted, now_ms: int, command_id: bytes = b"", digest: bytes = b"", ack: bytes = b"") -> None:
        """Apply what happened and put it into the open batch."""
        kind, shard = cell.kind, cell.shard
        for event in accepted.events:
            kind.apply(cell.state, event)
        if cell.version == 0:
            shard.cells[(cell.kind_name, cell.key)] = cell
            name = entity_hash((cell.kind_name, cell.key))
            shard.known.add(name)
            shard.fresh[name] = shard.next_seq
        cell.version += 1
        cell.seq = shard.next_seq
        shard.next_seq += 1
        answer = accepted.reply if digest else None
        row = Row(
            shard=shard.number,
            seq=cell.seq,
            kind=cell.kind_name,
            key=cell.key,
            version=cell.version,
            command_id=command_id,
            at_ms=now_ms,
            wake_ms=kind.wake_at(cell.state) or 0,
            body=encoder.encode(Body(accepted.events, digest, answer, accepted.completes)),
            meta=encoder.encode(Meta([], [ack])) if ack else b"",
        )
        self.open_batch.add(cell, row)
        if digest:
            cell.seen[command_id] = Seen(digest=digest, at_ms=now_ms, answer=answer)
        if accepted.completes:
            self._complete(cell, accepted.completes)

    def _complete(self, cell: Cell, completes: tuple[tuple[bytes, Any], ...]) -> None:
        """Answer commands that were left open, when this batch is durable."""
        for command_id, reply in completes:
            remember_answer(cell.seen, command_id, reply)
            for respond in cell.waiters.pop(command_id, ()):
                self.open_batch.answers.append((respond, _answer_of(reply, cell)))

    def _follow(self, cell: Cell, place: int, sends: tuple[Send, ...], now_ms: int, ack: bytes) -> None:
        """Sends to entities of this host take effect in the same flush; the others go with their cause, the record at ``place``."""
        kept = [WireSend(send.id, send.step, send.kind, send.key, send.command) for send in sends if not self._inline(cell, send, now_ms)]
        if kept or ack:
            rows = self.open_batch.rows
            rows[place] = msgspec.structs.replace(rows[place], meta=encoder.encode(Meta(kept, [ack] if ack else [])))

    def _inline(self, cell: Cell, send: Send, now_ms: int) -> bool:
        """True when the receiver took it in this turn and the sender took the answer; False: it must be carried."""
        if self.open_batch.commands > INLINE_MAX * 8:
            return False
        try:
            other = self.residents.resident(send.kind, send.key)
            if other is None or other is cell:
                return False
            facts = self.facts(other.kind.needs(send.command))
        except (NeedsLoading, NeedsFacts):
            return False
        outcome = other.kind.decide(other.state, send.command, Context(at_ms=now_ms, command_id=send.id, facts=facts))
        if isinstance(outcome, Plan) or (isinstance(outcome, Accepted) and (outcome.reply is None or outcome.sends)):
            return False
        told = answered_by(send.step, outcome if isinstance(outcome, Refused) else outcome.reply)
        followed = cell.kind.decide(cell.state, told, Context(at_ms=now_ms, command_id=send.id))
        if not isinstance(followed, Accepted) or followed.sends:
            return False
        if isinstance(outcome, Accepted) and outcome.events:
            self._record(other, outcome, now_ms, send.id)
        if followed.events:
            self._record(cell, followed, now_ms)
        # What the sender concludes rests on what it saw of the receiver.
        cell.batch = max(cell.batch, other.batch)
        return True

    def gate(self, number: int, respond: Respond, answer: Answer) -> None:
        """Let an answer leave once batch ``number``, the newest that it looked at, is durable."""
        if number <= self.durable:
            respond(answer)
        elif self.flying is not None and number == self.flying.number:
            self.flying.answers.append((respond, answer))
        else:
            self.open_batch.answers.append((respond, answer))

    def refuse(self, call: Incoming, code: str) -> None:
        """Answer at once with a code that says nothing of any state."""
        self.counters.refusals[code] += 1
        call.respond(Answer(code=code, shard=call.shard))


def _name(call: Incoming, seq: int) -> bytes:
    """What a raising command is known by. A reminder has no id: it is known by its entity, until that changes."""
    return call.id or f"{call.kind}\0{call.key}\0{seq}".encode()


def answered_by(step: str, reply: Any) -> Answered:
    """What the sender hears. A refusal that was recorded by its receiver comes as a reply, and is one all the same."""
    if isinstance(reply, Refused):
        return Answered(step=step, refused=reply)
    return Answered(step=step, reply=reply)


def _answer_of(reply: Any, cell: Cell) -> Answer:
    if isinstance(reply, Refused):
        return refusal_answer(reply, cell.shard.number, cell.seq)
    return Answer(reply=reply, shard=cell.shard.number, seq=cell.seq)
