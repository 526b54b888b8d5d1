"""Products go on the shelf and leave it at their time: one look a second on every replica, of which one finds something to do."""

from typing import Final

import structlog

from actors.ports.journal import StorageUnknown
from actors.storage.connect import LOST
from actors.storage.shelf import Shelf
from serve.desk import Desk

log = structlog.get_logger("stampede.shelf")

LOOK_S: Final = 1.0


class ShelfWork:
    """One a replica."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._shelf = Shelf(desk.services.pool)

    async def run(self) -> None:
        """Work for ever. What fails is logged and tried again."""
        while True:
            await self._desk.clock.sleep(LOOK_S)
            try:
                while await self.look():
                    pass
            except (StorageUnknown, *LOST) as error:
                log.info("shelf_work_waits", reason=type(error).__name__)
            except Exception:
                log.exception("shelf_work_failed")

    async def look(self) -> list[str]:
        """Move what is due now; answers which products."""
        moved = await self._shelf.move_due(self._desk.clock.now_ms())
        if moved:
            log.info("products_moved_at_their_time", count=len(moved), first=moved[0])
        return moved
