"""Which shard an entity lives in."""

import hashlib
from typing import Final

from actors.domain.kinds import KINDS
from actors.domain.pools import Pool, pool_of
from schemas.ids import shard_of

REMEMBERED_MAX: Final = 200_000
"""Routes whose shard is remembered: a hash costs a microsecond, a look-up a tenth."""


class Sharding:
    """The keyed hash from entities to shards. Secret, count and pools are stored in the database and never change.

    Pools have the first shards, in their order; all other kinds share the rest.
    """

    def __init__(self, secret: bytes, shard_count: int, pools: tuple[Pool, ...] = ()) -> None:
        self.shard_count = shard_count
        self._secret = secret
        self._remembered: dict[tuple[str, str], int] = {}
        self._pools = pools
        ranges: dict[str, tuple[int, int]] = {}
        first = 0
        for pool in pools:
            ranges |= dict.fromkeys(pool.kinds, (first, pool.shards))
            first += pool.shards
        self._ranges: dict[str, tuple[int, int]] = {kind: ranges.get(kind, (first, shard_count - first)) for kind in KINDS}

    def shard(self, kind: str, key: str) -> int:
        """The shard of an entity. KeyError when the kind is not known."""
        found = self._remembered.get((kind, key))
        if found is None:
            first, count = self._ranges[kind]
            found = first + shard_of(KINDS[kind].route(key), self._secret, count)
            if len(self._remembered) >= REMEMBERED_MAX:
                self._remembered.clear()
            self._remembered[(kind, key)] = found
        return found

    def pool(self, shard: int) -> str:
        """The name of the pool that a shard belongs to."""
        return pool_of(self._pools, shard)

    def derived_key(self, purpose: str) -> bytes:
        """A secret of 32 bytes for another purpose, which lasts as long as the database."""
        return hashlib.blake2b(purpose.encode(), key=self._secret, person=b"stampede.derived", digest_size=32).digest()
