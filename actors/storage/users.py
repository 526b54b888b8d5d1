"""Accounts: who is a user, with which password, in which state. By what they log in stands in ``identities``."""

from typing import Any, Final

import msgspec

from actors.storage.addresses import move_addresses
from actors.storage.connect import known
from actors.storage.identities import Identities
from schemas.identity import ProvenIdentity

INSERT_ACCOUNT: Final = """
INSERT INTO account (user_id, password_hash, register_id) VALUES ($1, $2, $3) ON CONFLICT (user_id) DO NOTHING RETURNING user_id"""
BY_ID: Final = "SELECT user_id, password_hash, register_id, status, merged_into FROM account WHERE user_id = $1"
BY_IDENTITY: Final = """
SELECT a.user_id, a.password_hash, a.register_id, a.status, a.merged_into
FROM identity i JOIN account a USING (user_id) WHERE i.kind = $1 AND i.lookup = $2"""
SET_PASSWORD: Final = "UPDATE account SET password_hash = $2 WHERE user_id = $1 AND status = 'active'"
SET_STATUS: Final = "UPDATE account SET status = $3 WHERE user_id = $1 AND status = $2 RETURNING user_id"
MERGED: Final = "SELECT user_id FROM account WHERE merged_into = $1"
LOCK_BOTH: Final = "SELECT user_id, status, merged_into FROM account WHERE user_id = ANY($1::text[]) ORDER BY user_id FOR UPDATE"
MOVE_IDENTITIES: Final = "UPDATE identity SET user_id = $2 WHERE user_id = $1"
MOVE_MERGED: Final = "UPDATE account SET merged_into = $2 WHERE merged_into = $1"
NOTE_MERGE: Final = "INSERT INTO account_merge (gone, survivor) VALUES ($1, $2)"
OPEN_MERGES: Final = "SELECT gone, survivor FROM account_merge WHERE done_at IS NULL ORDER BY merged_at LIMIT $1"
MERGE_FOLLOWED: Final = "UPDATE account_merge SET done_at = now() WHERE gone = $1 AND done_at IS NULL"
CLOSE_MERGED: Final = "UPDATE account SET status = 'merged', merged_into = $2, password_hash = NULL WHERE user_id = $1"


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """One account. ``register_id``: of the request that made it. ``password_hash`` None: it logs in by other means.

    status: active, disabled, merged (into ``merged_into``) or erased.
    """

    user_id: str
    password_hash: str | None
    register_id: bytes
    status: str = "active"
    merged_into: str | None = None

    def __repr__(self) -> str:
        return f"Account(user_id={self.user_id!r}, status={self.status!r})"


class Users:
    """Accounts on a pool. StorageUnknown when the database cannot be asked."""

    def __init__(self, pool: Any, identities: Identities) -> None:
        self._pool = pool
        self._identities = identities

    async def open(self, user_id: str, proven: ProvenIdentity, password_hash: str | None, register_id: bytes) -> bool:
        """Make an account that logs in by this; False when somebody has it, or the account is there already."""

        async def within() -> bool:
            async with self._pool.acquire() as connection:
                try:
                    async with connection.transaction():
                        made = await connection.fetchval(INSERT_ACCOUNT, user_id, password_hash, register_id)
                        if made is None or not await self._identities.insert(connection, user_id, proven):
                            raise _Taken
                except _Taken:
                    return False
                return True

        return await known(within())

    async def find(self, proven: ProvenIdentity) -> Account | None:
        """The account that logs in by this, whatever its state."""
        return _account(await known(self._pool.fetchrow(BY_IDENTITY, proven.kind, self._identities.lookup(proven))))

    async def one(self, user_id: str) -> Account | None:
        """The account of an id."""
        return _account(await known(self._pool.fetchrow(BY_ID, user_id)))

    async def set_password(self, user_id: str, password_hash: str) -> None:
        """Another password, or the same one under today's parameters."""
        await known(self._pool.execute(SET_PASSWORD, user_id, password_hash))

    async def set_status(self, user_id: str, before: str, after: str) -> bool:
        """Move an account from one state to another; False when it is in another one."""
        return await known(self._pool.fetchval(SET_STATUS, user_id, before, after)) is not None

    async def merge(self, gone: str, survivor: str) -> bool:
        """Move everything that one account logs in by to another, with its addresses, and close it. A repeat changes nothing.

        False when either is closed. That the rest is to follow is written down with it (:meth:`open_merges`).
        """

        async def within() -> bool:
            async with self._pool.acquire() as connection, connection.transaction():
                rows = await connection.fetch(LOCK_BOTH, [gone, survivor])
                if any(row["user_id"] == gone and row["merged_into"] == survivor for row in rows):
                    return True
                states = {row["user_id"]: row["status"] for row in rows}
                if states.get(survivor) != "active" or states.get(gone) != "active":
                    return False
                await connection.execute(MOVE_IDENTITIES, gone, survivor)
                await move_addresses(connection, gone, survivor)
                await connection.execute(MOVE_MERGED, gone, survivor)
                await connection.execute(CLOSE_MERGED, gone, survivor)
                await connection.execute(NOTE_MERGE, gone, survivor)
                return True

        return await known(within())

    async def open_merges(self, limit: int) -> list[tuple[str, str]]:
        """Merges that not everything has followed yet: (gone, survivor), the oldest first."""
        return [(row["gone"], row["survivor"]) for row in await known(self._pool.fetch(OPEN_MERGES, limit))]

    async def merge_followed(self, gone: str) -> None:
        """Everything has followed. A repeat changes nothing."""
        await known(self._pool.execute(MERGE_FOLLOWED, gone))

    async def merged_into(self, user_id: str) -> list[str]:
        """The accounts that were merged into this one: their orders are this one's too."""
        return [row["user_id"] for row in await known(self._pool.fetch(MERGED, user_id))]


class _Taken(Exception):
    """Ends the transaction in which an account was made for nothing."""


def _account(row: Any) -> Account | None:
    if row is None:
        return None
    return Account(
        user_id=row["user_id"],
        password_hash=row["password_hash"],
        register_id=row["register_id"],
        status=row["status"],
        merged_into=row["merged_into"],
    )
