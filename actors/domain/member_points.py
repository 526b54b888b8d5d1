"""Points that are kept for an order: held, spent, given back, asked about, and those that expire.

The discipline is that of stock and quota: a hold is known by its id with what became of it, a release that
comes before its hold leaves a tombstone, and the order owns the deadline.
"""

from typing import Final

from actors.domain.dates import day_of
from actors.domain.entity import Accepted, Answered, Context, Outcome, Refused, Send
from actors.domain.finished import outcome_of
from actors.domain.member_growth import expiry_of
from actors.domain.member_state import COMMITTED, POINTS_MAX, RELEASED, RETURNED, MemberState, PointsHold, first_parts, rules_of, usable
from schemas.ids import derived_id
from schemas.member import (
    CommitPoints,
    HoldPoints,
    Parts,
    PointsAsked,
    PointsCommitted,
    PointsDone,
    PointsExpired,
    PointsHeld,
    PointsKept,
    PointsReinstated,
    PointsReleased,
    ReinstatePoints,
    ReleasePoints,
    ShippingTaken,
)
from schemas.order import ConfirmHold, HoldAlive

GRACE_MS: Final = 60_000
"""The order owns the deadline; the member asks only this much later."""

AGAIN_MS: Final = 15 * 60_000
"""An order that lives past its deadline waits for its payment provider: it is asked again this much later."""

RETURNED_MONTHS: Final = 3
"""Where there are no rules any more, spent points that come back live so long."""


def hold(state: MemberState, command: HoldPoints, context: Context) -> Outcome:
    """Guards, in this order: the hold is known, was released, the level, the form, the free parcel, the gifts, the points."""
    done = PointsDone(hold_id=command.hold_id)
    outcome = outcome_of(state, command.hold_id)
    if command.hold_id in state.holds or outcome == COMMITTED:
        return Accepted(reply=done)
    if outcome:
        return Refused(code="hold_released")
    if command.level_id is not None and command.level_id != state.level_id:
        return Refused(code="member_level_changed")
    if not 0 <= command.points <= POINTS_MAX or len(set(command.gifts)) < len(command.gifts):
        return Refused(code="invalid_request", params={"reason": "points are out of range"})
    parcel = _parcel(state, command, context)
    if isinstance(parcel, Refused):
        return parcel
    if not command.points and not command.gifts:
        return Accepted(events=parcel, reply=done)
    for coupon_id in command.gifts:
        if state.gifts.get(coupon_id, 0) <= context.at_ms:
            return Refused(code="coupon_not_yours", params={"coupon_id": coupon_id})
    parts = first_parts(state, command.points, context.at_ms)
    if parts is None:
        return Refused(code="points_insufficient", params={"available": usable(state, context.at_ms)})
    event = PointsHeld(
        hold_id=command.hold_id,
        order_id=command.order_id,
        points=command.points,
        deadline_ms=command.deadline_ms,
        at_ms=context.at_ms,
        parts=parts,
        gifts=tuple((coupon_id, state.gifts[coupon_id]) for coupon_id in command.gifts),
    )
    return Accepted(events=(*parcel, event), reply=done)


def _parcel(state: MemberState, command: HoldPoints, context: Context) -> tuple[ShippingTaken, ...] | Refused:
    """The free parcel that an order takes. The order read the rules and says what they allow: they are no fact of this turn."""
    use_id = command.shipping_use
    if not use_id or use_id in state.shipping:
        return ()
    if outcome_of(state, use_id):
        return Refused(code="hold_released")
    if sum(month == command.shipping_month for month in state.shipping.values()) >= command.shipping_limit:
        return Refused(code="free_shipping_used", params={"limit": command.shipping_limit})
    return (ShippingTaken(use_id=use_id, order_id=command.order_id, month=command.shipping_month, at_ms=context.at_ms),)


def commit(state: MemberState, command: CommitPoints, context: Context) -> Outcome:
    """The order is paid."""
    done = PointsDone(hold_id=command.hold_id)
    if outcome_of(state, command.hold_id) == COMMITTED:
        return Accepted(reply=done)
    held = state.holds.get(command.hold_id)
    if held is None:
        return Refused(code="hold_released" if outcome_of(state, command.hold_id) else "hold_unknown")
    return Accepted(events=(PointsCommitted(hold_id=command.hold_id, points=held.points, at_ms=context.at_ms),), reply=done)


def release(state: MemberState, command: ReleasePoints, context: Context) -> Outcome:
    """The order will not be."""
    outcome = outcome_of(state, command.hold_id)
    if outcome in (RELEASED, RETURNED):
        return Accepted(reply=PointsDone(hold_id=command.hold_id))
    if outcome == COMMITTED:
        return Refused(code="hold_unknown")
    return Accepted(events=(released(state, command.hold_id, "order", context),), reply=PointsDone(hold_id=command.hold_id))


def released(state: MemberState, hold_id: bytes, reason: str, context: Context) -> PointsReleased:
    """Everything back to its batch, but for what a debt takes: of that which expires first."""
    held = state.holds.get(hold_id)
    if held is None:
        return PointsReleased(hold_id=hold_id, points=0, reason=reason, at_ms=context.at_ms)
    paid = min(state.debt, held.points)
    return PointsReleased(
        hold_id=hold_id, points=held.points, reason=reason, at_ms=context.at_ms, debt_paid=paid, parts=after(held.parts, paid)
    )


def after(parts: Parts, paid: int) -> Parts:
    """What is left of points when a debt took so many of them: of those that expire first."""
    left = []
    for expires_ms, points in sorted(parts):
        taken = min(paid, points)
        paid -= taken
        if points > taken:
            left.append((expires_ms, points - taken))
    return tuple(left)


def reinstate(state: MemberState, command: ReinstatePoints, context: Context) -> Outcome:
    """Whatever became of it: spent points come back with a new life, held ones are released, and what has not come yet never will."""
    if outcome_of(state, command.hold_id) != COMMITTED:
        return release(state, ReleasePoints(hold_id=command.hold_id), context)
    if not 0 <= command.points <= state.spent:
        return Refused(code="hold_unknown")
    rules = rules_of(context)
    offset_min = rules.terms.utc_offset_min if rules else 0
    months = rules.terms.returned_months if rules else RETURNED_MONTHS
    expires_ms = expiry_of(day_of(context.at_ms, offset_min), months, offset_min)
    event = PointsReinstated(
        hold_id=command.hold_id,
        points=command.points,
        expires_ms=expires_ms,
        at_ms=context.at_ms,
        debt_paid=min(state.debt, command.points),
        gifts=tuple((coupon_id, expires_ms) for coupon_id in command.gifts),
    )
    return Accepted(events=(event,), reply=PointsDone(hold_id=command.hold_id))


def expire(state: MemberState, context: Context) -> PointsExpired | None:
    """What lies in batches whose time is over. Points that are held lie in none."""
    points = sum(points for expires_ms, points in state.batches.items() if expires_ms <= context.at_ms)
    if not points:
        return None
    return PointsExpired(number=state.expiries + 1, points=points, until_ms=context.at_ms, at_ms=context.at_ms)


def ask(state: MemberState, context: Context) -> Accepted | None:
    """Ask the orders of overdue holds whether they live. No answer means keep. An exchange in the mall is its own order."""
    overdue = [name for name, held in state.holds.items() if 0 < held.ask_ms <= context.at_ms and name not in state.redeeming]
    if not overdue:
        return None
    sends = tuple(_question(state, name, state.holds[name]) for name in overdue)
    return Accepted(events=(PointsAsked(hold_ids=tuple(overdue)),), sends=sends)


def _question(state: MemberState, hold_id: bytes, held: PointsHold) -> Send:
    """A new id for each question: the answer to an earlier one must not stand for this one's."""
    return Send(
        id=derived_id("points.ask", hold_id, str(held.asks)),
        step="ask:" + hold_id.hex(),
        kind="order",
        key=state.user_id,
        command=ConfirmHold(order_id=held.order_id, reservation_id=hold_id),
    )


def answered(state: MemberState, command: Answered, context: Context) -> Outcome:
    """An order said whether it lives."""
    hold_id = bytes.fromhex(command.step.removeprefix("ask:"))
    held = state.holds.get(hold_id)
    if held is None or held.ask_ms:
        return Accepted()
    if isinstance(command.reply, HoldAlive) and not command.reply.alive:
        return Accepted(events=(released(state, hold_id, "abandoned", context),))
    return Accepted(events=(PointsKept(hold_id=hold_id, again_ms=context.at_ms + AGAIN_MS),))
