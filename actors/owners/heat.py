"""How fast the busiest entities of a host change: records a second, by entity.

A flush costs one comparison for each entity in it, an order nothing. Entities below ``WARM`` records are
not looked at any further.
"""

from typing import Final

from actors.owners.cell import Cell, EntityKey
from actors.ports.clock import Clock

WARM: Final = 16
"""Records since an entity was counted last; below it nobody asks for its rate."""

SAMPLE_S: Final = 1.0


class Heat:
    """``rates``: records a second of the last sample, the busiest first."""

    def __init__(self, clock: Clock) -> None:
        self.rates: dict[EntityKey, float] = {}
        self._clock = clock
        self._warm: dict[EntityKey, Cell] = {}
        self._sampled_ms = clock.monotonic_ms()

    def note(self, cell: Cell) -> None:
        """This entity has ``WARM`` records that were not counted yet."""
        self._warm[(cell.kind_name, cell.key)] = cell

    def sample(self) -> None:
        """Count what was written since the last sample."""
        now_ms = self._clock.monotonic_ms()
        seconds = (now_ms - self._sampled_ms) / 1000
        if seconds <= 0:
            return
        rates = {entity: (cell.version - cell.counted) / seconds for entity, cell in self._warm.items()}
        for cell in self._warm.values():
            cell.counted = cell.version
        self.rates = dict(sorted(rates.items(), key=lambda item: -item[1]))
        self._warm, self._sampled_ms = {}, now_ms

    async def keep_sampling(self) -> None:
        """Sample every second, for ever."""
        while True:
            await self._clock.sleep(SAMPLE_S)
            self.sample()
