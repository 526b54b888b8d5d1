"""The indexer of a node as a process: it follows what products are found by, and ends by itself when nothing changes for long.

The first host of each node keeps one: the index lies on the node's own disk, for the replicas of the node. It runs at a low
priority, but not the lowest: an index that follows within two seconds has to have a turn now and then while a crowd buys.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from actors.runtime.config import read_config
from actors.runtime.logs import configure_logs
from schemas.settings import Settings

log = structlog.get_logger("stampede.search")

MODULE: Final = "actors.runtime.indexing"
NICE: Final = 15
FIRST_S: Final = 2.0
"""After a start the owners come first."""
AGAIN_S: Final = 1.0
"""Pause before an indexer that ended is begun anew; one that fails again and again waits longer each time."""
AGAIN_S_MAX: Final = 30.0


async def run_indexing(settings: Settings, alive: Callable[[], bool]) -> bool:
    """Follow until nothing has changed for long. False where another process does."""
    # Loaded here: the host that keeps the indexer needs none of it.
    from actors.storage.search.indexer import Busy, Indexer, held

    assert settings.database_url is not None, "the indexer is given its database"
    try:
        with held(settings.search_path):
            indexer = Indexer(settings.database_url, settings.search_path)
            try:
                await indexer.run(alive, every_s=settings.search_follow_ms / 1000)
            finally:
                await indexer.close()
    except Busy:
        return False
    return True


async def keep_indexing(config: str, settings: Settings, *, first_s: float = FIRST_S) -> None:
    """For ever: one indexer on this node. It is killed when this is cancelled, and ends by itself when this process is gone."""
    if not settings.search_follow_ms:
        return
    log_file = settings.data_path / "search.log"
    await asyncio.sleep(first_s)
    pause = AGAIN_S
    while True:
        try:
            code = await _once(config, log_file)
        except OSError as error:
            log.warning("indexer_not_started", reason=str(error))
            code = 1
        pause = AGAIN_S if code == 0 else min(pause * 2, AGAIN_S_MAX)
        await asyncio.sleep(pause if code else 0)


def _start(config: str, log_file: Path) -> "subprocess.Popen[bytes]":
    with log_file.open("ab") as output:
        return subprocess.Popen([sys.executable, "-m", MODULE, config], stdin=subprocess.DEVNULL, stdout=output, stderr=output)


async def _once(config: str, log_file: Path) -> int:
    process = _start(config, log_file)
    try:
        # On a thread: Ray runs this loop beside the main thread, where signals of children do not come.
        return await asyncio.to_thread(process.wait)
    finally:
        process.kill()


def main(config: str) -> int:
    """The exit code: 0 after a long quiet, 2 where another process indexes."""
    os.nice(NICE)
    settings = read_config(config)
    configure_logs(settings)
    parent = os.getppid()
    return 0 if asyncio.run(run_indexing(settings, lambda: os.getppid() == parent)) else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
