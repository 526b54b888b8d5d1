"""``stampede journal``: where the journal's records are; copying old ones to the archive, and pruning them."""

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from schemas.settings import Settings
from serve.cli.door import open_connection, with_database
from serve.cli.words import Trouble, say

if TYPE_CHECKING:
    from actors.storage.upkeep.report import Problem, Report, Step
    from actors.storage.upkeep.status import JournalStatus

Work = Literal["archive", "prune", "upkeep"]
DAY_MS: Final = 86_400_000
REST: Final = 0.5
"""A person waits for it, and so do orders: it works two thirds of the time."""
TELL_S: Final = 1.0


class JournalView(msgspec.Struct, frozen=True, kw_only=True):
    """``stampede journal status --json``: ``actors.storage.upkeep.status``, and where the archive is."""

    journal: Any
    files: int
    bytes: int
    lake: str


def status(settings: Settings) -> JournalView:
    """How the journal stands. Trouble as ``serve.cli.door``."""
    with with_database(settings) as found:
        return asyncio.run(_status(found))


async def _status(settings: Settings) -> JournalView:
    from actors.storage.upkeep.status import journal_status, lake_status

    async with open_connection(settings) as connection:
        journal, lake = await journal_status(connection), await lake_status(connection)
    return JournalView(journal=journal, files=lake.files, bytes=lake.bytes, lake=str(settings.lake_path))


def run(settings: Settings, work: Work, keep_days: int | None, tell: Callable[[str], None]) -> "Report":
    """Archive all there is, prune what may go, or do both for what is due. Trouble as ``serve.cli.door``."""
    with with_database(settings) as found:
        return asyncio.run(_run(found, work, keep_days or found.journal_keep_days, tell))


async def _run(settings: Settings, work: Work, keep_days: int, tell: Callable[[str], None]) -> "Report":
    from actors.owners.remembering import OwnersMemory
    from actors.ports.journal import StorageUnknown
    from actors.storage.upkeep.report import Task
    from actors.storage.upkeep.upkeep import upkeep

    task = Task(archive=work != "prune", prune=work != "archive", everything=work == "archive", keep_ms=keep_days * DAY_MS, rest=REST)
    # The connection of our own says in plain words when there is no database, or no schema in it.
    async with open_connection(settings):
        try:
            return await upkeep(str(settings.database_url), settings.lake_path, OwnersMemory(), task, _Progress(tell).take)
        except StorageUnknown as error:
            raise Trouble("database_away", reason=error.reason) from error


class _Progress:
    """A line a second, at most."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._done = {"archived": 0, "pruned": 0}
        self._told_s = time.monotonic()

    def take(self, step: "Step") -> None:
        if step.what not in self._done:
            return
        self._done[step.what] += step.count
        if time.monotonic() - self._told_s >= TELL_S:
            self._told_s = time.monotonic()
            self._tell(say("journal_progress", **{name: f"{count:,}" for name, count in self._done.items()}))


def run_words(report: "Report") -> str:
    """What was done, what stays and why, and what a person must look at."""
    lines = [say("journal_done", archived=f"{report.archived:,}", files=report.files, pruned=f"{report.pruned:,}")]
    lines += [say(f"journal_held_{reason}", count=count) for reason, count in sorted(report.held.items())]
    lines += [_problem_words(problem) for problem in report.problems]
    return "\n".join(lines)


def _problem_words(problem: "Problem") -> str:
    return say(f"journal_{problem.code}", shard=problem.shard, detail=problem.detail)


def status_words(view: JournalView) -> str:
    """Where the records are, and how the last upkeep ended."""
    lines = [journal_line(view.journal), say("journal_lake", files=view.files, megabytes=f"{view.bytes / 1e6:,.1f}", lake=view.lake)]
    last = view.journal.last
    if last is None:
        return "\n".join([*lines, say("journal_never")])
    minutes = f"{last.ended_s / 60:,.0f}"
    lines.append(say("journal_last", minutes=minutes, archived=f"{last.archived:,}", pruned=f"{last.pruned:,}"))
    if last.reason:
        lines.append(say("journal_last_failed", reason=last.reason))
    lines += [say(f"journal_held_{reason}", count=count) for reason, count in sorted(last.held.items())]
    return "\n".join(lines)


def journal_line(status: "JournalStatus") -> str:
    """Where the records are, in one line."""
    return say("journal_records", rows=f"{status.rows:,}", archived=f"{status.archived:,}", pruned=f"{status.pruned:,}")
