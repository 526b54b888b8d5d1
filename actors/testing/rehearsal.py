"""One entity played by its rules alone: for tests of a kind, without owners, journal or clock."""

import functools
import operator
from typing import Any

import msgspec

from actors.domain.entity import Accepted, Context, Kind, Outcome, Refused
from schemas.ids import derived_id


class Rehearsal:
    """Feeds commands to one entity and checks after each what every kind promises.

    That ``decide`` changes nothing; that events and answers are of the kinds it lists and survive
    MessagePack; and (:meth:`check_replay`) that the events alone give the state again.
    """

    def __init__(self, kind: Kind, key: str) -> None:
        self.kind = kind
        self.key = key
        self.state = kind.new(key)
        self.events: list[Any] = []
        self._turns = 0
        self._command_decoder = _decoder(kind.commands)
        self._event_decoder = _decoder(kind.events)
        self._reply_decoder = _decoder(kind.replies)

    def ask(self, command: Any, at_ms: int) -> Outcome:
        """Decide and apply one command; the outcome."""
        self._turns += 1
        if isinstance(command, self.kind.commands):
            assert self._command_decoder.decode(msgspec.msgpack.encode(command)) == command
        before = msgspec.msgpack.encode(self.state)
        context = Context(at_ms=at_ms, command_id=derived_id("rehearsal", str(self._turns)))
        outcome = self.kind.decide(self.state, command, context)
        assert msgspec.msgpack.encode(self.state) == before, "decide changed the state"
        if isinstance(outcome, Accepted):
            self._take(outcome)
        return outcome

    def told(self, command: Any, at_ms: int) -> Any:
        """The reply to a command, or the code of its refusal."""
        outcome = self.ask(command, at_ms)
        if isinstance(outcome, Accepted):
            return outcome.reply.code if isinstance(outcome.reply, Refused) else outcome.reply
        assert isinstance(outcome, Refused)
        return outcome.code

    def check_replay(self) -> None:
        """The events, applied to a new entity, give this state; and a snapshot of it gives it too."""
        replayed = self.kind.new(self.key)
        for event in self.events:
            self.kind.apply(replayed, event)
        assert replayed == self.state
        data = msgspec.msgpack.encode(self.state)
        assert msgspec.msgpack.encode(replayed) == data
        assert msgspec.msgpack.decode(data, type=self.kind.state) == self.state

    def _take(self, outcome: Accepted) -> None:
        if outcome.reply is not None and not isinstance(outcome.reply, Refused):
            assert self._reply_decoder.decode(msgspec.msgpack.encode(outcome.reply)) == outcome.reply
        for event in outcome.events:
            stored = self._event_decoder.decode(msgspec.msgpack.encode(event))
            assert stored == event
            self.kind.apply(self.state, stored)
            self.events.append(stored)


def _decoder(types: tuple[type, ...]) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(functools.reduce(operator.or_, types))
