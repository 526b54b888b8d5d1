"""A private running copy of the shop for a load test: own servers, own ports, own data, ended with the context.

It is driven as an operator would drive it: by the ``stampede`` command and over HTTP.
"""

import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Final

import msgspec

from actors.storage.embedded.postgres import EmbeddedPostgres
from actors.storage.embedded.valkey import EmbeddedValkey
from loadtests.baselines.server import free_port
from loadtests.generator.closed import Target
from loadtests.processes import MARK, Process, system_of

UP_S: Final = 240.0
DOWN_S: Final = 60.0
CAUGHT_UP_S: Final = 120.0
COMMAND_S: Final = 300.0
LOOPBACK: Final = "127.0.0.1"

SETTINGS: Final[Mapping[str, str]] = {
    "STAMPEDE_BENCH": "1",
    "STAMPEDE_SHOP": "small",
    "STAMPEDE_ACCESS_TOKEN_S": "86400",  # a bench outlives ten minutes, and refreshing is not what it measures
    "STAMPEDE_OPEN_ORDERS_MAX": "100000",  # its customers never pay
    "STAMPEDE_RATE_ADDRESS_PER_S": "1000000",  # a load generator is one address; the bucket is still asked
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """A shard host as ``stampede status --json`` lists it."""

    host: str
    pid: int


class Sale(msgspec.Struct, frozen=True, kw_only=True):
    """A flash sale of one article."""

    sale_id: str
    sku_id: str

    @property
    def path(self) -> str:
        """Where its orders are placed."""
        return f"/v1/flash-sales/{self.sale_id}/orders"

    @property
    def body(self) -> str:
        """An order of one piece."""
        return json.dumps({"sku_id": self.sku_id, "quantity": 1}, separators=(",", ":"))


class ShopCopy:
    """A context: inside it the shop answers on ``direct_port`` and ``ingress_port``. The data in ``folder`` survive it.

    program: the command that runs the shop.
    """

    program: ClassVar[tuple[str, ...]] = (str(Path(sys.executable).with_name("stampede")),)

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.mark = folder, f"stampede-{secrets.token_hex(4)}"
        self.direct_port, self.ingress_port = free_port(), free_port()
        self.tokens = folder / "tokens.tsv"
        self.postgres = EmbeddedPostgres(folder / "postgres")
        self._valkey = EmbeddedValkey(folder / "valkey")
        self._settings = dict(SETTINGS) | dict(settings or {})
        self._environment: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def database_url(self) -> str:
        """Where its tables are."""
        return self._environment["STAMPEDE_DATABASE_URL"]

    def __enter__(self) -> "ShopCopy":
        self._environment = (
            dict(os.environ)
            | self._settings
            | {
                "STAMPEDE_DATABASE_URL": self.postgres.start(),
                "STAMPEDE_REDIS_URL": self._valkey.start(),
                "STAMPEDE_DATA_DIR": str(self.folder / "data"),
                "STAMPEDE_DIRECT_PORT": str(self.direct_port),
                "STAMPEDE_INGRESS_PORT": str(self.ingress_port),
                "STAMPEDE_SIMULATOR_PORT": str(free_port()),
            }
        )
        try:
            self._up()
        except BaseException:
            self._down()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._down()

    def command(self, *arguments: str) -> str:
        """What ``stampede ARGUMENTS`` prints. RuntimeError with its words when it fails."""
        done = self.attempt(*arguments)
        if done.returncode:
            raise RuntimeError(f"stampede {' '.join(arguments)}: {(done.stdout + done.stderr)[-800:]}")
        return done.stdout

    def attempt(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run ``stampede ARGUMENTS`` to its end, whatever that is."""
        call = [*self.program, *arguments]
        return subprocess.run(call, env=self._environment, capture_output=True, text=True, timeout=COMMAND_S, check=False)

    def seed(self, users: int) -> None:
        """Make users and their access tokens, once for a data folder."""
        if not self.tokens.exists() or self.tokens.read_bytes().count(b"\n") < users:
            self.command("seed", "--users", str(users), "--tokens", str(self.tokens))

    def open_sale(self, *, stock: int, limit: int, price: int = 1999) -> Sale:
        """A new open sale."""
        options = ["--sku", self.any_sku(), "--stock", str(stock), "--limit", str(limit), "--price", str(price)]
        printed = self.command("sale", "create", *options, "--json")
        return Sale(sale_id=_first_id("sal", printed), sku_id=_first_id("sku", printed + options[1]))

    def any_sku(self) -> str:
        """An article of the shop, found as a customer would find it."""
        return _first_id("sku", self.get(f"/v1/products/{self.any_product()}"))

    def any_product(self) -> str:
        """A product of the shop."""
        return _first_id("prd", self.get("/v1/products?limit=1"))

    def get(self, path: str) -> str:
        """The body of a public page from the direct listener."""
        with urllib.request.urlopen(f"http://{LOOPBACK}:{self.direct_port}{path}", timeout=30) as answer:
            return str(answer.read().decode())

    def target(self, port: int, path: str, body: str) -> Target:
        """A load on one path of this copy."""
        return Target(host=LOOPBACK, port=port, path=path, body=body, tokens=str(self.tokens))

    def status(self) -> dict[str, Any]:
        """What ``stampede status --json`` says."""
        found: dict[str, Any] = json.loads(self.command("status", "--json"))
        return found

    def hosts(self) -> tuple[Host, ...]:
        """The live shard hosts."""
        return tuple(msgspec.convert(row, Host) for row in self.status()["hosts"])

    def audit(self) -> str:
        """``balanced``, or what ``stampede audit`` found."""
        done = self.attempt("audit")
        return "balanced" if done.returncode == 0 else f"exit {done.returncode}: {(done.stdout + done.stderr).strip()[-1200:]}"

    def wait_caught_up(self) -> None:
        """Return once the projections lag behind no journal. TimeoutError when they do not get there."""
        deadline = time.monotonic() + CAUGHT_UP_S
        while (behind := lag_of(self.status())) > 0:
            if time.monotonic() > deadline:
                raise TimeoutError(f"projections are still {behind} behind")
            time.sleep(0.2)

    def processes(self) -> dict[int, Process]:
        """All processes of this copy, its database and cache included."""
        assert self._process is not None
        roots = [pid for pid in (self._process.pid, self.postgres.pid, self._valkey.pid) if pid is not None]
        return system_of(roots, self.mark)

    def _up(self) -> None:
        command = [*self.program, "up"]
        with (self.folder / "up.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, env=self._environment | {MARK: self.mark}, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + UP_S
        for port in (self.direct_port, self.ingress_port):
            while not _ready(f"http://{LOOPBACK}:{port}/readyz"):
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"stampede up did not come up: {self._last_words()}")
                time.sleep(0.2)

    def _down(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(DOWN_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            for pid in system_of([], self.mark):
                _kill(pid)
        self._valkey.stop()
        self.postgres.stop()

    def _last_words(self) -> str:
        return (self.folder / "up.log").read_text(errors="replace")[-1200:]


def lag_of(status: Any) -> float:
    """The sum of all numbers that a status shows under a name with ``lag`` in it."""
    return sum(_lags(status, False))


def _lags(value: Any, inside: bool) -> Iterator[float]:
    match value:
        case dict():
            for name, part in value.items():
                yield from _lags(part, inside or "lag" in str(name))
        case list():
            for part in value:
                yield from _lags(part, inside)
        case bool():
            return
        case int() | float() if inside:
            yield value
        case _:
            return


def ids_in(prefix: str, text: str) -> list[str]:
    """The ids with this prefix in a JSON text, in order, each once; names of fields (``sku_id``) are none."""
    return list(dict.fromkeys(re.findall(rf"\b{prefix}_[A-Za-z0-9_.\-]++(?!\"\s*:)", text)))


def _first_id(prefix: str, text: str) -> str:
    found = ids_in(prefix, text)
    if not found:
        raise RuntimeError(f"no {prefix}_ id in: {text[:400]}")
    return found[0]


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status) == 200
    except OSError:
        return False


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
