"""Which shard an entity lives in."""

from typing import Final

from actors.domain.kinds import KINDS
from schemas.ids import shard_of

REMEMBERED_MAX: Final = 200_000
"""Routes whose shard is remembered: a hash costs a microsecond, a look-up a tenth."""


class Sharding:
    """The keyed hash from entities to shards. Secret and count are stored in the database and never change."""

    def __init__(self, secret: bytes, shard_count: int) -> None:
        self.shard_count = shard_count
        self._secret = secret
        self._remembered: dict[tuple[str, str], int] = {}

    def shard(self, kind: str, key: str) -> int:
        """The shard of an entity. KeyError when the kind is not known."""
        found = self._remembered.get((kind, key))
        if found is None:
            found = shard_of(KINDS[kind].route(key), self._secret, self.shard_count)
            if len(self._remembered) >= REMEMBERED_MAX:
                self._remembered.clear()
            self._remembered[(kind, key)] = found
        return found
