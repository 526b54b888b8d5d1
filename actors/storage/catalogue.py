"""Flash sales as people browse them. Stock in here is the projection's, a moment old."""

from typing import Any, Final

import msgspec

from actors.storage.connect import known
from schemas.http.titles import Titles

SALE_SKU: Final = "sku_s_"
"""Articles that a flash sale has for itself begin so: they are in no list, and go into no cart."""

SALE_ROW: Final = """
SELECT sale_id, title, title_zh, state, mode, opens_at_ms, ends_at_ms, prices, currency, limit_per_user, ticket_required
FROM flash_sale WHERE sale_id = $1"""
LEVELS: Final = """
SELECT s.sku_id, coalesce(sum(l.available), 0)::bigint AS available, coalesce(sum(l.put_in), 0)::bigint AS put_in
FROM sku s LEFT JOIN LATERAL generate_series(0, s.parts - 1) part ON true
LEFT JOIN stock_level l ON l.key = s.sku_id || '#' || part
WHERE s.sku_id = ANY($1) GROUP BY s.sku_id"""

_PRICES: Final = msgspec.json.Decoder(dict[str, int])


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a SKU there is, over all its parts, and how much there ever was."""

    available: int
    put_in: int


class SaleRow(msgspec.Struct, frozen=True, kw_only=True):
    """A flash sale as its page shows it."""

    sale_id: str
    titles: Titles
    state: str
    mode: str
    opens_at_ms: int
    ends_at_ms: int
    prices: dict[str, int]
    currency: str
    limit_per_user: int
    ticket_required: bool
    levels: dict[str, Level]


class Catalogue:
    """Reads on a pool. StorageUnknown when the database cannot be asked."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def sale(self, sale_id: str) -> SaleRow | None:
        """One flash sale with the stock of its articles."""
        return await known(self._sale(sale_id))

    async def _sale(self, sale_id: str) -> SaleRow | None:
        async with self._pool.acquire() as connection:
            row = await connection.fetchrow(SALE_ROW, sale_id)
            if row is None:
                return None
            prices = _PRICES.decode(row["prices"])
            levels = await connection.fetch(LEVELS, list(prices))
        return SaleRow(
            sale_id=row["sale_id"],
            titles=Titles(en=row["title"], zh=row["title_zh"]),
            state=row["state"],
            mode=row["mode"],
            opens_at_ms=row["opens_at_ms"],
            ends_at_ms=row["ends_at_ms"],
            prices=prices,
            currency=row["currency"],
            limit_per_user=row["limit_per_user"],
            ticket_required=row["ticket_required"],
            levels={level["sku_id"]: Level(available=level["available"], put_in=level["put_in"]) for level in levels},
        )
