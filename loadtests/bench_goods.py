"""How long it takes to write a whole shop's documents, and a product at a time: `make bench-goods`.

Each round, on a database of its own: N new products of one SKU each, the same again (nothing is written), all of them with another
price, and single edits one after the other. Times are of the transactions, validation and revisions included.
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from actors.domain.product import flaws
from actors.storage.embedded import EmbeddedPostgres
from actors.storage.goods import By, Edit, Goods, read_terms
from actors.storage.migrate import migrate
from schemas.goods import Price, Product, ProductText, ProductTexts, Sku

CATEGORY = "INSERT INTO category (category_id, title, title_zh, slug) VALUES ('cat_1', 'One', '一', 'one')"
BY = By(actor_id="usr_1", role="operator", reason="a bench")
AT_MS = 1_790_000_000_000
SINGLE = 200


def document(number: int, amount: int) -> Product:
    """A product as a sheet of an import makes one."""
    texts = ProductTexts(
        en=ProductText(title=f"Article {number} of the autumn collection"), zh=ProductText(title=f"秋季系列商品 {number}", subtitle="正品")
    )
    skus = (Sku(code=f"S{number:07d}", prices=(Price(currency="CNY", amount=amount),), weight_g=100),)
    return Product(code=f"P{number:07d}", state="on_shelf", category_id="cat_1", texts=texts, skus=skus)


async def write(connection: Any, goods: Goods, edits: list[Edit], *, judge: bool = False) -> tuple[float, list[str]]:
    """(seconds, product ids) of one transaction."""
    began = time.perf_counter()
    async with connection.transaction():
        if judge:
            terms = await read_terms(connection)
            assert not any(flaws(edit.doc, terms) for edit in edits)
        written = await goods.write_many(connection, edits, BY, AT_MS)
    return time.perf_counter() - began, [one.product_id for one in written]


async def rounds(url: str, count: int) -> dict[str, float]:
    """The times of one round, in seconds; of a single edit in milliseconds."""
    connection = await asyncpg.connect(url)
    await migrate(connection)
    goods = Goods(None)
    try:
        await connection.execute(CATEGORY)
        new, ids = await write(connection, goods, [Edit(doc=document(number, 1000)) for number in range(count)], judge=True)
        same, _ = await write(connection, goods, [Edit(product_id=one, doc=document(n, 1000)) for n, one in enumerate(ids)])
        dearer = [Edit(product_id=one, doc=document(n, 1100)) for n, one in enumerate(ids)]
        changed, _ = await write(connection, goods, dearer, judge=True)
        began = time.perf_counter()
        for number in range(min(SINGLE, count)):
            doc = msgspec.structs.replace(document(number, 1200), slug=f"article-{number}")
            await write(connection, goods, [Edit(product_id=ids[number], doc=doc)])
        single = (time.perf_counter() - began) / min(SINGLE, count) * 1000
    finally:
        await connection.close()
    return {"new_s": new, "same_s": same, "changed_s": changed, "single_ms": single}


def main() -> None:
    """One line a round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--products", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=1)
    asked = parser.parse_args()
    for number in range(asked.rounds):
        with tempfile.TemporaryDirectory(prefix="stampede-goods-") as folder, EmbeddedPostgres(Path(folder)) as server:
            found = asyncio.run(rounds(server.url, asked.products))
        print(
            f"round {number + 1}, {asked.products} products:", "  ".join(f"{name} {value:.2f}" for name, value in found.items()), flush=True
        )


if __name__ == "__main__":
    main()
