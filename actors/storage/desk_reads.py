"""What staff and merchants look up: bounded reads of tables. A merchant's are of one firm, which is an argument of each."""

from typing import Any, Final

import msgspec

from actors.storage.connect import known
from schemas.order import PricedLine

STOCK: Final = """
SELECT l.key, l.available, l.held, l.sold, l.written_off FROM sku s CROSS JOIN LATERAL generate_series(0, s.parts - 1) part
JOIN stock_level l ON l.key = s.sku_id || '#' || part WHERE s.sku_id = $1 ORDER BY part"""
COUPONS: Final = """
SELECT c.coupon_id, c.title, c.title_zh, coalesce(q.total, c.quota_total) AS total, coalesce(q.claimed, 0) AS claimed,
    coalesce(q.redeemed, 0) AS redeemed
FROM coupon c LEFT JOIN quota_level q USING (coupon_id) WHERE c.coupon_id > $1 ORDER BY c.coupon_id LIMIT $2"""
ENTRIES: Final = """
WITH made AS (SELECT payment_id, refund_id FROM payment WHERE order_id = $1)
SELECT posting, account, amount, currency, at_ms FROM ledger_entry WHERE posting = ANY(
    SELECT 'order:' || $1 UNION ALL SELECT 'payment:' || payment_id FROM made UNION ALL SELECT 'questioned:' || payment_id FROM made
    UNION ALL SELECT 'refund:' || refund_id FROM made UNION ALL SELECT 'refunded:' || refund_id FROM made
) ORDER BY at_ms, posting, account"""
MERCHANT_PRODUCTS: Final = """
SELECT product_id, title, title_zh FROM product WHERE merchant_id = $1 AND product_id > $2 ORDER BY product_id LIMIT $3"""
MERCHANT_ORDERS: Final = """
SELECT o.order_id, o.status, o.currency, o.placed_at_ms, m.lines::text AS lines
FROM merchant_order mo JOIN orders o USING (order_id) CROSS JOIN LATERAL (
    SELECT jsonb_agg(line ORDER BY n) AS lines FROM jsonb_array_elements(o.lines) WITH ORDINALITY AS e (line, n)
    JOIN sku s ON s.sku_id = line ->> 'sku_id' WHERE s.merchant_id = $1
) m
WHERE mo.merchant_id = $1 AND mo.order_id < $2 AND m.lines IS NOT NULL ORDER BY mo.order_id DESC LIMIT $3"""
"""The lines are looked up anew: goods that were given to another firm are in no list of the first one any more."""

_PAID: Final = """order_id, user_id, currency, total_amount, priority, placed_at_ms, points, points_discount, shipping, lines::text"""
PAID_BY_PRIORITY: Final = f"""
SELECT {_PAID} FROM orders
WHERE status = 'paid' AND priority >= $1 AND priority <= $2 AND (priority < $2 OR (placed_at_ms, order_id) > ($3, $4))
ORDER BY priority DESC, placed_at_ms, order_id LIMIT $5"""
PAID_BY_AGE: Final = f"""
SELECT {_PAID} FROM orders WHERE status = 'paid' AND priority >= $1 AND (placed_at_ms, order_id) > ($2, $3)
ORDER BY placed_at_ms, order_id LIMIT $4"""

_LINES: Final = msgspec.json.Decoder(tuple[PricedLine, ...])


class MerchantOrderRow(msgspec.Struct, frozen=True, kw_only=True):
    """One order with the lines of one firm alone."""

    order_id: str
    status: str
    currency: str
    placed_at_ms: int
    lines: tuple[PricedLine, ...]


class PaidRow(msgspec.Struct, frozen=True, kw_only=True):
    """One paid order."""

    order_id: str
    user_id: str
    currency: str
    total_amount: int
    priority: int
    placed_at_ms: int
    points: int
    points_discount: int
    shipping: int
    shipping_saved: int = 0
    lines: tuple[PricedLine, ...]


class DeskReads:
    """Reads on a pool. StorageUnknown when the database cannot be asked."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def stock(self, sku_id: str) -> list[Any]:
        """The parts of an article's stock."""
        return list(await known(self._pool.fetch(STOCK, sku_id)))

    async def coupons(self, after: str, limit: int) -> list[Any]:
        """Coupons by id, after one of them."""
        return list(await known(self._pool.fetch(COUPONS, after, limit)))

    async def paid_by_priority(self, least: int, after: tuple[int, int, str], limit: int) -> list[PaidRow]:
        """Paid orders of at least this priority, the highest first, of equal ones the oldest, after such a place."""
        return [_paid(row) for row in await known(self._pool.fetch(PAID_BY_PRIORITY, least, *after, limit))]

    async def paid_by_age(self, least: int, after: tuple[int, str], limit: int) -> list[PaidRow]:
        """Paid orders of at least this priority, the oldest first, after (placed_at_ms, order_id)."""
        return [_paid(row) for row in await known(self._pool.fetch(PAID_BY_AGE, least, *after, limit))]

    async def entries(self, order_id: str) -> list[Any]:
        """The ledger's entries of an order."""
        return list(await known(self._pool.fetch(ENTRIES, order_id)))

    async def merchant_products(self, merchant_id: str, after: str, limit: int) -> list[Any]:
        """One firm's products by id, after one of them."""
        return list(await known(self._pool.fetch(MERCHANT_PRODUCTS, merchant_id, after, limit)))

    async def merchant_orders(self, merchant_id: str, before: str, limit: int) -> tuple[list[MerchantOrderRow], str]:
        """One firm's orders before one of them, the newest first, and where to go on; "" at the end."""
        rows = await known(self._pool.fetch(MERCHANT_ORDERS, merchant_id, before, limit + 1))
        found = [MerchantOrderRow(**(dict(row) | {"lines": _LINES.decode(row["lines"])})) for row in rows[:limit]]
        return found, found[-1].order_id if len(rows) > limit else ""


def _paid(row: Any) -> PaidRow:
    return PaidRow(**(dict(row) | {"lines": _LINES.decode(row["lines"])}))
