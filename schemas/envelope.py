"""The envelope between a client process and a shard host: a batch of calls out, a batch of answers back."""

from typing import Any, Final

import msgspec

BATCH_BYTES_MAX: Final = 64 * 1024
"""Above 100 KB Ray moves an argument to its object store and the latency jumps fourfold."""


class Call(msgspec.Struct, gc=False, frozen=True, kw_only=True, array_like=True):
    """One command for one entity.

    id: 16 bytes made by the caller; the same id has its effect once.
    digest: hash of what the caller was asked; another digest under the same id is refused.
    deadline_ms: UTC; past it the call is dropped before it runs, never after.
    again: an earlier try may have been heard, and may even be heard later than this one: what is said now is
    said of every try, so a refusal is remembered like any other answer.
    """

    id: bytes
    kind: str
    key: str
    command: msgspec.Raw
    digest: bytes = b""
    deadline_ms: int = 0
    trace: str = ""
    again: bool = False


class Answer(msgspec.Struct, gc=False, frozen=True, kw_only=True, array_like=True):
    """The answer to one call: a reply, or a refusal's code and parameters.

    position: (shard, seq) that a reader passes on to read its own write; seq 0 when nothing was written.
    """

    reply: Any = None
    code: str = ""
    params: dict[str, Any] = {}
    shard: int = -1
    seq: int = 0
