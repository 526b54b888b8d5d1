"""Who may have a password judged next: a short line at the door, in which whoever has tried least stands first.

A stuffing attack brings a list of other shops' passwords from thousands of addresses, each of which asks seldom: no
limit of one account or one address notices it. What it cannot hide is that its addresses come again. So the line goes
by the tries of an address in the last hours, refused ones included, and a customer who logs in for the first time
today passes all of them. Nothing is read, decoded or looked up for those whom the line turns away, and nothing here
depends on whether an account exists.
"""

import asyncio
from bisect import insort
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from types import TracebackType
from typing import Final

from serve.login_tries import LoginTries
from serve.requests import Refusal

PATHS: Final = frozenset({"/v1/sessions", "/v1/users", "/v1/passwords/reset", "/staff/login"})
"""What is asked with a password by whoever likes to."""

TURNS_PER_THREAD: Final = 2
"""Requests inside for each hashing thread: one is hashed, the other reads its account or opens its session."""

WAITING_MAX: Final = 32
"""Requests in the line: two seconds of work for two threads. Whoever stands last is told to come back."""

AGAIN_S: Final = 2

FORGIVEN_MS: Final = 3_600_000.0
"""One try of an address is forgotten after this: an office of a hundred people is not behind for long."""

TRIES_MAX: Final = 100
"""More are not held against an address."""


class Place:
    """A request that has a turn or waits for one. As a context it waits, and ends the turn; one that ends well is no try."""

    __slots__ = ("_guard", "_network", "_order", "_turn")

    def __init__(self, guard: "LoginGuard", network: str, order: tuple[float, int]) -> None:
        self._guard = guard
        self._network = network
        self._order = order
        self._turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def __lt__(self, other: "Place") -> bool:
        """Before whom tried more, or came later."""
        return self._order < other._order

    async def __aenter__(self) -> None:
        try:
            await self._turn
        except asyncio.CancelledError:
            self._guard.left(self, has_turn=not self._turn.cancelled())
            raise

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._guard.left(self, has_turn=True)
        if error is None:
            self._guard.forgive(self._network)

    def begin(self) -> bool:
        """Give it the turn; False when nobody waits here any more."""
        if self._turn.done():
            return False
        self._turn.set_result(None)
        return True

    def turn_away(self) -> None:
        """Somebody who tried less has come."""
        if not self._turn.done():
            self._turn.set_exception(_busy())


class LoginGuard:
    """The line of one replica; what is held against whom, all replicas of a node remember together.

    now_ms: UTC, in milliseconds.
    """

    def __init__(self, now_ms: Callable[[], float], threads: int, tries: LoginTries) -> None:
        self._now_ms = now_ms
        self._free = threads * TURNS_PER_THREAD
        self._tries = tries
        self._line: list[Place] = []
        self._arrived = 0

    def enter(self, address: str) -> Place:
        """A place, to be used as a context at once. Refusal ``busy`` when the line is full of those who tried less.

        address: as ``Request.address`` says it; empty for this machine itself, which is never behind.
        """
        network = network_of(address)
        tries_ms = self._count(network)
        self._arrived += 1
        place = Place(self, network, (tries_ms, self._arrived))
        if self._free:
            self._free -= 1
            place.begin()
            return place
        if len(self._line) >= WAITING_MAX:
            if not place < self._line[-1]:
                raise _busy()
            self._line.pop().turn_away()
        insort(self._line, place)
        return place

    def left(self, place: Place, *, has_turn: bool) -> None:
        """A request is over, or its client gave up."""
        if has_turn:
            self._pass_on()
        elif place in self._line:
            self._line.remove(place)

    def forgive(self, network: str) -> None:
        """What came from there was right."""
        if network:
            self._tries.forgive(network, FORGIVEN_MS)

    def _pass_on(self) -> None:
        """The next in the line has the turn that became free."""
        while self._line:
            if self._line.pop(0).begin():
                return
        self._free += 1

    def _count(self, network: str) -> float:
        """Count a try of a network. Returns what was held against it before, in milliseconds until it is forgiven."""
        if not network:
            return 0.0
        now = self._now_ms()
        before_ms = max(0.0, self._tries.forgiven_at(network) - now)
        self._tries.set(network, now + min(before_ms + FORGIVEN_MS, TRIES_MAX * FORGIVEN_MS))
        return before_ms


def _busy() -> Refusal:
    return Refusal("busy", {"retry_after_s": AGAIN_S})


@lru_cache(maxsize=16_384)
def network_of(address: str) -> str:
    """Whose address it is: one of IPv6 stands for its whole /64, which is one customer of a provider."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return address
    return str(found.ipv4_mapped or IPv6Address(int(found) >> 64 << 64))
