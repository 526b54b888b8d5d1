"""The node's listening socket: opened once, by a small keeper process, and handed to every replica.

All replicas accept from one queue, so a replica that leaves takes no waiting connection with it
(with ``SO_REUSEPORT`` its part of the queue would be reset).
"""

import array
import fcntl
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Final

from actors.runtime.detached import start_module

BACKLOG: Final = 4096
LONELY_S: Final = 60.0
"""The keeper ends when no replica has held on to it for this long."""

LOOK_S: Final = 0.5
END: Final = b"e"


def shared_socket(directory: Path, host: str, port: int, timeout_s: float = 10.0) -> tuple[socket.socket, socket.socket]:
    """The node's listening socket, and the line to its keeper (hold on to it: it says that a replica lives).

    Starts the keeper when there is none. OSError with a sentence when the port cannot be had.
    """
    path = directory / f"listener-{port}.sock"
    deadline = time.monotonic() + timeout_s
    started = False
    while True:
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            line.settimeout(2)
            line.connect(str(path))
            handles = array.array("i")
            data, extra, _, _ = line.recvmsg(1, socket.CMSG_SPACE(handles.itemsize))
            if data:
                handles.frombytes(extra[0][2][: handles.itemsize])
                line.settimeout(None)
                return socket.socket(fileno=handles[0]), line
        except OSError:
            pass
        line.close()
        if time.monotonic() > deadline:
            raise OSError(f"no listening socket on {host}:{port}: is the port taken? See {directory / f'listener-{port}.log'}")
        if not started:
            started = True
            start_module("serve.listening_socket", str(directory), host, str(port), log=directory / f"listener-{port}.log")
        time.sleep(0.05)


def end_keeper(directory: Path, port: int, timeout_s: float = 3.0) -> None:
    """End the keeper of an earlier run, so that its port is free at once; nothing when there is none."""
    path = directory / f"listener-{port}.sock"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(timeout_s)
            line.connect(str(path))
            line.sendall(END)
            while line.recv(1):
                continue
    except OSError:
        return


class Keeper:
    """Holds the listening socket and hands it to whoever asks on the node's private path."""

    def __init__(self, directory: Path, host: str, port: int) -> None:
        self._path = directory / f"listener-{port}.sock"
        self._listening = socket.create_server((host, port), backlog=BACKLOG)
        self._held = 0
        self._ended = threading.Event()
        self._lonely_since = time.monotonic()

    def run(self) -> None:
        """Until nobody has held on for ``LONELY_S``, or somebody says that it is over."""
        self._path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
            door.bind(str(self._path))
            self._path.chmod(0o600)
            door.listen(64)
            door.settimeout(LOOK_S)
            while not self._ended.is_set() and (self._held or time.monotonic() - self._lonely_since < LONELY_S):
                try:
                    line, _ = door.accept()
                except TimeoutError:
                    continue
                threading.Thread(target=self._hand_over, args=(line,), daemon=True).start()
        self._path.unlink(missing_ok=True)

    def _hand_over(self, line: socket.socket) -> None:
        self._held += 1
        try:
            handle = array.array("i", [self._listening.fileno()])
            line.sendmsg([b"s"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, handle)])
            if line.recv(1) == END:
                self._listening.close()
                self._ended.set()
        except OSError:
            pass
        finally:
            line.close()
            self._held -= 1
            self._lonely_since = time.monotonic()


def main() -> None:
    """The keeper's process; a second one of the same port ends at once."""
    directory, host, port = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    with (directory / f"listener-{port}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        Keeper(directory, host, port).run()


if __name__ == "__main__":
    main()
