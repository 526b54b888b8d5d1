"""The state of one buyer's order book, and how an order looks to its buyer."""

from typing import Final

import msgspec

from schemas.money import Money
from schemas.order import Considered, CouponClaim, OrderView, PointsUse, PricedLine, Source, Wish

STARTING: Final = "placing"
STEPS_OPEN: Final = "pending_payment"

ORDER_STATUSES: Final = (
    "placing", "pending_payment", "closing", "paid", "cancelled", "refused", "unfulfillable", "refunded",
)  # fmt: skip

OPEN_ORDERS_MAX: Final = 20
"""Unpaid orders of one buyer at once: hoarding has a price, and a turn stays short."""

FORGET_MS: Final = 7 * 86_400_000
"""Finished orders stay in the book this long, so that every repeat of a command meets its order."""


class Refund(msgspec.Struct, kw_only=True):
    """Money on its way back."""

    refund_id: str
    amount: int
    reason: str


class Payment(msgspec.Struct, kw_only=True):
    """One attempt to pay. Status: opening, open, paid, closed, failed, questioned, refunding, refunded, refund_failed."""

    payment_id: str
    amount: int
    currency: str
    started_at_ms: int
    status: str = "opening"
    provider_id: str = ""
    client_secret: str = ""
    polls: int = 0
    poll_ms: int = 0
    waiting: list[bytes] = []
    refund: Refund | None = None
    settled_amount: int = 0
    settled_currency: str = ""


class Order(msgspec.Struct, gc=False, kw_only=True, omit_defaults=True):
    """One order. ``steps``, ``alternatives`` and ``wishes`` are used only while owners on other hosts are asked."""

    order_id: str
    status: str
    lines: list[PricedLine]
    total: int
    currency: str
    reservation_ids: tuple[bytes, ...]
    placed_at_ms: int
    expires_at_ms: int
    coupons: tuple[CouponClaim, ...] = ()
    sale_id: str = ""
    ticket_nonce: str = ""
    command_id: bytes = b""
    steps: dict[str, bool] = {}
    alternatives: list[list[str]] = []
    payments: dict[str, Payment] = {}
    reason: str = ""
    cancel_command: bytes = b""
    closing_since_ms: int = 0
    closed_at_ms: int = 0
    points: PointsUse | None = None
    member_level: str | None = None
    shipping: int = 0
    shipping_saved: int = 0
    shipping_use: bytes = b""
    priority: int = 0
    sources: tuple[Source, ...] = ()
    considered: tuple[Considered, ...] = ()
    wishes: tuple[Wish, ...] = ()


class OrderBook(msgspec.Struct, kw_only=True, omit_defaults=True):
    """All of a buyer's live orders, what counts against limits, and what can never be placed."""

    user_id: str
    open: dict[str, Order] = {}
    closed: dict[str, Order] = {}
    bought: dict[str, int] = {}
    tickets: dict[str, int] = {}
    abandoned: dict[bytes, int] = {}


def find(state: OrderBook, order_id: str) -> Order | None:
    """The order, open or finished."""
    return state.open.get(order_id) or state.closed.get(order_id)


def order_view(order: Order) -> OrderView:
    """The order as its buyer sees it."""
    return OrderView(
        order_id=order.order_id,
        status=order.status,
        total=Money(amount=order.total, currency=order.currency),
        expires_at_ms=order.expires_at_ms,
        placed_at_ms=order.placed_at_ms,
        sale_id=order.sale_id,
        lines=tuple(order.lines),
        coupons=tuple(claim.coupon_id for claim in order.coupons),
        payments={payment_id: payment.status for payment_id, payment in order.payments.items()},
        reason=order.reason,
        points=order.points.points if order.points else 0,
        points_discount=order.points.discount if order.points else 0,
        shipping=order.shipping,
        shipping_saved=order.shipping_saved,
        sources=order.sources,
        reservation_ids=order.reservation_ids,
    )
