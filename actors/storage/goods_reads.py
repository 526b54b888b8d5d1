"""What staff read of products: lists, and the revisions of one."""

from typing import Any, Final

import msgspec

from actors.storage.connect import known
from actors.storage.goods import DECODER
from schemas.goods import Product

LIST: Final = """
WITH RECURSIVE below AS (
    SELECT category_id FROM category WHERE category_id = $3
    UNION ALL SELECT c.category_id FROM category c JOIN below b ON c.parent_id = b.category_id
)
SELECT p.product_id, p.code, p.state, p.shelf_at_ms, p.off_at_ms, p.merchant_id, p.category_id, p.brand_id, p.title, p.title_zh, p.tags,
    p.revision, (SELECT count(*) FROM sku s WHERE s.product_id = p.product_id AND s.sku_id NOT LIKE 'sku\\_s\\_%') AS skus
FROM product p
WHERE p.product_id > $1 AND ($2 = '' OR p.state = $2) AND ($3 = '' OR p.category_id IN (SELECT category_id FROM below))
    AND ($4 = '' OR p.brand_id = $4) AND ($5 = '' OR p.merchant_id = $5) AND ($6 = '' OR p.tags @> ARRAY[$6])
    AND ($7 = '' OR p.title ILIKE '%' || $7 || '%' OR p.title_zh ILIKE '%' || $7 || '%' OR p.code LIKE $7 || '%'
        OR p.product_id IN (SELECT s.product_id FROM sku s WHERE s.code LIKE $7 || '%' OR s.barcode LIKE $7 || '%'))
ORDER BY p.product_id LIMIT $8"""
REVISIONS: Final = """
SELECT r.revision, r.at_ms, r.actor_id, r.role, r.reason, r.doc ->> 'state' AS state
FROM product_revision r JOIN product p USING (product_id)
WHERE r.product_id = $1 AND r.revision < $2 AND ($3 = '' OR p.merchant_id = $3) ORDER BY r.revision DESC LIMIT $4"""
REVISION: Final = """
SELECT r.revision, r.at_ms, r.actor_id, r.role, r.reason, r.doc ->> 'state' AS state, r.doc::text AS doc
FROM product_revision r JOIN product p USING (product_id)
WHERE r.product_id = $1 AND r.revision = $2 AND ($3 = '' OR p.merchant_id = $3)"""
REVISION_MAX: Final = 2**31 - 1


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which products; an empty field lets all pass. category_id: with those below it.

    text: what stands in a title, or what a product's or a SKU's code or a barcode begins with.
    """

    state: str = ""
    category_id: str = ""
    brand_id: str = ""
    merchant_id: str = ""
    tag_id: str = ""
    text: str = ""


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A product in a list of the staff. skus: how many it has."""

    product_id: str
    code: str | None
    state: str
    shelf_at_ms: int
    off_at_ms: int
    merchant_id: str | None
    category_id: str | None
    brand_id: str | None
    title: str
    title_zh: str
    tags: list[str]
    revision: int
    skus: int


class Revision(msgspec.Struct, frozen=True, kw_only=True):
    """Who wrote a document, when (UTC, ms) and why. doc: where one revision was asked for."""

    revision: int
    at_ms: int
    actor_id: str
    role: str
    reason: str
    state: str
    doc: Product | None = None


class GoodsReads:
    """Reads on a pool. StorageUnknown when the database cannot be asked."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def page(self, wanted: Filter, after: str, limit: int) -> list[Listed]:
        """Products in the order of their ids, after one of them."""
        text = wanted.text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        rows = await known(
            self._pool.fetch(LIST, after, wanted.state, wanted.category_id, wanted.brand_id, wanted.merchant_id, wanted.tag_id, text, limit)
        )
        return [Listed(**dict(row)) for row in rows]

    async def revisions(self, product_id: str, before: int, limit: int, merchant_id: str = "") -> list[Revision]:
        """Revisions of a product before one of them, the newest first. merchant_id: only if it is this firm's."""
        rows = await known(self._pool.fetch(REVISIONS, product_id, before, merchant_id, limit))
        return [Revision(**dict(row)) for row in rows]

    async def revision(self, product_id: str, number: int, merchant_id: str = "") -> Revision | None:
        """One revision with its document."""
        if not 0 <= number <= REVISION_MAX:
            return None
        row = await known(self._pool.fetchrow(REVISION, product_id, number, merchant_id))
        return None if row is None else Revision(**dict(row) | {"doc": DECODER.decode(row["doc"])})
