"""Whether a signed-in person's events are kept: what the account said, remembered for seconds.

The landing decides by the table and the moment of arrival; what is remembered here only spares the spool and tells the terminal. So
events are taken while the database is away, and another replica's seconds-old memory keeps nothing that was denied.
"""

from typing import Final

from actors.ports.clock import Clock
from actors.ports.journal import StorageUnknown
from actors.storage.connect import LOST
from actors.storage.events.people import EventPeople

REMEMBERED_MS: Final = 5_000
REMEMBERED_MAX: Final = 50_000


class EventChoices:
    """One a replica."""

    def __init__(self, people: EventPeople, clock: Clock) -> None:
        self._people = people
        self._clock = clock
        self._known: dict[str, tuple[float, bool]] = {}

    async def denied(self, user_id: str) -> bool:
        """Whether the account said no; False also when nobody can say now."""
        now_ms = self._clock.monotonic_ms()
        known = self._known.get(user_id)
        if known is not None and now_ms < known[0]:
            return known[1]
        try:
            found = await self._people.choice(user_id)
        except (StorageUnknown, *LOST):
            return False
        denied = found is not None and found.choice == "denied"
        if len(self._known) >= REMEMBERED_MAX:
            self._known.clear()
        self._known[user_id] = now_ms + REMEMBERED_MS, denied
        return denied

    def changed(self, user_id: str) -> None:
        """The account said something new."""
        self._known.pop(user_id, None)
