"""Connections to PostgreSQL: pools, the owners' own connection, and what the server must promise."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

import asyncpg

from actors.ports.journal import StorageUnknown

T = TypeVar("T")

CONNECT_TIMEOUT_S: Final = 3.0
ANSWER_TIMEOUT_S: Final = 5.0
"""How long a table's reader waits for a free connection and the answer together; asyncpg alone would wait for ever."""
REQUIRED_ON: Final = ("fsync", "full_page_writes", "synchronous_commit")
LOST: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, EOFError, TimeoutError)
"""What a broken, slow or restarting server raises. Syntax errors are among PostgresError: a test PREPAREs every statement.
InternalClientError is what asyncpg says when the server's last word arrived between two of our statements."""


class UnsafeDatabase(Exception):
    """The server is set to lose acknowledged commits. The message says which setting, and what to do."""


async def open_pool(url: str, *, size: int = 8) -> "asyncpg.Pool[Any]":
    """A pool for tables and reads; a caller waits at most a few seconds for a connection."""
    return await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=size,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=10,
        server_settings={"idle_in_transaction_session_timeout": "5000", "application_name": "stampede"},
    )


async def check_durable(connection: Any) -> None:
    """UnsafeDatabase unless fsync, full_page_writes and synchronous_commit are on."""
    for name in REQUIRED_ON:
        value = await connection.fetchval("SELECT current_setting($1)", name)
        if value not in ("on", "remote_apply", "remote_write", "local") or (name == "synchronous_commit" and value == "off"):
            raise UnsafeDatabase(f"PostgreSQL has {name} = {value}: an acknowledged order could be lost. Set {name} = on and start again.")


class Link:
    """One connection of one's own, reopened when it breaks. Not for two statements at once."""

    def __init__(self, url: str, name: str, settings: Mapping[str, str] = {}) -> None:
        self._url = url
        self._settings = {"idle_in_transaction_session_timeout": "1000", "application_name": f"stampede {name}", **settings}
        self._connection: Any = None

    async def run(self, work: Callable[[Any], Awaitable[T]]) -> T:
        """Do something with the connection. StorageUnknown when the server was lost: it may have happened."""
        try:
            if self._connection is None or self._connection.is_closed():
                self._connection = await asyncpg.connect(self._url, timeout=CONNECT_TIMEOUT_S, server_settings=self._settings)
            return await work(self._connection)
        except LOST as error:
            self.terminate()
            raise StorageUnknown(f"{type(error).__name__}: {error}") from error
        except BaseException:
            # Cancelled in the middle: the connection's state is not known.
            self.terminate()
            raise

    def terminate(self) -> None:
        """Drop the connection without waiting."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def close(self) -> None:
        """Say goodbye."""
        if self._connection is not None and not self._connection.is_closed():
            await self._connection.close(timeout=1)
        self._connection = None


async def known(work: Awaitable[T]) -> T:
    """Await something on a pool; a lost server, or one that keeps us waiting, is StorageUnknown."""
    try:
        return await asyncio.wait_for(work, ANSWER_TIMEOUT_S)
    except LOST as error:
        raise StorageUnknown(f"{type(error).__name__}: {error}") from error
