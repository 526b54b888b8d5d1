"""``stampede watch``: a round of the watch over goods at once, and counting all sales anew."""

import asyncio
from typing import TYPE_CHECKING

from schemas.settings import Settings
from serve.cli.door import open_connection, with_database
from serve.cli.words import Trouble, say

if TYPE_CHECKING:
    from actors.storage.watch.rounds import Round


def watch(settings: Settings, *, recount: bool = False) -> "Round":
    """One round. Trouble as ``serve.cli.door``."""
    with with_database(settings) as found:
        return asyncio.run(_watch(found, recount))


async def _watch(settings: Settings, recount: bool) -> "Round":
    from actors.ports.journal import StorageUnknown
    from actors.storage.watch.rounds import run_round
    from actors.storage.watch.selling import ask_recount

    assert settings.database_url is not None, "with_database gives one"
    async with open_connection(settings) as connection:
        if recount:
            await ask_recount(connection)
        try:
            return await run_round(settings.database_url)
        except StorageUnknown as error:
            raise Trouble("database_away", reason=error.reason) from error


def words(done: "Round") -> str:
    """What the round did."""
    if not done.alone:
        return say("watch_busy")
    counts = {name: f"{getattr(done, name):,}" for name in ("counted", "products", "tags", "proposals")}
    return say("watched", **counts)
