"""The door of a host: one envelope of calls in, one envelope of answers out."""

import asyncio
from typing import Any, Final

import msgspec

from actors.domain.kinds import KINDS, command_decoder, encoder
from actors.owners.host import Host
from actors.owners.turns import Incoming
from schemas.envelope import Answer, Call

PATIENCE_S: Final = 0.05
"""How long an envelope waits for its slowest answer; then that one is ``pending`` and is asked for again."""

_PENDING: Final = Answer(code="pending")
_CALLS: Final = msgspec.msgpack.Decoder(list[Call])


class _Envelope:
    """Answers as they come; ``full`` is set when the last one is here."""

    __slots__ = ("answers", "full", "left")

    def __init__(self, count: int, full: "asyncio.Future[None]") -> None:
        self.answers: list[Answer] = [_PENDING] * count
        self.left = count
        self.full = full

    def slot(self, index: int) -> Any:
        """A ``respond`` that fills one place, once."""

        def respond(answer: Answer) -> None:
            if self.answers[index] is _PENDING:
                self.answers[index] = answer
                self.left -= 1
                if self.left == 0 and not self.full.done():
                    self.full.set_result(None)

        return respond


class Door:
    """Serves envelopes for a host."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def envelope(self, payload: bytes) -> bytes:
        """Answer every call of the envelope, in order. A call that cannot be read is refused alone."""
        calls = _CALLS.decode(payload)
        loop = asyncio.get_running_loop()
        envelope = _Envelope(len(calls), loop.create_future())
        incoming = []
        sharding = self._host.sharding
        for index, call in enumerate(calls):
            respond = envelope.slot(index)
            if call.kind not in KINDS:
                respond(Answer(code="invalid_request", params={"reason": "unknown kind of entity"}))
                continue
            try:
                command = command_decoder.decode(call.command)
            except msgspec.MsgspecError as error:
                respond(Answer(code="invalid_request", params={"reason": str(error)}))
                continue
            shard = sharding.shard(call.kind, call.key)
            incoming.append(
                Incoming(shard, call.kind, call.key, command, call.id, respond, call.digest, call.deadline_ms, call.trace, again=call.again)
            )
        self._host.submit(incoming)
        if envelope.left:
            timer = loop.call_later(PATIENCE_S, _give_up, envelope.full)
            await envelope.full
            timer.cancel()
        return encoder.encode(envelope.answers)


def _give_up(full: "asyncio.Future[None]") -> None:
    if not full.done():
        full.set_result(None)
