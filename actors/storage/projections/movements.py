"""What an event does to the units of a warehouse, as the movements ledger says it.

| kind | what it says |
| --- | --- |
| ``in``, ``out`` | a receipt; a loss (with its reason) |
| ``hold``, ``release``, ``sell`` | for an order; its id is the reference of a hold, of the others the reservation's |
| ``return`` | sold units are back: from their buyer, or because the order never left (reason ``restock``) |
| ``adjust`` | the books follow a count; the only kind whose quantity has a sign |
| ``transfer`` | between warehouses or between the parts of a SKU: out and in are a row each |

Only what names a warehouse or a batch has a row, and receipts, losses and counts of the unnamed warehouse: holds and sales
of a shop without warehouses are in the journal alone.
"""

from typing import Any, Final, NamedTuple

from actors.domain.stock_lots import cut
from schemas.stock import (
    Lot,
    StockAdjusted,
    StockHeld,
    StockMoveArrived,
    StockMoved,
    StockPutIn,
    StockReceived,
    StockReleased,
    StockRestocked,
    StockReturned,
    StockSent,
    StockSold,
    StockWrittenOff,
)


class Movement(NamedTuple):
    """One lot of one event. ``change``: which counters it moves (:data:`CHANGES`)."""

    warehouse_id: str
    batch: str
    kind: str
    quantity: int
    reason: str
    reference: str
    change: str


CHANGES: Final[dict[str, tuple[tuple[str, int], ...]]] = {
    "put_in": (("put_in", 1), ("available", 1)),
    "written_off": (("written_off", 1), ("available", -1)),
    "held": (("available", -1), ("held", 1)),
    "released": (("held", -1), ("available", 1)),
    "sold": (("held", -1), ("sold", 1)),
    "restocked": (("sold", -1), ("available", 1)),
    "returned": (("returned", 1), ("available", 1)),
    "adjusted": (("adjusted", 1), ("available", 1)),
    "moved_out": (("moved_out", 1), ("available", -1)),
    "moved_in": (("moved_in", 1), ("available", 1)),
    "sent": (("sent", 1), ("available", -1)),
    "received": (("received", 1), ("available", 1)),
}
"""By what happened: the counters of a warehouse, and their signs."""


def changes(movement: Movement) -> list[tuple[str, int]]:
    """What a movement adds to the counters of its warehouse."""
    return [(name, sign * movement.quantity) for name, sign in CHANGES[movement.change]]


def movements(event: Any) -> list[Movement]:
    """The rows of an event, in order; none where it names no warehouse (see the head of this file)."""
    kind = type(event)
    if kind in _PLAIN:
        # Of the flash sale's path: nothing more is done where there are no warehouses.
        if not event.lots:
            return []
        what, change, reason = _PLAIN[kind]
        reference = event.order_id if kind is StockHeld else event.reservation_id.hex()
        return _rows(event.lots, what, change, reason, reference)
    match event:
        case StockPutIn():
            lot = Lot(warehouse_id=event.warehouse_id, quantity=event.quantity, batch=event.batch)
            return _rows((lot,), "in", "put_in", event.reason, event.reference)
        case StockWrittenOff():
            lots = event.lots or (Lot(warehouse_id="", quantity=event.quantity),)
            return _rows(lots, "out", "written_off", event.reason, event.reference)
        case StockAdjusted():
            return _rows(event.lots, "adjust", "adjusted", event.reason, event.reference)
        case StockMoved():
            return _rows(event.lots, "transfer", "moved_out", event.reason, event.reference or event.move_id.hex())
        case StockMoveArrived():
            reference = event.reference or event.move_id.hex()
            total = sum(lot.quantity for lot in event.lots)
            lost = cut(event.lots, total - event.lost, event.lost)
            arrived = _rows(event.lots, "transfer", "moved_in", "arrived", reference)
            return arrived + _rows(lost, "out", "written_off", "lost", reference)
        case StockReturned():
            return _rows(event.lots, "return", "returned", event.reason, event.reference or event.reservation_id.hex())
        case StockSent():
            return _rows(event.lots, "transfer", "sent", "part", event.to_key)
        case StockReceived():
            return _rows(event.lots, "transfer", "received", "part", event.from_key)
        case _:
            return []


_PLAIN: Final[dict[type, tuple[str, str, str]]] = {
    StockHeld: ("hold", "held", ""),
    StockSold: ("sell", "sold", ""),
    StockReleased: ("release", "released", ""),
    StockRestocked: ("return", "restocked", "restock"),
}


def _rows(lots: tuple[Lot, ...], kind: str, change: str, reason: str, reference: str) -> list[Movement]:
    return [Movement(lot.warehouse_id, lot.batch, kind, lot.quantity, reason, reference, change) for lot in lots]
