"""What makes old records dispensable: an entity's snapshot and a shard's meta, made by whoever knows the owners' rules."""

from typing import Protocol

from actors.ports.journal import Loaded, Recovered, ShardMeta, Snapshot


class Remembering(Protocol):
    """Pure functions of what stands in the journal."""

    def entity(self, shard: int, kind: str, key: str, loaded: Loaded, at_ms: int) -> Snapshot:
        """The snapshot that the owner would write now, at ``at_ms`` (UTC).

        AssertionError, ValueError or KeyError when the entity cannot be rebuilt from what there is.
        """
        ...

    def shard(self, number: int, head: int, recovered: Recovered) -> ShardMeta:
        """The meta that the owner would write at ``head``."""
        ...

    def open_sends(self, meta: ShardMeta) -> frozenset[bytes]:
        """The ids of the messages that were not acknowledged when the meta was written."""
        ...

    def sent(self, packed: bytes) -> frozenset[bytes]:
        """The ids of the messages that a record sent; ``packed``: its meta."""
        ...
