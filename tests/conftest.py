"""A real PostgreSQL for the whole run, and a fresh migrated database for each test that asks for one."""

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from actors.storage.embedded.postgres import EmbeddedPostgres
from actors.storage.migrate import migrate

TEMPLATE = "template_shop"
_numbers = itertools.count(1)


def url_of(server: EmbeddedPostgres, database: str) -> str:
    """The server's address with another database."""
    return urlunsplit(urlsplit(server.url)._replace(path="/" + database))


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _migrate(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await migrate(connection)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """One server for the run, in a directory of its own."""
    with EmbeddedPostgres(Path(tmp_path_factory.mktemp("postgres"))) as server:
        yield server


@pytest.fixture(scope="session")
def migrated_template(postgres_server: EmbeddedPostgres) -> str:
    """The name of a database with every migration applied and nothing in it."""
    asyncio.run(_execute(postgres_server.url, f"CREATE DATABASE {TEMPLATE}"))
    asyncio.run(_migrate(url_of(postgres_server, TEMPLATE)))
    return TEMPLATE


@pytest.fixture
def database_url(postgres_server: EmbeddedPostgres, migrated_template: str) -> Iterator[str]:
    """A fresh migrated database, dropped afterwards with whoever is still connected. It is not yet founded."""
    name = f"test_{next(_numbers)}"
    asyncio.run(_execute(postgres_server.url, f"CREATE DATABASE {name} TEMPLATE {migrated_template}"))
    yield url_of(postgres_server, name)
    asyncio.run(_execute(postgres_server.url, f"DROP DATABASE {name} WITH (FORCE)"))
