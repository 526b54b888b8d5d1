"""What every embedded server has in common: one directory, one owner, one process, a way out of each mess.

The directory holds ``data/`` (the server's own), ``password``, ``server.json`` (port and process),
``log`` and ``lock``. The lock is held by the process that started the server and ends with it, so
there is no stale one. A watching shell stops the server when that process dies, however it dies;
what is left behind all the same is found by its working directory and stopped at the next start.
"""

import fcntl
import os
import random
import secrets
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final, Self

import msgspec
import psutil

from actors.storage.embedded.account import Account, copy_of, may_run, server_account
from actors.storage.embedded.messages import say
from actors.storage.embedded.traces import ServerState, is_free, read_state, started_at, watch, write_private

PORTS: Final = range(20_000, 30_000)
"""Below what Linux hands out to outgoing connections, above what Ray and most servers use."""
PORT_TRIES_MAX: Final = 5
READY_S_MAX: Final = 300
"""A server that replays a long log after a crash is slow, not broken."""
PATIENCE_S: Final = 5
"""Seconds between two words of progress while a server is not ready."""
STOP_S_MAX: Final = 30
LOG_BYTES_MAX: Final = 16 << 20
TAIL_LINES: Final = 15

Progress = Callable[[str], None]


class ServerError(Exception):
    """An embedded server cannot do what was asked. The text says why and what to do."""


def silent(_text: str) -> None:
    """Progress that nobody reads."""


class EmbeddedServer(ABC):
    """One development server in ``directory``, owned by this process from :meth:`start` to :meth:`stop`.

    Nothing that the server has stored is ever deleted. ``port=None``: a free one, remembered in the
    directory. Every method blocks; call it from a thread where a loop runs. A second process that
    starts the same directory gets a :class:`ServerError`.
    """

    name: ClassVar[str]
    programs: ClassVar[frozenset[str]]
    signals: ClassVar[Mapping[str, signal.Signals]]

    def __init__(self, directory: Path, *, port: int | None = None) -> None:
        self.directory = Path(directory).expanduser().resolve()
        self.data = self.directory / "data"
        self.log = self.directory / "log"
        self.account: Account = server_account(self.data)
        self._fixed_port = port
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None

    # what each kind of server says of itself

    @abstractmethod
    def _prepare(self, on_progress: Progress) -> None:
        """Bring ``data`` into a state that can be started. ServerError when it cannot."""

    @abstractmethod
    def _command(self, port: int) -> tuple[list[str], bytes]:
        """The command line, and what to write to its input."""

    @abstractmethod
    def _is_ready(self, port: int) -> bool:
        """True when the server answers."""

    @abstractmethod
    def _recover(self, tail: str, on_progress: Progress) -> bool:
        """Mend what made the server end while starting. True when another try makes sense."""

    @classmethod
    @abstractmethod
    def _url(cls, port: int, password: str) -> str:
        """The address, password included."""

    # life

    @property
    def running(self) -> bool:
        """True while the process that we started lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The server's process. ServerError is a bug here: assert that it was started."""
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def url(self) -> str:
        """The address, password included. It stays the same over a restart unless the port was taken meanwhile."""
        assert self._port, "not started"
        return self._url(self._port, self._password())

    @classmethod
    def running_url(cls, directory: Path) -> str | None:
        """The address of the server that runs in ``directory``, whoever started it; None when none does."""
        state = read_state(directory / "server.json")
        if not state.pid or started_at(state.pid) != state.started:
            return None
        return cls._url(state.port, (directory / "password").read_text().strip())

    def start(self, on_progress: Progress = silent) -> str:
        """Start, and return the address once the server answers. Does nothing when it runs already.

        ``on_progress`` gets a line at each step. ServerError: the directory is in use or not usable,
        the port is busy, or the server ended; nothing is left running then.
        """
        if self.running:
            return self.url
        self._forget()
        self._take_directory()
        try:
            self._stop_leftovers(on_progress)
            self._prepare(on_progress)
            self._serve(on_progress)
        except BaseException:
            self.stop("immediate")
            raise
        on_progress(say("ready", name=self.name, port=self._port))
        return self.url

    def stop(self, mode: str = "fast") -> None:
        """Stop: ``smart`` (waits for clients), ``fast``, or ``immediate`` (as if the power failed, but orderly).

        Goes to the next harder way when one takes over 30 s. Does nothing when nothing runs.
        """
        self._dismiss_watcher()
        process = self._process
        if process is not None:
            for step in [mode, *[harder for harder in ("fast", "immediate") if harder != mode]]:
                if _signal_and_wait(process, self.signals[step]):
                    break
            else:
                self.kill()
        self._forget()

    def kill(self) -> None:
        """SIGKILL the server and everything it started, and wait until all of it is gone."""
        self._dismiss_watcher()
        if self._process is not None and self._process.poll() is None:
            server = psutil.Process(self._process.pid)
            family = [server, *server.children(recursive=True)]
            for member in family:
                try:
                    member.kill()
                except psutil.NoSuchProcess:
                    pass  # a worker that ended by itself meanwhile
            self._process.wait()
            psutil.wait_procs(family, timeout=STOP_S_MAX)
        self._forget()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    # steps of a start

    def _take_directory(self) -> None:
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ServerError(say("directory_unusable", name=self.name, directory=self.directory, reason=error.strerror)) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(lock, 32, 0).decode() or "?"
            os.close(lock)
            raise ServerError(say("locked", name=self.name, directory=self.directory, pid=holder)) from error
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        self._lock = lock

    def _stop_leftovers(self, on_progress: Progress) -> None:
        found = [process for process in psutil.process_iter(["name"]) if process.info["name"] in self.programs and self._is_ours(process)]
        if not found:
            return
        pids = {process.pid for process in found}
        heads = [process for process in found if process.ppid() not in pids]
        on_progress(say("leftover", name=self.name, pid=heads[0].pid))
        for mode in ("fast", "immediate"):
            for head in heads:
                try:
                    head.send_signal(self.signals[mode])
                except psutil.NoSuchProcess:
                    pass  # it ended by itself, which is what we want
            _, alive = psutil.wait_procs(found, timeout=STOP_S_MAX)
            if not alive:
                return
            heads = alive
        raise ServerError(say("will_not_stop", name=self.name, pid=heads[0].pid, directory=self.directory))

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return Path(process.cwd()).is_relative_to(self.directory)
        except psutil.Error:
            return False  # it has ended, or belongs to somebody who cannot have opened our directory

    def _serve(self, on_progress: Progress) -> None:
        for _ in range(PORT_TRIES_MAX):
            port = self._choose_port()
            on_progress(say("starting", name=self.name, port=port))
            seen = self._launch(port)
            if self._wait_until_ready(port, seen, on_progress):
                self._port = port
                return
            code, tail = self._end_of_try(), self._tail(seen)
            if "address already in use" in tail.lower() and self._fixed_port is None:
                on_progress(say("port_taken", name=self.name, port=port))
            elif not self._recover(tail, on_progress):
                raise ServerError(say("exited", name=self.name, status=code, log=self.log, tail=tail))
        raise ServerError(say("port_busy", name=self.name, port=port))

    def _choose_port(self) -> int:
        if self._fixed_port is not None:
            if not is_free(self._fixed_port):
                raise ServerError(say("port_busy", name=self.name, port=self._fixed_port))
            return self._fixed_port
        remembered = read_state(self.directory / "server.json").port
        return next(port for port in (remembered, *random.sample(PORTS, len(PORTS))) if port and is_free(port))

    def _launch(self, port: int) -> int:
        """Start the process and its watcher; the length of the log before that."""
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES_MAX:
            self.log.replace(self.log.with_suffix(".1"))
        command, text = self._command(port)
        with open(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as log:
            seen = log.tell()
            self._process = subprocess.Popen(
                command, cwd=self.data, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, **self.account.popen_options()
            )
        started = started_at(self._process.pid)
        self._watcher = watch(self._process.pid, started, self.signals["fast"])
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(text)
            self._process.stdin.close()
        except BrokenPipeError:
            pass  # it has ended already; the log says why
        write_private(self.directory / "server.json", msgspec.json.encode(ServerState(port=port, pid=self._process.pid, started=started)))
        return seen

    def _wait_until_ready(self, port: int, seen: int, on_progress: Progress) -> bool:
        """True when it answers, False when it ended."""
        begun = time.monotonic()
        spoken = 0
        while self.running:
            if self._is_ready(port):
                return True
            waited = int(time.monotonic() - begun)
            if waited >= READY_S_MAX:
                raise ServerError(say("too_slow", name=self.name, seconds=waited, log=self.log, tail=self._tail(seen)))
            if waited - spoken >= PATIENCE_S:
                spoken = waited
                on_progress(say("waiting", name=self.name, seconds=waited, log=self.log))
            time.sleep(0.02)
        return False

    def _end_of_try(self) -> int:
        assert self._process is not None
        code = self._process.wait()
        self._dismiss_watcher()
        self._process = None
        return code

    def _tail(self, seen: int) -> str:
        with self.log.open("rb") as log:
            log.seek(seen)
            return "\n".join(log.read().decode(errors="replace").splitlines()[-TAIL_LINES:])

    # small things

    def _password(self) -> str:
        path = self.directory / "password"
        if not path.exists():
            write_private(path, secrets.token_urlsafe(24).encode())
        return path.read_text().strip()

    def _set_aside(self, path: Path, on_progress: Progress) -> None:
        where = next(place for number in range(1, 1000) if not (place := path.with_name(f"{path.name}.aside-{number}")).exists())
        path.rename(where)
        on_progress(say("set_aside", name=self.name, what=path, where=where))

    def _check_account(self, program: Path) -> bool:
        try:
            return may_run(self.account, program)
        except PermissionError as error:
            raise ServerError(say("cannot_drop", name=self.name, user=self.account.name, reason=error.strerror)) from error

    def _copy(self, roots: tuple[Path, ...], package: str, on_progress: Progress) -> Path:
        """Copies of ``roots``, which come from an installed ``package``, where our account may run them."""

        def tell(where: Path) -> None:
            on_progress(say("copying", name=self.name, where=where, user=self.account.name))

        return copy_of(roots, f"{package}-{version(package)}", tell)

    def _dismiss_watcher(self) -> None:
        if self._watcher is not None:
            self._watcher.kill()
            self._watcher.communicate()
            self._watcher = None

    def _forget(self) -> None:
        """Let go of a process that has ended, and of the directory."""
        self._dismiss_watcher()
        if self._process is not None:
            self._process.wait()
            self._process = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _signal_and_wait(process: subprocess.Popen[bytes], number: signal.Signals) -> bool:
    process.send_signal(number)
    try:
        process.wait(STOP_S_MAX)
    except subprocess.TimeoutExpired:
        return False
    return True
