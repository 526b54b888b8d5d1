"""The direct listener, over real connections and byte by byte: limits, order, and what a hostile or absent client gets."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from serve.answers import Reply, json_reply
from serve.listener import DirectListener, ListenerLimits

ORDERS = b"/v1/flash-sales/sal_1/orders"


class App:
    """Answers on both lanes with the body it got; ``gate`` holds answers back."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.handled: list[bytes] = []

    def drain(self) -> None:
        pass

    def hot(self, scope: Any, body: bytes) -> tuple[bytes, Reply | Awaitable[Reply]]:
        return b"r1", self._hot(body)

    async def _hot(self, body: bytes) -> Reply:
        await self.gate.wait()
        self.handled.append(body)
        return json_reply(413 if len(body) > 100 else 201, b"hot " + body[:20])

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message.get("body", b""), message.get("more_body", False)
        await self.gate.wait()
        self.handled.append(body)
        answer = b"plain " + body
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(answer))]})
        await send({"type": "http.response.body", "body": answer})


class Served:
    """The listener, its application, and its port."""

    def __init__(self, app: App, listener: DirectListener, port: int) -> None:
        self.app, self.listener, self.port = app, listener, port

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def talk(self, data: bytes) -> bytes:
        """Everything that comes back until the other side closes."""
        reader, writer = await self.open()
        writer.write(data)
        try:
            async with asyncio.timeout(10):
                return await reader.read()
        finally:
            writer.close()


@asynccontextmanager
async def served(**limits: Any) -> AsyncIterator[Served]:
    listening = socket.create_server(("127.0.0.1", 0))
    app = App()
    listener = DirectListener(app, listening, ListenerLimits(**limits))
    await listener.start()
    try:
        yield Served(app, listener, listening.getsockname()[1])
    finally:
        app.gate.set()
        await listener.drain()


def post(path: bytes, body: bytes, *headers: bytes) -> bytes:
    lines = [b"POST " + path + b" HTTP/1.1", b"host: x", b"content-length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def bodies(answer: bytes) -> list[bytes]:
    """What each answer of a connection says."""
    found = []
    while answer:
        head, _, rest = answer.partition(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        found.append(rest[:length])
        answer = rest[length:]
    return found


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


CLOSE = b"connection: close"


async def test_pipelined_requests_of_both_lanes_are_answered_in_their_order() -> None:
    async with served() as shop:
        shop.app.gate.clear()
        waves = [post(ORDERS, b"1"), post(b"/a", b"2"), post(ORDERS, b"3"), post(ORDERS, b"4"), post(b"/a", b"5", CLOSE)]
        talking = asyncio.ensure_future(shop.talk(b"".join(waves)))
        await eventually(lambda: shop.listener.in_flight == 1)
        shop.app.gate.set()
        assert bodies(await talking) == [b"hot 1", b"plain 2", b"hot 3", b"hot 4", b"plain 5"]


async def test_a_pipelined_hot_request_is_answered_when_its_body_is_whole() -> None:
    async with served() as shop:
        reader, writer = await shop.open()
        shop.app.gate.clear()
        whole = post(ORDERS, b"0123456789", CLOSE)
        writer.write(post(ORDERS, b"first") + whole[:-6])
        await eventually(lambda: shop.listener.in_flight == 1)
        shop.app.gate.set()
        await eventually(lambda: len(shop.app.handled) == 1 and shop.listener.in_flight == 1)
        writer.write(whole[-6:])
        async with asyncio.timeout(5):
            assert bodies(await reader.read()) == [b"hot first", b"hot 0123456789"]
        writer.close()


async def test_a_client_that_leaves_in_the_middle_of_its_order_has_ordered_nothing() -> None:
    async with served() as shop:
        shop.app.gate.clear()
        _, writer = await shop.open()
        writer.write(post(ORDERS, b"first") + post(ORDERS, b"0123456789")[:-6])
        await eventually(lambda: shop.listener.in_flight == 1)
        shop.app.gate.set()
        await eventually(lambda: len(shop.app.handled) == 1)
        writer.transport.abort()
        _, alone = await shop.open()
        alone.write(post(ORDERS, b"0123456789")[:-6])
        await alone.drain()
        alone.transport.abort()
        await eventually(lambda: shop.listener.connections == 0 and shop.listener.in_flight == 0)
        assert shop.app.handled == [b"first"]


@pytest.mark.parametrize("before", [b"", post(ORDERS, b"first")])
async def test_f20_a_body_over_the_limit_is_refused_before_it_is_whole(before: bytes) -> None:
    async with served(body_bytes_max=100) as shop:
        shop.app.gate.clear()
        talking = asyncio.ensure_future(shop.talk(before + post(ORDERS, b"x" * 400)[:-100]))
        await eventually(lambda: shop.listener.in_flight == 1)
        shop.app.gate.set()
        answer = await talking
        assert answer.count(b"HTTP/1.1 ") == 1 + bool(before)
        assert b"HTTP/1.1 413 " in answer
        assert b"connection: close" in answer


async def test_f20_after_a_body_over_the_limit_that_is_whole_the_connection_goes_on() -> None:
    async with served(body_bytes_max=100) as shop:
        assert bodies(await shop.talk(post(ORDERS, b"x" * 400) + post(ORDERS, b"2", CLOSE))) == [b"hot " + b"x" * 20, b"hot 2"]


async def test_f56_headers_over_the_limit_are_refused_with_431() -> None:
    async with served(header_bytes_max=1000) as shop:
        fat = b"x-fat: " + b"f" * 2000
        assert (await shop.talk(post(ORDERS, b"1", fat))).startswith(b"HTTP/1.1 431 ")
        endless = b"POST /a HTTP/1.1\r\n" + b"".join(b"x-%d: %s\r\n" % (n, b"f" * 1000) for n in range(100))
        assert (await shop.talk(endless)).startswith(b"HTTP/1.1 431 ")
        assert shop.app.handled == []


@pytest.mark.slow
async def test_f56_a_client_that_dawdles_over_its_headers_or_body_is_cut_off() -> None:
    async with served(header_s_max=0.1, message_s_max=0.2) as shop:
        silent, head, body = [await shop.open() for _ in range(3)]
        head[1].write(b"POST /a HTTP/1.1\r\nhost: x\r\n")
        body[1].write(post(ORDERS, b"0123456789")[:-1])
        async with asyncio.timeout(5):
            for reader, writer in (silent, head, body):
                try:
                    assert await reader.read() == b""
                except ConnectionResetError:
                    pass  # cut off all the same
                writer.close()
        assert shop.app.handled == []


@pytest.mark.slow
async def test_a_file_has_more_time_than_other_bodies_and_not_for_ever() -> None:
    head = b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nx"
    async with served(message_s_max=0.2, upload_s_max=1.5) as shop:
        reader, writer = await shop.open()
        other, other_writer = await shop.open()
        began = time.monotonic()
        writer.write(head % b"/v1/staff/imports?dry_run=false")
        other_writer.write(head % b"/v1/staff/imports/x/run")
        async with asyncio.timeout(5):
            assert await other.read() == b""
            cut_s = time.monotonic() - began
            assert await reader.read() == b""
        assert cut_s < 1.4 < time.monotonic() - began
        for each in (writer, other_writer):
            each.close()


@pytest.mark.slow
async def test_f56_a_slow_answer_is_no_slow_client() -> None:
    async with served(header_s_max=0.05, message_s_max=0.05) as shop:
        shop.app.gate.clear()
        talking = asyncio.ensure_future(shop.talk(post(ORDERS, b"1", CLOSE)))
        await eventually(lambda: shop.listener.in_flight == 1)
        await asyncio.sleep(0.6)  # a sweep goes by
        shop.app.gate.set()
        assert bodies(await talking) == [b"hot 1"]


async def test_f56_connections_over_the_limit_are_told_so() -> None:
    async with served(connections_max=3) as shop:
        held = [await shop.open() for _ in range(3)]
        await eventually(lambda: shop.listener.connections == 3)
        assert (await shop.talk(b"")).startswith(b"HTTP/1.1 503 ")
        held[0][1].write(post(ORDERS, b"1"))
        assert (await held[0][0].readline()).startswith(b"HTTP/1.1 201 ")
        for _, writer in held:
            writer.close()


HOSTILE = {
    "two lengths": b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
    "length and chunks": b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "folded header": b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\nx-a: b\r\n c\r\n\r\na",
    "space before the colon": b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-length : 1\r\n\r\na",
    "a chunk size that is none": b"POST %s HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
    "another last coding": b"POST %s HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "a negative length": b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\na",
    "bare line feeds in a header": b"POST %s HTTP/1.1\r\nhost: x\rcontent-length: 1\r\n\r\na",
    "no such protocol": b"POST %s HTTQ/1.1\r\nhost: x\r\n\r\n",
}


@pytest.mark.parametrize("path", [ORDERS, b"/a"])
@pytest.mark.parametrize("request_", HOSTILE.values(), ids=HOSTILE)
async def test_f56_requests_that_two_servers_could_read_differently_are_refused(request_: bytes, path: bytes) -> None:
    async with served() as shop:
        answer = await shop.talk(request_ % path + post(ORDERS, b"smuggled", CLOSE))
        assert answer.count(b"HTTP/1.1 ") == 1
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert shop.app.handled == []


@pytest.mark.parametrize("path", [ORDERS, b"/a"])
async def test_http_1_0_and_connection_close_end_the_connection(path: bytes) -> None:
    async with served() as shop:
        old = b"POST " + path + b" HTTP/1.0\r\ncontent-length: 1\r\n\r\na"
        for request_ in (old, post(path, b"a", CLOSE)):
            answer = await shop.talk(request_)
            assert bodies(answer) in ([b"hot a"], [b"plain a"])
            assert b"connection: close" in answer.lower()


async def test_a_client_that_waits_for_100_continue_gets_it() -> None:
    async with served() as shop:
        reader, writer = await shop.open()
        whole = post(ORDERS, b"12345", b"expect: 100-continue", CLOSE)
        writer.write(whole[:-5])
        async with asyncio.timeout(5):
            assert await reader.readline() == b"HTTP/1.1 100 Continue\r\n"
            writer.write(whole[-5:])
            assert (await reader.read()).endswith(b"plain 12345")
        writer.close()


async def test_an_upgrade_is_answered_as_if_it_had_not_been_asked_for() -> None:
    async with served() as shop:
        answer = await shop.talk(post(ORDERS, b"1", b"connection: upgrade, close", b"upgrade: h2c"))
        assert answer.startswith(b"HTTP/1.1 200 ")


async def test_a_chunked_order_is_read_whole() -> None:
    async with served() as shop:
        chunked = b"POST %s HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        assert bodies(await shop.talk(chunked % ORDERS)) == [b"hot abcde"]


@pytest.mark.slow
@pytest.mark.parametrize("path", [ORDERS, b"/a"])
async def test_a_draining_listener_answers_what_is_here_and_closes(path: bytes) -> None:
    async with served() as shop:
        shop.app.gate.clear()
        idle, half = await shop.open(), await shop.open()
        half[1].write(post(path, b"2")[:20])
        talking = asyncio.ensure_future(shop.talk(post(path, b"1")))
        await eventually(lambda: shop.listener.in_flight == 1 and shop.listener.connections == 3)
        draining = asyncio.ensure_future(shop.listener.drain())
        await eventually(lambda: shop.listener.draining)
        half[1].write(post(path, b"2")[20:])
        await eventually(lambda: shop.listener.in_flight == 2)
        shop.app.gate.set()
        answers = [await talking, await half[0].read()]
        assert [bodies(answer)[0][-1:] for answer in answers] == [b"1", b"2"]
        assert all(b"connection: close" in answer.lower() for answer in answers)
        assert await idle[0].read() == b""
        await draining
        assert shop.listener.connections == 0
        half[1].close()
        idle[1].close()
