"""The list of products that the pages of the staff show: the last changed first, found by name, code, barcode or id."""

from typing import Any, Final

import msgspec

from actors.storage.connect import known

LAST_VERSION: Final = 2**62
"""Above every version of a product."""

LIST: Final = """
SELECT p.product_id, p.code, p.state, p.title, p.title_zh, coalesce(p.category, '') AS category, p.revision, p.version,
    coalesce(p.doc -> 'images' -> 0 ->> 'image_id', '') AS image_id,
    s.articles, s.price_minor, s.currency
FROM product p LEFT JOIN LATERAL (
    SELECT count(*) AS articles, min(price_minor) AS price_minor, min(currency) AS currency
    FROM sku WHERE product_id = p.product_id AND sku_id NOT LIKE 'sku\\_s\\_%') s ON true
WHERE p.version < $1 AND ($2 = '' OR p.state = $2)
    AND ($3 = '' OR p.product_id = $3 OR p.code = $3 OR p.title ILIKE $4 OR p.title_zh ILIKE $4
        OR p.product_id IN (SELECT product_id FROM sku WHERE code = $3 OR sku_id = $3 OR (barcode = $3 AND barcode <> '')))
ORDER BY p.version DESC LIMIT $5"""

ARTICLE: Final = """
SELECT sku_id FROM sku WHERE (sku_id = $1 OR code = $1 OR (barcode = $1 AND barcode <> '')) AND sku_id NOT LIKE 'sku\\_s\\_%'
ORDER BY sku_id <> $1, code <> $1, sku_id LIMIT 1"""
ARTICLE_OF: Final = """
SELECT s.sku_id, s.code, s.product_id, p.title, p.title_zh FROM sku s JOIN product p USING (product_id) WHERE s.sku_id = $1"""


class Article(msgspec.Struct, frozen=True, kw_only=True):
    """One article, and what it belongs to."""

    sku_id: str
    code: str
    product_id: str
    title: str
    title_zh: str


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One product in a list. articles: how many it has. price_minor: of the cheapest one, None without any."""

    product_id: str
    code: str | None
    state: str
    title: str
    title_zh: str
    category: str
    revision: int
    version: int
    image_id: str
    articles: int
    price_minor: int | None
    currency: str | None


class GoodsDesk:
    """Lists of products on a pool. StorageUnknown when the database cannot be asked."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def products(self, *, before: int = LAST_VERSION, state: str = "", text: str = "", limit: int = 50) -> list[Listed]:
        """Products of a version below ``before``, the last changed first."""
        pattern = "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        return [Listed(**dict(row)) for row in await known(self._pool.fetch(LIST, before, state, text, pattern, limit))]

    async def article(self, text: str) -> str | None:
        """The article with this id, code or barcode."""
        found = await known(self._pool.fetchval(ARTICLE, text))
        return None if found is None else str(found)

    async def article_of(self, sku_id: str) -> Article | None:
        """What an article is called."""
        row = await known(self._pool.fetchrow(ARTICLE_OF, sku_id))
        return None if row is None else Article(**dict(row))
