"""Accounts: who may log in."""

from typing import Any, Final

import msgspec

from actors.storage.connect import known

INSERT: Final = """
INSERT INTO account (user_id, email, password_hash, register_id) VALUES ($1, $2, $3, $4)
ON CONFLICT (email) DO NOTHING RETURNING user_id"""
BY_EMAIL: Final = "SELECT user_id, password_hash, register_id FROM account WHERE email = $1"
REHASH: Final = "UPDATE account SET password_hash = $2 WHERE user_id = $1"


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """One account. ``register_id``: of the request that made it."""

    user_id: str
    password_hash: str
    register_id: bytes

    def __repr__(self) -> str:
        return f"Account(user_id={self.user_id!r})"


class Users:
    """Accounts on a pool, by the canonical form of their address. StorageUnknown when the database cannot be asked."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def add(self, user_id: str, email: str, password_hash: str, register_id: bytes) -> bool:
        """Make an account; False when the address has one."""
        return await known(self._pool.fetchval(INSERT, user_id, email, password_hash, register_id)) is not None

    async def find(self, email: str) -> Account | None:
        """The account of an address."""
        row = await known(self._pool.fetchrow(BY_EMAIL, email))
        return Account(user_id=row["user_id"], password_hash=row["password_hash"], register_id=row["register_id"]) if row else None

    async def rehash(self, user_id: str, password_hash: str) -> None:
        """Keep the same password under today's parameters."""
        await known(self._pool.execute(REHASH, user_id, password_hash))
