"""The search without an index: titles compared by PostgreSQL. Slow, plain, and marked; better than a page that says no."""

from typing import Any, Final

from actors.domain.search_query import Wish
from actors.storage.connect import known
from schemas.http.catalogue import ProductLine, Titles
from schemas.http.search import Highlights, Hit, SearchPage
from schemas.money import Money

FOUND: Final = """
SELECT p.product_id, p.title, p.title_zh, p.category, p.brand, s.price_minor, s.currency, coalesce(s.in_stock, false) AS in_stock
FROM product p LEFT JOIN LATERAL (
    SELECT min(k.price_minor) AS price_minor, max(k.price_minor) AS price_max,
        (array_agg(k.currency ORDER BY k.price_minor, k.sku_id))[1] AS currency,
        bool_or(EXISTS (
            SELECT FROM generate_series(0, k.parts - 1) part JOIN stock_level l ON l.key = k.sku_id || '#' || part WHERE l.available > 0
        )) AS in_stock
    FROM sku k WHERE k.product_id = p.product_id AND k.on_shelf AND k.sku_id NOT LIKE 'sku\\_s\\_%'
) s ON true
WHERE p.state = 'on_shelf' AND (p.title ILIKE ALL ($1::text[]) OR p.title_zh ILIKE ALL ($1::text[]))
    AND ($2::text[] = '{}' OR coalesce(p.category_id, p.category) = ANY($2))
    AND ($3::text[] = '{}' OR coalesce(p.brand_id, p.brand) = ANY($3))
    AND ($4::text[] = '{}' OR p.tags && $4)
    AND ($5::bigint IS NULL OR s.price_max >= $5) AND ($6::bigint IS NULL OR s.price_minor <= $6)
    AND ($7::boolean IS NULL OR coalesce(s.in_stock, false) = $7)
ORDER BY p.product_id OFFSET $8 LIMIT $9"""
WORDS_MAX: Final = 8


class NoIndex(Exception):
    """There is no index that can be read: what is asked of it is asked here."""


class Unfiltered(Exception):
    """Without an index nothing can be filtered by attributes."""


async def search_plainly(pool: Any, wish: Wish) -> SearchPage:
    """Products whose titles have every word of the text, in the order of their ids, without facets. total: how many are known of.

    Unfiltered when attributes are asked for; StorageUnknown when the database cannot be asked.
    """
    if wish.attributes:
        raise Unfiltered
    words = [f"%{escaped(word)}%" for word in wish.text.split()[:WORDS_MAX]] or ["%"]
    rows = await known(
        pool.fetch(
            FOUND, words, list(wish.categories), list(wish.brands), list(wish.tags), wish.price_min, wish.price_max, wish.in_stock,
            wish.offset, wish.limit + 1,
        )
    )  # fmt: skip
    more = len(rows) > wish.limit
    return SearchPage(
        hits=tuple(_hit(row) for row in rows[: wish.limit]), total=wish.offset + len(rows), facets=(), prices=(), corrected=None,
        fallback="", degraded=True, next_cursor=str(wish.offset + wish.limit) if more else None,
    )  # fmt: skip


def escaped(word: str) -> str:
    """A word of somebody's within a pattern: itself and nothing else."""
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _hit(row: Any) -> Hit:
    price = None if row["price_minor"] is None else Money(amount=row["price_minor"], currency=row["currency"])
    line = ProductLine(
        product_id=row["product_id"], titles=Titles(en=row["title"], zh=row["title_zh"]), category=row["category"], brand=row["brand"],
        price=price,
    )  # fmt: skip
    return Hit(product=line, in_stock=row["in_stock"], highlights=Highlights())
