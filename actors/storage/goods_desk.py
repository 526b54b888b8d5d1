"""What staff see of products in lists: the last changed first, found by name, code, barcode or id; and the revisions of one."""

from typing import Any, Final

import msgspec

from actors.storage.connect import known
from schemas.goods import Product

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
REVISIONS: Final = """
SELECT revision, at_ms, actor_id, role, reason FROM product_revision
WHERE product_id = $1 AND revision < $2 ORDER BY revision DESC LIMIT $3"""
REVISION: Final = """
SELECT revision, at_ms, actor_id, role, reason, doc::text AS doc FROM product_revision
WHERE product_id = $1 AND revision <= $2 ORDER BY revision DESC LIMIT 2"""

_DOCUMENT: Final = msgspec.json.Decoder(Product)


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


class Revision(msgspec.Struct, frozen=True, kw_only=True):
    """Who wrote a revision, when (UTC, milliseconds) and why."""

    revision: int
    at_ms: int
    actor_id: str
    role: str
    reason: str


class GoodsDesk:
    """Lists of products on a pool. StorageUnknown when the database cannot be asked."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def products(self, *, before: int = LAST_VERSION, state: str = "", text: str = "", limit: int = 50) -> list[Listed]:
        """Products of a version below ``before``, the last changed first."""
        pattern = "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        return [Listed(**dict(row)) for row in await known(self._pool.fetch(LIST, before, state, text, pattern, limit))]

    async def revisions(self, product_id: str, *, before: int = 2**31 - 1, limit: int = 20) -> list[Revision]:
        """The revisions of a product below ``before``, the newest first."""
        return [Revision(**dict(row)) for row in await known(self._pool.fetch(REVISIONS, product_id, before, limit))]

    async def revision(self, product_id: str, revision: int) -> tuple[Revision, Product, tuple[int, Product] | None] | None:
        """One revision with its document, and the number and document of the one before it; None when there is no such one."""
        rows = await known(self._pool.fetch(REVISION, product_id, revision))
        if not rows or rows[0]["revision"] != revision:
            return None
        row = rows[0]
        found = Revision(revision=revision, at_ms=row["at_ms"], actor_id=row["actor_id"], role=row["role"], reason=row["reason"])
        before = (rows[1]["revision"], _DOCUMENT.decode(rows[1]["doc"])) if len(rows) > 1 else None
        return found, _DOCUMENT.decode(row["doc"]), before
