"""Products as documents: read, written with their rows and revisions, and what documents are judged by.

Everybody who writes ``product`` holds the advisory lock of its trigger to the commit, so writers act one after the other, and
what one has read it may rely on. The order is: the trail of the staff (where there is one), the goods (7269), the facts (7268).
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from actors.domain.product import Place, Terms, founded
from actors.storage.connect import known
from schemas.flaws import Flaw
from schemas.goods import Attribute, Product, Words

PRODUCT_ROWS: Final = """
SELECT product_id, code, state, shelf_at_ms, off_at_ms, on_shelf_since_ms, merchant_id, category_id, brand_id, slug, title, title_zh,
    department, department_zh, category, brand, doc::text AS doc, revision, version,
    (extract(epoch FROM created_at) * 1000)::bigint AS created_at_ms
FROM product WHERE product_id = ANY($1) ORDER BY product_id"""
SKU_ROWS: Final = """
SELECT sku_id, product_id, merchant_id, code, price_minor, currency, offered, on_shelf, barcode, weight_g, position, safety_stock
FROM sku WHERE product_id = ANY($1) AND sku_id NOT LIKE 'sku\\_s\\_%' ORDER BY product_id, position, sku_id"""
PRICE_ROWS: Final = """
SELECT r.sku_id, r.position, r.kind, r.currency, r.price_minor, r.min_quantity, r.level_id, r.starts_at_ms, r.ends_at_ms, r.label,
    r.label_zh
FROM sku_price r JOIN sku s USING (sku_id) WHERE s.product_id = ANY($1) ORDER BY r.sku_id, r.position"""
MEMBER_PRICE_ROWS: Final = """
SELECT m.sku_id, m.level_id, m.price_minor FROM member_price m JOIN sku s USING (sku_id)
WHERE s.product_id = ANY($1) AND s.sku_id NOT LIKE 'sku\\_s\\_%' ORDER BY m.sku_id, m.level_id"""
CATEGORIES: Final = "SELECT category_id, parent_id, title, title_zh, attributes::text AS attributes FROM category"
BRANDS: Final = "SELECT brand_id, title FROM brand"
MERCHANTS: Final = "SELECT merchant_id FROM merchant"
LEVELS: Final = "SELECT level_id FROM member_level"
CURRENCIES: Final = """
SELECT jsonb_object_keys(terms -> 'rates') AS currency FROM member_rule UNION SELECT currency FROM shipping_fee
UNION (SELECT currency FROM sku ORDER BY sku_id LIMIT 1)"""
"""What the shop sells in: the currencies that membership and delivery have rates for, and its first article's."""

DECODER: Final = msgspec.json.Decoder(Product)
_ATTRIBUTES: Final = msgspec.json.Decoder(tuple[Attribute, ...])


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A product as it stands. revision: of its document, 0 as it was seeded. version: of its row, for caches."""

    product_id: str
    revision: int
    doc: Product
    version: int = 0


class Edit(msgspec.Struct, frozen=True, kw_only=True):
    """A document to be written. product_id: empty for a new product. expected_revision: None takes whatever is there.

    back: a retired product comes back by this, off the shelf; only a revert says so. new_id: the id of a new product, where the
    caller must know it again; a random one without it.
    """

    doc: Product
    product_id: str = ""
    expected_revision: int | None = None
    back: bool = False
    new_id: str = ""


class By(msgspec.Struct, frozen=True, kw_only=True):
    """Who writes, and why. merchant_id: whoever acts for a firm finds and makes the firm's products alone."""

    actor_id: str
    role: str
    reason: str = ""
    merchant_id: str = ""


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an edit. changed: False where the document was the same, and nothing was written.

    removed: the paths of texts of which HTML that is not allowed was taken out.
    """

    product_id: str
    revision: int
    doc: Product
    changed: bool = True
    removed: tuple[str, ...] = ()


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why an edit, by its place among those given, cannot be written.

    code: ``product_not_found``, ``product_changed``, or ``product_flawed`` with the flaws.
    """

    index: int
    code: str
    flaws: tuple[Flaw, ...] = ()


class NotWritten(Exception):
    """Nothing of all edits was written, for these reasons."""

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        super().__init__(refusals)
        self.refusals = tuple(refusals)


class Goods:
    """Products on a pool. StorageUnknown when the database cannot be asked."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def read(self, product_id: str) -> Stored | None:
        """One product as it stands."""
        return (await self.read_many([product_id])).get(product_id)

    async def read_many(self, product_ids: Iterable[str]) -> dict[str, Stored]:
        """Products as they stand, by id; those that do not exist are absent."""

        async def within() -> dict[str, Stored]:
            async with self._pool.acquire() as connection:
                return await read_stored(connection, list(product_ids))

        return await known(within())

    async def terms(self) -> Terms:
        """What documents may name now."""

        async def within() -> Terms:
            async with self._pool.acquire() as connection:
                return await read_terms(connection)

        return await known(within())

    async def write_many(self, connection: Any, edits: Sequence[Edit], by: By, at_ms: int) -> list[Written]:
        """Write documents with their rows and revisions, all or nothing, within the caller's transaction.

        The documents have no flaws (``actors.domain.product.flaws``); their HTML is sanitised here, whatever it was before. A SKU
        without an id gets that of the product's SKU with its code, or a new one; a SKU that left its document is offered no more.
        at_ms: UTC. NotWritten says of each edit what stands against it.
        """
        # The writing is long enough for a file of its own, which needs the types of this one.
        from actors.storage.goods_writing import Writing

        return await Writing(connection, edits, by, at_ms).run()


async def read_stored(connection: Any, product_ids: list[str]) -> dict[str, Stored]:
    """Products as they stand, by id, on one connection."""
    rows = await connection.fetch(PRODUCT_ROWS, product_ids)
    seeded = await founded_of(connection, {row["product_id"]: row for row in rows if row["doc"] is None})
    return {
        row["product_id"]: Stored(
            product_id=row["product_id"],
            revision=row["revision"],
            doc=seeded[row["product_id"]] if row["doc"] is None else doc_of(row),
            version=row["version"],
        )
        for row in rows
    }


def doc_of(row: Any) -> Product:
    """The document in a row of ``product``. Whose it is says the column, which ``stampede staff merchant`` changes alone."""
    doc = DECODER.decode(row["doc"])
    merchant_id = row["merchant_id"] or ""
    return doc if doc.merchant_id == merchant_id else msgspec.structs.replace(doc, merchant_id=merchant_id)


async def founded_of(connection: Any, rows: dict[str, Any]) -> dict[str, Product]:
    """The documents of products that have none yet, of their rows."""
    if not rows:
        return {}
    ids = list(rows)
    skus = _grouped(await connection.fetch(SKU_ROWS, ids), "product_id")
    prices = [*await connection.fetch(PRICE_ROWS, ids), *await connection.fetch(MEMBER_PRICE_ROWS, ids)]
    by_sku = _grouped(prices, "sku_id")
    return {
        product_id: founded(row, of_it := skus.get(product_id, []), [price for sku in of_it for price in by_sku.get(sku["sku_id"], [])])
        for product_id, row in rows.items()
    }


def _grouped(rows: Iterable[Any], name: str) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for row in rows:
        found.setdefault(row[name], []).append(row)
    return found


async def read_terms(connection: Any) -> Terms:
    """What documents may name, on one connection."""
    return Terms(
        currencies=frozenset(row["currency"] for row in await connection.fetch(CURRENCIES)),
        categories=places_of(await connection.fetch(CATEGORIES)),
        brands=frozenset(row["brand_id"] for row in await connection.fetch(BRANDS)),
        merchants=frozenset(row["merchant_id"] for row in await connection.fetch(MERCHANTS)),
        levels=frozenset(row["level_id"] for row in await connection.fetch(LEVELS)),
    )


def places_of(rows: list[Any]) -> dict[str, Place]:
    """The rows of ``category`` as documents are judged by them: what a parent defines holds for its children."""
    by_id = {row["category_id"]: row for row in rows}
    found: dict[str, Place] = {}

    def place(category_id: str) -> Place:
        if category_id in found:
            return found[category_id]
        row = by_id[category_id]
        titles = Words(en=row["title"], zh=row["title_zh"])
        above = place(row["parent_id"]) if row["parent_id"] else None
        found[category_id] = Place(
            path=(*(above.path if above else ()), category_id),
            titles=titles,
            root_titles=above.root_titles if above else titles,
            attributes=(*(above.attributes if above else ()), *_ATTRIBUTES.decode(row["attributes"])),
        )
        return found[category_id]

    for category_id in by_id:
        place(category_id)
    return found
