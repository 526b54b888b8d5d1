"""The keeper of the node's listening socket: one a port, handed to whoever asks, gone when told so or when nobody is left."""

import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from loadtests.baselines.server import free_port
from serve import listening_socket
from serve.listening_socket import Keeper, end_keeper, shared_socket

pytestmark = pytest.mark.slow

LOOPBACK = "127.0.0.1"
Until = Callable[[Callable[[], bool]], None]


def keepers(directory: Path) -> list[psutil.Process]:
    """The keeper's processes of this directory."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if {"serve.listening_socket", str(directory)} <= set(process.info["cmdline"] or ()) and process.status() != psutil.STATUS_ZOMBIE
    ]


@pytest.fixture
def until() -> Until:
    """Waits for other processes and threads."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    return wait


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A directory and a port; their keeper is ended after the test."""
    port = free_port()
    yield tmp_path, port
    end_keeper(tmp_path, port)
    for process in keepers(tmp_path):
        process.kill()
        process.wait(5)


def ask(port: int) -> bytes:
    """Connect, and read what the accepting side says."""
    with socket.create_connection((LOOPBACK, port), timeout=5) as line:
        return line.recv(10)


def answer(shared: socket.socket, word: bytes) -> None:
    line, _ = shared.accept()
    line.sendall(word)
    line.close()


def test_whoever_asks_gets_the_same_socket_of_one_keeper(place: tuple[Path, int], until: Until) -> None:
    directory, port = place
    found: list[tuple[socket.socket, socket.socket]] = []
    threads = [threading.Thread(target=lambda: found.append(shared_socket(directory, LOOPBACK, port))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [shared.getsockname() for shared, _ in found] == [(LOOPBACK, port)] * 4
    until(lambda: len(keepers(directory)) == 1)  # each of the four may have started one: all but the first end at once
    assert stat.S_IMODE((directory / f"listener-{port}.sock").stat().st_mode) == 0o600
    asked: list[bytes] = []
    for number, (shared, _) in enumerate(found):
        asking = threading.Thread(target=lambda: asked.append(ask(port)))
        asking.start()
        answer(shared, b"%d" % number)
        asking.join()
    assert asked == [b"0", b"1", b"2", b"3"]
    for shared, line in found:
        shared.close()
        line.close()


def test_a_connection_that_waits_when_a_replica_leaves_is_taken_by_the_next_one(place: tuple[Path, int]) -> None:
    directory, port = place
    leaving, held = shared_socket(directory, LOOPBACK, port)
    with socket.create_connection((LOOPBACK, port), timeout=5) as waiting:
        leaving.close()
        held.close()
        coming, line = shared_socket(directory, LOOPBACK, port)
        answer(coming, b"here")
        assert waiting.recv(10) == b"here"
    coming.close()
    line.close()


def test_a_keeper_that_is_told_so_ends_and_leaves_the_port_free(place: tuple[Path, int], until: Until) -> None:
    directory, port = place
    shared, line = shared_socket(directory, LOOPBACK, port)
    shared.close()
    line.close()
    end_keeper(directory, port)
    with socket.create_server((LOOPBACK, port)):
        until(lambda: keepers(directory) == [])
    assert not (directory / f"listener-{port}.sock").exists()


def test_where_there_is_no_keeper_there_is_nothing_to_end(tmp_path: Path) -> None:
    began_s = time.monotonic()
    end_keeper(tmp_path, free_port())
    assert time.monotonic() - began_s < 0.5


def test_what_a_killed_keeper_left_is_replaced(place: tuple[Path, int]) -> None:
    directory, port = place
    shared, line = shared_socket(directory, LOOPBACK, port)
    shared.close()
    [keeper] = keepers(directory)
    keeper.kill()
    assert line.recv(1) == b""
    line.close()
    assert (directory / f"listener-{port}.sock").exists()
    shared, line = shared_socket(directory, LOOPBACK, port)
    assert shared.getsockname() == (LOOPBACK, port)
    shared.close()
    line.close()


def test_a_port_that_somebody_else_has_is_one_sentence_with_the_log(place: tuple[Path, int]) -> None:
    directory, port = place
    with (
        socket.create_server((LOOPBACK, port)),
        pytest.raises(OSError, match=f"no listening socket on {LOOPBACK}:{port}: is the port taken"),
    ):
        shared_socket(directory, LOOPBACK, port, timeout_s=0.5)


def test_a_second_keeper_of_a_port_ends_at_once(place: tuple[Path, int]) -> None:
    directory, port = place
    shared, line = shared_socket(directory, LOOPBACK, port)
    command = [sys.executable, "-m", "serve.listening_socket", str(directory), LOOPBACK, str(port)]
    assert subprocess.run(command, check=False, timeout=20).returncode == 0
    assert len(keepers(directory)) == 1
    shared.close()
    line.close()


def test_a_keeper_whom_nobody_holds_on_to_ends_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, until: Until) -> None:
    monkeypatch.setattr(listening_socket, "LONELY_S", 0.3)
    monkeypatch.setattr(listening_socket, "LOOK_S", 0.05)
    port = free_port()
    keeper = Keeper(tmp_path, LOOPBACK, port)
    running = threading.Thread(target=keeper.run)
    running.start()
    until((tmp_path / f"listener-{port}.sock").exists)
    shared, line = shared_socket(tmp_path, LOOPBACK, port)
    running.join(0.6)
    assert running.is_alive()
    line.close()
    running.join(10)
    assert not running.is_alive()
    shared.close()
    keeper._listening.close()
