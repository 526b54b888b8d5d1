"""What an entity is: state, pure rules, and nothing else.

``decide(state, command, context)`` reads and answers with one of three outcomes; ``apply(state,
event)`` changes the state in place and never refuses. The runtime does the rest: it journals what
was accepted, answers after the commit, remembers the answer by command id, carries sends to
other entities until they are answered, and wakes the entity when ``wake_at`` says so.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Protocol

import msgspec


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag="refused"):
    """The expected "no". ``code`` is a key of ``schemas.problems.PROBLEMS``; nothing has changed."""

    code: str
    params: dict[str, Any] = {}


class Send(msgspec.Struct, frozen=True, kw_only=True):
    """A command for another entity (or a provider), carried until it is answered.

    The answer comes back to the sender as an :class:`Answered` command with the same ``step``.
    ``id`` makes it one effect however often it is carried; it must be derived from the sender's own
    ids (``schemas.ids.derived_id``) so that a crash does not change it.
    """

    id: bytes
    step: str
    kind: str
    key: str
    command: Any


class Answered(msgspec.Struct, frozen=True, kw_only=True, tag="answered"):
    """The answer to a :class:`Send`: exactly one of ``reply`` and ``refused`` is set."""

    step: str
    reply: Any = None
    refused: Refused | None = None


class Wake(msgspec.Struct, frozen=True, kw_only=True, tag="wake"):
    """The reminder fired: ``wake_at(state)`` lies in the past. May come late, twice, or after a takeover."""


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """What happened, and what to tell.

    events: facts to journal, in order; may be empty when nothing changed (a read, a repeat).
    reply: the answer to this command, or None: the answer comes with a later ``completes``.
    sends: commands for other entities.
    completes: answers to earlier commands of this entity that were left open, by command id.
    """

    events: tuple[Any, ...] = ()
    reply: Any = None
    sends: tuple[Send, ...] = ()
    completes: tuple[tuple[bytes, Any], ...] = ()


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that another entity must accept; ``keys`` are equal alternatives, tried in order."""

    kind: str
    keys: tuple[str, ...]
    command: Any


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A decision that needs others to agree.

    Where every asked entity is on this host, the runtime asks them in the same turn: all agree and
    ``direct(chosen keys, their replies)`` is committed with their events in one flush, or one refuses and
    ``refuse(index, refusal)`` is the answer and nothing has changed anywhere. Otherwise ``staged()``
    is committed: it opens the saga that reaches the same end by sends.
    """

    asks: tuple[Ask, ...]
    direct: Callable[[tuple[str, ...], tuple[Any, ...]], Accepted]
    refuse: Callable[[int, Refused], Refused]
    staged: Callable[[], Accepted]


Outcome = Accepted | Refused | Plan


class Context(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """What a decision may know beside the state: the time (UTC, ms), the command's id, and reference data."""

    at_ms: int
    command_id: bytes
    facts: Any = None


class Kind(Protocol):
    """One kind of entity. Adding a kind is: its Struct file, this, its projection, one line in ``kinds.py``.

    ``commands``, ``events``, ``replies``: the tagged Structs it understands, writes and answers with.
    ``route(key)``: the text whose hash names the shard; kinds of one user share ``user:<id>``.
    ``reads``: those of its commands that only look; every other one must come under an id with a digest, or be idempotent by itself.
    ``ending``: those of its commands that finish what was begun or give something back; they are taken also by
    a host that has no room for anything new.
    ``crowd(key, command)``: what the command contends for; when commands queue, crowds take turns.
    ``needs(command)``: names of reference facts (``sku:..``, ``sale:..``, ``coupon:..``) that ``decide``
    finds in ``context.facts``; a name that does not exist is absent there.
    """

    name: ClassVar[str]
    commands: ClassVar[tuple[type, ...]]
    reads: ClassVar[tuple[type, ...]]
    ending: ClassVar[tuple[type, ...]]
    events: ClassVar[tuple[type, ...]]
    replies: ClassVar[tuple[type, ...]]
    state: ClassVar[type]

    def route(self, key: str) -> str: ...

    def crowd(self, key: str, command: Any) -> str: ...

    def needs(self, command: Any) -> tuple[str, ...]: ...

    def new(self, key: str) -> Any: ...

    def decide(self, state: Any, command: Any, context: Context) -> Outcome: ...

    def apply(self, state: Any, event: Any) -> None: ...

    def wake_at(self, state: Any) -> int | None: ...
