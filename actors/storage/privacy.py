"""What people ask of their data: a copy of everything about them, and to be forgotten.

Erasing keeps the books whole. The account's row stays under its id, which is a pseudonym: orders, payments and the ledger
point to it. What says who it was goes: identities, password, addresses, exports, and the key without which nobody reads the
addresses in the journal.
"""

import base64
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from actors.storage import staff_actions
from actors.storage.connect import known
from actors.storage.sealing import Sealer
from schemas.ids import random_id

TRIES_MAX: Final = 3
"""An export that fails so often needs a person; the log says why."""

ASK: Final = """
INSERT INTO privacy_export (export_id, user_id, language) SELECT $1, $2, $3
WHERE NOT EXISTS (SELECT FROM privacy_export WHERE user_id = $2 AND state = 'waiting') RETURNING export_id"""
WAITING: Final = "SELECT export_id FROM privacy_export WHERE user_id = $1 AND state = 'waiting' LIMIT 1"
LOCK_USER: Final = "SELECT pg_advisory_xact_lock(7272, hashtext($1))"
ONE: Final = """
SELECT export_id, state, (extract(epoch FROM asked_at) * 1000)::bigint AS asked_at_ms,
    (extract(epoch FROM expires_at) * 1000)::bigint AS expires_at_ms
FROM privacy_export WHERE user_id = $1 AND export_id = $2 AND (expires_at IS NULL OR expires_at > now())"""
FILE: Final = "SELECT sealed FROM privacy_export WHERE user_id = $1 AND export_id = $2 AND state = 'done' AND expires_at > now()"
MAY_TAKE_LONG: Final = "SELECT set_config('idle_in_transaction_session_timeout', '600000', true)"
"""The lake is looked through meanwhile."""

TAKE: Final = """
SELECT export_id, user_id, language FROM privacy_export WHERE state = 'waiting'
ORDER BY tries, asked_at LIMIT 1 FOR UPDATE SKIP LOCKED"""
DONE: Final = """
UPDATE privacy_export SET state = 'done', sealed = $2, expires_at = now() + make_interval(days => $3) WHERE export_id = $1"""
FAILED: Final = """
UPDATE privacy_export SET tries = tries + 1, state = CASE WHEN tries + 1 >= $2 THEN 'failed' ELSE 'waiting' END,
    expires_at = CASE WHEN tries + 1 >= $2 THEN now() + make_interval(days => 7) END
WHERE export_id = $1"""
EXPIRED: Final = "DELETE FROM privacy_export WHERE expires_at <= now()"

ASK_ERASURE: Final = """
INSERT INTO erasure (user_id, due_at) VALUES ($1, now() + make_interval(days => $2))
ON CONFLICT (user_id) DO UPDATE SET user_id = excluded.user_id
RETURNING (extract(epoch FROM due_at) * 1000)::bigint"""
CANCEL_ERASURE: Final = "DELETE FROM erasure WHERE user_id = $1 AND erased_at IS NULL RETURNING user_id"
HAS_ROLES: Final = "SELECT EXISTS (SELECT FROM staff_role WHERE user_id = $1)"
DUE: Final = """
SELECT user_id FROM erasure WHERE erased_at IS NULL AND due_at <= now() ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED"""
ERASED: Final = "UPDATE erasure SET erased_at = now() WHERE user_id = $1"
TO_CLEAR: Final = (
    "SELECT user_id FROM erasure WHERE erased_at IS NOT NULL AND cleared_at IS NULL AND user_id > $1 ORDER BY user_id LIMIT $2"
)
CLEARED: Final = "UPDATE erasure SET cleared_at = now() WHERE user_id = $1"
CLOSE: Final = "UPDATE account SET status = 'erased', password_hash = NULL, merged_into = NULL WHERE user_id = $1 OR merged_into = $1"
_EVERYONE: Final = "SELECT $1::text AS user_id UNION SELECT user_id FROM account WHERE merged_into = $1"
FORGET: Final = (
    f"""INSERT INTO event_erasure (user_id, visitors, erased_at_ms)
    SELECT user_id, ARRAY(SELECT visitor FROM visitor_link link WHERE link.user_id = everyone.user_id),
        (extract(epoch FROM clock_timestamp()) * 1000)::bigint
    FROM ({_EVERYONE}) everyone ON CONFLICT DO NOTHING""",
    f"DELETE FROM visitor_link WHERE user_id IN ({_EVERYONE})",
    "DELETE FROM identity WHERE user_id = $1",
    "DELETE FROM address WHERE user_id = $1",
    "DELETE FROM privacy_export WHERE user_id = $1",
    "DELETE FROM staff_role WHERE user_id = $1",
    "DELETE FROM user_key WHERE user_id = $1 OR user_id IN (SELECT user_id FROM account WHERE merged_into = $1)",
)
"""What says who somebody was, table by table; before the account is closed, which forgets who was merged into it."""

FORGET_ELSEWHERE: Final = {"passkey": "DELETE FROM passkey WHERE user_id = $1"}
"""The same of tables that not every database has."""

AGING_ELSEWHERE: Final = {
    "outgoing_message": "DELETE FROM outgoing_message WHERE at_ms < (extract(epoch FROM now() - make_interval(days => $1)) * 1000)::bigint"
}
"""What is deleted by its age, where there is such a table."""

STANDS: Final = "SELECT to_regclass($1) IS NOT NULL"

_PURPOSE: Final = "privacy_export"


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """One export. state: waiting, done, failed. Times UTC; expires_at_ms None: not made yet."""

    export_id: str
    state: str
    asked_at_ms: int
    expires_at_ms: int | None


class StaffAccount(Exception):
    """The account has roles of the staff: who acts for the shop is not forgotten while acting."""


class Privacy:
    """Exports and erasures on a pool. StorageUnknown when the database cannot be asked."""

    def __init__(self, pool: Any, sealer: Sealer) -> None:
        self._pool = pool
        self._sealer = sealer

    async def ask_export(self, user_id: str, language: str) -> Export:
        """A new export, or the one that is waiting already."""

        async def within() -> str:
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(LOCK_USER, user_id)
                made = await connection.fetchval(ASK, random_id("exp"), user_id, language)
                return str(made or await connection.fetchval(WAITING, user_id))

        found = await self.export(user_id, await known(within()))
        assert found is not None
        return found

    async def export(self, user_id: str, export_id: str) -> Export | None:
        """One of a user's exports, unless it has expired."""
        row = await known(self._pool.fetchrow(ONE, user_id, export_id))
        return None if row is None else Export(**dict(row))

    async def file(self, user_id: str, export_id: str) -> bytes | None:
        """The file of an export that is done."""
        sealed = await known(self._pool.fetchval(FILE, user_id, export_id))
        return None if sealed is None else base64.b64decode(self._sealer.open(_PURPOSE, export_id, sealed))

    async def make_one(self, make: Callable[[str, str], Awaitable[bytes]], keep_days: int) -> str | None:
        """Make the export that has waited longest: ``make(user_id, language)`` gives its file. Its id; None when none waits.

        One replica takes each. What ``make`` raises is raised, once the try is counted.
        """
        row: Any = None
        async with self._pool.acquire() as connection:
            try:
                async with connection.transaction():
                    row = await connection.fetchrow(TAKE)
                    if row is None:
                        return None
                    await connection.execute(MAY_TAKE_LONG)
                    data = await make(row["user_id"], row["language"])
                    sealed = self._sealer.seal(_PURPOSE, row["export_id"], base64.b64encode(data).decode())
                    await connection.execute(DONE, row["export_id"], sealed, keep_days)
            except Exception:
                if row is not None:
                    await connection.execute(FAILED, row["export_id"], TRIES_MAX)
                raise
        return str(row["export_id"])

    async def ask_erasure(self, user_id: str, regret_days: int) -> int:
        """To be forgotten after so many days; a repeat keeps the first day. When it is due, UTC ms. StaffAccount."""
        if await known(self._pool.fetchval(HAS_ROLES, user_id)):
            raise StaffAccount
        return int(await known(self._pool.fetchval(ASK_ERASURE, user_id, regret_days)))

    async def cancel_erasure(self, user_id: str) -> bool:
        """Stay after all; False when nothing was asked, or it is done."""
        return await known(self._pool.fetchval(CANCEL_ERASURE, user_id)) is not None

    async def erase_one(self) -> str | None:
        """Forget whoever has been due longest, whole or not at all; answers the user id, None when nobody is due."""

        async def within() -> str | None:
            async with self._pool.acquire() as connection, connection.transaction():
                return await erase_due(connection)

        return await known(within())

    async def to_clear(self, after: str, most: int) -> list[str]:
        """Who was erased, by whomever, and may still have sessions or second factors at their owners; in order, after this id."""
        return [row["user_id"] for row in await known(self._pool.fetch(TO_CLEAR, after, most))]

    async def cleared(self, user_id: str) -> None:
        """Nothing of this user is left at any owner."""
        await known(self._pool.execute(CLEARED, user_id))

    async def drop_expired(self) -> int:
        """Delete the exports whose days are over; answers how many."""
        tag = await known(self._pool.execute(EXPIRED))
        return int(tag.split()[-1])


async def drop_messages(connection: Any, keep_days: int) -> int:
    """Delete the messages of the development outbox that are older; answers how many."""
    count = 0
    for table, statement in AGING_ELSEWHERE.items():
        if await connection.fetchval(STANDS, table):
            count += int((await connection.execute(statement, keep_days)).split()[-1])
    return count


async def erase_due(connection: Any) -> str | None:
    """Forget whoever has been due longest within the caller's transaction; answers the user id, None when nobody is due."""
    user_id = await connection.fetchval(DUE)
    if user_id is None:
        return None
    for statement in FORGET:
        await connection.execute(statement, user_id)
    for table, statement in FORGET_ELSEWHERE.items():
        if await connection.fetchval(STANDS, table):
            await connection.execute(statement, user_id)
    await connection.execute(CLOSE, user_id)
    await connection.execute(ERASED, user_id)
    action = staff_actions.Action(
        action_id=random_id("act"), state="done", at_ms=0, actor_id="machine", role="machine", permission="person.erase", target=user_id
    )
    await staff_actions.add(connection, action)
    return str(user_id)
