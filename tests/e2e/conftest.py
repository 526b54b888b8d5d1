"""``stampede up`` as a person runs it: a process, its addresses, its words."""

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from actors.runtime.config import short_directory
from schemas.settings import Settings

PROGRAM = str(Path(sys.executable).with_name("stampede"))
UP_S = 120.0
KEY = "sk_test_simulator"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Copy:
    """One copy of the shop in a directory of its own."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.direct, self.ingress, self.simulator = free_port(), free_port(), free_port()
        given = {
            "data_dir": folder / "data", "direct_port": self.direct, "ingress_port": self.ingress, "simulator_port": self.simulator,
            "shop": "small", "shard_count": 32, "rate_user_per_s": 0, **settings,
        }  # fmt: skip
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "STAMPEDE_", "LC_", "LANG"))}
        self.environment = kept | {f"STAMPEDE_{name.upper()}": str(value) for name, value in given.items()}
        self.settings = Settings(data_dir=str(folder / "data"))
        self.log = folder / "up.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def words(self) -> str:
        """What it has printed, in one line."""
        return " ".join(self.log.read_text().split())

    def start(self) -> float:
        """Start it, and wait until it says that it is up; answers how long that took."""
        started = time.monotonic()
        before = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([PROGRAM, "up"], env=self.environment, stdout=log, stderr=log, start_new_session=True)
        while "Stampede is up" not in self.log.read_text()[before:]:
            assert self.process.poll() is None, self.words[-2000:]
            assert time.monotonic() - started < UP_S, self.words[-2000:]
            time.sleep(0.1)
        return time.monotonic() - started

    def stop(self, number: signal.Signals = signal.SIGINT) -> float:
        """End it; answers how long that took."""
        assert self.process is not None
        started = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(60)
        return time.monotonic() - started

    def family(self) -> list[psutil.Process]:
        """Every process that was started by this copy and lives, whoever is its parent by now."""
        found = []
        for process in psutil.process_iter():
            try:
                ours = process.environ().get("STAMPEDE_DATA_DIR") == str(self.folder / "data")
                lives = ours and process.status() != psutil.STATUS_ZOMBIE
            except psutil.Error:
                continue
            if lives:
                found.append(process)
        return found

    def listening(self) -> list[tuple[str, Any]]:
        """(name of the process, address) of every port on which the copy listens. Some of its processes live for a moment only."""
        found: list[tuple[str, Any]] = []
        for process in self.family():
            with contextlib.suppress(psutil.NoSuchProcess):
                listens = [each for each in process.net_connections("inet") if each.status == psutil.CONN_LISTEN]
                found += [(process.name(), each.laddr) for each in listens]
        return found

    def run(self, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        """One command to its end."""
        return subprocess.run(
            [PROGRAM, *arguments], env=self.environment | settings, capture_output=True, text=True, timeout=90, check=False
        )

    def command(self, *arguments: str) -> Any:
        """What it prints, as JSON."""
        done = self.run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def ask(self, method: str, path: str, body: Any = None, *, token: str = "", port: int = 0, key: str = "") -> tuple[int, Any]:
        """Status and body of one request, to the direct listener unless another port is given."""
        headers = {"content-type": "application/json"} if body is not None else {}
        if token:
            headers["authorization"] = f"Bearer {token}"
        if method == "POST":
            headers["idempotency-key"] = key or secrets.token_hex(12)
        data = json.dumps(body).encode() if body is not None else None
        url = f"http://127.0.0.1:{port or self.direct}{path}"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=20) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read() or b"null")

    def customer(self) -> str:
        """A new customer's access token."""
        email = f"{secrets.token_hex(6)}@example.com"
        status, sent = self.ask("POST", "/v1/codes", {"channel": "email", "to": email, "purpose": "register"})
        assert status == 202, sent
        _, kept = self.ask("GET", "/dev/outbox.json")
        code = next(re.findall(r"\b\d{6}\b", message["body"])[0] for message in kept["messages"] if message["to"] == email)
        person = {"email": email, "password": "correct horse battery staple 9"}
        status, answer = self.ask("POST", "/v1/users", {**person, "challenge_id": sent["challenge_id"], "code": code})
        assert status == 201, answer
        status, answer = self.ask("POST", "/v1/sessions", person)
        assert status == 201, answer
        return str(answer["access_token"])

    def sale(self, stock: int = 50) -> tuple[str, str]:
        """A new open sale: its id, and the article's."""
        made = self.command("sale", "create", "--demo", "--stock", str(stock), "--limit", "5", "--json")
        return made["sale_id"], made["sku_id"]

    def buy(self, sale_id: str, sku_id: str, token: str, *, port: int = 0, key: str = "") -> tuple[int, Any]:
        return self.ask("POST", f"/v1/flash-sales/{sale_id}/orders", {"sku_id": sku_id, "quantity": 1}, token=token, port=port, key=key)

    def provider(self, name: str, body: Any) -> Any:
        """The simulator's side door."""
        headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
        url = f"http://127.0.0.1:{self.simulator}/_control/{name}"
        with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers), timeout=20) as answer:
            return json.loads(answer.read())

    def clean(self) -> None:
        """Nothing is left."""
        for process in self.family():
            process.kill()
        shutil.rmtree(short_directory(self.settings), ignore_errors=True)


def until(condition: Callable[[], bool], within_s: float = 30.0) -> float:
    """Wait for other processes; answers how long."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < within_s, f"still not so after {within_s} s"
        time.sleep(0.05)
    return time.monotonic() - started


@pytest.fixture(scope="session", name="until")
def _until() -> Callable[..., float]:
    return until


@pytest.fixture(scope="session")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    """The running copy of most tests."""
    copy = Copy(tmp_path_factory.mktemp("shop"))
    copy.start()
    yield copy
    if copy.process is not None and copy.process.poll() is None:
        copy.stop()
    copy.clean()


@pytest.fixture
def new_copy(tmp_path: Path) -> Iterator[Callable[..., Copy]]:
    """Makes copies that are ended after the test."""
    made: list[Copy] = []

    def make(**settings: Any) -> Copy:
        folder = tmp_path / f"copy{len(made)}"
        folder.mkdir()
        made.append(Copy(folder, **settings))
        return made[-1]

    yield make
    for copy in made:
        if copy.process is not None and copy.process.poll() is None:
            copy.process.kill()
            copy.process.wait()
        copy.clean()


@pytest.fixture(scope="session")
def plain() -> Callable[[str], str]:
    """Text without colours, in one line."""
    return lambda text: " ".join(re.sub(r"\x1b\[[0-9;]*m", "", text).split())
