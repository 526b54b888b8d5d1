"""Runs one baseline: two uvicorn workers over uvloop and httptools, as its own process group."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Final, Literal

import msgspec

from loadtests.processes import MARK

WORKERS: Final = 2
READY_S: Final = 30.0

Form = Literal["rowlock", "rowlock_stock_last", "rowlock_cte", "redis"]
STATEMENTS: Final = {"rowlock": "transaction", "rowlock_stock_last": "stock_last", "rowlock_cte": "cte", "redis": ""}


class Storage(msgspec.Struct, frozen=True, kw_only=True):
    """The servers that a baseline uses."""

    database_url: str
    redis_url: str


class BaselineServer:
    """A context: inside it the baseline answers on ``port``."""

    def __init__(self, form: Form, storage: Storage, *, pool: int, secret: str, log: Path) -> None:
        self.form, self.port, self.mark = form, free_port(), f"{form}-{secrets.token_hex(4)}"
        module = "redis_recipe" if form == "redis" else "rowlock"
        self._command = [sys.executable, "-m", "uvicorn", f"loadtests.baselines.{module}:app", "--workers", str(WORKERS)]
        self._command += ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
        self._command += ["--host", "127.0.0.1", "--port", str(self.port)]
        self._environment = os.environ | {
            MARK: self.mark,
            "BASELINE_DATABASE_URL": storage.database_url,
            "BASELINE_REDIS_URL": storage.redis_url,
            "BASELINE_POOL": str(pool),
            "BASELINE_STATEMENT": STATEMENTS[form],
            "BASELINE_TOKEN_SECRET": secret,
        }
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The parent of its workers."""
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> "BaselineServer":
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, env=self._environment, stdout=log, stderr=log, start_new_session=True)
        wait_for_http(f"http://127.0.0.1:{self.port}/", READY_S)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def free_port() -> int:
    """A TCP port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_http(url: str, timeout_s: float) -> None:
    """Return once the server answers anything at all. TimeoutError when it does not in time."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{url} did not answer within {timeout_s:.0f} s") from None
            time.sleep(0.1)
