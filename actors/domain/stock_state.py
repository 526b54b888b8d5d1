"""The state of one part of a SKU, what is told of it, and what must always hold of it."""

from typing import Final

import msgspec

from schemas.stock import Lot, LotLevel, StockLevel

PREFIX_BYTES: Final = 4
"""Of a reservation's id as a proof names it: of a million others not one in four thousand is taken for it."""


class Hold(msgspec.Struct, gc=False, kw_only=True, array_like=True):
    """Units kept for one order."""

    order_id: str
    user_id: str
    quantity: int
    deadline_ms: int


class LotCount(msgspec.Struct, gc=False, kw_only=True, array_like=True):
    """Counters of one warehouse and batch; see ``schemas.stock.LotLevel``."""

    warehouse_id: str
    batch: str = ""
    expires_on: str = ""
    put_in: int = 0
    received: int = 0
    returned: int = 0
    moved_in: int = 0
    adjusted: int = 0
    available: int = 0
    held: int = 0
    sold: int = 0
    written_off: int = 0
    sent: int = 0
    moved_out: int = 0


class OnTheWay(msgspec.Struct, kw_only=True, array_like=True):
    """Units between two warehouses; ``lots`` as they left."""

    to_warehouse: str
    lots: tuple[Lot, ...]


class Spread(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Where the units are. Kept only for a part that has a warehouse with a name, a batch, or safety stock.

    lots: by warehouse and batch (``stock_lots.lot_key``). safety: by warehouse, of all but the unnamed one where it has none.
    taken: where the units of a reservation are or were, while it is held or remembered; none: in the unnamed warehouse.
    """

    lots: dict[str, LotCount] = {}
    safety: dict[str, int] = {}
    taken: dict[bytes, tuple[Lot, ...]] = {}
    moves: dict[bytes, OnTheWay] = {}


class StockState(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Counters, the live holds, and what became of finished reservations (``actors.domain.finished``).

    ``taken``: the first bytes of every reservation that is held or finished, in the order in which they came;
    it only grows, until finished ones are forgotten: then a list of another ``generation`` begins.
    ``came_back``: units that were returned of remembered reservations. ``spread``: None while all is in the unnamed warehouse.
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
    returned: int = 0
    adjusted: int = 0
    moving: int = 0
    came_back: dict[bytes, int] = {}
    spread: Spread | None = None


def level(state: StockState, sellable: int | None = None) -> StockLevel:
    """The counts as a reply."""
    spread = state.spread
    return StockLevel(
        put_in=state.put_in,
        received=state.received,
        available=state.available,
        held=state.held,
        sold=state.sold,
        written_off=state.written_off,
        sent=state.sent,
        in_transit=state.in_transit,
        returned=state.returned,
        adjusted=state.adjusted,
        moving=state.moving,
        sellable=sellable,
        lots=tuple(_lot_level(count) for count in spread.lots.values()) if spread else (),
        safety=dict(spread.safety) if spread else {},
        moves={move_id.hex(): _arriving(move) for move_id, move in spread.moves.items()} if spread else {},
    )


def _lot_level(count: LotCount) -> LotLevel:
    return LotLevel(**{name: getattr(count, name) for name in count.__struct_fields__})


def _arriving(move: OnTheWay) -> tuple[Lot, ...]:
    return tuple(msgspec.structs.replace(lot, warehouse_id=move.to_warehouse) for lot in move.lots)


def imbalance(state: StockState) -> str:
    """What the counters of the whole part say at this very point; constant time."""
    into = state.put_in + state.received + state.returned + state.adjusted
    if into != state.available + state.held + state.sold + state.written_off + state.sent + state.moving:
        return f"{state.key}: units appeared or vanished: {level(state)}"
    if min(state.available, state.held, state.sold, state.written_off, state.sent, state.in_transit, state.moving) < 0:
        return f"{state.key}: a counter is negative: {level(state)}"
    if not 0 <= state.returned <= state.sold:
        return f"{state.key}: {state.returned} units were returned of {state.sold} sold"
    return ""


def invariant(state: StockState) -> list[str]:
    """What does not hold of this state; empty when all is well. Recomputes the sums, for tests and audits."""
    wrong = [imbalance(state)] if imbalance(state) else []
    if state.held != sum(hold.quantity for hold in state.holds.values()):
        wrong.append(f"{state.key}: held is not the sum of the holds")
    if state.in_transit != sum(state.transfers_out.values()):
        wrong.append(f"{state.key}: in_transit is not the sum of the open transfers")
    if len(state.taken) < PREFIX_BYTES * (len(state.holds) + len(state.done) + len(state.done_before)):
        wrong.append(f"{state.key}: a reservation is missing in the list of those that were taken")
    if any(key in state.done or key in state.done_before for key in state.holds):
        wrong.append(f"{state.key}: a reservation is held and finished at once")
    if state.spread is not None:
        wrong.extend(_wrong_lots(state, state.spread))
    elif state.moving:
        wrong.append(f"{state.key}: units are between warehouses that are not there")
    return wrong


def _wrong_lots(state: StockState, spread: Spread) -> list[str]:
    """The same laws for each warehouse and batch, and that they sum to the whole."""
    wrong = []
    for name, count in spread.lots.items():
        into = count.put_in + count.received + count.returned + count.moved_in + count.adjusted
        out = count.available + count.held + count.sold + count.written_off + count.sent + count.moved_out
        if into != out:
            wrong.append(f"{state.key} in {name}: units appeared or vanished: {count}")
        if min(count.available, count.held, count.sold, count.written_off, count.sent, count.moved_out, count.moved_in) < 0:
            wrong.append(f"{state.key} in {name}: a counter is negative: {count}")
    for name in ("put_in", "received", "returned", "adjusted", "available", "held", "sold", "written_off", "sent"):
        if sum(getattr(count, name) for count in spread.lots.values()) != getattr(state, name):
            wrong.append(f"{state.key}: {name} of the warehouses is not {getattr(state, name)}")
    under_way = sum(lot.quantity for move in spread.moves.values() for lot in move.lots)
    gone = sum(count.moved_out - count.moved_in for count in spread.lots.values())
    if not under_way == gone == state.moving:
        wrong.append(f"{state.key}: {gone} units left warehouses, {under_way} are on their way, {state.moving} are counted")
    held: dict[tuple[str, str], int] = {}
    for reservation_id, hold in state.holds.items():
        lots = spread.taken.get(reservation_id) or (Lot(warehouse_id="", quantity=hold.quantity),)
        if sum(lot.quantity for lot in lots) != hold.quantity:
            wrong.append(f"{state.key}: the warehouses hold another quantity than {hold.quantity} for {hold.order_id}")
        for lot in lots:
            held[(lot.warehouse_id, lot.batch)] = held.get((lot.warehouse_id, lot.batch), 0) + lot.quantity
    wrong.extend(
        f"{state.key} in {name}: held is not the sum of the holds"
        for name, count in spread.lots.items()
        if count.held != held.pop((count.warehouse_id, count.batch), 0)
    )
    if held:
        wrong.append(f"{state.key}: held where no stock is: {held}")
    if min(spread.safety.values(), default=0) < 0:
        wrong.append(f"{state.key}: safety stock is negative")
    return wrong
