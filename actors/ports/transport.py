"""How a client process reaches shard hosts."""

from typing import Protocol


class TransportLost(Exception):
    """The envelope may or may not have arrived. ``reason`` is for the log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Transport(Protocol):
    """Envelopes out, envelopes back; bytes both ways, under 64 KB."""

    async def call(self, host: str, payload: bytes) -> bytes:
        """Deliver to a host. TransportLost when there is no answer."""
        ...


class Directory(Protocol):
    """Which host serves a shard, as far as is known."""

    async def routes(self) -> dict[int, str]:
        """Shard to host; shards without an owner are absent. StorageUnknown when it cannot be read."""
        ...
