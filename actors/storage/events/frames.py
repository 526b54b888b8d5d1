"""The bytes of a spool: a head with a random mark, then one frame a batch (mark, length, CRC, MessagePack).

A frame is found by the mark of its file: after a torn one reading goes on at the next, and a text that somebody
sends cannot look like one, because nobody outside knows the mark.
"""

import zlib
from collections.abc import Iterator
from typing import Any, Final

import msgspec

HEAD: Final = b"stampede events\1"
MARK_BYTES: Final = 8
HEAD_BYTES: Final = len(HEAD) + MARK_BYTES
FRAME_BYTES_MAX: Final = 4 * 1024 * 1024
"""More than the largest body can become."""

_NUMBERS: Final = MARK_BYTES + 8


class SpooledBatch(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One accepted batch. received_ms: UTC. skew_ms: what is added to the terminal's times. actor, visitor, session: pseudonyms.

    events: ``schemas.http.events`` when it is written, plain maps when it is read: a spool may be younger than its reader.
    """

    received_ms: int
    skew_ms: int
    actor: str
    visitor: str
    session: str
    terminal: str
    campaign: Any
    events: list[Any]


_decoder: Final = msgspec.msgpack.Decoder(SpooledBatch)
encode_batch: Final = msgspec.msgpack.Encoder().encode


def head_of(mark: bytes) -> bytes:
    """The beginning of a file whose frames carry this mark."""
    return HEAD + mark


def frame_of(mark: bytes, payload: bytes) -> bytes:
    """One frame."""
    return b"".join((mark, len(payload).to_bytes(4, "big"), zlib.crc32(payload).to_bytes(4, "big"), payload))


def read_frames(data: bytes) -> Iterator[SpooledBatch | None]:
    """The batches of a file in their order; None for each stretch that cannot be read, such as the end after a kill."""
    mark = data[len(HEAD) : HEAD_BYTES]
    if data[: len(HEAD)] != HEAD or len(mark) < MARK_BYTES:
        if data:
            yield None
        return
    at = HEAD_BYTES
    while at < len(data):
        payload = _payload(data, at, mark)
        batch = None if payload is None else _batch(payload)
        yield batch
        if payload is None:
            at = data.find(mark, at + 1)
            if at < 0:
                return
        else:
            at += _NUMBERS + len(payload)


def _payload(data: bytes, at: int, mark: bytes) -> bytes | None:
    start = at + _NUMBERS
    if data[at : at + MARK_BYTES] != mark or len(data) < start:
        return None
    length = int.from_bytes(data[at + MARK_BYTES : at + MARK_BYTES + 4], "big")
    payload = data[start : start + length]
    whole = length <= FRAME_BYTES_MAX and len(payload) == length
    return payload if whole and zlib.crc32(payload).to_bytes(4, "big") == data[start - 4 : start] else None


def _batch(payload: bytes) -> SpooledBatch | None:
    try:
        return _decoder.decode(payload)
    except msgspec.DecodeError:
        return None
