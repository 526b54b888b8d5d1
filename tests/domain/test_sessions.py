"""Sessions: rotation, reuse, races of an honest client, limits, and replay."""

import hashlib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.domain import sessions
from actors.domain.entity import Accepted, Wake
from actors.domain.sessions import SessionsKind
from actors.testing.rehearsal import Rehearsal
from schemas.sessions import (
    CheckSession,
    ListSessions,
    Login,
    Refresh,
    Revoke,
    RevokeAll,
    SessionAlive,
    SessionGranted,
    SessionsRevoked,
)

NOW = 1_700_000_000_000
DAY = 86_400_000


def token(n: int) -> bytes:
    return hashlib.sha256(b"token %d" % n).digest()


def refresh(presented: int, following: int, session_id: str = "ses_1") -> Refresh:
    return Refresh(session_id=session_id, presented_hash=token(presented), next_hash=token(following))


def logged_in(*session_ids: str) -> Rehearsal:
    run = Rehearsal(SessionsKind(), "usr_a")
    for session_id in session_ids or ("ses_1",):
        run.ask(Login(session_id=session_id, refresh_hash=token(0), device="phone"), NOW)
    return run


def test_a_login_is_answered_the_same_again_and_another_one_under_its_id_is_refused() -> None:
    run = logged_in()
    granted = SessionGranted(session_id="ses_1", generation=0, expires_at_ms=NOW + 30 * DAY)
    assert run.told(Login(session_id="ses_1", refresh_hash=token(0)), NOW) == granted
    assert run.told(Login(session_id="ses_1", refresh_hash=token(1)), NOW) == "idempotency_key_reused"
    assert run.told(Login(session_id="ses_2", refresh_hash=b"short"), NOW) == "invalid_request"
    assert len(run.events) == 1


def test_a_refresh_refuses_in_the_order_of_the_guards() -> None:
    run = logged_in()
    run.ask(refresh(0, 1), NOW)
    events = len(run.events)
    assert run.told(refresh(1, 2, "ses_other"), NOW) == "session_unknown"
    assert run.told(refresh(1, 2), NOW + 30 * DAY) == "session_unknown"
    assert run.told(refresh(77, 2), NOW) == "session_unknown"
    assert run.told(Refresh(session_id="ses_1", presented_hash=token(1), next_hash=b"short"), NOW) == "invalid_request"
    assert run.told(refresh(1, 1), NOW) == "invalid_request"
    assert run.told(refresh(1, 0), NOW) == "invalid_request"
    assert run.told(refresh(0, 2), NOW + sessions.GRACE_MS) == "refresh_raced"
    assert len(run.events) == events
    assert run.told(refresh(0, 1), NOW + sessions.GRACE_MS + 1) == "session_reused"
    assert run.state.sessions == {}


def test_a_refresh_token_works_once_and_its_session_lives_on_from_then() -> None:
    run = logged_in()
    granted = SessionGranted(session_id="ses_1", generation=0, expires_at_ms=NOW + 40 * DAY)
    assert run.told(refresh(0, 1), NOW + 10 * DAY) == granted
    assert run.told(refresh(1, 2), NOW + 20 * DAY).expires_at_ms == NOW + 50 * DAY


def test_a_stolen_token_ends_its_own_session_and_no_other() -> None:
    run = logged_in("ses_1", "ses_2")
    run.ask(refresh(0, 1), NOW)
    run.ask(refresh(1, 2), NOW)
    assert run.told(refresh(0, 9), NOW) == "session_reused"
    assert list(run.state.sessions) == ["ses_2"]
    assert run.told(refresh(2, 3), NOW) == "session_unknown"
    assert run.told(CheckSession(session_id="ses_1"), NOW) == "token_revoked"
    assert run.told(CheckSession(session_id="ses_2"), NOW) == SessionAlive(generation=1)


def test_two_parallel_refreshes_of_a_slow_client_get_the_same_answer_and_nobody_is_logged_out() -> None:
    run = logged_in()
    first = run.told(refresh(0, 1), NOW)
    assert run.told(refresh(0, 1), NOW + sessions.GRACE_MS) == first
    assert len(run.events) == 2
    assert run.told(refresh(1, 2), NOW + sessions.GRACE_MS).generation == 0


def test_a_guess_never_ends_a_session() -> None:
    run = logged_in()
    for n in range(100, 200):
        assert run.told(refresh(n, n + 1), NOW) == "session_unknown"
    assert list(run.state.sessions) == ["ses_1"]


def test_a_mark_is_found_only_at_its_own_place() -> None:
    run = logged_in()
    run.ask(refresh(0, 1), NOW)
    run.ask(refresh(1, 2), NOW)
    straddling = (run.state.sessions["ses_1"].spent[4:12] + bytes(32))[:32]
    assert run.told(Refresh(session_id="ses_1", presented_hash=straddling, next_hash=token(3)), NOW + DAY) == "session_unknown"
    assert list(run.state.sessions) == ["ses_1"]


def test_spent_tokens_are_kept_to_a_limit_and_older_ones_are_merely_refused() -> None:
    run = logged_in()
    for n in range(sessions.MARKS_MAX + 1):
        run.ask(refresh(n, n + 1), NOW)
    assert len(run.state.sessions["ses_1"].spent) == sessions.MARKS_MAX * sessions.MARK_BYTES
    assert run.told(refresh(0, 5000), NOW) == "session_unknown"
    assert run.told(refresh(1, 5000), NOW) == "session_reused"


def test_a_session_ends_ninety_days_after_its_login_however_busy() -> None:
    run = logged_in()
    for day in range(1, 90):
        run.ask(refresh(day - 1, day), NOW + day * DAY)
    assert run.state.sessions["ses_1"].used_at_ms == NOW + 89 * DAY
    assert run.kind.wake_at(run.state) == NOW + 90 * DAY
    assert run.told(refresh(89, 90), NOW + 90 * DAY) == "session_unknown"
    run.ask(Wake(), NOW + 90 * DAY)
    assert (run.state.sessions, run.state.generation, run.kind.wake_at(run.state)) == ({}, 0, None)


def test_the_clock_ends_idle_sessions_alone() -> None:
    run = logged_in("ses_1", "ses_2")
    run.ask(refresh(0, 1, "ses_2"), NOW + DAY)
    assert run.kind.wake_at(run.state) == NOW + 30 * DAY
    assert run.ask(Wake(), NOW + 30 * DAY - 1) == Accepted()
    run.ask(Wake(), NOW + 30 * DAY)
    assert list(run.state.sessions) == ["ses_2"]
    assert run.ask(Wake(), NOW + 30 * DAY) == Accepted()


def test_the_twenty_first_login_ends_the_session_that_was_idle_longest() -> None:
    run = logged_in(*(f"ses_{n}" for n in range(sessions.SESSIONS_MAX)))
    run.ask(refresh(0, 1, "ses_0"), NOW + 1)
    granted = run.told(Login(session_id="ses_new", refresh_hash=token(9)), NOW + 2)
    assert granted.generation == 1
    assert len(run.state.sessions) == sessions.SESSIONS_MAX
    assert "ses_1" not in run.state.sessions
    assert "ses_0" in run.state.sessions


def test_revoking_raises_the_generation_once_and_a_repeat_changes_nothing() -> None:
    run = logged_in("ses_1", "ses_2", "ses_3")
    assert run.told(Revoke(session_id="ses_1"), NOW) == SessionsRevoked(count=1, generation=1)
    assert run.told(Revoke(session_id="ses_1"), NOW) == SessionsRevoked(count=0, generation=1)
    assert run.told(RevokeAll(except_session_id="ses_3"), NOW) == SessionsRevoked(count=1, generation=2)
    assert run.told(RevokeAll(), NOW) == SessionsRevoked(count=1, generation=3)
    assert run.told(RevokeAll(), NOW) == SessionsRevoked(count=0, generation=3)
    assert run.told(refresh(0, 1, "ses_3"), NOW) == "session_unknown"


def test_the_list_shows_open_sessions_without_their_hashes() -> None:
    run = logged_in("ses_1", "ses_2")
    run.ask(refresh(0, 1, "ses_2"), NOW + DAY)
    listed = run.told(ListSessions(), NOW + 30 * DAY)
    assert [(item.session_id, item.device, item.expires_at_ms) for item in listed.sessions] == [("ses_2", "phone", NOW + 31 * DAY)]
    assert "refresh_hash" not in listed.sessions[0].__struct_fields__


def test_a_clients_description_of_itself_is_cut() -> None:
    run = logged_in()
    run.ask(Login(session_id="ses_2", refresh_hash=token(1), device="x" * 1000), NOW)
    assert run.state.sessions["ses_2"].device == "x" * sessions.DEVICE_MAX


session_ids = st.sampled_from([f"ses_{n}" for n in range(30)])
tokens = st.integers(0, 12).map(token)
commands = st.one_of(
    st.builds(Login, session_id=session_ids, refresh_hash=tokens),
    st.builds(Refresh, session_id=st.sampled_from(["ses_1", "ses_2"]), presented_hash=tokens, next_hash=tokens),
    st.builds(Refresh, session_id=st.sampled_from(["ses_1", "ses_2"]), presented_hash=tokens, next_hash=tokens),
    st.builds(Revoke, session_id=session_ids),
    st.builds(RevokeAll, except_session_id=session_ids),
    st.builds(CheckSession, session_id=session_ids),
    st.just(ListSessions()),
    st.just(Wake()),
)
opening = [(Login(session_id="ses_1", refresh_hash=token(0)), 0), (Login(session_id="ses_2", refresh_hash=token(0)), 0)]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(commands, st.sampled_from([0, 5000, 11_000, 20 * DAY])), max_size=40))
def test_whatever_happens_the_invariant_holds_and_replay_gives_the_state_again(steps: list[Any]) -> None:
    run, at_ms = Rehearsal(SessionsKind(), "usr_a"), NOW
    for command, pause in [*opening, *steps]:
        at_ms += pause
        generation = run.state.generation
        run.ask(command, at_ms)
        assert sessions.invariant(run.state) == []
        assert run.state.generation >= generation
    run.check_replay()
