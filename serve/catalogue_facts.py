"""Prices, sales and coupons in one replica, never older than a second."""

from collections.abc import Callable
from typing import Any, Final

from actors.owners.facts import FactCache, NeedsFacts
from actors.owners.limits import Limits
from actors.ports.clock import Clock
from actors.ports.peers import FactSource
from serve.requests import Refusal

TRIES: Final = 3


class CatalogueFacts:
    """The owners' cache of facts, for the edge: what it decides by is decided again by the owner, from its own."""

    def __init__(self, source: FactSource, clock: Clock) -> None:
        self._cache = FactCache(source, clock, Limits())

    def get(self, names: tuple[str, ...]) -> dict[str, Any] | None:
        """The facts, if they are here and fresh; a name that does not exist is None or absent."""
        try:
            return self._cache.get(names)
        except NeedsFacts:
            return None

    async def fetch(self, names: tuple[str, ...]) -> dict[str, Any]:
        """The facts, read now if need be. Refusal ``storage_unavailable`` when they cannot be."""
        for _ in range(TRIES):
            facts = self.get(names)
            if facts is not None:
                return facts
            if not await self._cache.fetch(list(names)):
                break
        raise Refusal("storage_unavailable")

    @property
    def heard_ms(self) -> float:
        """What was committed before this moment (monotonic) is known here."""
        return self._cache.heard_ms

    def on_news(self, heard: Callable[[list[str] | None], None]) -> None:
        """Call this with the names of facts that changed; with None when any may have."""
        self._cache.on_news = heard

    async def keep_fresh(self) -> None:
        """Renew for ever, so that nobody waits for it."""
        await self._cache.keep_fresh()
