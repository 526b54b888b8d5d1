"""The budget of text messages: windows, limits, prefixes, and replay."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.domain import sms_budget
from actors.domain.entity import Accepted, Refused, Wake
from actors.domain.sms_budget import Budget, SmsBudgetKind, budget_of, parse_budgets
from actors.testing.rehearsal import Rehearsal
from schemas.codes import SmsGranted, SpendSms

DAY = 86_400_000
HOUR = 3_600_000
MIDNIGHT = 19_000 * DAY
SPEND = SpendSms(hour_max=3, day_max=5)


def test_f66_the_budget_of_an_hour_stops_messages_until_the_next_hour() -> None:
    run = Rehearsal(SmsBudgetKind(), "+44")
    left = [run.told(SPEND, MIDNIGHT + n) for n in range(3)]
    assert left == [SmsGranted(hour_left=2, day_left=4), SmsGranted(hour_left=1, day_left=3), SmsGranted(hour_left=0, day_left=2)]
    assert run.ask(SPEND, MIDNIGHT + HOUR - 60_000) == Refused(code="sms_budget_spent", params={"retry_after_s": 60})
    assert run.told(SPEND, MIDNIGHT + HOUR) == SmsGranted(hour_left=2, day_left=1)
    assert len(run.events) == 4


def test_f66_the_budget_of_a_day_stops_messages_until_the_next_day_whatever_the_hour() -> None:
    run = Rehearsal(SmsBudgetKind(), "+44")
    for n in range(5):
        assert isinstance(run.told(SPEND, MIDNIGHT + n * HOUR), SmsGranted)
    assert run.ask(SPEND, MIDNIGHT + 5 * HOUR) == Refused(code="sms_budget_spent", params={"retry_after_s": 19 * 3600})
    assert run.told(SPEND, MIDNIGHT + DAY - 1) == "sms_budget_spent"
    assert run.told(SPEND, MIDNIGHT + DAY) == SmsGranted(hour_left=2, day_left=4)


def test_a_budget_of_nothing_sends_nothing() -> None:
    run = Rehearsal(SmsBudgetKind(), "+882")
    assert run.told(SpendSms(hour_max=0, day_max=0), MIDNIGHT) == "sms_budget_spent"
    assert run.ask(Wake(), MIDNIGHT) == Accepted()


def test_a_limit_that_is_raised_counts_what_was_spent() -> None:
    run = Rehearsal(SmsBudgetKind(), "+86")
    for _ in range(3):
        run.ask(SPEND, MIDNIGHT)
    assert run.told(SpendSms(hour_max=4, day_max=9), MIDNIGHT) == SmsGranted(hour_left=0, day_left=5)


def test_budgets_are_read_by_prefix_and_everywhere_else() -> None:
    budgets = parse_budgets(" +86=5000/50000, *=50/200,+1876=0/0")
    assert budget_of(budgets, "+86") == Budget(hour_max=5000, day_max=50_000)
    assert budget_of(budgets, "+852") == Budget(hour_max=50, day_max=200)
    assert budget_of(budgets, "+1876") == Budget(hour_max=0, day_max=0)


@pytest.mark.parametrize("text", ["", "+86=1", "+86=1/2", "86=1/2,*=1/1", "*=1/-1", "*=a/b", "*", "+=1/1,*=1/1"])
def test_what_is_no_budget_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_budgets(text)


spends = st.builds(SpendSms, hour_max=st.integers(0, 4), day_max=st.integers(0, 9))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.builds(SpendSms, hour_max=st.integers(0, 4), day_max=st.integers(0, 9)), st.integers(0, 8 * HOUR)), max_size=60)
)
def test_whatever_happens_the_invariant_holds_and_replay_gives_the_state_again(steps: list[Any]) -> None:
    run, at_ms = Rehearsal(SmsBudgetKind(), "+44"), MIDNIGHT
    for command, pause in steps:
        at_ms += pause
        run.ask(command, at_ms)
        assert sms_budget.invariant(run.state) == []
    run.check_replay()
