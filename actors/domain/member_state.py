"""The state of one member, and what is computed from it alone."""

from typing import Any, Final

import msgspec

from actors.domain.dates import day_of, month_of
from actors.domain.entity import Context
from schemas.member import MemberView, Parts
from schemas.membership import LevelTerms, MemberRules

YEAR_DAYS: Final = 365
"""Growth counts for so long."""

KEPT_DAYS: Final = 400
"""Growth of a day, and what an order earned, are known for so long: a refund that comes later takes nothing back."""

ORDERS_MAX: Final = 2000
"""Orders of one member that are known: five a day. Of one who buys more the oldest are forgotten sooner, and his snapshot stays small."""

POINTS_MAX: Final = 10**12
"""Points of one command. Sums of them stay exact in every language that reads them as JSON."""

COMMITTED: Final = 1
RELEASED: Final = 2
RETURNED: Final = 3


class Earned(msgspec.Struct, kw_only=True, array_like=True):
    """What one order earned, and what refunds took of it. Not ``paid``: the tombstone of refunds that came first."""

    day: int
    at_ms: int
    paid: bool = False
    amount: int = 0
    growth: int = 0
    points: int = 0
    expires_ms: int = 0
    refunded: int = 0
    growth_back: int = 0
    points_back: int = 0
    refunds: dict[str, int] = {}
    priority: int = 0


class PointsHold(msgspec.Struct, kw_only=True, array_like=True):
    """Points and gifts kept for one order. ``ask_ms``: when it is asked whether it lives, 0 while a question is under way."""

    order_id: str
    points: int
    parts: Parts
    gifts: tuple[tuple[str, int], ...]
    ask_ms: int
    asks: int = 0


class Redeeming(msgspec.Struct, kw_only=True, array_like=True):
    """An exchange in the mall that waits for the item's quota."""

    redemption_id: str
    item_id: str
    kind: str
    coupon_id: str
    until_ms: int
    command_id: bytes


class MemberState(msgspec.Struct, kw_only=True, omit_defaults=True):
    """``batches``: points by the moment at which they expire. ``growth``: by day. The counters are the accounts of the double entry.

    ``moved``: points that went to the account that this one was merged into, less those that came. ``moved_to``: that account;
    ``moving``: the transfer that is under way (0: none), ``transfers``: how many there were; ``merged``: of accounts that were merged into
    this one, the last transfer that came. ``growth_owed``: growth that refunds took back when it had moved.
    Debt and available points are never there at once. ``done``: what became of holds and uses (``actors.domain.finished``).
    """

    user_id: str
    level_id: str = ""
    level_since_ms: int = 0
    review_ms: int = 0
    growth: dict[int, int] = {}
    orders: dict[str, Earned] = {}
    reviews: dict[str, int] = {}
    batches: dict[int, int] = {}
    issued: int = 0
    available: int = 0
    held: int = 0
    spent: int = 0
    expired: int = 0
    taken_back: int = 0
    debt: int = 0
    expiries: int = 0
    holds: dict[bytes, PointsHold] = {}
    redeeming: dict[bytes, Redeeming] = {}
    streak: int = 0
    signed_in_day: int = -1
    signed_in_points: int = 0
    gifts: dict[str, int] = {}
    birthday_month: int = 0
    birthday_day: int = 0
    birthday_set_ms: int = 0
    birthday_change_ms: int = 0
    birthday_ms: int = 0
    birthday_year: int = 0
    shipping: dict[bytes, int] = {}
    moved: int = 0
    moved_to: str = ""
    moved_ms: int = 0
    moving: int = 0
    transfers: int = 0
    growth_owed: dict[int, int] = {}
    merged: dict[str, int] = {}
    done: dict[bytes, int] = {}
    done_before: dict[bytes, int] = {}
    done_since_ms: int = 0


def rules_of(context: Context) -> MemberRules | None:
    """The rules, or None where the shop has none: then nobody earns anything."""
    found: Any = (context.facts or {}).get("member:rules")
    return found if isinstance(found, MemberRules) else None


def level_of(rules: MemberRules, level_id: str) -> LevelTerms:
    """The level of this name; the lowest for one that is gone."""
    return next((level for level in rules.levels if level.level_id == level_id), rules.levels[0])


def rank_of(rules: MemberRules, level: LevelTerms) -> int:
    """How high a level stands: the lowest is 0."""
    return next(rank for rank, other in enumerate(rules.levels) if other.level_id == level.level_id)


def growth_between(state: MemberState, first: int, last: int) -> int:
    """The growth of these days, both counted."""
    return sum(growth for day, growth in state.growth.items() if first <= day <= last)


def growth_of(state: MemberState, day: int) -> int:
    """The growth of the year that ends with ``day``."""
    return growth_between(state, day - YEAR_DAYS + 1, day)


def first_parts(state: MemberState, points: int, at_ms: int) -> Parts | None:
    """Points that expire first; None when so many are not there. What has expired is not, also while nobody has swept it away."""
    parts, left = [], points
    for expires_ms in sorted(state.batches):
        if expires_ms > at_ms and left:
            taken = min(left, state.batches[expires_ms])
            parts.append((expires_ms, taken))
            left -= taken
    return None if left else tuple(parts)


def usable(state: MemberState, at_ms: int) -> int:
    """Points that may be spent now."""
    return sum(points for expires_ms, points in state.batches.items() if expires_ms > at_ms)


def put(state: MemberState, expires_ms: int, points: int) -> None:
    """Points are there until then."""
    if points:
        state.batches[expires_ms] = state.batches.get(expires_ms, 0) + points
        state.available += points


def take(state: MemberState, parts: Parts) -> None:
    """Points leave their batches."""
    for expires_ms, points in parts:
        state.batches[expires_ms] -= points
        state.available -= points
        if not state.batches[expires_ms]:
            del state.batches[expires_ms]


def view(state: MemberState, at_ms: int, offset_min: int) -> MemberView:
    """How the member stands now."""
    day = day_of(at_ms, offset_min)
    next_ms = min((expires_ms for expires_ms in state.batches if expires_ms > at_ms), default=0)
    return MemberView(
        level_id=state.level_id,
        level_since_ms=state.level_since_ms,
        review_ms=state.review_ms,
        growth=growth_of(state, day),
        available=usable(state, at_ms),
        held=state.held,
        debt=state.debt,
        expiring_points=state.batches.get(next_ms, 0),
        expiring_ms=next_ms,
        streak=state.streak if state.signed_in_day >= day - 1 else 0,
        signed_in_day=state.signed_in_day,
        shipping_used=len(used_in_month(state, day)),
        birthday_month=state.birthday_month,
        birthday_day=state.birthday_day,
        birthday_change_ms=state.birthday_change_ms,
        gifts={coupon_id: until_ms for coupon_id, until_ms in state.gifts.items() if until_ms > at_ms},
    )


def used_in_month(state: MemberState, day: int) -> list[bytes]:
    """The parcels of this month that went free."""
    month = month_of(day)
    return [use_id for use_id, used in state.shipping.items() if used == month]


def invariant(state: MemberState) -> list[str]:
    """What does not hold of this state; empty when all is well. Recomputes the sums, for tests and audits."""
    wrong = imbalance(state)
    if state.available != sum(state.batches.values()) or min(state.batches.values(), default=1) <= 0:
        wrong.append(f"{state.user_id}: available is not the sum of the batches")
    if state.held != sum(hold.points for hold in state.holds.values()):
        wrong.append(f"{state.user_id}: held is not the sum of the holds")
    if any(sum(points for _, points in hold.parts) != hold.points for hold in state.holds.values()):
        wrong.append(f"{state.user_id}: a hold is not the sum of its parts")
    if min(state.growth.values(), default=0) < 0:
        wrong.append(f"{state.user_id}: the growth of a day is negative")
    return wrong


def imbalance(state: MemberState) -> list[str]:
    """What the counters say, in constant time."""
    wrong = []
    if min(state.issued, state.available, state.held, state.spent, state.expired, state.taken_back, state.debt) < 0:
        wrong.append(f"{state.user_id}: an account of points is negative")
    if state.issued != state.available + state.held + state.spent + state.expired + state.taken_back + state.moved - state.debt:
        wrong.append(f"{state.user_id}: points appeared or vanished")
    if state.debt and state.available:
        wrong.append(f"{state.user_id}: points are there beside a debt")
    return wrong
