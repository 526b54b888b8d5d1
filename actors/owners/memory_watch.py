"""What a host does about its own memory: drop what is idle, then take nothing new, then leave.

The limit is this host's share of the machine. Past each of three marks it does one thing more, so that
the kernel never has to choose a process to kill: it might choose PostgreSQL.
"""

from collections.abc import Awaitable, Callable
from enum import IntEnum
from typing import TYPE_CHECKING, Final

import structlog

from actors.ports.memory import Memory

if TYPE_CHECKING:
    from actors.owners.host import Host

log = structlog.get_logger("stampede.owners")

LOOK_S: Final = 1.0
SOFT_SHARE: Final = 0.70
CLOSED_SHARE: Final = 0.85
LAST_SHARE: Final = 0.95
"""Of the limit. What comes in during one look fits between two marks: 256 KB a flush, a few hundred flushes a second at most."""

EASE_SHARE: Final = 0.05
"""A mark is left only when so much less is used, so that a host does not open and close with every look."""

IDLE_MS: Final = 1000
"""Under pressure an entity that rested for this long may go."""

DROP_SHARE: Final = 0.2
"""Of the entities in memory, so many may go with one look: a host that dropped all would read them back at once."""

SETTLE_MS: Final = 20_000
"""A host that has just started does not leave again: it would come back to the same load."""


class Pressure(IntEnum):
    """How short of memory a host is."""

    NONE = 0
    SOFT = 1
    """Idle entities are dropped early."""
    CLOSED = 2
    """New commands are told ``busy``; those that end something, and what hosts tell each other, are taken."""
    LAST = 3
    """The host hands over its shards and ends; its process comes back empty."""


MARKS: Final = ((Pressure.LAST, LAST_SHARE), (Pressure.CLOSED, CLOSED_SHARE), (Pressure.SOFT, SOFT_SHARE))


def pressure_at(used: int, limit: int, before: Pressure) -> Pressure:
    """The pressure of so many bytes in use, of a limit in bytes (0: none); a mark that was passed is left a little below it."""
    if not limit:
        return Pressure.NONE
    for pressure, share in MARKS:
        if used >= limit * (share - (EASE_SHARE if before >= pressure else 0.0)):
            return pressure
    return Pressure.NONE


class MemoryWatch:
    """Looks once a second. ``used`` and ``pressure`` are what it last saw."""

    def __init__(self, host: "Host", memory: Memory, limit: int, leave: Callable[[], Awaitable[None]]) -> None:
        self._host = host
        self._memory = memory
        self._leave = leave
        self._started_ms = host.clock.monotonic_ms()
        self.limit = limit
        self.used = 0
        self.pressure = Pressure.NONE

    async def keep_watching(self) -> None:
        """Look for ever, or until the host leaves."""
        while True:
            self.look()
            if self.pressure is Pressure.LAST and self._host.clock.monotonic_ms() - self._started_ms > SETTLE_MS:
                log.error("host_leaves_for_memory", host=self._host.name, used=self.used, limit=self.limit)
                await self._leave()
                return
            await self._host.clock.sleep(LOOK_S)

    def look(self) -> None:
        """Measure, and do what the pressure asks for."""
        before = self.pressure
        self.used = self._memory.used()
        self.pressure = pressure_at(self.used, self.limit, before)
        self._host.closed = self.pressure >= Pressure.CLOSED
        if self.pressure is not before:
            log.warning("memory_pressure", host=self._host.name, pressure=self.pressure.name, used=self.used, limit=self.limit)
        if self.pressure is Pressure.NONE:
            self._host.passivate()
            return
        residents = sum(len(shard.cells) for shard in self._host.shards.values())
        if self._host.passivate(keep=int(residents * (1 - DROP_SHARE)), idle_ms=IDLE_MS):
            self._memory.give_back()
