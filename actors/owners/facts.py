"""Reference facts in a host's memory: loaded when first needed, dropped when changed, never older than a second."""

import asyncio
from typing import Any, Final

from actors.owners.limits import Limits
from actors.ports.clock import Clock
from actors.ports.journal import StorageUnknown
from actors.ports.peers import FactSource

FACTS_MAX: Final = 100_000
"""Facts kept; past it all are dropped and loaded again as needed."""

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

    async def fetch(self, names: list[str]) -> bool:
        """Read what is missing, and renew the rest when it is old. False when the source cannot be read."""
        if self._clock.monotonic_ms() > self._fresh_until_ms and not await self.refresh():
            return False
        missing = [name for name in names if name not in self._facts]
        if not missing:
            return True
        version = self._version
        try:
            found = await self._source.load(missing)
        except StorageUnknown:
            return False
        if version == self._version:
            if len(self._facts) + len(missing) > FACTS_MAX:
                self._facts = {}
            for name in missing:
                self._facts[name] = found.get(name)
        return True

    async def refresh(self) -> bool:
        """Drop what changed. Many callers share one reading."""
        if self._refreshing is None:
            self._refreshing = asyncio.ensure_future(self._refresh())
        return await asyncio.shield(self._refreshing)

    async def _refresh(self) -> bool:
        started_ms = self._clock.monotonic_ms()
        try:
            version, names = await self._source.changed(self._version)
        except StorageUnknown:
            return False
        finally:
            self._refreshing = None
        if self._version < 0:
            self._facts = {}
        if names or version != self._version:
            # A new dictionary: a turn that runs now keeps the one it began with, and a load under way is not stored.
            self._facts = {name: fact for name, fact in self._facts.items() if name not in set(names)}
        self._version = version
        self._fresh_until_ms = started_ms + self._limits.facts_age_max_ms
        return True

    async def keep_fresh(self) -> None:
        """Refresh for ever; a source that does not answer makes the facts go stale, which callers see."""
        while True:
            await self.refresh()
            await self._clock.sleep(self._limits.facts_ms / 1000)
