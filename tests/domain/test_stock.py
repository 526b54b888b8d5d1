"""Stock: guards in order, take and give-back alike, conservation under any order of commands, and replay."""

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.domain import stock
from actors.domain.entity import Accepted, Answered, Context, Refused, Send, Wake
from actors.domain.stock import PROOF_MAX, StockKind
from actors.testing.rehearsal import Rehearsal
from schemas.order import ConfirmHold, HoldAlive
from schemas.stock import (
    HoldTaken,
    ProveSoldOut,
    PutIn,
    ReadStock,
    Release,
    Reserve,
    Restock,
    Sell,
    StockDone,
    StockHeld,
    StockLevel,
    StockSoldOut,
    TransferIn,
    TransferOut,
    WriteOff,
)

NOW = 1_700_000_000_000
MINUTE = 60_000
DAY = 86_400_000


def rid(n: int) -> bytes:
    return b"%04d reservation" % n


def reserve(n: int, quantity: int = 1, deadline_ms: int = NOW + 15 * MINUTE) -> Reserve:
    return Reserve(reservation_id=rid(n), order_id=f"ord_{n}", user_id="usr_a", quantity=quantity, deadline_ms=deadline_ms)


def stocked(quantity: int = 3, key: str = "sku_a#0") -> Rehearsal:
    run = Rehearsal(StockKind(), key)
    run.ask(PutIn(quantity=quantity), NOW)
    return run


def counts(run: Rehearsal) -> tuple[int, int, int]:
    return run.state.available, run.state.held, run.state.sold


def sends_of(run: Rehearsal, command: Any, at_ms: int) -> tuple[Send, ...]:
    outcome = run.ask(command, at_ms)
    assert isinstance(outcome, Accepted)
    return outcome.sends


def test_a_reservation_is_refused_in_the_order_of_the_guards() -> None:
    run = stocked(2)
    run.ask(Release(reservation_id=rid(0)), NOW)
    assert run.told(reserve(0, quantity=0), NOW) == "hold_released"
    assert run.told(reserve(1, quantity=0), NOW) == "quantity_invalid"
    assert run.told(reserve(1, quantity=2**53 + 1), NOW) == "quantity_invalid"
    assert run.told(reserve(1, quantity=3), NOW) == "insufficient_stock"
    assert run.told(reserve(1, quantity=2), NOW) == HoldTaken(available=0)
    assert run.told(reserve(2), NOW) == "sold_out"
    assert counts(run) == (0, 2, 0)


def test_every_command_on_a_reservation_has_one_effect_however_often_it_comes() -> None:
    run = stocked(3)
    for _ in range(3):
        assert run.told(reserve(1, quantity=2), NOW) == HoldTaken(available=1)
    for _ in range(3):
        assert run.told(Sell(reservation_id=rid(1)), NOW) == StockDone(available=1)
    assert run.told(reserve(1, quantity=2), NOW) == HoldTaken(available=1)
    for _ in range(3):
        assert run.told(Restock(reservation_id=rid(1), quantity=2), NOW) == StockDone(available=3)
    for _ in range(3):
        assert run.told(Release(reservation_id=rid(1)), NOW) == StockDone(available=3)
    assert counts(run) == (3, 0, 0)
    run.check_replay()


OUTCOMES = {
    # the commands in this order: what each of the three is told, and (available, held, sold) of 3 at the end
    ("reserve", "sell", "release"): ("taken", "done", "hold_unknown", (2, 0, 1)),
    ("reserve", "release", "sell"): ("taken", "done", "hold_released", (3, 0, 0)),
    ("sell", "reserve", "release"): ("hold_unknown", "taken", "done", (3, 0, 0)),
    ("sell", "release", "reserve"): ("hold_unknown", "done", "hold_released", (3, 0, 0)),
    ("release", "reserve", "sell"): ("done", "hold_released", "hold_released", (3, 0, 0)),
    ("release", "sell", "reserve"): ("done", "hold_released", "hold_released", (3, 0, 0)),
}


@pytest.mark.parametrize("order", list(itertools.permutations(("reserve", "sell", "release"))), ids="-".join)
def test_reserve_sell_and_release_come_in_any_order(order: tuple[str, str, str]) -> None:
    run = stocked(3)
    commands = {"reserve": reserve(1), "sell": Sell(reservation_id=rid(1)), "release": Release(reservation_id=rid(1))}
    told = [run.told(commands[name], NOW) for name in order]
    names = [{HoldTaken: "taken", StockDone: "done"}.get(type(answer), answer) for answer in told]
    assert (*names, counts(run)) == OUTCOMES[order]
    assert stock.invariant(run.state) == []
    run.check_replay()


@pytest.mark.parametrize("before", ["nothing", "hold", "sold", "released", "restocked"])
def test_restock_brings_the_units_back_whatever_became_of_them(before: str) -> None:
    run = stocked(3)
    steps: dict[str, list[Any]] = {
        "nothing": [],
        "hold": [reserve(1)],
        "sold": [reserve(1), Sell(reservation_id=rid(1))],
        "released": [reserve(1), Release(reservation_id=rid(1))],
        "restocked": [reserve(1), Sell(reservation_id=rid(1)), Restock(reservation_id=rid(1), quantity=1)],
    }
    for command in steps[before]:
        run.ask(command, NOW)
    assert run.told(Restock(reservation_id=rid(1), quantity=1), NOW) == StockDone(available=3)
    assert run.told(Sell(reservation_id=rid(1)), NOW) == "hold_released"
    assert run.told(reserve(1), NOW) == "hold_released"
    assert counts(run) == (3, 0, 0)


def test_more_than_was_sold_never_comes_back() -> None:
    run = stocked(3)
    run.ask(reserve(1), NOW)
    run.ask(Sell(reservation_id=rid(1)), NOW)
    assert run.told(Restock(reservation_id=rid(1), quantity=2), NOW) == "hold_unknown"
    assert run.told(Restock(reservation_id=rid(1), quantity=0), NOW) == "hold_unknown"
    assert counts(run) == (2, 0, 1)


def test_receipts_and_breakage_are_checked_and_counted() -> None:
    run = stocked(3)
    assert run.told(PutIn(quantity=0), NOW) == "quantity_invalid"
    assert run.told(PutIn(quantity=2**53), NOW) == "quantity_invalid"
    assert run.told(WriteOff(quantity=0), NOW) == "quantity_invalid"
    assert run.told(WriteOff(quantity=4), NOW) == "insufficient_stock"
    assert run.told(WriteOff(quantity=1), NOW) == StockDone(available=2)
    run.ask(reserve(1, quantity=2), NOW)
    assert run.told(WriteOff(quantity=1), NOW) == "insufficient_stock"
    assert run.told(ReadStock(), NOW) == StockLevel(put_in=3, received=0, available=0, held=2, sold=0, written_off=1, sent=0, in_transit=0)


def test_a_transfer_is_debited_once_and_credited_once() -> None:
    one, other = stocked(5), Rehearsal(StockKind(), "sku_a#1")
    out = TransferOut(transfer_id=b"t1", to_key="sku_a#1", quantity=2)
    (send,) = sends_of(one, out, NOW)
    assert sends_of(one, out, NOW) == ()
    assert (send.kind, send.key, send.command) == ("stock", "sku_a#1", TransferIn(transfer_id=b"t1", from_key="sku_a#0", quantity=2))
    for _ in range(3):
        assert other.told(send.command, NOW) == StockDone(available=2)
    assert (one.state.available, one.state.in_transit, other.state.available) == (3, 2, 2)
    for _ in range(2):
        one.ask(Answered(step=send.step, reply=StockDone(available=2)), NOW)
    assert sends_of(one, out, NOW) == ()
    assert (one.state.available, one.state.in_transit, one.state.sent) == (3, 0, 2)
    for run in (one, other):
        assert stock.invariant(run.state) == []
        run.check_replay()


@pytest.mark.parametrize(
    ("to_key", "quantity", "code"),
    [
        ("sku_a#0", 1, "invalid_request"),
        ("sku_b#0", 1, "invalid_request"),
        ("sku_a#1", 0, "quantity_invalid"),
        ("sku_a#1", -1, "quantity_invalid"),
        ("sku_a#1", 6, "insufficient_stock"),
    ],
)
def test_a_transfer_that_makes_no_sense_is_refused(to_key: str, quantity: int, code: str) -> None:
    run = stocked(5)
    assert run.told(TransferOut(transfer_id=b"t1", to_key=to_key, quantity=quantity), NOW) == code
    assert counts(run) == (5, 0, 0)


def test_f35_an_overdue_hold_is_asked_about_and_kept_until_its_order_says_that_it_does_not_live() -> None:
    run = stocked(3)
    run.ask(reserve(1), NOW)
    due_ms = NOW + 16 * MINUTE
    assert StockKind().wake_at(run.state) == due_ms
    assert sends_of(run, Wake(), due_ms - 1) == ()
    (send,) = sends_of(run, Wake(), due_ms)
    assert (send.kind, send.key) == ("order", "usr_a")
    assert send.command == ConfirmHold(order_id="ord_1", reservation_id=rid(1), stock_key="sku_a#0")
    assert sends_of(run, Wake(), due_ms) == ()
    run.ask(Answered(step=send.step, reply=HoldAlive(alive=True)), due_ms)
    run.ask(Answered(step=send.step, refused=Refused(code="order_unknown")), due_ms)
    assert counts(run) == (2, 1, 0)
    (again,) = sends_of(run, Wake(), due_ms + MINUTE)
    assert again.id != send.id
    for _ in range(2):
        run.ask(Answered(step=again.step, reply=HoldAlive(alive=False)), due_ms + MINUTE)
    assert counts(run) == (3, 0, 0)
    assert run.told(Sell(reservation_id=rid(1)), due_ms) == "hold_released"
    run.check_replay()


def test_holds_that_end_together_are_asked_about_a_hundred_at_a_time() -> None:
    run = Rehearsal(StockKind(), "sku_a#0")
    run.ask(PutIn(quantity=250), NOW)
    for n in range(250):
        run.ask(reserve(n), NOW)
    at_ms, asked = NOW + 16 * MINUTE, []
    while len(asked) < 250:
        sends = sends_of(run, Wake(), at_ms)
        assert 0 < len(sends) <= stock.ASK_MAX
        asked.extend(send.command.reservation_id for send in sends)
        at_ms = max(at_ms, StockKind().wake_at(run.state) or 0)
    assert sorted(asked) == [rid(n) for n in range(250)]
    assert at_ms <= NOW + 16 * MINUTE + 3000 + MINUTE


def test_a_finished_reservation_is_known_for_at_least_seven_days() -> None:
    run = stocked(3)
    run.ask(reserve(1), NOW)
    run.ask(Release(reservation_id=rid(1)), NOW)
    run.ask(Release(reservation_id=rid(2)), NOW + 7 * DAY)
    assert run.told(reserve(1), NOW + 7 * DAY) == "hold_released"
    run.ask(Release(reservation_id=rid(3)), NOW + 14 * DAY)
    assert run.told(reserve(1), NOW + 14 * DAY) == HoldTaken(available=2)
    assert run.told(reserve(2), NOW + 14 * DAY) == "hold_released"


def test_being_sold_out_is_proved_with_the_names_of_those_who_have_something() -> None:
    run = stocked(2)
    run.ask(reserve(1), NOW)
    assert run.told(ProveSoldOut(), NOW) == "insufficient_stock"
    run.ask(reserve(2), NOW)
    run.ask(Sell(reservation_id=rid(2)), NOW)
    assert run.told(ProveSoldOut(), NOW) == StockSoldOut(generation=1, start=0, count=2, prefixes=rid(1)[:4] + rid(2)[:4])


PROOFS = [
    # (what is asked, start, first and last reservation that are named)
    (ProveSoldOut(), 0, (0, PROOF_MAX - 1)),
    (ProveSoldOut(generation=2, known=7), 0, (0, PROOF_MAX - 1)),
    (ProveSoldOut(generation=1, known=-1), 0, (0, PROOF_MAX - 1)),
    (ProveSoldOut(generation=1, known=PROOF_MAX + 4), 0, (0, PROOF_MAX - 1)),
    (ProveSoldOut(generation=1, known=5), 5, (5, PROOF_MAX + 2)),
    (ProveSoldOut(generation=1, known=PROOF_MAX), PROOF_MAX, (PROOF_MAX, PROOF_MAX + 2)),
    (ProveSoldOut(generation=1, known=PROOF_MAX + 3), PROOF_MAX + 3, None),
]


@pytest.mark.parametrize(("asked", "start", "named"), PROOFS)
def test_whoever_asks_again_is_told_what_was_added_since_so_many_at_once(
    asked: ProveSoldOut, start: int, named: tuple[int, int] | None
) -> None:
    state = StockKind().new("sku_a#0")
    for n in range(PROOF_MAX + 3):
        StockKind().apply(state, StockHeld(reservation_id=rid(n), order_id="ord_1", user_id="usr_1", quantity=0, deadline_ms=NOW))
    wanted = b"".join(rid(n)[:4] for n in range(named[0], named[1] + 1)) if named else b""
    outcome = StockKind().decide(state, asked, Context(at_ms=NOW, command_id=b"c"))
    assert outcome == Accepted(reply=StockSoldOut(generation=1, start=start, count=PROOF_MAX + 3, prefixes=wanted))


def test_whatever_becomes_of_a_reservation_it_stays_named_until_it_is_forgotten_and_then_the_list_is_another() -> None:
    run = stocked(2)
    for command in (reserve(1), reserve(2), Release(reservation_id=rid(1)), Release(reservation_id=rid(3)), reserve(4)):
        run.ask(command, NOW)
    run.ask(Sell(reservation_id=rid(4)), NOW + DAY)
    names = [rid(n)[:4] for n in (1, 2, 3, 4)]
    assert run.told(ProveSoldOut(), NOW) == StockSoldOut(generation=1, start=0, count=4, prefixes=b"".join(names))
    run.ask(Sell(reservation_id=rid(2)), NOW + 7 * DAY)
    run.ask(Release(reservation_id=rid(5)), NOW + 14 * DAY)
    told = run.told(ProveSoldOut(generation=2, known=1), NOW + 14 * DAY)
    assert isinstance(told, StockSoldOut)
    assert (told.generation, told.start) == (3, 0)
    assert {told.prefixes[at : at + 4] for at in range(0, len(told.prefixes), 4)} == {rid(2)[:4], rid(5)[:4]}
    run.check_replay()


def test_a_state_of_before_there_was_a_list_proves_nothing() -> None:
    run = stocked(1)
    run.ask(reserve(1), NOW)
    run.state.taken = bytearray()
    assert run.told(ProveSoldOut(), NOW) == "insufficient_stock"


COMMANDS = st.one_of(
    st.builds(PutIn, quantity=st.integers(-1, 5)),
    st.builds(WriteOff, quantity=st.integers(-1, 5)),
    st.builds(reserve, st.integers(0, 5), st.integers(-1, 4)),
    st.builds(lambda n: Sell(reservation_id=rid(n)), st.integers(0, 5)),
    st.builds(lambda n: Release(reservation_id=rid(n)), st.integers(0, 5)),
    st.builds(lambda n, q: Restock(reservation_id=rid(n), quantity=q), st.integers(0, 5), st.integers(-1, 4)),
    st.builds(
        lambda n, q, part: TransferOut(transfer_id=rid(n), to_key=f"sku_a#{part}", quantity=q),
        st.integers(0, 3), st.integers(-1, 4), st.integers(0, 1),
    ),
    st.builds(lambda n, q: TransferIn(transfer_id=rid(n), from_key="sku_a#1", quantity=q), st.integers(0, 3), st.integers(1, 4)),
    st.builds(lambda n: Answered(step="transfer:" + rid(n).hex(), reply=StockDone(available=0)), st.integers(0, 3)),
    st.builds(lambda n, alive: Answered(step="ask:" + rid(n).hex(), reply=HoldAlive(alive=alive)), st.integers(0, 5), st.booleans()),
    st.just(Wake()),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(COMMANDS, st.integers(0, 20)), max_size=40))
@pytest.mark.slow
def test_units_are_conserved_and_replay_gives_the_state_under_any_commands(steps: list[tuple[Any, int]]) -> None:
    run, at_ms = Rehearsal(StockKind(), "sku_a#0"), NOW
    for command, minutes in steps:
        at_ms += minutes * MINUTE
        run.ask(command, at_ms)
        assert stock.invariant(run.state) == []
    run.check_replay()
