"""Watching goods: the facts of a product, what the rules of the life cycle make of them, and the thresholds that they use."""

from typing import Annotated, Final, Literal

import msgspec

from schemas.goods import AttributeValue

Rule = Literal["launch", "promotion", "sales", "low_stock", "replenish", "slow", "retire"]
RULES: Final[tuple[Rule, ...]] = ("launch", "promotion", "sales", "low_stock", "replenish", "slow", "retire")
ProposalState = Literal["open", "accepted", "dismissed", "expired", "done"]
PurchaseState = Literal["draft", "ordered", "receiving", "received", "cancelled"]

NEVER_DAYS: Final = 9999
"""What a number of days says when there is none: never sold, stock for ever, never on the shelf."""


class SkuFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One article of a product. units_*: sold in so many days, today included (UTC). price: list, minor units.

    incoming: ordered from suppliers and not yet received.
    """

    sku_id: str
    code: str = ""
    price: int = 0
    currency: str = "CNY"
    offered: bool = True
    available: int = 0
    on_hand: int = 0
    incoming: int = 0
    safety_stock: int = 0
    units_7: int = 0
    units_28: int = 0
    units_35: int = 0
    units_90: int = 0


class ProductFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one product as of a day.

    age_days: since it came on the shelf; off_days: since it left it (0: it is on it). units_*: sold within so many days, today
    included (UTC), less what was refunded; revenue_28: minor units. velocity_7, velocity_28: units a day of the last seven days, and of
    the 28 before these; trend: the first over the second. days_of_cover: how long what is available lasts at the forecast, NEVER_DAYS
    where nothing is sold. price: the lowest list price. discount_percent: of the promotion that runs now, 0 without one.
    category_ids: its category and those above it. missing: what its description lacks before it may be sold.
    bundle_with: the product that is bought with it most, else one of its category that sells well, else empty.
    """

    product_id: str
    day: int = 0
    title: str = ""
    title_zh: str = ""
    state: str = "on_shelf"
    on_shelf: bool = True
    age_days: int = 0
    off_days: int = 0
    units_1: int = 0
    units_7: int = 0
    units_28: int = 0
    units_90: int = 0
    units_35: int = 0
    revenue_28: int = 0
    velocity_7: float = 0.0
    velocity_28: float = 0.0
    trend: float = 0.0
    on_hand: int = 0
    available: int = 0
    incoming: int = 0
    days_of_cover: float = float(NEVER_DAYS)
    safety_stock: int = 0
    days_since_sold: int = NEVER_DAYS
    price: int = 0
    currency: str = "CNY"
    has_promotion: bool = False
    discount_percent: int = 0
    category_ids: tuple[str, ...] = ()
    brand_id: str = ""
    merchant_id: str = ""
    attributes: dict[str, AttributeValue] = {}
    in_flash_sale: bool = False
    in_bundle: bool = False
    bundle_with: str = ""
    missing: tuple[str, ...] = ()
    skus: tuple[SkuFacts, ...] = ()


Days = Annotated[int, msgspec.Meta(ge=0, le=3650)]
Percent = Annotated[int, msgspec.Meta(ge=0, le=100)]
Cut = Annotated[int, msgspec.Meta(ge=1, le=90, description="percent off the list price")]
Units = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]


class Thresholds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """By what the rules judge. Days, units and percent.

    lead_days: from ordering at a supplier to the shelf. review_days: between two orders. safety_days: of sales that are kept beside the
    SKU's own safety stock. pack_size: purchases are whole packs. falling_percent, rising_percent: of the sales of before.
    sales_units: fewer were expected than this, and chance alone may explain it. slow_units: at most so many in slow_days are slow.
    floor_percent: of the list price; no markdown goes below. rest_days: what was dismissed, or done by a price, comes up again after it.
    """

    lead_days: Annotated[int, msgspec.Meta(ge=0, le=365)] = 14
    review_days: Annotated[int, msgspec.Meta(ge=1, le=365)] = 7
    safety_days: Annotated[int, msgspec.Meta(ge=0, le=365)] = 3
    pack_size: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1
    promotion_cover_days: Days = 90
    promotion_percent: Cut = 10
    promotion_days: Annotated[int, msgspec.Meta(ge=1, le=365)] = 14
    falling_percent: Percent = 50
    rising_percent: Annotated[int, msgspec.Meta(ge=100, le=10_000)] = 200
    sales_units: Units = 10
    slow_days: Annotated[int, msgspec.Meta(ge=7, le=90)] = 60
    slow_units: Units = 0
    markdown_percent: Cut = 20
    markdown_step_percent: Annotated[int, msgspec.Meta(ge=0, le=50)] = 10
    floor_percent: Annotated[int, msgspec.Meta(ge=1, le=100)] = 50
    bundle_percent: Cut = 10
    bundle_days: Annotated[int, msgspec.Meta(ge=1, le=365)] = 30
    retire_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] = 180
    rest_days: Annotated[int, msgspec.Meta(ge=0, le=365)] = 30


class Quantity(msgspec.Struct, frozen=True, kw_only=True):
    """So many units of one article."""

    sku_id: str
    quantity: int


class Publish(msgspec.Struct, frozen=True, kw_only=True, tag="publish"):
    """Put the product on the shelf: now, or when its document says."""


class Complete(msgspec.Struct, frozen=True, kw_only=True, tag="complete"):
    """Something is missing before the shelf: nothing is done before somebody has added it."""

    missing: tuple[str, ...]


class CutPrice(msgspec.Struct, frozen=True, kw_only=True, tag="price"):
    """A promotion price for each article: so many percent off its list price for so many days, never below the floor."""

    percent: int
    days: int
    floor_percent: int = 1


class Purchase(msgspec.Struct, frozen=True, kw_only=True, tag="purchase"):
    """A draft of an order at a supplier."""

    lines: tuple[Quantity, ...]


class Bundle(msgspec.Struct, frozen=True, kw_only=True, tag="bundle"):
    """A coupon over this product and another one: so many percent off both, from an order that has the price of both."""

    with_id: str
    percent: int
    days: int


class Retire(msgspec.Struct, frozen=True, kw_only=True, tag="retire"):
    """The product is sold no more."""


Action = Publish | Complete | CutPrice | Purchase | Bundle | Retire


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule makes of the facts. why: a word for the case. mark: what of it matters; another mark is another case.

    evidence: the facts and thresholds that led to it, by name.
    """

    rule: Rule
    why: str
    mark: str
    action: Action
    evidence: dict[str, int | float | str | bool | list[str]]
