"""Reference facts in a host's memory: loaded when first needed, dropped when changed, never older than a second."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from actors.owners.limits import Limits
from actors.ports.clock import Clock
from actors.ports.journal import StorageUnknown
from actors.ports.peers import EVERYTHING, FactSource

FACTS_MAX: Final = 100_000
"""Facts kept; past it all are dropped and loaded again as needed."""

RENEWED_MAX: Final = 1000
"""Facts that are read again as soon as they change, so that a new price in the middle of a rush stops nobody; past it they are dropped."""

_NONE: Final[dict[str, Any]] = {}


class NeedsFacts(Exception):
    """These facts must be read first; then the turn is taken again."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(names)
        self.names = names


class FactCache:
    """Facts by name; a name that does not exist is remembered as absent until it changes."""

    def __init__(self, source: FactSource, clock: Clock, limits: Limits) -> None:
        self._source = source
        self._clock = clock
        self._limits = limits
        self._facts: dict[str, Any] = {}
        self._version = -1
        self._fresh_until_ms = -1.0
        self._refreshing: asyncio.Task[bool] | None = None
        self._loading: dict[str, asyncio.Task[bool]] = {}
        self.heard_ms = -1.0
        """What was committed before this moment (monotonic) is known here, or was dropped."""
        self.on_news: Callable[[list[str] | None], None] | None = None
        """Called with the names that changed; None: any may have."""

    def get(self, names: tuple[str, ...]) -> dict[str, Any]:
        """The facts that exist among ``names``. NeedsFacts when some must be read, or all are too old to trust."""
        if not names:
            return _NONE
        facts = self._facts
        if self._clock.monotonic_ms() > self._fresh_until_ms:
            raise NeedsFacts(list(names))
        missing = [name for name in names if name not in facts]
        if missing:
            raise NeedsFacts(missing)
        return facts

    def forget(self) -> None:
        """Trust nothing of what was read: the source is another one."""
        self._facts, self._version, self._fresh_until_ms = {}, -1, -1.0

    async def fetch(self, names: list[str]) -> bool:
        """Read what is missing, and renew the rest when it is old. False when the source cannot be read."""
        if self._clock.monotonic_ms() > self._fresh_until_ms and not await self.refresh():
            return False
        missing = [name for name in names if name not in self._facts]
        unasked = [name for name in dict.fromkeys(missing) if name not in self._loading]
        if unasked:
            reading = asyncio.ensure_future(self._load(unasked))
            self._loading |= dict.fromkeys(unasked, reading)
        # A crowd that arrives before the facts are here waits for one reading. Whoever leaves ends only its own wait.
        return all([await asyncio.shield(reading) for reading in {self._loading[name]: None for name in missing}])

    async def _load(self, names: list[str]) -> bool:
        version = self._version
        try:
            self._keep(version, names, await self._source.load(names))
        except StorageUnknown:
            return False
        finally:
            for name in names:
                del self._loading[name]
        return True

    def _keep(self, version: int, names: list[str], found: dict[str, Any]) -> None:
        """Remember what was read, unless something changed while it was."""
        if version != self._version:
            return
        if len(self._facts) + len(names) > FACTS_MAX:
            self._facts = {}
        for name in names:
            self._facts[name] = found.get(name)

    async def refresh(self) -> bool:
        """Drop what changed. Many callers share one reading."""
        if self._refreshing is None:
            self._refreshing = asyncio.ensure_future(self._refresh())
        return await asyncio.shield(self._refreshing)

    async def _refresh(self) -> bool:
        started_ms = self._clock.monotonic_ms()
        try:
            version, names = await self._source.changed(self._version)
            everything = names == [EVERYTHING]
            held = list(self._facts) if everything else [name for name in names if name in self._facts]
            renewed = await self._source.load(held) if 0 < len(held) <= RENEWED_MAX else {}
        except StorageUnknown:
            return False
        finally:
            self._refreshing = None
        first = self._version < 0
        if first:
            self._facts = {}
        if everything:
            self._facts = renewed
        elif names or version != self._version:
            changed = set(names)
            # A new dictionary: a turn that runs now keeps the one it began with, and a load under way is not stored.
            self._facts = {name: fact for name, fact in self._facts.items() if name not in changed} | renewed
        self._version = version
        self._fresh_until_ms = started_ms + self._limits.facts_age_max_ms
        self.heard_ms = started_ms
        if self.on_news is not None and (first or names):
            self.on_news(None if first or everything else names)
        return True

    async def keep_fresh(self) -> None:
        """Refresh for ever; a source that does not answer makes the facts go stale, which callers see."""
        while True:
            await self.refresh()
            await self._clock.sleep(self._limits.facts_ms / 1000)
