"""The entity of stock beside a ledger of single units, under any commands in any order."""

from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from actors.domain import stock, stock_lots
from actors.domain.entity import Wake
from actors.domain.finished import outcome_of
from actors.domain.stock import StockKind
from actors.testing.rehearsal import Rehearsal
from schemas.stock import (
    Adjust,
    Arrive,
    HoldTaken,
    Lot,
    Move,
    PutIn,
    Release,
    Reserve,
    Restock,
    ReturnIn,
    Sell,
    SetSafety,
    TransferOut,
    WriteOff,
)

NOW = 1_700_000_000_000
EAST, WEST = "whs_east", "whs_west"


def rid(n: int) -> bytes:
    return b"%04d reservation" % n


def reserve(n: int, quantity: int, *prefer: str) -> Reserve:
    return Reserve(reservation_id=rid(n), order_id=f"ord_{n}", user_id="usr_a", quantity=quantity, deadline_ms=NOW + 900_000, prefer=prefer)


class Unit:
    """One unit, told apart from all others."""

    def __init__(self, warehouse: str, batch: str, expires_on: str) -> None:
        self.place, self.batch, self.expires_on, self.state = warehouse, batch, expires_on, "available"


class Ledger(RuleBasedStateMachine):
    """The entity beside a list of single units, moved one by one as the events say; what may be taken is judged by force."""

    def __init__(self) -> None:
        super().__init__()
        self.run = Rehearsal(StockKind(), "sku_a#0")
        self.units: list[Unit] = []
        self.safety: dict[str, int] = {}
        self.now = NOW
        self.told: Any = None

    def play(self, command: Any) -> Any:
        seen = len(self.run.events)
        self.told = self.run.told(command, self.now)
        for event in self.run.events[seen:]:
            self.follow(event)
        return self.told

    def follow(self, event: Any) -> None:
        named = getattr(event, "lots", ()) or (Lot(warehouse_id="", quantity=getattr(event, "quantity", 0)),)
        match type(event).__name__:
            case "StockPutIn":
                self.units += [Unit(event.warehouse_id, event.batch, event.expires_on) for _ in range(event.quantity)]
            case "StockAdjusted" if event.delta > 0:
                self.units += [Unit(lot.warehouse_id, lot.batch, lot.expires_on) for lot in named for _ in range(lot.quantity)]
            case "StockAdjusted":
                for lot in named:
                    for unit in self.pick(msgspec.structs.replace(lot, quantity=-lot.quantity), "available"):
                        self.units.remove(unit)
            case "StockSafetySet":
                self.safety[event.warehouse_id] = event.quantity
            case "StockMoveArrived":
                for lot in named:
                    for unit in self.pick(msgspec.structs.replace(lot, warehouse_id="moving"), f"to {event.move_id!r}"):
                        unit.place, unit.state = lot.warehouse_id, "available"
                for lot in stock_lots.cut(named, sum(lot.quantity for lot in named) - event.lost, event.lost):
                    for unit in self.pick(lot, "available"):
                        unit.state = "written_off"
            case "StockReturned":
                came = [unit for unit in self.units if unit.state == "sold"][: event.quantity]
                where = [each for each in named for _ in range(each.quantity)]
                for unit, lot in zip(came, where, strict=True):
                    unit.state = "gone back"
                    self.units.append(Unit(lot.warehouse_id, lot.batch, lot.expires_on))
            case "StockSwept" | "StockAsked":
                pass
            case name:
                self.change(name, event, named)

    def change(self, name: str, event: Any, named: tuple[Lot, ...]) -> None:
        changes = {
            "StockHeld": ("available", "held"), "StockSold": ("held", "sold"), "StockReleased": ("held", "available"),
            "StockRestocked": ("sold", "available"), "StockWrittenOff": ("available", "written_off"), "StockSent": ("available", "sent"),
            "StockMoved": ("available", "moving"),
        }  # fmt: skip
        before, after = changes[name]
        for lot in named:
            for unit in self.pick(lot, before):
                unit.state = after
                if name == "StockMoved":
                    unit.place, unit.state = "moving", f"to {event.move_id!r}"

    def pick(self, lot: Lot, state: str) -> list[Unit]:
        fitting = [unit for unit in self.units if (unit.place, unit.batch, unit.state) == (lot.warehouse_id, lot.batch, state)]
        assert len(fitting) >= lot.quantity, f"{lot} is not {state}"
        return fitting[: lot.quantity]

    def fresh(self, place: str) -> list[Unit]:
        today = stock_lots.today_of(self.now)
        return [
            unit
            for unit in self.units
            if unit.state == "available" and unit.place == place and (not unit.expires_on or unit.expires_on >= today)
        ]

    def free(self) -> dict[str, int]:
        places = {unit.place for unit in self.units}
        return {place: max(0, len(self.fresh(place)) - self.safety.get(place, 0)) for place in places}

    places = st.sampled_from(["", EAST, WEST])
    few = st.integers(1, 4)
    numbers = st.integers(0, 9)

    @rule(place=places, quantity=st.integers(1, 6), batch=st.sampled_from(["", "2023-11-13", "2023-11-15", "2024-01-01"]))
    def put_in(self, place: str, quantity: int, batch: str) -> None:
        self.play(PutIn(quantity=quantity, warehouse_id=place, batch=batch, expires_on=batch))

    @rule(place=places, quantity=st.integers(0, 3))
    def keep(self, place: str, quantity: int) -> None:
        self.play(SetSafety(warehouse_id=place, quantity=quantity))

    @rule(n=numbers, quantity=few, prefer=st.lists(places, max_size=3))
    def hold(self, n: int, quantity: int, prefer: list[str]) -> None:
        known = rid(n) in self.run.state.holds or outcome_of(self.run.state, rid(n))
        free = self.free()
        orders = {place: sorted(unit.expires_on or "9999" for unit in self.fresh(place)) for place in free}
        told = self.play(reserve(n, quantity, *prefer))
        if known:
            return
        assert isinstance(told, HoldTaken) == (sum(free.values()) >= quantity), told
        if not isinstance(told, HoldTaken):
            return
        taken: dict[str, list[Lot]] = {}
        for lot in told.lots or (Lot(warehouse_id="", quantity=quantity),):
            taken.setdefault(lot.warehouse_id, []).append(lot)
        enough = [place for place, units in free.items() if units >= quantity]
        if enough:
            liked = [place for place in prefer if place in enough]
            assert len(taken) == 1
            assert not liked or next(iter(taken)) == liked[0]
        for place, shares in taken.items():
            assert sum(lot.quantity for lot in shares) <= free[place]
            ends = [lot.expires_on or "9999" for lot in shares for _ in range(lot.quantity)]
            assert ends == orders[place][: len(ends)]

    @precondition(lambda self: self.run.state.holds)
    @rule(data=st.data())
    def sell(self, data: st.DataObject) -> None:
        self.play(Sell(reservation_id=data.draw(st.sampled_from(sorted(self.run.state.holds)))))

    @rule(n=numbers)
    def release(self, n: int) -> None:
        self.play(Release(reservation_id=rid(n)))

    @precondition(lambda self: self.run.state.done)
    @rule(data=st.data(), quantity=few)
    def restock(self, data: st.DataObject, quantity: int) -> None:
        self.play(Restock(reservation_id=data.draw(st.sampled_from(sorted(self.run.state.done))), quantity=quantity))

    @precondition(lambda self: self.run.state.done)
    @rule(data=st.data(), back=st.integers(0, 3), quantity=few, place=st.none() | places)
    def give_back(self, data: st.DataObject, back: int, quantity: int, place: str | None) -> None:
        reservation_id = data.draw(st.sampled_from(sorted(self.run.state.done)))
        self.play(ReturnIn(return_id=b"return %d" % back, reservation_id=reservation_id, quantity=quantity, warehouse_id=place))

    @rule(place=places, quantity=few)
    def write_off(self, place: str, quantity: int) -> None:
        self.play(WriteOff(quantity=quantity, warehouse_id=place))

    @rule(place=places, delta=st.integers(-3, 3))
    def adjust(self, place: str, delta: int) -> None:
        self.play(Adjust(warehouse_id=place, delta=delta))

    @rule(n=st.integers(0, 2), one=places, other=places, quantity=few)
    def move(self, n: int, one: str, other: str, quantity: int) -> None:
        self.play(Move(move_id=b"move %d" % n, from_warehouse=one, to_warehouse=other, quantity=quantity))

    @precondition(lambda self: self.run.state.moving)
    @rule(data=st.data(), lost=st.integers(0, 1))
    def arrive(self, data: st.DataObject, lost: int) -> None:
        self.play(Arrive(move_id=data.draw(st.sampled_from(sorted(self.run.state.spread.moves))), lost=lost))

    @rule(n=st.integers(0, 1), quantity=few)
    def send(self, n: int, quantity: int) -> None:
        self.play(TransferOut(transfer_id=rid(n), to_key="sku_a#1", quantity=quantity))

    @rule(hours=st.integers(1, 40))
    def wait(self, hours: int) -> None:
        self.now += hours * 3_600_000
        self.play(Wake())

    @invariant()
    def every_unit_is_where_the_entity_says(self) -> None:
        state = self.run.state
        assert stock.invariant(state) == []
        counted: dict[tuple[str, str, str], int] = {}
        for lot in state.spread.lots.values() if state.spread else (state,):
            for name in ("available", "held", "sold", "written_off", "sent"):
                where = (getattr(lot, "warehouse_id", ""), getattr(lot, "batch", ""), name)
                counted[where] = counted.get(where, 0) + getattr(lot, name)
        found: dict[tuple[str, str, str], int] = {}
        for unit in self.units:
            found[(unit.place, unit.batch, unit.state)] = found.get((unit.place, unit.batch, unit.state), 0) + 1
        gone_back = sum(units for (_, _, name), units in found.items() if name == "gone back")
        assert gone_back == state.returned
        for name in ("available", "held", "written_off", "sent"):
            assert {k: v for k, v in counted.items() if k[2] == name and v} == {k: v for k, v in found.items() if k[2] == name}
        assert sum(v for k, v in counted.items() if k[2] == "sold") == sum(v for k, v in found.items() if k[2] == "sold") + gone_back

    def teardown(self) -> None:
        self.run.check_replay()


TestLedger = Ledger.TestCase
TestLedger.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestLedger.pytestmark = [pytest.mark.slow]
