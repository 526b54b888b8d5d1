"""The levels of stock, one row a part. Events add and take, so a step is one change per part, however many orders it holds.

Units in warehouses with names stand in ``stock_warehouse`` as well, and what happened to them in ``stock_movement``
(:mod:`actors.storage.projections.movements`). An event that names no warehouse and no batch, as all of a shop that has none,
costs neither: but for receipts, losses and counts, which are few.
"""

from typing import Any, ClassVar, Final, assert_never

from actors.storage.projections.movements import Movement, changes, movements
from actors.storage.projections.projection import Fact, Statement
from schemas.stock import (
    StockAdjusted,
    StockArrived,
    StockHeld,
    StockMoveArrived,
    StockMoved,
    StockPutIn,
    StockReceived,
    StockReleased,
    StockRestocked,
    StockReturned,
    StockSafetySet,
    StockSent,
    StockSold,
    StockWrittenOff,
)

ADD_LEVELS: Final = """
INSERT INTO stock_level AS s (key, put_in, received, available, held, sold, written_off, sent, in_transit, returned, adjusted, moving)
SELECT * FROM unnest(
    $1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
    $10::bigint[], $11::bigint[], $12::bigint[]
)
ON CONFLICT (key) DO UPDATE SET
    put_in = s.put_in + excluded.put_in,
    received = s.received + excluded.received,
    available = s.available + excluded.available,
    held = s.held + excluded.held,
    sold = s.sold + excluded.sold,
    written_off = s.written_off + excluded.written_off,
    sent = s.sent + excluded.sent,
    in_transit = s.in_transit + excluded.in_transit,
    returned = s.returned + excluded.returned,
    adjusted = s.adjusted + excluded.adjusted,
    moving = s.moving + excluded.moving
"""

ADD_WAREHOUSES: Final = """
INSERT INTO stock_warehouse AS w
    (key, warehouse_id, put_in, received, returned, moved_in, adjusted, available, held, sold, written_off, sent, moved_out)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
    $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[]
)
ON CONFLICT (key, warehouse_id) DO UPDATE SET
    put_in = w.put_in + excluded.put_in,
    received = w.received + excluded.received,
    returned = w.returned + excluded.returned,
    moved_in = w.moved_in + excluded.moved_in,
    adjusted = w.adjusted + excluded.adjusted,
    available = w.available + excluded.available,
    held = w.held + excluded.held,
    sold = w.sold + excluded.sold,
    written_off = w.written_off + excluded.written_off,
    sent = w.sent + excluded.sent,
    moved_out = w.moved_out + excluded.moved_out
"""

SET_SAFETY: Final = """
INSERT INTO stock_warehouse (key, warehouse_id, safety) SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[])
ON CONFLICT (key, warehouse_id) DO UPDATE SET safety = excluded.safety
"""

INSERT_MOVEMENTS: Final = """
INSERT INTO stock_movement (shard, seq, n, key, warehouse_id, batch, kind, quantity, available, held, reason, reference, at_ms)
SELECT * FROM unnest(
    $1::smallint[], $2::bigint[], $3::smallint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::bigint[],
    $10::bigint[], $11::text[], $12::text[], $13::bigint[]
)
"""

(_PUT_IN, _RECEIVED, _AVAILABLE, _HELD, _SOLD, _WRITTEN_OFF, _SENT, _IN_TRANSIT, _RETURNED, _ADJUSTED, _MOVING) = range(11)

COLUMNS: Final = (
    "put_in", "received", "returned", "moved_in", "adjusted", "available", "held", "sold", "written_off", "sent", "moved_out",
)  # fmt: skip
"""The counters of ``stock_warehouse``."""

StockEvent = (
    StockHeld
    | StockSold
    | StockReleased
    | StockRestocked
    | StockPutIn
    | StockWrittenOff
    | StockSent
    | StockArrived
    | StockReceived
    | StockAdjusted
    | StockMoved
    | StockMoveArrived
    | StockReturned
)


class StockProjection:
    """Fills ``stock_level``, ``stock_warehouse`` and ``stock_movement``."""

    events: ClassVar[tuple[type, ...]] = (
        StockHeld, StockSold, StockReleased, StockRestocked, StockPutIn, StockWrittenOff, StockSent, StockArrived, StockReceived,
        StockAdjusted, StockMoved, StockMoveArrived, StockReturned, StockSafetySet,
    )  # fmt: skip
    tables: ClassVar[tuple[str, ...]] = ("stock_level", "stock_warehouse", "stock_movement")
    after_swap: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        self._changes: dict[str, list[int]] = {}
        self._places: dict[tuple[str, str], list[int]] = {}
        self._safety: dict[tuple[str, str], int] = {}
        self._movements: list[tuple[Any, ...]] = []
        self._record = (0, 0, 0)

    def fold(self, fact: Fact, event: Any, turn: list[Any]) -> None:
        if type(event) is StockSafetySet:
            self._keep(fact, event)
            return
        level = self._changes.get(fact.key)
        if level is None:
            level = self._changes[fact.key] = [0] * 11
        _add(level, event)
        found = movements(event)
        if found:
            self._move(fact, found)

    def _keep(self, fact: Fact, event: StockSafetySet) -> None:
        if event.warehouse_id:
            self._safety[(fact.key, event.warehouse_id)] = event.quantity

    def _move(self, fact: Fact, found: list[Movement]) -> None:
        shard, seq, n = self._record
        if (shard, seq) != (fact.shard, fact.seq):
            n = 0
        for movement in found:
            available, held = 0, 0
            for name, units in changes(movement):
                available += units if name == "available" else 0
                held += units if name == "held" else 0
                if movement.warehouse_id:
                    place = self._places.setdefault((fact.key, movement.warehouse_id), [0] * len(COLUMNS))
                    place[COLUMNS.index(name)] += units
            at_ms = fact.at_ms
            self._movements.append((fact.shard, fact.seq, n, fact.key, *movement[:4], available, held, *movement[4:6], at_ms))
            n += 1
        self._record = (fact.shard, fact.seq, n)

    def statements(self) -> list[Statement]:
        found = []
        if self._changes:
            keys = sorted(self._changes)
            found.append(Statement(ADD_LEVELS, (keys, *zip(*(self._changes[key] for key in keys), strict=True))))
        if self._places:
            names = sorted(self._places)
            found.append(Statement(ADD_WAREHOUSES, (*zip(*names, strict=True), *zip(*(self._places[name] for name in names), strict=True))))
        if self._safety:
            names = sorted(self._safety)
            found.append(Statement(SET_SAFETY, (*zip(*names, strict=True), [self._safety[name] for name in names])))
        if self._movements:
            found.append(Statement(INSERT_MOVEMENTS, tuple(zip(*self._movements, strict=True))))
        return found


def _add(level: list[int], event: StockEvent) -> None:
    match event:
        case StockHeld():
            level[_AVAILABLE] -= event.quantity
            level[_HELD] += event.quantity
        case StockSold():
            level[_HELD] -= event.quantity
            level[_SOLD] += event.quantity
        case StockReleased():
            level[_HELD] -= event.quantity
            level[_AVAILABLE] += event.quantity
        case StockRestocked():
            level[_SOLD] -= event.quantity
            level[_AVAILABLE] += event.quantity
        case StockPutIn():
            level[_PUT_IN] += event.quantity
            level[_AVAILABLE] += event.quantity
        case StockWrittenOff():
            level[_AVAILABLE] -= event.quantity
            level[_WRITTEN_OFF] += event.quantity
        case StockSent():
            level[_AVAILABLE] -= event.quantity
            level[_SENT] += event.quantity
            level[_IN_TRANSIT] += event.quantity
        case StockArrived():
            level[_IN_TRANSIT] -= event.quantity
        case StockReceived():
            level[_RECEIVED] += event.quantity
            level[_AVAILABLE] += event.quantity
        case StockAdjusted():
            level[_ADJUSTED] += event.delta
            level[_AVAILABLE] += event.delta
        case StockMoved():
            level[_AVAILABLE] -= event.quantity
            level[_MOVING] += event.quantity
        case StockMoveArrived():
            quantity = sum(lot.quantity for lot in event.lots)
            level[_MOVING] -= quantity
            level[_AVAILABLE] += quantity - event.lost
            level[_WRITTEN_OFF] += event.lost
        case StockReturned():
            level[_RETURNED] += event.quantity
            level[_AVAILABLE] += event.quantity
        case _:
            assert_never(event)
