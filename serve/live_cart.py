"""The same cart on every terminal: a stream of server-sent events that shows each change as it comes.

A change is told by the replica that made it, over Redis; without Redis, or when news are lost, the owner is asked now
and then. Either way the stream shows what the owner says, never what the news said.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Final

from actors.ports.journal import StorageUnknown
from schemas.http.carts import Cart
from serve.answers import SECURITY, encode
from serve.desk import Desk
from serve.requests import Receive, Refusal, Request, Send

PATH: Final = "/v1/cart/events"
TOPIC: Final = "cart"

STREAMS_MAX: Final = 2000
"""Open streams of one replica: some 20 KB each."""

STREAMS_OF_ONE_MAX: Final = 10
"""Of one customer: his terminals, and some that he closed badly."""

LOOK_S: Final = 5.0
"""So often the owner is asked whatever the news say."""

LIFE_S: Final = 900.0
"""A stream ends after this long and the client opens the next one, which asks for its token again."""

RETRY_MS: Final = 1000

Read = Callable[[Desk, str], Awaitable[Cart]]


class LiveCarts:
    """The streams of one replica. ``read`` prices a holder's cart as it is now."""

    def __init__(self, desk: Desk, read: Read) -> None:
        self._desk = desk
        self._read = read
        self._open: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._count = 0
        self._closing = asyncio.Event()
        desk.news.on(TOPIC, self._heard)
        desk.cart_changed = self.changed

    def changed(self, holder: str) -> None:
        """A cart changed through this replica."""
        self._heard(holder)
        self._desk.news.tell(TOPIC, holder)

    def _heard(self, holder: str) -> None:
        for wanted in self._open.get(holder, ()):
            wanted.set()

    def close(self) -> None:
        """End all streams: the replica leaves, and their clients find another one."""
        self._closing.set()
        for streams in self._open.values():
            for wanted in streams:
                wanted.set()

    async def stream(self, request: Request, receive: Receive, send: Send, holder: str, allowed: Callable[[], bool]) -> None:
        """Send the cart now and after each change, for as long as ``allowed`` and the client is there.

        Refusal ``busy``, ``rate_limited``, before anything was sent.
        """
        if self._count >= STREAMS_MAX or self._closing.is_set():
            raise Refusal("busy")
        if len(self._open.get(holder, ())) >= STREAMS_OF_ONE_MAX:
            raise Refusal("rate_limited")
        first = await self._read(self._desk, holder)
        wanted = asyncio.Event()
        self._open[holder].add(wanted)
        self._count += 1
        gone = asyncio.ensure_future(_gone(receive, wanted))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": [*SECURITY, *_HEADERS, (b"x-request-id", request.id)]})
            await self._show(send, b"retry: %d\n" % RETRY_MS, first)
            # Once it has begun there is no other answer: it ends, and the client's next stream is told why.
            with contextlib.suppress(Refusal, StorageUnknown):
                await self._follow(send, holder, wanted, first, lambda: allowed() and not gone.done())
            if not gone.done():
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()
            self._count -= 1
            self._open[holder].discard(wanted)
            if not self._open[holder]:
                del self._open[holder]

    async def _follow(self, send: Send, holder: str, wanted: asyncio.Event, shown: Cart, allowed: Callable[[], bool]) -> None:
        loop = asyncio.get_running_loop()
        ends = loop.time() + LIFE_S
        while allowed() and not self._closing.is_set() and loop.time() < ends:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(wanted.wait(), LOOK_S)
            wanted.clear()
            if not allowed() or self._closing.is_set():
                return
            cart = await self._read(self._desk, holder)
            if cart == shown:
                await send({"type": "http.response.body", "body": b":\n\n", "more_body": True})
            else:
                await self._show(send, b"", cart)
                shown = cart

    async def _show(self, send: Send, before: bytes, cart: Cart) -> None:
        body = b"%sevent: cart\nid: %d\ndata: %s\n\n" % (before, cart.version, encode(cart))
        await send({"type": "http.response.body", "body": body, "more_body": True})


_HEADERS: Final = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
)


async def _gone(receive: Receive, wanted: asyncio.Event) -> None:
    """Until the client has left."""
    while (await receive())["type"] != "http.disconnect":
        continue
    wanted.set()
