"""Points kept for orders and exchanged in the mall: every order of messages, and what holds whatever happens."""

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.domain import member_state
from actors.domain.entity import Accepted, Refused, Wake
from actors.domain.member import MemberKind
from actors.domain.member_points import AGAIN_MS, GRACE_MS
from actors.storage.projections.members import postings
from actors.testing.market import Market, shop
from actors.testing.members import membership
from schemas.member import (
    CommitPoints,
    Earn,
    HoldPoints,
    PointsDone,
    Redeemed,
    ReinstatePoints,
    ReleasePoints,
    ReviewGrowth,
    SetBirthday,
    SignIn,
    SpendInMall,
    TakeBack,
)
from schemas.order import ConfirmHold, HoldAlive
from schemas.quota import Configure

USER = "usr_a"
DAY = 86_400_000
DEADLINE = 900_000


class Account:
    """One member with 100 points."""

    def __init__(self, *, staged: bool = False, points: int = 100) -> None:
        self.market = Market(shop() | membership(), staged=staged)
        self.market.ask("member", USER, Earn(order_id="ord_0", amount=points * 10, currency="CNY"))

    def ask(self, command: Any) -> Any:
        reply = self.market.ask("member", USER, command)
        return reply.code if isinstance(reply, Refused) else reply

    def hold(self, name: bytes = b"h", points: int = 60, **terms: Any) -> Any:
        deadline_ms = self.market.now_ms + DEADLINE
        return self.ask(HoldPoints(hold_id=name, order_id="ord_1", points=points, deadline_ms=deadline_ms, **terms))

    @property
    def state(self) -> member_state.MemberState:
        return self.market.state("member", USER)

    def counts(self) -> tuple[int, int, int]:
        self.market.check()
        assert member_state.invariant(self.state) == []
        return self.state.available, self.state.held, self.state.spent


DONE = PointsDone(hold_id=b"h")


def test_a_hold_refuses_in_the_order_of_its_guards() -> None:
    account = Account()
    account.ask(ReleasePoints(hold_id=b"gone"))
    assert account.hold(b"gone") == "hold_released"
    assert account.hold(level_id="gold", points=-1) == "member_level_changed"
    assert account.hold(points=-1, gifts=("cpn_gift",)) == "invalid_request"
    assert account.hold(points=101, gifts=("cpn_gift",)) == "coupon_not_yours"
    assert account.hold(points=101) == "points_insufficient"
    assert account.hold(points=0, level_id="") == DONE
    assert account.counts() == (100, 0, 0)
    assert [account.hold(), account.hold()] == [DONE, DONE]
    assert account.counts() == (40, 60, 0)


@pytest.mark.parametrize("order", list(itertools.permutations(("hold", "commit", "release"))))
def test_hold_commit_and_release_in_every_order_each_twice_leave_one_end(order: tuple[str, ...]) -> None:
    account = Account()
    answers: dict[str, list[Any]] = {}
    for name in order:
        for _ in range(2):
            command = {"commit": CommitPoints(hold_id=b"h"), "release": ReleasePoints(hold_id=b"h")}.get(name)
            answers.setdefault(name, []).append(account.hold() if command is None else account.ask(command))
    assert all(first == second for first, second in answers.values())
    if order.index("release") < order.index("hold") or order.index("release") < order.index("commit"):
        assert account.counts() == (100, 0, 0)
    elif order.index("commit") < order.index("hold"):
        assert account.counts() == (100, 0, 0), "an answer that came too early spends nothing"
    else:
        assert account.counts() == (40, 0, 60)


def test_points_that_expire_first_are_spent_first_and_go_back_where_they_were() -> None:
    account = Account()
    account.market.now_ms += 40 * DAY
    account.ask(Earn(order_id="ord_2", amount=500, currency="CNY"))
    early, late = sorted(account.state.batches)
    account.hold(points=120)
    assert account.state.batches == {late: 30}
    account.ask(ReleasePoints(hold_id=b"h"))
    assert account.state.batches == {early: 100, late: 50}


def test_expiry_takes_nothing_that_is_held_and_everything_that_comes_back_too_late() -> None:
    account = Account()
    account.hold()
    expires_ms = min(account.state.batches)
    account.market.now_ms = expires_ms
    account.ask(Wake())
    assert (account.counts(), account.state.expired) == ((0, 60, 0), 40)
    account.ask(ReleasePoints(hold_id=b"h"))
    assert account.hold(b"i", 1) == "points_insufficient", "what has run out cannot be spent, swept away or not"
    account.ask(Wake())
    assert (account.counts(), account.state.expired) == ((0, 0, 0), 100)


def test_held_points_that_expire_meanwhile_are_spent_all_the_same() -> None:
    account = Account()
    account.hold()
    account.market.now_ms += 500 * DAY
    assert account.ask(CommitPoints(hold_id=b"h")) == DONE
    assert account.counts() == (40, 0, 60)


def test_a_refund_while_points_are_held_makes_a_debt_that_the_release_pays() -> None:
    account = Account()
    account.hold()
    account.ask(TakeBack(refund_id="ref_1", order_id="ord_0", amount=1000))
    assert (account.counts(), account.state.debt) == ((0, 60, 0), 60)
    account.ask(ReleasePoints(hold_id=b"h"))
    assert (account.counts(), account.state.debt) == ((0, 0, 0), 0)


@pytest.mark.parametrize("before", ["nothing", "held", "spent"])
def test_reinstated_points_come_back_whatever_became_of_them(before: str) -> None:
    account = Account()
    if before != "nothing":
        account.hold()
    if before == "spent":
        account.ask(CommitPoints(hold_id=b"h"))
    for _ in range(2):
        assert account.ask(ReinstatePoints(hold_id=b"h", points=60)) == DONE
    assert account.counts() == (100, 0, 0)
    assert account.hold() == "hold_released"
    assert account.ask(CommitPoints(hold_id=b"h")) == "hold_released"


def test_an_overdue_hold_asks_its_order_and_keeps_until_it_hears_that_it_is_dead() -> None:
    account = Account()
    account.hold()
    due_ms = account.market.now_ms + DEADLINE + GRACE_MS
    assert MemberKind().wake_at(account.state) == due_ms
    account.market.wake("member", USER)
    sender, send = account.market.sends[0]
    assert (sender, send.kind, send.key) == (("member", USER), "order", USER)
    assert send.command == ConfirmHold(order_id="ord_1", reservation_id=b"h")
    account.market.sends.clear()
    account.market.answer(sender, send.step, HoldAlive(alive=True))
    assert account.state.holds[b"h"].ask_ms == due_ms + AGAIN_MS
    account.market.wake("member", USER)
    assert account.market.sends[0][1].id != send.id, "each question has its own id"
    account.market.carry_all()
    assert account.counts() == (100, 0, 0)


# --- the mall -----------------------------------------------------------------------------------------


def exchange(account: Account, item_id: str = "mal_coupon", points: int = 50, name: bytes = b"x") -> Any:
    reply = account.market.ask("member", USER, SpendInMall(redemption_id="rdm_1", item_id=item_id, points=points), name)
    account.market.carry_all()
    reply = account.market.answers.get(name, reply)
    return reply.code if isinstance(reply, Refused) else reply


@pytest.mark.parametrize("staged", [False, True], ids=["in one flush", "as a saga"])
def test_an_exchange_spends_points_and_one_of_the_item(staged: bool) -> None:
    account = Account(staged=staged)
    account.market.ask("quota", "mal_coupon", Configure(total=3, per_user=1))
    got = Redeemed(redemption_id="rdm_1", item_id="mal_coupon", kind="coupon", coupon_id="cpn_gift", points=50)
    assert exchange(account) == got
    assert account.counts() == (50, 0, 50)
    assert account.state.gifts == {"cpn_gift": account.market.now_ms + 30 * DAY}
    quota = account.market.state("quota", "mal_coupon")
    assert (quota.available, quota.claimed, quota.redeemed) == (2, 0, 1)
    assert exchange(account, name=b"y") == "mall_item_limit"
    assert (account.counts(), account.state.holds, account.state.redeeming) == ((50, 0, 50), {}, {})


@pytest.mark.parametrize("staged", [False, True], ids=["in one flush", "as a saga"])
def test_an_exchange_is_refused_for_what_is_not_there(staged: bool) -> None:
    account = Account(staged=staged)
    account.market.ask("quota", "mal_mug", Configure(total=0))
    assert exchange(account, "mal_none") == "mall_item_unknown"
    assert exchange(account, "mal_gone", 80) == "mall_item_unknown"
    assert exchange(account, "mal_mug", 79) == "points_changed"
    assert exchange(account, "mal_mug", 80, b"a") == "mall_item_gone"
    assert exchange(account, "mal_coupon", 50, b"b") == "mall_item_unknown", "its quota was never set"
    assert account.counts() == (100, 0, 0)
    account.hold(points=60)
    assert exchange(account, "mal_coupon", 50, b"c") == "points_insufficient"


def test_the_mall_s_quota_hears_from_the_member_whether_a_claim_lives() -> None:
    account = Account(staged=True)
    account.market.ask("quota", "mal_mug", Configure(total=3))
    account.market.ask("member", USER, SpendInMall(redemption_id="rdm_1", item_id="mal_mug", points=80), b"x")
    account.market.carry(0, answer=False)
    account.market.wake("quota", "mal_mug")
    asked = account.market.sends[-1][1]
    assert asked.kind == "member"
    assert account.market.ask("member", USER, asked.command) == HoldAlive(alive=True)
    account.market.carry_all()
    assert account.market.ask("member", USER, asked.command) == HoldAlive(alive=True)
    assert account.market.ask("member", USER, ConfirmHold(order_id="rdm_1", reservation_id=b"?")) == HoldAlive(alive=False)
    assert account.counts() == (20, 0, 80)


# --- whatever happens ---------------------------------------------------------------------------------

NAMES = st.sampled_from([b"h1", b"h2", b"h3"])
ORDERS = st.sampled_from(["ord_1", "ord_2", "ord_3"])
COMMANDS = st.one_of(
    st.builds(Earn, order_id=ORDERS, amount=st.integers(0, 60_000), currency=st.just("CNY")),
    st.builds(TakeBack, refund_id=st.sampled_from(["ref_1", "ref_2", "ref_3"]), order_id=ORDERS, amount=st.integers(0, 60_000)),
    st.builds(HoldPoints, hold_id=NAMES, order_id=st.just("ord_9"), deadline_ms=st.just(0), points=st.integers(0, 500)),
    st.builds(CommitPoints, hold_id=NAMES),
    st.builds(ReleasePoints, hold_id=NAMES),
    st.builds(ReinstatePoints, hold_id=NAMES, points=st.integers(0, 500)),
    st.builds(ReviewGrowth, review_id=st.sampled_from(["rev_1", "rev_2"])),
    st.builds(SetBirthday, month=st.integers(0, 13), day=st.integers(0, 32)),
    st.builds(SignIn, day=st.integers(19_675, 19_700)),
    st.just(Wake()),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(COMMANDS, st.integers(0, 200 * DAY)), max_size=40))
@pytest.mark.slow
def test_points_neither_appear_nor_vanish_and_each_command_twice_is_once(steps: list[tuple[Any, int]]) -> None:
    """Conservation in every posting and in the sums; no account negative; a replay gives the live state."""
    account = Account()
    for command, later_ms in steps:
        account.market.now_ms += later_ms
        account.ask(command)
        assert member_state.invariant(account.state) == []
        if not isinstance(command, Wake):
            written = len(account.market.events[("member", USER)])
            account.ask(command)
            assert len(account.market.events[("member", USER)]) == written
    account.market.check()
    sums: dict[str, int] = {}
    names = set()
    for number, event in enumerate(account.market.events[("member", USER)]):
        entries = postings(0, number, event)
        assert sum(entry.amount for entry in entries) == 0
        for entry in entries:
            assert (entry.posting, entry.account) not in names
            names.add((entry.posting, entry.account))
            sums[entry.account] = sums.get(entry.account, 0) + entry.amount
    state = account.state
    counters = {
        "issued": -state.issued, "available": state.available, "held": state.held, "spent": state.spent, "expired": state.expired,
        "taken_back": state.taken_back, "debt": -state.debt,
    }  # fmt: skip
    assert {name: amount for name, amount in sums.items() if amount} == {name: amount for name, amount in counters.items() if amount}


@given(st.lists(st.tuples(COMMANDS, st.integers(0, 100 * DAY)), max_size=20))
@settings(max_examples=50, deadline=None)
@pytest.mark.slow
def test_a_wake_always_does_what_is_due(steps: list[tuple[Any, int]]) -> None:
    """No reminder fires for ever: each wake at its time moves something on."""
    account = Account()
    for command, later_ms in steps:
        account.market.now_ms += later_ms
        account.ask(command)
    kind = MemberKind()
    for _ in range(30):
        due_ms = kind.wake_at(account.state)
        if due_ms is None:
            break
        account.market.now_ms = max(account.market.now_ms, due_ms)
        outcome = account.market._decide("member", USER, Wake(), b"wake")
        assert isinstance(outcome, Accepted)
        assert outcome.events
        account.market._take(("member", USER), outcome)
