"""Units by warehouse and batch: which of them may be sold, which are taken, and how they are counted. Pure rules."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from actors.domain.dates import date_of, day_of
from actors.domain.stock_state import LotCount, Spread, StockState
from schemas.stock import Lot

LOTS_KEPT: Final = 64
"""From so many on, batches of which nothing is left, held or remembered become part of the warehouse's unbatched lot."""

FOLD_EVERY: Final = 16
NEVER: Final = "9999-12-31"


def lot_key(warehouse_id: str, batch: str) -> str:
    """The name of a lot in :class:`Spread`; ids of warehouses have no slash."""
    return f"{warehouse_id}/{batch}"


def today_of(at_ms: int) -> str:
    """The day of UTC, as ``expires_on`` is written."""
    year, month, day = date_of(day_of(at_ms))
    return f"{year:04}-{month:02}-{day:02}"


def whose(lots: tuple[Lot, ...], quantity: int) -> tuple[Lot, ...]:
    """The lots of an event: none said means the unnamed warehouse."""
    return lots or (Lot(warehouse_id="", quantity=quantity),)


def said(lots: tuple[Lot, ...]) -> tuple[Lot, ...]:
    """What an event says: nothing where all is in the unnamed warehouse and in no batch."""
    return () if is_plain(lots) else lots


def is_plain(lots: Iterable[Lot]) -> bool:
    """True where nobody needs to know of warehouses."""
    return not any(lot.warehouse_id or lot.batch for lot in lots)


def sellable(spread: Spread, today: str) -> dict[str, int]:
    """Units that may be sold, by warehouse: available, not expired, above the safety stock."""
    units: dict[str, int] = {}
    for count in spread.lots.values():
        if not count.expires_on or count.expires_on >= today:
            units[count.warehouse_id] = units.get(count.warehouse_id, 0) + count.available
    return {warehouse_id: max(0, free - spread.safety.get(warehouse_id, 0)) for warehouse_id, free in units.items()}


def free_units(state: StockState, at_ms: int) -> int:
    """Units that may be sold now."""
    if state.spread is None:
        return state.available
    return sum(sellable(state.spread, today_of(at_ms)).values())


def choose(spread: Spread, quantity: int, prefer: Sequence[str], today: str, together: int = 1) -> tuple[Lot, ...]:
    """The lots that a sale takes, or none when there are not so many units.

    One warehouse where any has all: the first of ``prefer``, then the one with most. Otherwise as few as possible,
    by preference where that needs no more of them than taking the fullest first. The first ``together`` of ``prefer`` are asked
    as one before all. In a warehouse what expires first goes first.
    """
    free = {warehouse_id: units for warehouse_id, units in sellable(spread, today).items() if units > 0}
    if sum(free.values()) < quantity:
        return ()
    by_size = sorted(free, key=lambda warehouse_id: (-free[warehouse_id], warehouse_id))
    wished = [warehouse_id for warehouse_id in dict.fromkeys(prefer) if warehouse_id in free]
    order = [*wished, *(warehouse_id for warehouse_id in by_size if warehouse_id not in wished)]
    if together > 1:
        pool = [warehouse_id for warehouse_id in dict.fromkeys(prefer[:together]) if warehouse_id in free]
        if sum(free[warehouse_id] for warehouse_id in pool) >= quantity:
            return _taken(spread, _fill(pool, free, quantity), today)
    whole = next((warehouse_id for warehouse_id in order if free[warehouse_id] >= quantity), None)
    if whole is not None:
        return first_out(spread, whole, quantity, today)
    few, liked = _fill(by_size, free, quantity), _fill(order, free, quantity)
    return _taken(spread, liked if len(liked) <= len(few) else few, today)


def _taken(spread: Spread, shares: list[tuple[str, int]], today: str) -> tuple[Lot, ...]:
    return tuple(lot for warehouse_id, units in shares for lot in first_out(spread, warehouse_id, units, today))


def _fill(order: Sequence[str], free: dict[str, int], quantity: int) -> list[tuple[str, int]]:
    shares = []
    for warehouse_id in order:
        share = min(quantity, free[warehouse_id])
        shares.append((warehouse_id, share))
        quantity -= share
        if not quantity:
            break
    return shares


def first_out(spread: Spread, warehouse_id: str, quantity: int, today: str = "") -> tuple[Lot, ...]:
    """``quantity`` units of a warehouse, what expires first at first; what is expired ``today`` not at all (no day: at first)."""
    counts = [count for count in spread.lots.values() if count.warehouse_id == warehouse_id and count.available > 0]
    if len(counts) > 1:
        counts.sort(key=lambda count: (count.expires_on or NEVER, count.batch))
    lots = []
    for count in counts:
        if count.expires_on and count.expires_on < today:
            continue
        share = min(quantity, count.available)
        lots.append(_lot_of(count, share))
        quantity -= share
        if not quantity:
            break
    return tuple(lots)


def available_in(state: StockState, warehouse_id: str, batch: str = "") -> int:
    """Units there that nobody holds, safety stock and expired ones among them; of one batch where it is named."""
    if state.spread is None:
        return 0 if warehouse_id or batch else state.available
    if batch:
        count = state.spread.lots.get(lot_key(warehouse_id, batch))
        return count.available if count else 0
    return sum(count.available for count in state.spread.lots.values() if count.warehouse_id == warehouse_id)


def out_of(state: StockState, warehouse_id: str, batch: str, quantity: int) -> tuple[Lot, ...]:
    """``quantity`` of the units that :func:`available_in` counts."""
    if state.spread is None:
        return (Lot(warehouse_id="", quantity=quantity),)
    if batch:
        return (_lot_of(state.spread.lots[lot_key(warehouse_id, batch)], quantity),)
    return first_out(state.spread, warehouse_id, quantity)


def _lot_of(count: LotCount, quantity: int) -> Lot:
    return Lot(warehouse_id=count.warehouse_id, quantity=quantity, batch=count.batch, expires_on=count.expires_on)


def cut(lots: tuple[Lot, ...], skip: int, quantity: int) -> tuple[Lot, ...]:
    """The units after the first ``skip``, ``quantity`` of them."""
    found = []
    for lot in lots:
        past = min(skip, lot.quantity)
        skip -= past
        share = min(lot.quantity - past, quantity)
        quantity -= share
        if share:
            found.append(msgspec.structs.replace(lot, quantity=share))
    return tuple(found)


def settle(state: StockState) -> Spread:
    """All that was counted so far is in the unnamed warehouse."""
    spread = state.spread
    if spread is None:
        whole = LotCount(
            warehouse_id="",
            put_in=state.put_in,
            received=state.received,
            returned=state.returned,
            adjusted=state.adjusted,
            available=state.available,
            held=state.held,
            sold=state.sold,
            written_off=state.written_off,
            sent=state.sent,
        )
        spread = state.spread = Spread(lots={lot_key("", ""): whole})
    return spread


def post(state: StockState, lots: tuple[Lot, ...], quantity: int, **signs: int) -> None:
    """Add to these counters of the lots, with these signs; the caller changes the whole part's."""
    spread = state.spread
    if spread is None:
        return
    for lot in whose(lots, quantity):
        count = _count(spread, lot)
        for name, sign in signs.items():
            setattr(count, name, getattr(count, name) + sign * lot.quantity)


def _count(spread: Spread, lot: Lot) -> LotCount:
    name = lot_key(lot.warehouse_id, lot.batch)
    count = spread.lots.get(name)
    if count is None:
        if len(spread.lots) >= LOTS_KEPT and len(spread.lots) % FOLD_EVERY == 0:
            _fold_spent(spread)
        count = spread.lots[name] = LotCount(warehouse_id=lot.warehouse_id, batch=lot.batch, expires_on=lot.expires_on)
    return count


def _fold_spent(spread: Spread) -> None:
    """What is sold of batches that are gone stays counted, under no batch."""
    moving = (lot for move in spread.moves.values() for lot in move.lots)
    named = {lot_key(lot.warehouse_id, lot.batch) for lot in (*moving, *(lot for lots in spread.taken.values() for lot in lots))}
    for name, count in list(spread.lots.items()):
        if not count.batch or count.available or count.held or name in named:
            continue
        del spread.lots[name]
        rest = spread.lots.setdefault(lot_key(count.warehouse_id, ""), LotCount(warehouse_id=count.warehouse_id))
        for field in LotCount.__struct_fields__[3:]:
            setattr(rest, field, getattr(rest, field) + getattr(count, field))
