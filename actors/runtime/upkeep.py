"""The journal's upkeep as a process: it begins, does what is due, and ends, so that nothing of it stays in anyone's memory.

The coordinator starts one from time to time (:class:`UpkeepTimer`). It works at the lowest priority and rests
four times as long as it works.
"""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import structlog

from actors.owners.remembering import OwnersMemory
from actors.ports.journal import StorageUnknown
from actors.runtime.config import read_config
from actors.runtime.logs import configure_logs
from actors.storage.upkeep.report import Report, Task
from actors.storage.upkeep.upkeep import upkeep
from schemas.settings import Settings

log = structlog.get_logger("stampede.upkeep")

FIRST_S: Final = 300.0
"""After a start there is better to do; a copy that is started more often than this keeps its journal by hand."""
RUN_S_MAX: Final = 600.0
"""A run ends after this; the next one goes on where it ended."""
KILL_S: Final = 900.0
"""A run that does not end is killed: it may be, at any moment."""
REST: Final = 4.0
NICE: Final = 19


async def run_upkeep(settings: Settings) -> Report:
    """One gentle run. StorageUnknown when the database was lost on the way."""
    assert settings.database_url is not None, "the upkeep is given its database"
    task = Task(keep_ms=settings.journal_keep_days * 86_400_000, rest=REST, seconds_max=RUN_S_MAX)
    return await upkeep(settings.database_url, settings.lake_path, OwnersMemory(), task)


def main(config: str) -> int:
    """The exit code: 0 when all went well, 1 when a person must look, 2 when the database was lost."""
    os.nice(NICE)
    settings = read_config(config)
    configure_logs(settings)
    try:
        report = asyncio.run(run_upkeep(settings))
    except StorageUnknown as error:
        log.warning("upkeep_interrupted", reason=error.reason)
        return 2
    log.info("upkeep_done", archived=report.archived, pruned=report.pruned, held=report.held)
    for problem in report.problems:
        log.error("upkeep_problem", code=problem.code, shard=problem.shard, detail=problem.detail)
    return 1 if report.problems else 0


class UpkeepTimer:
    """Starts a run of a module every so often, one at a time. ``codes``: how the last ten ended; ``pid``: the one that began last."""

    def __init__(
        self, config: str, every_s: float, log_file: Path, *, first_s: float = FIRST_S, module: str = "actors.runtime.upkeep"
    ) -> None:
        self.codes: list[int] = []
        self.pid: int | None = None
        self._config = config
        self._every_s = every_s
        self._first_s = min(first_s, every_s)
        self._log_file = log_file
        self._module = module

    async def run(self) -> None:
        """For ever. A run that goes on when this is cancelled is killed."""
        if not self._every_s:
            await asyncio.Event().wait()
        await asyncio.sleep(self._first_s)
        while True:
            self.codes = [*self.codes[-9:], await self._once()]
            await asyncio.sleep(self._every_s)

    def _start(self) -> "subprocess.Popen[bytes]":
        self._log_file.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", self._module, self._config]
        with self._log_file.open("ab") as output:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)

    async def _once(self) -> int:
        process = self._start()
        self.pid = process.pid
        try:
            # On a thread: Ray runs this loop beside the main thread, where signals of children do not come.
            return await asyncio.wait_for(asyncio.to_thread(process.wait), KILL_S)
        except TimeoutError:
            log.warning("upkeep_killed", seconds=KILL_S)
            return -1
        finally:
            process.kill()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
