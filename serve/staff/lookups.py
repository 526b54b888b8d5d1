"""What staff look up of the trade: stock, coupons, the ledger, what is to be packed. Nothing personal is in it."""

import re
from typing import Annotated, Any, Final, Literal

from litestar import get
from litestar.params import FromPath, QueryParameter

from actors.storage.desk_reads import PaidRow
from schemas.http.staff import CouponPage, CouponSeen, Ledger, LedgerLine, PaidOrder, PaidOrders, StockLevels, StockSeen
from schemas.ids import is_id
from schemas.money import Money
from serve.answers import timestamp
from serve.cursors import cursor_of, parts_of
from serve.framework import ShopRequest
from serve.requests import Refusal
from serve.shop.orders import amounts_of, line_of


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


PRIORITY_MAX: Final = 2**15 - 1


@get("/v1/staff/paid-orders", operation_id="listPaidOrders")
async def list_paid_orders(
    request: ShopRequest,
    sort: Annotated[
        Literal["priority", "age"], QueryParameter(description="priority: the highest first; age: the oldest first")
    ] = "priority",
    min_priority: Annotated[int, QueryParameter(ge=0, le=PRIORITY_MAX, description="orders of at least this priority alone")] = 0,
    cursor: Annotated[str | None, QueryParameter(max_length=200, description="`next_cursor` of the page before")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 20,
) -> PaidOrders:
    """What is to be packed, and in which order. Of equal priority whoever waits longest is first."""
    lookups, (priority, placed_ms, order_id) = request.desk.lookups, _place(sort, cursor)
    if sort == "age":
        rows = await lookups.paid_by_age(min_priority, (placed_ms, order_id), limit + 1)
    else:
        rows = await lookups.paid_by_priority(min_priority, (priority, placed_ms, order_id), limit + 1)
    last = rows[limit - 1] if len(rows) > limit else None
    more = cursor_of(sort, str(last.priority), str(last.placed_at_ms), last.order_id) if last else None
    return PaidOrders(orders=tuple(_paid(row) for row in rows[:limit]), next_cursor=more)


def _place(sort: str, cursor: str | None) -> tuple[int, int, str]:
    """Where a list goes on. Refusal for a cursor of another list."""
    if cursor is None:
        return PRIORITY_MAX, -1, ""
    kind, priority, placed_ms, order_id = parts_of(cursor, 4)
    if kind != sort or not re.fullmatch(r"\d{1,5}", priority) or int(priority) > PRIORITY_MAX or not re.fullmatch(r"\d{1,15}", placed_ms):
        raise Refusal("invalid_request", {"reason": "cursor is none of ours"})
    return int(priority), int(placed_ms), order_id


def _paid(row: PaidRow) -> PaidOrder:
    return PaidOrder(
        order_id=row.order_id,
        user_id=row.user_id,
        priority=row.priority,
        placed_at=timestamp(row.placed_at_ms),
        total=Money(amount=row.total_amount, currency=row.currency),
        **amounts_of(row, row.currency),
        lines=tuple(line_of(line, row.currency) for line in row.lines),
    )


HANDLERS: Final[list[Any]] = [read_stock, list_coupons, read_ledger, list_paid_orders]
