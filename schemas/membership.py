"""What a shop says of membership: levels and rates, member prices, what the points mall offers. Read as facts, with their versions."""

from typing import Annotated

import msgspec

LEVELS_MAX = 20
"""More steps than anybody could explain to a customer."""

Count = Annotated[int, msgspec.Meta(ge=0, le=10**9)]
Percent = Annotated[int, msgspec.Meta(ge=0, le=100)]


class LevelTerms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One level, and what it gives.

    growth_min: growth of a rolling year from which on it is reached. discount_percent: off the price of every article that
    has no member price of its own. points_percent: of the points that a payment earns (100: as many). free_shipping: a month.
    priority: whose parcels are packed first, the highest. support_queue: where questions wait. birthday_coupon_id: the gift, "" for none.
    """

    level_id: str
    title: str
    title_zh: str
    growth_min: Count
    discount_percent: Percent = 0
    points_percent: Count = 100
    free_shipping: Count = 0
    priority: Count = 0
    support_queue: str = "standard"
    birthday_coupon_id: str = ""


class Rate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of one currency: growth and points for 100 minor units paid, and what 100 points take off, in minor units."""

    growth_per_100: Count
    points_per_100: Count
    minor_per_100_points: Count


class RuleTerms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rules beside the levels, as they stand in ``member_rule``.

    rates: by currency; money of one that is not named earns nothing and takes no points. points_share_percent: of an order's total that
    points may pay. valid_months: points expire at the end of the month so many months on. returned_months: the same, of spent points that
    come back. sign_in_points: for the first, second, ... day in a row, then from the start again. birthday_valid_days: of the gift.
    utc_offset_min: where the shop's days begin, in minutes east of UTC.
    """

    rates: dict[str, Rate]
    points_share_percent: Percent = 50
    valid_months: Annotated[int, msgspec.Meta(ge=1, le=120)] = 12
    returned_months: Annotated[int, msgspec.Meta(ge=1, le=120)] = 3
    sign_in_points: Annotated[tuple[Count, ...], msgspec.Meta(min_length=1, max_length=31)] = (1, 2, 3, 4, 5, 6, 10)
    sign_in_growth: Count = 1
    review_growth: Count = 5
    review_points: Count = 10
    birthday_valid_days: Annotated[int, msgspec.Meta(ge=1, le=366)] = 30
    utc_offset_min: Annotated[int, msgspec.Meta(ge=-840, le=840)] = 0


class MemberRules(msgspec.Struct, frozen=True, kw_only=True, tag="member_rules"):
    """All rules at one moment: the fact ``member:rules``. ``levels``: the lowest first, at least one."""

    terms: RuleTerms
    levels: tuple[LevelTerms, ...]
    version: int = 0


class MemberPrices(msgspec.Struct, frozen=True, kw_only=True, tag="member_prices"):
    """What members pay for one SKU, by level: the fact ``member_price:<sku>``."""

    sku_id: str
    prices: dict[str, int]
    version: int = 0


class MallItem(msgspec.Struct, frozen=True, kw_only=True, tag="mall_item"):
    """One thing that points buy: the fact ``mall:<item>``. Its stock is the quota of the same name.

    kind: ``coupon`` (``coupon_id`` becomes the member's own) or ``goods`` (for the fulfilment to send).
    """

    item_id: str
    kind: str
    points: int
    coupon_id: str = ""
    valid_days: int = 30
    active: bool = True
    version: int = 0
