"""The files of pictures, each picture a directory: there wholly or not at all, whatever is killed meanwhile."""

import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from schemas.images import WIDTHS, Picture

BEING_WRITTEN: Final = ".new-"
LEFT_BEHIND_S: Final = 86_400.0
"""What was being written so long ago is nobody's."""

_IMAGE: Final = re.compile(r"img_[0-9a-hjkmnp-tv-z]{20}\Z")
KINDS: Final = ("webp", "jpg")


def is_image_id(text: str) -> bool:
    """Whether a text has the form of our pictures' ids: nothing else is ever looked for in the directory."""
    return _IMAGE.match(text) is not None


class Media:
    """A directory with the files of all pictures; of several machines one that all mount. OSError as the file system says."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def folder(self, image_id: str) -> Path:
        """Where a picture's files stand: 1024 directories, so that none is too long to list."""
        assert is_image_id(image_id), image_id
        return self._root / image_id[4:6] / image_id

    def has(self, image_id: str) -> bool:
        """Whether its files are there."""
        return self.folder(image_id).is_dir()

    def read(self, image_id: str, width: int, kind: str) -> bytes | None:
        """The picture at this width, or as wide as it is; None when there is none."""
        folder = self.folder(image_id)
        for each in reversed(WIDTHS[: WIDTHS.index(width) + 1]):
            try:
                return (folder / f"{each}.{kind}").read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                continue
        return None

    def prepare(self, image_id: str, picture: Picture) -> Path:
        """Write the files of a picture on the disk, beside where they will stand, for :meth:`put`."""
        parent = self.folder(image_id).parent
        parent.mkdir(parents=True, exist_ok=True)
        made = parent / f"{BEING_WRITTEN}{secrets.token_hex(8)}"
        made.mkdir()
        for name, content in picture.files:
            with (made / name).open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        _sync(made)
        _sync(self._root)
        return made

    def put(self, image_id: str, made: Path) -> None:
        """Let the prepared files be the picture's, at once; where it has some, they are as good."""
        folder = self.folder(image_id)
        if folder.is_dir():
            shutil.rmtree(made)
            return
        made.rename(folder)
        _sync(folder.parent)

    def drop(self, image_id: str) -> None:
        """Take the files away: first the name, then what stood under it."""
        folder = self.folder(image_id)
        gone = folder.parent / f"{BEING_WRITTEN}{secrets.token_hex(8)}"
        try:
            folder.rename(gone)
        except FileNotFoundError:
            return
        shutil.rmtree(gone, ignore_errors=True)

    def shelves(self) -> list[str]:
        """The names of the directories that pictures stand in."""
        if not self._root.is_dir():
            return []
        return sorted(each.name for each in os.scandir(self._root) if each.is_dir())

    def on_shelf(self, name: str) -> Iterator[tuple[str, float]]:
        """(image id, seconds since it was put there) of each picture in one directory."""
        now_s = time.time()
        for each in os.scandir(self._root / name):
            if is_image_id(each.name) and each.is_dir():
                yield each.name, now_s - each.stat().st_mtime

    def clear(self, name: str) -> int:
        """Remove from one directory what was being written when somebody was killed; answers how many."""
        now_s, removed = time.time(), 0
        for each in list(os.scandir(self._root / name)):
            if each.name.startswith(BEING_WRITTEN) and now_s - each.stat().st_mtime > LEFT_BEHIND_S:
                shutil.rmtree(each.path, ignore_errors=True)
                removed += 1
        return removed


def _sync(folder: Path) -> None:
    """Names in a directory are on the disk as well."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
