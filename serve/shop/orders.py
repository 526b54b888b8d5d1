"""Checkout, and orders: read, list, pay, cancel."""

import asyncio
import re
from typing import Annotated, Any, Final

from litestar import get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from actors.storage.desk_reads import PaidRow
from actors.storage.orders import OrderRow
from schemas.cart import CartContents, ConsumeLines, ReadCart
from schemas.envelope import Answer
from schemas.http.orders import Checkout, Order, OrderInList, OrderLine, OrderPage, Payment
from schemas.ids import derived_id, id_of, order_id, order_shard
from schemas.money import Money
from schemas.order import CancelOrder, Line, OrderView, PaymentView, PayOrder, PlaceOrder, PricedLine, ReadOrder
from serve.answers import timestamp
from serve.cursors import cursor_of, parts_of
from serve.desk import Desk
from serve.framework import ShopRequest
from serve.requests import Refusal
from serve.shop.membership import price_terms
from serve.shop.parcels import parcels_of, wishes_for
from serve.shop.ship_to import goes_to
from serve.step_up import require_step_up

WAIT_MS: Final = 500
"""A list waits at most this long for the position that a client asks for."""

CART_ORDERED_MS: Final = 7 * 86_400_000
"""For so long a version of a cart is known to have become an order; a cart that changes has another version."""

_POSITION: Final = re.compile(r"(\d{1,5}):(\d{1,18})\Z")


def line_of(line: PricedLine, currency: str) -> OrderLine:
    """A line as its buyer sees it."""
    return OrderLine(
        sku_id=line.sku_id,
        quantity=line.quantity,
        unit_price=Money(amount=line.unit_price, currency=currency),
        discount=Money(amount=line.discount, currency=currency),
        total=Money(amount=line.unit_price * line.quantity - line.discount, currency=currency),
        price_kind=line.price_kind or None,
        list_price=Money(amount=line.list_price, currency=currency) if line.list_price else None,
    )


def amounts_of(row: OrderRow | OrderView | PaidRow, currency: str) -> dict[str, Any]:
    """What points and delivery have to do with a total; null where it is nothing."""
    return {
        "points": row.points,
        "points_discount": Money(amount=row.points_discount, currency=currency) if row.points_discount else None,
        "shipping": Money(amount=row.shipping, currency=currency) if row.shipping else None,
    }


def _saved(row: OrderRow | OrderView, currency: str) -> Money | None:
    return Money(amount=row.shipping_saved, currency=currency) if row.shipping_saved else None


async def _order(desk: Desk, view: OrderView, position: str | None = None) -> Order:
    return Order(
        order_id=view.order_id,
        status=view.status,
        total=view.total,
        placed_at=timestamp(view.placed_at_ms),
        expires_at=timestamp(view.expires_at_ms),
        lines=tuple(line_of(line, view.total.currency) for line in view.lines),
        sale_id=view.sale_id or None,
        coupons=view.coupons,
        payments=view.payments,
        reason=view.reason or None,
        **amounts_of(view, view.total.currency),
        shipping_saved=_saved(view, view.total.currency),
        parcels=await parcels_of(desk, view.lines, view.sources),
        position=position,
    )


async def _order_of_row(desk: Desk, row: OrderRow) -> Order:
    return Order(
        order_id=row.order_id,
        status=row.status,
        total=Money(amount=row.total_amount, currency=row.currency),
        placed_at=timestamp(row.placed_at_ms),
        expires_at=timestamp(row.expires_at_ms),
        lines=tuple(line_of(line, row.currency) for line in row.lines),
        sale_id=row.sale_id or None,
        coupons=tuple(claim.coupon_id for claim in row.coupons),
        payments=row.payments,
        reason=row.reason or None,
        **amounts_of(row, row.currency),
        shipping_saved=_saved(row, row.currency),
        parcels=await parcels_of(desk, row.lines, row.sources),
    )


def _position(answer: Answer) -> str:
    return f"{answer.shard}:{answer.seq}"


@post("/v1/checkout", operation_id="checkOut")
async def check_out(request: ShopRequest, data: JSONBody[Checkout]) -> Order:
    """Order what is in the cart; what was ordered leaves it.

    A version of a cart becomes one order, whichever of two windows is quicker: the other gets the same
    order. A repeat after a failure finds its order, and takes its lines out of the cart if that was not done.
    """
    desk, user_id = request.desk, request.customer().user_id
    command_id, digest = request.command(user_id, "checkout")
    if not desk.user_rate.take(user_id):
        raise Refusal("rate_limited")
    ship_to = await goes_to(desk, user_id, data.ship_to, data.address_id)
    if is_large(desk, data.expected_total):
        await require_step_up(request)
    cart, terms = await asyncio.gather(desk.told("cart", user_id, ReadCart()), price_terms(desk, user_id))
    assert isinstance(cart, CartContents)
    lines = tuple(Line(sku_id=line.sku_id, quantity=line.quantity) for line in cart.lines)
    wishes, considered = await wishes_for(desk, lines, ship_to)
    drifted = data.cart_version is not None and data.cart_version != cart.version
    command = PlaceOrder(
        order_id=order_id(desk.clock.now_ms(), desk.client.sharding.shard("order", user_id), desk.services.rng.getrandbits(40)),
        # Of a cart that drifted nothing is ordered; whoever asks again still gets the first answer.
        lines=() if drifted else lines,
        ticket_nonce=f"cart:{cart.version}",
        ticket_expires_ms=desk.clock.now_ms() + CART_ORDERED_MS,
        expected_total=data.expected_total,
        coupon_ids=data.coupon_ids,
        sealed_ship_to=await desk.user_keys.seal_address(user_id, ship_to),
        hold_ms=desk.settings.hold_ms,
        points=data.points,
        member_level=terms.level_id,
        free_shipping=terms.free_shipping,
        wishes=wishes,
        considered=considered,
        currency=data.currency or "",
    )
    answer = await desk.ask("order", user_id, command, command_id=command_id, digest=digest)
    if drifted and answer.code == "cart_empty":
        raise Refusal("cart_changed")
    return await _checked_out(desk, user_id, answer)


def is_large(desk: Desk, total: Money | None) -> bool:
    """Whether a checkout wants a second factor. One that names no total may be any; one that names it is ordered for no other."""
    limit = desk.settings.step_up_order_minor
    return limit > 0 and (total is None or total.amount >= limit)


async def _checked_out(desk: Desk, user_id: str, answer: Answer) -> Order:
    if answer.code == "cart_changed" and answer.params.get("order_id"):
        answer = await desk.ask("order", user_id, ReadOrder(order_id=answer.params["order_id"]))
    if answer.code:
        raise Refusal(answer.code, answer.params)
    view = answer.reply
    assert isinstance(view, OrderView)
    lines = tuple(Line(sku_id=line.sku_id, quantity=line.quantity) for line in view.lines)
    consume = ConsumeLines(order_id=view.order_id, lines=lines)
    # Known by the order: a repeat takes nothing. If it fails now, the next checkout of this version does it.
    await desk.ask("cart", user_id, consume, command_id=derived_id("consume", view.order_id), digest=b"consume")
    desk.cart_changed(user_id)
    if view.status in ("cancelled", "refused"):
        raise Refusal("cart_changed", {"order_id": view.order_id})
    return await _order(desk, view, _position(answer))


async def _people(desk: Desk, user_id: str) -> list[str]:
    """The user, and the accounts that were merged into his."""
    return [user_id, *await desk.users.merged_into(user_id)]


async def _ask_owner(desk: Desk, user_id: str, order_id: str, command: Any, **more: Any) -> Answer:
    """Ask the owner of an order, which names its shard. Refusal ``order_unknown`` before anybody is asked who cannot have it."""
    try:
        shard = order_shard(order_id)
    except ValueError:
        raise Refusal("order_unknown") from None
    answer = None
    if shard == desk.client.sharding.shard("order", user_id):
        answer = await desk.ask("order", user_id, command, **more)
    if answer is None or answer.code == "order_unknown":
        for merged in await desk.users.merged_into(user_id):
            if shard == desk.client.sharding.shard("order", merged):
                answer = await desk.ask("order", merged, command, **more)
                if answer.code != "order_unknown":
                    break
    if answer is None:
        raise Refusal("order_unknown")
    return answer


@get("/v1/orders/{order_id:str}", operation_id="readOrder")
async def read_order(request: ShopRequest, order_id: FromPath[str]) -> Order:
    """One order, exactly; one that ended long ago as it ended."""
    desk, user_id = request.desk, request.customer().user_id
    answer = await _ask_owner(desk, user_id, order_id, ReadOrder(order_id=order_id))
    if answer.code == "order_unknown":
        row = await desk.orders.one(await _people(desk, user_id), order_id)
        if row is None:
            raise Refusal("order_unknown")
        return await _order_of_row(desk, row)
    if answer.code:
        raise Refusal(answer.code, answer.params)
    return await _order(desk, answer.reply)


@get("/v1/orders", operation_id="listOrders")
async def list_orders(
    request: ShopRequest,
    cursor: Annotated[str | None, QueryParameter(max_length=200, description="`next_cursor` of the page before")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 20,
    position: Annotated[str | None, QueryParameter(max_length=32, description="show at least this change of one's own")] = None,
) -> OrderPage:
    """The user's orders, the newest first."""
    desk, user_id = request.desk, request.customer().user_id
    before_ms, before_id = 2**62, ""
    if cursor is not None:
        kind, at_ms, before_id = parts_of(cursor, 3)
        if kind != "o" or not at_ms.isdigit() or len(at_ms) > 15:
            raise Refusal("invalid_request", {"reason": "cursor is none of ours"})
        before_ms = int(at_ms)
    behind = position is not None and not await _reached(desk, user_id, position)
    rows = await desk.orders.page(await _people(desk, user_id), before_ms, before_id, limit + 1)
    page = rows[:limit]
    more = cursor_of("o", str(page[-1].placed_at_ms), page[-1].order_id) if len(rows) > limit else None
    return OrderPage(orders=tuple(in_list(row) for row in page), next_cursor=more, behind=behind)


def in_list(row: OrderRow) -> OrderInList:
    """An order as a list shows it."""
    return OrderInList(
        order_id=row.order_id,
        status=row.status,
        total=Money(amount=row.total_amount, currency=row.currency),
        placed_at=timestamp(row.placed_at_ms),
        expires_at=timestamp(row.expires_at_ms),
        sale_id=row.sale_id or None,
        **amounts_of(row, row.currency),
    )


async def _reached(desk: Desk, user_id: str, position: str) -> bool:
    """Wait until the table has come to a position of this user's. Refusal ``invalid_request`` for anybody else's."""
    found = _POSITION.match(position)
    if found is None or int(found[1]) != desk.client.sharding.shard("order", user_id):
        raise Refusal("invalid_request", {"reason": "position is none of yours"})
    deadline_ms = desk.clock.monotonic_ms() + WAIT_MS
    wait_s = 0.01
    while await desk.orders.reached(int(found[1])) < int(found[2]):
        if desk.clock.monotonic_ms() >= deadline_ms:
            return False
        await desk.clock.sleep(wait_s)
        wait_s = min(wait_s * 2, 0.08)
    return True


@post("/v1/orders/{order_id:str}/pay", operation_id="payOrder", status_code=201)
async def pay_order(request: ShopRequest, order_id: FromPath[str]) -> Payment:
    """Begin to pay, or go on with the payment that is open."""
    desk, user_id = request.desk, request.customer().user_id
    command_id, digest = request.command(user_id, "pay")
    payment_id = id_of("pay", command_id)
    command = PayOrder(order_id=order_id, payment_id=payment_id)
    answer = await _ask_owner(desk, user_id, order_id, command, command_id=command_id, digest=digest)
    if answer.code:
        raise Refusal(answer.code, answer.params)
    view = answer.reply
    assert isinstance(view, PaymentView)
    return Payment(
        payment_id=view.payment_id,
        order_id=view.order_id,
        status=view.status,
        amount=view.amount,
        client_secret=view.client_secret,
        position=_position(answer),
    )


@post("/v1/orders/{order_id:str}/cancel", operation_id="cancelOrder", status_code=200)
async def cancel_order(request: ShopRequest, order_id: FromPath[str]) -> Order:
    """End an unpaid order. A repeat gets the same answer; it needs no key."""
    desk, user_id = request.desk, request.customer().user_id
    command_id = derived_id("cancel", order_id)
    answer = await _ask_owner(desk, user_id, order_id, CancelOrder(order_id=order_id), command_id=command_id, digest=b"cancel")
    if answer.code:
        raise Refusal(answer.code, answer.params)
    return await _order(desk, answer.reply, _position(answer))


HANDLERS: Final[list[Any]] = [check_out, read_order, list_orders, pay_order, cancel_order]
