"""Two members become one: points with their dates, growth, level and gifts move once, whatever is carried twice or answered late."""

from typing import Any

import pytest

from actors.domain import member_state
from actors.domain.entity import Refused
from actors.storage.projections.members import postings
from actors.testing.market import Market
from actors.testing.members import membership
from schemas.ids import derived_id
from schemas.member import (
    CommitPoints,
    Earn,
    HandOver,
    HoldPoints,
    MemberDone,
    ReleasePoints,
    SetBirthday,
    TakeBack,
    TakeOver,
)

OLD, NEW, LAST = "usr_old", "usr_new", "usr_last"
MONTH = 31 * 86_400_000


class Two:
    """Two members and the time."""

    def __init__(self) -> None:
        self.market = Market(membership())

    def ask(self, user_id: str, command: Any, command_id: bytes = b"") -> Any:
        reply = self.market.ask("member", user_id, command, command_id)
        self.check()
        return reply.code if isinstance(reply, Refused) else reply

    def earn(self, user_id: str, amount: int, order_id: str) -> None:
        self.ask(user_id, Earn(order_id=order_id, amount=amount, currency="CNY"))

    def state(self, user_id: str) -> member_state.MemberState:
        return self.market.state("member", user_id)

    def merge(self, gone: str = OLD, survivor: str = NEW) -> Any:
        return self.ask(gone, HandOver(to_user_id=survivor), b"merge" + gone.encode())

    def settle(self) -> None:
        """Carry everything, and wake whoever has something to move on."""
        self.market.carry_all()
        for user_id in (OLD, NEW):
            while self.state(user_id).moved_to and self.is_due(user_id):
                self.market.wake("member", user_id)
                self.market.carry_all()
        self.check()

    def is_due(self, user_id: str) -> bool:
        state = self.state(user_id)
        return bool(state.batches or state.debt or state.growth or state.growth_owed or state.gifts)

    def check(self) -> None:
        self.market.check()
        for (kind, user_id), state in self.market.states.items():
            assert kind == "member"
            assert member_state.invariant(state) == []
            sums: dict[str, int] = {}
            for number, event in enumerate(self.market.events.get(("member", user_id), [])):
                entries = postings(1, number, event)
                assert sum(entry.amount for entry in entries) == 0, event
                for entry in entries:
                    sums[entry.account] = sums.get(entry.account, 0) + entry.amount
            kept = {name: getattr(state, name) for name in ("available", "held", "spent", "expired", "taken_back", "moved")}
            kept |= {"issued": -state.issued, "debt": -state.debt}
            assert {name: amount for name, amount in sums.items() if amount} == {name: amount for name, amount in kept.items() if amount}


def test_points_keep_their_dates_and_growth_and_level_come_along() -> None:
    two = Two()
    two.earn(OLD, 60_000, "ord_1")
    two.market.now_ms += MONTH
    two.earn(OLD, 1000, "ord_2")
    two.earn(NEW, 1000, "ord_3")
    batches = dict(two.state(OLD).batches)
    assert len(batches) == 2
    before = {day: growth for user in (OLD, NEW) for day, growth in two.state(user).growth.items()}
    assert two.merge() == MemberDone(ref=NEW)
    two.settle()
    old, new = two.state(OLD), two.state(NEW)
    assert (old.available, old.growth, old.moved) == (0, {}, 6150)
    assert (new.available, new.moved, new.level_id) == (6250, -6150, "gold")
    own = max(batches)
    assert new.batches == batches | {own: batches[own] + 100}
    assert sum(new.growth.values()) == 620
    assert before.keys() == new.growth.keys()
    assert sum(two.state(user).moved for user in (OLD, NEW)) == 0, "what left has arrived"


@pytest.mark.parametrize("repeats", [1, 2, 5])
def test_a_merge_that_is_repeated_moves_once(repeats: int) -> None:
    two = Two()
    two.earn(OLD, 5000, "ord_1")
    for _ in range(repeats):
        assert two.merge() == MemberDone(ref=NEW)
        two.settle()
    assert two.state(NEW).available == 500
    assert len(two.market.events[("member", NEW)]) == 1
    assert two.ask(OLD, HandOver(to_user_id=LAST)) == "account_closed"
    assert two.ask(LAST, HandOver(to_user_id=LAST)) == "account_closed"


def test_a_transfer_whose_answer_is_lost_comes_again_and_adds_nothing() -> None:
    two = Two()
    two.earn(OLD, 5000, "ord_1")
    two.merge()
    for _ in range(3):
        assert two.market.carry(answer=False) == MemberDone(ref=OLD)
    # Not answered: whatever comes meanwhile waits, so that numbers come in order.
    two.earn(OLD, 2000, "ord_2")
    assert (two.state(OLD).moving, two.state(OLD).available, two.state(NEW).available) == (1, 200, 500)
    assert len(two.market.sends) == 1
    two.settle()
    assert (two.state(OLD).available, two.state(NEW).available, two.state(OLD).transfers) == (0, 700, 2)
    stale = TakeOver(from_user_id=OLD, number=1, estate=two.market.events[("member", OLD)][1].estate)
    assert two.ask(NEW, stale, derived_id("late")) == MemberDone(ref=OLD)
    assert two.state(NEW).available == 700


@pytest.mark.parametrize("end", ["released", "committed"])
def test_what_an_open_order_holds_follows_when_it_comes_back(end: str) -> None:
    two = Two()
    two.earn(OLD, 5000, "ord_1")
    two.ask(OLD, HoldPoints(hold_id=b"h", order_id="ord_2", deadline_ms=two.market.now_ms + 1000, points=200))
    two.merge()
    two.settle()
    assert (two.state(OLD).held, two.state(NEW).available) == (200, 300)
    two.ask(OLD, ReleasePoints(hold_id=b"h") if end == "released" else CommitPoints(hold_id=b"h"))
    two.settle()
    assert (two.state(OLD).held, two.state(OLD).available) == (0, 0)
    assert two.state(NEW).available == (500 if end == "released" else 300)


def test_a_refund_after_the_merge_takes_points_and_growth_from_the_account_that_stays() -> None:
    two = Two()
    two.earn(OLD, 5000, "ord_1")
    two.merge()
    two.settle()
    assert (two.state(NEW).available, sum(two.state(NEW).growth.values())) == (500, 50)
    for _ in range(2):
        two.ask(OLD, TakeBack(refund_id="ref_1", order_id="ord_1", amount=2000))
        two.settle()
    assert (two.state(NEW).available, two.state(NEW).debt, sum(two.state(NEW).growth.values())) == (300, 0, 30)
    assert (two.state(OLD).debt, two.state(OLD).growth_owed) == (0, {})


@pytest.mark.parametrize(("owed", "own", "left"), [(300, 0, (0, 300)), (300, 100, (0, 200)), (300, 300, (0, 0)), (300, 1000, (700, 0))])
def test_a_debt_is_not_escaped_by_a_merge(owed: int, own: int, left: tuple[int, int]) -> None:
    two = Two()
    two.earn(OLD, 10 * owed, "ord_1")
    two.ask(OLD, HoldPoints(hold_id=b"h", order_id="ord_2", deadline_ms=two.market.now_ms + 1000, points=owed))
    two.ask(OLD, CommitPoints(hold_id=b"h"))
    two.ask(OLD, TakeBack(refund_id="ref_1", order_id="ord_1", amount=10 * owed))
    assert two.state(OLD).debt == owed
    if own:
        two.earn(NEW, 10 * own, "ord_3")
    two.market.facts |= membership()
    level = two.state(NEW).level_id
    two.merge()
    two.settle()
    assert (two.state(OLD).debt, two.state(NEW).available, two.state(NEW).debt) == (0, *left), level


def test_points_pay_the_debt_of_the_account_that_stays_first() -> None:
    two = Two()
    two.earn(NEW, 3000, "ord_1")
    two.ask(NEW, HoldPoints(hold_id=b"h", order_id="ord_2", deadline_ms=two.market.now_ms + 1000, points=300))
    two.ask(NEW, CommitPoints(hold_id=b"h"))
    two.ask(NEW, TakeBack(refund_id="ref_1", order_id="ord_1", amount=3000))
    two.earn(OLD, 5000, "ord_3")
    two.merge()
    two.settle()
    assert (two.state(NEW).debt, two.state(NEW).available) == (0, 200)


def test_who_was_merged_into_somebody_who_is_merged_moves_on_to_the_end() -> None:
    two = Two()
    two.earn(OLD, 5000, "ord_1")
    two.merge(OLD, NEW)
    two.merge(NEW, LAST)
    two.settle()
    assert [two.state(user).available for user in (OLD, NEW, LAST)] == [0, 0, 500]
    two.earn(OLD, 1000, "ord_2")
    two.settle()
    assert [two.state(user).available for user in (OLD, NEW, LAST)] == [0, 0, 600]


def test_a_level_comes_along_once_and_not_with_what_follows() -> None:
    two = Two()
    two.earn(OLD, 60_000, "ord_1")
    two.merge()
    two.settle()
    assert two.state(NEW).level_id == "gold"
    while two.state(NEW).level_id == "gold":
        two.market.wake("member", NEW)
    two.earn(OLD, 100, "ord_2")
    two.settle()
    assert (two.state(OLD).level_id, two.state(NEW).level_id, two.state(OLD).transfers) == ("gold", "silver", 2)


def test_a_birthday_and_gifts_come_along_and_the_old_account_gives_none_any_more() -> None:
    two = Two()
    two.earn(OLD, 20_000, "ord_1")
    two.ask(OLD, SetBirthday(month=6, day=1))
    while not two.state(OLD).gifts:
        two.market.wake("member", OLD)
    [gift] = two.state(OLD).gifts.items()
    two.merge()
    two.settle()
    assert (two.state(OLD).gifts, two.state(OLD).birthday_ms) == ({}, 0)
    new = two.state(NEW)
    assert (new.gifts, new.birthday_month, new.birthday_year) == (dict([gift]), 6, two.state(OLD).birthday_year)
    assert new.birthday_ms > two.market.now_ms, "the gift of this year is not given twice"
