"""A crowd of kept-alive connections that send what they are given and note what became of it.

``python -m loadtests.generator.crowd PLAN.json`` runs one plan in its own process and writes its
:class:`~loadtests.generator.plan.Sent` rows as JSON lines.
"""

import asyncio
import collections
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec
import uvloop

from actors.runtime.priority import take_short_turns
from loadtests.generator.plan import Plan, Requests, Sent, read_tokens, send_times
from loadtests.generator.wire import next_answer, text_field

RECONNECT_S: Final = 0.1
READY_S: Final = 30.0


class _Line(asyncio.Protocol):
    """One connection, one request in flight. It tells the crowd when it is free, and what it learned."""

    def __init__(self, crowd: "Crowd") -> None:
        self._crowd = crowd
        self._transport: asyncio.Transport | None = None
        self._data = b""
        self._number = -1
        self._intended_s = 0.0
        self._expiry: asyncio.TimerHandle | None = None

    @property
    def alive(self) -> bool:
        """The connection stands."""
        return self._transport is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Join the crowd."""
        self._transport = transport  # type: ignore[assignment]  # TCP gives a full transport
        self._crowd.joined(self)
        self._crowd.free(self)

    def send(self, number: int, intended_s: float, request: bytes, timeout_s: float) -> None:
        """Send one request; the connection must be free."""
        assert self._transport is not None
        self._number, self._intended_s = number, intended_s
        self._transport.write(request)
        self._expiry = asyncio.get_running_loop().call_later(timeout_s, self.hang_up)

    def data_received(self, data: bytes) -> None:
        """More of the answer, or all of it."""
        self._data = self._data + data if self._data else data
        answer = next_answer(self._data)
        if answer is None:
            return
        self._data = self._data[answer.size :]
        self._note(answer.status, answer.body)
        if answer.closes:
            self.hang_up()
        else:
            self._crowd.free(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The request in flight, if there is one, has no answer."""
        self._transport = None
        if self._number >= 0:
            self._note(0, b"")
        self._crowd.lost(self)

    def hang_up(self) -> None:
        """End the connection now."""
        if self._transport is not None:
            self._transport.abort()

    def _note(self, status: int, body: bytes) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
        self._crowd.note(self._number, self._intended_s, status, body)
        self._number = -1


class Crowd:
    """The connections of one plan, the requests that wait for one of them, and the answers so far."""

    def __init__(self, plan: Plan, requests: Requests) -> None:
        self.sent: list[Sent] = []
        self._plan, self._requests = plan, requests
        self._free: collections.deque[_Line] = collections.deque()
        self._waiting: collections.deque[tuple[int, float]] = collections.deque()
        self._source: Callable[[], tuple[int, float] | None] | None = None
        self._pending = 0
        self._idle = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._lines: set[_Line] = set()
        self._over = False

    async def connect(self) -> None:
        """Open all connections. OSError when the server does not listen within ``READY_S``."""
        deadline = time.monotonic() + READY_S
        for _ in range(self._plan.connections):
            while not await self._dial():
                if time.monotonic() > deadline:
                    raise OSError(f"nothing listens on {self._plan.host}:{self._plan.port}")
                await asyncio.sleep(RECONNECT_S)

    async def closed(self, numbers: Iterator[int], until_s: float) -> None:
        """Every connection sends the next number as soon as it was answered, until the time or the numbers end."""

        def following() -> tuple[int, float] | None:
            now = time.monotonic()
            number = next(numbers, None) if now < until_s else None
            return None if number is None else (number, now)

        self._source = following
        for line in [self._free.popleft() for _ in range(len(self._free))]:
            self.free(line)
        await self.drain()

    async def open(self, times: list[float]) -> None:
        """Send request n at ``times[n]`` seconds from now; those that find no free connection wait, and their wait counts."""
        start_s = time.monotonic() + 0.05
        for number, at in enumerate(times):
            if (ahead := start_s + at - time.monotonic()) > 0:
                await asyncio.sleep(ahead)
            self._pending += 1
            self._start(number, start_s + at)
            if number % 64 == 63:
                await asyncio.sleep(0)
        await self.drain()

    async def drain(self) -> None:
        """Wait until every request that was started is answered or broken."""
        while self._pending:
            self._idle.clear()
            await self._idle.wait()

    async def leave(self) -> None:
        """End all connections and wait until they have ended."""
        self._over = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for line in list(self._lines):
            line.hang_up()
        while self._lines:
            self._idle.clear()
            await self._idle.wait()

    def free(self, line: _Line) -> None:
        """A connection can send: give it what waits, or what comes next."""
        if self._waiting:
            self._send(line, *self._waiting.popleft())
            return
        following = self._source() if self._source is not None else None
        if following is None:
            self._free.append(line)
            return
        self._pending += 1
        self._send(line, *following)

    def joined(self, line: _Line) -> None:
        """A connection stands."""
        self._lines.add(line)

    def lost(self, line: _Line) -> None:
        """A connection ended: open another one."""
        self._lines.discard(line)
        self._free = collections.deque(other for other in self._free if other.alive)
        if self._over:
            if not self._lines:
                self._idle.set()
            return
        task = asyncio.ensure_future(self._redial())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def note(self, number: int, intended_s: float, status: int, body: bytes) -> None:
        """One request is over."""
        order_id = text_field(body, b"order_id") if self._plan.answers_kept and 200 <= status < 300 else ""
        code = text_field(body, b"code") if status >= 400 else ""
        self.sent.append(Sent(number=number, intended_s=intended_s, done_s=time.monotonic(), status=status, order_id=order_id, code=code))
        self._pending -= 1
        if not self._pending:
            self._idle.set()

    def _start(self, number: int, intended_s: float) -> None:
        if self._free:
            self._send(self._free.popleft(), number, intended_s)
        else:
            self._waiting.append((number, intended_s))

    def _send(self, line: _Line, number: int, intended_s: float) -> None:
        line.send(number, intended_s, self._requests.bytes_of(number), self._plan.timeout_s)

    async def _dial(self) -> bool:
        try:
            await asyncio.get_running_loop().create_connection(lambda: _Line(self), self._plan.host, self._plan.port)
        except OSError:
            return False
        return True

    async def _redial(self) -> None:
        while True:
            if await self._dial():
                return
            await asyncio.sleep(RECONNECT_S)


async def carry_out(plan: Plan) -> list[Sent]:
    """Run one plan and return what became of each of its requests."""
    crowd = Crowd(plan, Requests(plan, read_tokens(plan.tokens) if plan.tokens else []))
    try:
        await crowd.connect()
        if plan.rate_per_s:
            await crowd.open(send_times(plan))
        else:
            numbers = iter(plan.only) if plan.only else iter(range(sys.maxsize))
            await crowd.closed(numbers, time.monotonic() + plan.seconds)
    finally:
        await crowd.leave()
    return crowd.sent


def main() -> None:
    """Run the plan that the argument names."""
    plan = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Plan)
    os.nice(plan.niceness)
    take_short_turns()  # or its own waiting for a core would be told as the server's
    sent = uvloop.run(carry_out(plan))
    Path(plan.output).write_bytes(b"\n".join(map(msgspec.json.encode, sent)))


if __name__ == "__main__":
    main()
