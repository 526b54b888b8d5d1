"""Who may hold something of a SKU: a set of reservations by the first four bytes of their ids.

Kept as bytes, four to five a reservation: Python's own sets would take seventy. A question may be
answered yes for one that is not in it (one in some hundred thousand), never no for one that is.
"""

from typing import Final

PREFIX_BYTES: Final = 4

BUCKET_BITS: Final = 12
"""A bucket of a million reservations has some 250 of them: it is searched in half a microsecond."""


class Holders:
    """Grows only. ``len`` is the number of entries that were added."""

    __slots__ = ("_buckets", "_count")

    def __init__(self) -> None:
        self._buckets: dict[int, bytearray] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, prefixes: bytes) -> None:
        """Add entries that stand one after the other."""
        buckets = self._buckets
        for at in range(0, len(prefixes), PREFIX_BYTES):
            bucket = (prefixes[at] << 8 | prefixes[at + 1]) >> (16 - BUCKET_BITS)
            rest = prefixes[at + 1 : at + PREFIX_BYTES]
            if bucket in buckets:
                buckets[bucket] += rest
            else:
                buckets[bucket] = bytearray(rest)
        self._count += len(prefixes) // PREFIX_BYTES

    def __contains__(self, prefix: bytes) -> bool:
        """False only when this entry was never added. A find that lies across two entries counts: it costs a question, no more."""
        bucket = self._buckets.get((prefix[0] << 8 | prefix[1]) >> (16 - BUCKET_BITS))
        return bucket is not None and prefix[1:PREFIX_BYTES] in bucket
