"""Real PostgreSQL for the whole run, and a fresh migrated database for each test that asks for one."""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from actors.storage.embedded.postgres import EmbeddedPostgres
from actors.storage.migrate import migrate

HERE = Path(__file__).parent
TEMPLATE = "template_shop"
ALONE = ("cli", "e2e", "loadtests", "runtime")
"""Folders whose tests start whole shops, or wait for what another one's load would delay."""
_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what runs alone; a single test says so by the marker."""
    for item in items:
        if item.path.relative_to(HERE).parts[0] in ALONE:
            item.add_marker(pytest.mark.alone)


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
    """One server for the run, as safe as a real one, in a directory of its own."""
    with EmbeddedPostgres(Path(tmp_path_factory.mktemp("postgres"))) as server:
        yield server


@pytest.fixture(scope="session")
def quick_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """One that does not wait for its disk: each database that is made and dropped for a test costs two checkpoints."""
    with EmbeddedPostgres(Path(tmp_path_factory.mktemp("quick")), options={"fsync": "off"}) as server:
        yield server


@pytest.fixture(scope="session")
def migrated_template(quick_server: EmbeddedPostgres) -> str:
    """The name of a database with every migration applied and nothing in it."""
    asyncio.run(_execute(quick_server.url, f"CREATE DATABASE {TEMPLATE}"))
    asyncio.run(_migrate(url_of(quick_server, TEMPLATE)))
    return TEMPLATE


@pytest.fixture(scope="session")
def new_database(quick_server: EmbeddedPostgres, migrated_template: str) -> Callable[[str], str]:
    """Makes a migrated database with a name of its own, for a whole run; answers its address."""

    def create(name: str) -> str:
        asyncio.run(_execute(quick_server.url, f"CREATE DATABASE {name} TEMPLATE {migrated_template}"))
        return url_of(quick_server, name)

    return create


@pytest.fixture(scope="session")
def copy_of_database(quick_server: EmbeddedPostgres) -> Callable[[str], AbstractContextManager[str]]:
    """Copies a database to which nobody is connected; the copy is dropped at the end, with whoever is connected to it."""

    @contextmanager
    def copy(template: str) -> Iterator[str]:
        name = f"test_{next(_numbers)}"
        asyncio.run(_execute(quick_server.url, f"CREATE DATABASE {name} TEMPLATE {template}"))
        yield url_of(quick_server, name)
        asyncio.run(_execute(quick_server.url, f"DROP DATABASE {name} WITH (FORCE)"))

    return copy


@pytest.fixture
def database_url(copy_of_database: Callable[[str], AbstractContextManager[str]], migrated_template: str) -> Iterator[str]:
    """A fresh migrated database. It is not yet founded."""
    with copy_of_database(migrated_template) as url:
        yield url
