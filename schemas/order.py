"""Orders of one buyer, with their payments: commands, events, replies."""

from typing import Any

import msgspec

from schemas.money import Money


class Line(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """``quantity`` of one SKU, as asked."""

    sku_id: str
    quantity: int


class PricedLine(msgspec.Struct, gc=False, frozen=True, kw_only=True, omit_defaults=True):
    """One line of an order as sold. ``stock_key`` names the part that holds it; amounts in minor units.

    price_kind: what kind of price it was (tier, promotion, member, level), "" for the list price and for that of a flash sale.
    list_price: what a unit would have cost without it, 0 where that is ``unit_price``.
    """

    sku_id: str
    quantity: int
    unit_price: int
    stock_key: str
    discount: int = 0
    price_kind: str = ""
    list_price: int = 0


class Wish(msgspec.Struct, gc=False, frozen=True, kw_only=True, array_like=True):
    """Warehouses for one line, the best first; ``together``: so many of them are to send it as one (``stock.Reserve``)."""

    prefer: tuple[str, ...]
    together: int = 1


class Source(msgspec.Struct, gc=False, frozen=True, kw_only=True, array_like=True):
    """``quantity`` units of a line (counted from 0) are in a warehouse. What one warehouse has for an order is a parcel."""

    line: int
    warehouse_id: str
    quantity: int


class Considered(msgspec.Struct, gc=False, frozen=True, kw_only=True, array_like=True):
    """What was thought of a warehouse when the order was placed: a key of ``schemas.warehouse.VERDICTS``.

    No distance: an order outlives its buyer's address, which must not be found again from how far it was from where.
    """

    warehouse_id: str
    verdict: str


class CouponClaim(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """A coupon of an order, what it took off, and the claim on its quota."""

    coupon_id: str
    claim_id: bytes
    discount: int


class PointsUse(msgspec.Struct, gc=False, frozen=True, kw_only=True, omit_defaults=True):
    """What an order took of its buyer's membership: points, what they took off, and personal coupons, under one hold."""

    hold_id: bytes
    points: int
    discount: int
    gifts: tuple[str, ...] = ()


class Address(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where an order goes. ``country``: ISO 3166-1 alpha-2."""

    country: str
    name: str
    phone: str
    line1: str
    city: str
    line2: str = ""
    region: str = ""
    district: str = ""
    postal_code: str = ""


# --- commands ---------------------------------------------------------------------------------


class PlaceOrder(msgspec.Struct, gc=False, frozen=True, kw_only=True, tag="order.place", omit_defaults=True):
    """Place an order: from a cart, or (``sale_id``) in a flash sale.

    ``order_id`` is the caller's proposal; a repeat gets the first one's answer. The ticket's
    signature was checked at the edge; its single use is decided here. Without a sale ``ticket_nonce``
    names the version of the cart that is ordered: it is used once as well.
    """

    order_id: str
    lines: tuple[Line, ...]
    sale_id: str = ""
    ticket_nonce: str = ""
    ticket_expires_ms: int = 0
    expected_total: Money | None = None
    coupon_ids: tuple[str, ...] = ()
    ship_to: Address | None = None
    hold_ms: int = 900_000
    points: int = 0
    """Points that the buyer would spend; no more are taken than the rules let pay."""
    member_level: str | None = None
    """The level that the buyer is priced by ("": the lowest), to which his membership agrees in the same turn; None: nobody's."""
    sealed_ship_to: bytes = b""
    """The address, checked and then sealed at the edge with the buyer's own key, instead of ``ship_to``."""
    free_shipping: bool = False
    """The buyer's membership has a free parcel left, as the edge saw; taken where delivery has a price, if the membership agrees."""
    wishes: tuple[Wish, ...] = ()
    """By line, where the shop has warehouses and the order an address."""

    considered: tuple[Considered, ...] = ()
    currency: str = ""
    """In which the buyer would pay; "": in that of the articles' first list prices. A flash sale has its own."""


class ReadOrder(msgspec.Struct, frozen=True, kw_only=True, tag="order.read"):
    """Ask for one order, exactly."""

    order_id: str


class PayOrder(msgspec.Struct, frozen=True, kw_only=True, tag="order.pay"):
    """Begin to pay. ``payment_id`` is the caller's proposal; an open payment of the order is answered instead."""

    order_id: str
    payment_id: str


class CancelOrder(msgspec.Struct, frozen=True, kw_only=True, tag="order.cancel"):
    """The buyer no longer wants an unpaid order."""

    order_id: str


class PaymentNotice(msgspec.Struct, frozen=True, kw_only=True, tag="order.payment_notice"):
    """A verified word of the provider about a payment. ``status``: pending, paid, closed or failed."""

    order_id: str
    payment_id: str
    status: str
    amount: int
    currency: str
    provider_id: str = ""


class ConfirmHold(msgspec.Struct, frozen=True, kw_only=True, tag="order.confirm_hold"):
    """Stock or quota asks whether the order behind an overdue hold lives. ``stock_key``: the part that asks, empty for a quota."""

    order_id: str
    reservation_id: bytes
    stock_key: str = ""


# --- events -----------------------------------------------------------------------------------


class OrderPlaced(msgspec.Struct, gc=False, frozen=True, kw_only=True, tag="order.placed", omit_defaults=True):
    """Everything is held: the order stands until ``expires_at_ms``. Written at once where all was on one host."""

    order_id: str
    lines: tuple[PricedLine, ...]
    total: int
    currency: str
    reservation_ids: tuple[bytes, ...]
    placed_at_ms: int
    expires_at_ms: int
    price_version: int
    sale_id: str = ""
    ticket_nonce: str = ""
    ticket_expires_ms: int = 0
    coupons: tuple[CouponClaim, ...] = ()
    ship_to: Address | None = None
    points: PointsUse | None = None
    member_level: str | None = None
    rules_version: int = 0
    """Of the membership rules that it was priced by."""
    limit: int = 0
    """So many of an article the sale allowed one buyer when this was decided; 0: any number."""
    sealed_ship_to: bytes = b""
    """Where it goes, for whoever holds the buyer's key (``actors.storage.user_keys``); nobody, when that was destroyed."""
    shipping: int = 0
    """What delivery costs the buyer: part of ``total``, and of no line."""
    shipping_saved: int = 0
    """What delivery would have cost, had the membership not given a free parcel (``shipping_use``)."""
    shipping_use: bytes = b""

    sources: tuple[Source, ...] = ()
    """Where the units really are; empty where all are in the unnamed warehouse."""

    considered: tuple[Considered, ...] = ()


class OrderStarted(msgspec.Struct, frozen=True, kw_only=True, tag="order.started", omit_defaults=True):
    """The order asks owners elsewhere for what it needs; ``draft`` is what it will be when all agree."""

    command_id: bytes
    draft: OrderPlaced
    stock_keys: tuple[tuple[str, ...], ...]
    wishes: tuple[Wish, ...] = ()


class OrderStepTaken(msgspec.Struct, frozen=True, kw_only=True, tag="order.step_taken", omit_defaults=True):
    """One owner agreed."""

    order_id: str
    step: str
    sources: tuple[Source, ...] = ()


class OrderStepMoved(msgspec.Struct, frozen=True, kw_only=True, tag="order.step_moved"):
    """One part had no stock; the next one is asked."""

    order_id: str
    line: int
    stock_key: str


class OrderConfirmed(msgspec.Struct, frozen=True, kw_only=True, tag="order.confirmed", omit_defaults=True):
    """All owners agreed: the started order is placed."""

    order_id: str
    sources: tuple[Source, ...] = ()


class OrderRefused(msgspec.Struct, frozen=True, kw_only=True, tag="order.refused"):
    """An owner refused: the started order will not be; what was taken is given back."""

    order_id: str
    code: str
    params: dict[str, Any]
    at_ms: int


class OrderAbandoned(msgspec.Struct, frozen=True, kw_only=True, tag="order.abandoned"):
    """Stock asked about an order that is not known here: this reservation can never become one."""

    order_id: str
    reservation_id: bytes
    at_ms: int


class OrderClosing(msgspec.Struct, frozen=True, kw_only=True, tag="order.closing"):
    """To be cancelled (``reason``: buyer, expired), but a payment is open: the provider's transaction is closed first."""

    order_id: str
    reason: str
    at_ms: int
    command_id: bytes = b""


class OrderCancelled(msgspec.Struct, frozen=True, kw_only=True, tag="order.cancelled"):
    order_id: str
    reason: str
    at_ms: int


class OrderPaid(msgspec.Struct, frozen=True, kw_only=True, tag="order.paid"):
    order_id: str
    payment_id: str
    at_ms: int


class OrderRanked(msgspec.Struct, frozen=True, kw_only=True, tag="order.ranked"):
    """How early a paid order is packed: the priority of the level on which its payment found its buyer. Not written for 0."""

    order_id: str
    priority: int


class OrderUnfulfillable(msgspec.Struct, frozen=True, kw_only=True, tag="order.unfulfillable"):
    """Paid, but the stock had been released meanwhile: the money goes back."""

    order_id: str
    code: str
    at_ms: int


class PaymentStarted(msgspec.Struct, frozen=True, kw_only=True, tag="payment.started"):
    order_id: str
    payment_id: str
    amount: int
    currency: str
    command_id: bytes
    at_ms: int


class PaymentAwaited(msgspec.Struct, frozen=True, kw_only=True, tag="payment.awaited"):
    """Another command waits for the answer to a payment that is being opened."""

    order_id: str
    payment_id: str
    command_id: bytes


class PaymentOpened(msgspec.Struct, frozen=True, kw_only=True, tag="payment.opened"):
    order_id: str
    payment_id: str
    provider_id: str
    client_secret: str
    poll_ms: int


class PaymentPolled(msgspec.Struct, frozen=True, kw_only=True, tag="payment.polled"):
    """The provider is asked again; ``polls`` counts, ``poll_ms`` is when to ask next."""

    order_id: str
    payment_id: str
    polls: int
    poll_ms: int


class PaymentSettled(msgspec.Struct, frozen=True, kw_only=True, tag="payment.settled"):
    """The provider has the money."""

    order_id: str
    payment_id: str
    provider_id: str
    amount: int
    currency: str
    at_ms: int


class PaymentEnded(msgspec.Struct, frozen=True, kw_only=True, tag="payment.ended"):
    """Closed or failed at the provider: no money will come of it."""

    order_id: str
    payment_id: str
    status: str
    at_ms: int


class PaymentQuestioned(msgspec.Struct, frozen=True, kw_only=True, tag="payment.questioned"):
    """Paid, but another amount or currency than asked: kept for a person to decide."""

    order_id: str
    payment_id: str
    amount: int
    currency: str
    at_ms: int


class RefundStarted(msgspec.Struct, frozen=True, kw_only=True, tag="refund.started"):
    """``reason``: late, double, unfulfillable."""

    order_id: str
    payment_id: str
    refund_id: str
    amount: int
    currency: str
    reason: str
    at_ms: int


class RefundDone(msgspec.Struct, frozen=True, kw_only=True, tag="refund.done"):
    order_id: str
    payment_id: str
    refund_id: str
    at_ms: int


class RefundFailed(msgspec.Struct, frozen=True, kw_only=True, tag="refund.failed"):
    """The provider says no: a person must look."""

    order_id: str
    payment_id: str
    refund_id: str
    at_ms: int


class OrdersForgotten(msgspec.Struct, frozen=True, kw_only=True, tag="order.forgotten"):
    """Finished long ago: they live in the tables alone."""

    order_ids: tuple[str, ...]
    before_ms: int


# --- replies ----------------------------------------------------------------------------------


class OrderView(msgspec.Struct, gc=False, frozen=True, kw_only=True, tag="order.view", omit_defaults=True):
    """One order as its buyer sees it."""

    order_id: str
    status: str
    total: Money
    expires_at_ms: int
    placed_at_ms: int = 0
    sale_id: str = ""
    lines: tuple[PricedLine, ...] = ()
    coupons: tuple[str, ...] = ()
    payments: dict[str, str] = {}
    reason: str = ""
    points: int = 0
    points_discount: int = 0
    shipping: int = 0
    shipping_saved: int = 0
    sources: tuple[Source, ...] = ()
    reservation_ids: tuple[bytes, ...] = ()
    """By line, under which the stock holds or has sold its units; not of orders that were read from tables."""


class PaymentView(msgspec.Struct, frozen=True, kw_only=True, tag="order.payment_view"):
    """How to pay: the provider's handle for the client."""

    order_id: str
    payment_id: str
    status: str
    provider_id: str
    client_secret: str
    amount: Money


class HoldAlive(msgspec.Struct, frozen=True, kw_only=True, tag="order.hold_alive"):
    alive: bool


class NoticeTaken(msgspec.Struct, frozen=True, kw_only=True, tag="order.notice_taken"):
    """The provider's word was recorded, now or before."""
