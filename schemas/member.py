"""One member: growth, level, points and benefits. Commands, events, replies.

``parts`` are points by the moment at which they expire (UTC, ms). A ``day`` is a whole day of the shop since 1970-01-01.
"""

import msgspec

from schemas.order import ConfirmHold as ConfirmHold

Parts = tuple[tuple[int, int], ...]

# --- commands ---------------------------------------------------------------------------------


class Earn(msgspec.Struct, frozen=True, kw_only=True, tag="member.earn"):
    """An order was paid: ``amount`` in minor units. Once an order."""

    order_id: str
    amount: int
    currency: str


class TakeBack(msgspec.Struct, frozen=True, kw_only=True, tag="member.take_back"):
    """Money of an order goes back: growth and points in proportion. Once a refund; before its :class:`Earn` it leaves a tombstone."""

    refund_id: str
    order_id: str
    amount: int


class SignIn(msgspec.Struct, frozen=True, kw_only=True, tag="member.sign_in"):
    """The daily visit. ``day`` must be today; once a day."""

    day: int


class ReviewGrowth(msgspec.Struct, frozen=True, kw_only=True, tag="member.review_growth"):
    """A review of something bought was published. Once a review."""

    review_id: str


class HoldPoints(msgspec.Struct, frozen=True, kw_only=True, tag="member.hold_points", omit_defaults=True):
    """Keep points and personal coupons (``gifts``) for an order until its deadline; and agree to the level that it was priced by.

    ``level_id`` None: priced for everybody; "": the lowest. Nothing to keep is only the question whether the level is right.
    shipping_use: take a free parcel under this id (b"": none), of the ``shipping_limit`` of ``shipping_month`` (months since year 0);
    it is given back by :class:`ReturnFreeShipping`.
    """

    hold_id: bytes
    order_id: str
    deadline_ms: int
    points: int = 0
    gifts: tuple[str, ...] = ()
    level_id: str | None = None
    shipping_use: bytes = b""
    shipping_month: int = 0
    shipping_limit: int = 0


class CommitPoints(msgspec.Struct, frozen=True, kw_only=True, tag="member.commit_points"):
    """The order is paid: what was held is spent."""

    hold_id: bytes


class ReleasePoints(msgspec.Struct, frozen=True, kw_only=True, tag="member.release_points"):
    """The order will not be. Before its hold it leaves a tombstone."""

    hold_id: bytes


class ReinstatePoints(msgspec.Struct, frozen=True, kw_only=True, tag="member.reinstate_points", omit_defaults=True):
    """A paid order cannot be delivered: what it took comes back, spent or still held."""

    hold_id: bytes
    points: int
    gifts: tuple[str, ...] = ()


class SpendInMall(msgspec.Struct, frozen=True, kw_only=True, tag="member.spend_in_mall"):
    """Exchange points for an item of the mall. ``points``: the price that the member saw."""

    redemption_id: str
    item_id: str
    points: int


class SetBirthday(msgspec.Struct, frozen=True, kw_only=True, tag="member.set_birthday"):
    """Month and day; the year is nobody's business."""

    month: int
    day: int


class TakeFreeShipping(msgspec.Struct, frozen=True, kw_only=True, tag="member.take_free_shipping"):
    """One parcel of an order goes free, out of this month's quota. Once a ``use_id``."""

    use_id: bytes
    order_id: str


class ReturnFreeShipping(msgspec.Struct, frozen=True, kw_only=True, tag="member.return_free_shipping"):
    """The parcel will not go. Before its take it leaves a tombstone."""

    use_id: bytes


class Estate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one account gives to another: points by expiry, debt, growth by day, personal coupons, and the level with its day of review.

    growth_owed: growth to be taken back, by day. birthday: month, day, when it is next, the year of the last gift, from when on it may
    be another (UTC, ms); empty where there is none.
    """

    parts: Parts = ()
    debt: int = 0
    growth: tuple[tuple[int, int], ...] = ()
    growth_owed: tuple[tuple[int, int], ...] = ()
    gifts: tuple[tuple[str, int], ...] = ()
    level_id: str = ""
    review_ms: int = 0
    birthday: tuple[int, ...] = ()


class HandOver(msgspec.Struct, frozen=True, kw_only=True, tag="member.hand_over"):
    """This account was merged into another one, which gets everything that it has and will yet get."""

    to_user_id: str


class TakeOver(msgspec.Struct, frozen=True, kw_only=True, tag="member.take_over"):
    """The ``number``-th transfer of an account that was merged into this one. Once a number; numbers come in order."""

    from_user_id: str
    number: int
    estate: Estate


class ReadMember(msgspec.Struct, frozen=True, kw_only=True, tag="member.read"):
    """Ask how the member stands."""


# --- events -----------------------------------------------------------------------------------


class MemberEarned(msgspec.Struct, frozen=True, kw_only=True, tag="member.earned", omit_defaults=True):
    """Growth and points for something. ``source``: order, sign_in or review; ``ref``: which. ``debt_paid``: of the points, what an
    earlier debt took; the rest expires at ``expires_ms``. ``amount``: of an order, what was paid and not given back before this, and
    ``priority``: of the level before it."""

    source: str
    ref: str
    growth: int
    points: int
    expires_ms: int
    day: int
    at_ms: int
    rules_version: int
    amount: int = 0
    debt_paid: int = 0
    priority: int = 0


class MemberTakenBack(msgspec.Struct, frozen=True, kw_only=True, tag="member.taken_back", omit_defaults=True):
    """``points`` were taken back: ``parts`` of them were there, the rest is a debt. ``amount``: of money, that the refund gave back."""

    refund_id: str
    order_id: str
    amount: int
    at_ms: int
    growth: int = 0
    points: int = 0
    parts: Parts = ()


class MemberSignedIn(msgspec.Struct, frozen=True, kw_only=True, tag="member.signed_in"):
    """``streak``: days in a row, this one too."""

    day: int
    streak: int
    points: int
    at_ms: int


class MemberLevelSet(msgspec.Struct, frozen=True, kw_only=True, tag="member.level_set"):
    """``reason``: growth, refund, merge, or the yearly review (kept, lowered). ``review_ms``: when it is looked at next, 0 for never.

    ``priority`` and ``support_queue`` are what fulfilment and after-sales go by.
    """

    level_id: str
    reason: str
    review_ms: int
    priority: int
    support_queue: str
    rules_version: int
    at_ms: int


class PointsHeld(msgspec.Struct, frozen=True, kw_only=True, tag="points.held", omit_defaults=True):
    """``order_id``: the order, or the redemption in the mall. ``gifts``: coupon ids with the moment at which they expire."""

    hold_id: bytes
    order_id: str
    points: int
    deadline_ms: int
    at_ms: int
    parts: Parts = ()
    gifts: tuple[tuple[str, int], ...] = ()


class PointsCommitted(msgspec.Struct, frozen=True, kw_only=True, tag="points.committed"):
    hold_id: bytes
    points: int
    at_ms: int


class PointsReleased(msgspec.Struct, frozen=True, kw_only=True, tag="points.released", omit_defaults=True):
    """Back to where they were (``parts``), but for what a debt took. ``reason``: order, abandoned or mall. Of nothing: a tombstone."""

    hold_id: bytes
    points: int
    reason: str
    at_ms: int
    debt_paid: int = 0
    parts: Parts = ()


class PointsReinstated(msgspec.Struct, frozen=True, kw_only=True, tag="points.reinstated", omit_defaults=True):
    """Spent points are there again, until ``expires_ms``; and personal coupons."""

    hold_id: bytes
    points: int
    expires_ms: int
    at_ms: int
    debt_paid: int = 0
    gifts: tuple[tuple[str, int], ...] = ()


class PointsExpired(msgspec.Struct, frozen=True, kw_only=True, tag="points.expired"):
    """``number`` counts the expiries of a member."""

    number: int
    points: int
    until_ms: int
    at_ms: int


class PointsAsked(msgspec.Struct, frozen=True, kw_only=True, tag="points.asked"):
    """The orders of these overdue holds were asked whether they live."""

    hold_ids: tuple[bytes, ...]


class PointsKept(msgspec.Struct, frozen=True, kw_only=True, tag="points.kept"):
    """The order lives, or cannot say: ask again then."""

    hold_id: bytes
    again_ms: int


class MallStarted(msgspec.Struct, frozen=True, kw_only=True, tag="mall.started"):
    """The points are held, and the item's quota elsewhere is asked."""

    hold_id: bytes
    redemption_id: str
    item_id: str
    kind: str
    coupon_id: str
    until_ms: int
    command_id: bytes


class MallRedeemed(msgspec.Struct, frozen=True, kw_only=True, tag="mall.redeemed"):
    """The item is the member's. ``kind`` goods: for the fulfilment to send; coupon: it is among the gifts until ``until_ms``."""

    hold_id: bytes
    redemption_id: str
    item_id: str
    kind: str
    coupon_id: str
    until_ms: int
    points: int
    at_ms: int


class BirthdaySet(msgspec.Struct, frozen=True, kw_only=True, tag="member.birthday_set"):
    month: int
    day: int
    next_ms: int
    at_ms: int


class BirthdayKept(msgspec.Struct, frozen=True, kw_only=True, tag="member.birthday_kept"):
    """The birthday of ``year`` has come. ``coupon_id``: the gift, "" for none; ``next_ms``: the next one."""

    year: int
    coupon_id: str
    until_ms: int
    next_ms: int
    at_ms: int


class ShippingTaken(msgspec.Struct, frozen=True, kw_only=True, tag="member.shipping_taken"):
    """``month``: months since year 0."""

    use_id: bytes
    order_id: str
    month: int
    at_ms: int


class ShippingReturned(msgspec.Struct, frozen=True, kw_only=True, tag="member.shipping_returned"):
    use_id: bytes
    at_ms: int


class MemberHandedOver(msgspec.Struct, frozen=True, kw_only=True, tag="member.handed_over"):
    """Transfer out: the ``number``-th to the account that stays."""

    to_user_id: str
    number: int
    estate: Estate
    at_ms: int


class MemberTookOver(msgspec.Struct, frozen=True, kw_only=True, tag="member.took_over", omit_defaults=True):
    """Transfer in. ``debt_paid``: of the points, what a debt of this account took; ``taken``: points of this account that paid a debt that
    came along."""

    from_user_id: str
    number: int
    estate: Estate
    at_ms: int
    debt_paid: int = 0
    taken: Parts = ()


class MemberMoved(msgspec.Struct, frozen=True, kw_only=True, tag="member.moved"):
    """The account that stays has the ``number``-th transfer."""

    number: int
    at_ms: int


# --- replies ----------------------------------------------------------------------------------


class MemberDone(msgspec.Struct, frozen=True, kw_only=True, tag="member.done"):
    """The command took effect, now or when it first came. ``priority``: of the level on which a payment found the member."""

    ref: str
    priority: int = 0


class PointsDone(msgspec.Struct, frozen=True, kw_only=True, tag="points.done"):
    """The command on this hold took effect, now or when it first came."""

    hold_id: bytes


class SignedIn(msgspec.Struct, frozen=True, kw_only=True, tag="member.signed_in_view"):
    """Of that day: how many in a row, and what it gave."""

    day: int
    streak: int
    points: int


class Redeemed(msgspec.Struct, frozen=True, kw_only=True, tag="mall.view"):
    redemption_id: str
    item_id: str
    kind: str
    coupon_id: str
    points: int


class BirthdayView(msgspec.Struct, frozen=True, kw_only=True, tag="member.birthday"):
    """``change_ms``: from when on it may be another."""

    month: int
    day: int
    change_ms: int


class MemberView(msgspec.Struct, frozen=True, kw_only=True, tag="member.view"):
    """How a member stands. ``level_id`` "": the lowest. ``growth``: of the rolling year. ``debt``: points that the next earnings pay first.

    expiring: the next points to expire, and when (0: none). gifts: personal coupons by id, with the moment at which they expire.
    """

    level_id: str
    level_since_ms: int
    review_ms: int
    growth: int
    available: int
    held: int
    debt: int
    expiring_points: int
    expiring_ms: int
    streak: int
    signed_in_day: int
    shipping_used: int
    birthday_month: int
    birthday_day: int
    birthday_change_ms: int
    gifts: dict[str, int]
