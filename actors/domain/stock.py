"""Stock: what may be sold, and never more. Pure rules; see README.md in this folder."""

from typing import ClassVar, Final, assert_never

import msgspec

from actors.domain.entity import Accepted, Answered, Context, Outcome, Refused, Send, Wake
from actors.domain.finished import forget, outcome_of, remember
from schemas.ids import derived_id
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
    StockArrived,
    StockAsked,
    StockDone,
    StockHeld,
    StockLevel,
    StockPutIn,
    StockReceived,
    StockReleased,
    StockRestocked,
    StockSent,
    StockSold,
    StockSoldOut,
    StockSwept,
    StockWrittenOff,
    TransferIn,
    TransferOut,
    WriteOff,
)

GRACE_MS: Final = 60_000
"""The order owns the deadline; the stock asks only this much later."""

ASK_MAX: Final = 100
"""Holds asked about in one turn, so that thousands ending together stop nobody."""

QUANTITY_MAX: Final = 2**53
"""Sums stay exact in every language that reads them as JSON."""

SOLD: Final = 1
RELEASED: Final = 2
RESTOCKED: Final = 3

PREFIX_BYTES: Final = 4
"""Of a reservation's id as a proof names it: of a million others not one in four thousand is taken for it."""

PROOF_MAX: Final = 12_000
"""Reservations named in one answer: 48 KB, below the size of an envelope. The asker goes on from there."""

StockCommand = (
    PutIn | WriteOff | Reserve | Sell | Release | Restock | TransferOut | TransferIn | ReadStock | ProveSoldOut
    | Answered | Wake
)  # fmt: skip
StockEvent = (
    StockPutIn
    | StockWrittenOff
    | StockHeld
    | StockSold
    | StockReleased
    | StockRestocked
    | StockSent
    | StockArrived
    | StockReceived
    | StockAsked
    | StockSwept
)


class Hold(msgspec.Struct, gc=False, kw_only=True, array_like=True):
    """Units kept for one order."""

    order_id: str
    user_id: str
    quantity: int
    deadline_ms: int


class StockState(msgspec.Struct, kw_only=True):
    """Counters, the live holds, and what became of finished reservations (``actors.domain.finished``).

    ``taken``: the first bytes of every reservation that is held or finished, in the order in which they came;
    it only grows, until finished ones are forgotten: then a list of another ``generation`` begins.
    """

    key: str
    put_in: int = 0
    received: int = 0
    available: int = 0
    held: int = 0
    sold: int = 0
    written_off: int = 0
    sent: int = 0
    in_transit: int = 0
    wake_ms: int = 0
    holds: dict[bytes, Hold] = {}
    done: dict[bytes, int] = {}
    done_before: dict[bytes, int] = {}
    done_since_ms: int = 0
    taken: bytearray = msgspec.field(default_factory=bytearray)
    generation: int = 1
    transfers_out: dict[bytes, int] = {}
    transfers_in: dict[bytes, int] = {}


class StockKind:
    """The kind ``stock``. Key: ``<sku>#<part>``; part 0 alone unless the SKU is hot and was split."""

    name: ClassVar[str] = "stock"
    commands: ClassVar[tuple[type, ...]] = (
        PutIn, WriteOff, Reserve, Sell, Release, Restock, TransferOut, TransferIn, ReadStock,
        ProveSoldOut,
    )  # fmt: skip
    reads: ClassVar[tuple[type, ...]] = (ReadStock, ProveSoldOut)
    ending: ClassVar[tuple[type, ...]] = (Sell, Release, Restock, TransferIn, WriteOff)
    events: ClassVar[tuple[type, ...]] = (
        StockPutIn, StockWrittenOff, StockHeld, StockSold, StockReleased, StockRestocked, StockSent, StockArrived,
        StockReceived, StockAsked, StockSwept,
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
                return _reserve(state, command)
            case Sell():
                return _sell(state, command, context)
            case Release():
                return _release(state, command, context)
            case ReadStock():
                return Accepted(reply=level(state))
            case ProveSoldOut():
                return _prove_sold_out(state, command)
            case PutIn():
                return _put_in(state, command)
            case WriteOff():
                return _write_off(state, command)
            case Restock():
                return _restock(state, command, context)
            case TransferOut():
                return _transfer_out(state, command)
            case TransferIn():
                return _transfer_in(state, command)
            case Answered():
                return _answered(state, command, context)
            case Wake():
                return _sweep(state, context)
            case _:
                assert_never(command)

    def apply(self, state: StockState, event: StockEvent) -> None:
        match event:
            case StockHeld():
                _apply_held(state, event)
            case StockSold():
                hold = state.holds.pop(event.reservation_id)
                state.held -= hold.quantity
                state.sold += hold.quantity
                _finish(state, event.reservation_id, SOLD, event.at_ms)
            case StockReleased():
                _apply_released(state, event)
            case StockRestocked():
                state.sold -= event.quantity
                state.available += event.quantity
                _finish(state, event.reservation_id, RESTOCKED, event.at_ms)
            case StockPutIn():
                state.put_in += event.quantity
                state.available += event.quantity
            case StockWrittenOff():
                state.written_off += event.quantity
                state.available -= event.quantity
            case StockSent() | StockArrived() | StockReceived():
                _apply_transfer(state, event)
            case StockAsked():
                _apply_asked(state, event)
            case StockSwept():
                state.wake_ms = event.wake_ms
                if forget(state, event.at_ms):
                    _list_anew(state)
            case _:
                assert_never(event)


def level(state: StockState) -> StockLevel:
    """The counts as a reply."""
    return StockLevel(
        put_in=state.put_in,
        received=state.received,
        available=state.available,
        held=state.held,
        sold=state.sold,
        written_off=state.written_off,
        sent=state.sent,
        in_transit=state.in_transit,
    )


def invariant(state: StockState) -> list[str]:
    """What does not hold of this state; empty when all is well. Recomputes the sums, for tests and audits."""
    wrong = []
    counters = (state.available, state.held, state.sold, state.written_off, state.sent, state.in_transit)
    if min(counters) < 0:
        wrong.append(f"{state.key}: a counter is negative: {level(state)}")
    if state.put_in + state.received != state.available + state.held + state.sold + state.written_off + state.sent:
        wrong.append(f"{state.key}: units appeared or vanished: {level(state)}")
    if state.held != sum(hold.quantity for hold in state.holds.values()):
        wrong.append(f"{state.key}: held is not the sum of the holds")
    if state.in_transit != sum(state.transfers_out.values()):
        wrong.append(f"{state.key}: in_transit is not the sum of the open transfers")
    if len(state.taken) < PREFIX_BYTES * (len(state.holds) + len(state.done) + len(state.done_before)):
        wrong.append(f"{state.key}: a reservation is missing in the list of those that were taken")
    if any(key in state.done or key in state.done_before for key in state.holds):
        wrong.append(f"{state.key}: a reservation is held and finished at once")
    return wrong


def _reserve(state: StockState, command: Reserve) -> Outcome:
    reservation_id = command.reservation_id
    if reservation_id in state.holds:
        return Accepted(reply=HoldTaken(available=state.available))
    finished = outcome_of(state, reservation_id)
    if finished == SOLD:
        return Accepted(reply=HoldTaken(available=state.available))
    if finished:
        return Refused(code="hold_released")
    if not 0 < command.quantity <= QUANTITY_MAX:
        return Refused(code="quantity_invalid", params={"limit": QUANTITY_MAX})
    if state.available <= 0:
        return Refused(code="sold_out")
    if state.available < command.quantity:
        return Refused(code="insufficient_stock", params={"available": state.available})
    held = StockHeld(
        reservation_id=reservation_id,
        order_id=command.order_id,
        user_id=command.user_id,
        quantity=command.quantity,
        deadline_ms=command.deadline_ms,
    )
    return Accepted(events=(held,), reply=HoldTaken(available=state.available - command.quantity))


def _prove_sold_out(state: StockState, command: ProveSoldOut) -> Outcome:
    """What the asker does not know yet: his list grows with each answer, however many hold something."""
    count = len(state.taken) // PREFIX_BYTES
    if state.available > 0 or count < len(state.holds) + len(state.done) + len(state.done_before):
        # A state that was written before there was a list has none of those who came before.
        return Refused(code="insufficient_stock", params={"available": state.available})
    start = command.known if command.generation == state.generation and 0 <= command.known <= count else 0
    some = bytes(state.taken[start * PREFIX_BYTES : (start + PROOF_MAX) * PREFIX_BYTES])
    return Accepted(reply=StockSoldOut(generation=state.generation, start=start, count=count, prefixes=some))


def _sell(state: StockState, command: Sell, context: Context) -> Outcome:
    hold = state.holds.get(command.reservation_id)
    if hold is not None:
        sold = StockSold(reservation_id=command.reservation_id, quantity=hold.quantity, at_ms=context.at_ms)
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
    released = StockReleased(reservation_id=command.reservation_id, quantity=quantity, at_ms=context.at_ms)
    return Accepted(events=(released,), reply=StockDone(available=state.available + quantity))


def _restock(state: StockState, command: Restock, context: Context) -> Outcome:
    """Whatever became of it: sold units come back, a hold is released, and what has not come yet never will."""
    match outcome_of(state, command.reservation_id):
        case 0:
            return _release(state, Release(reservation_id=command.reservation_id), context)
        case 2 | 3:
            return Accepted(reply=StockDone(available=state.available))
        case 1 if 0 < command.quantity <= state.sold:
            back = StockRestocked(reservation_id=command.reservation_id, quantity=command.quantity, at_ms=context.at_ms)
            return Accepted(events=(back,), reply=StockDone(available=state.available + command.quantity))
        case _:
            return Refused(code="hold_unknown")


def _put_in(state: StockState, command: PutIn) -> Outcome:
    if not 0 < command.quantity <= QUANTITY_MAX - state.put_in:
        return Refused(code="quantity_invalid", params={"limit": QUANTITY_MAX - state.put_in})
    event = StockPutIn(quantity=command.quantity, reason=command.reason)
    return Accepted(events=(event,), reply=StockDone(available=state.available + command.quantity))


def _write_off(state: StockState, command: WriteOff) -> Outcome:
    if command.quantity <= 0:
        return Refused(code="quantity_invalid", params={"limit": state.available})
    if command.quantity > state.available:
        return Refused(code="insufficient_stock", params={"available": state.available})
    event = StockWrittenOff(quantity=command.quantity, reason=command.reason)
    return Accepted(events=(event,), reply=StockDone(available=state.available - command.quantity))


def _transfer_out(state: StockState, command: TransferOut) -> Outcome:
    if command.transfer_id in state.transfers_out:
        return Accepted(reply=StockDone(available=state.available))
    if command.to_key == state.key or command.to_key.partition("#")[0] != state.key.partition("#")[0]:
        return Refused(code="invalid_request", params={"reason": "units move between the parts of one article"})
    if command.quantity <= 0:
        return Refused(code="quantity_invalid", params={"limit": state.available})
    if command.quantity > state.available:
        return Refused(code="insufficient_stock", params={"available": state.available})
    send = Send(
        id=derived_id("transfer", command.transfer_id),
        step="transfer:" + command.transfer_id.hex(),
        kind="stock",
        key=command.to_key,
        command=TransferIn(transfer_id=command.transfer_id, from_key=state.key, quantity=command.quantity),
    )
    event = StockSent(transfer_id=command.transfer_id, to_key=command.to_key, quantity=command.quantity)
    return Accepted(events=(event,), reply=StockDone(available=state.available - command.quantity), sends=(send,))


def _transfer_in(state: StockState, command: TransferIn) -> Outcome:
    if command.transfer_id in state.transfers_in:
        return Accepted(reply=StockDone(available=state.available))
    event = StockReceived(transfer_id=command.transfer_id, from_key=command.from_key, quantity=command.quantity)
    return Accepted(events=(event,), reply=StockDone(available=state.available + command.quantity))


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
    quantity = state.holds[reservation_id].quantity
    return Accepted(events=(StockReleased(reservation_id=reservation_id, quantity=quantity, at_ms=context.at_ms),))


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
    due = event.deadline_ms + GRACE_MS
    if state.wake_ms == 0 or due < state.wake_ms:
        state.wake_ms = due


def _apply_released(state: StockState, event: StockReleased) -> None:
    hold = state.holds.pop(event.reservation_id, None)
    if hold is not None:
        state.held -= hold.quantity
        state.available += hold.quantity
    else:
        state.taken += event.reservation_id[:PREFIX_BYTES]
    _finish(state, event.reservation_id, RELEASED, event.at_ms)


def _apply_transfer(state: StockState, event: StockSent | StockArrived | StockReceived) -> None:
    match event:
        case StockSent():
            state.available -= event.quantity
            state.sent += event.quantity
            state.in_transit += event.quantity
            state.transfers_out[event.transfer_id] = event.quantity
        case StockArrived():
            state.in_transit -= event.quantity
            # Kept, so that a repeat of the command is known; transfers are few.
            state.transfers_out[event.transfer_id] = 0
        case StockReceived():
            state.available += event.quantity
            state.received += event.quantity
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


def _list_anew(state: StockState) -> None:
    """Reservations were forgotten: the list begins again without them."""
    known = (*state.holds, *state.done_before, *state.done)
    state.taken = bytearray(b"".join(reservation_id[:PREFIX_BYTES] for reservation_id in known))
    state.generation += 1
