"""Documents in their tables: written as a whole, versioned, refused with everything that stands against them."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from actors.domain.product import Terms, flaws
from actors.storage.connect import open_pool
from actors.storage.goods import By, Edit, Goods, Written, read_terms
from actors.storage.seed import small_shop
from actors.storage.shop import load_shop
from schemas.goods import Option as ProductOption
from schemas.goods import OptionValue, Price, Product, ProductText, ProductTexts, Sku, Words

pytestmark = pytest.mark.slow

BY = By(actor_id="usr_1", role="operator", reason="a test")
NOW_MS = 1_790_000_000_000


@pytest.fixture
async def goods(database_url: str, connection: Any, sharding: Any) -> AsyncIterator[Goods]:
    await load_shop(connection, sharding, small_shop(7), lambda *_: None)
    pool = await open_pool(database_url, size=2)
    yield Goods(pool)
    await pool.close()


def cup(code: str = "CUP", **more: Any) -> Product:
    """A cup in two colours."""
    colors = tuple(OptionValue(value_id=name, titles=Words(en=name)) for name in ("red", "blue"))
    fields: dict[str, Any] = {
        "code": code,
        "texts": ProductTexts(en=ProductText(title="Cup")),
        "options": (ProductOption(option_id="color", titles=Words(en="Colour"), values=colors),),
        "skus": tuple(
            Sku(code=f"{code}-{color}", choice={"color": color}, prices=(Price(currency="CNY", amount=1000),)) for color in ("red", "blue")
        ),
    }
    return Product(**(fields | more))


async def write(connection: Any, goods: Goods, *edits: Edit, by: By = BY, at_ms: int = NOW_MS) -> list[Written]:
    async with connection.transaction():
        return await goods.write_many(connection, edits, by, at_ms)


async def test_a_new_product_is_read_as_it_was_written(connection: Any, goods: Goods) -> None:
    [written] = await write(connection, goods, Edit(doc=cup()))
    stored = await goods.read(written.product_id)
    assert stored is not None
    assert (stored.revision, stored.doc) == (1, written.doc)
    assert all(sku.sku_id for sku in stored.doc.skus)


async def test_a_seeded_product_has_a_document_without_flaws_but_its_place(connection: Any, goods: Goods) -> None:
    stored = await goods.read("prd_1")
    assert stored is not None
    terms: Terms = await read_terms(connection)
    assert stored.revision == 0
    assert [flaw.code for flaw in flaws(stored.doc, terms)] in ([], ["category_missing"])
