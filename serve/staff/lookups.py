"""What staff look up of the trade: stock, coupons, the ledger. Nothing personal is in it."""

from typing import Annotated, Any, Final

from litestar import get
from litestar.params import FromPath, QueryParameter

from schemas.http.staff import CouponPage, CouponSeen, Ledger, LedgerLine, StockLevels, StockSeen
from schemas.ids import is_id
from schemas.money import Money
from serve.answers import timestamp
from serve.cursors import cursor_of, parts_of
from serve.framework import ShopRequest
from serve.requests import Refusal


@get("/v1/staff/stock/{sku_id:str}", operation_id="readStock")
async def read_stock(request: ShopRequest, sku_id: FromPath[str]) -> StockLevels:
    """How much of an article there is, a moment ago."""
    rows = await request.desk.lookups.stock(sku_id) if is_id(sku_id, "sku") else []
    if not rows:
        raise Refusal("sku_unknown")
    return StockLevels(sku_id=sku_id, parts=tuple(StockSeen(**dict(row)) for row in rows))


@get("/v1/staff/coupons", operation_id="listCoupons")
async def list_coupons(
    request: ShopRequest,
    cursor: Annotated[str | None, QueryParameter(max_length=200, description="`next_cursor` of the page before")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 20,
) -> CouponPage:
    """The coupons, and how many are taken."""
    after = "" if cursor is None else _after(cursor, "c")
    rows = await request.desk.lookups.coupons(after, limit + 1)
    more = cursor_of("c", rows[limit - 1]["coupon_id"]) if len(rows) > limit else None
    return CouponPage(coupons=tuple(CouponSeen(**dict(row)) for row in rows[:limit]), next_cursor=more)


def _after(cursor: str, wanted: str) -> str:
    kind, name = parts_of(cursor, 2)
    if kind != wanted:
        raise Refusal("invalid_request", {"reason": "cursor is none of ours"})
    return name


@get("/v1/staff/orders/{order_id:str}/ledger", operation_id="readLedger")
async def read_ledger(request: ShopRequest, order_id: FromPath[str]) -> Ledger:
    """The entries of an order: what was paid, and what went back."""
    rows = await request.desk.lookups.entries(order_id) if is_id(order_id, "ord") else []
    if not rows:
        raise Refusal("order_unknown")
    entries = tuple(
        LedgerLine(
            posting=row["posting"],
            account=row["account"],
            amount=Money(amount=row["amount"], currency=row["currency"]),
            at=timestamp(row["at_ms"]),
        )
        for row in rows
    )
    return Ledger(order_id=order_id, entries=entries)


HANDLERS: Final[list[Any]] = [read_stock, list_coupons, read_ledger]
