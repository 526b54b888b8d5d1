"""A merchant's own goods and orders. The firm comes from the role, never from the request."""

from typing import Annotated, Any, Final

from litestar import get
from litestar.params import QueryParameter

from schemas.http.staff import MerchantOrder, MerchantOrders, MerchantProduct, MerchantProducts
from serve.answers import timestamp
from serve.cursors import cursor_of, parts_of
from serve.framework import ShopRequest
from serve.requests import Refusal
from serve.shop.orders import line_of

Cursor = Annotated[str | None, QueryParameter(max_length=200, description="`next_cursor` of the page before")]
LAST_ORDER: Final = "ord_" + "z" * 24
"""After every order number, in whatever way the database sorts."""

Limit = Annotated[int, QueryParameter(ge=1, le=100)]


def _from(cursor: str | None, merchant_id: str, start: str) -> str:
    """Where a list goes on. Refusal for a cursor of another firm's list."""
    if cursor is None:
        return start
    owner, name = parts_of(cursor, 2)
    if owner != merchant_id:
        raise Refusal("invalid_request", {"reason": "cursor is none of yours"})
    return name


@get("/v1/merchant/products", operation_id="listMerchantProducts")
async def list_products(request: ShopRequest, cursor: Cursor = None, limit: Limit = 20) -> MerchantProducts:
    """The goods of one's own firm."""
    firm = request.actor().merchant_id
    rows = await request.desk.lookups.merchant_products(firm, _from(cursor, firm, ""), limit + 1)
    more = cursor_of(firm, rows[limit - 1]["product_id"]) if len(rows) > limit else None
    return MerchantProducts(products=tuple(MerchantProduct(**dict(row)) for row in rows[:limit]), next_cursor=more)


@get("/v1/merchant/orders", operation_id="listMerchantOrders")
async def list_orders(request: ShopRequest, cursor: Cursor = None, limit: Limit = 20) -> MerchantOrders:
    """The orders with goods of one's own firm, and of each the own lines alone."""
    firm = request.actor().merchant_id
    rows, more = await request.desk.lookups.merchant_orders(firm, _from(cursor, firm, LAST_ORDER), limit)
    orders = tuple(
        MerchantOrder(
            order_id=row.order_id,
            status=row.status,
            placed_at=timestamp(row.placed_at_ms),
            lines=tuple(line_of(line, row.currency) for line in row.lines),
        )
        for row in rows
    )
    return MerchantOrders(orders=orders, next_cursor=cursor_of(firm, more) if more else None)


HANDLERS: Final[list[Any]] = [list_products, list_orders]
