"""``stampede audit``: the books, from the tables and the archive alone; of a copy that runs, or of one that rests."""

import asyncio
from typing import TYPE_CHECKING, Final

from schemas.settings import Settings
from serve.cli.door import open_connection, with_database
from serve.cli.words import say

if TYPE_CHECKING:
    from actors.storage.audit import Report

LISTED_MAX: Final = 50
"""Findings printed for people; JSON has them all."""


def audit(settings: Settings, limit_minutes: float) -> "Report":
    """Read the books in one snapshot. Trouble as ``serve.cli.door``."""
    with with_database(settings) as found:
        return asyncio.run(_audit(found, limit_minutes))


async def _audit(settings: Settings, limit_minutes: float) -> "Report":
    from actors.storage.audit import audit as read

    # The connection of our own says in plain words when there is no database, or no schema in it.
    async with open_connection(settings):
        return await read(str(settings.database_url), saga_limit_ms=round(limit_minutes * 60_000), lake=settings.lake_path)


def words(report: "Report") -> str:
    """What was found, and what was looked at."""
    head = say("balanced") if report.ok else say("not_balanced", count=report.found)
    looked_at = ", ".join(f"{name} {count:,}" for name, count in report.counts.items())
    in_flight = ", ".join(f"{name} {count:,}" for name, count in report.in_flight.items()) or "-"
    lines = [head, say("looked_at", counts=looked_at), say("in_flight", sagas=in_flight, seconds=f"{report.oldest_s:.1f}")]
    lines += [f"  [{finding.promise}] {' '.join(finding.ids)}: {finding.text}" for finding in report.findings[:LISTED_MAX]]
    if report.found > LISTED_MAX:
        lines.append(say("more_findings", count=report.found - LISTED_MAX))
    return "\n".join(lines)
