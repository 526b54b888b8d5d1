"""``stampede search``: how the index of this machine stands, and building it anew while it is used."""

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec

from schemas.settings import Settings
from serve.cli.door import is_running, running, with_database
from serve.cli.words import Trouble, say

if TYPE_CHECKING:
    from actors.storage.search.index import Status

LOOK_S: Final = 0.3
SILENT_S: Final = 60.0
"""An indexer that says nothing for so long is not waited for."""

Tell = Callable[[str], None]


class SearchView(msgspec.Struct, frozen=True, kw_only=True):
    """``stampede search status --json``. alive: an indexer works here. indexer: what it wrote last; null when there never was one."""

    path: str
    alive: bool
    index: str
    bytes: int
    indexer: "Status | None"


def status(settings: Settings) -> SearchView:
    """How the index stands. It needs no database. Trouble as ``serve.cli.door``."""
    from actors.storage.search.index import current, read_status
    from actors.storage.search.indexer import is_held

    directory = _of_copy(settings).search_path
    path = current(directory)
    size = sum(file.stat().st_size for file in path.iterdir() if file.is_file()) if path is not None else 0
    return SearchView(
        path=str(directory), alive=is_held(directory), index=path.name if path is not None else "", bytes=size,
        indexer=read_status(directory),
    )  # fmt: skip


def _of_copy(settings: Settings) -> Settings:
    return running(settings) if is_running(settings) else settings


def rebuild(settings: Settings, tell: Tell) -> "Status":
    """Build another index and put it in use: by the indexer that works here, or in this process.

    Trouble as ``serve.cli.door``, ``search_silent``, ``search_busy``.
    """
    from actors.storage.search.indexer import is_held

    found = _of_copy(settings)
    return _by_indexer(found, tell) if is_held(found.search_path) else _here(settings, tell)


def _by_indexer(settings: Settings, tell: Tell) -> "Status":
    from actors.storage.search.index import WANTED, current, read_status

    directory = settings.search_path
    before = current(directory)
    (directory / WANTED).touch()
    last, heard = None, time.monotonic()
    while time.monotonic() - heard < SILENT_S:
        time.sleep(LOOK_S)
        found = read_status(directory)
        if found != last and found is not None:
            last, heard = found, time.monotonic()
            if found.state == "building":
                tell(say("search_building", built=f"{found.built:,}", count=f"{found.to_build:,}"))
            elif current(directory) != before and found.index and not (directory / WANTED).exists():
                return found
    raise Trouble("search_silent", path=directory)


def _here(settings: Settings, tell: Tell) -> "Status":
    from actors.ports.journal import StorageUnknown
    from actors.runtime.logs import configure_logs
    from actors.storage.search.index import Status
    from actors.storage.search.indexer import Busy, build

    def told(found: Status) -> None:
        if found.state == "building":
            tell(say("search_building", built=f"{found.built:,}", count=f"{found.to_build:,}"))

    # What is printed is the answer: a command says in a sentence what went wrong.
    configure_logs(msgspec.structs.replace(settings, log_level="error"))
    with with_database(settings) as found:
        assert found.database_url is not None, "with_database gives one"
        try:
            return asyncio.run(build(found.database_url, found.search_path, told))
        except Busy as error:
            raise Trouble("search_busy", path=found.search_path) from error
        except StorageUnknown as error:
            raise Trouble("database_away", reason=error.reason) from error


def status_words(view: SearchView) -> str:
    """The index, who keeps it, and how far it is."""
    if not view.index:
        lines = [say("search_none", path=view.path)]
    else:
        products = view.indexer.products if view.indexer is not None else 0
        lines = [say("search_index", index=view.index, products=f"{products:,}", megabytes=f"{view.bytes / 1e6:,.1f}", path=view.path)]
    if not view.alive or view.indexer is None:
        return "\n".join([*lines, say("search_alone")])
    found = view.indexer
    seconds = max(0.0, time.time() - found.written_at_ms / 1000)
    lines.append(say(f"search_{found.state}", built=f"{found.built:,}", count=f"{found.to_build:,}", reason=found.reason))
    lines.append(say("search_said", seconds=f"{seconds:,.0f}", pid=found.pid))
    return "\n".join(lines)


def rebuilt_words(found: "Status") -> str:
    """What was built."""
    return say("search_rebuilt", products=f"{found.products:,}", seconds=f"{found.build_ms / 1000:,.1f}", index=found.index)
