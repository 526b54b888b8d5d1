"""``python -m serve.hashing THREADS``: computes password hashes for its parent, in a process of low priority.

Not in threads of the replica: a thread that gives way to everybody and holds the interpreter's lock when it is
interrupted stops the event loop until it has its turn again, and one of the same priority takes the loop's core.

Asked and answered by lines of JSON over the socket that is its standard input; it ends when the parent has closed it.
"""

import os
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Literal

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from actors.runtime.priority import give_way

MEMORY_KIB: Final = 19 * 1024
ROUNDS: Final = 2
"""OWASP's second choice for argon2id: some 30 ms of a core."""

HASHER: Final = PasswordHasher(time_cost=ROUNDS, memory_cost=MEMORY_KIB, parallelism=1)

SCORE_MIN: Final = 2
JUDGED_MAX: Final = 72
"""Characters that are judged for strength; a longer password is at least as good."""


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """One password. beside: the kept hash to compare with, or the e-mail address that it may not resemble."""

    number: int
    do: Literal["judge", "hash", "verify"]
    password: str
    beside: str

    def __repr__(self) -> str:
        return f"Work(number={self.number}, do={self.do!r})"


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it. good: strong enough, or the right one. kept: the hash, of a strong one that was to be hashed."""

    number: int
    good: bool
    kept: str = ""

    def __repr__(self) -> str:
        return f"Done(number={self.number}, good={self.good})"


def done(work: Work) -> Done:
    """Carry out one piece of work."""
    match work.do:
        case "verify":
            return Done(number=work.number, good=_fits(work.password, work.beside))
        case "judge":
            return Done(number=work.number, good=_is_strong(work.password, work.beside))
        case "hash":
            good = _is_strong(work.password, work.beside)
            return Done(number=work.number, good=good, kept=HASHER.hash(work.password) if good else "")


def _fits(password: str, kept: str) -> bool:
    try:
        return HASHER.verify(kept, password)
    except (VerifyMismatchError, VerificationError, InvalidHashError):
        return False


def _is_strong(password: str, email: str) -> bool:
    # Its word lists take as much memory as all the rest here, and a login needs none of them.
    from zxcvbn import zxcvbn

    parts = [part for part in email.replace("@", ".").split(".") if part]
    return bool(zxcvbn(password[:JUDGED_MAX], user_inputs=[email, *parts])["score"] >= SCORE_MIN)


def _stay_on_half() -> None:
    """Run on half of the cores: one that a hash never takes is where everybody else wakes at once.

    The same cores for every replica of a machine, so that their processes together take no more.
    """
    if sys.platform == "linux":
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[len(cores) // 2 :])


def main() -> None:
    """Work until the parent is gone."""
    give_way()
    _stay_on_half()
    decoder, encoder, writing = msgspec.json.Decoder(Work), msgspec.json.Encoder(), threading.Lock()
    parent = socket.socket(fileno=os.dup(sys.stdin.fileno()))

    def answer(work: Work) -> None:
        line = encoder.encode(done(work)) + b"\n"
        with writing:
            parent.sendall(line)

    pool = ThreadPoolExecutor(int(sys.argv[1]))
    for line in parent.makefile("rb"):
        pool.submit(answer, decoder.decode(line))
    os._exit(0)  # nobody waits for what is still being computed


if __name__ == "__main__":
    main()
