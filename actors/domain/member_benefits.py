"""What a level gives: the birthday's coupon, parcels that go free, the mall, and who is served first.

Fulfilment and after-sales ask :func:`fulfilment_priority` and :func:`support_queue` by the level that an order was placed
under, or read the same from ``member_standing``.
"""

from typing import Any, Final

from actors.domain.dates import DAY_MS, date_of, day_of, day_on, month_length, next_on, start_of
from actors.domain.entity import Accepted, Answered, Ask, Context, Outcome, Plan, Refused, Send
from actors.domain.finished import outcome_of
from actors.domain.member_points import released
from actors.domain.member_state import COMMITTED, MemberState, Redeeming, first_parts, level_of, rules_of, usable, used_in_month
from schemas.ids import derived_id
from schemas.member import (
    BirthdayKept,
    BirthdaySet,
    BirthdayView,
    ConfirmHold,
    MallRedeemed,
    MallStarted,
    MemberDone,
    PointsCommitted,
    PointsHeld,
    Redeemed,
    ReturnFreeShipping,
    SetBirthday,
    ShippingReturned,
    ShippingTaken,
    SpendInMall,
    TakeFreeShipping,
)
from schemas.membership import MallItem, MemberRules
from schemas.order import HoldAlive
from schemas.quota import Claim, GiveBack, Redeem

CHANGE_MS: Final = 365 * DAY_MS
"""A birthday may be corrected, but not moved along the year for the sake of its gift."""

REDEEMING_MAX: Final = 20
"""Exchanges of one member that wait at once: a client that loops is stopped here."""

CLAIM_MS: Final = DAY_MS
"""The mall's claim is settled in the turn that makes it, or as soon as its owner answers; the quota asks after a day."""


def fulfilment_priority(rules: MemberRules, level_id: str) -> int:
    """Whose parcels are packed first: the highest."""
    return level_of(rules, level_id).priority


def support_queue(rules: MemberRules, level_id: str) -> str:
    """Where a member's questions wait."""
    return level_of(rules, level_id).support_queue


# --- birthday -------------------------------------------------------------------------------------


def set_birthday(state: MemberState, command: SetBirthday, context: Context) -> Outcome:
    """Once, and then once a year."""
    if (command.month, command.day) == (state.birthday_month, state.birthday_day):
        return Accepted(reply=birthday_view(state))
    # 2000 was a leap year: 29 February is a birthday.
    if not 1 <= command.month <= 12 or not 1 <= command.day <= month_length(2000, command.month):
        return Refused(code="invalid_request", params={"reason": "there is no such day"})
    if context.at_ms < state.birthday_change_ms:
        return Refused(code="birthday_locked", params={"change_ms": state.birthday_change_ms})
    rules = rules_of(context)
    offset_min = rules.terms.utc_offset_min if rules else 0
    today = day_of(context.at_ms, offset_min)
    next_ms = start_of(next_on(today - 1, command.month, command.day), offset_min)
    event = BirthdaySet(month=command.month, day=command.day, next_ms=next_ms, at_ms=context.at_ms)
    return Accepted(events=(event,), reply=BirthdayView(month=command.month, day=command.day, change_ms=context.at_ms + CHANGE_MS))


def birthday_view(state: MemberState) -> BirthdayView:
    """What is known of it."""
    return BirthdayView(month=state.birthday_month, day=state.birthday_day, change_ms=state.birthday_change_ms)


def keep_birthday(state: MemberState, context: Context) -> BirthdayKept | None:
    """The gift, if the day has come: one a calendar year. A gift whose time was over before anybody could give it is none."""
    if not state.birthday_ms or context.at_ms < state.birthday_ms:
        return None
    rules = rules_of(context)
    offset_min = rules.terms.utc_offset_min if rules else 0
    day = day_of(state.birthday_ms, offset_min)
    year, _, _ = date_of(day)
    until_ms = start_of(day + (rules.terms.birthday_valid_days if rules else 0), offset_min)
    has_gift = rules is not None and year > state.birthday_year and until_ms > context.at_ms
    following = day_on(year + 1, state.birthday_month, state.birthday_day)
    return BirthdayKept(
        year=year,
        coupon_id=level_of(rules, state.level_id).birthday_coupon_id if rules is not None and has_gift else "",
        until_ms=until_ms,
        next_ms=start_of(following, offset_min),
        at_ms=context.at_ms,
    )


# --- parcels that go free ---------------------------------------------------------------------------


def take_shipping(state: MemberState, command: TakeFreeShipping, context: Context) -> Outcome:
    """One of this month's."""
    if command.use_id in state.shipping:
        return Accepted(reply=MemberDone(ref=command.order_id))
    if outcome_of(state, command.use_id):
        return Refused(code="hold_released")
    rules = rules_of(context)
    day = day_of(context.at_ms, rules.terms.utc_offset_min if rules else 0)
    allowed = level_of(rules, state.level_id).free_shipping if rules else 0
    if len(used_in_month(state, day)) >= allowed:
        return Refused(code="free_shipping_used", params={"limit": allowed})
    year, month, _ = date_of(day)
    event = ShippingTaken(use_id=command.use_id, order_id=command.order_id, month=year * 12 + month - 1, at_ms=context.at_ms)
    return Accepted(events=(event,), reply=MemberDone(ref=command.order_id))


def return_shipping(state: MemberState, command: ReturnFreeShipping, context: Context) -> Outcome:
    """It counts for the month that it was taken from."""
    reply = MemberDone(ref=command.use_id.hex())
    if outcome_of(state, command.use_id):
        return Accepted(reply=reply)
    return Accepted(events=(ShippingReturned(use_id=command.use_id, at_ms=context.at_ms),), reply=reply)


# --- the mall ---------------------------------------------------------------------------------------


def spend(state: MemberState, command: SpendInMall, context: Context) -> Outcome:
    """Guards, then the item's quota is asked; together in one flush where it is on this host."""
    item = (context.facts or {}).get("mall:" + command.item_id)
    if not isinstance(item, MallItem) or not item.active:
        return Refused(code="mall_item_unknown")
    if item.points != command.points:
        return Refused(code="points_changed", params={"points": item.points})
    if len(state.redeeming) >= REDEEMING_MAX:
        return Refused(code="rate_limited")
    parts = first_parts(state, item.points, context.at_ms)
    if parts is None:
        return Refused(code="points_insufficient", params={"available": usable(state, context.at_ms)})
    hold_id = derived_id(context.command_id, "mall")
    deadline_ms = context.at_ms + CLAIM_MS
    held = PointsHeld(
        hold_id=hold_id, order_id=command.redemption_id, points=item.points, deadline_ms=deadline_ms, at_ms=context.at_ms, parts=parts
    )
    started = MallStarted(
        hold_id=hold_id,
        redemption_id=command.redemption_id,
        item_id=item.item_id,
        kind=item.kind,
        coupon_id=item.coupon_id,
        until_ms=context.at_ms + item.valid_days * DAY_MS,
        command_id=context.command_id,
    )
    claim = Claim(claim_id=hold_id, order_id=command.redemption_id, user_id=state.user_id, deadline_ms=deadline_ms, holder="member")
    return _mall_plan(held, started, claim, context)


def _mall_plan(held: PointsHeld, started: MallStarted, claim: Claim, context: Context) -> Plan:
    ask = Ask(kind="quota", keys=(started.item_id,), command=claim)

    def direct(chosen: tuple[str, ...], replies: tuple[Any, ...]) -> Accepted:
        ended = _got(held.hold_id, _redeeming(started), held.points, context)
        return Accepted(events=(held, started, *ended.events), sends=ended.sends, reply=_reply(started, held.points))

    def staged() -> Accepted:
        step = "mall:" + held.hold_id.hex()
        send = Send(id=derived_id("mall", held.hold_id), step=step, kind="quota", key=started.item_id, command=claim)
        return Accepted(events=(held, started), sends=(send,))

    return Plan(asks=(ask,), direct=direct, refuse=lambda _, refusal: _named(refusal), staged=staged)


def _named(refusal: Refused) -> Refused:
    """A quota speaks of coupons; the mall of its items."""
    code = {"coupon_exhausted": "mall_item_gone", "coupon_limit": "mall_item_limit", "coupon_not_active": "mall_item_unknown"}
    return Refused(code=code.get(refusal.code, refusal.code if refusal.code != "coupon_unknown" else "mall_item_unknown"))


def _redeeming(started: MallStarted) -> Redeeming:
    return Redeeming(
        redemption_id=started.redemption_id,
        item_id=started.item_id,
        kind=started.kind,
        coupon_id=started.coupon_id,
        until_ms=started.until_ms,
        command_id=started.command_id,
    )


def _reply(item: MallStarted | Redeeming, points: int) -> Redeemed:
    return Redeemed(redemption_id=item.redemption_id, item_id=item.item_id, kind=item.kind, coupon_id=item.coupon_id, points=points)


def _got(hold_id: bytes, item: Redeeming, points: int, context: Context) -> Accepted:
    """The quota agreed: the points are spent, the item is the member's, and the claim is settled."""
    redeemed = MallRedeemed(
        hold_id=hold_id,
        redemption_id=item.redemption_id,
        item_id=item.item_id,
        kind=item.kind,
        coupon_id=item.coupon_id,
        until_ms=item.until_ms,
        points=points,
        at_ms=context.at_ms,
    )
    send = Send(id=derived_id("mall.redeem", hold_id), step="redeem:", kind="quota", key=item.item_id, command=Redeem(claim_id=hold_id))
    return Accepted(events=(PointsCommitted(hold_id=hold_id, points=points, at_ms=context.at_ms), redeemed), sends=(send,))


def mall_answered(state: MemberState, command: Answered, context: Context) -> Outcome:
    """The quota of an item answered a claim that was carried to it."""
    hold_id = bytes.fromhex(command.step.removeprefix("mall:"))
    item = state.redeeming.get(hold_id)
    if item is None:
        return Accepted()
    if command.refused is None:
        points = state.holds[hold_id].points
        ended = _got(hold_id, item, points, context)
        return Accepted(events=ended.events, sends=ended.sends, completes=((item.command_id, _reply(item, points)),))
    back = Send(id=derived_id("mall.back", hold_id), step="back:", kind="quota", key=item.item_id, command=GiveBack(claim_id=hold_id))
    event = released(state, hold_id, "mall", context)
    return Accepted(events=(event,), sends=(back,), completes=((item.command_id, _named(command.refused)),))


def confirm_hold(state: MemberState, command: ConfirmHold) -> Accepted:
    """The mall's quota asks about an overdue claim, which was made with the record that holds the points: what is not known is nobody's."""
    alive = command.reservation_id in state.redeeming or outcome_of(state, command.reservation_id) == COMMITTED
    return Accepted(reply=HoldAlive(alive=alive))
