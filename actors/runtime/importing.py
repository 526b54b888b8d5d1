"""The worker of imports, and exports, as processes: they begin, do what is to be done, and end. At the lowest priority, as the upkeep.

The replicas start one when there is something to do. Settings come by standard input: no list of processes shows them.
"""

import asyncio
import gc
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import msgspec
import structlog

from actors.ports.journal import StorageUnknown
from actors.runtime.logs import configure_logs
from actors.runtime.upkeep import NICE
from actors.storage.connect import LOST
from actors.storage.export import Wish, export_to
from actors.storage.import_work import Worker
from schemas.settings import Settings

log = structlog.get_logger("stampede.imports")

MODULE: Final = "actors.runtime.importing"
LOST_CODE: Final = 2


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a process is told. wish, path: an export into that file; without them imports are worked on."""

    settings: Settings
    wish: Wish | None = None
    path: str = ""


def start(order: Order, log_file: Path) -> "subprocess.Popen[bytes]":
    """Start a process; its words go to the log file. OSError."""
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with log_file.open("ab") as output:
        process = subprocess.Popen([sys.executable, "-m", MODULE], stdin=subprocess.PIPE, stdout=output, stderr=output)
    assert process.stdin is not None
    with process.stdin as stream:
        stream.write(msgspec.json.encode(order))
    return process


def import_folder(settings: Settings) -> Path:
    """Where this node keeps files while they are read."""
    return settings.data_path / "imports"


async def run_imports(settings: Settings) -> int:
    """Work until nothing waits; answers how many jobs. StorageUnknown."""
    assert settings.database_url is not None, "the worker is given its database"
    return await Worker(settings.database_url, import_folder(settings)).run()


def main() -> int:
    """The exit code: 0 when all went well, 2 when the database was lost."""
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    settings = order.settings
    # No lower: a writer that holds the goods' lock must get on with it.
    os.nice(NICE)
    # A hundred thousand documents without a cycle among them: looking for one again and again takes half of the time.
    gc.disable()
    configure_logs(settings)
    assert settings.database_url is not None, "the worker is given its database"
    try:
        if order.wish is None:
            asyncio.run(run_imports(settings))
        else:
            asyncio.run(export_to(settings.database_url, Path(order.path), order.wish))
    except (StorageUnknown, *LOST) as error:
        log.warning("imports_interrupted", reason=f"{type(error).__name__}: {error}")
        return LOST_CODE
    return 0


if __name__ == "__main__":
    sys.exit(main())
