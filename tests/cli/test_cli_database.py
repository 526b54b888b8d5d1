"""A database that could lose what was acknowledged is refused before anything is written to it, with the setting and the way out."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from actors.storage.embedded.postgres import EmbeddedPostgres

Run = Callable[..., Any]
PROGRAM = str(Path(sys.executable).with_name("stampede"))

pytestmark = pytest.mark.slow


async def _execute(url: str, *statements: str) -> list[Any]:
    connection = await asyncpg.connect(url)
    try:
        return [await connection.fetch(statement) for statement in statements]
    finally:
        await connection.close()


def tables(url: str) -> list[Any]:
    """What stands in the database."""
    [found] = asyncio.run(_execute(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))
    return list(found)


@pytest.fixture
def forgetful(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """The address of an empty database whose sessions do not wait for their commits, on a server that is as it should be."""
    asyncio.run(_execute(postgres_server.url, "CREATE DATABASE forgetful"))
    asyncio.run(_execute(postgres_server.url, "ALTER DATABASE forgetful SET synchronous_commit = off"))
    yield postgres_server.url.rpartition("/")[0] + "/forgetful"
    asyncio.run(_execute(postgres_server.url, "DROP DATABASE forgetful"))


@pytest.fixture
def unsynced(quick_server: EmbeddedPostgres) -> Iterator[str]:
    """The address of an empty database on a server that does not wait for its disk."""
    asyncio.run(_execute(quick_server.url, "CREATE DATABASE unsynced"))
    yield quick_server.url.rpartition("/")[0] + "/unsynced"
    asyncio.run(_execute(quick_server.url, "DROP DATABASE unsynced"))


@pytest.mark.parametrize(("database", "setting"), [("forgetful", "synchronous_commit"), ("unsynced", "fsync")])
def test_f29_migrate_refuses_a_server_that_may_lose_commits_and_writes_nothing(
    run: Run, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, database: str, setting: str
) -> None:
    url: str = request.getfixturevalue(database)
    monkeypatch.setenv("STAMPEDE_DATABASE_URL", url)
    said = run("migrate")
    assert (said.code, said.out) == (1, "")
    assert said.err == (f"PostgreSQL has {setting} = off: an acknowledged order could be lost. Set {setting} = on and start again.\n")
    assert tables(url) == []


def test_f29_up_refuses_it_too_and_leaves_nothing_running(unsynced: str, tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "STAMPEDE_"))}
    own = {"DATA_DIR": tmp_path / "data", "DATABASE_URL": unsynced, "DIRECT_PORT": 0, "INGRESS_PORT": 0, "SIMULATOR_PORT": 0}
    environment = kept | {f"STAMPEDE_{name}": str(value) for name, value in own.items()}
    told = subprocess.run([PROGRAM, "up"], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert told.returncode == 1
    assert "PostgreSQL has fsync = off: an acknowledged order could be lost. Set fsync = on" in " ".join(told.stderr.split())
    assert tables(unsynced) == []
    valkey = json.loads((tmp_path / "data" / "valkey" / "server.json").read_text())["pid"]
    assert not Path(f"/proc/{valkey}").exists()
