"""The catalogue as people browse it: lists, products, sale pages. Stock in here is the projection's, a moment old."""

from typing import Any, Final

import msgspec

from actors.storage.connect import known
from schemas.http.catalogue import Product, ProductLine, ProductSku, Titles
from schemas.money import Money

SALE_SKU: Final = "sku_s_"
"""Articles that a flash sale has for itself begin so: they are in no list, and go into no cart."""

_LINE: Final = """
SELECT p.product_id, p.title, p.title_zh, p.category, p.brand, s.price_minor, s.currency
FROM product p LEFT JOIN LATERAL (
    SELECT price_minor, currency FROM sku WHERE product_id = p.product_id AND on_shelf AND sku_id NOT LIKE 'sku\\_s\\_%'
    ORDER BY price_minor, sku_id LIMIT 1
) s ON true
WHERE p.product_id > $1 {where} ORDER BY p.product_id LIMIT $2"""
LIST: Final = _LINE.format(where="")
LIST_CATEGORY: Final = _LINE.format(where="AND p.category = $3")
PRODUCT: Final = """
SELECT product_id, title, title_zh, department, department_zh, category, type, brand, size FROM product WHERE product_id = $1"""
SKUS: Final = """
SELECT s.sku_id, s.code, s.price_minor, s.currency, s.on_shelf, EXISTS (
    SELECT FROM generate_series(0, s.parts - 1) part JOIN stock_level l ON l.key = s.sku_id || '#' || part WHERE l.available > 0
) AS in_stock
FROM sku s WHERE s.product_id = $1 AND s.sku_id NOT LIKE 'sku\\_s\\_%' ORDER BY s.sku_id"""
SALE_ROW: Final = """
SELECT sale_id, title, title_zh, state, mode, opens_at_ms, ends_at_ms, prices, currency, limit_per_user, ticket_required
FROM flash_sale WHERE sale_id = $1"""
LEVELS: Final = """
SELECT s.sku_id, coalesce(sum(l.available), 0)::bigint AS available, coalesce(sum(l.put_in), 0)::bigint AS put_in
FROM sku s LEFT JOIN LATERAL generate_series(0, s.parts - 1) part ON true
LEFT JOIN stock_level l ON l.key = s.sku_id || '#' || part
WHERE s.sku_id = ANY($1) GROUP BY s.sku_id"""

_PRICES: Final = msgspec.json.Decoder(dict[str, int])


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a SKU there is, over all its parts, and how much there ever was."""

    available: int
    put_in: int


class SaleRow(msgspec.Struct, frozen=True, kw_only=True):
    """A flash sale as its page shows it."""

    sale_id: str
    titles: Titles
    state: str
    mode: str
    opens_at_ms: int
    ends_at_ms: int
    prices: dict[str, int]
    currency: str
    limit_per_user: int
    ticket_required: bool
    levels: dict[str, Level]


class Catalogue:
    """Reads on a pool. StorageUnknown when the database cannot be asked."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def products(self, after: str, limit: int, category: str | None) -> list[ProductLine]:
        """Products in the order of their ids, after one of them."""
        if category is None:
            rows = await known(self._pool.fetch(LIST, after, limit))
        else:
            rows = await known(self._pool.fetch(LIST_CATEGORY, after, limit, category))
        return [
            ProductLine(
                product_id=row["product_id"],
                titles=Titles(en=row["title"], zh=row["title_zh"]),
                category=row["category"],
                brand=row["brand"],
                price=None if row["price_minor"] is None else Money(amount=row["price_minor"], currency=row["currency"]),
            )
            for row in rows
        ]

    async def product(self, product_id: str) -> Product | None:
        """One product with its articles."""
        return await known(self._product(product_id))

    async def _product(self, product_id: str) -> Product | None:
        async with self._pool.acquire() as connection:
            row = await connection.fetchrow(PRODUCT, product_id)
            skus = await connection.fetch(SKUS, product_id) if row else []
        if row is None:
            return None
        return Product(
            product_id=row["product_id"],
            titles=Titles(en=row["title"], zh=row["title_zh"]),
            department=Titles(en=row["department"], zh=row["department_zh"]),
            category=row["category"],
            type=row["type"],
            brand=row["brand"],
            size=row["size"],
            skus=tuple(
                ProductSku(
                    sku_id=sku["sku_id"],
                    code=sku["code"],
                    price=Money(amount=sku["price_minor"], currency=sku["currency"]),
                    on_sale=sku["on_shelf"],
                    in_stock=sku["in_stock"],
                )
                for sku in skus
            ),
        )

    async def sale(self, sale_id: str) -> SaleRow | None:
        """One flash sale with the stock of its articles."""
        return await known(self._sale(sale_id))

    async def _sale(self, sale_id: str) -> SaleRow | None:
        async with self._pool.acquire() as connection:
            row = await connection.fetchrow(SALE_ROW, sale_id)
            if row is None:
                return None
            prices = _PRICES.decode(row["prices"])
            levels = await connection.fetch(LEVELS, list(prices))
        return SaleRow(
            sale_id=row["sale_id"],
            titles=Titles(en=row["title"], zh=row["title_zh"]),
            state=row["state"],
            mode=row["mode"],
            opens_at_ms=row["opens_at_ms"],
            ends_at_ms=row["ends_at_ms"],
            prices=prices,
            currency=row["currency"],
            limit_per_user=row["limit_per_user"],
            ticket_required=row["ticket_required"],
            levels={level["sku_id"]: Level(available=level["available"], put_in=level["put_in"]) for level in levels},
        )
