"""Growth and points for payments, visits and reviews; what a refund takes back; and the level that growth gives."""

from typing import Final

import msgspec

from actors.domain.dates import date_of, day_of, day_on, first_day_of_month, month_of, start_of, year_later
from actors.domain.entity import Accepted, Context, Outcome, Refused
from actors.domain.member_state import POINTS_MAX, YEAR_DAYS, Earned, MemberState, growth_between, growth_of, level_of, rank_of, rules_of
from schemas.member import (
    Earn,
    MemberDone,
    MemberEarned,
    MemberLevelSet,
    MemberSignedIn,
    MemberTakenBack,
    Parts,
    ReviewGrowth,
    SignedIn,
    SignIn,
    TakeBack,
)
from schemas.membership import LevelTerms, MemberRules
from schemas.money import MINOR_UNITS_MAX, portion

LOWERED_BY: Final = 1
"""Levels that a member loses at a yearly review whose growth does not reach his own: nobody falls from the top to the ground."""


def expiry_of(day: int, months: int, offset_min: int) -> int:
    """The end of the month so many months on: a member has one batch a month, and is woken for it once."""
    return start_of(first_day_of_month(month_of(day) + months + 1), offset_min)


def earn(state: MemberState, command: Earn, context: Context) -> Outcome:
    """An order was paid. Money of a currency without a rate, and a shop without rules, give nothing."""
    known = state.orders.get(command.order_id)
    rules = rules_of(context)
    rate = rules.terms.rates.get(command.currency) if rules else None
    level = level_of(rules, state.level_id) if rules else None
    paid_before = known is not None and known.paid
    priority = known.priority if known is not None and paid_before else level.priority if level else 0
    done = MemberDone(ref=command.order_id, priority=priority)
    if not 0 <= command.amount <= MINOR_UNITS_MAX:
        return Refused(code="invalid_request", params={"reason": "amount is out of range"})
    if paid_before or rules is None or level is None or rate is None or not command.amount:
        return Accepted(reply=done)
    amount = max(0, command.amount - (known.refunded if known else 0))
    points = portion(portion(amount, rate.points_per_100, 100), level.points_percent, 100)
    growth = portion(amount, rate.growth_per_100, 100)
    earned = _earned(state, rules, "order", command.order_id, growth, points, context, amount=amount)
    earned = msgspec.structs.replace(earned, priority=priority)
    return Accepted(events=(earned, *_raised(state, rules, growth, context)), reply=done)


def review(state: MemberState, command: ReviewGrowth, context: Context) -> Outcome:
    """A review was published."""
    rules, done = rules_of(context), MemberDone(ref=command.review_id)
    if command.review_id in state.reviews or rules is None:
        return Accepted(reply=done)
    growth, points = rules.terms.review_growth, rules.terms.review_points
    earned = _earned(state, rules, "review", command.review_id, growth, points, context)
    return Accepted(events=(earned, *_raised(state, rules, growth, context)), reply=done)


def sign_in(state: MemberState, command: SignIn, context: Context) -> Outcome:
    """The daily visit. Yesterday makes a streak longer; the points of a streak begin again after its last day."""
    rules = rules_of(context)
    today = day_of(context.at_ms, rules.terms.utc_offset_min if rules else 0)
    if command.day == state.signed_in_day:
        return Accepted(reply=SignedIn(day=command.day, streak=state.streak, points=state.signed_in_points))
    # A clock that was set back brings no day a second time.
    if command.day != today or today < state.signed_in_day or rules is None:
        return Refused(code="sign_in_day")
    streak = state.streak + 1 if state.signed_in_day == today - 1 else 1
    table = rules.terms.sign_in_points
    points, growth = table[(streak - 1) % len(table)], rules.terms.sign_in_growth
    signed = MemberSignedIn(day=today, streak=streak, points=points, at_ms=context.at_ms)
    earned = _earned(state, rules, "sign_in", str(today), growth, points, context)
    reply = SignedIn(day=today, streak=streak, points=points)
    return Accepted(events=(signed, earned, *_raised(state, rules, growth, context)), reply=reply)


def _earned(
    state: MemberState, rules: MemberRules, source: str, ref: str, growth: int, points: int, context: Context, amount: int = 0
) -> MemberEarned:
    terms = rules.terms
    day = day_of(context.at_ms, terms.utc_offset_min)
    points = min(points, POINTS_MAX)
    return MemberEarned(
        source=source,
        ref=ref,
        amount=amount,
        growth=growth,
        points=points,
        debt_paid=min(points, state.debt),
        expires_ms=expiry_of(day, terms.valid_months, terms.utc_offset_min),
        day=day,
        at_ms=context.at_ms,
        rules_version=rules.version,
    )


def take_back(state: MemberState, command: TakeBack, context: Context) -> Outcome:
    """Money went back: the same share of what its order earned, so that the last refund leaves nothing. What is not there is owed."""
    done = MemberDone(ref=command.refund_id)
    order = state.orders.get(command.order_id)
    if not 0 <= command.amount <= MINOR_UNITS_MAX:
        return Refused(code="invalid_request", params={"reason": "amount is out of range"})
    if order is not None and command.refund_id in order.refunds:
        return Accepted(reply=done)
    if order is None or not order.paid:
        early = MemberTakenBack(refund_id=command.refund_id, order_id=command.order_id, amount=command.amount, at_ms=context.at_ms)
        return Accepted(events=(early,), reply=done)
    refunded = min(order.amount, order.refunded + command.amount)
    points = portion(order.points, refunded, order.amount or 1) - order.points_back
    growth = portion(order.growth, refunded, order.amount or 1) - order.growth_back
    event = MemberTakenBack(
        refund_id=command.refund_id,
        order_id=command.order_id,
        amount=command.amount,
        at_ms=context.at_ms,
        growth=growth,
        points=points,
        parts=_parts_to_take(state, order.expires_ms, points),
    )
    return Accepted(events=(event, *_sunk(state, order, growth, context)), reply=done)


def _parts_to_take(state: MemberState, own_ms: int, points: int) -> Parts:
    """First of its own batch, then of those that live longest: what a refund leaves is what the member would have had without the order."""
    parts, left = [], points
    for expires_ms in sorted(state.batches, key=lambda at_ms: (at_ms != own_ms, -at_ms)):
        taken = min(left, state.batches[expires_ms])
        if taken:
            parts.append((expires_ms, taken))
            left -= taken
    return tuple(parts)


def _raised(state: MemberState, rules: MemberRules, growth: int, context: Context) -> tuple[MemberLevelSet, ...]:
    """A level is reached at once."""
    day = day_of(context.at_ms, rules.terms.utc_offset_min)
    reached = _reached(rules, growth_of(state, day) + growth)
    if rank_of(rules, reached) <= rank_of(rules, level_of(rules, state.level_id)):
        return ()
    return (level_set(rules, reached, "growth", day, context),)


def _sunk(state: MemberState, order: Earned, growth: int, context: Context) -> tuple[MemberLevelSet, ...]:
    """A level that was reached with money that went back goes with it; one from before waits for its review."""
    rules = rules_of(context)
    if rules is None or state.level_since_ms < order.at_ms:
        return ()
    day, level = day_of(context.at_ms, rules.terms.utc_offset_min), level_of(rules, state.level_id)
    counted = growth if order.day > day - YEAR_DAYS else 0
    reached = _reached(rules, growth_of(state, day) - counted)
    if rank_of(rules, reached) >= rank_of(rules, level):
        return ()
    return (level_set(rules, reached, "refund", day, context),)


def review_level(state: MemberState, context: Context) -> MemberLevelSet | None:
    """The yearly review, if it is due: kept where the growth of the year before it is enough, else lowered by one level."""
    rules = rules_of(context)
    if rules is None or not state.review_ms or context.at_ms < state.review_ms:
        return None
    level = level_of(rules, state.level_id)
    day = day_of(state.review_ms, rules.terms.utc_offset_min)
    year, month, of_month = date_of(day)
    if growth_between(state, day_on(year - 1, month, of_month), day - 1) >= level.growth_min:
        return level_set(rules, level, "kept", day, context)
    lower = rules.levels[max(0, rank_of(rules, level) - LOWERED_BY)]
    return level_set(rules, lower, "lowered", day, context)


def level_set(rules: MemberRules, level: LevelTerms, reason: str, day: int, context: Context) -> MemberLevelSet:
    """A level begins, or is kept. The next review is a year after ``day``. The lowest level cannot be lost."""
    lowest = level.level_id == rules.levels[0].level_id
    return MemberLevelSet(
        level_id=level.level_id,
        reason=reason,
        review_ms=0 if lowest else start_of(year_later(day), rules.terms.utc_offset_min),
        priority=level.priority,
        support_queue=level.support_queue,
        rules_version=rules.version,
        at_ms=context.at_ms,
    )


def _reached(rules: MemberRules, growth: int) -> LevelTerms:
    return [level for level in rules.levels if level.growth_min <= growth or level is rules.levels[0]][-1]


def reached_with(state: MemberState, rules: MemberRules, more: tuple[tuple[int, int], ...], context: Context) -> tuple[LevelTerms, int]:
    """The level that the growth of the year reaches with so much more, by day; and today."""
    today = day_of(context.at_ms, rules.terms.utc_offset_min)
    counted = sum(growth for day, growth in more if today - YEAR_DAYS < day <= today)
    return _reached(rules, growth_of(state, today) + counted), today
