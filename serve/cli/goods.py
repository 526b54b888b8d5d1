"""``stampede goods``: import a file as whoever may log in to the machine, and export one."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from schemas.settings import Settings
from serve.cli.door import open_connection, with_database
from serve.cli.staff import _One
from serve.cli.words import Trouble, is_chinese, say

if TYPE_CHECKING:
    from actors.storage.imports import Job

LOOK_S: Final = 0.2
PIECE_BYTES: Final = 1 << 20
TRAIL_S: Final = 5.0
STATES: Final = {
    state: f"import_{state}" for state in ("uploaded", "checking", "checked", "refused", "importing", "done", "failed", "cancelled")
}
ENDS: Final = frozenset({"refused", "done", "failed", "cancelled"})


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """``stampede goods import --json``. report, flaws: the files that were written where cells are bad. seconds: by phase, where known."""

    job: Any
    said: str
    report: str = ""
    flaws: str = ""


def import_file(settings: Settings, path: Path, *, dry_run: bool, show: bool) -> Imported:
    """Import a file, with a bar on the screen where ``show``. Trouble as ``serve.cli.door``, and for what is no such file."""
    from actors.storage.sheets.limits import FILE_BYTES_MAX

    if not path.is_file():
        raise Trouble("no_such_file", path=path)
    if path.stat().st_size > FILE_BYTES_MAX:
        raise Trouble("file_too_large", path=path, limit=f"{FILE_BYTES_MAX:,}")
    with with_database(settings) as found:
        return asyncio.run(_import(found, path, dry_run, show))


async def _import(settings: Settings, path: Path, dry_run: bool, show: bool) -> Imported:
    from actors.domain.staff import MACHINE, Actor
    from actors.storage.imports import Imports
    from actors.storage.sheets.limits import FILE_BYTES_MAX
    from actors.storage.staff import NotDone, Staff
    from schemas.problems import problem_of

    async with open_connection(settings) as connection:
        one = _One(connection)
        imports = Imports(one, Staff(one))
        language = "zh-CN" if is_chinese() else "en"
        machine = Actor(user_id=MACHINE, roles=0)
        try:
            job = await imports.upload(machine, "", path.name, language, _pieces(path), FILE_BYTES_MAX, dry_run=dry_run)
        except NotDone as refused:
            raise Trouble("refused", reason=problem_of(refused.code, language=language).title, code=refused.code) from None
        job = await _watch(imports, job, settings, show=show)
        return await _told(imports, job, path, language)


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as stream:
        while piece := await asyncio.to_thread(stream.read, PIECE_BYTES):
            yield piece


def _at_end(job: "Job") -> bool:
    return job.state in ENDS or (job.state == "checked" and (job.dry_run or job.bad_cells > 0))


async def _watch(imports: Any, job: "Job", settings: Settings, *, show: bool) -> "Job":
    """Wait for a job's end; begins the worker anew where it ended before."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from actors.runtime.importing import Order, start

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    bar = Progress(*columns, console=Console(stderr=True), transient=True) if show else None
    task = bar.add_task(say("import_uploaded"), total=None) if bar else None
    order, log_file = Order(settings=settings), settings.data_path / "imports" / "worker.log"
    worker = None
    with bar or nullcontext():
        while not _at_end(job):
            if worker is None or worker.poll() is not None:
                # Where the running copy has a worker ours ends at once, and looks again: a job waits for nobody to be awake.
                worker = await asyncio.to_thread(start, order, log_file)
            await asyncio.sleep(LOOK_S)
            job = await imports.one(job.job_id)
            if bar is not None and task is not None:
                bar.update(task, description=say(STATES[job.state]), total=job.rows_total or None, completed=job.rows_done)
    if worker is not None:
        with suppress(subprocess.TimeoutExpired):
            # It writes the end into the trail, and may go on with others' jobs, which is not waited for.
            await asyncio.to_thread(worker.wait, TRAIL_S)
    return job


async def _told(imports: Any, job: "Job", path: Path, language: str) -> Imported:
    from actors.storage.sheets.limits import TEXTS, refusal_text
    from schemas.problems import problem_of

    if job.state in ("refused", "failed"):
        text = refusal_text(job.reason, job.params, language) if job.reason in TEXTS else problem_of(job.reason, language=language).title
        return Imported(job=job, said=say("import_not_done", reason=text))
    if job.state == "cancelled":
        return Imported(job=job, said=say("import_ended"))
    if job.bad_cells:
        report = path.with_name(f"{path.stem}.flaws.{job.format}")
        flaws = path.with_name(f"{path.stem}.flaws.json")
        for target, part in ((report, "sheet"), (flaws, "list_json")):
            with target.open("wb") as stream:
                async for piece in imports.pieces(job.job_id, part):
                    stream.write(piece)
        said = say("import_bad", count=f"{job.bad_cells:,}", report=report, flaws=flaws)
        return Imported(job=job, said=said, report=str(report), flaws=str(flaws))
    counts = {name: f"{getattr(job, name):,}" for name in ("created", "changed", "same")}
    return Imported(job=job, said=say("import_would" if job.state == "checked" else "import_did", **counts))


def export_file(settings: Settings, path: Path, state: str) -> int:
    """Export all products into a file; answers how many. Trouble as ``serve.cli.door``, and ``format_unknown``."""
    if path.suffix not in (".csv", ".xlsx"):
        raise Trouble("format_unknown", path=path)
    with with_database(settings) as found:
        return asyncio.run(_export(found, path, state))


async def _export(settings: Settings, path: Path, state: str) -> int:
    from actors.domain.staff import MACHINE, Actor
    from actors.storage.export import Wish, export_on
    from actors.storage.staff import Deed, Staff

    wish = Wish(format=path.suffix[1:], language="zh-CN" if is_chinese() else "en", state=state)
    async with open_connection(settings) as connection:
        deed = Deed(permission="goods.export", target="all", reason=f"export {wish.format}")
        await Staff(_One(connection)).note(Actor(user_id=MACHINE, roles=0), deed)
        return await export_on(connection, path, wish)
