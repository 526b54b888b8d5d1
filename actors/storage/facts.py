"""Prices, sales and coupons out of the tables, for everybody who keeps them in memory."""

import asyncio
from typing import Any, Final

import msgspec

from actors.ports.peers import EVERYTHING
from actors.storage.connect import known, open_pool
from schemas.membership import LevelTerms, MallItem, MemberPrices, MemberRules, RuleTerms
from schemas.offer import CouponTerms, Fact, Offer, PriceList, PriceRow, SaleTerms, ShippingFee, ShippingTerms
from schemas.warehouse import Point, Warehouses, WarehouseTerms

OFFERS: Final = "SELECT sku_id, product_id, price_minor, currency, on_shelf, parts, version FROM sku WHERE sku_id = ANY($1)"
PRICES: Final = """
SELECT sku_id, kind, currency, price_minor, min_quantity, level_id, starts_at_ms, ends_at_ms, label, label_zh, version
FROM sku_price WHERE sku_id = ANY($1) ORDER BY sku_id, position"""
SALES: Final = """
SELECT sale_id, state, mode, opens_at_ms, ends_at_ms, prices, currency, limit_per_user, ticket_required, ticket_ttl_ms, rate_per_s, version
FROM flash_sale WHERE sale_id = ANY($1)"""
COUPONS: Final = """
SELECT coupon_id, kind, value, currency, min_total, version, product_ids,
       (extract(epoch FROM starts_at) * 1000)::bigint AS starts_at_ms, (extract(epoch FROM ends_at) * 1000)::bigint AS ends_at_ms, personal
FROM coupon WHERE coupon_id = ANY($1)"""
RULES: Final = "SELECT terms::text, version FROM member_rule WHERE rule_id = 'rules'"
LEVELS: Final = """
SELECT level_id, title, title_zh, growth_min, discount_percent, points_percent, free_shipping, priority, support_queue,
       birthday_coupon_id, version FROM member_level ORDER BY growth_min, level_id"""
MEMBER_PRICES: Final = "SELECT sku_id, level_id, price_minor, version FROM member_price WHERE sku_id = ANY($1)"
WAREHOUSES: Final = """
SELECT warehouse_id, code, title, title_zh, country, city, city_zh, lat, lon, cutoff_min, utc_offset_min, priority, active, version
FROM warehouse ORDER BY warehouse_id"""
SHIPPING: Final = "SELECT currency, fee_minor, free_from_minor, version FROM shipping_fee"
MALL: Final = "SELECT item_id, kind, points, coupon_id, valid_days, active, version FROM points_mall_item WHERE item_id = ANY($1)"
NEWEST: Final = """
SELECT greatest((SELECT max(version) FROM sku), (SELECT max(version) FROM coupon), (SELECT max(version) FROM flash_sale),
    (SELECT max(version) FROM member_rule), (SELECT max(version) FROM member_level), (SELECT max(version) FROM member_price),
    (SELECT max(version) FROM points_mall_item), (SELECT max(version) FROM shipping_fee),
    (SELECT max(version) FROM warehouse), (SELECT max(version) FROM sku_price), (SELECT max(version) FROM fact_gone), 0)"""
NEWS: Final = """
SELECT version, 'sku:' || sku_id AS name FROM sku WHERE version > $1
UNION ALL SELECT version, 'coupon:' || coupon_id FROM coupon WHERE version > $1
UNION ALL SELECT version, 'sale:' || sale_id FROM flash_sale WHERE version > $1
UNION ALL SELECT version, 'member:rules' FROM member_rule WHERE version > $1
UNION ALL SELECT version, 'member:rules' FROM member_level WHERE version > $1
UNION ALL SELECT version, 'member_price:' || sku_id FROM member_price WHERE version > $1
UNION ALL SELECT version, 'mall:' || item_id FROM points_mall_item WHERE version > $1
UNION ALL SELECT version, 'shop:shipping' FROM shipping_fee WHERE version > $1
UNION ALL SELECT version, 'shop:warehouses' FROM warehouse WHERE version > $1
UNION ALL SELECT max(version), 'prices:' || sku_id FROM sku_price WHERE version > $1 GROUP BY sku_id
UNION ALL SELECT version, name FROM fact_gone WHERE version > $1
LIMIT $2"""

CHANGED_MAX: Final = 5000
"""Names that are told one by one."""

KINDS: Final = ("sku", "prices", "sale", "coupon", "member", "member_price", "mall", "shop")

_PRICES: Final = msgspec.json.Decoder(dict[str, int])
_TERMS: Final = msgspec.json.Decoder(RuleTerms)


class PostgresFacts:
    """Implements ``actors.ports.peers.FactSource`` on a pool, or on a small one of its own when it is given an address."""

    def __init__(self, source: Any) -> None:
        self._url = source if isinstance(source, str) else ""
        self._pool: Any = None if self._url else source
        self._opening = asyncio.Lock()

    async def _opened(self) -> Any:
        async with self._opening:
            if self._pool is None:
                self._pool = await open_pool(self._url, size=2)
        return self._pool

    async def close(self) -> None:
        """Close the pool, if it is its own."""
        if self._url and self._pool is not None:
            await self._pool.close()
            self._pool = None

    async def load(self, names: list[str]) -> dict[str, Fact]:
        """See the port. A name of another form is absent, as one that does not exist."""
        wanted: dict[str, list[str]] = {kind: [] for kind in KINDS}
        for name in names:
            kind, _, key = name.partition(":")
            if kind in wanted and "\0" not in key:
                wanted[kind].append(key)
        return await known(self._load(wanted))

    async def _load(self, wanted: dict[str, list[str]]) -> dict[str, Fact]:
        found: dict[str, Fact] = {}
        pool = self._pool or await self._opened()
        async with pool.acquire() as connection:
            if wanted["sku"]:
                found |= {"sku:" + row["sku_id"]: offer_of(row) for row in await connection.fetch(OFFERS, wanted["sku"])}
            if wanted["prices"]:
                found |= price_lists_of(await connection.fetch(PRICES, wanted["prices"]))
            if wanted["sale"]:
                found |= {"sale:" + row["sale_id"]: sale_of(row) for row in await connection.fetch(SALES, wanted["sale"])}
            if wanted["coupon"]:
                found |= {"coupon:" + row["coupon_id"]: coupon_of(row) for row in await connection.fetch(COUPONS, wanted["coupon"])}
            if "rules" in wanted["member"]:
                rules = rules_of(await connection.fetch(RULES), await connection.fetch(LEVELS))
                found |= {} if rules is None else {"member:rules": rules}
            if wanted["member_price"]:
                found |= member_prices_of(await connection.fetch(MEMBER_PRICES, wanted["member_price"]))
            if "shipping" in wanted["shop"]:
                found |= shipping_of(await connection.fetch(SHIPPING))
            if "warehouses" in wanted["shop"]:
                found |= warehouses_of(await connection.fetch(WAREHOUSES))
            if wanted["mall"]:
                found |= {"mall:" + row["item_id"]: MallItem(**dict(row)) for row in await connection.fetch(MALL, wanted["mall"])}
        return found

    async def changed(self, since: int) -> tuple[int, list[str]]:
        """See the port. Whoever knows nothing yet (``since`` below 0) is told the newest version alone."""
        pool = self._pool or await known(self._opened())
        if since < 0:
            return await known(pool.fetchval(NEWEST)), []
        rows = await known(pool.fetch(NEWS, since, CHANGED_MAX + 1))
        if len(rows) > CHANGED_MAX:
            # An import: naming and reading as many would keep everybody waiting who is served by this loop.
            return await known(pool.fetchval(NEWEST)), [EVERYTHING]
        return max((row["version"] for row in rows), default=since), [row["name"] for row in rows]


def offer_of(row: Any) -> Offer:
    """A row of ``sku``."""
    return Offer(
        sku_id=row["sku_id"],
        product_id=row["product_id"],
        price=row["price_minor"],
        currency=row["currency"],
        on_sale=row["on_shelf"],
        parts=row["parts"],
        version=row["version"],
    )


def price_lists_of(rows: list[Any]) -> dict[str, Fact]:
    """The rows of ``sku_price``, by SKU; they come in the order of their positions."""
    by_sku: dict[str, list[Any]] = {}
    for row in rows:
        by_sku.setdefault(row["sku_id"], []).append(row)
    return {"prices:" + sku_id: price_list_of(sku_id, found) for sku_id, found in by_sku.items()}


def price_list_of(sku_id: str, rows: list[Any]) -> PriceList:
    """The rows of one SKU."""
    by_currency: dict[str, list[PriceRow]] = {}
    for row in rows:
        price = PriceRow(
            kind=row["kind"],
            amount=row["price_minor"],
            min_quantity=row["min_quantity"],
            level_id=row["level_id"],
            starts_at_ms=row["starts_at_ms"],
            ends_at_ms=row["ends_at_ms"],
            label=row["label"],
            label_zh=row["label_zh"],
        )
        by_currency.setdefault(row["currency"], []).append(price)
    listed = {currency: tuple(found) for currency, found in by_currency.items()}
    return PriceList(sku_id=sku_id, rows=listed, version=max(row["version"] for row in rows))


def sale_of(row: Any) -> SaleTerms:
    """A row of ``flash_sale``."""
    return SaleTerms(
        sale_id=row["sale_id"],
        state=row["state"],
        opens_at_ms=row["opens_at_ms"],
        ends_at_ms=row["ends_at_ms"],
        prices=_PRICES.decode(row["prices"]),
        currency=row["currency"],
        limit_per_user=row["limit_per_user"],
        mode=row["mode"],
        ticket_required=row["ticket_required"],
        ticket_ttl_ms=row["ticket_ttl_ms"],
        rate_per_s=row["rate_per_s"],
        version=row["version"],
    )


def coupon_of(row: Any) -> CouponTerms:
    """A row of ``coupon``."""
    return CouponTerms(
        coupon_id=row["coupon_id"],
        method=row["kind"],
        value=row["value"],
        currency=row["currency"],
        min_total=row["min_total"],
        starts_at_ms=row["starts_at_ms"],
        ends_at_ms=row["ends_at_ms"],
        product_ids=frozenset(row["product_ids"]),
        version=row["version"],
        personal=row["personal"],
    )


def rules_of(rules: list[Any], levels: list[Any]) -> MemberRules | None:
    """The rows of ``member_rule`` and ``member_level``; None where one of them is empty: the shop has no membership."""
    if not rules or not levels:
        return None
    fields = LevelTerms.__struct_fields__
    return MemberRules(
        terms=_TERMS.decode(rules[0]["terms"]),
        levels=tuple(LevelTerms(**{name: row[name] for name in fields}) for row in levels),
        version=max(row["version"] for row in (*rules, *levels)),
    )


def member_prices_of(rows: list[Any]) -> dict[str, Fact]:
    """The rows of ``member_price``, by SKU."""
    by_sku: dict[str, list[Any]] = {}
    for row in rows:
        by_sku.setdefault(row["sku_id"], []).append(row)
    return {
        "member_price:" + sku_id: MemberPrices(
            sku_id=sku_id,
            prices={row["level_id"]: row["price_minor"] for row in found},
            version=max(row["version"] for row in found),
        )
        for sku_id, found in by_sku.items()
    }


def warehouses_of(rows: list[Any]) -> dict[str, Fact]:
    """The rows of ``warehouse``; nothing where there is but the unnamed one."""
    if not rows:
        return {}
    return {"shop:warehouses": Warehouses(items=tuple(map(terms_of, rows)), version=max(row["version"] for row in rows))}


def terms_of(row: Any) -> WarehouseTerms:
    """A row of ``warehouse``."""
    plain = {name: row[name] for name in WarehouseTerms.__struct_fields__ if name != "point"}
    return WarehouseTerms(point=Point(lat=row["lat"], lon=row["lon"]), **plain)


def shipping_of(rows: list[Any]) -> dict[str, Fact]:
    """The rows of ``shipping_fee``; nothing where the shop delivers for nothing."""
    if not rows:
        return {}
    fees = {row["currency"]: ShippingFee(fee=row["fee_minor"], free_from=row["free_from_minor"]) for row in rows}
    return {"shop:shipping": ShippingTerms(fees=fees, version=max(row["version"] for row in rows))}
