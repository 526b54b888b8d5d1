"""The watch over goods by HTTP: proposals, the overview, thresholds, and orders at suppliers."""

from typing import Annotated

import msgspec

from schemas.http.catalogue import Titles
from schemas.http.shapes import Timestamp
from schemas.http.staff import Reason
from schemas.watch import Action, ProductFacts, ProposalState, Rule, Thresholds

Units = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule proposes. ``evidence``: the facts and thresholds that led to it; ``why`` in it is a word for the case.

    ``result``: what its action made (a revision, a purchase, a coupon).
    """

    proposal_id: str
    product_id: str
    titles: Titles
    rule: Rule
    state: ProposalState
    action: Action
    evidence: dict[str, int | float | str | bool | list[str]]
    opened_at: Timestamp
    changed_at: Timestamp
    decided_at: Timestamp | None
    decided_by: str
    reason: str
    result: str


class ProposalPage(msgspec.Struct, frozen=True, kw_only=True):
    """The newest first; ``next_cursor`` is null on the last page."""

    proposals: tuple[Proposal, ...]
    next_cursor: str | None


class Decide(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why it is accepted or dismissed, for the trail and the revision."""

    reason: Reason


class MovingProduct(msgspec.Struct, frozen=True, kw_only=True):
    """A product in a list. ``series``: units a day of the last 28 days (UTC), today last."""

    product_id: str
    titles: Titles
    units_7: int
    units_28: int
    trend: float
    available: int
    days_of_cover: float
    series: tuple[int, ...]


class WatchOverview(msgspec.Struct, frozen=True, kw_only=True):
    """How goods are doing. ``counts``: proposals by rule and state. ``waiting``: products whose facts are not made anew yet."""

    counts: dict[str, dict[str, int]]
    top: tuple[MovingProduct, ...]
    rising: tuple[MovingProduct, ...]
    falling: tuple[MovingProduct, ...]
    low_stock: tuple[MovingProduct, ...]
    looked_at: Timestamp
    waiting: int
    whole: bool


class FactsSeen(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of a product, when they were made, and its units a day of the last 28 days."""

    facts: ProductFacts
    made_at: Timestamp
    series: tuple[int, ...]


class SetThresholds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The thresholds that this scope has of its own, by name; all others are those of the scope above. None: all of them are."""

    terms: Annotated[dict[str, int], msgspec.Meta(max_length=50, examples=[{"lead_days": 21, "pack_size": 12}])]
    reason: Reason


class ThresholdsSeen(msgspec.Struct, frozen=True, kw_only=True):
    """``own``: what this scope says itself. ``effective``: what differs from the defaults there; ``defaults``: these."""

    scope: str
    own: dict[str, int]
    effective: Thresholds
    defaults: dict[str, int]


class PurchaseItem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """So many units of one article."""

    sku_id: Annotated[str, msgspec.Meta(pattern=r"^sku_[A-Za-z0-9_.-]{1,58}$")]
    quantity: Units


class PutPurchase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The contents of a draft. ``warehouse_id``: where it is to arrive; empty is the shop's one warehouse."""

    supplier: Annotated[str, msgspec.Meta(max_length=200)] = ""
    warehouse_id: Annotated[str, msgspec.Meta(pattern=r"^(whs_[A-Za-z0-9_.-]{1,58})?$")] = ""
    lines: Annotated[tuple[PurchaseItem, ...], msgspec.Meta(min_length=1, max_length=500)]
    reason: Reason


class ArrivedItem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """So many units arrived of one article; 0: none."""

    sku_id: Annotated[str, msgspec.Meta(pattern=r"^sku_[A-Za-z0-9_.-]{1,58}$")]
    quantity: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]


class ReceivePurchase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What arrived; of articles that are not named, what was ordered. Once receiving has begun the counts stand."""

    arrived: Annotated[tuple[ArrivedItem, ...], msgspec.Meta(max_length=500)] = ()
    reason: Reason


class PurchaseLine(msgspec.Struct, frozen=True, kw_only=True):
    """One article of an order; ``received`` is null until it is received."""

    sku_id: str
    code: str
    product_id: str
    quantity: int
    received: int | None


class PurchaseOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order at a supplier. ``state``: draft, ordered, receiving, received or cancelled."""

    purchase_id: str
    state: str
    supplier: str
    warehouse_id: str
    proposal_id: str | None
    made_by: str
    made_at: Timestamp
    changed_at: Timestamp
    lines: tuple[PurchaseLine, ...]


class PurchasePage(msgspec.Struct, frozen=True, kw_only=True):
    """By id; ``next_cursor`` is null on the last page."""

    purchases: tuple[PurchaseOrder, ...]
    next_cursor: str | None
