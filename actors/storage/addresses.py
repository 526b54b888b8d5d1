"""The address book: where a user has parcels sent. What says where somebody lives is sealed."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import msgspec

from actors.storage.connect import known
from actors.storage.sealing import Sealer
from schemas.order import Address

T = TypeVar("T")

ADDRESSES_MAX: Final = 50
"""Of one user: more is a list of other people."""

LOCK_BOOK: Final = "SELECT pg_advisory_xact_lock(7271, hashtext($1))"
COUNT: Final = "SELECT count(*) FROM address WHERE user_id = $1"
INSERT: Final = "INSERT INTO address (address_id, user_id, sealed, country, is_default) VALUES ($1, $2, $3, $4, $5)"
OF_USER: Final = "SELECT address_id, sealed, is_default FROM address WHERE user_id = $1 ORDER BY is_default DESC, added_at DESC, address_id"
ONE: Final = "SELECT address_id, sealed, is_default FROM address WHERE user_id = $1 AND address_id = $2"
CHANGE: Final = "UPDATE address SET sealed = $3, country = $4 WHERE user_id = $1 AND address_id = $2"
REMOVE: Final = "DELETE FROM address WHERE user_id = $1 AND address_id = $2 RETURNING is_default"
NO_DEFAULT: Final = "UPDATE address SET is_default = false WHERE user_id = $1 AND is_default"
MAKE_DEFAULT: Final = "UPDATE address SET is_default = true WHERE user_id = $1 AND address_id = $2"
NEWEST: Final = "SELECT address_id FROM address WHERE user_id = $1 ORDER BY added_at DESC, address_id LIMIT 1"
MOVE: Final = "UPDATE address SET user_id = $2, is_default = false WHERE user_id = $1"
OLD: Final = "SELECT address_id, sealed FROM address WHERE substr(sealed, 1, 2) <> $1 ORDER BY address_id LIMIT 1000"
RESEAL: Final = "UPDATE address SET sealed = $2 WHERE address_id = $1 AND sealed = $3"

_PURPOSE: Final = "address"


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What is sealed of one address. ``region_code``: GB/T 2260, where the country has codes; may be empty."""

    address: Address
    region_code: str = ""


class SavedAddress(msgspec.Struct, frozen=True, kw_only=True):
    """One address of a book, opened."""

    address_id: str
    address: Address
    region_code: str
    is_default: bool

    def __repr__(self) -> str:
        return f"SavedAddress(address_id={self.address_id!r})"


class AddressRefused(Exception):
    """The book does not take it. ``code`` is of ``schemas.problems``."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Addresses:
    """Address books on a pool. Every read and change is of one user's: an id of anybody else's is unknown.

    StorageUnknown when the database cannot be asked.
    """

    def __init__(self, pool: Any, sealer: Sealer) -> None:
        self._pool = pool
        self._sealer = sealer

    async def of_user(self, user_id: str) -> list[SavedAddress]:
        """All of a user, the default first, then the newest."""
        return [self._opened(row) for row in await known(self._pool.fetch(OF_USER, user_id))]

    async def one(self, user_id: str, address_id: str) -> SavedAddress | None:
        """One of a user's."""
        row = await known(self._pool.fetchrow(ONE, user_id, address_id))
        return None if row is None else self._opened(row)

    async def add(self, user_id: str, address_id: str, kept: Kept, *, is_default: bool) -> None:
        """Add one; the first is the default. A repeat changes nothing. AddressRefused: ``address_limit``, ``idempotency_key_reused``."""

        async def change(connection: Any) -> None:
            row = await connection.fetchrow(ONE, user_id, address_id)
            if row is not None:
                if self._kept(row) != kept:
                    raise AddressRefused("idempotency_key_reused")
                return
            count = await connection.fetchval(COUNT, user_id)
            if count >= ADDRESSES_MAX:
                raise AddressRefused("address_limit")
            if is_default and count:
                await connection.execute(NO_DEFAULT, user_id)
            await connection.execute(
                INSERT, address_id, user_id, self._sealed(address_id, kept), kept.address.country, is_default or not count
            )

        await self._within(user_id, change)

    async def change(self, user_id: str, address_id: str, kept: Kept, *, is_default: bool) -> None:
        """Let one be another; ``is_default`` makes it the default, and takes nothing away. AddressRefused ``address_unknown``."""

        async def change(connection: Any) -> None:
            sealed = self._sealed(address_id, kept)
            if await connection.execute(CHANGE, user_id, address_id, sealed, kept.address.country) != "UPDATE 1":
                raise AddressRefused("address_unknown")
            if is_default:
                await _make_default(connection, user_id, address_id)

        await self._within(user_id, change)

    async def make_default(self, user_id: str, address_id: str) -> None:
        """Let one be the default, and no other. AddressRefused ``address_unknown``."""

        async def change(connection: Any) -> None:
            if await connection.fetchrow(ONE, user_id, address_id) is None:
                raise AddressRefused("address_unknown")
            await _make_default(connection, user_id, address_id)

        await self._within(user_id, change)

    async def remove(self, user_id: str, address_id: str) -> None:
        """Take one out; when it was the default, the newest of the others is. AddressRefused ``address_unknown``."""

        async def change(connection: Any) -> None:
            was_default = await connection.fetchval(REMOVE, user_id, address_id)
            if was_default is None:
                raise AddressRefused("address_unknown")
            newest = await connection.fetchval(NEWEST, user_id) if was_default else None
            if newest is not None:
                await connection.execute(MAKE_DEFAULT, user_id, newest)

        await self._within(user_id, change)

    async def _within(self, user_id: str, change: Callable[[Any], Awaitable[T]]) -> T:
        """One change of a book after the other: the count and the one default are of the whole book."""

        async def within() -> T:
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(LOCK_BOOK, user_id)
                return await change(connection)

        return await known(within())

    def _sealed(self, address_id: str, kept: Kept) -> bytes:
        return self._sealer.seal(_PURPOSE, address_id, msgspec.json.encode(kept).decode())

    def _kept(self, row: Any) -> Kept:
        return msgspec.json.decode(self._sealer.open(_PURPOSE, row["address_id"], row["sealed"]), type=Kept)

    def _opened(self, row: Any) -> SavedAddress:
        kept = self._kept(row)
        return SavedAddress(address_id=row["address_id"], address=kept.address, region_code=kept.region_code, is_default=row["is_default"])


async def _make_default(connection: Any, user_id: str, address_id: str) -> None:
    await connection.execute(NO_DEFAULT, user_id)
    await connection.execute(MAKE_DEFAULT, user_id, address_id)


async def move_addresses(connection: Any, gone: str, survivor: str) -> None:
    """Give one account's book to another, within the transaction that merges them; the survivor's default stays."""
    await connection.execute(MOVE, gone, survivor)


async def reseal_addresses(connection: Any, sealer: Sealer) -> int:
    """Seal with the current key what was sealed with an older one; answers how many. May be ended at any moment."""
    count, mark = 0, bytes((1, sealer.current))
    while rows := await connection.fetch(OLD, mark):
        for row in rows:
            text = sealer.open(_PURPOSE, row["address_id"], row["sealed"])
            await connection.execute(RESEAL, row["address_id"], sealer.seal(_PURPOSE, row["address_id"], text), row["sealed"])
            count += 1
    return count
