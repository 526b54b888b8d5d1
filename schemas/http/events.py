"""What people do in the shop, as their terminals tell it: batches of small events, one form a kind.

Who it was is never in here: the user is the bearer of the token, the visitor a random name that the terminal made up.
"""

from typing import Annotated, Final, Literal

import msgspec

from schemas.http.shapes import Quantity, SkuRef
from schemas.money import Money

EVENTS_MAX: Final = 1000
"""Events of one batch: more than a minute of the busiest page, and still parsed in a few milliseconds."""

DAY_MS: Final = 86_400_000

AGE_MS_MAX: Final = 7 * DAY_MS
"""Older events are dropped: the days that they belong to have been counted."""

_NAME: Final = "_[A-Za-z0-9_.-]{1,58}$"

RandomName = Annotated[
    str, msgspec.Meta(pattern="^[A-Za-z0-9_-]{16,64}$", description="random, made by the terminal; says nothing about a person")
]
EventName = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_-]{8,64}$", description="the same when the event is sent again")]
ClientTime = Annotated[int, msgspec.Meta(ge=0, le=2**53, description="milliseconds since 1970 on the terminal's clock")]
Label = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Page = Annotated[str, msgspec.Meta(pattern="^/[!->@-~]{0,199}$", description="the path of a page, without its query")]
HostName = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9.-]{1,253}$", description="a host alone: addresses of pages tell of people")]
ProductRef = Annotated[str, msgspec.Meta(pattern="^prd" + _NAME, examples=["prd_1"])]
SaleRef = Annotated[str, msgspec.Meta(pattern="^sal" + _NAME, examples=["sal_1"])]
OrderRef = Annotated[str, msgspec.Meta(pattern="^ord" + _NAME, examples=["ord_1"])]


class Campaign(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where somebody came from, as the link said it (``utm_source`` and so on, without ``utm_``)."""

    source: Label
    medium: Label | None = None
    campaign: Label | None = None
    term: Label | None = None
    content: Label | None = None


class _Event(msgspec.Struct, gc=False, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="type"):
    id: EventName
    at_ms: ClientTime


class View(_Event, frozen=True, kw_only=True, tag="view"):
    """Something was shown: a product, a sale, or another page."""

    page: Page | None = None
    product_id: ProductRef | None = None
    sale_id: SaleRef | None = None


class Search(_Event, frozen=True, kw_only=True, tag="search"):
    """Somebody searched. results: how many were found."""

    query: Annotated[str, msgspec.Meta(min_length=1, max_length=200, description="addresses and long numbers in it are not kept")]
    results: Annotated[int, msgspec.Meta(ge=0, le=10_000_000)] | None = None
    category: Label | None = None


class Add(_Event, frozen=True, kw_only=True, tag="add"):
    """An article was put into the cart."""

    sku_id: SkuRef
    quantity: Quantity
    product_id: ProductRef | None = None


class Dwell(_Event, frozen=True, kw_only=True, tag="dwell"):
    """A page was in front for so long."""

    dwell_ms: Annotated[int, msgspec.Meta(ge=0, le=DAY_MS)]
    page: Page | None = None
    product_id: ProductRef | None = None


class Purchase(_Event, frozen=True, kw_only=True, tag="purchase"):
    """The terminal saw an order go through. The orders themselves say what was sold; this says on which way it came."""

    order_id: OrderRef
    total: Money | None = None


class Arrival(_Event, frozen=True, kw_only=True, tag="campaign"):
    """Somebody came by a campaign's link, or from another site."""

    campaign: Campaign
    page: Page | None = None
    referrer: HostName | None = None


Event = View | Search | Add | Dwell | Purchase | Arrival


class _Batch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    visitor_id: RandomName
    terminal: Literal["web", "app", "mini_program"]
    consent: Annotated[Literal["granted", "denied"], msgspec.Meta(description="to analytics; nothing is kept of a batch without it")]
    sent_at_ms: ClientTime
    session_id: RandomName | None = None
    campaign: Campaign | None = None


class EventBatch(_Batch, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one terminal saw. ``campaign``: what brought this visitor here, of all of its events."""

    events: Annotated[list[Event], msgspec.Meta(min_length=1, max_length=EVENTS_MAX)]


class EventEnvelope(_Batch, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same with its events unread, so that they can be read a few at a time."""

    events: Annotated[list[msgspec.Raw], msgspec.Meta(min_length=1, max_length=EVENTS_MAX)]


class EventsTaken(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a batch. too_old: dropped for their age. durable: they are on the disk; else they are within a second."""

    accepted: int
    too_old: int
    consent: Literal["granted", "denied"]
    durable: bool
