"""One-time codes: guesses, uses, purposes, users, limits, and replay."""

import hashlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.domain import codes
from actors.domain.codes import CodesKind, codes_key
from actors.domain.entity import Accepted, Refused, Wake
from actors.testing.rehearsal import Rehearsal
from schemas.codes import PURPOSES, AnswerCode, CodeAccepted, CodeGone, CodeStands, IssueCode, WithdrawCode

NOW = 1_700_000_000_000
TTL = 10 * 60_000
MINUTE = 60_000
KEY = codes_key("sms", "+8613800138000")


def hashed(n: int) -> bytes:
    return hashlib.sha256(b"code %d" % n).digest()


def issue(n: int = 1, purpose: str = "login", user_id: str = "", **more: Any) -> IssueCode:
    fields = {"challenge_id": f"chl_{n}", "purpose": purpose, "user_id": user_id, "code_hash": hashed(n), "ttl_ms": TTL}
    return IssueCode(**(fields | more))


def answer(challenge: int = 1, code: int = 1, purpose: str = "login", user_id: str = "") -> AnswerCode:
    return AnswerCode(challenge_id=f"chl_{challenge}", purpose=purpose, user_id=user_id, presented_hash=hashed(code))


def issued(*commands: IssueCode) -> Rehearsal:
    run = Rehearsal(CodesKind(), KEY)
    for command in commands or (issue(),):
        assert isinstance(run.told(command, NOW), CodeStands)
    return run


def test_issuing_refuses_in_the_order_of_the_guards() -> None:
    run = issued(
        issue(1),
    )
    assert run.told(issue(1, code_hash=hashed(9)), NOW) == "idempotency_key_reused"
    assert run.told(issue(1, user_id="usr_b"), NOW) == "idempotency_key_reused"
    assert run.told(issue(1, purpose="register"), NOW) == "idempotency_key_reused"
    assert run.told(issue(2, purpose="fun"), NOW) == "invalid_request"
    assert run.told(issue(2, code_hash=b"short"), NOW) == "invalid_request"
    for ttl_ms in (0, codes.TTL_MS_MAX + 1):
        assert run.told(issue(2, ttl_ms=ttl_ms), NOW) == "invalid_request"
    assert run.told(issue(2), NOW) == "code_too_soon"
    assert len(run.events) == 1


def test_a_repeat_of_the_same_challenge_is_told_so_and_changes_nothing() -> None:
    run = issued()
    repeat = CodeStands(challenge_id="chl_1", expires_at_ms=NOW + TTL, repeated=True)
    assert run.told(issue(), NOW + 5) == repeat
    run.ask(answer(), NOW + 6)
    assert run.told(issue(), NOW + 7) == repeat
    assert len(run.events) == 2


def test_a_code_that_was_replaced_never_stands_again_under_its_name() -> None:
    run = issued()
    run.ask(issue(2), NOW + MINUTE)
    assert run.told(issue(1), NOW + 2 * MINUTE) == "idempotency_key_reused"


def test_f61_a_code_works_once() -> None:
    run = issued()
    assert run.told(answer(), NOW) == CodeAccepted()
    assert run.told(answer(), NOW) == "code_spent"


def test_f59_the_sixth_guess_is_not_compared_even_when_it_is_right() -> None:
    run = issued()
    for n in range(5):
        outcome = run.ask(answer(code=100 + n), NOW)
        assert isinstance(outcome, Accepted)
        assert outcome.reply == Refused(code="code_wrong", params={"left": 4 - n})
    assert run.told(answer(), NOW) == "code_killed"
    assert len(run.events) == 6


def test_the_fifth_guess_may_be_the_right_one() -> None:
    run = issued()
    for n in range(4):
        assert run.told(answer(code=100 + n), NOW) == "code_wrong"
    assert run.told(answer(), NOW) == CodeAccepted()


@pytest.mark.parametrize("purpose", PURPOSES)
@pytest.mark.parametrize("asked", PURPOSES)
def test_f61_a_code_of_one_purpose_is_refused_for_every_other_and_no_guess_is_counted(purpose: str, asked: str) -> None:
    run = issued(issue(purpose=purpose))
    told = run.told(answer(purpose=asked), NOW)
    assert told == (CodeAccepted() if asked == purpose else "code_unknown")
    assert run.state.challenges[purpose].misses == 0


@pytest.mark.parametrize(("owner", "asker"), [("usr_a", "usr_b"), ("usr_a", ""), ("", "usr_b")])
def test_f61_another_users_challenge_is_refused_whether_or_not_the_code_is_right(owner: str, asker: str) -> None:
    run = issued(issue(purpose="bind", user_id=owner))
    for code in (1, 99):
        assert run.told(answer(code=code, purpose="bind", user_id=asker), NOW) == "code_unknown"
    assert run.told(answer(purpose="bind", user_id=owner), NOW) == CodeAccepted()


def test_another_challenge_of_the_same_destination_is_unknown() -> None:
    run = issued()
    assert run.told(answer(challenge=7), NOW) == "code_unknown"


@pytest.mark.parametrize(("after_ms", "told"), [(TTL - 1, CodeAccepted()), (TTL, "code_expired"), (TTL + 1, "code_expired")])
def test_a_code_ends_at_its_time(after_ms: int, told: Any) -> None:
    assert issued().told(answer(), NOW + after_ms) == told


def test_a_new_code_of_the_same_purpose_kills_the_older_one_and_no_other() -> None:
    run = issued(issue(1))
    run.ask(issue(2, purpose="bind", user_id="usr_a"), NOW + MINUTE)
    run.ask(issue(3), NOW + 2 * MINUTE)
    assert run.told(answer(1, 1), NOW + 2 * MINUTE) == "code_unknown"
    assert run.told(answer(2, 2, "bind", "usr_a"), NOW + 2 * MINUTE) == CodeAccepted()
    assert run.told(answer(3, 3), NOW + 2 * MINUTE) == CodeAccepted()


def test_codes_to_one_destination_are_a_minute_apart_whatever_they_are_for() -> None:
    run = issued()
    outcome = run.ask(issue(2, purpose="bind", user_id="usr_a"), NOW + 1500)
    assert outcome == Refused(code="code_too_soon", params={"retry_after_s": 59})
    assert isinstance(run.told(issue(2), NOW + codes.RESEND_MS), CodeStands)


def test_the_eleventh_code_in_24_hours_is_refused_until_the_first_is_a_day_old() -> None:
    run = Rehearsal(CodesKind(), KEY)
    for n in range(10):
        assert isinstance(run.told(issue(n), NOW + n * MINUTE), CodeStands)
    assert run.ask(issue(10), NOW + 10 * MINUTE) == Refused(code="code_limit", params={"retry_after_s": 86_400 - 600})
    assert run.told(issue(10), NOW + codes.DAY_MS - 1) == "code_limit"
    assert isinstance(run.told(issue(10), NOW + codes.DAY_MS), CodeStands)
    assert run.told(issue(11), NOW + codes.DAY_MS + MINUTE - 1) == "code_too_soon"


def test_a_code_that_was_surely_not_sent_is_void_and_the_next_need_not_wait_but_counts() -> None:
    run = issued()
    assert run.told(WithdrawCode(challenge_id="chl_1", purpose="login"), NOW) == CodeGone()
    assert run.told(answer(), NOW) == "message_not_sent"
    assert run.told(issue(), NOW) == "message_not_sent"
    assert isinstance(run.told(issue(2), NOW), CodeStands)
    assert len(run.state.issued) == 2


def test_only_a_code_that_stands_can_be_withdrawn() -> None:
    run = issued()
    assert run.ask(WithdrawCode(challenge_id="chl_9", purpose="login"), NOW) == Accepted(reply=CodeGone())
    assert run.ask(WithdrawCode(challenge_id="chl_1", purpose="bind"), NOW) == Accepted(reply=CodeGone())
    run.ask(answer(), NOW)
    assert run.ask(WithdrawCode(challenge_id="chl_1", purpose="login"), NOW) == Accepted(reply=CodeGone())
    assert run.told(issue(2), NOW + 1) == "code_too_soon"


def test_everything_is_forgotten_a_day_after_the_last_code() -> None:
    run = issued()
    run.ask(issue(2), NOW + MINUTE)
    assert run.kind.wake_at(run.state) == NOW + MINUTE + codes.DAY_MS
    assert run.ask(Wake(), NOW + codes.DAY_MS) == Accepted()
    run.ask(Wake(), NOW + MINUTE + codes.DAY_MS)
    assert (run.state.challenges, run.state.issued, run.kind.wake_at(run.state)) == ({}, {}, None)
    assert run.told(answer(2, 2), NOW + MINUTE + codes.DAY_MS) == "code_unknown"


def test_a_key_tells_neither_the_destination_nor_its_channel() -> None:
    assert codes_key("sms", "+8613800138000") == KEY
    assert codes_key("email", "+8613800138000") != KEY
    assert "13800138000" not in KEY
    assert len(KEY) == 24


numbers = st.integers(0, 12)
purposes = st.sampled_from(["login", "bind"])
users = st.sampled_from(["", "usr_a"])
commands = st.one_of(
    st.builds(issue, numbers, purposes, users),
    st.builds(answer, numbers, numbers, purposes, users),
    st.builds(answer, numbers, numbers, purposes, users),
    st.builds(lambda n, purpose: WithdrawCode(challenge_id=f"chl_{n}", purpose=purpose), numbers, purposes),
    st.just(Wake()),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(commands, st.sampled_from([0, 1000, MINUTE, TTL, 86_400_000])), max_size=60))
def test_whatever_happens_the_invariant_holds_and_replay_gives_the_state_again(steps: list[Any]) -> None:
    run, at_ms = Rehearsal(CodesKind(), KEY), NOW
    for command, pause in steps:
        at_ms += pause
        run.ask(command, at_ms)
        assert codes.invariant(run.state) == []
    run.check_replay()
