"""Members: earning, refunds, levels, visits, birthdays, parcels that go free, and replay."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from actors.domain import member_state
from actors.domain.dates import day_of
from actors.domain.entity import Refused
from actors.domain.member import MemberKind
from actors.domain.member_benefits import fulfilment_priority, support_queue
from actors.testing.market import Market
from actors.testing.members import RULES, membership
from schemas.member import (
    BirthdayKept,
    BirthdayView,
    Earn,
    HoldPoints,
    MemberDone,
    MemberLevelSet,
    MemberView,
    ReadMember,
    ReturnFreeShipping,
    ReviewGrowth,
    SetBirthday,
    SignedIn,
    SignIn,
    TakeBack,
    TakeFreeShipping,
)

USER = "usr_a"
DAY = 86_400_000


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


class Member:
    """One member and the time."""

    def __init__(self, now: str = "2023-03-10T12:00:00", **facts: Any) -> None:
        self.market = Market(membership() | facts)
        self.market.now_ms = at(now)

    def ask(self, command: Any) -> Any:
        reply = self.market.ask("member", USER, command)
        self.market.check()
        assert member_state.invariant(self.state) == []
        return reply.code if isinstance(reply, Refused) else reply

    @property
    def state(self) -> member_state.MemberState:
        return self.market.state("member", USER)

    def view(self) -> MemberView:
        view = self.ask(ReadMember())
        assert isinstance(view, MemberView)
        return view

    def earn(self, amount: int, order_id: str = "ord_1") -> None:
        done = self.ask(Earn(order_id=order_id, amount=amount, currency="CNY"))
        assert done == MemberDone(ref=order_id, priority=self.state.orders[order_id].priority)

    def wake(self) -> str:
        """Until the next reminder; its day."""
        self.market.wake("member", USER)
        assert member_state.invariant(self.state) == []
        return datetime.fromtimestamp(self.market.now_ms / 1000, UTC).strftime("%Y-%m-%d")

    def points(self) -> tuple[int, int]:
        return self.state.available, self.state.debt


def test_a_payment_earns_growth_and_points_once() -> None:
    member = Member()
    member.earn(2550)
    member.earn(2550)
    member.earn(9999)
    view = member.view()
    assert (view.growth, view.available, view.level_id) == (26, 255, "")
    assert view.expiring_ms == at("2024-04-01T00:00:00")
    assert member.state.orders["ord_1"].amount == 2550


@pytest.mark.parametrize(
    ("currency", "facts"), [("JPY", {}), ("CNY", {"member:rules": None})], ids=["a currency without a rate", "a shop without rules"]
)
def test_what_no_rule_speaks_of_earns_nothing(currency: str, facts: dict[str, Any]) -> None:
    member = Member(**facts)
    assert member.ask(Earn(order_id="ord_1", amount=500, currency=currency)) == MemberDone(ref="ord_1")
    assert member.market.events == {}


def test_a_level_is_reached_at_once_and_earns_more_from_then_on() -> None:
    member = Member()
    member.earn(60_000)
    assert (member.view().level_id, member.state.available) == ("gold", 6000)
    assert member.state.review_ms == at("2024-03-10T00:00:00")
    member.earn(1000, "ord_2")
    assert member.state.available == 6000 + 150


def test_refunds_take_back_in_proportion_and_the_last_one_leaves_nothing() -> None:
    member = Member()
    member.earn(1000)
    for number, amount in enumerate((333, 333, 334)):
        back = TakeBack(refund_id=f"ref_{number}", order_id="ord_1", amount=amount)
        assert member.ask(back) == MemberDone(ref=f"ref_{number}")
        assert member.ask(back) == MemberDone(ref=f"ref_{number}")
    assert (member.points(), member.view().growth, member.state.taken_back) == ((0, 0), 0, 100)


def test_a_refund_that_comes_before_its_payment_leaves_a_tombstone() -> None:
    member = Member()
    assert member.ask(TakeBack(refund_id="ref_1", order_id="ord_1", amount=400)) == MemberDone(ref="ref_1")
    member.earn(1000)
    assert (member.points(), member.view().growth) == ((60, 0), 6)
    member.ask(TakeBack(refund_id="ref_1", order_id="ord_1", amount=400))
    assert member.points() == (60, 0)
    member.ask(TakeBack(refund_id="ref_2", order_id="ord_1", amount=600))
    assert (member.points(), member.view().growth) == ((0, 0), 0)


def test_a_level_that_was_reached_with_money_that_went_back_goes_with_it() -> None:
    member = Member()
    member.earn(20_000)
    member.market.now_ms += DAY
    member.earn(40_000, "ord_2")
    assert member.state.level_id == "gold"
    member.ask(TakeBack(refund_id="ref_1", order_id="ord_2", amount=5_000))
    assert member.state.level_id == "gold", "what is left is enough"
    member.ask(TakeBack(refund_id="ref_2", order_id="ord_1", amount=20_000))
    assert member.state.level_id == "silver"
    member.ask(TakeBack(refund_id="ref_3", order_id="ord_2", amount=35_000))
    assert (member.state.level_id, member.state.review_ms) == ("ordinary", 0)


def test_a_level_from_before_an_order_waits_for_its_review() -> None:
    member = Member("2023-03-10T12:00:00")
    member.earn(60_000)
    member.market.now_ms = at("2024-03-09T12:00:00")
    member.earn(1000, "ord_2")
    member.market.now_ms = at("2024-03-10T12:00:00")
    member.ask(TakeBack(refund_id="ref_1", order_id="ord_2", amount=1000))
    assert (member.view().growth, member.view().level_id) == (0, "gold")


@pytest.mark.parametrize(
    ("reached", "reviews"),
    [
        ("2023-03-10T23:59:59", ["2024-03-10", "2025-03-10"]),
        ("2024-02-29T12:00:00", ["2025-02-28", "2026-02-28"]),
        ("2023-02-28T00:00:00", ["2024-02-28", "2025-02-28"]),
        ("2023-12-31T23:59:59", ["2024-12-31", "2025-12-31"]),
        ("2024-01-31T00:00:00", ["2025-01-31", "2026-01-31"]),
    ],
)
def test_a_level_is_reviewed_every_year_on_its_date_and_lowered_by_one(reached: str, reviews: list[str]) -> None:
    member = Member(reached)
    member.earn(60_000)
    found = []
    while member.state.review_ms:
        day = member.wake()
        event = member.market.events[("member", USER)][-1]
        if isinstance(event, MemberLevelSet):
            found.append((day, event.reason, event.level_id))
    kept, *lowered = found
    # The growth of the day on which the level was reached is in the year before the first review.
    assert kept == (reviews[0], "kept", "gold")
    assert lowered[0] == (reviews[1], "lowered", "silver")
    assert [level_id for _, _, level_id in lowered] == ["silver", "ordinary"]


def test_days_in_a_row_earn_more_and_a_missed_day_begins_again() -> None:
    member = Member("2023-02-26T09:00:00")
    given = []
    for _ in range(9):
        day = day_of(member.market.now_ms)
        signed = member.ask(SignIn(day=day))
        assert member.ask(SignIn(day=day)) == signed
        given.append((signed.streak, signed.points))
        member.market.now_ms += DAY
    assert given == [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (7, 10), (8, 1), (9, 2)]
    member.market.now_ms += DAY
    day = day_of(member.market.now_ms)
    assert member.view().streak == 0
    assert member.ask(SignIn(day=day)) == SignedIn(day=day, streak=1, points=1)
    assert [member.ask(SignIn(day=day + offset)) for offset in (-1, 1)] == ["sign_in_day", "sign_in_day"]
    assert member.state.available == 35


def test_a_clock_that_was_set_back_brings_no_day_a_second_time() -> None:
    member = Member()
    today = day_of(member.market.now_ms)
    for day in (today, today + 1):
        member.market.now_ms = day * DAY
        assert isinstance(member.ask(SignIn(day=day)), SignedIn)
    member.market.now_ms = today * DAY
    assert member.ask(SignIn(day=today)) == "sign_in_day"


def test_a_shop_in_the_east_has_its_days_earlier() -> None:
    rules = msgspec.structs.replace(RULES, terms=msgspec.structs.replace(RULES.terms, utc_offset_min=480))
    member = Member("2023-03-10T16:00:00", **{"member:rules": rules})
    today = day_of(at("2023-03-11T00:00:00"))
    assert member.ask(SignIn(day=today)) == SignedIn(day=today, streak=1, points=1)
    assert member.state.batches == {at("2024-03-31T16:00:00"): 1}


def test_of_many_orders_the_oldest_are_forgotten_and_their_refunds_take_nothing_back() -> None:
    member = Member()
    for number in range(member_state.ORDERS_MAX + 1):
        member.market.ask("member", USER, Earn(order_id=f"ord_{number}", amount=100, currency="CNY"))
    assert (len(member.state.orders), "ord_0" in member.state.orders) == (member_state.ORDERS_MAX, False)
    before = member.points()
    member.ask(TakeBack(refund_id="ref_0", order_id="ord_0", amount=100))
    assert member.points() == before


def test_members_do_not_all_wake_at_the_end_of_the_month() -> None:
    hours = set()
    for number in range(200):
        state = member_state.MemberState(user_id=f"usr_{number}", batches={at("2024-04-01T00:00:00"): 1}, available=1, issued=1)
        due_ms = MemberKind().wake_at(state)
        assert due_ms is not None
        hours.add((due_ms - at("2024-04-01T00:00:00")) // 3_600_000)
    assert hours == {0, 1, 2, 3, 4, 5}


@pytest.mark.parametrize(
    ("reviews", "growth", "points", "rules", "level"),
    [
        ((), 5, 10, (0, 0), ""),
        (("rev_1",), 5, 10, (5, 10), ""),
        (("rev_1", "rev_1", "rev_1"), 5, 10, (5, 10), ""),
        (("rev_1", "rev_2", "rev_1"), 5, 10, (10, 20), ""),
        (("rev_1",), 0, 10, (0, 10), ""),
        (("rev_1",), 5, 0, (5, 0), ""),
        (("rev_1", "rev_2"), 60, 0, (120, 0), "silver"),
        (("rev_1",), 500, 7, (500, 7), "gold"),
        (("rev_1", "rev_2"), 0, 0, (0, 0), ""),
    ],
)
def test_a_review_earns_what_the_rules_say_and_once(
    reviews: tuple[str, ...], growth: int, points: int, rules: tuple[int, int], level: str
) -> None:
    terms = msgspec.structs.replace(RULES.terms, review_growth=growth, review_points=points)
    member = Member(**{"member:rules": msgspec.structs.replace(RULES, terms=terms)})
    for review_id in reviews:
        assert member.ask(ReviewGrowth(review_id=review_id)) == MemberDone(ref=review_id)
    assert (member.view().growth, member.points(), member.state.level_id) == (rules[0], (rules[1], 0), level)


def test_a_review_pays_a_debt_first_and_earns_nothing_in_a_shop_without_rules() -> None:
    member = Member()
    member.earn(1000)
    member.ask(HoldPoints(hold_id=b"h", order_id="ord_2", deadline_ms=2**50, points=100))
    member.ask(TakeBack(refund_id="ref_1", order_id="ord_1", amount=40))
    assert member.points() == (0, 4)
    member.ask(ReviewGrowth(review_id="rev_1"))
    assert member.points() == (6, 0)
    without = Member(**{"member:rules": None})
    assert without.ask(ReviewGrowth(review_id="rev_1")) == MemberDone(ref="rev_1")
    assert without.market.events == {}


def test_points_expire_at_the_end_of_their_month_and_the_account_says_so() -> None:
    member = Member("2023-03-31T23:00:00")
    member.earn(100)
    member.market.now_ms += 2 * 3_600_000
    member.earn(100, "ord_2")
    assert member.wake() == "2024-04-01"
    assert (member.points(), member.state.expired) == ((10, 0), 10)
    assert member.wake() == "2024-05-01"
    assert (member.points(), member.state.expired) == ((0, 0), 20)


def test_a_debt_is_paid_by_the_next_earnings_and_nothing_is_ever_negative() -> None:
    member = Member("2023-03-10T12:00:00")
    member.earn(1000)
    member.wake()
    member.ask(TakeBack(refund_id="ref_1", order_id="ord_1", amount=1000))
    assert member.points() == (0, 100)
    member.earn(600, "ord_2")
    assert member.points() == (0, 40)
    member.earn(600, "ord_3")
    assert member.points() == (20, 0)


@pytest.mark.parametrize(
    ("now", "birthday", "gifts"),
    [
        ("2023-01-10T12:00:00", (3, 8), ["2023-03-08", "2024-03-08"]),
        ("2023-01-10T12:00:00", (2, 29), ["2023-02-28", "2024-02-29"]),
        ("2023-01-10T12:00:00", (1, 9), ["2024-01-09", "2025-01-09"]),
        ("2023-01-10T12:00:00", (12, 31), ["2023-12-31", "2024-12-31"]),
    ],
)
def test_a_birthday_brings_a_gift_once_a_year(now: str, birthday: tuple[int, int], gifts: list[str]) -> None:
    member = Member(now)
    member.earn(20_000)
    member.ask(SetBirthday(month=birthday[0], day=birthday[1]))
    found = []
    while len(found) < 2:
        day = member.wake()
        event = member.market.events[("member", USER)][-1]
        if isinstance(event, BirthdayKept):
            found.append(day)
            assert (event.coupon_id, member.view().gifts) == ("cpn_gift", {"cpn_gift": event.until_ms})
            assert event.until_ms == member.market.now_ms + 30 * DAY
    assert found == gifts


def test_a_birthday_is_changed_once_a_year_and_moves_no_second_gift() -> None:
    member = Member("2023-03-08T12:00:00")
    member.earn(20_000)
    assert member.ask(SetBirthday(month=2, day=30)) == "invalid_request"
    assert member.ask(SetBirthday(month=13, day=1)) == "invalid_request"
    view = member.ask(SetBirthday(month=3, day=8))
    assert view == BirthdayView(month=3, day=8, change_ms=member.market.now_ms + 365 * DAY)
    assert member.ask(SetBirthday(month=3, day=8)) == view
    assert member.ask(SetBirthday(month=3, day=9)) == "birthday_locked"
    assert member.wake() == "2023-03-08", "today is the day"
    member.market.now_ms = view.change_ms
    assert member.ask(SetBirthday(month=12, day=1)) == BirthdayView(month=12, day=1, change_ms=view.change_ms + 365 * DAY)
    days = [member.wake() for _ in range(4)]
    events = member.market.events[("member", USER)]
    kept = [event.year for event in events if isinstance(event, BirthdayKept) and event.coupon_id]
    assert (len(set(kept)), days == sorted(days)) == (len(kept), True)


def test_the_level_says_how_many_parcels_of_a_month_go_free() -> None:
    member = Member("2023-03-31T12:00:00")
    take = [TakeFreeShipping(use_id=b"%d" % number, order_id="ord_1") for number in range(5)]
    assert member.ask(take[0]) == "free_shipping_used"
    member.earn(60_000)
    assert [member.ask(take[0]), member.ask(take[0]), member.ask(take[1])] == [MemberDone(ref="ord_1")] * 3
    assert member.ask(take[2]) == "free_shipping_used"
    for _ in range(2):
        member.ask(ReturnFreeShipping(use_id=b"1"))
    assert member.ask(take[1]) == "hold_released"
    assert member.ask(take[2]) == MemberDone(ref="ord_1")
    member.ask(ReturnFreeShipping(use_id=b"4"))
    member.market.now_ms += DAY
    assert member.ask(take[4]) == "hold_released", "a return that came first leaves a tombstone"
    assert (member.ask(take[3]), member.view().shipping_used) == (MemberDone(ref="ord_1"), 1)


def test_fulfilment_and_support_are_told_whom_to_serve_first() -> None:
    member = Member()
    member.earn(60_000)
    event = member.market.events[("member", USER)][-1]
    assert (event.priority, event.support_queue) == (2, "dedicated")
    assert [fulfilment_priority(RULES, level) for level in ("gold", "silver", "", "gone")] == [2, 1, 0, 0]
    assert [support_queue(RULES, level) for level in ("gold", "")] == ["dedicated", "standard"]
