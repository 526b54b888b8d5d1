"""A key of each user's own, for what is written where nothing is ever changed: the journal and its archive.

The address of an order is sealed with its buyer's key before the owner is asked. Erasing a person deletes the key: the
records stay whole, byte for byte, and nobody reads the address any more. Rejected: an address in the clear that a retention
time removes (records, snapshots and archived files would have to be rewritten, and their checksums with them).

Keys are not cached: a key that was deleted must not go on living in a replica. A backup of the database from before an
erasure still holds the key; how long backups are kept is how long an erasure takes to be complete.
"""

import base64
import os
from collections.abc import Callable
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from actors.storage.connect import known
from actors.storage.sealing import NONCE_BYTES, SEALED, Sealer, Unreadable
from schemas.order import Address

READ: Final = "SELECT sealed FROM user_key WHERE user_id = $1"
MAKE: Final = """
INSERT INTO user_key (user_id, sealed) SELECT $1, $2 WHERE NOT EXISTS (SELECT FROM account WHERE user_id = $1 AND status = 'erased')
ON CONFLICT DO NOTHING"""
DESTROY: Final = "DELETE FROM user_key WHERE user_id = $1"
OLD: Final = "SELECT user_id, sealed FROM user_key WHERE substr(sealed, 1, 2) <> $1 ORDER BY user_id LIMIT 1000"
RESEAL: Final = "UPDATE user_key SET sealed = $2 WHERE user_id = $1 AND sealed = $3"

_PURPOSE: Final = "user_key"
_SHIP_TO: Final = b"order.ship_to\0"


class UserKeys:
    """Keys on a pool. StorageUnknown when the database cannot be asked."""

    def __init__(self, pool: Any, sealer: Sealer, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        self._pool = pool
        self._sealer = sealer
        self._random = random_bytes

    async def seal_address(self, user_id: str, address: Address) -> bytes:
        """An order's address as the journal keeps it; the user's key is made when it is the first."""
        key = await self._key(user_id)
        if key is None:
            made = base64.b64encode(self._random(32)).decode()
            await known(self._pool.execute(MAKE, user_id, self._sealer.seal(_PURPOSE, user_id, made)))
            key = await self._key(user_id)
        if key is None:
            raise Unreadable(f"{user_id} was erased")
        nonce = self._random(NONCE_BYTES)
        return bytes((SEALED,)) + nonce + AESGCM(key).encrypt(nonce, msgspec.json.encode(address), _SHIP_TO + user_id.encode())

    async def open_address(self, user_id: str, data: bytes) -> Address | None:
        """The address; None when the key was destroyed. Unreadable when it was altered, or is somebody else's."""
        key = await self._key(user_id)
        if key is None:
            return None
        try:
            plain = AESGCM(key).decrypt(data[1 : 1 + NONCE_BYTES], data[1 + NONCE_BYTES :], _SHIP_TO + user_id.encode())
        except (InvalidTag, ValueError):
            raise Unreadable(f"an address of {user_id} was altered or moved") from None
        return msgspec.json.decode(plain, type=Address)

    async def _key(self, user_id: str) -> bytes | None:
        sealed = await known(self._pool.fetchval(READ, user_id))
        return None if sealed is None else base64.b64decode(self._sealer.open(_PURPOSE, user_id, sealed))


async def reseal_user_keys(connection: Any, sealer: Sealer) -> int:
    """Seal with the current key what was sealed with an older one; answers how many. May be ended at any moment."""
    count, mark = 0, bytes((1, sealer.current))
    while rows := await connection.fetch(OLD, mark):
        for row in rows:
            text = sealer.open(_PURPOSE, row["user_id"], row["sealed"])
            await connection.execute(RESEAL, row["user_id"], sealer.seal(_PURPOSE, row["user_id"], text), row["sealed"])
            count += 1
    return count
