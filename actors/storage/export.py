"""Exports of goods: what an import takes, as the products stand at one moment, and the same bytes for the same products."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec

from actors.domain.sheet import header_of
from actors.domain.sheet_skus import in_order
from actors.domain.sheet_writing import Extent, Writer, extent_of
from actors.storage.connect import CONNECT_TIMEOUT_S
from actors.storage.goods import read_stored
from actors.storage.sheets.writing import csv_pieces, write_workbook
from schemas.goods import Product

PRODUCTS_AT_ONCE: Final = 500

_CHOSEN: Final = """
WITH RECURSIVE below AS (
    SELECT category_id FROM category WHERE category_id = $3
    UNION SELECT c.category_id FROM category c JOIN below ON c.parent_id = below.category_id
)
SELECT product_id, merchant_id, code FROM product
WHERE ($1 = '' OR merchant_id = $1) AND ($2 = '' OR state = $2) AND ($3 = '' OR category_id IN (SELECT category_id FROM below))
    AND ($4 = '' OR brand_id = $4)"""
COUNT: Final = f"SELECT count(*) FROM ({_CHOSEN} LIMIT $5) AS chosen"
IDS: Final = f"""
SELECT product_id FROM ({_CHOSEN}) AS chosen
ORDER BY coalesce(merchant_id, '') COLLATE "C", coalesce(code, product_id) COLLATE "C\""""
"""By what people call them, so that another database with the same products gives the same bytes."""

_DECODER: Final = msgspec.json.Decoder(Product)
_ENCODER: Final = msgspec.json.Encoder()


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What to export. format: csv or xlsx. language: of the headers. Empty filters let everything pass; a category holds those below it."""

    format: str
    language: str = "en"
    merchant_id: str = ""
    state: str = ""
    category_id: str = ""
    brand_id: str = ""


async def count_of(pool: Any, wish: Wish, most: int) -> int:
    """How many products an export would have, counted up to ``most``."""
    return int(await pool.fetchval(COUNT, wish.merchant_id, wish.state, wish.category_id, wish.brand_id, most))


async def export_to(url: str, path: Path, wish: Wish) -> int:
    """Write an export into a file; answers how many products."""
    connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_S, server_settings={"application_name": "stampede export"})
    try:
        return await export_on(connection, path, wish)
    finally:
        connection.terminate()


async def export_on(connection: Any, path: Path, wish: Wish) -> int:
    """The same on a connection that is there."""
    with tempfile.TemporaryFile(dir=path.parent) as kept:
        count, extent = 0, Extent()
        async for docs in _documents(connection, wish):
            extent = extent_of(docs, extent)
            for doc in docs:
                kept.write(_ENCODER.encode(doc) + b"\n")
            count += len(docs)
        kept.seek(0)
        _write(path, wish, extent, kept)
        return count


async def _documents(connection: Any, wish: Wish) -> AsyncIterator[list[Product]]:
    """The products in order, some at a time, all as of one moment."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        rows = await connection.fetch(IDS, wish.merchant_id, wish.state, wish.category_id, wish.brand_id)
        ids = [row["product_id"] for row in rows]
        for start in range(0, len(ids), PRODUCTS_AT_ONCE):
            some = ids[start : start + PRODUCTS_AT_ONCE]
            found = await read_stored(connection, some)
            yield [in_order(found[product_id].doc) for product_id in some if product_id in found]


def _write(path: Path, wish: Wish, extent: Extent, kept: Any) -> None:
    columns = extent.columns()
    writer = Writer(columns)

    def rows() -> Iterator[list[str]]:
        yield header_of(columns, wish.language)
        for line in kept:
            yield from writer.rows(_DECODER.decode(line))

    if wish.format == "xlsx":
        write_workbook(path, rows())
        return
    with path.open("wb") as target:
        for piece in csv_pieces(rows()):
            target.write(piece)
