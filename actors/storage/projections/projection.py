"""What a projection is: it folds the records of one step into columns, and says how to write them."""

from typing import Any, ClassVar, NamedTuple, Protocol

import msgspec


class Fact(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where and when a record was written: the ``seq``-th of ``shard``, by the entity (kind, key), at ``at_ms`` (UTC)."""

    shard: int
    seq: int
    at_ms: int
    kind: str
    key: str


class Statement(NamedTuple):
    """One statement over whole columns. Tables are named without a schema: a rebuild writes beside, into another one."""

    sql: str
    columns: tuple[Any, ...]


class Projection(Protocol):
    """One step of one projection. A new object is made for every step, so that nothing of a failed one is left.

    events: the types of event that it wants. tables: what it fills, and a rebuild fills beside.
    after_swap: statements that a rebuild runs once its tables are the ones in use: triggers were silent until then.
    """

    events: ClassVar[tuple[type, ...]]
    tables: ClassVar[tuple[str, ...]]
    after_swap: ClassVar[tuple[str, ...]]

    def fold(self, fact: Fact, event: Any, turn: list[Any]) -> None:
        """Take the next event; ``turn`` holds all events of its record. Whatever is raised stops the shard at this record."""
        ...

    def statements(self) -> list[Statement]:
        """What writes everything that was folded, in order; empty when there is nothing."""
        ...
