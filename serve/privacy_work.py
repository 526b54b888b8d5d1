"""What one replica does for people in the background: copies that wait, merges left half done, resets of factors,
and who is due to be forgotten."""

from typing import Any, Final

import structlog

from actors.ports.journal import StorageUnknown
from actors.storage.connect import LOST
from actors.storage.events.copying import events_of
from actors.storage.personal_data import PersonalData
from serve.answers import timestamp
from serve.desk import Desk
from serve.factor_resets import carry_out
from serve.merging import follow_merges
from serve.privacy_copy import copy_of
from serve.requests import Refusal
from serve.second_factor import remove_factors
from serve.shop.sessions import end_sessions, sessions_of

log = structlog.get_logger("stampede.privacy")

LOOK_S: Final = 5.0
ERASE_EVERY: Final = 120
"""Looks between two of the erasures: ten minutes, where the time of regret is days."""

ERASED_AT_ONCE_MAX: Final = 100
CLEARED_AT_ONCE_MAX: Final = 100


class PrivacyWork:
    """One a replica; of several, each job is done by one. One job at a time: shoppers come first."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._cleared_to = ""
        self._data = PersonalData(desk.services.pool, desk.identities, desk.addresses, desk.orders, desk.user_keys)

    async def run(self) -> None:
        """Work for ever. What fails is logged and tried again."""
        looks = 0
        while True:
            await self._desk.clock.sleep(LOOK_S)
            try:
                await self.copy_one()
                await follow_merges(self._desk)
                if looks % ERASE_EVERY == 0:
                    await self.forget()
                while await carry_out(self._desk) is not None:
                    pass
            except (StorageUnknown, *LOST) as error:
                log.info("privacy_work_waits", reason=type(error).__name__)
            except Exception:
                log.exception("privacy_work_failed")
            looks += 1

    async def copy_one(self) -> str | None:
        """Make the copy that has waited longest; its id, None when none waits."""
        return await self._desk.privacy.make_one(self._copy, self._desk.settings.retain_export_days)

    async def forget(self) -> list[str]:
        """Forget whoever is due, clear what owners hold of the erased, and drop old copies; answers who was forgotten."""
        found: list[str] = []
        while len(found) < ERASED_AT_ONCE_MAX and (user_id := await self._desk.privacy.erase_one()) is not None:
            log.info("person_erased", user_id=user_id)
            found.append(user_id)
        await self.clear()
        await self._desk.privacy.drop_expired()
        return found

    async def clear(self) -> list[str]:
        """End sessions and take second factors away from whoever was erased, here or by ``stampede privacy run``; answers who.

        What is left to do is a line in the table: a crash in between, or an owner that is away, is made up for by a later look. Each
        look goes on after the last one, so that those who cannot be cleared stand in nobody's way.
        """
        waiting = await self._desk.privacy.to_clear(self._cleared_to, CLEARED_AT_ONCE_MAX)
        self._cleared_to = waiting[-1] if len(waiting) == CLEARED_AT_ONCE_MAX else ""
        return [user_id for user_id in waiting if await self._clear(user_id)]

    async def _clear(self, user_id: str) -> bool:
        try:
            await end_sessions(self._desk, user_id)
            await remove_factors(self._desk, user_id)
        except Refusal as refused:
            log.info("erased_person_not_cleared", user_id=user_id, reason=refused.code)
            return False
        await self._desk.privacy.cleared(user_id)
        return True

    async def _copy(self, user_id: str, language: str) -> bytes:
        data = await self._data.of_user(user_id)
        data["sessions"] = await self._sessions(user_id)
        desk = self._desk
        everyone = [user_id, *await desk.users.merged_into(user_id)]
        events = await events_of(desk.services.pool, desk.event_people.names, desk.settings.lake_path, everyone)
        return copy_of(data, language, events)

    async def _sessions(self, user_id: str) -> list[dict[str, Any]]:
        try:
            found = await sessions_of(self._desk, user_id)
        except Refusal as refused:
            # Their owner is busy or moving: the copy is tried again, rather than made without them.
            raise StorageUnknown(refused.code) from refused
        return [
            {
                "session_id": view.session_id,
                "device": view.device,
                "created_at": timestamp(view.created_at_ms),
                "used_at": timestamp(view.used_at_ms),
            }
            for view in found.sessions
        ]
