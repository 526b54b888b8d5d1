"""What the index is made from: rows of products, their names, and what is new. Reads only, and takes no lock of anybody's."""

from typing import Any, Final

import msgspec

NAMES_CATEGORY: Final = """
SELECT category_id, coalesce(parent_id, '') AS parent_id, title, title_zh, shown, attributes FROM category"""
NAMES_BRAND: Final = "SELECT brand_id, title, title_zh, aliases FROM brand"
NAMES_TAG: Final = "SELECT tag_id, title, title_zh, shown FROM tag"
OLD_CATEGORIES: Final = """
SELECT category, min(split_part(title_zh, ' · ', 1)) FILTER (WHERE title_zh LIKE '% · %') AS title_zh FROM product
WHERE category_id IS NULL AND category IS NOT NULL GROUP BY category"""
"""Seeded products name their category by a text; where their Chinese titles have two halves, the first one is its name."""

IDS: Final = "SELECT product_id FROM product WHERE product_id > $1 AND state = 'on_shelf' ORDER BY product_id LIMIT $2"
COUNT: Final = "SELECT count(*) FROM product WHERE state = 'on_shelf'"
PRODUCTS: Final = """
SELECT p.product_id, p.title, p.title_zh, p.department, p.department_zh, p.category, p.type, p.brand, p.code, p.size,
    p.on_shelf_since_ms, p.category_id, p.brand_id, p.tags,
    p.doc #>> '{texts,en,subtitle}' AS subtitle, p.doc #>> '{texts,zh-CN,subtitle}' AS subtitle_zh,
    p.doc #>> '{texts,en,keywords}' AS keywords, p.doc #>> '{texts,zh-CN,keywords}' AS keywords_zh,
    p.doc ->> 'attributes' AS attributes, p.doc ->> 'options' AS options,
    s.codes, s.barcodes, s.ids, s.price_min, s.price_max, s.currency, coalesce(s.in_stock, false) AS in_stock,
    coalesce(s.sold, 0)::bigint AS sold
FROM product p LEFT JOIN LATERAL (
    SELECT array_agg(k.code) AS codes, array_agg(k.barcode) AS barcodes, array_agg(k.sku_id) AS ids,
        min(k.price_minor) FILTER (WHERE k.on_shelf) AS price_min, max(k.price_minor) FILTER (WHERE k.on_shelf) AS price_max,
        (array_agg(k.currency ORDER BY k.price_minor, k.sku_id) FILTER (WHERE k.on_shelf))[1] AS currency,
        bool_or(k.on_shelf AND l.has) AS in_stock, sum(l.sold) AS sold
    FROM sku k LEFT JOIN LATERAL (
        SELECT bool_or(l.available > 0) AS has, sum(l.sold) AS sold
        FROM generate_series(0, k.parts - 1) part JOIN stock_level l ON l.key = k.sku_id || '#' || part
    ) l ON true
    WHERE k.product_id = p.product_id AND k.sku_id NOT LIKE 'sku\\_s\\_%'
) s ON true
WHERE p.product_id = ANY($1) AND p.state = 'on_shelf'"""

POSITION: Final = """
SELECT greatest((SELECT max(version) FROM product), (SELECT max(version) FROM brand), (SELECT max(version) FROM category),
        (SELECT max(version) FROM tag), 0)::bigint AS goods,
    coalesce((SELECT max(version) FROM sku), 0)::bigint AS facts,
    pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS xid"""
NEWS: Final = """
SELECT * FROM (
    (SELECT 'product' AS kind, product_id AS id, version FROM product WHERE version > $1 ORDER BY version LIMIT $2)
    UNION ALL (SELECT 'brand', brand_id, version FROM brand WHERE version > $1 ORDER BY version LIMIT $2)
    UNION ALL (SELECT 'category', category_id, version FROM category WHERE version > $1 ORDER BY version LIMIT $2)
    UNION ALL (SELECT 'tag', tag_id, version FROM tag WHERE version > $1 ORDER BY version LIMIT $2)
) news ORDER BY version LIMIT $2"""
SKU_NEWS: Final = "SELECT product_id, version FROM sku WHERE version > $1 ORDER BY version LIMIT $2"
FLIPS: Final = """
SELECT coalesce((SELECT array_agg(key) FROM search_stock_flip WHERE xid >= $1::text::xid8), '{}') AS keys,
    (SELECT array_agg(xid::text) FROM search_stock_flip WHERE xid >= $1::text::xid8) AS xids,
    pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS horizon"""
OF_SKUS: Final = "SELECT DISTINCT product_id FROM sku WHERE sku_id = ANY($1)"
OF_BRANDS: Final = "SELECT product_id FROM product WHERE brand_id = ANY($1) ORDER BY product_id"
OF_CATEGORIES: Final = """
WITH RECURSIVE below AS (
    SELECT category_id FROM category WHERE category_id = ANY($1)
    UNION SELECT c.category_id FROM category c JOIN below b ON c.parent_id = b.category_id
)
SELECT product_id FROM product WHERE category_id IN (SELECT category_id FROM below) ORDER BY product_id"""
OF_TAGS: Final = "SELECT product_id FROM product WHERE tags && $1 ORDER BY product_id"


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """A name in both languages. keys: what somebody types who wants it."""

    en: str
    zh: str
    parent: str = ""
    hidden: bool = False
    aliases: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    unit: str = ""
    values: dict[str, "Named"] = {}


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """What facets and suggestions are called, by id. Hidden tags are not among them, nor attributes that are no facets."""

    categories: dict[str, Named] = {}
    brands: dict[str, Named] = {}
    tags: dict[str, Named] = {}
    attributes: dict[str, Named] = {}

    def path(self, category_id: str) -> list[str]:
        """A category and all above it, the nearest first."""
        found: list[str] = []
        while category_id and category_id not in found:
            found.append(category_id)
            named = self.categories.get(category_id)
            category_id = named.parent if named is not None else ""
        return found


async def read_names(connection: Any) -> Names:
    """All names that stand in the tables."""
    categories, attributes = {}, {}
    for row in await connection.fetch(OLD_CATEGORIES):
        categories[row["category"]] = Named(en=row["category"], zh=row["title_zh"] or row["category"])
    for row in await connection.fetch(NAMES_CATEGORY):
        categories[row["category_id"]] = Named(en=row["title"], zh=row["title_zh"], parent=row["parent_id"], hidden=not row["shown"])
        for attribute in msgspec.json.decode(row["attributes"]):
            if attribute.get("facet"):
                attributes[attribute["attribute_id"]] = _attribute(attribute)
    brands = {
        row["brand_id"]: Named(en=row["title"], zh=row["title_zh"], aliases=tuple(row["aliases"]))
        for row in await connection.fetch(NAMES_BRAND)
    }
    tags = {row["tag_id"]: Named(en=row["title"], zh=row["title_zh"]) for row in await connection.fetch(NAMES_TAG) if row["shown"]}
    return Names(categories=categories, brands=brands, tags=tags, attributes=attributes)


def _attribute(attribute: dict[str, Any]) -> Named:
    titles = attribute.get("titles", {})
    values = {
        choice["value_id"]: Named(en=choice.get("titles", {}).get("en", ""), zh=choice.get("titles", {}).get("zh-CN", ""))
        for choice in attribute.get("choices", ())
    }
    return Named(en=titles.get("en", ""), zh=titles.get("zh-CN", ""), unit=attribute.get("unit", ""), values=values)
