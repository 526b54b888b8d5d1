"""What staff and other systems do to stock: receipts, losses, counts, moves between warehouses, returns, safety stock. Pure rules."""

import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from actors.domain.dates import month_length
from actors.domain.entity import Accepted, Context, Outcome, Refused
from actors.domain.finished import outcome_of
from actors.domain.stock_lots import (
    available_in,
    cut,
    is_plain,
    lot_key,
    out_of,
    post,
    said,
    settle,
    whose,
)
from actors.domain.stock_state import OnTheWay, StockState
from schemas.stock import (
    Adjust,
    Arrive,
    Lot,
    Move,
    PutIn,
    ReturnIn,
    SetSafety,
    StockAdjusted,
    StockDone,
    StockMoveArrived,
    StockMoved,
    StockPutIn,
    StockReturned,
    StockSafetySet,
    StockWrittenOff,
    WriteOff,
)

QUANTITY_MAX: Final = 2**53
"""Sums stay exact in every language that reads them as JSON."""

SOLD: Final = 1
RELEASED: Final = 2
RESTOCKED: Final = 3
RETURNED: Final = 4
MOVED: Final = 5
"""What becomes of a reservation, a return, a move, as ``actors.domain.finished`` remembers it."""

PLACES_MAX: Final = 100
"""Warehouses of one part."""

LOTS_MAX: Final = 1000
"""Batches of one part that are there or remembered, over all warehouses."""

NAME_MAX: Final = 64
TEXT_MAX: Final = 200

_DAY: Final = re.compile(r"(20\d\d)-(\d\d)-(\d\d)\Z")


def put_in(state: StockState, command: PutIn) -> Outcome:
    """Units arrive."""
    if not 0 < command.quantity <= _room(state):
        return Refused(code="quantity_invalid", params={"limit": _room(state)})
    lot = Lot(warehouse_id=command.warehouse_id, quantity=command.quantity, batch=command.batch, expires_on=command.expires_on)
    wrong = _flaw(state, lot, command.reason, command.reference)
    if wrong:
        return Refused(code="invalid_request", params={"reason": wrong})
    event = StockPutIn(
        quantity=command.quantity,
        reason=command.reason,
        warehouse_id=command.warehouse_id,
        batch=command.batch,
        expires_on=command.expires_on,
        reference=command.reference,
    )
    return Accepted(events=(*opening(state, (lot,)), event), reply=StockDone(available=state.available + command.quantity))


def write_off(state: StockState, command: WriteOff) -> Outcome:
    """Available units are gone; safety stock and expired ones may be among them."""
    here = available_in(state, command.warehouse_id, command.batch)
    if command.quantity <= 0:
        return Refused(code="quantity_invalid", params={"limit": here})
    if command.quantity > here:
        return Refused(code="insufficient_stock", params={"available": here})
    lots = out_of(state, command.warehouse_id, command.batch, command.quantity)
    event = StockWrittenOff(quantity=command.quantity, reason=command.reason, lots=said(lots), reference=command.reference)
    return Accepted(events=(event,), reply=StockDone(available=state.available - command.quantity))


def adjust(state: StockState, command: Adjust) -> Outcome:
    """The books follow a count, which finds what is held beside what is available."""
    lot = Lot(warehouse_id=command.warehouse_id, quantity=command.delta, batch=command.batch, expires_on=command.expires_on)
    wrong = _flaw(state, lot, command.reason, command.reference)
    if wrong:
        return Refused(code="invalid_request", params={"reason": wrong})
    if command.delta == 0 or command.delta > _room(state):
        return Refused(code="quantity_invalid", params={"limit": _room(state)})
    lots: tuple[Lot, ...] = (lot,)
    if command.delta < 0:
        here = available_in(state, command.warehouse_id, command.batch)
        if -command.delta > here:
            return Refused(code="insufficient_stock", params={"available": here})
        out = out_of(state, command.warehouse_id, command.batch, -command.delta)
        lots = tuple(msgspec.structs.replace(lot, quantity=-lot.quantity) for lot in out)
    event = StockAdjusted(delta=command.delta, lots=lots, reason=command.reason, reference=command.reference)
    return Accepted(events=(*opening(state, lots), event), reply=StockDone(available=state.available + command.delta))


def move(state: StockState, command: Move) -> Outcome:
    """Units leave one warehouse for another. They are nowhere to be sold until they arrive."""
    if _is_moving(state, command.move_id) or outcome_of(state, command.move_id) == MOVED:
        return Accepted(reply=StockDone(available=state.available))
    if command.to_warehouse == command.from_warehouse:
        return Refused(code="invalid_request", params={"reason": "units move between two warehouses"})
    here = available_in(state, command.from_warehouse, command.batch)
    if command.quantity <= 0:
        return Refused(code="quantity_invalid", params={"limit": here})
    if command.quantity > here:
        return Refused(code="insufficient_stock", params={"available": here})
    lots = out_of(state, command.from_warehouse, command.batch, command.quantity)
    wrong = next(filter(None, (_flaw(state, lot, command.reason, command.reference) for lot in _renamed(lots, command.to_warehouse))), "")
    if wrong:
        return Refused(code="invalid_request", params={"reason": wrong})
    event = StockMoved(
        move_id=command.move_id,
        to_warehouse=command.to_warehouse,
        quantity=command.quantity,
        lots=lots,
        reason=command.reason,
        reference=command.reference,
    )
    events = (*opening(state, (*lots, *_renamed(lots, command.to_warehouse))), event)
    return Accepted(events=events, reply=StockDone(available=state.available - command.quantity))


def arrive(state: StockState, command: Arrive, context: Context) -> Outcome:
    """Units are where they were moved to."""
    if outcome_of(state, command.move_id) == MOVED:
        return Accepted(reply=StockDone(available=state.available))
    under_way = state.spread.moves.get(command.move_id) if state.spread else None
    if under_way is None:
        return Refused(code="move_unknown")
    lots = _renamed(under_way.lots, under_way.to_warehouse)
    quantity = sum(lot.quantity for lot in lots)
    if not 0 <= command.lost <= quantity:
        return Refused(code="quantity_invalid", params={"limit": quantity})
    event = StockMoveArrived(
        move_id=command.move_id, lots=lots, at_ms=context.at_ms, lost=command.lost, reference=command.reference
    )  # fmt: skip
    return Accepted(events=(event,), reply=StockDone(available=state.available + quantity - command.lost))


def return_in(state: StockState, command: ReturnIn, context: Context) -> Outcome:
    """Sold units came back. Of a reservation that is forgotten the caller must know that it was sold, and how much of it."""
    if outcome_of(state, command.return_id) == RETURNED:
        return Accepted(reply=StockDone(available=state.available))
    before = outcome_of(state, command.reservation_id)
    if before not in (0, SOLD):
        return Refused(code="hold_released")
    if command.reservation_id in state.holds:
        return Refused(code="hold_unknown")
    came_back = state.came_back.get(command.reservation_id, 0)
    taken = state.spread.taken.get(command.reservation_id, ()) if state.spread else ()
    limit = state.sold - state.returned
    if taken:
        limit = min(limit, sum(lot.quantity for lot in taken) - came_back)
    if not 0 < command.quantity <= limit:
        return Refused(code="quantity_invalid", params={"limit": limit})
    if command.warehouse_id is None:
        lots = cut(taken, came_back, command.quantity)
    else:
        lots = (Lot(warehouse_id=command.warehouse_id, quantity=command.quantity, batch=command.batch, expires_on=command.expires_on),)
    lots = whose(lots, command.quantity)
    wrong = next(filter(None, (_flaw(state, lot, command.reason, command.reference) for lot in lots)), "")
    if wrong:
        return Refused(code="invalid_request", params={"reason": wrong})
    event = StockReturned(
        return_id=command.return_id,
        reservation_id=command.reservation_id,
        quantity=command.quantity,
        lots=lots,
        at_ms=context.at_ms,
        reason=command.reason,
        reference=command.reference,
    )
    return Accepted(events=(*opening(state, lots), event), reply=StockDone(available=state.available + command.quantity))


def set_safety(state: StockState, command: SetSafety) -> Outcome:
    """Units of a warehouse that are not for sale."""
    if not 0 <= command.quantity <= QUANTITY_MAX:
        return Refused(code="quantity_invalid", params={"limit": QUANTITY_MAX})
    wrong = _flaw(state, Lot(warehouse_id=command.warehouse_id, quantity=1), "", "")
    if wrong:
        return Refused(code="invalid_request", params={"reason": wrong})
    known = state.spread.safety.get(command.warehouse_id) if state.spread else None
    if known == command.quantity or (known is None and not command.warehouse_id and not command.quantity):
        return Accepted(reply=StockDone(available=state.available))
    event = StockSafetySet(warehouse_id=command.warehouse_id, quantity=command.quantity)
    return Accepted(events=(event,), reply=StockDone(available=state.available))


def opening(state: StockState, lots: Iterable[Lot]) -> tuple[StockSafetySet, ...]:
    """The events that stand before the first unit in a warehouse, or in a batch of the unnamed one."""
    lots = tuple(lots)
    known = state.spread.safety if state.spread else {}
    names = dict.fromkeys(lot.warehouse_id for lot in lots if lot.warehouse_id and lot.warehouse_id not in known)
    if state.spread is None and not names and not is_plain(lots):
        names = {"": None}
    return tuple(StockSafetySet(warehouse_id=name, quantity=0) for name in names)


def apply(state: StockState, event: Any) -> None:
    """Write one of the events of this file into the state (but the end of a move or return, which ``stock`` remembers)."""
    match event:
        case StockPutIn():
            state.put_in += event.quantity
            state.available += event.quantity
            if state.spread is not None:
                lot = Lot(warehouse_id=event.warehouse_id, quantity=event.quantity, batch=event.batch, expires_on=event.expires_on)
                post(state, (lot,), event.quantity, put_in=1, available=1)
        case StockWrittenOff():
            state.written_off += event.quantity
            state.available -= event.quantity
            post(state, event.lots, event.quantity, written_off=1, available=-1)
        case StockAdjusted():
            state.adjusted += event.delta
            state.available += event.delta
            post(state, event.lots, event.delta, adjusted=1, available=1)
        case StockMoved():
            state.available -= event.quantity
            state.moving += event.quantity
            settle(state).moves[event.move_id] = OnTheWay(to_warehouse=event.to_warehouse, lots=event.lots)
            post(state, event.lots, event.quantity, moved_out=1, available=-1)
        case StockMoveArrived():
            quantity = sum(lot.quantity for lot in event.lots)
            state.available += quantity - event.lost
            state.moving -= quantity
            state.written_off += event.lost
            settle(state).moves.pop(event.move_id, None)
            post(state, event.lots, quantity, moved_in=1, available=1)
            if event.lost:
                post(state, cut(event.lots, quantity - event.lost, event.lost), event.lost, written_off=1, available=-1)
        case StockReturned():
            state.available += event.quantity
            state.returned += event.quantity
            post(state, event.lots, event.quantity, returned=1, available=1)
            state.came_back[event.reservation_id] = state.came_back.get(event.reservation_id, 0) + event.quantity
        case StockSafetySet():
            settle(state).safety[event.warehouse_id] = event.quantity


def _renamed(lots: tuple[Lot, ...], warehouse_id: str) -> tuple[Lot, ...]:
    return tuple(msgspec.structs.replace(lot, warehouse_id=warehouse_id) for lot in lots)


def _is_moving(state: StockState, move_id: bytes) -> bool:
    return state.spread is not None and move_id in state.spread.moves


def _room(state: StockState) -> int:
    return QUANTITY_MAX - state.put_in - state.received - state.returned - max(0, state.adjusted)


def _flaw(state: StockState, lot: Lot, reason: str, reference: str) -> str:
    """Why a lot cannot be; empty when it can."""
    if len(lot.warehouse_id) > NAME_MAX or "/" in lot.warehouse_id or len(lot.batch) > NAME_MAX:
        return "a warehouse or a batch is named by up to 64 characters"
    if max(len(reason), len(reference)) > TEXT_MAX:
        return "reason and reference have up to 200 characters"
    if lot.expires_on and not lot.batch:
        return "a day on which units expire belongs to a batch"
    if lot.expires_on and not _is_day(lot.expires_on):
        return "expires_on is a date of this century, YYYY-MM-DD"
    spread = state.spread
    if spread is None:
        return ""
    count = spread.lots.get(lot_key(lot.warehouse_id, lot.batch))
    if count is not None and lot.expires_on not in ("", count.expires_on):
        return f"batch {lot.batch} expires on {count.expires_on or 'no day'}"
    if count is None and len(spread.lots) >= LOTS_MAX:
        return "too many batches"
    if lot.warehouse_id and lot.warehouse_id not in spread.safety and len(spread.safety) >= PLACES_MAX:
        return "too many warehouses"
    return ""


def _is_day(text: str) -> bool:
    found = _DAY.match(text)
    if found is None:
        return False
    year, month, day = (int(part) for part in found.groups())
    return 1 <= month <= 12 and 1 <= day <= month_length(year, month)
