"""Somebody's behaviour events out of the lake, for the copy of everything about them.

``python -m actors.storage.events.copying`` reads a :class:`Wanted` as JSON from its input, looks through the files from the newest on,
and writes the events as JSON lines. A process of its own that gives way to everybody: what reads Parquet takes 60 MB and a core, and
whoever asks for a copy can wait. It ends with 3 when a file is gone, as files that others take the place of are: list again.
"""

import asyncio
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from actors.domain.pseudonym import Pseudonyms
from actors.ports.journal import StorageUnknown
from actors.storage.connect import known

NEWEST_FIRST: Final = "SELECT file FROM event_file ORDER BY date DESC, hour DESC, file DESC"
LINKS_OF: Final = """
SELECT actor, visitor, joined_at_ms FROM visitor_link
WHERE visitor IN (SELECT visitor FROM visitor_link WHERE user_id = ANY($1::text[])) ORDER BY joined_at_ms, actor"""
"""Of the person's terminals all logins: what was done before somebody else's is somebody else's."""

EVENTS_MAX: Final = 100_000
"""The newest; some 25 MB of text, a tenth of that in the copy."""

TIMEOUT_S: Final = 300.0
LISTED_MAX: Final = 3
"""Lists that are asked for, when files go in between."""

FILE_GONE: Final = 3
NICENESS: Final = 19
LEFT_OUT: Final = frozenset({"key", "actor"})
"""What recognises a repeat, and the account's own pseudonym: the same in every line, and nothing that anybody told us."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Whose events, and where. links: logins on terminals, as (actor, visitor, UTC ms)."""

    directory: str
    files: list[str]
    actors: list[str]
    links: list[tuple[str, str, int]]


async def events_of(pool: Any, names: Pseudonyms, lake: Path, user_ids: list[str]) -> bytes:
    """The newest landed events of these accounts as JSON lines, the newest first; of a guest those that a login took along.

    StorageUnknown when the database or the lake cannot be read.
    """
    for _ in range(LISTED_MAX):
        files = [row["file"] for row in await known(pool.fetch(NEWEST_FIRST))]
        if not files:
            return b""
        links = [tuple(row) for row in await known(pool.fetch(LINKS_OF, user_ids))]
        wanted = Wanted(directory=str(lake), files=files, actors=[names.actor(user_id) for user_id in user_ids], links=links)
        try:
            done = await asyncio.to_thread(_run, msgspec.json.encode(wanted))
        except subprocess.TimeoutExpired as error:
            raise StorageUnknown("the lake was not read in time") from error
        if done.returncode == 0:
            return done.stdout
        if done.returncode != FILE_GONE:
            raise StorageUnknown(f"the lake cannot be read: {done.stderr[-300:].decode(errors='replace')}")
    raise StorageUnknown("files of the lake went while it was read")


def _run(wanted: bytes) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-m", "actors.storage.events.copying"]
    return subprocess.run(command, input=wanted, capture_output=True, timeout=TIMEOUT_S, check=False)


def lines_of(wanted: Wanted, most: int = EVENTS_MAX) -> list[bytes]:
    """The events as JSON, the newest first. FileNotFoundError when a file has gone."""
    import polars

    from actors.storage.events.parquet import links_table, scan, with_owners

    links, found = links_table(wanted.links), list[bytes]()
    visitors = [visitor for _, visitor, _ in wanted.links]
    for file in wanted.files:
        path = Path(wanted.directory) / file
        if not path.exists():
            raise FileNotFoundError(file)
        actor, visitor = polars.col("actor"), polars.col("visitor")
        maybe = scan(path).filter(actor.is_in(wanted.actors) | (actor.is_null() & visitor.is_in(visitors)))
        theirs = with_owners(maybe, links).filter(actor.is_in(wanted.actors)).sort("at_ms", descending=True)
        found += [_line(row) for row in theirs.head(most - len(found)).collect().iter_rows(named=True)]
        if len(found) >= most:
            break
    return found


def _line(row: dict[str, Any]) -> bytes:
    at = datetime.fromtimestamp(row["at_ms"] / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return msgspec.json.encode({"at": at, **{name: value for name, value in row.items() if value is not None and name not in LEFT_OUT}})


def main() -> int:
    """The exit code; the lines go to the output."""
    os.nice(NICENESS)
    from polars.exceptions import ComputeError

    wanted = msgspec.json.decode(sys.stdin.buffer.read(), type=Wanted)
    try:
        for line in lines_of(wanted):
            sys.stdout.buffer.write(line + b"\n")
    except (FileNotFoundError, ComputeError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return FILE_GONE if isinstance(error, FileNotFoundError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
