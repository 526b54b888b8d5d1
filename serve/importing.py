"""What a replica does for bulk work: it starts the worker when a job waits, and has exports made. It reads no file itself."""

import asyncio
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO, Final

import structlog

from actors.ports.journal import StorageUnknown
from actors.runtime.importing import Order, import_folder, start
from actors.storage.connect import known
from actors.storage.export import Wish, count_of, export_on
from serve.desk import Desk
from serve.requests import Refusal

log = structlog.get_logger("stampede.imports")

LOOK_S: Final = 2.0
WORK_S_MAX: Final = 1800.0
"""A worker that is busy for longer is ended; the next goes on where it was."""

FEW: Final = 200
"""Products that are exported right here: a process would take longer to begin."""
EXPORT_S_MAX: Final = 300.0
EXPORTS_MAX: Final = 2
"""Exports at once of one replica."""
PIECE_BYTES: Final = 256 * 1024


class ImportWork:
    """One a replica; of all of the shop one worker works at a time."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._process: subprocess.Popen[bytes] | None = None

    async def run(self) -> None:
        """For ever: start a worker where there is something to do. One that runs when this is cancelled is ended."""
        if self._desk.settings.database_url is None:
            return
        try:
            while True:
                await self._desk.clock.sleep(LOOK_S)
                try:
                    if await self._desk.imports.waiting():
                        await self._work()
                except (StorageUnknown, OSError) as error:
                    log.info("import_work_waits", reason=str(error))
        finally:
            if self._process is not None:
                self._process.kill()

    async def _work(self) -> None:
        settings = self._desk.settings
        self._process = await asyncio.to_thread(start, Order(settings=settings), settings.data_path / "imports" / "worker.log")
        try:
            await asyncio.wait_for(asyncio.to_thread(self._process.wait), WORK_S_MAX)
        except TimeoutError:
            log.warning("import_worker_killed", seconds=WORK_S_MAX)
        finally:
            self._process.kill()


_exports = asyncio.Semaphore(EXPORTS_MAX)


async def exported(desk: Desk, wish: Wish) -> AsyncIterator[bytes]:
    """An export as a file, whole before its first piece is given away. Refusal ``busy``, ``export_failed_now``."""
    if _exports.locked():
        raise Refusal("busy")
    folder = import_folder(desk.settings)
    async with _exports:
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        handle = await asyncio.to_thread(tempfile.NamedTemporaryFile, dir=folder, prefix="export-", delete=False)
        path = Path(handle.name)
        handle.close()
        try:
            await _export(desk, wish, path)
            # Whoever reads it slowly keeps a file open that has no name any more.
            stream = await asyncio.to_thread(path.open, "rb")
        finally:
            await asyncio.to_thread(path.unlink, missing_ok=True)
    return _pieces(stream)


async def _export(desk: Desk, wish: Wish, path: Path) -> None:
    pool = desk.services.pool
    if await known(count_of(pool, wish, FEW + 1)) <= FEW:

        async def here() -> None:
            async with pool.acquire() as connection:
                await export_on(connection, path, wish)

        await known(here())
        return
    order = Order(settings=desk.settings, wish=wish, path=str(path))
    process = await asyncio.to_thread(start, order, desk.settings.data_path / "imports" / "worker.log")
    try:
        code = await asyncio.wait_for(asyncio.to_thread(process.wait), EXPORT_S_MAX)
    except TimeoutError:
        code = -1
    finally:
        process.kill()
    if code:
        raise Refusal("export_failed_now")


async def _pieces(stream: BinaryIO) -> AsyncIterator[bytes]:
    with stream:
        while piece := await asyncio.to_thread(stream.read, PIECE_BYTES):
            yield piece
