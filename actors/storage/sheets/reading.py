"""Reading a stranger's file: in a process of its own, with little memory, little time and no secrets, which is killed when over."""

import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Final

import msgspec

from actors.storage.sheets.limits import FILE_BYTES_MAX, READING_BYTES_MAX, READING_S_MAX, Sheet, SheetRefused

MODULE: Final = "actors.storage.sheets.reading"
PASSED: Final = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
"""Variables that the process is given: none of ours, which hold keys."""

REFUSED: Final = 3
_SHEET: Final = msgspec.msgpack.Decoder(Sheet)


def read_sheet(path: Path, result: Path, *, seconds: float = READING_S_MAX, memory_bytes: int = READING_BYTES_MAX) -> Sheet:
    """What stands in the file at ``path``; waits for it. result: a file that may be written meanwhile. SheetRefused."""
    if path.stat().st_size > FILE_BYTES_MAX:
        raise SheetRefused("file_too_large", limit=FILE_BYTES_MAX)
    environment = {name: os.environ[name] for name in PASSED if name in os.environ}
    environment |= {"POLARS_MAX_THREADS": "1", "RAYON_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
    command = [sys.executable, "-m", MODULE, str(path), str(result), str(int(memory_bytes)), str(int(seconds))]
    nowhere = subprocess.DEVNULL
    try:
        code = subprocess.run(
            command, stdin=nowhere, stdout=nowhere, stderr=nowhere, env=environment, timeout=seconds * 2, check=False
        ).returncode
    except subprocess.TimeoutExpired:
        code = -1
    try:
        if code == REFUSED:
            why, params = msgspec.msgpack.decode(result.read_bytes(), type=tuple[str, dict[str, int | str]])
            raise SheetRefused(why, **params)
        if code != 0:
            raise SheetRefused("sheet_too_costly")
        return _SHEET.decode(result.read_bytes())
    finally:
        result.unlink(missing_ok=True)


def main(path: str, result: str, memory_bytes: str, seconds: str) -> int:
    """The process: read ``path``, write what was found to ``result``; 0, or ``REFUSED``."""
    limit, time_s = int(memory_bytes), int(seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (time_s, time_s + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        sheet = read_here(Path(path).read_bytes())
    except SheetRefused as refused:
        Path(result).write_bytes(msgspec.msgpack.encode((refused.code, refused.params)))
        return REFUSED
    Path(result).write_bytes(msgspec.msgpack.encode(sheet))
    return 0


def read_here(data: bytes) -> Sheet:
    """What stands in a file, read in this process: for bytes that are trusted, or a process that is not. SheetRefused."""
    from actors.storage.sheets.csv_reading import read_csv
    from actors.storage.sheets.workbook_parts import OLD, PACKED

    if not data:
        raise SheetRefused("file_empty")
    if data.startswith((OLD, PACKED[:2])):
        # Only here: the libraries of workbooks take longer to load than a CSV to be read.
        from actors.storage.sheets.workbook_reading import read_workbook

        return read_workbook(data)
    return read_csv(data)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
