"""The network of the simulated world: envelopes are late, lost, answered into the void, or come twice."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from contextvars import Context
from typing import Final, Protocol

from actors.owners.door import Door
from actors.ports.transport import TransportLost
from actors.testing.sim_loop import Life, SimLoop

TIMEOUT_S: Final = 3.0
"""A transport gives up on an envelope after this long."""

LATE_S: Final = 3.0

_NOBODY: Final = Context()


class Reachable(Protocol):
    """A host process as the network sees it."""

    life: Life
    door: Door


class Network:
    """All lines between clients and hosts. ``fault_share``: how many envelopes of a hundred go wrong."""

    def __init__(self, loop: SimLoop, rng: random.Random, find: Callable[[str], Reachable | None], counts: Counter[str]) -> None:
        self.fault_share = 0.0
        self.cuts: set[tuple[str, str]] = set()
        self._loop = loop
        self._rng = rng
        self._find = find
        self._counts = counts

    def call(self, place: str, host: str, payload: bytes) -> asyncio.Future[bytes]:
        """Send an envelope and wait for its answers."""
        future = self._loop.create_future()
        self._later(TIMEOUT_S, _lose, future, "no answer")
        draw = self._rng.random
        if (place, host) in self.cuts:
            self._counts["request_cut"] += 1
            return future
        delay_s = self._delay()
        if draw() < self.fault_share:
            match self._rng.randrange(3):
                case 0:
                    self._counts["request_lost"] += 1
                    return future
                case 1:
                    self._counts["request_doubled"] += 1
                    self._later(delay_s + LATE_S * draw(), self._arrive, place, host, payload, None)
                case _:
                    self._counts["request_late"] += 1
                    delay_s += LATE_S * draw()
        self._later(delay_s, self._arrive, place, host, payload, future)
        return future

    def _delay(self) -> float:
        draw = self._rng.random()
        return 0.0002 + 0.001 * draw if draw < 0.97 else 0.1 * draw

    def _later(self, delay_s: float, callback: Callable[..., None], *args: object) -> None:
        self._loop.call_later(delay_s, callback, *args, context=_NOBODY)

    def _arrive(self, place: str, host: str, payload: bytes, future: asyncio.Future[bytes] | None) -> None:
        process = self._find(host)
        if process is None or process.life.dead:
            if future is not None:
                _lose(future, "the process is dead")
            return
        task = self._loop.create_task(process.door.envelope(payload), context=process.life.context)
        if future is not None:
            task.add_done_callback(lambda done: self._answer(place, host, done, future), context=_NOBODY)

    def _answer(self, place: str, host: str, done: "asyncio.Task[bytes]", future: asyncio.Future[bytes]) -> None:
        if (host, place) in self.cuts:
            self._counts["reply_cut"] += 1
        elif self._rng.random() < self.fault_share / 2:
            self._counts["reply_lost"] += 1
        elif not future.done():
            self._later(self._delay(), _deliver, future, done.result())


def _lose(future: asyncio.Future[bytes], reason: str) -> None:
    if not future.done():
        future.set_exception(TransportLost(reason))


def _deliver(future: asyncio.Future[bytes], answers: bytes) -> None:
    if not future.done():
        future.set_result(answers)


class NetworkLine:
    """One client's line: implements ``actors.ports.transport.Transport``."""

    def __init__(self, network: Network, place: str) -> None:
        self._network = network
        self._place = place

    async def call(self, host: str, payload: bytes) -> bytes:
        """See the port."""
        return await self._network.call(self._place, host, payload)
