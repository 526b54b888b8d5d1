"""A record of the journal as it is archived, and the checksum over many of them."""

import hashlib
import struct
from collections.abc import Iterable
from typing import Final

Record = tuple[int, int, int, int, str, str, bytes, bytes, bytes]
"""seq, version, at_ms, wake_ms, kind, key, command_id, body, meta: everything that a row of the journal holds but its shard."""

COLUMNS: Final = ("seq", "version", "at_ms", "wake_ms", "kind", "key", "command_id", "body", "meta")

_NUMBERS: Final = struct.Struct(">qqqqIIIII")


def checksum(shard: int, records: Iterable[Record]) -> bytes:
    """SHA-256 over the records of a shard, each value with its length: two different lists never read alike."""
    digest = hashlib.sha256(shard.to_bytes(2, "big"))
    for seq, version, at_ms, wake_ms, kind, key, command_id, body, meta in records:
        texts = (kind.encode(), key.encode(), command_id, body, meta)
        digest.update(_NUMBERS.pack(seq, version, at_ms, wake_ms, *map(len, texts)))
        digest.update(b"".join(texts))
    return digest.digest()
