"""A database with a part of the demo shop and the synthetic one, and an index of it, made once for all tests of the search."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import polars as pl
import pytest

from actors.storage.search.indexer import Indexer, build, held
from actors.storage.search.searching import Search
from actors.storage.seed import copy_rows, demo_shop
from loadtests.relevance import JUDGED, load, synthetic

EVERY = 31
"""Of the demo shop every so many-th product: some 3,000."""
SYNTHETIC = 600


async def _fill(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        shop = demo_shop(2026)
        # By their types in turn, so that every kind is there.
        products = shop.products.sort("type", "product_id").gather_every(EVERY)
        skus = shop.skus.filter(pl.col("product_id").is_in(products["product_id"].implode()))
        await copy_rows(connection, "category", shop.categories)
        await copy_rows(connection, "brand", shop.brands)
        await copy_rows(connection, "product", products)
        await copy_rows(connection, "sku", skus.drop("on_hand"))
        await copy_rows(connection, "stock_level", skus.select(key=pl.col("sku_id") + "#0", available="on_hand", put_in="on_hand"))
        await load(connection, synthetic(SYNTHETIC))
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def filled_template(new_database: Callable[[str], str]) -> str:
    """The name of a database with both shops."""
    asyncio.run(_fill(new_database("search_shop")))
    return "search_shop"


@pytest.fixture(scope="session")
def shop_url(filled_template: str, copy_of_database: Callable[[str], AbstractContextManager[str]]) -> Iterator[str]:
    """A copy that is only read."""
    with copy_of_database(filled_template) as url:
        yield url


@pytest.fixture(scope="session")
def indexed(shop_url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of an index of both shops."""
    directory = Path(tmp_path_factory.mktemp("search"))
    asyncio.run(build(shop_url, directory))
    return directory


@pytest.fixture(scope="session")
def search(indexed: Path) -> Search:
    return Search(indexed)


@pytest.fixture(scope="session")
def products(shop_url: str) -> dict[str, dict[str, Any]]:
    """What queries are judged by."""

    async def read() -> list[Any]:
        connection = await asyncpg.connect(shop_url)
        try:
            return list(await connection.fetch(JUDGED))
        finally:
            await connection.close()

    return {row["product_id"]: dict(row) for row in asyncio.run(read())}


INSERT_PRODUCT = """
INSERT INTO product (product_id, title, title_zh, department, department_zh, category, category_id, brand_id, state, doc)
VALUES ($1, $2, $3, 'HOME', '家居', $4, $5, $6, 'on_shelf', $7::jsonb)"""


class SmallShop:
    """A database, an index that follows it step by step, and a replica that reads it."""

    def __init__(self, url: str, connection: Any, directory: Path) -> None:
        self.url = url
        self.connection = connection
        self.directory = directory
        self.indexer = Indexer(url, directory)
        self.search = Search(directory)

    async def product(
        self, number: str, title: str, title_zh: str = "", *, category: str | None = None, price: int = 1000, stock: int = 5, **more: Any
    ) -> str:
        """A new product with one article. more: category_id, brand_id, attributes."""
        doc = {"attributes": more.get("attributes", {}), "options": [], "texts": {}}
        await self.connection.execute(
            INSERT_PRODUCT, f"prd_{number}", title, title_zh or title, category, more.get("category_id"), more.get("brand_id"),
            json.dumps(doc),
        )  # fmt: skip
        await self.connection.execute(
            "INSERT INTO sku (sku_id, product_id, code, price_minor, currency) VALUES ($1, $2, $3, $4, 'CNY')",
            f"sku_{number}", f"prd_{number}", f"CODE-{number}", price,
        )  # fmt: skip
        await self.connection.execute("INSERT INTO stock_level (key, available) VALUES ($1, $2)", f"sku_{number}#0", stock)
        return f"prd_{number}"

    async def settle(self) -> None:
        """The indexer works until nothing is left to do."""
        while await self.indexer.step():
            pass
        # A replica looks again after a fifth of a second; here at once.
        self.search._reader._looked = 0.0


@pytest.fixture
async def small_shop(database_url: str, tmp_path: Path) -> Any:
    connection = await asyncpg.connect(database_url)
    directory = tmp_path / "search"
    with held(directory):
        shop = SmallShop(database_url, connection, directory)
        shop.indexer.open()
        yield shop
        await shop.indexer.close()
    await connection.close()


def as_dict(value: Any) -> Any:
    return msgspec.to_builtins(value)
