"""The end of pictures that nothing names, in the background of the replicas."""

from typing import Final

import structlog

from actors.ports.journal import StorageUnknown
from actors.storage.connect import LOST
from actors.storage.images import DAY_MS
from serve.desk import Desk

log = structlog.get_logger("stampede.images")

LOOK_S: Final = 3600.0
"""Between two looks. Each picture is looked for once a day at most, and by one replica."""


class ImageWork:
    """One a replica."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def run(self) -> None:
        """Work for ever. What fails is logged and tried again."""
        while True:
            await self._desk.clock.sleep(LOOK_S)
            try:
                await self.collect()
            except (StorageUnknown, *LOST) as error:
                log.info("image_work_waits", reason=type(error).__name__)
            except Exception:
                log.exception("image_work_failed")

    async def collect(self) -> list[str]:
        """One look; answers which pictures went."""
        desk = self._desk
        keep_days = desk.settings.media_keep_days
        if not keep_days:
            return []
        gone = await desk.images.collect(desk.clock.now_ms(), keep_days * DAY_MS, desk.clock.sleep)
        if gone:
            log.info("images_collected", count=len(gone))
        return gone
