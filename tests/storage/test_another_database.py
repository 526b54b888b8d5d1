"""The address leads to another database: a failover that lost the newest commits, or a backup that was restored."""

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from actors.storage.connect import Identity, Link, unsafe_standby
from actors.storage.embedded.postgres import EmbeddedPostgres, _wheel
from actors.storage.migrate import found_cluster, migrate
from schemas.stock import PutIn, ReadStock, StockDone

pytestmark = pytest.mark.slow

TIMELINE = "SELECT left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A server whose data can be put back to what they were."""
    with EmbeddedPostgres(tmp_path / "postgres", options={"fsync": "off", "restore_command": "false"}) as server:
        yield server


def back_up(server: EmbeddedPostgres, to: Path) -> None:
    """A copy of the data as they are now; the server is back at the end."""
    server.stop()
    subprocess.run(["cp", "-a", str(server.data), str(to)], check=True)
    server.start()


def fail_over(server: EmbeddedPostgres, to: Path) -> None:
    """As if the copy were a standby that took over: what came after it is lost, and a new timeline begins."""
    server.stop()
    server.data.rename(server.data.with_name("lost"))
    to.rename(server.data)
    (server.data / "recovery.signal").touch()
    server.start()


@pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "control"])
async def test_f27_after_a_failover_that_lost_commits_nothing_in_memory_is_believed(
    server: EmbeddedPostgres, tmp_path: Path, open_shop: Any, guarded: bool
) -> None:
    connection = await asyncpg.connect(server.url)
    await migrate(connection)
    await found_cluster(connection, 8)
    assert await connection.fetchval(TIMELINE) == "00000001"
    async with open_shop(server.url, connection, guarded=guarded) as shop:
        await shop.put_in("sku_1#0", 10)
        await asyncio.to_thread(back_up, server, tmp_path / "copy")
        # A server that was away for more than a second is believed again after the next look at the board.
        await shop.until(lambda: not any(host.storage_down_since_ms for host in shop.hosts))
        assert (await shop.ask("stock", "sku_1#0", PutIn(quantity=5))).reply == StockDone(available=15)
        takeovers = [host.counters.takeovers for host in shop.hosts]
        await asyncio.to_thread(fail_over, server, tmp_path / "copy")
        # Each host has met the new server by then: its lease is renewed.
        seen = [host.lease_until_ms for host in shop.hosts]
        await shop.until(lambda: all(host.lease_until_ms > before for host, before in zip(shop.hosts, seen, strict=True)))
        level = (await shop.client.ask("stock", "sku_1#0", ReadStock(), command_id=b"read" * 4)).reply
        if not guarded:
            assert level.available == 15  # it answers from memory what no table has
            return
        assert level.available == 10
        assert [host.counters.takeovers - before for host, before in zip(shop.hosts, takeovers, strict=True)] == [4, 4]
        assert (await shop.ask("stock", "sku_1#0", PutIn(quantity=1))).reply == StockDone(available=11)
        again = await asyncpg.connect(server.url)
        assert await again.fetchval(TIMELINE) == "00000002"
        await again.close()
    connection.terminate()


async def test_a_connection_to_another_cluster_is_refused_once_and_then_used(
    postgres_server: EmbeddedPostgres, quick_server: EmbeddedPostgres
) -> None:
    changes: list[str] = []
    identity = Identity(lambda: changes.append("changed"))
    urls = [postgres_server.url, postgres_server.url, quick_server.url, quick_server.url]
    outcomes = []
    for url in urls:
        link = Link(url, "test", identity=identity)
        try:
            outcomes.append(await link.run(lambda connection: connection.fetchval("SELECT 1")))
        except Exception as error:
            outcomes.append(type(error).__name__)
        await link.close()
    assert outcomes == [1, 1, "StorageUnknown", 1]
    assert changes == ["changed"]


@pytest.fixture
def receiver(server: EmbeddedPostgres, tmp_path: Path) -> Iterator[None]:
    """A standby that takes every byte of the log, and keeps it."""
    target = tmp_path / "wal"
    target.mkdir()
    program = _wheel() / "pginstall" / "bin" / "pg_receivewal"
    command = [program, "-D", target, "-d", server.url, "--no-loop", "--synchronous"]
    receiver = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    yield
    receiver.terminate()
    receiver.wait()


@pytest.mark.usefixtures("receiver")
async def test_f29_a_standby_that_commits_do_not_wait_for_is_named(server: EmbeddedPostgres, eventually: Any) -> None:
    connection = await asyncpg.connect(server.url)

    async def named() -> bool:
        return await unsafe_standby(connection) == "pg_receivewal"

    async def waited_for() -> bool:
        return await unsafe_standby(connection) == ""

    await eventually(named)
    await connection.execute("ALTER SYSTEM SET synchronous_standby_names = 'pg_receivewal'")
    await connection.execute("SELECT pg_reload_conf()")
    await eventually(waited_for)
    await connection.execute("SET synchronous_commit = 'local'")
    assert await unsafe_standby(connection) == "pg_receivewal"
    await connection.close()


async def test_f29_without_a_standby_there_is_nothing_to_name(connection: Any) -> None:
    assert await unsafe_standby(connection) == ""
