"""Filling an empty database with a shop: rows by COPY, initial stock into the journal, quotas through their owners."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import asyncpg
import polars as pl
import structlog

from actors.domain.sharding import Sharding
from actors.ports.asking import Asks
from actors.storage.bulk import bulk_put_in
from actors.storage.connect import CONNECT_TIMEOUT_S
from actors.storage.seed import Shop, copy_rows
from schemas.ids import derived_id
from schemas.quota import Configure
from schemas.settings import Settings

log = structlog.get_logger("stampede.shop")

SKU_COLUMNS: Final = {name: name for name in ("sku_id", "product_id", "code", "price_minor", "currency")}
"""What of a shop's SKUs is a column; ``on_hand`` is the owners' affair."""

IS_EMPTY: Final = """
SELECT NOT EXISTS (SELECT FROM product) AND NOT EXISTS (SELECT FROM sku) AND NOT EXISTS (SELECT FROM coupon)"""
NOW_MS: Final = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"
LEARN: Final = "ANALYZE category, brand, product, sku, coupon, journal"
QUOTAS: Final = """
SELECT coupon_id, quota_total, quota_per_user,
    (extract(epoch FROM starts_at) * 1000)::bigint AS starts_at_ms, (extract(epoch FROM ends_at) * 1000)::bigint AS ends_at_ms
FROM coupon
UNION ALL SELECT item_id, quota_total, quota_per_user, 0, 9007199254740992 FROM points_mall_item
ORDER BY coupon_id"""
GIFTS: Final = """
INSERT INTO coupon (coupon_id, title, title_zh, kind, value, currency, quota_total, starts_at, ends_at, personal)
SELECT level.birthday_coupon_id, 'Birthday gift: ' || off || '% off', '生日礼:立减 ' || off || '%', 'percent', off, priced.currency,
    1000000000, timestamptz '2020-01-01 00:00Z', timestamptz '2100-01-01 00:00Z', true
FROM (SELECT birthday_coupon_id, 5 * row_number() OVER (ORDER BY growth_min) AS off FROM member_level WHERE birthday_coupon_id <> '') level
CROSS JOIN (SELECT currency FROM sku ORDER BY sku_id LIMIT 1) priced
UNION ALL SELECT 'cpn_points', '5.00 off, for points', '积分兑换:立减 5.00', 'amount', 500, priced.currency, 1000000000,
    timestamptz '2020-01-01 00:00Z', timestamptz '2100-01-01 00:00Z', true
FROM (SELECT currency FROM sku ORDER BY sku_id LIMIT 1) priced"""
MALL: Final = """
INSERT INTO points_mall_item (item_id, title, title_zh, kind, points, coupon_id, quota_total, quota_per_user)
VALUES ('mal_coupon', '5.00 off, once', '立减 5.00 优惠券', 'coupon', 400, 'cpn_points', 100000, 12),
    ('mal_mug', 'A mug', '马克杯', 'goods', 1500, '', 500, 1)"""


class NotEmpty(Exception):
    """There is a shop already. Nothing was written."""


async def is_empty(connection: Any) -> bool:
    """True when there is no product, SKU or coupon yet."""
    return bool(await connection.fetchval(IS_EMPTY))


async def load_shop(connection: Any, sharding: Sharding, shop: Shop, progress: Callable[[str, int], None]) -> int:
    """Write a whole shop, all or nothing; answers how many products it has. ``progress`` gets a line at each step.

    Coupons cannot be claimed before :func:`configure_quotas` has told their owners. NotEmpty: the tables hold something.
    """
    async with connection.transaction():
        if not await is_empty(connection):
            raise NotEmpty
        now_ms = await connection.fetchval(NOW_MS)
        await copy_rows(connection, "category", shop.categories)
        await copy_rows(connection, "brand", shop.brands)
        count = await copy_rows(connection, "product", shop.products.with_columns(on_shelf_since_ms=pl.lit(now_ms)))
        progress("products", count)
        await copy_rows(connection, "sku", shop.skus, columns=SKU_COLUMNS)
        await copy_rows(connection, "coupon", shop.coupons)
        await connection.execute(GIFTS)
        await connection.execute(MALL)
        progress("articles", shop.skus.height)
        progress("coupons", shop.coupons.height)
        keys = (shop.skus["sku_id"] + "#0").to_list()
        quantities = list(zip(keys, shop.skus["on_hand"].to_list(), strict=True))
        stocked = await bulk_put_in(connection, sharding, quantities, now_ms)
        progress("stocked", stocked)
    await connection.execute(LEARN)
    return count


async def configure_quotas(client: Asks, settings: Settings) -> int:
    """Tell the owner of each coupon its terms, as the table has them; answers how many stand. Again is once."""
    connection = await asyncpg.connect(settings.database_url, timeout=CONNECT_TIMEOUT_S)
    try:
        rows = await connection.fetch(QUOTAS)
    finally:
        await connection.close()
    return sum(await asyncio.gather(*(_configure(client, row) for row in rows)))


async def _configure(client: Asks, row: Any) -> bool:
    terms = Configure(
        total=row["quota_total"], per_user=row["quota_per_user"], starts_at_ms=row["starts_at_ms"], ends_at_ms=row["ends_at_ms"]
    )
    command_id = derived_id("quota", row["coupon_id"], repr(terms))
    answer = await client.ask("quota", row["coupon_id"], terms, command_id=command_id)
    if answer.code:
        log.warning("quota_not_configured", coupon=row["coupon_id"], code=answer.code, params=answer.params)
    return not answer.code
