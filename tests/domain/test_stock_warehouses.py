"""Stock in warehouses: where units are taken from and given back to, batches, safety stock, moves, returns, and what never changes."""

from typing import Any

import msgspec
import pytest

from actors.domain import stock, stock_lots
from actors.domain.entity import Accepted, Answered, Send
from actors.domain.stock import StockKind
from actors.domain.stock_state import StockState
from actors.testing.rehearsal import Rehearsal
from schemas.order import HoldAlive
from schemas.stock import (
    Adjust,
    Arrive,
    HoldTaken,
    Lot,
    Move,
    ProveSoldOut,
    PutIn,
    ReadStock,
    Release,
    Reserve,
    Restock,
    ReturnIn,
    Sell,
    SetSafety,
    StockDone,
    StockLevel,
    StockSoldOut,
    TransferIn,
    TransferOut,
    WriteOff,
)

NOW = 1_700_000_000_000
"""2023-11-14 UTC."""
DAY = 86_400_000
EAST, WEST, NORTH = "whs_east", "whs_west", "whs_north"


def rid(n: int) -> bytes:
    return b"%04d reservation" % n


def reserve(n: int, quantity: int = 1, *prefer: str) -> Reserve:
    return Reserve(reservation_id=rid(n), order_id=f"ord_{n}", user_id="usr_a", quantity=quantity, deadline_ms=NOW + 900_000, prefer=prefer)


def lots(*shares: tuple[str, int]) -> tuple[Lot, ...]:
    return tuple(Lot(warehouse_id=warehouse_id, quantity=quantity) for warehouse_id, quantity in shares)


def stocked(*shares: tuple[str, int], key: str = "sku_a#0") -> Rehearsal:
    run = Rehearsal(StockKind(), key)
    for warehouse_id, quantity in shares:
        run.ask(PutIn(quantity=quantity, warehouse_id=warehouse_id), NOW)
    return run


def level(run: Rehearsal, at_ms: int = NOW) -> StockLevel:
    told = run.told(ReadStock(), at_ms)
    assert isinstance(told, StockLevel)
    return told


def available(run: Rehearsal) -> dict[str, int]:
    """By warehouse, of those that have something."""
    units: dict[str, int] = {}
    for lot in level(run).lots:
        units[lot.warehouse_id] = units.get(lot.warehouse_id, 0) + lot.available
    return {name: count for name, count in units.items() if count}


CHOICES = [
    # stock, safety, wanted, preferred; taken from
    ([(EAST, 5), (WEST, 3)], {}, 2, (WEST,), [(WEST, 2)]),
    ([(EAST, 5), (WEST, 3)], {}, 2, (), [(EAST, 2)]),
    ([(EAST, 5), (WEST, 3)], {}, 4, (WEST,), [(EAST, 4)]),
    ([(EAST, 5), (WEST, 3)], {}, 4, (NORTH, WEST, EAST), [(EAST, 4)]),
    ([(EAST, 5), (WEST, 3)], {}, 7, (WEST,), [(WEST, 3), (EAST, 4)]),
    ([(EAST, 5), (WEST, 3)], {}, 8, (), [(EAST, 5), (WEST, 3)]),
    ([(EAST, 5), (WEST, 5), (NORTH, 1)], {}, 6, (NORTH, EAST), [(NORTH, 1), (EAST, 5)]),
    ([(EAST, 5), (WEST, 4), (NORTH, 1)], {}, 9, (NORTH, WEST), [(EAST, 5), (WEST, 4)]),
    ([(EAST, 5), (WEST, 3)], {EAST: 3}, 3, (EAST,), [(WEST, 3)]),
    ([(EAST, 5), (WEST, 3)], {EAST: 3}, 4, (EAST,), [(EAST, 2), (WEST, 2)]),
    ([(EAST, 5), (WEST, 3)], {EAST: 9}, 4, (), "insufficient_stock"),
    ([(EAST, 5), (WEST, 3)], {EAST: 9, WEST: 3}, 1, (), "sold_out"),
    ([("", 5), (EAST, 1)], {}, 3, (EAST,), []),
    ([("", 5), (EAST, 1)], {}, 6, (EAST,), [(EAST, 1), ("", 5)]),
    ([(EAST, 1), (EAST, 1)], {}, 2, (EAST, EAST), [(EAST, 2)]),
]


@pytest.mark.parametrize(("put", "safety", "quantity", "prefer", "taken"), CHOICES)
def test_one_warehouse_where_any_has_all_and_otherwise_as_few_as_possible(
    put: list[tuple[str, int]], safety: dict[str, int], quantity: int, prefer: tuple[str, ...], taken: Any
) -> None:
    run = stocked(*put)
    for warehouse_id, kept in safety.items():
        run.ask(SetSafety(warehouse_id=warehouse_id, quantity=kept), NOW)
    told = run.told(reserve(1, quantity, *prefer), NOW)
    if isinstance(taken, str):
        assert told == taken
        return
    free = sum(max(0, sum(n for name, n in put if name == place) - safety.get(place, 0)) for place in {name for name, _ in put})
    assert told == HoldTaken(available=free - quantity, lots=lots(*taken))
    assert run.told(reserve(1, quantity), NOW) == told
    run.check_replay()


@pytest.mark.parametrize(
    "back",
    [
        [Release(reservation_id=rid(1))],
        [Restock(reservation_id=rid(1), quantity=7)],
        [Sell(reservation_id=rid(1)), Restock(reservation_id=rid(1), quantity=7)],
        [Sell(reservation_id=rid(1)), ReturnIn(return_id=b"r1", reservation_id=rid(1), quantity=7)],
        [Answered(step="ask:" + rid(1).hex(), reply=HoldAlive(alive=False))],
    ],
    ids=["release", "restock_held", "restock_sold", "return", "order_does_not_live"],
)
def test_whatever_was_taken_goes_back_to_where_it_came_from(back: list[Any]) -> None:
    run = stocked((EAST, 5), (WEST, 3), ("", 2))
    run.ask(reserve(1, 7, WEST), NOW)
    assert available(run) == {EAST: 1, "": 2}
    for _ in range(2):
        for command in back:
            run.ask(command, NOW)
    assert available(run) == {EAST: 5, WEST: 3, "": 2}
    assert stock.invariant(run.state) == []
    run.check_replay()


def test_what_is_paid_leaves_its_own_warehouses() -> None:
    run = stocked((EAST, 5), (WEST, 3))
    run.ask(reserve(1, 7, WEST), NOW)
    for _ in range(2):
        run.ask(Sell(reservation_id=rid(1)), NOW)
    assert {(lot.warehouse_id, lot.available, lot.held, lot.sold) for lot in level(run).lots if lot.warehouse_id} == {
        (EAST, 1, 0, 4), (WEST, 0, 0, 3),
    }  # fmt: skip


def test_a_return_comes_back_in_parts_and_elsewhere_if_that_is_said_but_never_more_than_was_sold() -> None:
    run = stocked((EAST, 5), (WEST, 3))
    run.ask(reserve(1, 7, WEST), NOW)
    assert run.told(ReturnIn(return_id=b"r0", reservation_id=rid(1), quantity=1), NOW) == "hold_unknown"
    run.ask(Sell(reservation_id=rid(1)), NOW)
    for _ in range(2):
        run.ask(ReturnIn(return_id=b"r1", reservation_id=rid(1), quantity=4), NOW)
    assert available(run) == {EAST: 2, WEST: 3}
    run.ask(ReturnIn(return_id=b"r2", reservation_id=rid(1), quantity=2, warehouse_id=NORTH), NOW)
    assert available(run) == {EAST: 2, WEST: 3, NORTH: 2}
    assert run.told(ReturnIn(return_id=b"r3", reservation_id=rid(1), quantity=2), NOW) == "quantity_invalid"
    assert run.told(Restock(reservation_id=rid(1), quantity=7), NOW) == "hold_unknown"
    assert run.told(ReturnIn(return_id=b"r4", reservation_id=rid(1), quantity=1), NOW) == StockDone(available=8)
    assert (run.state.sold, run.state.returned) == (7, 7)
    assert stock.invariant(run.state) == []
    run.check_replay()


def test_what_was_released_cannot_be_returned_and_what_is_forgotten_can() -> None:
    run = stocked((EAST, 5))
    for n in (1, 2):
        run.ask(reserve(n, 2), NOW)
    run.ask(Release(reservation_id=rid(1)), NOW)
    run.ask(Sell(reservation_id=rid(2)), NOW)
    assert run.told(ReturnIn(return_id=b"r1", reservation_id=rid(1), quantity=1), NOW) == "hold_released"
    for days in (8, 16):
        run.ask(Release(reservation_id=rid(10 + days)), NOW + days * DAY)
    assert run.state.spread.taken == {}
    assert run.told(ReturnIn(return_id=b"r2", reservation_id=rid(2), quantity=3), NOW + 17 * DAY) == "quantity_invalid"
    assert run.told(ReturnIn(return_id=b"r2", reservation_id=rid(2), quantity=2), NOW + 17 * DAY) == StockDone(available=5)
    assert available(run) == {EAST: 3, "": 2}
    run.check_replay()


def batches() -> Rehearsal:
    run = stocked((EAST, 1))
    for batch, expires_on, quantity in (("late", "2023-12-24", 2), ("soon", "2023-11-14", 2), ("gone", "2023-11-13", 3)):
        run.ask(PutIn(quantity=quantity, warehouse_id=EAST, batch=batch, expires_on=expires_on), NOW)
    return run


def test_what_expires_first_is_sold_first_and_what_is_expired_never() -> None:
    run = batches()
    assert (level(run).available, level(run).sellable) == (8, 5)
    told = run.told(reserve(1, 4), NOW)
    assert [(lot.batch, lot.quantity) for lot in told.lots] == [("soon", 2), ("late", 2)]
    assert run.told(reserve(2, 2), NOW) == "insufficient_stock"
    assert run.told(ProveSoldOut(), NOW) == "insufficient_stock"
    run.ask(reserve(2, 1), NOW)
    assert run.told(reserve(3, 1), NOW) == "sold_out"
    assert isinstance(run.told(ProveSoldOut(), NOW), StockSoldOut)
    run.ask(Release(reservation_id=rid(1)), NOW)
    assert level(run, NOW + DAY).sellable == 2
    run.check_replay()


def test_losses_take_what_is_expired_first_and_a_named_batch_alone() -> None:
    run = batches()
    assert run.told(WriteOff(quantity=4, warehouse_id=EAST, batch="gone"), NOW) == "insufficient_stock"
    run.ask(WriteOff(quantity=1, warehouse_id=EAST, batch="late"), NOW)
    run.ask(WriteOff(quantity=4, warehouse_id=EAST), NOW)
    assert {lot.batch: lot.available for lot in level(run).lots if lot.warehouse_id} == {"": 1, "late": 1, "soon": 1, "gone": 0}


def test_a_count_corrects_the_books_in_both_directions_but_never_below_what_is_held() -> None:
    run = stocked((EAST, 5))
    run.ask(reserve(1, 3), NOW)
    assert run.told(Adjust(warehouse_id=EAST, delta=-3), NOW) == "insufficient_stock"
    assert run.told(Adjust(warehouse_id=EAST, delta=0), NOW) == "quantity_invalid"
    assert run.told(Adjust(warehouse_id=EAST, delta=-2), NOW) == StockDone(available=0)
    assert run.told(Adjust(warehouse_id=WEST, delta=4), NOW) == StockDone(available=4)
    assert (run.state.adjusted, available(run)) == (2, {WEST: 4})
    plain = stocked(("", 5))
    assert plain.told(Adjust(delta=-2), NOW) == StockDone(available=3)
    assert plain.state.spread is None
    for each in (run, plain):
        assert stock.invariant(each.state) == []
        each.check_replay()


def test_units_between_two_warehouses_are_nowhere_to_be_sold_and_arrive_once() -> None:
    run = stocked((EAST, 5))
    run.ask(PutIn(quantity=2, warehouse_id=EAST, batch="b1", expires_on="2030-01-01"), NOW)
    there = Move(move_id=b"m1", from_warehouse=EAST, to_warehouse=WEST, quantity=4)
    for _ in range(3):
        run.ask(there, NOW)
    assert (available(run), run.state.moving) == ({EAST: 3}, 4)
    assert level(run).moves == {b"m1".hex(): (Lot(warehouse_id=WEST, quantity=2, batch="b1", expires_on="2030-01-01"), *lots((WEST, 2)))}
    assert run.told(reserve(1, 4), NOW) == "insufficient_stock"
    assert run.told(Arrive(move_id=b"m2"), NOW) == "move_unknown"
    assert run.told(Arrive(move_id=b"m1", lost=5), NOW) == "quantity_invalid"
    for _ in range(3):
        run.ask(Arrive(move_id=b"m1", lost=1), NOW)
    run.ask(there, NOW)
    assert (available(run), run.state.moving, run.state.written_off) == ({EAST: 3, WEST: 3}, 0, 1)
    assert stock.invariant(run.state) == []
    run.check_replay()


REFUSED = [
    (Move(move_id=b"m", from_warehouse=EAST, to_warehouse=EAST, quantity=1), "invalid_request"),
    (Move(move_id=b"m", from_warehouse=EAST, to_warehouse=WEST, quantity=0), "quantity_invalid"),
    (Move(move_id=b"m", from_warehouse=EAST, to_warehouse=WEST, quantity=6), "insufficient_stock"),
    (Move(move_id=b"m", from_warehouse=WEST, to_warehouse=EAST, quantity=1), "insufficient_stock"),
    (Move(move_id=b"m", from_warehouse=EAST, to_warehouse="w" * 65, quantity=1), "invalid_request"),
    (PutIn(quantity=1, warehouse_id="a/b"), "invalid_request"),
    (PutIn(quantity=1, warehouse_id=EAST, expires_on="2030-01-01"), "invalid_request"),
    (PutIn(quantity=1, warehouse_id=EAST, batch="b", expires_on="2030-02-30"), "invalid_request"),
    (PutIn(quantity=1, warehouse_id=EAST, batch="b", expires_on="soon"), "invalid_request"),
    (PutIn(quantity=1, warehouse_id=EAST, batch="known", expires_on="2031-01-01"), "invalid_request"),
    (PutIn(quantity=1, warehouse_id=EAST, reason="r" * 201), "invalid_request"),
    (Adjust(warehouse_id=NORTH, delta=-1), "insufficient_stock"),
    (Adjust(warehouse_id=EAST, delta=2**53), "quantity_invalid"),
    (WriteOff(quantity=1, warehouse_id=WEST), "insufficient_stock"),
    (WriteOff(quantity=1), "insufficient_stock"),
    (SetSafety(warehouse_id=EAST, quantity=-1), "quantity_invalid"),
    (ReturnIn(return_id=b"r", reservation_id=rid(9), quantity=1), "quantity_invalid"),
]


@pytest.mark.parametrize(("command", "code"), REFUSED)
def test_what_makes_no_sense_is_refused_and_changes_nothing(command: Any, code: str) -> None:
    run = stocked((EAST, 5))
    run.ask(PutIn(quantity=1, warehouse_id=WEST, batch="known", expires_on="2030-01-01"), NOW)
    run.ask(Move(move_id=b"before", from_warehouse=WEST, to_warehouse=EAST, quantity=1), NOW)
    run.ask(Arrive(move_id=b"before"), NOW)
    run.ask(WriteOff(quantity=1, warehouse_id=EAST, batch="known"), NOW)
    before = len(run.events)
    assert run.told(command, NOW) == code
    assert len(run.events) == before


def sends_of(run: Rehearsal, command: Any) -> tuple[Send, ...]:
    outcome = run.ask(command, NOW)
    assert isinstance(outcome, Accepted)
    return outcome.sends


def test_units_that_go_to_another_part_keep_their_warehouse_and_leave_the_safety_stock() -> None:
    one, other = stocked((EAST, 4), (WEST, 3)), Rehearsal(StockKind(), "sku_a#1")
    one.ask(SetSafety(warehouse_id=EAST, quantity=2), NOW)
    assert one.told(TransferOut(transfer_id=b"t0", to_key="sku_a#1", quantity=6), NOW) == "insufficient_stock"
    (send,) = sends_of(one, TransferOut(transfer_id=b"t1", to_key="sku_a#1", quantity=5))
    assert send.command == TransferIn(transfer_id=b"t1", from_key="sku_a#0", quantity=5, lots=lots((WEST, 3), (EAST, 2)))
    for _ in range(2):
        other.ask(send.command, NOW)
    assert (available(one), available(other)) == ({EAST: 2}, {WEST: 3, EAST: 2})
    assert one.told(reserve(1), NOW) == "sold_out"
    for run in (one, other):
        assert stock.invariant(run.state) == []
        run.check_replay()


def test_a_state_of_before_there_were_warehouses_is_all_in_the_unnamed_one() -> None:
    run = stocked(("", 5))
    run.ask(reserve(1, 2), NOW)
    run.ask(reserve(2, 1), NOW)
    run.ask(Sell(reservation_id=rid(2)), NOW)
    packed = msgspec.msgpack.encode(run.state)
    assert b"spread" not in packed
    run.state = msgspec.msgpack.decode(packed, type=StockState)
    run.ask(PutIn(quantity=4, warehouse_id=EAST), NOW)
    assert (run.told(Sell(reservation_id=rid(1)), NOW), available(run)) == (StockDone(available=6), {"": 2, EAST: 4})
    run.ask(Restock(reservation_id=rid(1), quantity=2), NOW)
    run.ask(ReturnIn(return_id=b"r", reservation_id=rid(2), quantity=1), NOW)
    assert available(run) == {"": 5, EAST: 4}
    assert stock.invariant(run.state) == []


def test_batches_that_are_gone_and_forgotten_are_folded_and_nothing_is_lost_of_them() -> None:
    run = stocked((EAST, 1))
    for n in range(200):
        run.ask(PutIn(quantity=2, warehouse_id=EAST, batch=f"b{n}", expires_on="2030-01-01"), NOW)
        run.ask(reserve(n, 2), NOW + n * DAY)
        run.ask(Sell(reservation_id=rid(n)), NOW + n * DAY)
    assert len(run.state.spread.lots) < stock_lots.LOTS_KEPT + stock_lots.FOLD_EVERY
    assert stock.invariant(run.state) == []
    assert run.state.sold == 400
    run.check_replay()
