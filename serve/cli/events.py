"""``stampede events``: where the behaviour events are, and landing those that wait on this machine."""

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from schemas.settings import Settings
from serve.cli.door import open_connection, with_database
from serve.cli.words import Trouble, say

if TYPE_CHECKING:
    from actors.storage.events.landing import LandingReport


class EventsView(msgspec.Struct, frozen=True, kw_only=True):
    """``stampede events status --json``: the lake as ``actors.storage.events.manifest`` tells it, and what waits in this node's spool."""

    lake: Any
    spool: Any
    path: str


def status(settings: Settings) -> EventsView:
    """Where the events are. Trouble as ``serve.cli.door``."""
    with with_database(settings) as found:
        return asyncio.run(_status(found))


async def _status(settings: Settings) -> EventsView:
    from actors.storage.events.listing import waiting
    from actors.storage.events.manifest import events_status

    async with open_connection(settings) as connection:
        lake = await events_status(connection)
    return EventsView(lake=lake, spool=waiting(settings.events_spool_path), path=str(settings.lake_path / "events"))


def land(settings: Settings) -> "LandingReport":
    """Land what waits here. Trouble as ``serve.cli.door``."""
    with with_database(settings) as found:
        return asyncio.run(_land(found))


async def _land(settings: Settings) -> "LandingReport":
    from actors.ports.journal import StorageUnknown
    from actors.runtime.landing import run_landing

    # The connection of our own says in plain words when there is no database, or no schema in it.
    async with open_connection(settings):
        try:
            return await run_landing(settings)
        except StorageUnknown as error:
            raise Trouble("database_away", reason=error.reason) from error


def land_words(report: "LandingReport") -> str:
    """What was landed, and what a person must look at."""
    counts = {name: f"{getattr(report, name):,}" for name in ("rows", "files", "duplicates", "expired")}
    lines = [say("events_landed", **counts)]
    if report.damaged:
        lines.append(say("events_damaged", count=report.damaged))
    if report.problem:
        lines.append(say("events_problem", problem=report.problem))
    return "\n".join(lines)


def status_words(view: EventsView) -> str:
    """The lake, the spool, and how the last landing ended."""
    lake, spool = view.lake, view.spool
    days = f"{lake.first_day} - {lake.last_day}" if lake.first_day else "-"
    lines = [
        say("events_lake", rows=f"{lake.rows:,}", files=f"{lake.files:,}", megabytes=f"{lake.bytes / 1e6:,.1f}", days=days, path=view.path),
        say("events_spool", files=spool.files, megabytes=f"{spool.bytes / 1e6:,.1f}", seconds=f"{spool.oldest_s:,.0f}"),
    ]
    if lake.last is None:
        return "\n".join([*lines, say("events_never")])
    lines.append(say("events_last", seconds=f"{lake.last.ended_s:,.0f}", rows=f"{lake.last.rows:,}"))
    if lake.last.reason:
        lines.append(say("events_problem", problem=lake.last.reason))
    return "\n".join(lines)
