"""Coupon quotas: guards in order, conservation, every order of claim, redeem and give back, and replay."""

import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.domain import quota
from actors.domain.entity import Accepted, Answered, Refused, Wake
from actors.domain.quota import QuotaKind
from actors.testing.rehearsal import Rehearsal
from schemas.order import ConfirmHold, HoldAlive
from schemas.quota import Claim, Configure, GiveBack, QuotaDone, QuotaLevel, ReadQuota, Redeem, Reinstate

NOW = 1_700_000_000_000
DAY = 86_400_000
MINUTE = 60_000


def claim(n: int, user_id: str = "usr_a", quantity: int = 1, deadline_ms: int = NOW + 15 * MINUTE) -> Claim:
    return Claim(claim_id=b"claim %d" % n, order_id=f"ord_{n}", user_id=user_id, quantity=quantity, deadline_ms=deadline_ms)


def redeem(n: int) -> Redeem:
    return Redeem(claim_id=b"claim %d" % n)


def give_back(n: int) -> GiveBack:
    return GiveBack(claim_id=b"claim %d" % n)


def reinstate(n: int, user_id: str = "usr_a", quantity: int = 1) -> Reinstate:
    return Reinstate(claim_id=b"claim %d" % n, user_id=user_id, quantity=quantity)


def done(n: int) -> QuotaDone:
    return QuotaDone(claim_id=b"claim %d" % n)


def counts(run: Rehearsal) -> tuple[int, int, int]:
    return run.state.available, run.state.claimed, run.state.redeemed


def configured(total: int = 3, per_user: int = 2) -> Rehearsal:
    run = Rehearsal(QuotaKind(), "cpn_a")
    run.ask(Configure(total=total, per_user=per_user, starts_at_ms=NOW, ends_at_ms=NOW + DAY), NOW)
    return run


def sends_of(run: Rehearsal, at_ms: int) -> tuple[Any, ...]:
    outcome = run.ask(Wake(), at_ms)
    assert isinstance(outcome, Accepted)
    return outcome.sends


def test_a_claim_is_refused_in_the_order_of_the_guards() -> None:
    run = Rehearsal(QuotaKind(), "cpn_a")
    run.ask(give_back(0), NOW)
    assert run.told(claim(0, quantity=0), NOW - 1) == "claim_released"
    assert run.told(claim(1, quantity=0), NOW - 1) == "coupon_unknown"
    run.ask(Configure(total=3, per_user=2, starts_at_ms=NOW, ends_at_ms=NOW + DAY), NOW)
    run.ask(claim(1), NOW)
    assert run.told(claim(1, quantity=0), NOW - 1) == done(1)
    assert run.told(claim(2, quantity=0), NOW - 1) == "quantity_invalid"
    assert run.told(claim(2, quantity=-1), NOW) == "quantity_invalid"
    assert run.told(claim(2, quantity=5), NOW - 1) == "coupon_not_active"
    assert run.told(claim(2, quantity=5), NOW + DAY) == "coupon_not_active"
    assert run.told(claim(2, quantity=2), NOW) == "coupon_limit"
    run.ask(claim(3, user_id="usr_b"), NOW)
    assert run.told(claim(2, user_id="usr_c", quantity=2), NOW) == "coupon_exhausted"
    assert counts(run) == (1, 2, 0)


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        (Configure(total=-1), "invalid_request"),
        (Configure(total=2**53 + 1), "invalid_request"),
        (Configure(total=5, per_user=-1), "invalid_request"),
        (Configure(total=5, starts_at_ms=7, ends_at_ms=7), "invalid_request"),
        (Configure(total=1), "quota_below_used"),
    ],
)
def test_terms_are_refused_in_the_order_of_the_guards(terms: Configure, code: str) -> None:
    run = configured()
    run.ask(claim(1), NOW)
    run.ask(claim(2), NOW)
    run.ask(redeem(2), NOW)
    before = msgspec.msgpack.encode(run.state)
    assert run.told(terms, NOW) == code
    assert msgspec.msgpack.encode(run.state) == before


def test_the_total_may_shrink_to_what_is_used_and_grow_again() -> None:
    run = configured()
    run.ask(claim(1), NOW)
    shrunk = run.told(Configure(total=1, per_user=0, starts_at_ms=NOW, ends_at_ms=NOW + DAY), NOW)
    expected = QuotaLevel(total=1, available=0, claimed=1, redeemed=0, per_user=0, starts_at_ms=NOW, ends_at_ms=NOW + DAY)
    assert shrunk == run.told(ReadQuota(), NOW) == expected
    assert run.told(claim(2), NOW) == "coupon_exhausted"
    run.ask(Configure(total=2, per_user=0, starts_at_ms=NOW, ends_at_ms=NOW + DAY), NOW)
    assert run.told(claim(2), NOW) == done(2)
    assert run.told(ReadQuota(user_id="usr_a"), NOW).used_by_user == 2


def test_the_same_terms_again_write_nothing() -> None:
    run = configured()
    run.ask(Configure(total=3, per_user=2, starts_at_ms=NOW, ends_at_ms=NOW + DAY), NOW)
    assert len(run.events) == 1


def test_a_hundred_claims_of_one_remaining_use_give_it_to_exactly_one() -> None:
    run = configured(total=1, per_user=1)
    answers = [run.told(claim(n, user_id=f"usr_{n}"), NOW) for n in range(100)]
    assert answers == [done(0)] + ["coupon_exhausted"] * 99
    assert counts(run) == (0, 1, 0)


def test_every_order_of_claim_redeem_and_give_back_ends_in_one_effect() -> None:
    ends = {}
    names = {"claim": claim(1), "redeem": redeem(1), "give_back": give_back(1)}
    for order in itertools.permutations(names):
        run = configured()
        answers = tuple(run.told(names[name], NOW) for name in order)
        after = counts(run)
        for name in order:
            run.ask(names[name], NOW)
        assert counts(run) == after
        ends[order] = (*answers, counts(run))
    assert ends == {
        ("claim", "redeem", "give_back"): (done(1), done(1), "claim_redeemed", (2, 0, 1)),
        ("claim", "give_back", "redeem"): (done(1), done(1), "claim_released", (3, 0, 0)),
        ("redeem", "claim", "give_back"): ("claim_unknown", done(1), done(1), (3, 0, 0)),
        ("redeem", "give_back", "claim"): ("claim_unknown", done(1), "claim_released", (3, 0, 0)),
        ("give_back", "claim", "redeem"): (done(1), "claim_released", "claim_released", (3, 0, 0)),
        ("give_back", "redeem", "claim"): (done(1), "claim_released", "claim_released", (3, 0, 0)),
    }


def test_every_order_of_claim_redeem_and_reinstate_ends_with_the_use_available_again() -> None:
    ends = {}
    names = {"claim": claim(1), "redeem": redeem(1), "reinstate": reinstate(1)}
    for order in itertools.permutations(names):
        run = configured()
        answers = tuple(run.told(names[name], NOW) for name in order)
        for _ in range(2):
            assert run.told(names["reinstate"], NOW) == done(1)
            assert (counts(run), run.state.users) == ((3, 0, 0), {})
            assert quota.invariant(run.state) == []
        assert [run.told(names[name], NOW) for name in ("claim", "redeem")] == ["claim_released", "claim_released"]
        ends[order] = answers
        run.check_replay()
    assert ends == {
        ("claim", "redeem", "reinstate"): (done(1), done(1), done(1)),
        ("claim", "reinstate", "redeem"): (done(1), done(1), "claim_released"),
        ("redeem", "claim", "reinstate"): ("claim_unknown", done(1), done(1)),
        ("redeem", "reinstate", "claim"): ("claim_unknown", done(1), "claim_released"),
        ("reinstate", "claim", "redeem"): (done(1), "claim_released", "claim_released"),
        ("reinstate", "redeem", "claim"): (done(1), "claim_released", "claim_released"),
    }


@pytest.mark.parametrize("command", [reinstate(1, quantity=0), reinstate(1, quantity=-1), reinstate(1, quantity=2), reinstate(1, "usr_b")])
def test_nobody_gets_more_uses_back_than_he_has_spent(command: Reinstate) -> None:
    run = configured()
    run.ask(claim(1), NOW)
    run.ask(redeem(1), NOW)
    assert run.told(command, NOW) == "claim_unknown"
    assert (counts(run), run.state.users) == ((2, 0, 1), {"usr_a": 1})


def test_a_use_that_came_back_counts_for_its_user_no_more() -> None:
    run = configured(total=1, per_user=1)
    run.ask(claim(1), NOW)
    run.ask(redeem(1), NOW)
    assert run.told(claim(2), NOW) == "coupon_limit"
    assert run.told(reinstate(1), NOW) == done(1)
    assert run.told(claim(2), NOW) == done(2)
    assert counts(run) == (0, 1, 0)


def test_what_is_given_back_may_be_claimed_again_by_anybody_also_by_its_user() -> None:
    run = configured(total=1, per_user=1)
    run.ask(claim(1), NOW)
    assert run.told(give_back(1), NOW) == done(1)
    assert run.told(give_back(1), NOW) == done(1)
    assert (counts(run), run.state.users) == ((1, 0, 0), {})
    assert run.told(claim(2), NOW) == done(2)
    assert counts(run) == (0, 1, 0)


def test_a_finished_claim_is_known_for_a_week_at_least_and_two_at_most() -> None:
    run = configured()
    run.ask(give_back(1), NOW)
    run.ask(give_back(2), NOW + 7 * DAY)
    assert run.told(redeem(1), NOW + 7 * DAY) == "claim_released"
    run.ask(give_back(3), NOW + 14 * DAY)
    assert run.told(redeem(1), NOW + 14 * DAY) == "claim_unknown"
    assert run.told(redeem(2), NOW + 14 * DAY) == "claim_released"


def test_overdue_claims_are_asked_about_in_batches_and_stay_claimed_without_an_answer() -> None:
    run = configured(total=1000, per_user=0)
    for n in range(250):
        run.ask(claim(n, user_id=f"usr_{n}"), NOW)
    due = run.kind.wake_at(run.state)
    assert due is not None
    assert 0 <= due - (NOW + 16 * MINUTE) < quota.SLOT_MS
    assert sends_of(run, due - 1) == ()
    batches = [sends_of(run, due) for _ in range(4)]
    assert [len(batch) for batch in batches] == [100, 100, 50, 0]
    sends = [send for batch in batches for send in batch]
    assert len({send.id for send in sends}) == 250
    assert (sends[7].kind, sends[7].key) == ("order", "usr_7")
    assert sends[7].command == ConfirmHold(order_id="ord_7", reservation_id=b"claim 7")
    assert run.kind.wake_at(run.state) is None
    assert counts(run) == (750, 250, 0)


@pytest.mark.parametrize("reply", [HoldAlive(alive=True), None])
def test_a_claim_whose_order_lives_or_cannot_say_is_kept_and_asked_about_anew(reply: HoldAlive | None) -> None:
    run = configured()
    run.ask(claim(1), NOW)
    at_ms = NOW + 17 * MINUTE
    (first,) = sends_of(run, at_ms)
    answer = Answered(step=first.step, reply=reply, refused=None if reply else Refused(code="busy"))
    run.ask(answer, at_ms)
    assert counts(run) == (2, 1, 0)
    events = len(run.events)
    run.ask(answer, at_ms)
    assert len(run.events) == events
    (second,) = sends_of(run, at_ms + quota.AGAIN_MS + quota.SLOT_MS)
    assert (second.step, second.command) == (first.step, first.command)
    assert second.id != first.id


def test_a_claim_whose_order_does_not_live_is_given_back_once() -> None:
    run = configured()
    run.ask(claim(1), NOW)
    (send,) = sends_of(run, NOW + 17 * MINUTE)
    for _ in range(2):
        run.ask(Answered(step=send.step, reply=HoldAlive(alive=False)), NOW + 18 * MINUTE)
    assert (counts(run), run.state.users) == ((3, 0, 0), {})
    assert run.events[-1].reason == "abandoned"
    assert run.told(redeem(1), NOW + 19 * MINUTE) == "claim_released"
    assert len(run.events) == 4


def test_a_claim_that_was_redeemed_while_its_order_was_asked_stays_redeemed() -> None:
    run = configured()
    run.ask(claim(1), NOW)
    (send,) = sends_of(run, NOW + 17 * MINUTE)
    run.ask(redeem(1), NOW + 17 * MINUTE)
    run.ask(Answered(step=send.step, reply=HoldAlive(alive=False)), NOW + 18 * MINUTE)
    assert counts(run) == (2, 0, 1)


def test_the_earliest_deadline_wakes_the_quota_whatever_comes_and_goes() -> None:
    run = configured(total=100, per_user=0)
    run.ask(claim(1, deadline_ms=NOW + 60 * MINUTE), NOW)
    run.ask(claim(2, deadline_ms=NOW + 10 * MINUTE), NOW)
    run.ask(claim(3, deadline_ms=NOW + 30 * MINUTE), NOW)
    wakes = [run.kind.wake_at(run.state)]
    for n in (2, 3, 1):
        run.ask(redeem(n), NOW)
        wakes.append(run.kind.wake_at(run.state))
    assert wakes == [NOW + 11 * MINUTE, NOW + 31 * MINUTE, NOW + 61 * MINUTE, None]


numbers = st.integers(0, 5)
commands = st.one_of(
    st.builds(claim, numbers, st.sampled_from(["usr_a", "usr_b"]), st.integers(-1, 3), st.integers(NOW, NOW + DAY)),
    st.builds(claim, numbers, st.sampled_from(["usr_a", "usr_b"]), st.just(1), st.integers(NOW, NOW + DAY)),
    st.builds(redeem, numbers),
    st.builds(give_back, numbers),
    st.builds(reinstate, numbers, st.sampled_from(["usr_a", "usr_b"]), st.integers(-1, 3)),
    st.builds(Configure, total=st.integers(-1, 8), per_user=st.integers(0, 3)),
    st.just(Wake()),
    st.builds(
        Answered,
        step=numbers.map(lambda n: "ask:" + (b"claim %d" % n).hex()),
        reply=st.sampled_from([HoldAlive(alive=True), HoldAlive(alive=False), None]),
    ),
    st.builds(ReadQuota, user_id=st.sampled_from(["", "usr_a"])),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(commands, st.sampled_from([0, 1000, 20 * MINUTE, 4 * DAY])), max_size=40))
def test_whatever_happens_uses_are_conserved_and_replay_gives_the_state_again(steps: list[Any]) -> None:
    run, at_ms = Rehearsal(QuotaKind(), "cpn_a"), NOW
    run.ask(Configure(total=5, per_user=2), at_ms)
    for command, pause in steps:
        at_ms += pause
        reply = run.told(command, at_ms)
        assert quota.invariant(run.state) == []
        if isinstance(reply, QuotaLevel):
            assert msgspec.structs.replace(reply, used_by_user=0) == quota.level(run.state)
    run.check_replay()
