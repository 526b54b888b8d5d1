"""The facts of products, made anew where something of them has changed.

Who is due: whatever a transaction that changes something can say itself stands in ``product_fact_due`` (sales, purchases); the rest is
found by the versions of products and prices, by comparing stock, by the windows of prices and sales that began or ended, and by the
day. Finding and remembering how far was looked are one transaction; making facts and taking a product off the list are another.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from actors.domain.lifecycle import percent_off
from actors.domain.product_facts import DAY_MS, cover_of, lacking, trend, velocity_7, velocity_28
from schemas.goods import AttributeValue, Product
from schemas.watch import NEVER_DAYS, ProductFacts, SkuFacts

STATE: Final = "SELECT goods_version, fact_version, looked_at_ms FROM watch_state FOR UPDATE"
NEWEST: Final = """
SELECT (SELECT coalesce(max(version), 0) FROM product) AS goods, greatest((SELECT max(version) FROM sku),
    (SELECT max(version) FROM sku_price), (SELECT max(version) FROM flash_sale), 0) AS facts"""
LOOKED: Final = "UPDATE watch_state SET goods_version = $1, fact_version = $2, looked_at_ms = $3"
FIND_CHANGED: Final = """
INSERT INTO product_fact_due (product_id)
SELECT product_id FROM product WHERE version > $1
UNION SELECT product_id FROM sku WHERE version > $2
UNION SELECT s.product_id FROM sku_price r JOIN sku s USING (sku_id) WHERE r.version > $2
UNION SELECT s.product_id FROM sku_price r JOIN sku s USING (sku_id)
    WHERE r.kind = 'promotion' AND (r.ends_at_ms > $3 AND r.ends_at_ms <= $4 OR r.starts_at_ms > $3 AND r.starts_at_ms <= $4)
UNION SELECT s.product_id FROM flash_sale f CROSS JOIN LATERAL jsonb_object_keys(f.prices) AS k (sku_id) JOIN sku s USING (sku_id)
    WHERE f.version > $2 OR f.opens_at_ms > $3 AND f.opens_at_ms <= $4 OR f.ends_at_ms > $3 AND f.ends_at_ms <= $4
ON CONFLICT DO NOTHING"""
FIND_MOVED: Final = """
INSERT INTO product_fact_due (product_id)
SELECT f.product_id FROM product_fact f JOIN (
    SELECT s.product_id, sum(l.available) AS available, sum(l.available + l.held + l.in_transit) AS on_hand
    FROM stock_level l JOIN sku s ON s.sku_id = split_part(l.key, '#', 1) WHERE s.sku_id NOT LIKE 'sku\\_s\\_%' GROUP BY s.product_id
) l USING (product_id) WHERE f.available <> l.available OR f.on_hand <> l.on_hand
ON CONFLICT DO NOTHING"""
"""Stock has no version: what it is now is compared with what was seen. 92,331 articles take a fifth of a second."""
FIND_OLD: Final = """
INSERT INTO product_fact_due (product_id) SELECT product_id FROM product_fact WHERE day < $1 ON CONFLICT DO NOTHING"""
TAKE_DUE: Final = """
DELETE FROM product_fact_due WHERE product_id IN (SELECT product_id FROM product_fact_due ORDER BY product_id LIMIT $1)
RETURNING product_id"""
CATEGORIES: Final = "SELECT category_id, parent_id FROM category"
IN_SALES: Final = """
SELECT DISTINCT k.sku_id FROM flash_sale f CROSS JOIN LATERAL jsonb_object_keys(f.prices) AS k (sku_id)
WHERE f.state IN ('open', 'entering', 'drawn') AND f.opens_at_ms <= $1 AND f.ends_at_ms > $1"""
SELLING_WELL: Final = """
SELECT category_id, merchant_id, product_id FROM (
    SELECT p.category_id, coalesce(p.merchant_id, '') AS merchant_id, p.product_id,
        row_number() OVER (PARTITION BY p.category_id, p.merchant_id ORDER BY u.units DESC, p.product_id) AS place
    FROM (SELECT s.product_id, sum(d.units) AS units FROM sku_day d JOIN sku s USING (sku_id) WHERE d.day > $1 - 28 GROUP BY 1) u
    JOIN product p USING (product_id) WHERE p.state = 'on_shelf' AND p.category_id IS NOT NULL AND u.units >= 5
) ranked WHERE place = 1"""
PRODUCTS: Final = """
SELECT p.product_id, p.title, p.title_zh, p.state, p.on_shelf_since_ms, coalesce(p.category_id, '') AS category_id,
    coalesce(p.brand_id, '') AS brand_id, coalesce(p.merchant_id, '') AS merchant_id, (p.doc -> 'attributes')::text AS attributes,
    CASE WHEN p.state = 'draft' THEN p.doc::text END AS draft,
    CASE WHEN p.state = 'off_shelf' THEN (
        SELECT min(r.at_ms) FROM product_revision r WHERE r.product_id = p.product_id AND r.revision > coalesce((
            SELECT max(b.revision) FROM product_revision b WHERE b.product_id = p.product_id AND b.doc ->> 'state' <> 'off_shelf'), 0)
    ) END AS off_since_ms,
    EXISTS (
        SELECT FROM proposal o JOIN coupon c ON c.coupon_id = o.result
        WHERE o.product_id = p.product_id AND o.rule = 'slow' AND o.state = 'done' AND c.ends_at > to_timestamp($2::bigint / 1000.0)
    ) AS in_bundle
FROM product p WHERE p.product_id = ANY($1::text[])"""
SKUS: Final = """
SELECT s.product_id, s.sku_id, s.code, s.price_minor AS price, s.currency, s.offered, s.safety_stock,
    coalesce(l.available, 0) AS available, coalesce(l.on_hand, 0) AS on_hand, coalesce(i.incoming, 0) AS incoming,
    coalesce(d.units_1, 0) AS units_1, coalesce(d.units_7, 0) AS units_7, coalesce(d.units_28, 0) AS units_28,
    coalesce(d.units_35, 0) AS units_35, coalesce(d.units_90, 0) AS units_90, coalesce(d.revenue_28, 0) AS revenue_28,
    (SELECT max(day) FROM sku_day WHERE sku_id = s.sku_id AND units > 0) AS last_day, r.promotion
FROM sku s
LEFT JOIN LATERAL (
    SELECT sum(available)::bigint AS available, sum(available + held + in_transit)::bigint AS on_hand
    FROM generate_series(0, s.parts - 1) AS part JOIN stock_level ON key = s.sku_id || '#' || part
) l ON true
LEFT JOIN LATERAL (
    SELECT sum(n.quantity - coalesce(n.received, 0))::bigint AS incoming FROM purchase_line n JOIN purchase_order o USING (purchase_id)
    WHERE n.sku_id = s.sku_id AND o.state IN ('draft', 'ordered', 'receiving')
) i ON true
LEFT JOIN LATERAL (
    SELECT sum(units) FILTER (WHERE day > $2 - 1)::bigint AS units_1, sum(units) FILTER (WHERE day > $2 - 7)::bigint AS units_7,
        sum(units) FILTER (WHERE day > $2 - 28)::bigint AS units_28, sum(units) FILTER (WHERE day > $2 - 35)::bigint AS units_35,
        sum(units)::bigint AS units_90, sum(revenue_minor) FILTER (WHERE day > $2 - 28)::bigint AS revenue_28
    FROM sku_day WHERE sku_id = s.sku_id AND day > $2 - 90
) d ON true
LEFT JOIN LATERAL (
    SELECT min(price_minor) AS promotion FROM sku_price WHERE sku_id = s.sku_id AND kind = 'promotion' AND currency = s.currency
        AND min_quantity = 1 AND level_id = '' AND starts_at_ms <= $3 AND ends_at_ms > $3
) r ON true
WHERE s.product_id = ANY($1::text[]) ORDER BY s.product_id, s.position, s.sku_id"""
PARTNERS: Final = """
SELECT DISTINCT ON (p.product_id) p.product_id, p.with_id FROM product_pair p JOIN product w ON w.product_id = p.with_id
JOIN product o ON o.product_id = p.product_id
WHERE p.product_id = ANY($1::text[]) AND p.orders >= 2 AND w.state = 'on_shelf' AND o.merchant_id IS NOT DISTINCT FROM w.merchant_id
ORDER BY p.product_id, p.orders DESC, p.with_id"""
KEEP: Final = """
INSERT INTO product_fact AS f (product_id, day, refreshed_ms, state, available, on_hand, units_7, units_28, trend, days_of_cover, facts)
SELECT product_id, $2, $3, state, available, on_hand, units_7, units_28, trend, cover, facts::jsonb FROM unnest(
    $1::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::double precision[], $10::double precision[],
    $11::text[]
) AS n (product_id, state, available, on_hand, units_7, units_28, trend, cover, facts)
ON CONFLICT (product_id) DO UPDATE SET day = excluded.day, refreshed_ms = excluded.refreshed_ms, state = excluded.state,
    available = excluded.available, on_hand = excluded.on_hand, units_7 = excluded.units_7, units_28 = excluded.units_28,
    trend = excluded.trend, days_of_cover = excluded.days_of_cover, facts = excluded.facts
WHERE f.day <> excluded.day OR f.facts <> excluded.facts"""

SALE_SKU: Final = "sku_s_"
_ATTRIBUTES: Final = msgspec.json.Decoder(dict[str, AttributeValue])
_DOCUMENT: Final = msgspec.json.Decoder(Product)


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What of the whole shop a product's facts need, read once a round. paths: each category with those above it, itself first."""

    now_ms: int
    paths: dict[str, tuple[str, ...]]
    in_sales: frozenset[str]
    best: dict[tuple[str, str], str]

    @property
    def day(self) -> int:
        """Today, in days since 1970 (UTC)."""
        return self.now_ms // DAY_MS


async def surroundings(connection: Any, now_ms: int, *, best: bool = True) -> Surroundings:
    """The shop as of now. best: False leaves out what sells well in each category, which reads the sales of four weeks."""
    above = {row["category_id"]: row["parent_id"] for row in await connection.fetch(CATEGORIES)}
    ranked = await connection.fetch(SELLING_WELL, now_ms // DAY_MS) if best else []
    return Surroundings(
        now_ms=now_ms,
        paths={category_id: tuple(_path(category_id, above)) for category_id in above},
        in_sales=frozenset(row["sku_id"] for row in await connection.fetch(IN_SALES, now_ms)),
        best={(row["category_id"], row["merchant_id"]): row["product_id"] for row in ranked},
    )


def _path(category_id: str, above: dict[str, str | None]) -> Iterable[str]:
    at: str | None = category_id
    for _ in range(len(above) + 1):
        if at is None:
            return
        yield at
        at = above.get(at)


async def find_due(connection: Any, now_ms: int) -> None:
    """List the products of which something has changed since the last look, and remember this look; one transaction."""
    async with connection.transaction():
        state = await connection.fetchrow(STATE)
        newest = await connection.fetchrow(NEWEST)
        await connection.execute(FIND_CHANGED, state["goods_version"], state["fact_version"], state["looked_at_ms"], now_ms)
        await connection.execute(FIND_MOVED)
        await connection.execute(FIND_OLD, now_ms // DAY_MS)
        await connection.execute(LOOKED, newest["goods"], newest["facts"], now_ms)


async def take_due(connection: Any, limit: int) -> list[str]:
    """Take products off the list, within the caller's transaction: they are due again if it does not commit."""
    return sorted(row["product_id"] for row in await connection.fetch(TAKE_DUE, limit))


async def read_facts(connection: Any, product_ids: list[str], around: Surroundings) -> list[ProductFacts]:
    """The facts of these products as the tables say now."""
    skus: dict[str, list[Any]] = {}
    for row in await connection.fetch(SKUS, product_ids, around.day, around.now_ms):
        skus.setdefault(row["product_id"], []).append(row)
    partners = {row["product_id"]: row["with_id"] for row in await connection.fetch(PARTNERS, product_ids)}
    rows = await connection.fetch(PRODUCTS, product_ids, around.now_ms)
    return [_facts_of(row, skus.get(row["product_id"], []), partners.get(row["product_id"], ""), around) for row in rows]


async def keep_facts(connection: Any, found: list[ProductFacts], around: Surroundings) -> None:
    """Write facts where they differ, within the caller's transaction."""
    encode = msgspec.json.encode
    columns = zip(
        *(
            (one.product_id, one.state, one.available, one.on_hand, one.units_7, one.units_28, one.trend, one.days_of_cover,
             encode(one).decode())
            for one in found
        ),
        strict=True,
    )  # fmt: skip
    product_ids, *others = [list(column) for column in columns] or [[] for _ in range(9)]
    await connection.execute(KEEP, product_ids, around.day, around.now_ms, *others)


def _facts_of(row: Any, skus: list[Any], partner: str, around: Surroundings) -> ProductFacts:
    own = tuple(_sku_of(sku) for sku in skus if not sku["sku_id"].startswith(SALE_SKU))
    regular = [sku for sku in skus if not sku["sku_id"].startswith(SALE_SKU)]
    offered = [sku for sku in regular if sku["offered"]] or regular
    units_7, units_35 = (sum(sku[name] for sku in skus) for name in ("units_7", "units_35"))
    last = max((sku["last_day"] for sku in skus if sku["last_day"] is not None), default=None)
    cheapest = min(offered, key=lambda sku: (sku["price"], sku["sku_id"]), default=None)
    cuts = [percent_off(sku["price"], sku["promotion"]) for sku in offered if sku["promotion"] is not None]
    on_shelf, since_ms = row["state"] == "on_shelf", row["on_shelf_since_ms"]
    best = around.best.get((row["category_id"], row["merchant_id"]), "")
    with_id = partner or (best if best != row["product_id"] else "")
    return ProductFacts(
        product_id=row["product_id"],
        day=around.day,
        title=row["title"],
        title_zh=row["title_zh"],
        state=row["state"],
        on_shelf=on_shelf,
        age_days=_days(since_ms, around.now_ms) if on_shelf else NEVER_DAYS,
        off_days=_days(row["off_since_ms"] or since_ms, around.now_ms) if row["state"] == "off_shelf" else 0,
        units_1=sum(sku["units_1"] for sku in skus),
        units_7=units_7,
        units_28=sum(sku["units_28"] for sku in skus),
        units_35=units_35,
        units_90=sum(sku["units_90"] for sku in skus),
        revenue_28=sum(sku["revenue_28"] for sku in skus),
        velocity_7=velocity_7(units_7),
        velocity_28=velocity_28(units_7, units_35),
        trend=trend(units_7, units_35),
        on_hand=sum(sku["on_hand"] for sku in regular),
        available=sum(sku["available"] for sku in regular),
        incoming=sum(sku["incoming"] for sku in regular),
        days_of_cover=cover_of(own),
        safety_stock=sum(sku["safety_stock"] for sku in regular),
        days_since_sold=NEVER_DAYS if last is None else max(0, min(NEVER_DAYS, around.day - last)),
        price=cheapest["price"] if cheapest is not None else 0,
        currency=cheapest["currency"] if cheapest is not None else "",
        has_promotion=bool(cuts),
        discount_percent=max(cuts, default=0),
        category_ids=around.paths.get(row["category_id"], ()),
        brand_id=row["brand_id"],
        merchant_id=row["merchant_id"],
        attributes=_ATTRIBUTES.decode(row["attributes"]) if row["attributes"] else {},
        in_flash_sale=any(sku["sku_id"] in around.in_sales for sku in skus),
        in_bundle=row["in_bundle"],
        bundle_with=with_id,
        missing=lacking(_DOCUMENT.decode(row["draft"])) if row["draft"] else (),
        skus=own,
    )


def _sku_of(row: Any) -> SkuFacts:
    return SkuFacts(**{name: row[name] for name in SkuFacts.__struct_fields__})


def _days(since_ms: int, now_ms: int) -> int:
    return max(0, min(NEVER_DAYS, (now_ms - since_ms) // DAY_MS)) if since_ms else NEVER_DAYS
