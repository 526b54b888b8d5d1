"""The memory of this process, as a host needs it."""

from typing import Protocol


class Memory(Protocol):
    """Measured often: both are cheap."""

    def used(self) -> int:
        """Bytes of this process alone that are in the machine's memory now."""
        ...

    def give_back(self) -> None:
        """Return to the system what was freed; a process keeps it otherwise."""
        ...
