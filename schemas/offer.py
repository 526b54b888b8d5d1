"""What a checkout needs to know of the catalogue: the terms of a SKU, a sale, a coupon, with their versions."""

import msgspec

from schemas.goods import FOREVER_MS
from schemas.membership import MallItem, MemberPrices, MemberRules
from schemas.warehouse import Warehouses


class Offer(msgspec.Struct, gc=False, frozen=True, kw_only=True, tag="offer"):
    """One SKU as it may be bought now. ``parts``: how many sub-stocks it is split over."""

    sku_id: str
    product_id: str
    price: int
    currency: str
    on_sale: bool = True
    parts: int = 1
    version: int = 0


class PriceRow(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """One price of a SKU, in minor units, and its conditions: ``min_quantity`` units of a line or more, a buyer of ``level_id``
    ("": anybody), a moment within [starts_at_ms, ends_at_ms)."""

    kind: str
    amount: int
    min_quantity: int = 1
    level_id: str = ""
    starts_at_ms: int = 0
    ends_at_ms: int = FOREVER_MS
    label: str = ""
    label_zh: str = ""


class PriceList(msgspec.Struct, frozen=True, kw_only=True, tag="price_list"):
    """All prices of a SKU that stand in ``sku_price``, by currency, in the order of its document: the fact ``prices:<sku>``."""

    sku_id: str
    rows: dict[str, tuple[PriceRow, ...]]
    version: int = 0


class SaleTerms(msgspec.Struct, frozen=True, kw_only=True, tag="sale_terms"):
    """One flash sale: its window (UTC, ms), prices by SKU, and limits.

    ``state`` is the admission's: closed, open, entering, drawn, sold_out or ended.
    """

    sale_id: str
    state: str
    opens_at_ms: int
    ends_at_ms: int
    prices: dict[str, int]
    currency: str
    limit_per_user: int
    mode: str = "first_come"
    ticket_required: bool = False
    ticket_ttl_ms: int = 300_000
    rate_per_s: int = 0
    version: int = 0


class CouponTerms(msgspec.Struct, frozen=True, kw_only=True, tag="coupon_terms"):
    """One coupon: ``percent`` (value in percent) or ``amount`` (value in minor units) off the lines in scope."""

    coupon_id: str
    method: str
    value: int
    currency: str
    min_total: int = 0
    starts_at_ms: int = 0
    ends_at_ms: int = 2**53
    product_ids: frozenset[str] = frozenset()
    version: int = 0
    personal: bool = False
    """Only for members to whom it was given, once for each time."""


class ShippingFee(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """What a parcel costs, in minor units; nothing where the goods cost ``free_from`` or more (0: never)."""

    fee: int
    free_from: int = 0


class ShippingTerms(msgspec.Struct, frozen=True, kw_only=True, tag="shipping_terms"):
    """What delivery costs, by currency: the fact ``shop:shipping``. A currency that is not named: nothing."""

    fees: dict[str, ShippingFee]
    version: int = 0


Fact = Offer | PriceList | SaleTerms | CouponTerms | MemberRules | MemberPrices | MallItem | ShippingTerms | Warehouses
