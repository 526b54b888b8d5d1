"""Checkout and orders over HTTP."""

from typing import Annotated

import msgspec

from schemas.http.shapes import AddressRef, CouponRef, Position, Timestamp, Version
from schemas.money import Currency, Money

Text = Annotated[str, msgspec.Meta(max_length=200)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class ShipTo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where it goes. ``country``: ISO 3166-1 alpha-2; it decides which other fields are needed."""

    country: Annotated[str, msgspec.Meta(pattern="^[A-Z]{2}$", examples=["CN"])]
    name: Name
    phone: Annotated[str, msgspec.Meta(pattern="^\\+?[0-9][0-9 ()-]{3,23}$", examples=["+86 13800138000"])]
    line1: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    city: Name
    line2: Text = ""
    region: Text = ""
    district: Text = ""
    postal_code: Annotated[str, msgspec.Meta(max_length=12)] = ""


class Checkout(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Order what is in the cart, to ``ship_to`` or to an address of one's book (``address_id``).

    ``cart_version`` and ``expected_total``: what the buyer saw; a drift is refused. ``currency``: in which he pays, that of the articles
    without it; every article must have a list price in it.
    """

    ship_to: ShipTo | None = None
    address_id: AddressRef | None = None
    cart_version: Version | None = None
    expected_total: Money | None = None
    coupon_ids: Annotated[tuple[CouponRef, ...], msgspec.Meta(max_length=10)] = ()
    points: Annotated[int, msgspec.Meta(ge=0, le=10**9, description="to spend; no more are taken than the rules let pay")] = 0
    currency: Currency | None = None


class OrderLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line as sold; ``total`` is after ``discount``.

    price_kind: tier, promotion, member or level; null for the list price, and in a flash sale. list_price: what a unit would have cost
    without it; null where that is the ``unit_price``.
    """

    sku_id: str
    quantity: int
    unit_price: Money
    discount: Money
    total: Money
    price_kind: str | None = None
    list_price: Money | None = None


class ParcelLine(msgspec.Struct, frozen=True, kw_only=True):
    """So many of an article."""

    sku_id: str
    quantity: int


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """What one warehouse sends. The city is null where it is not known, or the warehouse is none any more."""

    city: str | None
    city_zh: str | None
    lines: tuple[ParcelLine, ...]


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One order. ``payments``: status by payment id. ``position`` only where this request changed something.

    ``points``: what it took of the buyer's points; their part of each line is in its ``discount``. ``shipping``: what delivery costs, in
    the ``total`` and in no line; ``shipping_saved``: what it would have cost without the membership's free parcel. ``parcels``: from where
    it is sent; empty where the shop has one place to send from.
    """

    order_id: str
    status: str
    total: Money
    placed_at: Timestamp
    expires_at: Timestamp
    lines: tuple[OrderLine, ...]
    sale_id: str | None = None
    coupons: tuple[str, ...] = ()
    payments: dict[str, str] = {}
    reason: str | None = None
    points: int = 0
    points_discount: Money | None = None
    shipping: Money | None = None
    shipping_saved: Money | None = None
    parcels: tuple[Parcel, ...] = ()
    position: Position | None = None


class OrderInList(msgspec.Struct, frozen=True, kw_only=True):
    """One order in a list. ``points``: what it took of them, ``points_discount``: what they paid; ``shipping``: within the total."""

    order_id: str
    status: str
    total: Money
    placed_at: Timestamp
    expires_at: Timestamp
    sale_id: str | None
    points: int = 0
    points_discount: Money | None = None
    shipping: Money | None = None


class OrderPage(msgspec.Struct, frozen=True, kw_only=True):
    """The newest first; ``next_cursor`` is null on the last page. ``behind``: the asked position is not in the list yet."""

    orders: tuple[OrderInList, ...]
    next_cursor: str | None
    behind: bool = False


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """How to pay: give ``client_secret`` to the provider's form."""

    payment_id: str
    order_id: str
    status: str
    amount: Money
    client_secret: str
    position: Position
