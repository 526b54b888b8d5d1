"""The hot lane of the direct listener: a request that is answered whole, without ASGI's messages in between.

Uvicorn reads the connection and keeps its order; only the cycle of request and response is replaced,
for the few routes that a crowd asks: orders, and the pages that it looks at before. Everything else of the
connection (limits, keep-alive, pipelining, draining) stays the listener's. Measured on one order: 40 us of the
replica's CPU less.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final

from serve.answers import SECURITY, Header, Reply
from serve.login_guard import PATHS
from serve.requests import Scope

SALES: Final = b"/v1/flash-sales/"
ORDERS: Final = b"/orders"
WHOLE: Final = frozenset({b"/bench/empty", *(path.encode() for path in PATHS)})
"""Passwords too: the many that an attack sends are refused here, in a few microseconds."""

PAGES: Final = (b"/v1/products", b"/v1/categories", SALES)
"""What begins so is a public page, or somebody else's by its whole path: the application tells them apart."""

Hot = Callable[[Scope, bytes], tuple[bytes, Reply | Awaitable[Reply]]]
"""Answers a whole request: its id, and the reply, or what will give it. Most refusals are here at once and cost no task."""

_STATUS: Final = {status.value: b"HTTP/1.1 %d %s\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus}
_SECURITY: Final = b"".join(b"%s: %s\r\n" % header for header in SECURITY)
_SECURED: Final = frozenset(name for name, _ in SECURITY)
_CLOSE: Final = b"connection: close\r\n"
_FAILED: Final = b"HTTP/1.1 500 Internal Server Error\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


def takes(method: bytes, url: bytes) -> bool:
    """True for the requests that this lane answers."""
    if method != b"POST":
        return method in (b"GET", b"HEAD") and url.startswith(PAGES) and b"%" not in url and url.isascii()
    if url.startswith(SALES):
        return url.endswith(ORDERS) and b"%" not in url and b"?" not in url
    return url in WHOLE


def head_of(reply: Reply) -> bytes:
    """Status line and headers, without the request's own; remembered by replies that are sent often."""
    if reply.head is None:
        # Cookies are somebody's secrets, and no two are the same.
        made = _head.__wrapped__ if any(name == b"set-cookie" for name, _ in reply.headers) else _head
        reply.head = made(reply.status, reply.headers)
    return reply.head


def keep_head(reply: Reply) -> Reply:
    """The reply with its head made: for one that is kept itself, so that the heads of orders are not pushed out."""
    reply.head = _head.__wrapped__(reply.status, reply.headers)
    return reply


@lru_cache(maxsize=1024)
def _head(status: int, headers: tuple[Header, ...]) -> bytes:
    """Orders differ in little: their heads are the same but for the length of the body."""
    own = {name for name, _ in headers}
    # As everywhere: what an answer says of its own is not said a second time.
    security = _SECURITY if _SECURED.isdisjoint(own) else b"".join(b"%s: %s\r\n" % header for header in SECURITY if header[0] not in own)
    return _STATUS[status] + security + b"".join([b"%s: %s\r\n" % header for header in headers])


class HotCycle:
    """One request and its response; has what uvicorn's protocol asks of a cycle."""

    __slots__ = (
        "_on_response", "_transport", "body", "body_max", "disconnected", "keep_alive", "message_event", "more_body",
        "response_complete", "response_started", "scope",
    )  # fmt: skip

    def __init__(self, scope: Scope, transport: Any, keep_alive: bool, body_max: int, on_response: Callable[[], None]) -> None:
        self.scope = scope
        self.keep_alive = keep_alive
        self.body = b""
        self.body_max = body_max
        self.more_body = True
        self.response_started = False
        self.response_complete = False
        self.disconnected = False
        self.message_event = _More()
        self._transport = transport
        self._on_response = on_response

    async def run_asgi(self, hot: Hot) -> None:
        """Answer. Named as uvicorn calls it."""
        while self.more_body and len(self.body) <= self.body_max:
            if self.disconnected:
                self.response_complete = True
                return
            await self.message_event.wait()
        if self.more_body:
            # Too long: refused by its length, and what is still to come is not read.
            self.keep_alive = False
        later = self.begin(hot)
        if later is not None:
            await later

    def begin(self, hot: Hot) -> Coroutine[Any, Any, None] | None:
        """Answer the whole request now; or what will, where an owner must be asked."""
        self.response_started = True
        try:
            request_id, reply = hot(self.scope, self.body)
        except Exception:
            self._fail()
            raise
        if isinstance(reply, Reply):
            self._end(request_id, reply)
            return None
        return self._finish(request_id, reply)

    async def _finish(self, request_id: bytes, reply: Awaitable[Reply]) -> None:
        try:
            answer = await reply
        except Exception:
            self._fail()
            raise
        finally:
            self.response_complete = True
        self._end(request_id, answer)

    def _fail(self) -> None:
        """The application answers its own faults: this is one of the lane. The client must not wait for ever."""
        self.response_complete = True
        self._transport.write(_FAILED)
        self._transport.close()

    def _end(self, request_id: bytes, reply: Reply) -> None:
        self.response_complete = True
        if not self.disconnected and not self._transport.is_closing():
            close = b"" if self.keep_alive else _CLOSE
            body = reply.body if self.scope["method"] != "HEAD" else b""
            self._transport.write(b"".join((head_of(reply), close, b"x-request-id: ", request_id, b"\r\n\r\n", body)))
            if not self.keep_alive:
                self._transport.close()
        self._on_response()


class _More:
    """Says when more of the body is here; costs nothing where it is whole from the start."""

    __slots__ = ("_future",)

    def __init__(self) -> None:
        self._future: asyncio.Future[None] | None = None

    def set(self) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    async def wait(self) -> None:
        self._future = asyncio.get_running_loop().create_future()
        await self._future


def whole(body: bytes) -> Callable[[], Awaitable[dict[str, Any]]]:
    """ASGI's ``receive`` for a body that is here."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
