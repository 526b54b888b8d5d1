"""Rows of events as Parquet. Imports polars (a third of a second, 60 MB): import it where a file is touched."""

import errno
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import polars

from actors.storage.events.rows import COLUMNS, Row

NUMBERS: Final = {
    "received_ms": polars.Int64,
    "at_ms": polars.Int64,
    "key": polars.Int64,
    "results": polars.Int32,
    "quantity": polars.Int32,
    "dwell_ms": polars.Int64,
    "amount": polars.Int64,
}
SCHEMA: Final = {name: NUMBERS.get(name, polars.String) for name in COLUMNS}
"""Date and hour are in the path (``date=2026-11-11/hour=09``): readers that know this form of partitioning add them as columns."""


def table_of(rows: Iterable[Row]) -> polars.DataFrame:
    """Rows as a table; of an event that is there twice, the first."""
    table = polars.DataFrame(list(rows), schema=SCHEMA, orient="row")
    return table.unique(subset="key", keep="first", maintain_order=True)


def scan(paths: Path | list[Path]) -> polars.LazyFrame:
    """The rows of files in today's columns, whichever version wrote them."""
    return polars.scan_parquet(paths, schema=SCHEMA, hive_partitioning=False, missing_columns="insert", extra_columns="ignore")


def without(table: polars.DataFrame, files: list[Path]) -> polars.DataFrame:
    """The rows whose events are in none of these files. OSError when a file cannot be read."""
    for path in files:
        try:
            known = polars.read_parquet(path, columns=["key"], hive_partitioning=False)
        except polars.exceptions.PolarsError as error:
            raise OSError(errno.EIO, f"{path.name} cannot be read: {error}") from error
        table = table.join(known, on="key", how="anti", maintain_order="left")
    return table


def write_parquet(path: Path, table: polars.DataFrame) -> None:
    """Write a table by the time of its events. OSError when the file cannot be written."""
    try:
        table.sort("at_ms", maintain_order=True).write_parquet(path, compression="zstd", statistics=True)
    except polars.exceptions.PolarsError as error:
        raise OSError(errno.EIO, f"{path.name} cannot be written: {error}") from error


def times_of(table: polars.DataFrame) -> tuple[int, int]:
    """The first and the last time of a table, milliseconds UTC."""
    found = table.select(polars.col("at_ms").min().alias("first"), polars.col("at_ms").max().alias("last")).row(0)
    return int(found[0]), int(found[1])


def links_table(rows: list[tuple[str, str, int]]) -> polars.DataFrame:
    """Logins on terminals: actor, visitor, joined_at_ms."""
    return polars.DataFrame(rows, schema={"actor": polars.String, "visitor": polars.String, "joined_at_ms": polars.Int64}, orient="row")


def with_owners(events: polars.LazyFrame, links: polars.DataFrame) -> polars.LazyFrame:
    """Events without an actor get that of the first login on their terminal that came after them."""
    logins = links.lazy().select(polars.col("actor").alias("_owner"), "visitor", polars.col("joined_at_ms").alias("at_ms")).sort("at_ms")
    found = events.sort("at_ms").join_asof(logins, on="at_ms", by="visitor", strategy="forward", check_sortedness=False)
    return found.with_columns(polars.coalesce("actor", "_owner").alias("actor")).drop("_owner")
