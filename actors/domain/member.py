"""Members: growth, level, points, benefits. Pure rules; see README.md in this folder.

This file holds the changes of the state, and which rule answers which command; the rules stand in
``member_growth``, ``member_points``, ``member_benefits`` and ``member_merge``.
"""

import zlib
from typing import Any, ClassVar, Final, assert_never

from actors.domain import member_benefits, member_growth, member_merge, member_points
from actors.domain.dates import day_of
from actors.domain.entity import Accepted, Answered, Context, Outcome, Wake
from actors.domain.finished import remember
from actors.domain.member_state import (
    COMMITTED,
    KEPT_DAYS,
    ORDERS_MAX,
    RELEASED,
    RETURNED,
    Earned,
    MemberState,
    PointsHold,
    Redeeming,
    put,
    rules_of,
    take,
    view,
)
from schemas import member as said
from schemas.order import HoldAlive

MemberCommand = (
    said.Earn
    | said.TakeBack
    | said.SignIn
    | said.ReviewGrowth
    | said.HoldPoints
    | said.CommitPoints
    | said.ReleasePoints
    | said.ReinstatePoints
    | said.SpendInMall
    | said.SetBirthday
    | said.TakeFreeShipping
    | said.ReturnFreeShipping
    | said.HandOver
    | said.TakeOver
    | said.ReadMember
    | said.ConfirmHold
    | Answered
    | Wake
)
PointsEvent = said.PointsHeld | said.PointsCommitted | said.PointsReleased | said.PointsReinstated | said.PointsExpired
MemberEvent = (
    PointsEvent
    | said.PointsAsked
    | said.PointsKept
    | said.MemberEarned
    | said.MemberTakenBack
    | said.MemberSignedIn
    | said.MemberLevelSet
    | said.MallStarted
    | said.MallRedeemed
    | said.BirthdaySet
    | said.BirthdayKept
    | said.ShippingTaken
    | said.ShippingReturned
    | said.MemberHandedOver
    | said.MemberTookOver
    | said.MemberMoved
)

RULES: Final = ("member:rules",)

SPREAD_MS: Final = 6 * 3_600_000
"""Points of everybody expire at the end of a month, and cannot be spent from then on; that is written down in the hours after it, each
member at an hour of his own, so that no million of them wakes in the first second of a sale."""


class MemberKind:
    """The kind ``member``. Key: a user id; it lives with the user's orders."""

    name: ClassVar[str] = "member"
    reads: ClassVar[tuple[type, ...]] = (said.ReadMember,)
    commands: ClassVar[tuple[type, ...]] = (
        said.Earn, said.TakeBack, said.SignIn, said.ReviewGrowth, said.HoldPoints, said.CommitPoints, said.ReleasePoints,
        said.ReinstatePoints, said.SpendInMall, said.SetBirthday, said.TakeFreeShipping, said.ReturnFreeShipping, said.HandOver,
        said.TakeOver, said.ReadMember, said.ConfirmHold,
    )  # fmt: skip
    ending: ClassVar[tuple[type, ...]] = (
        said.Earn, said.TakeBack, said.CommitPoints, said.ReleasePoints, said.ReinstatePoints, said.ReturnFreeShipping, said.HandOver,
        said.TakeOver, said.ConfirmHold,
    )  # fmt: skip
    events: ClassVar[tuple[type, ...]] = (
        said.MemberEarned, said.MemberTakenBack, said.MemberSignedIn, said.MemberLevelSet, said.PointsHeld, said.PointsCommitted,
        said.PointsReleased, said.PointsReinstated, said.PointsExpired, said.PointsAsked, said.PointsKept, said.MallStarted,
        said.MallRedeemed, said.BirthdaySet, said.BirthdayKept, said.ShippingTaken, said.ShippingReturned,
        said.MemberHandedOver, said.MemberTookOver, said.MemberMoved,
    )  # fmt: skip
    replies: ClassVar[tuple[type, ...]] = (
        said.MemberDone, said.PointsDone, said.SignedIn, said.Redeemed, said.BirthdayView, said.MemberView, HoldAlive,
    )  # fmt: skip
    state: ClassVar[type] = MemberState

    def route(self, key: str) -> str:
        return "user:" + key

    def crowd(self, key: str, command: object) -> str:
        return "user:" + key

    def new(self, key: str) -> MemberState:
        return MemberState(user_id=key)

    def needs(self, command: Any) -> tuple[str, ...]:
        match command:
            case said.SpendInMall():
                return (*RULES, "mall:" + command.item_id)
            case said.HoldPoints() | said.CommitPoints() | said.ReleasePoints() | said.HandOver() | said.ConfirmHold() | Answered():
                return ()
            case _:
                return RULES

    def wake_at(self, state: MemberState) -> int | None:
        """The earliest of: something to move on, a batch that has expired, a hold to ask about, the review of the level, the birthday."""
        late_ms = zlib.crc32(state.user_id.encode()) % SPREAD_MS
        due = [at_ms + late_ms for at_ms in (state.review_ms, min(state.batches, default=0)) if at_ms]
        if state.birthday_ms:
            due.append(state.birthday_ms)
        if member_merge.is_waiting(state):
            due.append(state.moved_ms)
        due.extend(held.ask_ms for name, held in state.holds.items() if held.ask_ms and name not in state.redeeming)
        return min(due, default=None)

    def decide(self, state: MemberState, command: MemberCommand, context: Context) -> Outcome:
        match command:
            case said.Earn():
                return member_growth.earn(state, command, context)
            case said.TakeBack():
                return member_growth.take_back(state, command, context)
            case said.SignIn():
                return member_growth.sign_in(state, command, context)
            case said.ReviewGrowth():
                return member_growth.review(state, command, context)
            case said.HoldPoints():
                return member_points.hold(state, command, context)
            case said.CommitPoints():
                return member_points.commit(state, command, context)
            case said.ReleasePoints():
                return member_points.release(state, command, context)
            case said.ReinstatePoints():
                return member_points.reinstate(state, command, context)
            case said.SpendInMall():
                return member_benefits.spend(state, command, context)
            case said.SetBirthday():
                return member_benefits.set_birthday(state, command, context)
            case said.TakeFreeShipping():
                return member_benefits.take_shipping(state, command, context)
            case said.ReturnFreeShipping():
                return member_benefits.return_shipping(state, command, context)
            case said.HandOver():
                return member_merge.hand_over(state, command, context)
            case said.TakeOver():
                return member_merge.take_over(state, command, context)
            case said.ReadMember():
                rules = rules_of(context)
                return Accepted(reply=view(state, context.at_ms, rules.terms.utc_offset_min if rules else 0))
            case said.ConfirmHold():
                return member_benefits.confirm_hold(state, command)
            case Answered():
                return _answered(state, command, context)
            case Wake():
                return _wake(state, context)
            case _:
                assert_never(command)

    def apply(self, state: MemberState, event: MemberEvent) -> None:
        match event:
            case said.MemberEarned():
                _apply_earned(state, event)
            case said.MemberTakenBack():
                _apply_taken_back(state, event)
            case said.MemberSignedIn():
                state.signed_in_day, state.streak, state.signed_in_points = event.day, event.streak, event.points
            case said.MemberLevelSet():
                if event.reason != "kept":
                    state.level_since_ms = event.at_ms
                state.level_id, state.review_ms = event.level_id, event.review_ms
            case said.MallStarted() | said.MallRedeemed():
                _apply_mall(state, event)
            case said.BirthdaySet() | said.BirthdayKept():
                _apply_birthday(state, event)
            case said.ShippingTaken():
                state.shipping = {use_id: month for use_id, month in state.shipping.items() if month >= event.month - 1}
                state.shipping[event.use_id] = event.month
            case said.ShippingReturned():
                state.shipping.pop(event.use_id, None)
                remember(state, event.use_id, RETURNED, event.at_ms)
            case said.MemberHandedOver():
                _apply_handed_over(state, event)
            case said.MemberTookOver():
                _apply_took_over(state, event)
            case said.MemberMoved():
                state.moving, state.moved_ms = 0, event.at_ms
            case said.PointsAsked():
                for hold_id in event.hold_ids:
                    held = state.holds[hold_id]
                    held.ask_ms, held.asks = 0, held.asks + 1
            case said.PointsKept():
                state.holds[event.hold_id].ask_ms = event.again_ms
            case _:
                _apply_points(state, event)


def _answered(state: MemberState, command: Answered, context: Context) -> Outcome:
    match command.step.split(":", 1)[0]:
        case "ask":
            return member_points.answered(state, command, context)
        case "move":
            return member_merge.moved(state, command, context)
        case "mall":
            return member_benefits.mall_answered(state, command, context)
        case _:
            return Accepted()


def _wake(state: MemberState, context: Context) -> Outcome:
    """One thing that is due (the reminder fires again while more is): a transfer, expiry, birthday, review, the question about holds."""
    moving = member_merge.move_on(state, context)
    if moving is not None:
        return moving
    due = (
        member_points.expire(state, context) or member_benefits.keep_birthday(state, context) or member_growth.review_level(state, context)
    )
    if due is not None:
        return Accepted(events=(due,))
    return member_points.ask(state, context) or Accepted()


def _apply_earned(state: MemberState, event: said.MemberEarned) -> None:
    oldest = event.day - KEPT_DAYS
    if min(state.growth, default=event.day) < oldest or any(order.day < oldest for order in state.orders.values()):
        state.growth = {day: growth for day, growth in state.growth.items() if day >= oldest}
        state.orders = {name: order for name, order in state.orders.items() if order.day >= oldest}
    state.reviews = {name: day for name, day in state.reviews.items() if day >= oldest}
    if event.growth:
        state.growth[event.day] = state.growth.get(event.day, 0) + event.growth
    state.issued += event.points
    state.debt -= event.debt_paid
    put(state, event.expires_ms, event.points - event.debt_paid)
    if event.source == "review":
        state.reviews[event.ref] = event.day
    elif event.source == "order":
        known = state.orders.get(event.ref)
        state.orders[event.ref] = Earned(
            day=event.day,
            at_ms=event.at_ms,
            paid=True,
            amount=event.amount,
            growth=event.growth,
            points=event.points,
            expires_ms=event.expires_ms,
            refunds=known.refunds if known else {},
            priority=event.priority,
        )
        if len(state.orders) > ORDERS_MAX:
            del state.orders[next(iter(state.orders))]


def _apply_taken_back(state: MemberState, event: said.MemberTakenBack) -> None:
    order = state.orders.get(event.order_id)
    if order is None:
        order = state.orders[event.order_id] = Earned(day=day_of(event.at_ms), at_ms=event.at_ms)
    order.refunds[event.refund_id] = event.amount
    order.refunded += event.amount
    if not order.paid:
        return
    order.refunded = min(order.refunded, order.amount)
    order.points_back += event.points
    order.growth_back += event.growth
    if event.growth and order.day in state.growth:
        state.growth[order.day] -= event.growth
        if not state.growth[order.day]:
            del state.growth[order.day]
    elif event.growth and state.moved_to:
        state.growth_owed[order.day] = state.growth_owed.get(order.day, 0) + event.growth
    take(state, event.parts)
    state.taken_back += event.points
    state.debt += event.points - sum(points for _, points in event.parts)


def _apply_handed_over(state: MemberState, event: said.MemberHandedOver) -> None:
    """Everything that moves is gone; what is held, and what is known of orders, stays until it is settled."""
    estate = event.estate
    take(state, estate.parts)
    state.debt -= estate.debt
    state.moved += sum(points for _, points in estate.parts) - estate.debt
    state.growth, state.growth_owed, state.gifts = {}, {}, {}
    state.birthday_ms = 0
    state.moved_to, state.moving, state.transfers = event.to_user_id, event.number, event.number
    state.moved_ms = event.at_ms


def _apply_took_over(state: MemberState, event: said.MemberTookOver) -> None:
    estate = event.estate
    points = sum(points for _, points in estate.parts)
    state.merged[event.from_user_id] = event.number
    state.moved -= points - estate.debt
    state.debt -= event.debt_paid
    for expires_ms, part in member_points.after(estate.parts, event.debt_paid):
        put(state, expires_ms, part)
    take(state, event.taken)
    state.debt += estate.debt - sum(points for _, points in event.taken)
    for day, growth in estate.growth:
        state.growth[day] = state.growth.get(day, 0) + growth
    for day, growth in estate.growth_owed:
        left = state.growth.get(day, 0) - growth
        if left > 0:
            state.growth[day] = left
        else:
            state.growth.pop(day, None)
    _give(state, estate.gifts)
    if estate.birthday and not state.birthday_month:
        month, day, next_ms, year, change_ms = estate.birthday
        state.birthday_month, state.birthday_day, state.birthday_ms = month, day, next_ms
        state.birthday_year, state.birthday_change_ms = max(year, state.birthday_year), change_ms


def _apply_points(state: MemberState, event: PointsEvent) -> None:
    match event:
        case said.PointsHeld():
            take(state, event.parts)
            state.held += event.points
            for coupon_id, _ in event.gifts:
                del state.gifts[coupon_id]
            state.holds[event.hold_id] = PointsHold(
                order_id=event.order_id,
                points=event.points,
                parts=event.parts,
                gifts=event.gifts,
                ask_ms=event.deadline_ms + member_points.GRACE_MS,
            )
        case said.PointsCommitted():
            del state.holds[event.hold_id]
            state.held -= event.points
            state.spent += event.points
            remember(state, event.hold_id, COMMITTED, event.at_ms)
        case said.PointsReleased():
            held = state.holds.pop(event.hold_id, None)
            state.redeeming.pop(event.hold_id, None)
            state.held -= event.points
            state.debt -= event.debt_paid
            for expires_ms, points in event.parts:
                put(state, expires_ms, points)
            _give(state, held.gifts if held else ())
            remember(state, event.hold_id, RELEASED, event.at_ms)
        case said.PointsReinstated():
            state.spent -= event.points
            state.debt -= event.debt_paid
            put(state, event.expires_ms, event.points - event.debt_paid)
            _give(state, event.gifts)
            remember(state, event.hold_id, RETURNED, event.at_ms)
        case said.PointsExpired():
            state.expiries = event.number
            state.expired += event.points
            take(state, tuple((at_ms, points) for at_ms, points in state.batches.items() if at_ms <= event.until_ms))
        case _:
            assert_never(event)


def _give(state: MemberState, gifts: tuple[tuple[str, int], ...]) -> None:
    """A coupon of one's own; the later end counts when it is there already."""
    for coupon_id, until_ms in gifts:
        state.gifts[coupon_id] = max(until_ms, state.gifts.get(coupon_id, 0))


def _apply_mall(state: MemberState, event: said.MallStarted | said.MallRedeemed) -> None:
    if isinstance(event, said.MallStarted):
        state.redeeming[event.hold_id] = Redeeming(
            redemption_id=event.redemption_id,
            item_id=event.item_id,
            kind=event.kind,
            coupon_id=event.coupon_id,
            until_ms=event.until_ms,
            command_id=event.command_id,
        )
        return
    state.redeeming.pop(event.hold_id, None)
    if event.kind == "coupon":
        _give(state, ((event.coupon_id, event.until_ms),))


def _apply_birthday(state: MemberState, event: said.BirthdaySet | said.BirthdayKept) -> None:
    if isinstance(event, said.BirthdaySet):
        state.birthday_month, state.birthday_day, state.birthday_ms = event.month, event.day, event.next_ms
        state.birthday_set_ms, state.birthday_change_ms = event.at_ms, event.at_ms + member_benefits.CHANGE_MS
        return
    state.birthday_ms = event.next_ms
    if event.coupon_id:
        state.birthday_year = event.year
        _give(state, ((event.coupon_id, event.until_ms),))
