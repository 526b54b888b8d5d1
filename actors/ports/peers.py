"""How an owner reaches what it does not own: other entities, providers, reference facts."""

from typing import Any, Final, Protocol

from actors.domain.entity import Refused


class Peers(Protocol):
    """The door to entities on other hosts."""

    async def ask(self, kind: str, key: str, command: Any, command_id: bytes) -> Any | Refused:
        """One try: the durable answer, or a refusal that is final.

        TimeoutError when it is not known whether the command took effect: ask again with the same id.
        """
        ...


class Effects(Protocol):
    """The door to third parties."""

    def handles(self, kind: str) -> bool:
        """True when sends of this kind go to a provider and not to an entity."""
        ...

    async def perform(self, kind: str, command: Any, command_id: bytes) -> Any | Refused:
        """One try, idempotent by ``command_id``. TimeoutError when the outcome is not known."""
        ...


EVERYTHING: Final = "*"
"""Instead of names: any fact may have changed."""


class FactSource(Protocol):
    """Reference data: what a checkout must know of the catalogue."""

    async def load(self, names: list[str]) -> dict[str, Any]:
        """The facts that exist among ``sku:..``, ``sale:..``, ``coupon:..``. StorageUnknown when they cannot be read."""
        ...

    async def changed(self, since: int) -> tuple[int, list[str]]:
        """The newest version, and the names of facts changed after ``since``; ``EVERYTHING`` alone where there are too many to name.

        StorageUnknown as above.
        """
        ...
