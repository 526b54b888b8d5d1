"""The way from a command to a copy: its settings, its database, its owners. Ray is not needed on the copy's own machine."""

import fcntl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec

from actors.runtime.config import FILE, read_config, short_directory
from schemas.settings import Settings, from_environment
from serve.cli.words import Trouble

if TYPE_CHECKING:
    from actors.client.client import Client

LOCK: Final = "up.lock"
"""Held by ``stampede up`` for as long as it lives."""


def environment() -> Settings:
    """The settings of this shell. Trouble: ``setting_wrong``."""
    try:
        return from_environment()
    except ValueError as error:
        raise Trouble("setting_wrong", reason=error) from error


def is_running(settings: Settings) -> bool:
    """True while ``stampede up`` lives in this data directory."""
    try:
        with (settings.data_path / LOCK).open("rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False
    except FileNotFoundError:
        return False
    except PermissionError as error:
        raise Trouble("foreign", path=settings.data_path) from error


def running(settings: Settings) -> Settings:
    """The settings of the copy that runs in this data directory, or of the cluster whose database is named.

    Trouble: ``not_running``, ``starting``, ``foreign``.
    """
    if is_running(settings):
        path = settings.data_path / FILE
        try:
            found = read_config(str(path)) if path.exists() else settings
        except PermissionError as error:
            raise Trouble("foreign", path=path) from error
        except msgspec.DecodeError:
            # Half a file of a machine that lost its power: the copy that starts now writes it anew.
            found = settings
        if found.database_url is None:
            raise Trouble("starting", directory=settings.data_path)
        return found
    if settings.database_url is None:
        raise Trouble("not_running", directory=settings.data_path)
    return settings


@contextmanager
def with_database(settings: Settings, *, make: bool = False) -> Iterator[Settings]:
    """Settings whose ``database_url`` answers: of the running copy, the named server, or the embedded one, started meanwhile.

    Trouble ``not_running`` where there has never been a database, unless it is to be made.
    """
    from actors.storage.embedded import EmbeddedPostgres, ServerError

    directory = settings.data_path / "postgres"
    if settings.database_url is not None or is_running(settings) or not (make or directory.exists()):
        yield running(settings)
        return
    try:
        with EmbeddedPostgres(directory) as server:
            yield msgspec.structs.replace(settings, database_url=server.url)
    except ServerError as error:
        raise Trouble("refused", reason=error, code="postgres") from error


@asynccontextmanager
async def open_connection(settings: Settings) -> AsyncIterator[Any]:
    """A connection to the copy's database. Trouble: ``database_away``, ``not_migrated``."""
    import asyncpg

    from actors.runtime.logs import configure_logs
    from actors.storage.connect import CONNECT_TIMEOUT_S, LOST

    # A command says in a sentence what went wrong; what was tried in between is no news.
    configure_logs(msgspec.structs.replace(settings, log_level="error"))
    assert settings.database_url is not None, "ask running() first"
    try:
        connection = await asyncpg.connect(
            settings.database_url, timeout=CONNECT_TIMEOUT_S, server_settings={"application_name": "stampede cli"}
        )
    except (*LOST, ValueError) as error:
        raise Trouble("database_away", reason=error or type(error).__name__) from error
    try:
        yield connection
    except asyncpg.UndefinedTableError as error:
        raise Trouble("not_migrated") from error
    except LOST as error:
        raise Trouble("database_away", reason=error or type(error).__name__) from error
    finally:
        await connection.close()


@asynccontextmanager
async def open_client(settings: Settings) -> AsyncIterator["Client"]:
    """The door to the owners: by socket on their machine, else by Ray. Trouble as :func:`open_connection`, and ``setting_wrong``."""
    from actors.client.client import Client
    from actors.runtime.joining import JoiningTransport
    from actors.runtime.socket_transport import SocketTransport
    from actors.storage.board import PostgresBoard
    from actors.storage.clock import DatabaseClock
    from actors.storage.migrate import found_cluster

    clock = DatabaseClock()
    async with open_connection(settings) as connection:
        await clock.sync(connection)
        try:
            cluster = await found_cluster(connection, settings.shard_count, settings.pools)
        except ValueError as error:
            raise Trouble("setting_wrong", reason=error) from error
    board = PostgresBoard(str(settings.database_url), "cli")
    transport = SocketTransport(short_directory(settings), JoiningTransport())
    try:
        yield Client(cluster.sharding(), transport, board, clock)
    finally:
        transport.close()
        await board.close()
