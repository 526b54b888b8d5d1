"""Telling warehouses. One call is one try; what is not known to have arrived is sent again, under the same id."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
import structlog

from actors.domain.wms import RETRY_MS, UNANSWERED_MS_MAX, calls_at_once, wait_ms
from actors.ports.clock import Clock
from actors.ports.wms import NotTaken, Taken, Unknown, Warehouse
from actors.storage.wms_outbox import Outbox, Outgoing
from schemas.providers.wms import PROTOCOL, Envelope, ShipTo
from serve.wms.lines import OpenLine

log = structlog.get_logger("stampede.wms")

AT_ONCE: Final = 4
STEPS_MAX: Final = 10
"""Steps of one round and connection."""

Address = Callable[[str], Awaitable[ShipTo | None]]


class Sending:
    """One a replica; several may work on one connection. ``address``: where an order goes, opened for each try and kept nowhere."""

    def __init__(
        self, outbox: Outbox, address: Address, clock: Clock, rng: random.Random, tell: Callable[[str], None] = lambda step: None
    ) -> None:
        self._outbox = outbox
        self._address = address
        self._clock = clock
        self._rng = rng
        self._tell = tell

    async def round(self, line: OpenLine, warehouse: Warehouse) -> int:
        """Send what is due; answers how many messages were taken. A line that rests is left alone."""
        taken, name = 0, line.connection.connection_id
        for _ in range(STEPS_MAX):
            now_ms = self._clock.now_ms()
            state = await self._outbox.line(name)
            if state.rests_until_ms > now_ms:
                break
            messages = await self._outbox.claim(name, now_ms, calls_at_once(state, AT_ONCE))
            self._tell("claimed")
            if not messages:
                break
            done = await asyncio.gather(*(self._send(name, warehouse, message) for message in messages), return_exceptions=True)
            taken += sum(found is True for found in done)
            if lost := next((found for found in done if isinstance(found, BaseException)), None):
                raise lost
        return taken

    async def _send(self, connection_id: str, warehouse: Warehouse, message: Outgoing) -> bool:
        body = await self._body(message)
        answer = await warehouse.send(message.message_id, body)
        self._tell("sent")
        now_ms = self._clock.now_ms()
        match answer:
            case Taken():
                await self._outbox.done(message.message_id, now_ms)
                await self._outbox.called(connection_id, "", now_ms)
                return True
            case NotTaken(reason=reason):
                log.warning("wms_message_refused", connection=connection_id, message=message.message_id, reason=reason)
                await self._outbox.failed(message.message_id, reason, message.tries + 1, None, now_ms)
                await self._outbox.called(connection_id, "", now_ms)
            case Unknown(reason=reason, answered=answered):
                tries, due_ms = self._next(message, answered, now_ms)
                await self._outbox.failed(message.message_id, reason, tries, due_ms, now_ms)
                await self._outbox.called(connection_id, reason, now_ms)
        return False

    def _next(self, message: Outgoing, answered: bool, now_ms: int) -> tuple[int, int | None]:
        """(tries, when again). Where nobody answers no try is counted: a name that does not resolve for an hour kills no message."""
        if answered:
            tries = message.tries + 1
            wait = wait_ms(tries, self._rng.random())
            return tries, None if wait is None else now_ms + wait
        if now_ms - message.made_at_ms > UNANSWERED_MS_MAX:
            return message.tries, None
        return message.tries, now_ms + int(RETRY_MS[0] * (0.8 + 0.4 * self._rng.random()))

    async def _body(self, message: Outgoing) -> bytes:
        data: dict[str, Any] = msgspec.json.decode(message.data)
        if message.order_id:
            data["number"] = message.number
        if message.type == "order.to_fulfil":
            data["ship_to"] = await self._address(message.order_id)
        whole = msgspec.Raw(msgspec.json.encode(data))
        envelope = Envelope(protocol=PROTOCOL, id=message.message_id, type=message.type, at_ms=message.made_at_ms, data=whole)
        return msgspec.json.encode(envelope)
