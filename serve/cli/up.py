"""``stampede up``: everything on one machine, in the foreground, until Ctrl-C."""

import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec
from rich.cells import cell_len
from rich.console import Console

from schemas.settings import Settings
from serve.cli.words import say

if TYPE_CHECKING:
    from actors.runtime.start import RunningRay

READY_S: Final = 60.0
NAME_CELLS: Final = 21
"""A Chinese character fills two cells of a terminal."""

Progress = Callable[[str], None]


class CannotStart(Exception):
    """Why, and the way out, in one sentence."""


class RayEnded(Exception):
    """Ray ended under a running copy. The text says what is safe, and the way out."""


class OwnRay:
    """The Ray of this run. Once it is lost nothing of it is asked any more: its own words of farewell would wait for its control store."""

    def __init__(self) -> None:
        self.running: RunningRay | None = None
        self.lost = False

    def check(self, settings: Settings) -> None:
        """RayEnded when a process has ended without which Ray does not go on."""
        from actors.runtime.config import short_directory

        process = self.running.ended() if self.running is not None else ""
        if process:
            self.lost = True
            raise RayEnded(say("ray_ended", process=process, logs=short_directory(settings) / "r" / "session_latest" / "logs"))

    def unless_lost(self, farewell: Callable[[], None]) -> None:
        """Run it while there is somebody to hear it."""
        if not self.lost:
            farewell()

    def clear(self, settings: Settings) -> None:
        """End what a lost Ray has left running: hosts, replicas, the proxy on our port."""
        if self.lost:
            _end_leftovers(settings)


def up(settings: Settings) -> int:
    """Start, print the addresses, wait for Ctrl-C or SIGTERM, stop cleanly. Answers the exit code."""
    console = Console(stderr=True, highlight=False)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    ray = OwnRay()
    try:
        with contextlib.ExitStack() as stack:
            settings = _start(settings, stack, console, stop, ray)
            if not stop.is_set():
                _announce(settings, console)
            while not stop.wait(0.5):
                ray.check(settings)
            console.print(say("up_stopping"))
        return 0
    except CannotStart as error:
        console.print(f"[bold red]{error}[/]")
        return 1
    except RayEnded as error:
        console.print(f"[bold red]{error}[/]")
        # What Ray does in this process at its end would wait for a control store that is gone.
        os._exit(1)


def _start(settings: Settings, stack: contextlib.ExitStack, console: Console, stop: threading.Event, ray: OwnRay) -> Settings:
    began = time.monotonic()

    def tell(text: str) -> None:
        console.print(f"[dim]{time.monotonic() - began:6.1f} s[/]  {text}")

    steps: list[Callable[[Settings], Settings]] = [
        lambda current: _take_directory(current, stack, ray),
        lambda current: _check_ports(current),
        lambda current: _check_logins(current),
        lambda current: _servers(current, stack, tell),
        lambda current: asyncio.run(_prepare_database(current, tell)),
        lambda current: _simulator(current, stack, tell),
        lambda current: _cluster(current, stack, tell, ray),
        lambda current: _storefront(current, stack, tell, ray),
        lambda current: asyncio.run(_finish_shop(current, tell)),
    ]
    for step in steps:
        if stop.is_set():
            break
        settings = step(settings)
    return settings


def _take_directory(settings: Settings, stack: contextlib.ExitStack, ray: OwnRay) -> Settings:
    """One copy per data directory. The lock ends with its process, so a crashed run leaves none behind."""
    settings.data_path.mkdir(parents=True, exist_ok=True)
    lock = stack.enter_context((settings.data_path / "up.lock").open("a+"))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CannotStart(say("up_another_copy", directory=settings.data_path)) from None
    # The keeper of the direct port outlives its replicas, and a run that was killed leaves more than that.
    _end_keeper(settings)
    _end_leftovers(settings)
    stack.callback(_end_keeper, settings)
    stack.callback(ray.clear, settings)
    return settings


def _check_ports(settings: Settings) -> Settings:
    wanted = {"STAMPEDE_INGRESS_PORT": settings.ingress_port, "STAMPEDE_DIRECT_PORT": settings.direct_port}
    if settings.stripe_url is None:
        wanted["STAMPEDE_SIMULATOR_PORT"] = settings.simulator_port
    for name, port in wanted.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((settings.host, port))
            except OSError as error:
                raise CannotStart(say("up_port_taken", port=port, host=settings.host, reason=error.strerror, name=name)) from error
    return settings


def _check_logins(settings: Settings) -> Settings:
    """Keys of third parties that cannot be read, or are there by half, end the start here and not in every replica."""
    from actors.adapters.oauth.offered import logins_of

    try:
        logins_of(settings)
    except ValueError as error:
        raise CannotStart(say("setting_wrong", reason=error)) from error
    return settings


def _end_leftovers(settings: Settings) -> None:
    from actors.runtime.leftovers import end_leftovers

    end_leftovers(settings)


def _end_keeper(settings: Settings) -> None:
    from actors.runtime.config import short_directory
    from serve.listening_socket import end_keeper

    end_keeper(short_directory(settings), settings.direct_port)


def _servers(settings: Settings, stack: contextlib.ExitStack, tell: Progress) -> Settings:
    """The embedded servers, unless URLs name real ones."""
    from actors.storage.embedded import EmbeddedPostgres, EmbeddedValkey, ServerError

    try:
        if settings.database_url is None:
            tell(say("up_starting", what="PostgreSQL"))
            postgres = EmbeddedPostgres(settings.data_path / "postgres")
            stack.callback(postgres.stop)
            settings = msgspec.structs.replace(settings, database_url=postgres.start(tell))
        if settings.redis_url is None:
            tell(say("up_starting", what="Valkey"))
            valkey = EmbeddedValkey(settings.data_path / "valkey")
            stack.callback(valkey.stop)
            settings = msgspec.structs.replace(settings, redis_url=valkey.start(tell))
    except ServerError as error:
        raise CannotStart(str(error)) from error
    return settings


async def _prepare_database(settings: Settings, tell: Progress) -> Settings:
    import asyncpg

    from actors.storage.connect import LOST, UnsafeDatabase, check_durable, unsafe_standby
    from actors.storage.migrate import found_cluster, migrate
    from actors.storage.sealing import FILE, WrongKeys
    from actors.storage.seed import demo_shop, small_shop
    from actors.storage.shop import is_empty, load_shop
    from serve.cli.migrate import seal_fields

    try:
        connection = await asyncpg.connect(settings.database_url, timeout=10)
    except LOST as error:
        raise CannotStart(say("up_database_away", reason=error)) from error
    try:
        await check_durable(connection)
        if standby := await unsafe_standby(connection):
            tell(say("standby", name=standby))
        for name in await migrate(connection):
            tell(say("migrated", name=name))
        if count := await seal_fields(connection, settings):
            tell(say("resealed", count=count))
        cluster = await found_cluster(connection, settings.shard_count, settings.pools)
        if settings.shop != "none" and await is_empty(connection):
            tell(say("up_loading", shop=settings.shop))
            shop = demo_shop() if settings.shop == "demo" else small_shop(1)
            await load_shop(connection, cluster.sharding(), shop, lambda step, count: tell(say(f"up_{step}", count=f"{count:,}")))
    except UnsafeDatabase as error:
        raise CannotStart(say("up_unsafe_database", setting=error.setting, value=error.value)) from error
    except WrongKeys as error:
        raise CannotStart(say("up_wrong_keys", name=error.name, file=FILE)) from error
    except ValueError as error:
        raise CannotStart(say("setting_wrong", reason=error)) from error
    finally:
        await connection.close()
    return settings


def _simulator(settings: Settings, stack: contextlib.ExitStack, tell: Progress) -> Settings:
    """The payment provider's simulator, unless a real one is set."""
    if settings.stripe_url is not None:
        return settings
    from actors.storage.embedded.traces import started_at, watch

    tell(say("up_starting", what=say("up_simulator")))
    command = [
        sys.executable, "-m", "actors.testing.stripe_simulator",
        "--port", str(settings.simulator_port),
        "--webhook-url", f"http://{settings.host}:{settings.direct_port}/v1/hooks/stripe",
        "--secret", "".join(settings.stripe_webhook_secrets[:1]),
        "--state", str(settings.data_path / "simulator.json"),
    ]  # fmt: skip
    log = stack.enter_context((settings.data_path / "simulator.log").open("ab"))
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    stack.callback(_end, process)
    # Whatever becomes of this process, the simulator does not stay behind and keep its port.
    watcher = watch(process.pid, started_at(process.pid), signal.SIGTERM)
    stack.callback(_dismiss, watcher)
    return settings


def _dismiss(watcher: "subprocess.Popen[bytes]") -> None:
    watcher.kill()
    watcher.communicate()


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()


def _cluster(settings: Settings, stack: contextlib.ExitStack, tell: Progress, ray: OwnRay) -> Settings:
    from actors.runtime.config import short_directory
    from actors.runtime.environment import prepare_ray

    tell(say("up_starting", what="Ray"))
    # A crashed run may have left sockets behind; nobody listens on them.
    for left in short_directory(settings).glob("*.sock"):
        left.unlink(missing_ok=True)
    prepare_ray(settings)
    from actors.runtime.start import RayStartFailed, start_ray, start_runtime, stop_runtime
    from serve.app import prepare_environment

    prepare_environment(settings)
    try:
        ray.running = start_ray(settings, lambda number, of, reason: tell(say("up_ray_again", number=number, tries=of, reason=reason)))
        stack.callback(ray.unless_lost, ray.running.stop)
    except RayStartFailed as error:
        raise CannotStart(say("up_ray_failed", tries=error.tries, logs=error.logs, reason=error.reason)) from error
    tell(say("up_starting", what=say("up_hosts")))
    stack.callback(ray.unless_lost, stop_runtime)
    start_runtime(settings)
    return settings


def _storefront(settings: Settings, stack: contextlib.ExitStack, tell: Progress, ray: OwnRay) -> Settings:
    from actors.runtime.config import FILE, short_directory
    from serve.app import ServeStartFailed, start_serve, stop_serve

    tell(say("up_starting", what=say("up_storefront")))
    stack.callback(ray.unless_lost, stop_serve)
    try:
        start_serve(settings, str(settings.data_path / FILE))
    except ServeStartFailed as error:
        logs = short_directory(settings) / "r" / "session_latest" / "logs" / "serve"
        raise CannotStart(say("up_serve_failed", reason=error, logs=logs)) from error
    if settings.stripe_url is None and not _listens(settings.host, settings.simulator_port):
        raise CannotStart(say("up_simulator_silent", port=settings.simulator_port, log=settings.data_path / "simulator.log"))
    deadline = time.monotonic() + READY_S
    for port in (settings.direct_port, settings.ingress_port):
        while not _answers(f"http://{settings.host}:{port}/readyz"):
            if time.monotonic() > deadline:
                raise CannotStart(say("up_not_ready", port=port, seconds=f"{READY_S:.0f}", directory=settings.data_path))
            time.sleep(0.1)
    return settings


def _listens(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=2):
            return True
    except OSError:
        return False


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


async def _finish_shop(settings: Settings, tell: Progress) -> Settings:
    from actors.storage.shop import configure_quotas
    from serve.cli.door import open_client

    async with open_client(settings) as client:
        count = await configure_quotas(client, settings)
    if count:
        tell(say("up_coupons_ready", count=count))
    return settings


def _announce(settings: Settings, console: Console) -> None:
    host = settings.host
    rows = [
        ("up_url_ingress", f"http://{host}:{settings.ingress_port}"),
        ("up_url_direct", f"http://{host}:{settings.direct_port}"),
        ("up_url_docs", f"http://{host}:{settings.direct_port}/docs"),
        ("up_url_metrics", f"http://{host}:{settings.direct_port}/metrics"),
    ]
    console.print(f"\n[bold green]{say('up_done')}[/]  {say('up_ctrl_c', directory=settings.data_path)}")
    for word, url in rows:
        name = say(word)
        console.print(f"  {name}{' ' * max(1, NAME_CELLS - cell_len(name))}{url}")
