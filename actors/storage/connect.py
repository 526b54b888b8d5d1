"""Connections to PostgreSQL: pools, the owners' own connection, and what the server must promise."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

import asyncpg
import structlog

from actors.ports.journal import StorageBusy, StorageFull, StorageUnknown

log = structlog.get_logger("stampede.storage")

T = TypeVar("T")

CONNECT_TIMEOUT_S: Final = 3.0
ANSWER_TIMEOUT_S: Final = 5.0
"""How long a table's reader waits for a free connection and the answer together; asyncpg alone would wait for ever."""
LOCK_WAIT_MS: Final = 2500
"""How long a pool's user waits for what somebody else has locked. Less than the above: it is told so, and lets go of what it holds."""
REQUIRED_ON: Final = ("fsync", "full_page_writes", "synchronous_commit")
STANDBYS: Final = """
SELECT application_name, sync_state FROM pg_stat_replication WHERE state IN ('streaming', 'catchup') ORDER BY application_name"""
IDENTITY: Final = """
SELECT system_identifier || ':' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) FROM pg_control_system()"""
"""The cluster's own number, and its timeline, which every failover and every recovery to a point in time raises."""

FULL: Final = (asyncpg.DiskFullError, asyncpg.PostgresIOError)
FULL_WORDS: Final = ("could not extend file", "could not write")
"""A limit on the size of files has no code of its own."""

LOST: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, EOFError, TimeoutError)
"""What a broken, slow or restarting server raises. Syntax errors are among PostgresError: a test PREPAREs every statement.
InternalClientError is what asyncpg says when the server's last word arrived between two of our statements."""


class UnsafeDatabase(Exception):
    """The server is set to lose acknowledged commits: its ``setting`` has this ``value``."""

    def __init__(self, setting: str, value: str) -> None:
        super().__init__(setting, value)
        self.setting, self.value = setting, value

    def __str__(self) -> str:
        return f"PostgreSQL has {self.setting} = {self.value}: an acknowledged order could be lost"


async def open_pool(url: str, *, size: int = 8) -> "asyncpg.Pool[Any]":
    """A pool for tables and reads; a caller waits at most a few seconds for a connection."""
    return await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=size,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=10,
        server_settings={
            "idle_in_transaction_session_timeout": "5000",
            "lock_timeout": str(LOCK_WAIT_MS),
            "application_name": "stampede",
        },
    )


async def check_durable(connection: Any) -> None:
    """UnsafeDatabase unless fsync, full_page_writes and synchronous_commit are on."""
    for name in REQUIRED_ON:
        value = await connection.fetchval("SELECT current_setting($1)", name)
        if value not in ("on", "remote_apply", "remote_write", "local") or (name == "synchronous_commit" and value == "off"):
            raise UnsafeDatabase(name, value)


async def unsafe_standby(connection: Any) -> str:
    """The name of a standby to which a failover would lose acknowledged commits; empty when commits wait for one, or none is there."""
    rows = await connection.fetch(STANDBYS)
    waits = await connection.fetchval("SELECT current_setting('synchronous_commit')") != "local"
    if not rows or (waits and any(row["sync_state"] in ("sync", "quorum") for row in rows)):
        return ""
    return str(rows[0]["application_name"] or "standby")


class Identity:
    """Which database this process talks to. After a failover, or a backup that was restored, the same address leads to another one."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._known = ""

    async def check(self, connection: Any) -> None:
        """Called with every new connection, before it is used. StorageUnknown when it leads to another database than the last one."""
        found = await connection.fetchval(IDENTITY)
        before, self._known = self._known, found
        if before and before != found:
            log.error("database_is_another_one", before=before, now=found)
            self._changed()
            raise StorageUnknown(f"the database is another one: {found}, before {before}")


class Link:
    """One connection of one's own, reopened when it breaks. Not for two statements at once."""

    def __init__(self, url: str, name: str, settings: Mapping[str, str] = {}, identity: Identity | None = None) -> None:
        self._url = url
        self._identity = identity
        self._settings = {"idle_in_transaction_session_timeout": "1000", "application_name": f"stampede {name}", **settings}
        self._connection: Any = None

    async def run(self, work: Callable[[Any], Awaitable[T]]) -> T:
        """Do something with the connection. StorageUnknown when the server was lost: it may have happened; StorageFull of that kind."""
        try:
            return await work(await self._connected())
        except LOST as error:
            self.terminate()
            raise storage_error(error) from error
        except BaseException:
            # Cancelled in the middle: the connection's state is not known.
            self.terminate()
            raise

    async def _connected(self) -> Any:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(self._url, timeout=CONNECT_TIMEOUT_S, server_settings=self._settings)
            if self._identity is not None:
                await self._identity.check(self._connection)
        return self._connection

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


def storage_error(error: BaseException) -> StorageUnknown:
    """What one of :data:`LOST` says: that the server cannot write, that somebody else held what was wanted, or nothing that is known."""
    kind = StorageUnknown
    if isinstance(error, FULL) or (isinstance(error, asyncpg.PostgresError) and any(word in str(error) for word in FULL_WORDS)):
        kind = StorageFull
    elif isinstance(error, asyncpg.LockNotAvailableError):
        kind = StorageBusy
    return kind(f"{type(error).__name__}: {error}")


async def known(work: Awaitable[T]) -> T:
    """Await something on a pool; a lost server, or one that keeps us waiting, is StorageUnknown (:func:`storage_error`)."""
    try:
        return await asyncio.wait_for(work, ANSWER_TIMEOUT_S)
    except LOST as error:
        raise storage_error(error) from error
