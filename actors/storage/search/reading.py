"""The index as a replica reads it: mapped from the disk, never written, renewed when it has changed. Not for two threads."""

import bisect
import time
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog
import tantivy

from actors.storage.search.index import DAMAGED, META, NAMES, Cursor, current, damage, schema, stored
from actors.storage.search.plain import NoIndex
from actors.storage.search.rows import Named, Names

log = structlog.get_logger("stampede.search")

OPEN_TRIES: Final = 2
LOOK_S: Final = 0.2
"""An index is asked at most so often whether it has changed."""


class View:
    """The index as it was at one moment."""

    def __init__(self, searcher: tantivy.Searcher, fields: tantivy.Schema, names: Names) -> None:
        self.searcher = searcher
        self.fields = fields
        self.names = names
        self._vocabulary: dict[str, int] | None = None

    def known(self, word: str, *fields: str) -> int:
        """How many products have a word in one of these fields, at least."""
        return max(self.searcher.doc_freq(field, word) for field in fields)

    def beginning(self, word: str, limit: int) -> list[str]:
        """Words of titles that begin so, the most frequent first."""
        found: list[tuple[str, int]] = self.searcher.terms_with_prefix("title", word, limit=200)
        return [text for text, _ in sorted(found, key=lambda term: -term[1])[:limit]]

    @property
    def vocabulary(self) -> dict[str, int]:
        """Every word of titles and kinds, and how many products have it. Read when the first typo comes, kept until the index changes."""
        if self._vocabulary is None:
            found: dict[str, int] = {}
            for field in ("kinds", "title"):
                found.update(self.searcher.terms_with_prefix(field, ""))
            self._vocabulary = found
        return self._vocabulary


class Reader:
    """Opens the index in use of a directory, and the next one when that has taken its place."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._fields = schema()
        self._path: Path | None = None
        self._index: tantivy.Index | None = None
        self._stamp: tuple[int, int] = (0, 0)
        self._looked = 0.0
        self._view: View | None = None
        self._names: tuple[bytes, Names] = (b"", Names())

    def view(self) -> View:
        """The index as it is, a fifth of a second old at most. NoIndex when there is none, or none that can be read."""
        now = time.monotonic()
        if self._view is None or now - self._looked >= LOOK_S:
            self._looked = now
            self._renew_or_say()
        if self._view is None:
            raise NoIndex("there is none")
        return self._view

    def _renew_or_say(self) -> None:
        """NoIndex when what is in use cannot be opened. One that was replaced while it was being opened is no fault."""
        for _ in range(OPEN_TRIES):
            try:
                self._renew()
                return
            except (OSError, ValueError, msgspec.DecodeError) as error:
                reason = str(error)
                if self.is_damaged(reason):
                    break
                self._path = self._index = self._view = None
        raise NoIndex(reason)

    def is_damaged(self, reason: str) -> bool:
        """Whether files of the index are not what they were. Then it is forgotten, and the indexer makes another.

        Asked after a failure: a search that fails for another reason is a fault of ours, and no reason to build anything.
        """
        path = self._path
        if path is None or not path.exists() or not (wrong := damage(path)):
            return False
        log.error("search_index_damaged", path=str(path), reason=reason, file=wrong)
        try:
            (path / DAMAGED).touch()
        except OSError as error:
            log.warning("search_index_not_marked", reason=str(error))
        self._path = self._index = self._view = None
        return True

    def _renew(self) -> None:
        path = current(self._directory)
        if path is None or (path / DAMAGED).exists():
            self._path = self._index = self._view = None
            return
        meta = (path / "meta.json").stat()
        stamp = (meta.st_mtime_ns, meta.st_ino)
        if path == self._path and stamp == self._stamp and self._view is not None:
            return
        if path != self._path or self._index is None:
            self._path = path
            self._index = tantivy.Index.open(str(path))
            self._index.config_reader("manual")
        self._index.reload()
        searcher = self._index.searcher()
        body = stored(searcher, self._fields, META)
        if body is None or msgspec.json.decode(body, type=Cursor).version != Cursor().version:
            self._view = None
            return
        names = stored(searcher, self._fields, NAMES) or b"{}"
        if names != self._names[0]:
            self._names = (names, msgspec.json.decode(names, type=Names))
        self._stamp = stamp
        self._view = View(searcher, self._fields, self._names[1])


class Beginnings:
    """Names by what they begin with."""

    def __init__(self, names: dict[str, Named]) -> None:
        self._keys = sorted((key, name) for name, named in names.items() if not named.hidden for key in named.keys)

    def find(self, start: str, limit: int) -> list[str]:
        """Ids of names of which a word, in letters or characters, begins so; at most so many."""
        found: dict[str, None] = {}
        at = bisect.bisect_left(self._keys, (start, ""))
        while at < len(self._keys) and self._keys[at][0].startswith(start) and len(found) < limit:
            found[self._keys[at][1]] = None
            at += 1
        return list(found)


def counted(found: dict[str, Any], name: str) -> dict[str, int]:
    """The buckets of an aggregation of terms."""
    return {bucket["key"]: bucket["doc_count"] for bucket in found[name]["buckets"]}
