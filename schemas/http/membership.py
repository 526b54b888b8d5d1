"""Membership over HTTP: how one stands, visits, points, the mall."""

from typing import Annotated

import msgspec

from schemas.http.catalogue import Titles
from schemas.http.shapes import Timestamp

Points = Annotated[int, msgspec.Meta(ge=0, le=10**9, description="points")]


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """A level and what it gives. ``discount_percent``: off every article; ``points_percent``: of the points that paying earns."""

    level_id: str
    titles: Titles
    growth_min: int
    discount_percent: int
    points_percent: int
    free_shipping_a_month: int
    support_queue: str


class NextLevel(msgspec.Struct, frozen=True, kw_only=True):
    """What is missing to the level above."""

    level_id: str
    titles: Titles
    growth_missing: int


class PointsBalance(msgspec.Struct, frozen=True, kw_only=True):
    """``held``: for orders that are not settled. ``debt``: the next earnings pay it. ``expiring``: the next to go, at ``expires_at``."""

    available: int
    held: int
    debt: int
    expiring: int
    expires_at: Timestamp | None


class Birthday(msgspec.Struct, frozen=True, kw_only=True):
    """Month and day. ``change_from``: when it may be another."""

    month: int
    day: int
    change_from: Timestamp


class Gift(msgspec.Struct, frozen=True, kw_only=True):
    """A coupon that is this member's alone; use it once at a checkout."""

    coupon_id: str
    until: Timestamp


class Membership(msgspec.Struct, frozen=True, kw_only=True):
    """How a member stands. ``growth``: of the last 365 days. ``review_at``: when the level is looked at next, null for the lowest."""

    level: Level
    next_level: NextLevel | None
    growth: int
    review_at: Timestamp | None
    points: PointsBalance
    streak: int
    signed_in_today: bool
    free_shipping_left: int
    birthday: Birthday | None
    gifts: tuple[Gift, ...]


class SignInDone(msgspec.Struct, frozen=True, kw_only=True):
    """``date``: the shop's. ``streak``: days in a row, this one too."""

    date: Annotated[str, msgspec.Meta(examples=["2026-11-11"])]
    streak: int
    points: int


class PointsMove(msgspec.Struct, frozen=True, kw_only=True):
    """One change of what may be spent. ``what``: earned, taken_back, held, released, reinstated, expired, and moved_in and moved_out
    where accounts were merged; ``ref``: of what, if known."""

    what: str
    ref: str
    points: int
    at: Timestamp


class PointsPage(msgspec.Struct, frozen=True, kw_only=True):
    """The newest first; ``next_cursor`` is null on the last page. A change of a moment ago may not be in it yet."""

    moves: tuple[PointsMove, ...]
    next_cursor: str | None


class MallOffer(msgspec.Struct, frozen=True, kw_only=True):
    """What points buy. ``kind``: coupon or goods. ``left`` is at most a moment old."""

    item_id: str
    titles: Titles
    kind: str
    points: int
    left: int


class Mall(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is in the mall now."""

    items: tuple[MallOffer, ...]


class Redeem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``points``: the price that was seen; another one is refused."""

    points: Annotated[int, msgspec.Meta(ge=1, le=10**9)]


class Redemption(msgspec.Struct, frozen=True, kw_only=True):
    """The item is yours. ``coupon_id``: the coupon that it gave."""

    redemption_id: str
    item_id: str
    kind: str
    points: int
    coupon_id: str | None


class SetBirthday(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Month and day; the year is not asked."""

    month: Annotated[int, msgspec.Meta(ge=1, le=12)]
    day: Annotated[int, msgspec.Meta(ge=1, le=31)]
