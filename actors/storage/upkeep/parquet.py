"""Records as Parquet. The only module that imports polars (a third of a second, 60 MB): import it where a file is touched."""

import errno
import io
from pathlib import Path
from typing import Final

import polars

from actors.storage.upkeep.record import COLUMNS, Record

SCHEMA: Final = {
    "seq": polars.Int64,
    "version": polars.Int32,
    "at_ms": polars.Int64,
    "wake_ms": polars.Int64,
    "kind": polars.String,
    "key": polars.String,
    "command_id": polars.Binary,
    "body": polars.Binary,
    "meta": polars.Binary,
}
"""The shard is in the path (``shard=007``): readers that know this form of partitioning add it as a column."""


def write_parquet(path: Path, records: list[Record]) -> None:
    """Write records, compressed with zstd, with statistics: a reader that wants some days skips the rest by ``at_ms``.

    OSError when the file cannot be written.
    """
    try:
        polars.DataFrame(records, schema=SCHEMA, orient="row").write_parquet(path, compression="zstd", statistics=True)
    except polars.exceptions.PolarsError as error:
        raise OSError(errno.EIO, f"{path.name} cannot be written: {error}") from error


def parse_parquet(data: bytes) -> list[Record]:
    """The records of a file's bytes, in order. ValueError when they are no such file."""
    try:
        frame = polars.read_parquet(io.BytesIO(data), columns=list(COLUMNS), hive_partitioning=False)
    except (polars.exceptions.PolarsError, OSError) as error:
        raise ValueError(f"it is no Parquet file of the journal: {error}") from error
    return frame.rows()
