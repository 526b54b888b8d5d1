"""Passwords: argon2id in a few threads, behind a short queue, and never on the event loop."""

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError
from zxcvbn import zxcvbn

from serve.requests import Refusal

R = TypeVar("R")

MEMORY_KIB: Final = 19 * 1024
ROUNDS: Final = 2
"""OWASP's second choice for argon2id: some 40 ms of a core."""

WAITING_MAX: Final = 32
"""Hashes that wait: two seconds of work for two threads. The next one is told to come back."""

SCORE_MIN: Final = 2
JUDGED_MAX: Final = 72
"""Characters that are judged for strength; a longer password is at least as good."""


class Passwords:
    """The hashing threads of one replica."""

    def __init__(self, threads: int) -> None:
        self._hasher = PasswordHasher(time_cost=ROUNDS, memory_cost=MEMORY_KIB, parallelism=1)
        self._threads = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="argon2")
        self._under_way = 0
        self._max = WAITING_MAX + threads
        # Somebody unknown costs the same as somebody known: no list of users by stopwatch.
        self._nobody = self._hasher.hash("nobody has this password")

    async def judge(self, password: str, email: str) -> None:
        """Refusal ``weak_password``, before anything is spent on it; ``busy`` when too many wait."""
        if not await self._run(_is_good, _canonical(password), email):
            raise Refusal("weak_password")

    async def hashed(self, password: str, email: str) -> str:
        """The hash to keep. Refusal ``weak_password``; ``busy`` when too many wait."""
        return await self._run(self._hash, _canonical(password), email)

    async def fits(self, password: str, kept: str | None) -> bool:
        """Whether this is the password of a kept hash; False, after the same time, when there is none."""
        return await self._run(self._verify, _canonical(password), kept or self._nobody) and kept is not None

    def is_old(self, kept: str) -> bool:
        """True when a hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(kept)

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[str, str], R], first: str, second: str) -> R:
        if self._under_way >= self._max:
            raise Refusal("busy")
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, first, second)
        finally:
            self._under_way -= 1

    def _hash(self, password: str, email: str) -> str:
        if not _is_good(password, email):
            raise Refusal("weak_password")
        return self._hasher.hash(password)

    def _verify(self, password: str, kept: str) -> bool:
        try:
            return self._hasher.verify(kept, password)
        except (VerifyMismatchError, VerificationError, InvalidHashError):
            return False


def _is_good(password: str, email: str) -> bool:
    parts = [part for part in email.replace("@", ".").split(".") if part]
    return bool(zxcvbn(password[:JUDGED_MAX], user_inputs=[email, *parts])["score"] >= SCORE_MIN)


def _canonical(password: str) -> str:
    """One form for what looks the same on two keyboards."""
    return unicodedata.normalize("NFC", password)
