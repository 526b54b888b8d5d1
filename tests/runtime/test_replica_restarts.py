"""A hundred replica restarts under new and kept-alive connections: nobody is cut off. The control shows that the test would see it."""

import asyncio
import contextlib
import itertools
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from serve.answers import Reply, json_reply
from serve.listener import DirectListener, ListenerLimits

RESTARTS = 100
AT_ONCE = 4
CLIENTS = 24
BUSY_S = 0.03
ANSWER_S = 10.0
"""Whoever is not answered for so long was forgotten, which is as bad as being cut off."""

ORDER = b"POST /v1/flash-sales/sal_1/orders HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}"
PAGE = b"GET /v1/cart HTTP/1.1\r\nhost: x\r\n\r\n"


class App:
    """Takes a moment for every answer, so that a replica always leaves with requests under way."""

    def drain(self) -> None:
        pass

    def hot(self, scope: Any, body: bytes) -> tuple[bytes, Reply | Awaitable[Reply]]:
        return b"r1", self._hot()

    async def _hot(self) -> Reply:
        await asyncio.sleep(0.002)
        return json_reply(201, b'{"order_id":"ord_1"}')

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.002)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"[]"})


class Clients:
    """Half of them keep their connection while they may, half open one for every request."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.seen: Counter[str] = Counter()
        self.stopping = False

    async def run_all(self) -> None:
        await asyncio.gather(*(self.run(number) for number in range(CLIENTS)))

    async def run(self, number: int) -> None:
        keeps, requests = number % 2 == 0, itertools.cycle([ORDER, PAGE])
        while not self.stopping:
            try:
                async with asyncio.timeout(None) as patience:
                    await self._connection(requests, keeps, patience)
            except (ConnectionError, asyncio.IncompleteReadError, TimeoutError) as error:
                self.seen[type(error).__name__] += 1

    async def _connection(self, requests: Any, keeps: bool, patience: asyncio.Timeout) -> None:
        patience.reschedule(asyncio.get_running_loop().time() + ANSWER_S)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            goes_on = True
            while goes_on and not self.stopping:
                patience.reschedule(asyncio.get_running_loop().time() + ANSWER_S)
                writer.write(next(requests))
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
                await reader.readexactly(length)
                self.seen[head[9:12].decode()] += 1
                goes_on = keeps and b"connection: close" not in head.lower()
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def _restart(sockets: Callable[[], socket.socket], port: int) -> Counter[str]:
    """Restart replicas, four at a time with four that stay until it is their turn; answers what the clients saw."""
    clients = Clients(port)
    replicas = [DirectListener(App(), sockets(), ListenerLimits(idle_drain_s=0.5)) for _ in range(2 * AT_ONCE)]
    for replica in replicas:
        await replica.start()
    # On a thread of their own: they connect whatever the replicas are busy with.
    crowd = asyncio.ensure_future(asyncio.to_thread(asyncio.run, clients.run_all()))
    try:
        for _ in range(RESTARTS // AT_ONCE):
            leaving, replicas = replicas[:AT_ONCE], replicas[AT_ONCE:]
            fresh = [DirectListener(App(), sockets(), ListenerLimits(idle_drain_s=0.5)) for _ in range(AT_ONCE)]
            for replica in fresh:
                await replica.start()
            replicas += fresh
            time.sleep(BUSY_S)  # noqa: ASYNC251 - a replica computes, and meanwhile connections wait to be accepted
            await asyncio.gather(*(replica.drain() for replica in leaving))
    finally:
        clients.stopping = True  # also when it fails: the end of the loop waits for their thread
        await crowd
    await asyncio.gather(*(replica.drain() for replica in replicas))
    return clients.seen


@pytest.mark.slow
async def test_a_hundred_restarts_cut_nobody_off() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
        seen = await _restart(listening.dup, listening.getsockname()[1])
    assert set(seen) == {"200", "201"}
    assert min(seen.values()) > 1000


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # asyncio's own, of connections that were reset
async def test_control_with_a_socket_for_each_replica_somebody_is_cut_off() -> None:
    def own() -> socket.socket:
        return socket.create_server(address, backlog=1024, reuse_port=True)

    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as probe:
        address = probe.getsockname()
    seen = await _restart(own, address[1])
    assert set(seen) - {"200", "201"}, seen
