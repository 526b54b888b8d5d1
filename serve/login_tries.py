"""What is held against the networks that logins come from: one memory for all replicas of a node.

With a memory of its own each replica would take an attack for new that the other knows already, and a customer who
comes for the first time today would stand behind addresses which have only not tried here.

Each network has one cell in either row of a table, found by a keyed hash, so that nobody can choose whose cell he shares.
The smaller of the two counts: only who shares both cells with others answers for them. With 100,000 networks in
the table that is one of a hundred, with 10,000 one of ten thousand. Nothing is locked: of two tries at once one may be forgotten.
"""

import mmap
import os
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Final

CELLS: Final = 1 << 20
"""Of one row; eight bytes each."""

ROWS: Final = 2
BYTES: Final = CELLS * ROWS * 8


class LoginTries:
    """For each network the time at which its tries will be forgiven (UTC, in milliseconds; 0 for one that is not known)."""

    def __init__(self, memory: mmap.mmap, key: bytes) -> None:
        self._memory = memory
        self._cells = memoryview(memory).cast("d")
        self._key = key
        self._places = lru_cache(maxsize=16_384)(self._find)

    @classmethod
    def shared(cls, file: Path, key: bytes) -> "LoginTries":
        """In a file that other processes of this user have open as well. OSError when there is no room.

        key: up to 64 secret bytes, the same for all of them.
        """
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(handle).st_size < BYTES:
                os.posix_fallocate(handle, 0, BYTES)  # a disk that is full says so now, not by a signal
            return cls(mmap.mmap(handle, BYTES), key)
        finally:
            os.close(handle)

    @classmethod
    def alone(cls) -> "LoginTries":
        """In the memory of this process."""
        return cls(mmap.mmap(-1, BYTES), os.urandom(32))

    def forgiven_at(self, network: str) -> float:
        """When all is forgiven; what others did may be in it, what this network did is."""
        first, second = self._places(network)
        return min(self._cells[first], self._cells[second])

    def set(self, network: str, forgiven_at: float) -> None:
        """Hold this against a network. Nothing is taken from those who share a cell."""
        for place in self._places(network):
            self._cells[place] = max(self._cells[place], forgiven_at)

    def forgive(self, network: str, ms: float) -> None:
        """Take some of it back."""
        for place in self._places(network):
            self._cells[place] -= ms

    def _find(self, network: str) -> tuple[int, int]:
        mixed = int.from_bytes(blake2b(network.encode(), key=self._key, digest_size=8, person=b"login tries").digest())
        return mixed % CELLS, CELLS + (mixed >> 32) % CELLS
