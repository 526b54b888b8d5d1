"""The direct listener: one listening socket a node, shared by the node's replicas.

Serve's ingress works wherever Serve does and costs a proxy; a client of this machine's address can
do without it. The socket is the node's (``serve.listening_socket``).

A draining replica stops accepting, answers what it has with ``Connection: close``, and ends when
its connections are gone or its patience is.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final

import msgspec
import structlog
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from serve.hot.lane import Hot, HotCycle, takes
from serve.requests import LARGE

log = structlog.get_logger("stampede.listener")

ACCEPT_MAX: Final = 8
"""Connections that one turn of the loop accepts: the node's other replicas wait at the same socket."""

READ_BYTES: Final = 65_536
"""What one read may bring beside the headers."""

SWEEP_S: Final = 0.5
ACCEPT_AGAIN_S: Final = 0.5
"""Pause after a connection could not be accepted."""

BEGIN_S: Final = 0.1
"""What a new connection sends first has arrived by then."""


class ListenerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The listener's own bounds; the application has others."""

    connections_max: int = 10_000
    """Open connections of one replica; the next is told 503 and closed."""
    header_bytes_max: int = 32 * 1024
    header_s_max: float = 10.0
    """A client that takes longer for its headers is not one (slow-loris)."""
    message_s_max: float = 30.0
    """The same for a whole request with its body."""
    upload_s_max: float = 120.0
    """The same where the body is a file: 64 MiB at some five megabits a second."""
    body_bytes_max: int = 64 * 1024
    """The hot lane reads no body above this; the application refuses it."""
    keep_alive_s: int = 60
    drain_s: float = 10.0
    """Patience of a draining replica with requests that are being answered."""
    idle_drain_s: float = 2.0
    """A kept-alive connection that asks nothing for this long while its replica drains is closed."""


DEFAULT: Final = ListenerLimits()
_FILES: Final = frozenset(path.encode() for path in LARGE)

_FULL: Final = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class _Protocol(HttpToolsProtocol):
    """Uvicorn's protocol with bounds on connections, header size and time."""

    def __init__(self, listener: "DirectListener", config: Config, state: ServerState) -> None:
        super().__init__(config, state, {})
        self.listener = listener
        self.limits = listener.limits
        self._hot_waits = False
        self._begun = False
        self._message_s_max = self.limits.message_s_max

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._header_bytes = 0
        self._in_header = True
        self._since_s = self.loop.time()
        if len(self.connections) > self.limits.connections_max:
            transport.write(_FULL)
            transport.close()

    def data_received(self, data: bytes) -> None:
        if self._in_header:
            self._header_bytes += len(data)
            if self._header_bytes > self.limits.header_bytes_max + READ_BYTES:
                self._refuse_header()
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        self._in_header = self._begun = True
        self._header_bytes = 0
        self._since_s = self.loop.time()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_header = False
        file = self.url.partition(b"?")[0] in _FILES
        self._message_s_max = self.limits.upload_s_max if file else self.limits.message_s_max
        if sum(len(name) + len(value) for name, value in self.headers) > self.limits.header_bytes_max:
            self._refuse_header()
        elif takes(self.parser.get_method(), self.url) and not self.expect_100_continue and not self.parser.should_upgrade():
            self._begin_hot()
        else:
            super().on_headers_complete()
        if self.listener.draining:
            self.last_answer()

    def last_answer(self) -> None:
        """The answer to the last request that was read will be the last of this connection."""
        if self.cycle is not None:
            self.cycle.keep_alive = False

    def _begin_hot(self) -> None:
        """A request of the hot lane: answered once it is whole, in its turn on this connection."""
        scope: Any = self.scope
        scope["method"], scope["path"], scope["query_string"] = "POST", self.url.decode("ascii"), b""
        keep_alive = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        before = self.cycle
        cycle = HotCycle(scope, self.transport, keep_alive, self.limits.body_bytes_max, self.on_response_complete)
        self.cycle = cycle  # type: ignore[assignment]
        if before is not None and not before.response_complete:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.listener.hot))  # type: ignore[arg-type]
        else:
            self._hot_waits = True

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        cycle: Any = self.cycle
        if self._hot_waits and len(cycle.body) > self.limits.body_bytes_max:
            # After what this read brought: a body that is too long but whole costs its connection nothing.
            self.loop.call_soon(self._start_hot)

    def on_message_complete(self) -> None:
        self._since_s = 0.0
        self._begun = False
        super().on_message_complete()
        if self._hot_waits:
            self._start_hot()

    def _start_hot(self) -> None:
        if not self._hot_waits:
            return
        self._hot_waits = False
        cycle: Any = self.cycle
        if cycle.more_body:
            # Too long, and not all here: refused by its length, and what is still to come is not read.
            cycle.keep_alive = cycle.more_body = False
        later = cycle.begin(self.listener.hot)
        if later is not None:
            task = self.loop.create_task(later)
            task.add_done_callback(self.tasks.discard)
            self.tasks.add(task)

    def _refuse_header(self) -> None:
        self.transport.write(_TOO_LARGE)
        self.transport.close()

    def overdue(self, now_s: float) -> bool:
        """True when a request has been on its way for too long."""
        if not self._since_s:
            return False
        return now_s - self._since_s > (self.limits.header_s_max if self._in_header else self._message_s_max)

    def is_idle(self) -> bool:
        """True when no request is being answered and none has begun to arrive."""
        return not self._begun and (self.cycle is None or self.cycle.response_complete) and not self.pipeline


class DirectListener:
    """Serves an ASGI app on the node's shared socket. ``in_flight`` is its load."""

    def __init__(self, app: Any, shared: socket.socket, limits: ListenerLimits = DEFAULT) -> None:
        self._app = app
        self.limits = limits
        self.hot: Hot = app.hot
        self._leave: Callable[[], None] = app.drain
        self._shared = shared
        self._state = ServerState()
        self._factory: Callable[[], _Protocol] | None = None
        self._arriving: set[asyncio.Task[Any]] = set()
        self._sweeper: asyncio.Task[None] | None = None
        self.draining = False

    @property
    def in_flight(self) -> int:
        """Requests that are being answered."""
        return len(self._state.tasks)

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._state.connections)

    @property
    def serving(self) -> bool:
        """True while connections are accepted."""
        return self._factory is not None and not self.draining

    async def start(self) -> None:
        """Begin to accept."""
        config = Config(
            self._app,
            http=_Protocol,
            interface="asgi3",
            ws="none",
            lifespan="off",
            # X-Forwarded-For is the application's to judge.
            proxy_headers=False,
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=self.limits.keep_alive_s,
        )
        config.load()
        self._factory = lambda: _Protocol(self, config, self._state)
        self._shared.setblocking(False)
        asyncio.get_running_loop().add_reader(self._shared, self._accept)
        self._sweeper = asyncio.ensure_future(self._sweep())

    def _accept(self) -> None:
        """Take the connections that wait.

        Not by ``create_server``: asyncio's forgets a connection that was accepted in the turn in which its server
        is closed. Its client would wait until the collector finds the socket, and then be cut off.
        """
        loop, factory = asyncio.get_running_loop(), self._factory
        assert factory is not None
        for _ in range(ACCEPT_MAX):
            try:
                accepted, _ = self._shared.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                # No file handles are left (or the socket is gone): the rest waits in the kernel until there are some.
                log.warning("connection_not_accepted", reason=str(error))
                loop.remove_reader(self._shared)
                loop.call_later(ACCEPT_AGAIN_S, self._accept_again)
                return
            accepted.setblocking(False)
            task = loop.create_task(loop.connect_accepted_socket(factory, accepted))
            task.add_done_callback(self._arrived)
            self._arriving.add(task)

    def _accept_again(self) -> None:
        if self.serving:
            asyncio.get_running_loop().add_reader(self._shared, self._accept)

    def _arrived(self, task: "asyncio.Task[Any]") -> None:
        self._arriving.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.info("connection_lost_at_once", reason=str(task.exception()))

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            now_s = asyncio.get_running_loop().time()
            for connection in list(self._state.connections):
                if isinstance(connection, _Protocol) and connection.overdue(now_s) and connection.transport is not None:
                    connection.transport.abort()

    async def drain(self) -> None:
        """Stop accepting, answer what is here, close. No request that was sent is cut."""
        if not self.serving:
            return
        self.draining = True
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._shared)
        self._shared.close()
        self._leave()
        await asyncio.gather(*self._arriving, return_exceptions=True)
        for connection in list(self._state.connections):
            if isinstance(connection, _Protocol):
                connection.last_answer()
        started = loop.time()
        await asyncio.sleep(BEGIN_S)
        while self._state.connections and loop.time() - started < self.limits.drain_s:
            await asyncio.sleep(0.02)
            if loop.time() - started > self.limits.idle_drain_s:
                for connection in list(self._state.connections):
                    if isinstance(connection, _Protocol) and connection.is_idle():
                        connection.transport.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        if self._sweeper is not None:
            self._sweeper.cancel()
