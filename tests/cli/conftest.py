"""A running copy without Ray: two hosts with their sockets and the projections, on a loop of their own beside the test."""

import asyncio
import fcntl
import io
import json
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from actors.runtime.assembly import HostProcess
from actors.runtime.config import short_directory, write_config
from actors.runtime.joining import JoiningTransport
from actors.runtime.socket_transport import SocketServer, SocketTransport, socket_path
from actors.storage.embedded.postgres import EmbeddedPostgres
from actors.storage.migrate import migrate
from actors.storage.projections.follower import Follower
from schemas.settings import Settings
from serve.cli.main import main

HOSTS = ("host-a", "host-b")


class Said:
    """What a command did."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


def stampede(*arguments: str) -> Said:
    """Run a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main([*arguments])
    code = ended.value.code
    return Said(code if isinstance(code, int) else 0 if code is None else 1, out.getvalue(), err.getvalue())


class Copy:
    """The running copy, and its database."""

    def __init__(self, settings: Settings, hosts: dict[str, HostProcess]) -> None:
        self.settings = settings
        self.hosts = hosts
        self.url = str(settings.database_url)

    def sql(self, statement: str, *arguments: Any) -> list[Any]:
        """Run one statement."""

        async def run() -> list[Any]:
            connection = await asyncpg.connect(self.url)
            try:
                return list(await connection.fetch(statement, *arguments))
            finally:
                await connection.close()

        return asyncio.run(run())


@asynccontextmanager
async def running_hosts(settings: Settings) -> AsyncIterator[dict[str, HostProcess]]:
    """Two hosts that own all shards, and a follower."""
    directory = short_directory(settings)
    hosts: dict[str, HostProcess] = {}
    async with AsyncExitStack() as stack:
        for name in HOSTS:
            transport = SocketTransport(directory, JoiningTransport())
            stack.callback(transport.close)
            host = hosts[name] = HostProcess(name, "node", settings, transport)
            await host.start()
            stack.push_async_callback(host.stop)
            server = SocketServer(socket_path(directory, name), host.envelope)
            await server.start()
            stack.callback(server.close)
        follower = Follower(str(settings.database_url))
        following = asyncio.ensure_future(follower.run())
        await _until_owned(hosts, settings.shard_count)
        yield hosts
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await follower.close()


async def _until_owned(hosts: dict[str, HostProcess], count: int) -> None:
    async with asyncio.timeout(30):
        while True:
            if sum(len(host.host.shards) for host in hosts.values()) == count:
                return
            await asyncio.sleep(0.01)


class _Loop:
    """An event loop on a thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def close(self) -> None:
        # Connections that were hung up are closed by the loop's next turns.
        for _ in range(10):
            self.run(asyncio.sleep(0))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()


async def _prepare(server_url: str, name: str) -> None:
    connection = await asyncpg.connect(server_url)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    connection = await asyncpg.connect(server_url.rpartition("/")[0] + "/" + name)
    await migrate(connection)
    await connection.close()


@pytest.fixture(scope="session")
def copy_settings(postgres_server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of a copy with an empty, migrated database."""
    asyncio.run(_prepare(postgres_server.url, "cli_copy"))
    data: Path = tmp_path_factory.mktemp("copy") / "data"
    url = postgres_server.url.rpartition("/")[0] + "/cli_copy"
    settings = Settings(data_dir=str(data), database_url=url, shard_count=16, watchdog_ms=0, direct_port=1, ingress_port=0, shop="small")
    yield settings
    shutil.rmtree(short_directory(settings), ignore_errors=True)


@pytest.fixture(scope="session")
def copy(copy_settings: Settings) -> Iterator[Copy]:
    """The running copy, found by its data directory; with the small shop."""
    write_config(copy_settings)
    with (copy_settings.data_path / "up.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        loop = _Loop()
        context = running_hosts(copy_settings)
        hosts = loop.run(context.__aenter__())
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("STAMPEDE_DATA_DIR", copy_settings.data_dir)
            assert stampede("seed", "--shop", "small").code == 0
        yield Copy(copy_settings, hosts)
        loop.run(context.__aexit__(None, None, None))
        loop.close()


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [field.name for field in msgspec.structs.fields(Settings)]:
        monkeypatch.delenv("STAMPEDE_" + name.upper(), raising=False)
    for name in ("LC_ALL", "LC_MESSAGES", "LANG", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STAMPEDE_DATA_DIR", str(tmp_path / "nothing"))


@pytest.fixture
def in_copy(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> Copy:
    """This shell is in the copy's directory."""
    monkeypatch.setenv("STAMPEDE_DATA_DIR", copy.settings.data_dir)
    return copy


@pytest.fixture
def run() -> Callable[..., Said]:
    """Run a command."""
    return stampede
