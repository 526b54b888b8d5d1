"""The kinds of entity, and how their commands, events and states are written down.

A new kind is one line in :data:`KINDS`. Tags are unique over all kinds, so that a journal row, a
message or a reply needs no more than its own bytes to be read.
"""

import zlib
from typing import Any, Final, Union

import msgspec

from actors.domain.admission import AdmissionKind
from actors.domain.cart import CartKind
from actors.domain.codes import CodesKind
from actors.domain.entity import Kind, Refused
from actors.domain.factors import FactorsKind
from actors.domain.member import MemberKind
from actors.domain.order import OrderKind
from actors.domain.quota import QuotaKind
from actors.domain.sessions import SessionsKind
from actors.domain.sms_budget import SmsBudgetKind
from actors.domain.stock import StockKind
from schemas import gateway

KINDS: Final[dict[str, Kind]] = {
    kind.name: kind
    for kind in (
        StockKind(),
        OrderKind(),
        CartKind(),
        SessionsKind(),
        QuotaKind(),
        AdmissionKind(),
        CodesKind(),
        SmsBudgetKind(),
        FactorsKind(),
        MemberKind(),
    )
}

READS: Final = frozenset(command for kind in KINDS.values() for command in kind.reads)
"""Commands that only look: asked twice, they do no harm, and nothing of them is written down."""

ENDING: Final = frozenset(command for kind in KINDS.values() for command in kind.ending)
"""Commands that a host takes also when it has no room for anything new."""

EFFECT_COMMANDS: Final = (gateway.GatewayOpen, gateway.GatewayLookup, gateway.GatewayClose, gateway.GatewayRefund)
EFFECT_REPLIES: Final = (gateway.GatewayPayment, gateway.GatewayRefunded)

_COMMANDS: Any = Union[tuple(command for kind in KINDS.values() for command in kind.commands)]  # noqa: UP007
_SENDABLE: Any = Union[(*(command for kind in KINDS.values() for command in kind.commands), *EFFECT_COMMANDS)]
_EVENTS: Any = Union[tuple(event for kind in KINDS.values() for event in kind.events)]  # noqa: UP007
_REPLIES: Any = Union[(*(reply for kind in KINDS.values() for reply in kind.replies), *EFFECT_REPLIES, Refused, None)]

Body: Any = msgspec.defstruct(
    "Body",
    [
        ("events", list[_EVENTS]),
        ("digest", bytes, b""),
        ("answer", _REPLIES, None),
        ("completes", list[tuple[bytes, _REPLIES]], []),
    ],
    array_like=True,
    frozen=True,
    kw_only=False,
    namespace={"__doc__": "The body of a journal row: the events of a turn, and the answers it gave by command id."},
)

BodyEvents: Any = msgspec.defstruct(
    "BodyEvents",
    [("events", list[_EVENTS]), ("digest", bytes, b"")],
    array_like=True,
    frozen=True,
    namespace={"__doc__": "A body without its answers, for those who follow what happened: half the time to read."},
)

WireSend: Any = msgspec.defstruct(
    "WireSend",
    [("id", bytes), ("step", str), ("kind", str), ("key", str), ("command", _SENDABLE)],
    array_like=True,
    frozen=True,
    namespace={"__doc__": "A send as it is journalled."},
)

Meta: Any = msgspec.defstruct(
    "Meta",
    [("sends", list[WireSend], []), ("acks", list[bytes], [])],
    array_like=True,
    frozen=True,
    namespace={"__doc__": "What a turn sent to others, and which earlier sends it settled."},
)

WireAnswer: Any = msgspec.defstruct(
    "WireAnswer",
    [("reply", _REPLIES, None), ("code", str, ""), ("params", dict[str, Any], {}), ("shard", int, -1), ("seq", int, 0)],
    array_like=True,
    frozen=True,
    namespace={"__doc__": "``schemas.envelope.Answer`` with its reply typed."},
)

encoder: Final = msgspec.msgpack.Encoder()
command_decoder: Final[Any] = msgspec.msgpack.Decoder(_COMMANDS)
body_decoder: Final[Any] = msgspec.msgpack.Decoder(Body)
events_decoder: Final[Any] = msgspec.msgpack.Decoder(BodyEvents)
meta_decoder: Final[Any] = msgspec.msgpack.Decoder(Meta)
answers_decoder: Final[Any] = msgspec.msgpack.Decoder(list[WireAnswer])


class Seen(msgspec.Struct, gc=False, kw_only=True, array_like=True):
    """What is remembered of a command: its digest, when, and its answer (None while it is open)."""

    digest: bytes
    at_ms: int
    answer: Any = None


_SEEN: Any = msgspec.defstruct("_SeenTyped", [("digest", bytes), ("at_ms", int), ("answer", _REPLIES, None)], array_like=True)
_STATE_DECODERS: Final[dict[str, Any]] = {
    name: msgspec.msgpack.Decoder(tuple[kind.state, dict[bytes, _SEEN]])  # type: ignore[name-defined]
    for name, kind in KINDS.items()
}


def pack_state(state: Any, seen: dict[bytes, Any]) -> bytes:
    """A snapshot's data: a checksum, then state and remembered commands."""
    data = encoder.encode((state, seen))
    return zlib.crc32(data).to_bytes(4, "big") + data


def unpack_state(kind: str, data: bytes) -> tuple[Any, dict[bytes, Any]]:
    """The inverse of :func:`pack_state`. ValueError when the bytes are not what was written."""
    if zlib.crc32(data[4:]).to_bytes(4, "big") != data[:4]:
        raise ValueError(f"a snapshot of {kind} has a bad checksum")
    state, seen = _STATE_DECODERS[kind].decode(data[4:])
    return state, {key: Seen(digest=item.digest, at_ms=item.at_ms, answer=item.answer) for key, item in seen.items()}
