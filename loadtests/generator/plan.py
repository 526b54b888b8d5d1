"""What a load is: the requests, in order, and when each is meant to be sent. Pure."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec

from loadtests.figures import Attempt

NUMBER: Final = "@request-number@"
"""Stands in a body for the number of its request, in as many digits."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One load, as a file that a generator process reads.

    rate_per_s: of an open load; 0 means closed: every connection sends again when it was answered.
    paths: taken in turn. body: empty for reads, which carry no Idempotency-Key; it may hold ``NUMBER`` once.
    run: begins every Idempotency-Key; the request's number ends it, so that a request can be sent again.
    first, step: request n is of the user on line (first + n * step) of the token file, cyclic.
    bodies: instead of ``body``; taken in turn from ``first`` on. addresses: likewise, each said in X-Forwarded-For.
    only: numbers of the requests to send (again); empty means all.
    niceness: of the generator, for a load that is there to disturb: it may be late, and what is measured beside it may not wait for it.
    answers_kept: whether bodies of 2xx answers are searched for their order id.
    """

    host: str
    port: int
    paths: tuple[str, ...]
    method: Literal["GET", "POST"]
    output: str
    run: str
    seconds: float
    body: str = ""
    bodies: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    tokens: str = ""
    first: int = 0
    step: int = 1
    rate_per_s: float = 0.0
    spacing: Literal["poisson", "fixed"] = "poisson"
    connections: int = 256
    timeout_s: float = 15.0
    only: tuple[int, ...] = ()
    answers_kept: bool = True
    seed: int = 1
    niceness: int = 0


class Sent(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What became of one request. Times in seconds of CLOCK_MONOTONIC; status 0 when the connection broke."""

    number: int
    intended_s: float
    done_s: float
    status: int
    order_id: str = ""
    code: str = ""

    @property
    def attempt(self) -> Attempt:
        """The same, for the arithmetic."""
        return Attempt(intended_s=self.intended_s, done_s=self.done_s, status=self.status)


_NUMBER: Final = NUMBER.encode()


def send_times(plan: Plan) -> list[float]:
    """Seconds after the start at which an open load sends; the same for the same seed."""
    if plan.spacing == "fixed":
        return [number / plan.rate_per_s for number in range(int(plan.seconds * plan.rate_per_s))]
    chance, times, at = random.Random(plan.seed), [], 0.0
    while (at := at + chance.expovariate(plan.rate_per_s)) < plan.seconds:
        times.append(at)
    return times


def read_tokens(path: str) -> list[tuple[str, str]]:
    """The (user id, access token) pairs of a seeded token file. ValueError names the first broken line."""
    pairs = []
    for number, line in enumerate(Path(path).read_text().splitlines(), start=1):
        user, tab, token = line.partition("\t")
        if not (user and tab and token):
            raise ValueError(f"{path}:{number}: expected user_id<TAB>access_token")
        pairs.append((user, token))
    return pairs


class Requests:
    """The bytes of every request of a plan, by number; what does not change is built once."""

    def __init__(self, plan: Plan, tokens: list[tuple[str, str]]) -> None:
        self._plan, self._tokens = plan, tokens
        lines = [f"Host: {plan.host}:{plan.port}"]
        if plan.method == "POST":
            lines.append("Content-Type: application/json")
        shared = "\r\n".join(lines)
        self._heads = [f"{plan.method} {path} HTTP/1.1\r\n{shared}\r\n".encode() for path in plan.paths]
        self._bearers = [f"Authorization: Bearer {token}\r\n".encode() for _, token in tokens] or [b""]
        self._bodies = [body.encode() for body in plan.bodies or (plan.body,)]
        self._sources = [f"X-Forwarded-For: {address}\r\n".encode() for address in plan.addresses] or [b""]

    def user_of(self, number: int) -> str:
        """The user who sends request ``number``; empty without tokens."""
        return self._tokens[self._line(number, len(self._tokens))][0] if self._tokens else ""

    def key_of(self, number: int) -> str:
        """The Idempotency-Key of request ``number``."""
        return f"{self._plan.run}-{number:08d}"

    def bytes_of(self, number: int) -> bytes:
        """Request ``number`` as it goes over the wire."""
        head = self._heads[number % len(self._heads)] + self._turn(self._sources, number)
        if self._plan.method == "GET":
            return head + self._turn(self._bearers, number) + b"\r\n"
        body = self._turn(self._bodies, number).replace(_NUMBER, b"%0*d" % (len(_NUMBER), number))
        length = f"Content-Length: {len(body)}\r\n".encode()
        return head + length + self._turn(self._bearers, number) + f"Idempotency-Key: {self.key_of(number)}\r\n\r\n".encode() + body

    def _turn(self, given: Sequence[bytes], number: int) -> bytes:
        return given[self._line(number, len(given))]

    def _line(self, number: int, lines: int) -> int:
        return (self._plan.first + number * self._plan.step) % lines
