"""The landing of events as a process: it begins, lands what waits on this node, and ends. At the lowest priority, as the upkeep.

The first host of each node starts one from time to time: spools are a node's own.
"""

import asyncio
import os
import sys
from typing import Final

import structlog

from actors.ports.journal import StorageUnknown
from actors.runtime.config import read_config
from actors.runtime.logs import configure_logs
from actors.runtime.upkeep import FIRST_S, NICE, UpkeepTimer
from actors.storage.events.landing import Landing, LandingReport, land
from schemas.settings import Settings

log = structlog.get_logger("stampede.events")

MODULE: Final = "actors.runtime.landing"
AGAIN_S: Final = 10.0
"""Pause after a landing could not even be started."""


def landing_of(settings: Settings) -> Landing:
    """What the settings ask of a landing."""
    return Landing(
        lake=settings.lake_path,
        spool=settings.events_spool_path,
        keep_days=settings.events_keep_days,
        free_bytes_min=settings.events_free_bytes_min,
    )


async def run_landing(settings: Settings) -> LandingReport:
    """One run. StorageUnknown when the database was lost on the way."""
    assert settings.database_url is not None, "the landing is given its database"
    return await land(settings.database_url, landing_of(settings))


async def keep_landing(config: str, settings: Settings, *, first_s: float = FIRST_S) -> None:
    """For ever: a landing of this node's events every so often."""
    log_file = settings.data_path / "events" / "landing.log"
    while True:
        timer = UpkeepTimer(config, settings.events_land_s, log_file, first_s=first_s, module=MODULE)
        try:
            await timer.run()
        except OSError as error:
            log.warning("landing_not_started", reason=str(error))
        await asyncio.sleep(AGAIN_S)


def main(config: str) -> int:
    """The exit code: 0 when all went well, 1 when a person must look, 2 when the database was lost."""
    os.nice(NICE)
    settings = read_config(config)
    configure_logs(settings)
    try:
        report = asyncio.run(run_landing(settings))
    except StorageUnknown as error:
        log.warning("landing_interrupted", reason=error.reason)
        return 2
    if report.rows or report.expired:
        log.info("events_landed", rows=report.rows, files=report.files, duplicates=report.duplicates, expired=report.expired)
    if report.problem:
        log.error("landing_problem", problem=report.problem)
    return 1 if report.problem else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
