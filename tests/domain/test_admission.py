"""Admission: the table of moves, the clock, a draw that anybody can check, and replay."""

import hashlib
import itertools
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.domain import admission
from actors.domain.admission import AdmissionKind, has_won, rank, roll_of
from actors.domain.entity import Accepted, Wake
from actors.testing.rehearsal import Rehearsal
from schemas.admission import (
    Close,
    Configure,
    Draw,
    DrawEntered,
    End,
    Enter,
    IsWinner,
    MarkSoldOut,
    Open,
    ReadSale,
    Restocked,
    SaleView,
    Winner,
)

NOW = 1_700_000_000_000
HOUR = 3_600_000
SEED = bytes(range(32))

FIRST_COME = Configure(mode="first_come", sku_ids=("sku_a", "sku_b"), opens_at_ms=NOW + HOUR, ends_at_ms=NOW + 9 * HOUR)
DRAW = msgspec.structs.replace(FIRST_COME, mode="draw", draws_at_ms=NOW + 5 * HOUR, winners_max=2, seed=SEED)


def sale(terms: Configure = FIRST_COME, *commands: Any) -> Rehearsal:
    run = Rehearsal(AdmissionKind(), "sal_a")
    for command in (terms, *commands):
        run.ask(command, NOW)
    return run


def entered(*user_ids: str) -> Rehearsal:
    return sale(DRAW, Open(), *(Enter(user_id=user_id) for user_id in user_ids))


SOLD_OUT = (MarkSoldOut(sku_id="sku_a"), MarkSoldOut(sku_id="sku_b"))

WAYS: dict[tuple[str, str], tuple[Any, ...]] = {
    ("first_come", "closed"): (FIRST_COME,),
    ("first_come", "open"): (FIRST_COME, Open()),
    ("first_come", "sold_out"): (FIRST_COME, Open(), *SOLD_OUT),
    ("first_come", "ended"): (FIRST_COME, End()),
    ("draw", "closed"): (DRAW,),
    ("draw", "entering"): (DRAW, Open(), Enter(user_id="usr_a")),
    ("draw", "drawn"): (DRAW, Open(), Enter(user_id="usr_a"), Draw()),
    ("draw", "sold_out"): (DRAW, Open(), Enter(user_id="usr_a"), Draw(), *SOLD_OUT),
    ("draw", "ended"): (DRAW, Open(), Enter(user_id="usr_a"), Draw(), End()),
}

# For each state what Open, Close, Draw, End, MarkSoldOut of the last SKU and Restocked lead to.
OUTCOMES = {
    ("first_come", "closed"): ("open", "closed", "sale_state", "ended", "closed", "closed"),
    ("first_come", "open"): ("open", "closed", "sale_state", "ended", "open", "open"),
    ("first_come", "sold_out"): ("sold_out", "closed", "sale_state", "ended", "sold_out", "open"),
    ("first_come", "ended"): ("sale_state", "sale_state", "sale_state", "ended", "sale_ended", "ended"),
    ("draw", "closed"): ("entering", "closed", "sale_state", "ended", "closed", "closed"),
    ("draw", "entering"): ("entering", "closed", "drawn", "ended", "entering", "entering"),
    ("draw", "drawn"): ("drawn", "closed", "drawn", "ended", "drawn", "drawn"),
    ("draw", "sold_out"): ("sold_out", "closed", "sold_out", "ended", "sold_out", "drawn"),
    ("draw", "ended"): ("sale_state", "sale_state", "ended", "ended", "sale_ended", "ended"),
}


@pytest.mark.parametrize("start", OUTCOMES)
def test_each_command_in_each_state_leads_where_the_table_says(start: tuple[str, str]) -> None:
    commands = (Open(), Close(), Draw(), End(), MarkSoldOut(sku_id="sku_a"), Restocked(sku_id="sku_a"))
    ends = []
    for command in commands:
        run = sale(*WAYS[start])
        assert run.state.state == start[1]
        reply = run.told(command, NOW)
        ends.append(reply.state if isinstance(reply, SaleView) else reply)
        if isinstance(reply, SaleView):
            assert reply == admission.view(run.state)
    assert tuple(ends) == OUTCOMES[start]


def test_every_row_of_the_table_starts_and_ends_in_states_of_its_mode() -> None:
    states = {mode: {state for of, state in WAYS if of == mode} for mode in ("first_come", "draw")}
    assert all({state, following} <= states[mode] for (mode, state, _), following in admission.TRANSITIONS.items())
    assert not any(state == "ended" for _, state, _ in admission.TRANSITIONS)


@pytest.mark.parametrize("command", [Open(), Close(), End(), Draw(), ReadSale(), Enter(user_id="u"), IsWinner(user_id="u"), *SOLD_OUT])
def test_a_sale_that_was_never_configured_is_unknown(command: Any) -> None:
    run = Rehearsal(AdmissionKind(), "sal_a")
    assert run.told(command, NOW) == "sale_unknown"
    assert run.ask(Wake(), NOW) == Accepted()
    assert run.kind.wake_at(run.state) is None


@pytest.mark.parametrize(
    "change",
    [
        {"mode": "auction"},
        {"sku_ids": ()},
        {"sku_ids": ("sku_a", "sku_a")},
        {"sku_ids": tuple(f"sku_{n}" for n in range(101))},
        {"ends_at_ms": NOW + HOUR},
        {"opens_at_ms": -1},
        {"ticket_ttl_ms": 0},
        {"rate_per_s": -1},
        {"draws_at_ms": NOW + HOUR},
        {"draws_at_ms": NOW + 9 * HOUR},
        {"winners_max": 0},
        {"winners_max": 1_000_001},
        {"seed": b"short"},
    ],
)
def test_terms_that_make_no_sense_are_refused(change: dict[str, Any]) -> None:
    run = Rehearsal(AdmissionKind(), "sal_a")
    assert run.told(msgspec.structs.replace(DRAW, **change), NOW) == "invalid_request"
    assert run.events == []


def test_terms_may_change_until_the_sale_was_open_once() -> None:
    run = sale()
    assert run.told(msgspec.structs.replace(FIRST_COME, rate_per_s=50), NOW).rate_per_s == 50
    run.ask(Open(), NOW)
    run.ask(Close(), NOW)
    assert run.told(FIRST_COME, NOW) == "sale_state"
    assert run.told(msgspec.structs.replace(FIRST_COME, rate_per_s=50), NOW).rate_per_s == 50


def test_the_clock_opens_draws_and_ends_at_the_times_and_not_before() -> None:
    run = sale(DRAW)
    path = []
    for due in (NOW + HOUR, NOW + 5 * HOUR, NOW + 9 * HOUR):
        assert run.kind.wake_at(run.state) == due
        assert run.ask(Wake(), due - 1) == Accepted()
        run.ask(Wake(), due)
        path.append(run.state.state)
    assert path == ["entering", "drawn", "ended"]
    assert run.kind.wake_at(run.state) is None
    assert run.ask(Wake(), NOW + 10 * HOUR) == Accepted()


def test_a_clock_that_comes_late_goes_through_the_same_states_and_one_past_the_end_just_ends() -> None:
    run = sale(DRAW)
    states = []
    for _ in range(3):
        run.ask(Wake(), NOW + 6 * HOUR)
        states.append(run.state.state)
    assert states == ["entering", "drawn", "drawn"]
    other = sale(DRAW)
    other.ask(Wake(), NOW + 10 * HOUR)
    assert other.state.state == "ended"


def test_a_sale_that_was_closed_by_hand_is_not_opened_by_the_clock() -> None:
    run = sale(FIRST_COME, Open(), Close())
    assert run.kind.wake_at(run.state) == NOW + 9 * HOUR
    assert run.ask(Wake(), NOW + 2 * HOUR) == Accepted()
    assert run.state.state == "closed"


def test_a_draw_that_was_closed_and_opened_again_stays_drawn() -> None:
    run = entered("usr_a")
    for command in (Draw(), Close()):
        run.ask(command, NOW)
    assert run.told(Open(), NOW).state == "drawn"
    assert run.told(Enter(user_id="usr_b"), NOW) == "sale_state"


def test_an_entry_is_refused_in_the_order_of_the_guards() -> None:
    run = sale(DRAW)
    assert run.told(Enter(user_id="usr_a"), NOW) == "sale_not_open"
    assert run.told(Enter(user_id="usr_a"), NOW + 9 * HOUR) == "sale_ended"
    run.ask(Open(), NOW)
    assert run.told(Enter(user_id="usr_a"), NOW) == DrawEntered(draws_at_ms=NOW + 5 * HOUR)
    assert run.told(Enter(user_id="usr_b"), NOW + 5 * HOUR) == "sale_state"
    run.ask(Draw(), NOW)
    assert run.told(Enter(user_id="usr_b"), NOW) == "sale_state"
    run.ask(End(), NOW)
    assert run.told(Enter(user_id="usr_b"), NOW) == "sale_ended"
    assert run.told(Enter(user_id="usr_a"), NOW) == DrawEntered(draws_at_ms=NOW + 5 * HOUR)
    assert sale(FIRST_COME, Open()).told(Enter(user_id="usr_a"), NOW) == "sale_state"
    assert list(run.state.entrants) == ["usr_a"]


def test_a_draw_takes_entries_up_to_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "ENTRANTS_MAX", 2)
    run = entered("usr_a", "usr_b")
    assert run.told(Enter(user_id="usr_c"), NOW) == "sale_full"
    assert run.told(Enter(user_id="usr_b"), NOW) == DrawEntered(draws_at_ms=NOW + 5 * HOUR)


def test_nothing_of_the_seed_but_its_hash_is_shown_before_the_draw() -> None:
    run = entered("usr_a")
    shown = run.told(ReadSale(), NOW)
    assert (shown.seed, shown.roll, shown.cutoff) == (b"", b"", b"")
    assert shown.seed_hash == hashlib.sha256(SEED).digest()
    assert SEED not in msgspec.msgpack.encode(shown)
    assert run.told(IsWinner(user_id="usr_a"), NOW) == "sale_state"


def test_anybody_can_check_the_draw_from_what_is_shown() -> None:
    names = [f"usr_{n}" for n in range(50)]
    run = entered(*names)
    shown = run.told(Draw(), NOW)
    assert (shown.state, shown.entrants, shown.winners) == ("drawn", 50, 2)
    assert hashlib.sha256(shown.seed).digest() == shown.seed_hash
    assert shown.roll == roll_of(reversed(names))
    by_rank = sorted(names, key=lambda name: hashlib.blake2b(shown.roll + name.encode(), key=shown.seed, digest_size=16).digest())
    winners = [name for name in names if run.told(IsWinner(user_id=name), NOW) == Winner(won=True)]
    assert sorted(winners) == sorted(by_rank[:2])
    assert rank(shown.seed, shown.roll, by_rank[1]) == shown.cutoff


def test_a_further_entry_changes_every_rank() -> None:
    few, more = roll_of(["usr_a", "usr_b"]), roll_of(["usr_a", "usr_b", "usr_c"])
    assert rank(SEED, few, "usr_a") != rank(SEED, more, "usr_a")


def test_who_did_not_enter_has_not_won_however_low_the_rank() -> None:
    run = entered("usr_a")
    run.ask(Draw(), NOW)
    lowest = min((f"usr_x{n}" for n in range(1000)), key=lambda name: rank(SEED, run.state.drawn.roll, name))
    assert rank(SEED, run.state.drawn.roll, lowest) <= run.state.drawn.cutoff
    assert run.told(IsWinner(user_id=lowest), NOW) == Winner(won=False)


def test_fewer_entrants_than_winners_all_win_and_no_entrants_is_no_error() -> None:
    assert entered("usr_a").told(Draw(), NOW).winners == 1
    nobody = entered()
    assert nobody.told(Draw(), NOW).winners == 0
    assert nobody.told(IsWinner(user_id="usr_a"), NOW) == Winner(won=False)


def test_a_second_draw_is_the_first_one() -> None:
    run = entered("usr_a", "usr_b", "usr_c")
    first = run.told(Draw(), NOW)
    assert run.told(Draw(), NOW + 1) == first
    assert len([event for event in run.events if type(event).__name__ == "SaleDrawn"]) == 1


@pytest.mark.slow
def test_a_hundred_thousand_entrants_are_drawn_in_well_under_a_second() -> None:
    run = sale(msgspec.structs.replace(DRAW, winners_max=5000), Open())
    run.state.entrants = {f"usr_{n:020d}": None for n in range(100_000)}
    began = time.process_time()
    shown = run.told(Draw(), NOW)
    assert time.process_time() - began < 1.0
    assert shown.winners == 5000
    assert sum(has_won(run.state, user_id) for user_id in run.state.entrants) == 5000


def test_a_sale_is_sold_out_when_the_last_sku_is_and_opens_again_with_the_first_unit_given_back() -> None:
    run = sale(FIRST_COME, Open())
    assert run.told(MarkSoldOut(sku_id="sku_a"), NOW).state == "open"
    assert run.told(MarkSoldOut(sku_id="sku_b"), NOW).state == "sold_out"
    shown = run.told(Restocked(sku_id="sku_b"), NOW)
    assert (shown.state, shown.sold_out_sku_ids) == ("open", ("sku_a",))
    assert run.told(MarkSoldOut(sku_id="sku_b"), NOW).state == "sold_out"


def test_news_of_stock_for_a_foreign_sku_is_refused() -> None:
    assert sale().told(MarkSoldOut(sku_id="sku_x"), NOW) == "sku_unknown"
    assert sale().told(Restocked(sku_id="sku_x"), NOW) == "sku_unknown"


def test_a_sale_that_opens_with_nothing_left_is_sold_out_at_once() -> None:
    run = sale(FIRST_COME, *SOLD_OUT)
    assert run.told(Open(), NOW).state == "sold_out"
    drawn = sale(DRAW, Open(), *SOLD_OUT)
    assert drawn.state.state == "entering"
    assert drawn.told(Draw(), NOW).state == "sold_out"


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_news_of_stock_that_overtake_each_other_end_as_the_newest_says(order: tuple[int, ...]) -> None:
    news = (
        MarkSoldOut(sku_id="sku_a", stock_seq=5),
        Restocked(sku_id="sku_a", stock_seq=7),
        MarkSoldOut(sku_id="sku_a", stock_seq=9),
    )
    run = sale(FIRST_COME, Open(), MarkSoldOut(sku_id="sku_b"), *(news[n] for n in order))
    assert run.state.state == "sold_out"
    assert run.state.stock_seqs == {"sku_a": 9}


users = st.sampled_from([f"usr_{n}" for n in range(6)])
skus = st.sampled_from(["sku_a", "sku_b", "sku_x"])
commands = st.one_of(
    st.sampled_from([Open(), Close(), Draw(), ReadSale(), Wake(), FIRST_COME, DRAW]),
    st.builds(Enter, user_id=users),
    st.builds(IsWinner, user_id=users),
    st.builds(MarkSoldOut, sku_id=skus, stock_seq=st.integers(0, 9)),
    st.builds(Restocked, sku_id=skus, stock_seq=st.integers(0, 9)),
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([FIRST_COME, DRAW]), st.lists(st.tuples(commands, st.sampled_from([0, 0, HOUR])), max_size=40))
def test_whatever_happens_the_invariant_holds_and_the_reply_is_the_sale_and_replay_gives_it_again(
    terms: Configure, steps: list[Any]
) -> None:
    run, at_ms = sale(terms), NOW
    for command, pause in steps:
        at_ms += pause
        reply = run.told(command, at_ms)
        assert admission.invariant(run.state) == []
        if isinstance(reply, SaleView):
            assert reply == admission.view(run.state)
    run.check_replay()
