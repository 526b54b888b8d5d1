"""Orders at suppliers: drafts, ordered, and received into stock."""

from typing import Annotated, Any, Final

from litestar import get, post, put
from litestar.params import FromPath, JSONBody, QueryParameter

from actors.storage.purchases import PurchaseRow
from schemas.http.watch import Decide, PurchaseLine, PurchaseOrder, PurchasePage, PutPurchase, ReceivePurchase
from schemas.ids import derived_id, is_id
from schemas.stock import PutIn
from schemas.watch import PurchaseState, Quantity
from serve.answers import timestamp
from serve.cursors import cursor_of, parts_of
from serve.framework import ShopRequest
from serve.requests import Refusal
from serve.staff.doing import deed_of, refusing


def _purchase(row: PurchaseRow) -> PurchaseOrder:
    return PurchaseOrder(
        purchase_id=row.purchase_id,
        state=row.state,
        supplier=row.supplier,
        warehouse_id=row.warehouse_id,
        proposal_id=row.proposal_id or None,
        made_by=row.made_by,
        made_at=timestamp(row.made_at_ms),
        changed_at=timestamp(row.changed_at_ms),
        lines=tuple(
            PurchaseLine(sku_id=line.sku_id, code=line.code, product_id=line.product_id, quantity=line.quantity, received=line.received)
            for line in row.lines
        ),
    )


def _id_of(purchase_id: str) -> str:
    if not is_id(purchase_id, "pur"):
        raise Refusal("purchase_unknown")
    return purchase_id


@get("/v1/staff/purchase-orders", operation_id="listPurchases")
async def list_purchases(
    request: ShopRequest,
    in_state: Annotated[PurchaseState | None, QueryParameter(description="of one state alone")] = None,
    cursor: Annotated[str | None, QueryParameter(max_length=200, description="`next_cursor` of the page before")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 20,
) -> PurchasePage:
    """Orders at suppliers, by id."""
    after = ""
    if cursor is not None:
        kind, after = parts_of(cursor, 2)
        if kind != "u":
            raise Refusal("invalid_request", {"reason": "cursor is none of ours"})
    rows = await request.desk.purchases.page(after, in_state or "", limit + 1)
    more = cursor_of("u", rows[limit - 1].purchase_id) if len(rows) > limit else None
    return PurchasePage(purchases=tuple(map(_purchase, rows[:limit])), next_cursor=more)


@get("/v1/staff/purchase-orders/{purchase_id:str}", operation_id="readPurchase")
async def read_purchase(request: ShopRequest, purchase_id: FromPath[str]) -> PurchaseOrder:
    """One order with its lines."""
    with refusing():
        return _purchase(await request.desk.purchases.read(_id_of(purchase_id)))


@put("/v1/staff/purchase-orders/{purchase_id:str}", operation_id="putPurchase")
async def put_purchase(request: ShopRequest, purchase_id: FromPath[str], data: JSONBody[PutPurchase]) -> PurchaseOrder:
    """Make a draft under an id of one's own, or change what is in one."""
    desk = request.desk
    lines = tuple(Quantity(sku_id=line.sku_id, quantity=line.quantity) for line in data.lines)
    deed = deed_of(request, "goods.watch", _id_of(purchase_id), data.reason)
    with refusing():
        row = await desk.purchases.draft(
            request.actor(), purchase_id, lines, data.supplier, data.warehouse_id, deed, desk.clock.now_ms()
        )  # fmt: skip
    return _purchase(row)


@post("/v1/staff/purchase-orders/{purchase_id:str}/order", operation_id="orderPurchase", status_code=200)
async def order_purchase(request: ShopRequest, purchase_id: FromPath[str], data: JSONBody[Decide]) -> PurchaseOrder:
    """The draft was ordered at its supplier. Again it stays so."""
    return await _move(request, purchase_id, "ordered", data.reason)


@post("/v1/staff/purchase-orders/{purchase_id:str}/cancel", operation_id="cancelPurchase", status_code=200)
async def cancel_purchase(request: ShopRequest, purchase_id: FromPath[str], data: JSONBody[Decide]) -> PurchaseOrder:
    """Nothing of it will arrive. Again it stays so."""
    return await _move(request, purchase_id, "cancelled", data.reason)


async def _move(request: ShopRequest, purchase_id: str, to: str, reason: str) -> PurchaseOrder:
    desk = request.desk
    deed = deed_of(request, "goods.watch", _id_of(purchase_id), reason, after=to)
    with refusing():
        return _purchase(await desk.purchases.move(request.actor(), purchase_id, to, deed, desk.clock.now_ms()))


@post("/v1/staff/purchase-orders/{purchase_id:str}/receive", operation_id="receivePurchase", status_code=200)
async def receive_purchase(request: ShopRequest, purchase_id: FromPath[str], data: JSONBody[ReceivePurchase]) -> PurchaseOrder:
    """Put into stock what arrived. Receiving again goes on where it was broken off, and puts nothing in twice."""
    desk = request.desk
    arrived = {line.sku_id: line.quantity for line in data.arrived}
    if len(arrived) != len(data.arrived):
        raise Refusal("invalid_request", {"reason": "arrived: an article stands there twice"})
    deed = deed_of(request, "purchase.receive", _id_of(purchase_id), data.reason)
    with refusing():
        row = await desk.purchases.begin_receiving(request.actor(), purchase_id, arrived, deed, desk.clock.now_ms())
        if row.state == "receiving":
            await _put_in(request, row)
            row = await desk.purchases.received(purchase_id, desk.clock.now_ms())
    return _purchase(row)


async def _put_in(request: ShopRequest, row: PurchaseRow) -> None:
    """One command an article, under an id of the order and the article: its effect is once, whoever asks again."""
    for line in row.lines:
        if line.received:
            command = PutIn(quantity=line.received, reason="purchase", warehouse_id=row.warehouse_id, reference=row.purchase_id)
            command_id = derived_id("purchase", row.purchase_id, line.sku_id)
            await request.desk.told("stock", f"{line.sku_id}#0", command, command_id=command_id, digest=command_id)


HANDLERS: Final[list[Any]] = [list_purchases, read_purchase, put_purchase, order_purchase, cancel_purchase, receive_purchase]
