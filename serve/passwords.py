"""Passwords: argon2id in a process of low priority beside the replica, behind a short queue."""

import asyncio
import itertools
import socket
import subprocess
import sys
import unicodedata
from contextlib import suppress
from typing import Final, Literal

import msgspec

from serve.hashing import HASHER, Done, Work
from serve.requests import Refusal

WAITING_MAX: Final = 32
"""Hashes that wait: a second of work for two threads on a quiet machine. The next one is told to come back."""

LINE_MAX: Final = 64 * 1024
"""An answer is a hash of a hundred characters."""


class Passwords:
    """The hashing process of one replica. It is started with the first password, and again when it died."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._max = WAITING_MAX + threads
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Done]] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        # Somebody unknown costs the same as somebody known: no list of users by stopwatch.
        self._nobody = HASHER.hash("nobody has this password")

    @property
    def under_way(self) -> int:
        """Passwords that are with the process, in its hands or in its queue."""
        return len(self._asked)

    async def judge(self, password: str, email: str) -> None:
        """Refusal ``weak_password``, before anything is spent on it; ``busy`` when too many wait."""
        if not (await self._done("judge", password, email)).good:
            raise Refusal("weak_password")

    async def hashed(self, password: str, email: str) -> str:
        """The hash to keep. Refusal ``weak_password``; ``busy`` when too many wait."""
        done = await self._done("hash", password, email)
        if not done.good:
            raise Refusal("weak_password")
        return done.kept

    async def fits(self, password: str, kept: str | None) -> bool:
        """Whether this is the password of a kept hash; False, after the same time, when there is none. Refusal ``busy``."""
        return (await self._done("verify", password, kept or self._nobody)).good and kept is not None

    def is_old(self, kept: str) -> bool:
        """True when a hash was made with other parameters than today's."""
        return HASHER.check_needs_rehash(kept)

    def close(self) -> None:
        """End the process; whoever waits for it is told to come back."""
        if self._reading is not None:
            self._reading.cancel()
        self._end()

    async def _done(self, do: Literal["judge", "hash", "verify"], password: str, beside: str) -> Done:
        if len(self._asked) >= self._max:
            raise Refusal("busy")
        number = next(self._numbers)
        # One form for what looks the same on two keyboards.
        work = Work(number=number, do=do, password=unicodedata.normalize("NFC", password), beside=beside)
        answer: asyncio.Future[Done] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        try:
            writer = await self._connected()
            writer.write(msgspec.json.encode(work) + b"\n")
            return await answer
        except OSError as error:
            raise Refusal("busy") from error
        finally:
            self._asked.pop(number, None)

    async def _connected(self) -> asyncio.StreamWriter:
        async with self._starting:
            if self._writer is None:
                reader, self._writer = await asyncio.open_connection(sock=self._started(), limit=LINE_MAX)
                self._reading = asyncio.ensure_future(self._read(reader))
            return self._writer

    def _started(self) -> socket.socket:
        """A new process; the socket to it. Not by asyncio, which in a replica does not run where children's ends are told."""
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "serve.hashing", str(self._threads)]
            self._process = subprocess.Popen(command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL)
        return ours

    async def _read(self, reader: asyncio.StreamReader) -> None:
        decoder = msgspec.json.Decoder(Done)
        with suppress(OSError):
            while line := await reader.readline():
                done = decoder.decode(line)
                answer = self._asked.get(done.number)
                if answer is not None and not answer.done():
                    answer.set_result(done)
        self._end()

    def _end(self) -> None:
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(Refusal("busy"))
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
