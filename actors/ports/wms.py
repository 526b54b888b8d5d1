"""What the shop needs of a warehouse, whatever language it speaks. ``stampede-wms/1`` is one dialect; another is another adapter."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from schemas.providers.wms import Envelope, StockSnapshot


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """The warehouse has the message, now or since an earlier try."""


class NotTaken(msgspec.Struct, frozen=True, kw_only=True):
    """It was read and refused: the same message will be refused again. ``reason`` is for staff."""

    reason: str


class Unknown(msgspec.Struct, frozen=True, kw_only=True):
    """It is not known whether the message has arrived. answered: the other side did answer (and so is there)."""

    reason: str
    answered: bool


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """Messages after a cursor, oldest first. ``bodies`` are as they would have come by webhook."""

    messages: tuple[Envelope, ...]
    bodies: tuple[bytes, ...]
    next_cursor: str
    more: bool


class Warehouse(Protocol):
    """One connection. Times out by itself; nothing is raised but bugs."""

    async def send(self, message_id: str, body: bytes) -> Taken | NotTaken | Unknown:
        """Tell it something. The same id may be sent any number of times: it counts once there."""
        ...

    async def changes(self, cursor: str, limit: int) -> Changes | Unknown:
        """What happened there after the cursor ('' : from the beginning), also what was told by webhook."""
        ...

    async def snapshot(self, snapshot_id: str, page: int) -> StockSnapshot | Unknown:
        """One page of a count. The first page of an empty ``snapshot_id`` makes a new one, which the others name."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class Dialect(Protocol):
    """Makes the :class:`Warehouse` of a connection."""

    def __call__(self, url: str, secrets: Sequence[str], answer_secrets: Sequence[str]) -> Warehouse:
        """``secrets`` sign what we send, the first being the newest; ``answer_secrets`` may have signed what comes back."""
        ...
