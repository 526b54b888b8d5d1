"""The watch over goods as a process: one round of it (``actors.storage.watch``), then it ends, so that nobody carries it in memory.

The coordinator starts one every so often. It works at the lowest priority and rests as long as it works: judging fifty thousand
products takes seconds of a core, which belong to the orders whenever there are any.
"""

import asyncio
import os
import sys
from typing import Final

import structlog

from actors.ports.journal import StorageUnknown
from actors.runtime.config import read_config
from actors.runtime.logs import configure_logs
from actors.runtime.upkeep import NICE
from actors.storage.watch.rounds import Round, run_round
from schemas.settings import Settings

log = structlog.get_logger("stampede.goods")

MODULE: Final = "actors.runtime.goods_watch"
REST: Final = 1.0


async def run_watch(settings: Settings) -> Round:
    """One gentle round. StorageUnknown when the database was lost on the way."""
    assert settings.database_url is not None, "the watch is given its database"
    return await run_round(settings.database_url, rest=REST)


def main(config: str) -> int:
    """The exit code: 0 when the round was whole, or another one was at work; 1 when its time was over; 2 when the database was lost."""
    os.nice(NICE)
    settings = read_config(config)
    configure_logs(settings)
    try:
        done = asyncio.run(run_watch(settings))
    except StorageUnknown as error:
        log.warning("goods_watch_interrupted", reason=error.reason)
        return 2
    if done.products or done.counted:
        log.info("goods_watched", counted=done.counted, products=done.products, tags=done.tags, proposals=done.proposals)
    return 0 if done.whole else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
