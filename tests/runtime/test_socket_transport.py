"""Envelopes over the host's socket: many at once, broken connections, restarted hosts, peers that lost their way."""

import asyncio
import random
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors.ports.transport import TransportLost
from actors.runtime.socket_transport import FRAME_MAX, SocketServer, SocketTransport, socket_path


class Remote:
    """The way through Ray."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, bytes]] = []

    async def call(self, host: str, payload: bytes) -> bytes:
        self.calls.append((host, payload))
        return b"by ray"


class Host:
    """Answers the payload, when it is let."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = 0

    async def envelope(self, payload: bytes) -> bytes:
        self.waiting += 1
        await self.gate.wait()
        if payload.startswith(b"slow"):
            await asyncio.sleep(random.random() / 50)
        return b"answer to " + payload


async def until_waiting(host: Host, count: int) -> None:
    async with asyncio.timeout(5):
        while host.waiting < count:  # noqa: ASYNC110
            await asyncio.sleep(0.001)


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
async def server(tmp_path: Path, host: Host) -> AsyncIterator[SocketServer]:
    server = SocketServer(socket_path(tmp_path, "host-1"), host.envelope)
    await server.start()
    yield server
    server.close()


@pytest.fixture
async def transport(tmp_path: Path) -> AsyncIterator[SocketTransport]:
    transport = SocketTransport(tmp_path, Remote())
    yield transport
    transport.close()
    await asyncio.sleep(0)


async def test_every_envelope_gets_its_own_answer_in_whatever_order_they_come(server: SocketServer, transport: SocketTransport) -> None:
    payloads = [b"slow %d" % number + b"x" * random.randrange(60_000) for number in range(200)]
    answers = await asyncio.gather(*(transport.call("host-1", payload) for payload in payloads))
    assert answers == [b"answer to " + payload for payload in payloads]


async def test_whoever_waits_is_told_when_the_connection_breaks(tmp_path: Path, host: Host, transport: SocketTransport) -> None:
    host.gate.clear()
    frames: list[asyncio.StreamWriter] = []

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames.append(writer)

    server = await asyncio.start_unix_server(silent, str(socket_path(tmp_path, "host-1")))
    waiting = [asyncio.ensure_future(transport.call("host-1", b"%d" % number)) for number in range(5)]
    async with asyncio.timeout(5):
        while not frames:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    frames[0].transport.abort()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["the connection to the host broke"] * 5
    assert all(isinstance(outcome, TransportLost) for outcome in outcomes)
    server.close()


async def test_a_host_that_was_started_again_is_connected_anew(
    tmp_path: Path, host: Host, server: SocketServer, transport: SocketTransport
) -> None:
    assert await transport.call("host-1", b"1") == b"answer to 1"
    server.close()
    transport.close()
    fresh = SocketServer(socket_path(tmp_path, "host-1"), host.envelope)
    await fresh.start()
    await asyncio.sleep(0)
    assert await transport.call("host-1", b"2") == b"answer to 2"
    fresh.close()


async def test_a_host_without_a_socket_is_asked_through_ray(tmp_path: Path) -> None:
    remote = Remote()
    assert await SocketTransport(tmp_path, remote).call("elsewhere", b"1") == b"by ray"
    assert remote.calls == [("elsewhere", b"1")]


async def test_a_dead_host_s_socket_does_not_hide_it_from_ray(tmp_path: Path, host: Host) -> None:
    remote = Remote()
    server = await asyncio.start_unix_server(lambda *_: None, str(socket_path(tmp_path, "host-1")))
    server.close()
    assert socket_path(tmp_path, "host-1").exists()
    assert await SocketTransport(tmp_path, remote).call("host-1", b"1") == b"by ray"


async def test_frames_in_pieces_are_put_together(tmp_path: Path, server: SocketServer) -> None:
    reader, writer = await asyncio.open_unix_connection(str(socket_path(tmp_path, "host-1")))
    frame = (3).to_bytes(4, "big") + (7).to_bytes(4, "big") + b"abc"
    for byte in frame + frame[:5]:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0)
    writer.write(frame[5:])
    assert await reader.readexactly(2 * (8 + 13)) == 2 * ((13).to_bytes(4, "big") + (7).to_bytes(4, "big") + b"answer to abc")
    writer.close()


async def test_a_frame_that_announces_too_much_ends_its_connection_and_no_other(
    tmp_path: Path, server: SocketServer, transport: SocketTransport
) -> None:
    reader, writer = await asyncio.open_unix_connection(str(socket_path(tmp_path, "host-1")))
    writer.write((FRAME_MAX + 1).to_bytes(4, "big") + bytes(4))
    try:
        assert await reader.read() == b""
    except ConnectionResetError:
        pass  # ended all the same
    writer.close()
    assert await transport.call("host-1", b"1") == b"answer to 1"


async def test_only_this_user_may_knock(tmp_path: Path, server: SocketServer) -> None:
    assert stat.S_IMODE(socket_path(tmp_path, "host-1").stat().st_mode) == 0o700
