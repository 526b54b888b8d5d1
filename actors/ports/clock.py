"""Time. Nothing in the core reads a clock by itself."""

from typing import Protocol


class Clock(Protocol):
    """Two times, for two uses."""

    def now_ms(self) -> int:
        """UTC in milliseconds, kept by the database's clock: deadlines and facts.

        Never goes back, and a step of this machine's wall clock does not move it.
        """
        ...

    def monotonic_ms(self) -> float:
        """Milliseconds from an arbitrary start, never set: leases and time-outs."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...
