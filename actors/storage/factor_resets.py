"""Resets of second factors by support: at most one waits for each account, until its owner or the time decides."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from actors.storage.connect import known

COLUMNS: Final = "reset_id, user_id, state, language, due_at_ms"
ADD: Final = """
INSERT INTO factor_reset (reset_id, user_id, state, code_lookup, language, asked_by, due_at_ms)
VALUES ($1, $2, 'waiting', $3, $4, $5, $6) ON CONFLICT (user_id) WHERE state = 'waiting' DO NOTHING"""
WAITING: Final = f"SELECT {COLUMNS} FROM factor_reset WHERE user_id = $1 AND state = 'waiting'"
BY_CODE: Final = f"SELECT {COLUMNS} FROM factor_reset WHERE code_lookup = $1"
CANCEL: Final = """
UPDATE factor_reset SET state = 'cancelled', ended_at_ms = $2 WHERE reset_id = $1 AND state = 'waiting' RETURNING reset_id"""
HASTEN: Final = "UPDATE factor_reset SET due_at_ms = $2 WHERE reset_id = $1 AND state = 'waiting' AND due_at_ms > $2"
TAKE: Final = f"""
SELECT {COLUMNS} FROM factor_reset WHERE state = 'waiting' AND due_at_ms <= $1
ORDER BY due_at_ms LIMIT 1 FOR UPDATE SKIP LOCKED"""
TAKE_ONE: Final = f"SELECT {COLUMNS} FROM factor_reset WHERE reset_id = $1 AND state = 'waiting' FOR UPDATE"
DONE: Final = "UPDATE factor_reset SET state = 'done', ended_at_ms = $2 WHERE reset_id = $1"


class FactorReset(msgspec.Struct, frozen=True, kw_only=True):
    """One reset. state: waiting, cancelled, done. language: of the notices. due_at_ms: UTC."""

    reset_id: str
    user_id: str
    state: str
    language: str
    due_at_ms: int


Do = Callable[[Any, FactorReset], Awaitable[None]]
"""Takes the factors away, and writes it down with the connection whose transaction ends the reset."""


async def add(connection: Any, reset: FactorReset, code_lookup: bytes, asked_by: str) -> FactorReset:
    """Let it wait, within the caller's transaction; answers the one that waits, which may be an earlier one."""
    await connection.execute(ADD, reset.reset_id, reset.user_id, code_lookup, reset.language, asked_by, reset.due_at_ms)
    return FactorReset(**dict(await connection.fetchrow(WAITING, reset.user_id)))


class FactorResets:
    """Resets on a pool. StorageUnknown when the database cannot be asked."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def by_code(self, code_lookup: bytes) -> FactorReset | None:
        """The reset that this code decides, whatever its state."""
        return _reset(await known(self._pool.fetchrow(BY_CODE, code_lookup)))

    async def waiting(self, user_id: str) -> FactorReset | None:
        """The one that waits for this account."""
        return _reset(await known(self._pool.fetchrow(WAITING, user_id)))

    async def cancel(self, reset_id: str, now_ms: int) -> bool:
        """Whether it was waiting until now."""
        return await known(self._pool.fetchval(CANCEL, reset_id, now_ms)) is not None

    async def hasten(self, reset_id: str, now_ms: int) -> None:
        """It is due now: whoever comes first carries it out."""
        await known(self._pool.execute(HASTEN, reset_id, now_ms))

    async def carry_out(self, do: Do, now_ms: int, reset_id: str = "") -> FactorReset | None:
        """Carry out one that is due, or this one. None when there is none, or another replica has it.

        It stays waiting when ``do`` raises: a repeat takes away what is left.
        """

        async def within() -> FactorReset | None:
            async with self._pool.acquire() as connection, connection.transaction():
                row = await (connection.fetchrow(TAKE_ONE, reset_id) if reset_id else connection.fetchrow(TAKE, now_ms))
                reset = _reset(row)
                if reset is not None:
                    await do(connection, reset)
                    await connection.execute(DONE, reset.reset_id, now_ms)
                return reset

        return await known(within())


def _reset(row: Any) -> FactorReset | None:
    return None if row is None else FactorReset(**dict(row))
