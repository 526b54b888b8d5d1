"""Flash sales over HTTP."""

import msgspec

from schemas.http.catalogue import Titles
from schemas.http.shapes import Position, Quantity, SignedText, SkuRef, Timestamp
from schemas.money import Money


class FlashOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Buy in a flash sale. ``expected_total``: the total that the buyer saw; another one is refused, never charged."""

    sku_id: SkuRef
    quantity: Quantity
    ticket: SignedText | None = None
    expected_total: Money | None = None


class OrderPlaced(msgspec.Struct, frozen=True, kw_only=True):
    """The order stands, and is held until ``expires_at``."""

    order_id: str
    status: str
    total: Money
    expires_at: Timestamp
    position: Position


class SaleSku(msgspec.Struct, frozen=True, kw_only=True):
    """One article of a sale. ``stock``: available, low or sold_out, at most a moment old."""

    sku_id: str
    price: Money
    stock: str


class SalePage(msgspec.Struct, frozen=True, kw_only=True):
    """A flash sale. ``state``: closed, open, entering, drawn, sold_out or ended. ``limit_per_user`` 0: no limit."""

    sale_id: str
    titles: Titles
    state: str
    mode: str
    opens_at: Timestamp
    ends_at: Timestamp
    limit_per_user: int
    ticket_required: bool
    skus: tuple[SaleSku, ...]


class TicketGranted(msgspec.Struct, frozen=True, kw_only=True):
    """Admission to one sale for one order of one user."""

    ticket: str
    expires_at: Timestamp


class DrawEntry(msgspec.Struct, frozen=True, kw_only=True):
    """The user takes part in the draw."""

    sale_id: str
    draws_at: Timestamp
