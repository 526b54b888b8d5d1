"""Stock: what may be sold, and never more. Pure rules; see README.md in this folder."""

from typing import ClassVar, Final, assert_never

from actors.domain import stock_warehouses
from actors.domain.entity import Accepted, Answered, Context, Outcome, Refused, Send, Wake
from actors.domain.finished import forget, outcome_of, remember
from actors.domain.stock_lots import choose, cut, free_units, is_plain, post, said, today_of
from actors.domain.stock_state import PREFIX_BYTES, Hold, StockState, invariant, level
from actors.domain.stock_warehouses import MOVED, QUANTITY_MAX, RELEASED, RESTOCKED, RETURNED, SOLD, opening
from schemas.ids import derived_id
from schemas.order import ConfirmHold, HoldAlive
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
    StockAdjusted,
    StockArrived,
    StockAsked,
    StockDone,
    StockHeld,
    StockLevel,
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
    StockSoldOut,
    StockSwept,
    StockWrittenOff,
    TransferIn,
    TransferOut,
    WriteOff,
)

__all__ = ("ASK_MAX", "GRACE_MS", "PROOF_MAX", "QUANTITY_MAX", "StockKind", "StockState", "invariant", "level")

GRACE_MS: Final = 60_000
"""The order owns the deadline; the stock asks only this much later."""

ASK_MAX: Final = 100
"""Holds asked about in one turn, so that thousands ending together stop nobody."""

PROOF_MAX: Final = 12_000
"""Reservations named in one answer: 48 KB, below the size of an envelope. The asker goes on from there."""

StockCommand = (
    PutIn | WriteOff | Reserve | Sell | Release | Restock | TransferOut | TransferIn | ReadStock | ProveSoldOut
    | Adjust | Move | Arrive | ReturnIn | SetSafety | Answered | Wake
)  # fmt: skip
PlaceEvent = StockPutIn | StockWrittenOff | StockAdjusted | StockMoved | StockMoveArrived | StockReturned | StockSafetySet
StockEvent = (
    StockHeld | StockSold | StockReleased | StockRestocked | StockSent | StockArrived | StockReceived | StockAsked | StockSwept | PlaceEvent
)


class StockKind:
    """The kind ``stock``. Key: ``<sku>#<part>``; part 0 alone unless the SKU is hot and was split."""

    name: ClassVar[str] = "stock"
    commands: ClassVar[tuple[type, ...]] = (
        PutIn, WriteOff, Reserve, Sell, Release, Restock, TransferOut, TransferIn, ReadStock,
        ProveSoldOut, Adjust, Move, Arrive, ReturnIn, SetSafety,
    )  # fmt: skip
    reads: ClassVar[tuple[type, ...]] = (ReadStock, ProveSoldOut)
    ending: ClassVar[tuple[type, ...]] = (Sell, Release, Restock, TransferIn, WriteOff, Arrive, ReturnIn)
    events: ClassVar[tuple[type, ...]] = (
        StockPutIn, StockWrittenOff, StockHeld, StockSold, StockReleased, StockRestocked, StockSent, StockArrived,
        StockReceived, StockAsked, StockSwept, StockAdjusted, StockMoved, StockMoveArrived, StockReturned, StockSafetySet,
    )  # fmt: skip
    replies: ClassVar[tuple[type, ...]] = (StockLevel, HoldTaken, StockDone, StockSoldOut)
    state: ClassVar[type] = StockState

    def route(self, key: str) -> str:
        return "stock:" + key

    def crowd(self, key: str, command: object) -> str:
        return "stock:" + key

    def new(self, key: str) -> StockState:
        return StockState(key=key)

    def needs(self, command: object) -> tuple[str, ...]:
        return ()

    def wake_at(self, state: StockState) -> int | None:
        return state.wake_ms or None

    def decide(self, state: StockState, command: StockCommand, context: Context) -> Outcome:
        match command:
            case Reserve():
                return _reserve(state, command, context)
            case Sell():
                return _sell(state, command, context)
            case Release():
                return _release(state, command, context)
            case ReadStock():
                return Accepted(reply=level(state, None if state.spread is None else free_units(state, context.at_ms)))
            case ProveSoldOut():
                return _prove_sold_out(state, command, context)
            case Restock():
                return _restock(state, command, context)
            case TransferOut():
                return _transfer_out(state, command, context)
            case TransferIn():
                return _transfer_in(state, command)
            case Answered():
                return _answered(state, command, context)
            case Wake():
                return _sweep(state, context)
            case _:
                return _of_warehouses(state, command, context)

    def apply(self, state: StockState, event: StockEvent) -> None:
        match event:
            case StockHeld():
                _apply_held(state, event)
            case StockSold():
                hold = state.holds.pop(event.reservation_id)
                state.held -= hold.quantity
                state.sold += hold.quantity
                if state.spread is not None:
                    post(state, event.lots, hold.quantity, held=-1, sold=1)
                _finish(state, event.reservation_id, SOLD, event.at_ms)
            case StockReleased():
                _apply_released(state, event)
            case StockRestocked():
                state.sold -= event.quantity
                state.available += event.quantity
                post(state, event.lots, event.quantity, sold=-1, available=1)
                _finish(state, event.reservation_id, RESTOCKED, event.at_ms)
            case StockSent() | StockArrived() | StockReceived():
                _apply_transfer(state, event)
            case StockAsked():
                _apply_asked(state, event)
            case StockSwept():
                state.wake_ms = event.wake_ms
                if forget(state, event.at_ms):
                    _list_anew(state)
            case _:
                _apply_of_warehouses(state, event)


def _of_warehouses(
    state: StockState, command: PutIn | WriteOff | Adjust | Move | Arrive | ReturnIn | SetSafety, context: Context
) -> Outcome:
    match command:
        case PutIn():
            return stock_warehouses.put_in(state, command)
        case WriteOff():
            return stock_warehouses.write_off(state, command)
        case Adjust():
            return stock_warehouses.adjust(state, command)
        case Move():
            return stock_warehouses.move(state, command)
        case Arrive():
            return stock_warehouses.arrive(state, command, context)
        case ReturnIn():
            return stock_warehouses.return_in(state, command, context)
        case SetSafety():
            return stock_warehouses.set_safety(state, command)
        case _:
            assert_never(command)


def _apply_of_warehouses(state: StockState, event: PlaceEvent) -> None:
    stock_warehouses.apply(state, event)
    match event:
        case StockMoveArrived():
            state.taken += _prefix(event.move_id)
            _finish(state, event.move_id, MOVED, event.at_ms)
        case StockReturned():
            state.taken += _prefix(event.return_id)
            _finish(state, event.return_id, RETURNED, event.at_ms)
        case _:
            pass


def _lots_of(state: StockState, reservation_id: bytes) -> tuple[Lot, ...]:
    """Where the units of a reservation are; none: in the unnamed warehouse."""
    return () if state.spread is None else state.spread.taken.get(reservation_id, ())


def _reserve(state: StockState, command: Reserve, context: Context) -> Outcome:
    reservation_id = command.reservation_id
    if reservation_id in state.holds:
        return _held_before(state, command, context)
    finished = outcome_of(state, reservation_id)
    if finished == SOLD:
        return _held_before(state, command, context)
    if finished:
        return Refused(code="hold_released")
    if not 0 < command.quantity <= QUANTITY_MAX:
        return Refused(code="quantity_invalid", params={"limit": QUANTITY_MAX})
    free = state.available if state.spread is None else free_units(state, context.at_ms)
    if free <= 0:
        return Refused(code="sold_out")
    if free < command.quantity:
        return Refused(code="insufficient_stock", params={"available": free})
    lots: tuple[Lot, ...] = ()
    if state.spread is not None:
        lots = said(choose(state.spread, command.quantity, command.prefer, today_of(context.at_ms), command.together))
    held = StockHeld(
        reservation_id=reservation_id,
        order_id=command.order_id,
        user_id=command.user_id,
        quantity=command.quantity,
        deadline_ms=command.deadline_ms,
        lots=lots,
    )
    return Accepted(events=(held,), reply=HoldTaken(available=free - command.quantity, lots=lots))


def _held_before(state: StockState, command: Reserve, context: Context) -> Outcome:
    return Accepted(reply=HoldTaken(available=free_units(state, context.at_ms), lots=_lots_of(state, command.reservation_id)))


def _prove_sold_out(state: StockState, command: ProveSoldOut, context: Context) -> Outcome:
    """What the asker does not know yet: his list grows with each answer, however many hold something."""
    count = len(state.taken) // PREFIX_BYTES
    free = free_units(state, context.at_ms)
    if free > 0 or count < len(state.holds) + len(state.done) + len(state.done_before):
        # A state that was written before there was a list has none of those who came before.
        return Refused(code="insufficient_stock", params={"available": free})
    start = command.known if command.generation == state.generation and 0 <= command.known <= count else 0
    some = bytes(state.taken[start * PREFIX_BYTES : (start + PROOF_MAX) * PREFIX_BYTES])
    return Accepted(reply=StockSoldOut(generation=state.generation, start=start, count=count, prefixes=some))


def _sell(state: StockState, command: Sell, context: Context) -> Outcome:
    hold = state.holds.get(command.reservation_id)
    if hold is not None:
        lots = () if state.spread is None else _lots_of(state, command.reservation_id)
        sold = StockSold(reservation_id=command.reservation_id, quantity=hold.quantity, at_ms=context.at_ms, lots=lots)
        return Accepted(events=(sold,), reply=StockDone(available=state.available))
    match outcome_of(state, command.reservation_id):
        case 1:
            return Accepted(reply=StockDone(available=state.available))
        case 0:
            return Refused(code="hold_unknown")
        case _:
            return Refused(code="hold_released")


def _release(state: StockState, command: Release, context: Context) -> Outcome:
    hold = state.holds.get(command.reservation_id)
    finished = outcome_of(state, command.reservation_id)
    if hold is None and finished == SOLD:
        return Refused(code="hold_unknown")
    if hold is None and finished:
        return Accepted(reply=StockDone(available=state.available))
    quantity = hold.quantity if hold else 0
    lots = () if state.spread is None or not hold else _lots_of(state, command.reservation_id)
    released = StockReleased(reservation_id=command.reservation_id, quantity=quantity, at_ms=context.at_ms, lots=lots)
    return Accepted(events=(released,), reply=StockDone(available=state.available + quantity))


def _restock(state: StockState, command: Restock, context: Context) -> Outcome:
    """Whatever became of it: sold units come back, a hold is released, and what has not come yet never will."""
    match outcome_of(state, command.reservation_id):
        case 0:
            return _release(state, Release(reservation_id=command.reservation_id), context)
        case 2 | 3:
            return Accepted(reply=StockDone(available=state.available))
        case 1 if 0 < command.quantity <= _restockable(state, command.reservation_id):
            lots = cut(_lots_of(state, command.reservation_id), 0, command.quantity)
            back = StockRestocked(
                reservation_id=command.reservation_id, quantity=command.quantity, at_ms=context.at_ms, lots=lots
            )  # fmt: skip
            return Accepted(events=(back,), reply=StockDone(available=state.available + command.quantity))
        case _:
            return Refused(code="hold_unknown")


def _restockable(state: StockState, reservation_id: bytes) -> int:
    """Units of a sold reservation that may come back as if it had never been; what a buyer returned has come back already."""
    if reservation_id in state.came_back:
        return 0
    if state.spread is None:
        return state.sold - state.returned
    lots = _lots_of(state, reservation_id)
    here = sum(lot.quantity for lot in lots) if lots else state.spread.lots["/"].sold
    return min(here, state.sold - state.returned)


def _transfer_out(state: StockState, command: TransferOut, context: Context) -> Outcome:
    if command.transfer_id in state.transfers_out:
        return Accepted(reply=StockDone(available=state.available))
    if command.to_key == state.key or command.to_key.partition("#")[0] != state.key.partition("#")[0]:
        return Refused(code="invalid_request", params={"reason": "units move between the parts of one article"})
    if command.quantity <= 0:
        return Refused(code="quantity_invalid", params={"limit": state.available})
    free = free_units(state, context.at_ms)
    if command.quantity > free:
        return Refused(code="insufficient_stock", params={"available": free})
    # Safety stock stays with the part that keeps it, and so do units that nobody may buy.
    lots = () if state.spread is None else said(choose(state.spread, command.quantity, (), today_of(context.at_ms)))
    send = Send(
        id=derived_id("transfer", command.transfer_id),
        step="transfer:" + command.transfer_id.hex(),
        kind="stock",
        key=command.to_key,
        command=TransferIn(transfer_id=command.transfer_id, from_key=state.key, quantity=command.quantity, lots=lots),
    )
    event = StockSent(transfer_id=command.transfer_id, to_key=command.to_key, quantity=command.quantity, lots=lots)
    return Accepted(events=(event,), reply=StockDone(available=state.available - command.quantity), sends=(send,))


def _transfer_in(state: StockState, command: TransferIn) -> Outcome:
    if command.transfer_id in state.transfers_in:
        return Accepted(reply=StockDone(available=state.available))
    lots = command.lots
    event = StockReceived(transfer_id=command.transfer_id, from_key=command.from_key, quantity=command.quantity, lots=lots)
    events = (event,) if is_plain(lots) else (*opening(state, lots), event)
    return Accepted(events=events, reply=StockDone(available=state.available + command.quantity))


def _answered(state: StockState, command: Answered, context: Context) -> Outcome:
    what, _, rest = command.step.partition(":")
    if what == "transfer":
        transfer_id = bytes.fromhex(rest)
        quantity = state.transfers_out.get(transfer_id)
        if not quantity or command.refused is not None:
            return Accepted()
        return Accepted(events=(StockArrived(transfer_id=transfer_id, quantity=quantity),))
    reservation_id = bytes.fromhex(rest)
    dead = isinstance(command.reply, HoldAlive) and not command.reply.alive
    if not dead or reservation_id not in state.holds:
        return Accepted()
    quantity, lots = state.holds[reservation_id].quantity, _lots_of(state, reservation_id)
    return Accepted(events=(StockReleased(reservation_id=reservation_id, quantity=quantity, at_ms=context.at_ms, lots=lots),))


def _sweep(state: StockState, context: Context) -> Outcome:
    """Ask the orders of overdue holds whether they live. No answer means keep."""
    overdue: list[tuple[bytes, Hold]] = []
    earliest = 0
    for reservation_id, hold in state.holds.items():
        due = hold.deadline_ms + GRACE_MS
        if due <= context.at_ms and len(overdue) < ASK_MAX:
            overdue.append((reservation_id, hold))
        elif earliest == 0 or due < earliest:
            earliest = due
    swept = StockSwept(wake_ms=max(earliest, context.at_ms + 1000) if earliest else 0, at_ms=context.at_ms)
    if not overdue:
        return Accepted(events=(swept,))
    again_ms = context.at_ms + GRACE_MS
    sends = tuple(
        Send(
            id=derived_id("ask", reservation_id, str(hold.deadline_ms)),
            step="ask:" + reservation_id.hex(),
            kind="order",
            key=hold.user_id,
            command=ConfirmHold(order_id=hold.order_id, reservation_id=reservation_id, stock_key=state.key),
        )
        for reservation_id, hold in overdue
    )
    asked = StockAsked(reservation_ids=tuple(reservation_id for reservation_id, _ in overdue), again_ms=again_ms)
    return Accepted(events=(swept, asked), sends=sends)


def _apply_held(state: StockState, event: StockHeld) -> None:
    state.holds[event.reservation_id] = Hold(
        order_id=event.order_id, user_id=event.user_id, quantity=event.quantity, deadline_ms=event.deadline_ms
    )
    state.taken += event.reservation_id[:PREFIX_BYTES]
    state.available -= event.quantity
    state.held += event.quantity
    if state.spread is not None:
        post(state, event.lots, event.quantity, available=-1, held=1)
        if event.lots:
            state.spread.taken[event.reservation_id] = event.lots
    due = event.deadline_ms + GRACE_MS
    if state.wake_ms == 0 or due < state.wake_ms:
        state.wake_ms = due


def _apply_released(state: StockState, event: StockReleased) -> None:
    hold = state.holds.pop(event.reservation_id, None)
    if hold is not None:
        state.held -= hold.quantity
        state.available += hold.quantity
        if state.spread is not None:
            post(state, event.lots, hold.quantity, held=-1, available=1)
            state.spread.taken.pop(event.reservation_id, None)
    else:
        state.taken += event.reservation_id[:PREFIX_BYTES]
    _finish(state, event.reservation_id, RELEASED, event.at_ms)


def _apply_transfer(state: StockState, event: StockSent | StockArrived | StockReceived) -> None:
    match event:
        case StockSent():
            state.available -= event.quantity
            state.sent += event.quantity
            state.in_transit += event.quantity
            post(state, event.lots, event.quantity, available=-1, sent=1)
            state.transfers_out[event.transfer_id] = event.quantity
        case StockArrived():
            state.in_transit -= event.quantity
            # Kept, so that a repeat of the command is known; transfers are few.
            state.transfers_out[event.transfer_id] = 0
        case StockReceived():
            state.available += event.quantity
            state.received += event.quantity
            post(state, event.lots, event.quantity, received=1, available=1)
            state.transfers_in[event.transfer_id] = event.quantity
        case _:
            assert_never(event)


def _apply_asked(state: StockState, event: StockAsked) -> None:
    for reservation_id in event.reservation_ids:
        hold = state.holds.get(reservation_id)
        if hold is not None:
            hold.deadline_ms = event.again_ms - GRACE_MS
    if state.wake_ms == 0 or event.again_ms < state.wake_ms:
        state.wake_ms = event.again_ms


def _finish(state: StockState, reservation_id: bytes, outcome: int, at_ms: int) -> None:
    if remember(state, reservation_id, outcome, at_ms):
        _list_anew(state)


def _prefix(name: bytes) -> bytes:
    """Ids of moves and returns are chosen by others, who may like short ones."""
    return name[:PREFIX_BYTES].ljust(PREFIX_BYTES, b"\0")


def _list_anew(state: StockState) -> None:
    """Reservations were forgotten: the list begins again without them."""
    known = (*state.holds, *state.done_before, *state.done)
    state.taken = bytearray(b"".join(map(_prefix, known)))
    state.generation += 1
    remembered = frozenset(known)
    if state.came_back:
        state.came_back = {key: units for key, units in state.came_back.items() if key in remembered}
    if state.spread is not None:
        state.spread.taken = {key: lots for key, lots in state.spread.taken.items() if key in remembered}
