"""``stampede drain``: a host gives its shards to the others, and takes none until that is undone."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from schemas.settings import Settings
from serve.cli.door import running
from serve.cli.words import Trouble, say

if TYPE_CHECKING:
    from actors.storage.board import PostgresBoard

LOOK_S: Final = 0.2
WAIT_S: Final = 120.0


def drain(settings: Settings, host: str, progress: Callable[[str], None], *, undo: bool = False) -> None:
    """Mark the host, and wait until it owns nothing. Trouble: ``host_unknown``, ``host_alone``, ``drain_slow``."""
    asyncio.run(_drain(running(settings), host, progress, undo))


async def _drain(settings: Settings, host: str, progress: Callable[[str], None], undo: bool) -> None:
    from actors.ports.journal import StorageUnknown
    from actors.storage.board import PostgresBoard

    board = PostgresBoard(str(settings.database_url), "cli")
    try:
        leases = [lease for lease in await board.hosts() if lease.alive]
        if host not in {lease.host for lease in leases}:
            raise Trouble("host_unknown", host=host, hosts=", ".join(lease.host for lease in leases) or "-")
        if not undo and not any(lease.host != host and not lease.draining for lease in leases):
            raise Trouble("host_alone", host=host)
        await board.drain(host, not undo)
        if undo:
            return
        await _until_empty(board, host, progress)
    except StorageUnknown as error:
        raise Trouble("database_away", reason=error.reason) from error
    finally:
        await board.close()


async def _until_empty(board: "PostgresBoard", host: str, progress: Callable[[str], None]) -> None:
    loop = asyncio.get_running_loop()
    deadline, last = loop.time() + WAIT_S, -1
    while (left := sum(row.host == host for row in await board.shards())) > 0:
        if left != last:
            progress(say("draining", host=host, count=left))
            last = left
        if loop.time() > deadline:
            raise Trouble("drain_slow", host=host, count=left, seconds=round(WAIT_S))
        await asyncio.sleep(LOOK_S)
