"""Products as shoppers see them: one with everything about it, and lists. Only what is on the shelf, and no article of a flash sale's own.

A page costs a fixed number of statements, however many articles and prices stand on it. Prices are decided by
``actors.domain.unit_price`` from the rows that are read here; SQL only brings what may be the price of a product in order.
"""

import asyncio
from functools import lru_cache
from typing import Any, Final

import msgspec

from actors.domain.product import founded
from actors.domain.unit_price import UnitPrice, unit_price
from actors.storage.connect import known
from actors.storage.facts import PRICES, offer_of, price_lists_of
from actors.storage.goods import DECODER
from schemas.goods import Attribute
from schemas.goods import Product as Document
from schemas.http.catalogue import NamedPlace, NamedTag
from schemas.http.titles import Titles
from schemas.offer import Fact, Offer

_MINE: Final = "s.on_shelf AND s.sku_id NOT LIKE 'sku\\_s\\_%'"

PRODUCT: Final = """
SELECT p.product_id, p.code, p.state, p.shelf_at_ms, p.off_at_ms, p.on_shelf_since_ms, p.merchant_id, p.category_id, p.brand_id, p.slug,
    p.title, p.title_zh, p.department, p.department_zh, p.category, p.type, p.brand, p.size, p.doc::text AS doc, p.version,
    b.title AS brand_title, b.title_zh AS brand_title_zh, b.slug AS brand_slug,
    (SELECT jsonb_agg(jsonb_build_array(tag_id, title, title_zh) ORDER BY position, tag_id)
     FROM tag WHERE tag_id = ANY(p.tags) AND shown)::text AS tags
FROM product p LEFT JOIN brand b USING (brand_id) WHERE p.product_id = $1 AND p.state = 'on_shelf'"""
SKUS: Final = f"""
SELECT s.sku_id, s.product_id, s.code, s.price_minor, s.currency, s.on_shelf, s.parts, s.version, s.offered, s.barcode, s.weight_g,
    s.position, s.safety_stock, EXISTS (
        SELECT FROM generate_series(0, s.parts - 1) part JOIN stock_level l ON l.key = s.sku_id || '#' || part WHERE l.available > 0
    ) AS in_stock
FROM sku s WHERE s.product_id = $1 AND {_MINE} ORDER BY s.position, s.sku_id"""
PATH: Final = """
WITH RECURSIVE up AS (
    SELECT category_id, parent_id, title, title_zh, slug, attributes, 0 AS height FROM category WHERE category_id = $1
    UNION ALL
    SELECT c.category_id, c.parent_id, c.title, c.title_zh, c.slug, c.attributes, up.height + 1
    FROM category c JOIN up ON c.category_id = up.parent_id WHERE up.height < 32
)
SELECT category_id, title, title_zh, slug, attributes::text AS attributes FROM up ORDER BY height DESC"""
LINES: Final = """
SELECT product_id, title, title_zh, category, brand, slug, category_id, brand_id, tags, doc #>> '{images,0}' AS image
FROM product WHERE product_id = ANY($1) AND state = 'on_shelf'"""
LINE_SKUS: Final = f"""
SELECT s.sku_id, s.product_id, s.price_minor, s.currency, s.on_shelf, s.parts, s.version
FROM sku s WHERE s.product_id = ANY($1) AND {_MINE} ORDER BY s.sku_id"""
IN_STOCK: Final = f"""
SELECT s.sku_id FROM sku s WHERE s.product_id = ANY($1) AND {_MINE} AND EXISTS (
    SELECT FROM generate_series(0, s.parts - 1) part JOIN stock_level l ON l.key = s.sku_id || '#' || part WHERE l.available > 0
)"""
CHANGED: Final = "SELECT product_id, version FROM product WHERE version > $1 ORDER BY version LIMIT $2"
SHARED: Final = """
SELECT greatest((SELECT max(version) FROM product), 0) AS products,
    greatest((SELECT max(version) FROM category), (SELECT max(version) FROM brand), (SELECT max(version) FROM tag), 0) AS others,
    (SELECT count(*) FROM category) + (SELECT count(*) FROM brand) + (SELECT count(*) FROM tag) AS there"""
"""Names that stand on many pages; a category, brand or tag that is deleted changes how many there are."""

FILTERS: Final[dict[str, str]] = {
    "category": "p.category = ${n}",
    "category_id": """p.category_id = ANY(ARRAY(
        WITH RECURSIVE below AS (
            SELECT category_id FROM category WHERE category_id = ${n}
            UNION SELECT c.category_id FROM category c JOIN below b ON c.parent_id = b.category_id
        ) SELECT category_id FROM below))""",
    "brand_id": "p.brand_id = ${n}",
    "tag": "p.tags @> ARRAY[${n}]",
}
SORTS: Final = ("id", "newest", "price", "-price")

_BY_ID: Final = """
SELECT p.product_id, 0::bigint AS sorted FROM product p
WHERE p.state = 'on_shelf' AND p.product_id > $2 AND $3::bigint IS NOT NULL {where} ORDER BY p.product_id LIMIT $1"""
_BY_AGE: Final = """
SELECT p.product_id, p.on_shelf_since_ms AS sorted FROM product p
WHERE p.state = 'on_shelf' AND (p.on_shelf_since_ms, p.product_id) < ($3::bigint, $2) {where}
ORDER BY p.on_shelf_since_ms DESC, p.product_id DESC LIMIT $1"""
_ON_SHELF: Final = "(SELECT p.state = 'on_shelf' FROM product p WHERE p.product_id = s.product_id)"
_ANYBODYS: Final = """r.kind <> 'member' AND r.level_id = '' AND r.min_quantity = 1 AND r.starts_at_ms <= $4 AND $4 < r.ends_at_ms
    AND $5 IN ('', r.currency)"""
_OF_SKUS: Final = f"""
SELECT s.price_minor AS amount, s.product_id, {_ON_SHELF} AS shown FROM sku s
WHERE {_MINE} AND $4::bigint IS NOT NULL AND $5 IN ('', s.currency) AND (s.price_minor, s.product_id COLLATE "C") {{after}} ($3::bigint, $2)
ORDER BY s.price_minor {{way}}, s.product_id COLLATE "C" {{way}} LIMIT $1"""
_OF_PRICES: Final = f"""
SELECT r.price_minor AS amount, s.product_id, {_MINE} AND {_ON_SHELF} AND ($5 <> '' OR r.currency = s.currency)
    AND (r.price_minor, s.product_id COLLATE "C") {{after}} ($3::bigint, $2) AS shown
FROM (
    SELECT r.sku_id, r.price_minor, r.currency FROM sku_price r
    WHERE {_ANYBODYS} AND r.price_minor {{after}}= $3::bigint ORDER BY r.price_minor {{way}} FETCH FIRST $1 ROWS WITH TIES
) r JOIN sku s USING (sku_id) ORDER BY r.price_minor {{way}}, s.product_id COLLATE "C" {{way}}"""
_CHOSEN: Final = "WITH chosen AS MATERIALIZED (SELECT p.product_id FROM product p WHERE p.state = 'on_shelf' {where})"
_CHOSEN_SKUS: Final = f"""
{_CHOSEN} SELECT s.price_minor AS amount, s.product_id, true AS shown FROM chosen JOIN sku s USING (product_id)
WHERE {_MINE} AND $4::bigint IS NOT NULL AND $5 IN ('', s.currency) AND (s.price_minor, s.product_id COLLATE "C") {{after}} ($3::bigint, $2)
ORDER BY s.price_minor {{way}}, s.product_id COLLATE "C" {{way}} LIMIT $1"""
_CHOSEN_PRICES: Final = f"""
{_CHOSEN} SELECT r.price_minor AS amount, s.product_id, true AS shown
FROM chosen JOIN sku s USING (product_id) JOIN sku_price r USING (sku_id)
WHERE {_MINE} AND {_ANYBODYS} AND ($5 <> '' OR r.currency = s.currency)
    AND (r.price_minor, s.product_id COLLATE "C") {{after}} ($3::bigint, $2)
ORDER BY r.price_minor {{way}}, s.product_id COLLATE "C" {{way}} LIMIT $1"""
"""Every amount that may be what a product costs anybody. Which of them is, says the rule: each product has one such amount.

Of all goods they come in the order of an index; of chosen ones these are found first.
"""

STREAMS: Final = {"skus": (_OF_SKUS, _CHOSEN_SKUS), "prices": (_OF_PRICES, _CHOSEN_PRICES)}
LAST: Final = "\x7f"
"""Behind every id, byte by byte."""

CANDIDATES: Final = 100
CANDIDATES_MAX: Final = 4000

_ATTRIBUTES: Final = msgspec.json.Decoder(tuple[Attribute, ...])
_TAGS: Final = msgspec.json.Decoder(tuple[tuple[str, str, str], ...])

FIRST: Final[dict[str, tuple[int, str]]] = {"id": (0, ""), "newest": (2**62, ""), "price": (-1, ""), "-price": (2**62, "")}
"""What stands before the first of each sort."""


class ListQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A list that is asked for. after: (sort key, product) of the last line that was seen. filters: of ``FILTERS``, by name."""

    limit: int
    sort: str = "id"
    after: tuple[int, str] = (0, "")
    currency: str = ""
    filters: tuple[tuple[str, str], ...] = ()


class ProductRows(msgspec.Struct, frozen=True, kw_only=True):
    """One product as it was read. facts: the offers and price lists of its articles. attributes: as its categories define them."""

    product: dict[str, Any]
    doc: Document
    skus: tuple[dict[str, Any], ...]
    facts: dict[str, Fact]
    brand: NamedPlace | None
    path: tuple[NamedPlace, ...]
    attributes: tuple[Attribute, ...]
    tags: tuple[NamedTag, ...]


class LineRows(msgspec.Struct, frozen=True, kw_only=True):
    """One product of a list. sorted: its sort key. offers: its articles; their price lists are in ``facts``, which all lines share."""

    product: dict[str, Any]
    sorted: int
    offers: tuple[Offer, ...]
    facts: dict[str, Fact]


@lru_cache(maxsize=256)
def listing(sort: str, filters: tuple[str, ...]) -> str:
    """The statement of a sort by ``id`` or ``newest`` with these filters, whose values come last in its arguments."""
    return (_BY_ID if sort == "id" else _BY_AGE).format(where=_where(filters, 4))


@lru_cache(maxsize=256)
def candidates(stream: str, sort: str, filters: tuple[str, ...]) -> str:
    """The statement of a stream of amounts, in the order of a sort by price."""
    after, way = (">", "ASC") if sort == "price" else ("<", "DESC")
    return STREAMS[stream][bool(filters)].format(where=_where(filters, 6), after=after, way=way)


def _where(filters: tuple[str, ...], first: int) -> str:
    return " ".join(f"AND {FILTERS[name].replace('{n}', str(first + index))}" for index, name in enumerate(filters))


class ProductPages:
    """Reads on a pool. StorageUnknown when the database cannot be asked."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        # A list by price looks at all goods that it may show: strangers who ask for many of them wait for each other.
        self._sorting = asyncio.Semaphore(1)

    async def product(self, product_id: str) -> ProductRows | None:
        """One product that is on the shelf."""
        return await known(self._product(product_id))

    async def _product(self, product_id: str) -> ProductRows | None:
        async with self._pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            row = await connection.fetchrow(PRODUCT, product_id)
            if row is None:
                return None
            skus = await connection.fetch(SKUS, product_id)
            prices = await connection.fetch(PRICES, [sku["sku_id"] for sku in skus])
            path = await connection.fetch(PATH, row["category_id"]) if row["category_id"] else []
        doc = founded(row, skus, []) if row["doc"] is None else DECODER.decode(row["doc"])
        facts = price_lists_of(prices) | {"sku:" + sku["sku_id"]: offer_of(sku) for sku in skus}
        return ProductRows(
            product=dict(row),
            doc=doc,
            skus=tuple(dict(sku) for sku in skus),
            facts=facts,
            brand=_brand(row),
            path=tuple(NamedPlace(id=each["category_id"], titles=_titles(each), slug=each["slug"]) for each in path),
            attributes=tuple(attribute for each in path for attribute in _ATTRIBUTES.decode(each["attributes"])),
            tags=tuple(NamedTag(tag_id=tag, titles=Titles(en=en, zh=zh)) for tag, en, zh in _TAGS.decode(row["tags"] or "[]")),
        )

    async def lines(self, query: ListQuery, now_ms: int) -> list[LineRows]:
        """The products after one of them, in the order of the sort."""
        if query.sort in ("price", "-price"):
            async with self._sorting:
                return await known(self._lines(query, now_ms))
        return await known(self._lines(query, now_ms))

    async def _lines(self, query: ListQuery, now_ms: int) -> list[LineRows]:
        async with self._pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            if query.sort in ("price", "-price"):
                return await _by_price(connection, query, now_ms)
            names, values = tuple(name for name, _ in query.filters), [value for _, value in query.filters]
            key, product_id = query.after
            found = await connection.fetch(listing(query.sort, names), query.limit, product_id, key, *values)
            ids = [row["product_id"] for row in found]
            offers, facts = await _offers(connection, ids)
            products = await _products(connection, ids)
        return [
            LineRows(product=products[row["product_id"]], sorted=row["sorted"], offers=offers.get(row["product_id"], ()), facts=facts)
            for row in found
        ]

    async def in_stock(self, product_ids: list[str]) -> frozenset[str]:
        """Which articles of these products there are any of."""
        return frozenset(row["sku_id"] for row in await known(self._pool.fetch(IN_STOCK, product_ids)))

    async def changed(self, since: int, limit: int) -> list[tuple[str, int]]:
        """(product, version) of what changed after a version, the oldest first, at most so many."""
        rows = await known(self._pool.fetch(CHANGED, since, limit))
        return [(row["product_id"], row["version"]) for row in rows]

    async def shared(self) -> tuple[int, tuple[int, int]]:
        """The newest version of a product; and what changes when the names do that stand on many pages."""
        row = await known(self._pool.fetchrow(SHARED))
        return row["products"], (row["others"], row["there"])


async def _products(connection: Any, ids: list[str]) -> dict[str, dict[str, Any]]:
    return {row["product_id"]: dict(row) for row in await connection.fetch(LINES, ids)} if ids else {}


async def _offers(connection: Any, ids: list[str]) -> tuple[dict[str, tuple[Offer, ...]], dict[str, Fact]]:
    """The articles of products, and their price lists."""
    skus = await connection.fetch(LINE_SKUS, ids) if ids else []
    facts = price_lists_of(await connection.fetch(PRICES, [sku["sku_id"] for sku in skus])) if skus else {}
    offers: dict[str, list[Offer]] = {}
    for sku in skus:
        offers.setdefault(sku["product_id"], []).append(offer_of(sku))
    return {product_id: tuple(found) for product_id, found in offers.items()}, facts


async def _by_price(connection: Any, query: ListQuery, now_ms: int) -> list[LineRows]:
    """The products after a price. Candidates come in order from two indexes; a product stands where its lowest one is.

    Of a stream that was cut nothing is known behind its end: what lies there is looked at in another round, of twice as many.
    """
    names, values = tuple(name for name, _ in query.filters), [value for _, value in query.filters]
    downwards = query.sort == "-price"
    after, size = query.after, max(CANDIDATES, 2 * query.limit)
    chosen: list[tuple[int, str, tuple[Offer, ...], dict[str, Fact]]] = []
    while len(chosen) < query.limit:
        seen: set[tuple[int, str]] = set()
        ends: list[tuple[int, str]] = []
        for stream in STREAMS:
            statement = candidates(stream, query.sort, names)
            rows = await connection.fetch(statement, size, after[1], after[0], now_ms, query.currency, *values)
            seen.update((row["amount"], row["product_id"]) for row in rows if row["shown"])
            if len(rows) >= size:
                ends.append((rows[-1]["amount"], _last(stream, names, rows[-1]["product_id"], downwards=downwards)))
        end = None if not ends else max(ends) if downwards else min(ends)
        known = [one for one in sorted(seen, reverse=downwards) if end is None or (one >= end if downwards else one <= end)]
        offers, facts = await _offers(connection, list({product_id for _, product_id in known}))
        prices = {product_id: lowest(found, facts, now_ms, query.currency) for product_id, found in offers.items()}
        for amount, product_id in known:
            price = prices.get(product_id)
            if price is not None and price.amount == amount:
                chosen.append((amount, product_id, offers[product_id], facts))
        if end is None:
            break
        after, size = end, min(2 * size, CANDIDATES_MAX)
    chosen = chosen[: query.limit]
    products = await _products(connection, [product_id for _, product_id, _, _ in chosen])
    return [LineRows(product=products[product_id], sorted=amount, offers=found, facts=facts) for amount, product_id, found, facts in chosen]


def _last(stream: str, filters: tuple[str, ...], product_id: str, *, downwards: bool) -> str:
    """Up to which product a stream has told its last amount: one over all price lists tells an amount of all products at once."""
    if stream == "skus" or filters:
        return product_id
    return "" if downwards else LAST


def lowest(offers: tuple[Offer, ...], facts: dict[str, Any], now_ms: int, currency: str) -> UnitPrice | None:
    """What the cheapest of these articles costs anybody now; None where none is sold in the currency."""
    best: UnitPrice | None = None
    for offer in offers:
        price = unit_price(offer, facts, now_ms, currency=currency)
        if isinstance(price, UnitPrice) and (best is None or price.amount < best.amount):
            best = price
    return best


def _titles(row: Any) -> Titles:
    return Titles(en=row["title"], zh=row["title_zh"])


def _brand(row: Any) -> NamedPlace | None:
    if row["brand_slug"] is None:
        return None
    return NamedPlace(id=row["brand_id"], titles=Titles(en=row["brand_title"], zh=row["brand_title_zh"]), slug=row["brand_slug"])
