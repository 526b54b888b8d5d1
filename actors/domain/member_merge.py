"""Two accounts become one: what a member has moves to the account that stays, in transfers that are each counted once.

Transfers out of one account are numbered and come one after the other: the next one leaves when the last one was answered. The
account that stays remembers the last number of each that was merged into it, so that a transfer that is carried again adds
nothing. What comes to a merged account later (an order that it had open is paid, cancelled or refunded) moves on in the next one,
and so does what comes to an account that was merged itself meanwhile.

Points move out and in like money: ``moved`` is an account of the double entry on both sides, and the batches keep their dates.
"""

import msgspec

from actors.domain.entity import Accepted, Answered, Context, Outcome, Refused, Send
from actors.domain.member_growth import level_set, reached_with
from actors.domain.member_state import MemberState, level_of, rank_of, rules_of
from schemas.ids import derived_id
from schemas.member import (
    Estate,
    HandOver,
    MemberDone,
    MemberHandedOver,
    MemberLevelSet,
    MemberMoved,
    MemberTookOver,
    Parts,
    TakeOver,
)


def hand_over(state: MemberState, command: HandOver, context: Context) -> Outcome:
    """The account was merged into another. A repeat changes nothing; another one than the first is refused."""
    done = MemberDone(ref=command.to_user_id)
    if state.moved_to == command.to_user_id:
        return Accepted(reply=done)
    if state.moved_to or command.to_user_id == state.user_id:
        return Refused(code="account_closed")
    moved = _transfer(state, command.to_user_id, context)
    return Accepted(events=moved.events, sends=moved.sends, reply=done)


def move_on(state: MemberState, context: Context) -> Accepted | None:
    """The next transfer of an account that was merged, if there is anything to move and none is under way."""
    return _transfer(state, state.moved_to, context) if is_waiting(state) else None


def is_waiting(state: MemberState) -> bool:
    """True when a merged account has something that belongs to the one that stays."""
    return bool(state.moved_to and not state.moving and (state.batches or state.debt or state.growth or state.growth_owed or state.gifts))


def _transfer(state: MemberState, to_user_id: str, context: Context) -> Accepted:
    number = state.transfers + 1
    estate = Estate(
        parts=tuple(sorted(state.batches.items())),
        debt=state.debt,
        growth=tuple(sorted(state.growth.items())),
        growth_owed=tuple(sorted(state.growth_owed.items())),
        gifts=tuple(sorted(state.gifts.items())),
    )
    if number == 1:
        estate = _with_standing(state, estate)
    event = MemberHandedOver(to_user_id=to_user_id, number=number, estate=estate, at_ms=context.at_ms)
    take = TakeOver(from_user_id=state.user_id, number=number, estate=estate)
    send = Send(
        id=derived_id("member.move", state.user_id, str(number)), step=f"move:{number}", kind="member", key=to_user_id, command=take
    )
    return Accepted(events=(event,), sends=(send,))


def _with_standing(state: MemberState, estate: Estate) -> Estate:
    """Level and birthday come with the first transfer alone: a later one must not give back a level that was lost meanwhile."""
    estate = msgspec.structs.replace(estate, level_id=state.level_id, review_ms=state.review_ms)
    if not state.birthday_month:
        return estate
    birthday = (state.birthday_month, state.birthday_day, state.birthday_ms, state.birthday_year, state.birthday_change_ms)
    return msgspec.structs.replace(estate, birthday=birthday)


def moved(state: MemberState, command: Answered, context: Context) -> Outcome:
    """The account that stays has taken a transfer."""
    number = int(command.step.removeprefix("move:"))
    if state.moving != number or command.refused is not None:
        return Accepted()
    return Accepted(events=(MemberMoved(number=number, at_ms=context.at_ms),))


def take_over(state: MemberState, command: TakeOver, context: Context) -> Outcome:
    """What another account had is this one's. It is never refused: the other one has given it away."""
    done = MemberDone(ref=command.from_user_id)
    if command.number <= state.merged.get(command.from_user_id, 0):
        return Accepted(reply=done)
    estate = command.estate
    points = sum(points for _, points in estate.parts)
    event = MemberTookOver(
        from_user_id=command.from_user_id,
        number=command.number,
        estate=estate,
        debt_paid=min(state.debt, points),
        taken=_first_to_go(state, estate.debt),
        at_ms=context.at_ms,
    )
    return Accepted(events=(event, *_level(state, estate, context)), reply=done)


def _first_to_go(state: MemberState, debt: int) -> Parts:
    """Points that are there and pay a debt that comes along: those that expire first."""
    parts, left = [], debt
    for expires_ms in sorted(state.batches):
        taken = min(left, state.batches[expires_ms])
        if taken:
            parts.append((expires_ms, taken))
            left -= taken
    return tuple(parts)


def _level(state: MemberState, estate: Estate, context: Context) -> tuple[MemberLevelSet, ...]:
    """The highest of: the level of either account, and what the growth of both reaches."""
    rules = rules_of(context)
    if rules is None:
        return ()
    own, other = level_of(rules, state.level_id), level_of(rules, estate.level_id)
    reached, day = reached_with(state, rules, estate.growth, context)
    best = max((own, other, reached), key=lambda level: rank_of(rules, level))
    if rank_of(rules, best) <= rank_of(rules, own):
        return ()
    found = level_set(rules, best, "merge", day, context)
    if best is other and best is not reached and estate.review_ms:
        # A level that growth of before had given keeps its day of review.
        found = msgspec.structs.replace(found, review_ms=estate.review_ms)
    return (found,)
