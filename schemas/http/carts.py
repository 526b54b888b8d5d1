"""Carts over HTTP. Prices are of the moment of reading; what is charged is decided at checkout."""

import msgspec

from schemas.http.prices import NextTier
from schemas.http.shapes import GuestToken, QuantityOrNone, Timestamp
from schemas.money import Money


class PutQuantity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Let the line be this many pieces."""

    quantity: QuantityOrNone


class MergeCart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Take the guest's cart over."""

    guest_token: GuestToken


class CartLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line. Without prices when the article is not sold any more.

    price_kind: list, tier, promotion, member or level; ``GET /v1/prices`` says why. list_price: of a unit, to be struck through where it
    is more than the ``unit_price``. until: when that price ends, null where it does not.
    """

    sku_id: str
    quantity: int
    unit_price: Money | None
    total: Money | None
    price_kind: str | None = None
    list_price: Money | None = None
    until: Timestamp | None = None
    next_tier: NextTier | None = None


class Cart(msgspec.Struct, frozen=True, kw_only=True):
    """A cart. ``total``: what a checkout of this moment would charge; null when lines have no price or several currencies.

    ``shipping``: what delivery costs, within the total; ``shipping_saved``: what a free parcel of the membership takes off it; null where
    it is nothing. ``clipped``: articles that a merge cut to the limits. ``guest_token`` is told once, when the cart of a new guest is
    made: send it as ``Guest-Token``.
    """

    version: int
    lines: tuple[CartLine, ...]
    total: Money | None
    shipping: Money | None = None
    shipping_saved: Money | None = None
    clipped: tuple[str, ...] = ()
    guest_token: str | None = None
