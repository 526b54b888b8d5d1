"""The events' part of the lake: ``events/date=YYYY-MM-DD/hour=HH/<name>.parquet``, UTC, by the time of arrival.

A file is written under a name that readers pass over, synced, renamed, and its directory synced. Beside them lies the list of
the files that are being written (``_landing``): what a crash leaves is found by it, without looking at every day there is.
"""

import hashlib
import os
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from actors.storage.events.manifest import EventFile
from actors.storage.events.rows import HOUR_MS, Row

if TYPE_CHECKING:
    import polars

EVENTS: Final = "events"
BEGUN: Final = "_landing"
ASIDE: Final = "_set_aside_events"
"""Files that were written and never listed. Their events are in the spool still, or in the files that were made of it later."""

REWRITING: Final = "_rewriting"
"""The files that take each other's place. Of these whatever is not listed is deleted, not put aside."""

DAY_S: Final = 86_400


class EventLake:
    """The directory, on this machine or mounted on all."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def begun(self) -> list[str]:
        """Files that a run was about to write, and did not say that it ended."""
        return self._noted(BEGUN)

    def _noted(self, mark: str) -> list[str]:
        try:
            return msgspec.json.decode((self.path / EVENTS / mark).read_bytes(), type=list[str])
        except FileNotFoundError:
            return []

    def rewriting(self) -> list[str]:
        """Files, old and new, of a rewriting that did not say that it ended."""
        return self._noted(REWRITING)

    def rewrite(self, olds: list[str], day: date, hour: int, table: "polars.DataFrame", passed: Callable[[str], None]) -> EventFile:
        """Write a file that shall stand for others of its hour; what can be listed of it. OSError: it is as if nothing was begun."""
        hours = int(datetime(day.year, day.month, day.day, hour, tzinfo=UTC).timestamp() * 1000) // HOUR_MS
        name = _name(hours)
        self._begin([name, *olds], REWRITING)
        try:
            file = self._file(name, hours, table)
        except OSError:
            self.remove_rewritten([name])
            raise
        passed("rewritten")
        path = self.path / name
        _draft(path).replace(path)
        _sync(path.parent)
        return file

    def remove_rewritten(self, files: list[str]) -> None:
        """Delete files that nobody lists, and forget that anything was begun."""
        for file in files:
            _draft(self.path / file).unlink(missing_ok=True)
        self.remove(files)
        (self.path / EVENTS / REWRITING).unlink(missing_ok=True)

    def ended(self) -> None:
        """All files that were begun are listed."""
        (self.path / EVENTS / BEGUN).unlink(missing_ok=True)

    def set_aside(self, files: list[str]) -> None:
        """Take unlisted files out of the readers' sight, and forget that anything was begun."""
        for file in files:
            path = self.path / file
            _draft(path).unlink(missing_ok=True)
            if path.exists():
                (self.path / ASIDE).mkdir(exist_ok=True)
                path.replace(self.path / ASIDE / path.name)
        self.ended()

    def remove_set_aside(self, keep_days: int) -> None:
        """Delete what was put aside as long ago as events are kept."""
        directory = self.path / ASIDE
        for path in directory.iterdir() if directory.exists() else ():
            if time.time() - path.stat().st_mtime > keep_days * DAY_S:
                path.unlink()

    def remove(self, files: list[str]) -> None:
        """Delete files, and the directories that are empty then. A file that is gone already is no fault."""
        for file in files:
            path = self.path / file
            path.unlink(missing_ok=True)
            for directory in (path.parent, path.parent.parent):
                if directory.exists() and not any(directory.iterdir()):
                    directory.rmdir()

    def free_bytes(self) -> int:
        """What the lake's disk has left."""
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize

    def write(self, rows: list[Row], recent: list[str], passed: Callable[[str], None]) -> tuple[list[EventFile], int]:
        """Write rows that are in none of the recent files; the files, and how many rows were left out. OSError when it cannot be done."""
        import polars

        from actors.storage.events.parquet import table_of, without

        known = [path for file in recent if (path := self.path / file).exists()]
        table = without(table_of(rows), known)
        hours = table.with_columns((polars.col("received_ms") // HOUR_MS).alias("_hour")).partition_by(
            "_hour", include_key=False, as_dict=True
        )
        parts = [(_name(int(hour[0])), hour[0], part) for hour, part in sorted(hours.items())]
        if not parts:
            return [], len(rows)
        self._begin([name for name, _, _ in parts])
        try:
            found = [self._file(name, hour, part) for name, hour, part in parts]
        except OSError:
            # Half a file on a full disk helps nobody.
            self.set_aside([name for name, _, _ in parts])
            raise
        passed("written")
        for file in found:
            path = self.path / file.file
            _draft(path).replace(path)
            for directory in (path.parent, path.parent.parent, path.parent.parent.parent):
                _sync(directory)
        passed("renamed")
        return found, len(rows) - table.height

    def _begin(self, files: list[str], mark: str = BEGUN) -> None:
        directory = self.path / EVENTS
        directory.mkdir(mode=0o700, exist_ok=True)
        draft = directory / f"{mark}.draft"
        draft.write_bytes(msgspec.json.encode(files))
        _sync(draft)
        draft.replace(directory / mark)
        _sync(directory)

    def _file(self, name: str, hour: int, table: "polars.DataFrame") -> EventFile:
        """Write the draft of a file, and answer what can be listed of it."""
        from actors.storage.events.parquet import times_of, write_parquet

        draft = _draft(self.path / name)
        draft.parent.mkdir(parents=True, exist_ok=True)
        write_parquet(draft, table)
        _sync(draft)
        data = draft.read_bytes()
        first_ms, last_ms = times_of(table)
        arrived = datetime.fromtimestamp(hour * HOUR_MS // 1000, UTC)
        return EventFile(
            file=name,
            date=arrived.date(),
            hour=arrived.hour,
            rows=table.height,
            size=len(data),
            first_at_ms=first_ms,
            last_at_ms=last_ms,
            checksum=hashlib.sha256(data).digest(),
        )


def _name(hour: int) -> str:
    arrived = datetime.fromtimestamp(hour * HOUR_MS // 1000, UTC)
    return f"{EVENTS}/date={arrived:%Y-%m-%d}/hour={arrived:%H}/{time.time_ns():020d}-{os.urandom(4).hex()}.parquet"


def _draft(path: Path) -> Path:
    return path.with_name(f"_{path.name}.draft")


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
