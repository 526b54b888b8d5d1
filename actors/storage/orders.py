"""Orders as people look them up: lists, and what an owner has forgotten. Each read is of one user's."""

from typing import Any, Final

import msgspec

from actors.storage.connect import known
from schemas.order import CouponClaim, PricedLine, Source

_COLUMNS: Final = """order_id, status, total_amount, currency, sale_id, placed_at_ms, expires_at_ms, points, points_discount, shipping,
    shipping_saved"""
LIST: Final = f"""
SELECT {_COLUMNS} FROM orders WHERE user_id = ANY($1::text[]) AND (placed_at_ms, order_id) < ($2, $3)
ORDER BY placed_at_ms DESC, order_id DESC LIMIT $4"""
ONE: Final = f"SELECT {_COLUMNS}, reason, lines, coupons, sources FROM orders WHERE order_id = $1 AND user_id = ANY($2::text[])"
PAYMENTS: Final = "SELECT payment_id, status FROM payment WHERE order_id = $1 AND user_id = ANY($2::text[]) ORDER BY started_at_ms"
REACHED: Final = "SELECT seq FROM projection_position WHERE projection = 'orders' AND shard = $1"


class OrderRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of ``orders``; lines, coupons and payments only where one order was asked for."""

    order_id: str
    status: str
    total_amount: int
    currency: str
    sale_id: str
    placed_at_ms: int
    expires_at_ms: int
    points: int = 0
    points_discount: int = 0
    shipping: int = 0
    shipping_saved: int = 0
    reason: str = ""
    lines: tuple[PricedLine, ...] = ()
    coupons: tuple[CouponClaim, ...] = ()
    payments: dict[str, str] = {}
    sources: tuple[Source, ...] = ()


_LINES: Final = msgspec.json.Decoder(tuple[PricedLine, ...])
_SOURCES: Final = msgspec.json.Decoder(tuple[Source, ...])
_COUPONS: Final = msgspec.json.Decoder(tuple[CouponClaim, ...])


class Orders:
    """Reads on a pool. StorageUnknown when the database cannot be asked."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def page(self, user_ids: list[str], before_ms: int, before_id: str, limit: int) -> list[OrderRow]:
        """The orders of one person's accounts placed before one of them, the newest first."""
        rows = await known(self._pool.fetch(LIST, user_ids, before_ms, before_id, limit))
        return [OrderRow(**dict(row)) for row in rows]

    async def one(self, user_ids: list[str], order_id: str) -> OrderRow | None:
        """One order of these users."""
        row = await known(self._pool.fetchrow(ONE, order_id, user_ids))
        if row is None:
            return None
        payments = await known(self._pool.fetch(PAYMENTS, order_id, user_ids))
        values = dict(row) | {
            "lines": _LINES.decode(row["lines"]),
            "coupons": _COUPONS.decode(row["coupons"]),
            "sources": _SOURCES.decode(row["sources"]),
        }
        return OrderRow(**values, payments={payment["payment_id"]: payment["status"] for payment in payments})

    async def reached(self, shard: int) -> int:
        """The seq up to which the table holds a shard's journal."""
        return await known(self._pool.fetchval(REACHED, shard)) or 0
