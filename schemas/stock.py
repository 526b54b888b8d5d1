"""Stock of one SKU (or one part of it): commands, events, replies."""

import msgspec


class Lot(msgspec.Struct, gc=False, frozen=True, kw_only=True, array_like=True):
    """Units of one warehouse and one batch.

    warehouse_id: empty is the shop's unnamed warehouse. batch: the maker's lot number, empty where none is known.
    expires_on: ``YYYY-MM-DD``, the last day on which it may be sold; empty: never.
    """

    warehouse_id: str
    quantity: int
    batch: str = ""
    expires_on: str = ""


# --- commands ---------------------------------------------------------------------------------


class PutIn(msgspec.Struct, frozen=True, kw_only=True, tag="stock.put_in", omit_defaults=True):
    """``quantity`` units arrive (a receipt, a found box). ``reason`` and ``reference`` are for the movement list."""

    quantity: int
    reason: str = "receipt"
    warehouse_id: str = ""
    batch: str = ""
    expires_on: str = ""
    reference: str = ""


class WriteOff(msgspec.Struct, frozen=True, kw_only=True, tag="stock.write_off", omit_defaults=True):
    """``quantity`` available units of a warehouse are lost or broken. No batch: what expires first, expired units before all."""

    quantity: int
    reason: str = "damage"
    warehouse_id: str = ""
    batch: str = ""
    reference: str = ""


class Adjust(msgspec.Struct, frozen=True, kw_only=True, tag="stock.adjust", omit_defaults=True):
    """A count found ``delta`` units more (or, below 0, fewer) than the books have; never below what is held."""

    delta: int
    reason: str = "count"
    warehouse_id: str = ""
    batch: str = ""
    expires_on: str = ""
    reference: str = ""


class Move(msgspec.Struct, frozen=True, kw_only=True, tag="stock.move", omit_defaults=True):
    """``quantity`` available units leave one warehouse for another. They may be sold once they arrive. Same id: once."""

    move_id: bytes
    from_warehouse: str
    to_warehouse: str
    quantity: int
    batch: str = ""
    reason: str = "transfer"
    reference: str = ""


class Arrive(msgspec.Struct, frozen=True, kw_only=True, tag="stock.arrive", omit_defaults=True):
    """What left by ``move_id`` is there; ``lost`` units of it are not, and are written off."""

    move_id: bytes
    lost: int = 0
    reference: str = ""


class ReturnIn(msgspec.Struct, frozen=True, kw_only=True, tag="stock.return_in", omit_defaults=True):
    """``quantity`` units that were sold under ``reservation_id`` came back from their buyer. Same ``return_id``: once.

    warehouse_id: where they are; None: where they were taken from (the unnamed warehouse when that is forgotten).
    """

    return_id: bytes
    reservation_id: bytes
    quantity: int
    warehouse_id: str | None = None
    batch: str = ""
    expires_on: str = ""
    reason: str = "return"
    reference: str = ""


class SetSafety(msgspec.Struct, frozen=True, kw_only=True, tag="stock.set_safety"):
    """Keep ``quantity`` units of a warehouse from being sold (0: none)."""

    warehouse_id: str
    quantity: int


class Reserve(msgspec.Struct, gc=False, frozen=True, kw_only=True, tag="stock.reserve", omit_defaults=True):
    """Hold ``quantity`` units for an order until its deadline (UTC, ms). Same id: same answer.

    prefer: warehouses in the order in which they are wished for. Units come from several only where none has all,
    or where the first ``together`` of them have all together: they are needed for other lines of the order anyway.
    """

    reservation_id: bytes
    order_id: str
    user_id: str
    quantity: int
    deadline_ms: int
    prefer: tuple[str, ...] = ()
    together: int = 1


class Sell(msgspec.Struct, frozen=True, kw_only=True, tag="stock.sell"):
    """The order is paid: the held units leave."""

    reservation_id: bytes


class Release(msgspec.Struct, frozen=True, kw_only=True, tag="stock.release"):
    """The order will not be: the held units are available again. Before its ``Reserve`` it leaves a tombstone."""

    reservation_id: bytes


class Restock(msgspec.Struct, frozen=True, kw_only=True, tag="stock.restock"):
    """The units of a reservation come back, sold or still held (an order refunded before it left the house).

    Before its ``Reserve`` it leaves a tombstone, as ``Release`` does.
    """

    reservation_id: bytes
    quantity: int


class TransferOut(msgspec.Struct, frozen=True, kw_only=True, tag="stock.transfer_out"):
    """Move ``quantity`` available units to another part of the same SKU."""

    transfer_id: bytes
    to_key: str
    quantity: int


class TransferIn(msgspec.Struct, frozen=True, kw_only=True, tag="stock.transfer_in", omit_defaults=True):
    """Units of a transfer arrive; credited once. ``lots``: whose they are; none: all of the unnamed warehouse."""

    transfer_id: bytes
    from_key: str
    quantity: int
    lots: tuple[Lot, ...] = ()


class ReadStock(msgspec.Struct, frozen=True, kw_only=True, tag="stock.read"):
    """Ask for the exact level."""


class ProveSoldOut(msgspec.Struct, frozen=True, kw_only=True, tag="stock.prove_sold_out"):
    """Ask whether nothing is left, and who may hold something all the same.

    ``known``: so many reservations of list ``generation`` the asker has already; it is told those that follow.
    """

    generation: int = 0
    known: int = 0


# --- events -----------------------------------------------------------------------------------


class StockPutIn(msgspec.Struct, frozen=True, kw_only=True, tag="stock.was_put_in", omit_defaults=True):
    quantity: int
    reason: str = ""
    warehouse_id: str = ""
    batch: str = ""
    expires_on: str = ""
    reference: str = ""


class StockWrittenOff(msgspec.Struct, frozen=True, kw_only=True, tag="stock.was_written_off", omit_defaults=True):
    quantity: int
    reason: str = ""
    lots: tuple[Lot, ...] = ()
    reference: str = ""


class StockAdjusted(msgspec.Struct, frozen=True, kw_only=True, tag="stock.adjusted", omit_defaults=True):
    """``delta`` is the sum of the lots' quantities, which all have its sign."""

    delta: int
    lots: tuple[Lot, ...]
    reason: str = ""
    reference: str = ""


class StockMoved(msgspec.Struct, frozen=True, kw_only=True, tag="stock.moved", omit_defaults=True):
    """``lots``: as they left; they keep their batches on the way."""

    move_id: bytes
    to_warehouse: str
    quantity: int
    lots: tuple[Lot, ...]
    reason: str = ""
    reference: str = ""


class StockMoveArrived(msgspec.Struct, frozen=True, kw_only=True, tag="stock.move_arrived", omit_defaults=True):
    """``lots``: what came into its new warehouse, ``lost`` the units among them that were written off at once, from the last lot on."""

    move_id: bytes
    lots: tuple[Lot, ...]
    at_ms: int
    lost: int = 0
    reference: str = ""


class StockReturned(msgspec.Struct, frozen=True, kw_only=True, tag="stock.returned", omit_defaults=True):
    return_id: bytes
    reservation_id: bytes
    quantity: int
    lots: tuple[Lot, ...]
    at_ms: int
    reason: str = ""
    reference: str = ""


class StockSafetySet(msgspec.Struct, frozen=True, kw_only=True, tag="stock.safety_set"):
    """A warehouse has stock of its own here from now on, of which ``quantity`` units may not be sold.

    It stands before the first unit of every warehouse: whoever does not know of warehouses cannot read on and lose them.
    """

    warehouse_id: str
    quantity: int


class StockHeld(msgspec.Struct, gc=False, frozen=True, kw_only=True, tag="stock.held", omit_defaults=True):
    """``lots``, here and below: where the units are; none: all in the unnamed warehouse."""

    reservation_id: bytes
    order_id: str
    user_id: str
    quantity: int
    deadline_ms: int
    lots: tuple[Lot, ...] = ()


class StockSold(msgspec.Struct, gc=False, frozen=True, kw_only=True, tag="stock.sold", omit_defaults=True):
    reservation_id: bytes
    quantity: int
    at_ms: int
    lots: tuple[Lot, ...] = ()


class StockReleased(msgspec.Struct, gc=False, frozen=True, kw_only=True, tag="stock.released", omit_defaults=True):
    """``quantity`` is 0 when nothing was held: the tombstone of a reservation that may still come."""

    reservation_id: bytes
    quantity: int
    at_ms: int
    lots: tuple[Lot, ...] = ()


class StockRestocked(msgspec.Struct, frozen=True, kw_only=True, tag="stock.restocked", omit_defaults=True):
    reservation_id: bytes
    quantity: int
    at_ms: int
    lots: tuple[Lot, ...] = ()


class StockSent(msgspec.Struct, frozen=True, kw_only=True, tag="stock.sent", omit_defaults=True):
    transfer_id: bytes
    to_key: str
    quantity: int
    lots: tuple[Lot, ...] = ()


class StockArrived(msgspec.Struct, frozen=True, kw_only=True, tag="stock.arrived"):
    """The other part confirmed a transfer of ours: it is no longer in transit."""

    transfer_id: bytes
    quantity: int


class StockReceived(msgspec.Struct, frozen=True, kw_only=True, tag="stock.received", omit_defaults=True):
    transfer_id: bytes
    from_key: str
    quantity: int
    lots: tuple[Lot, ...] = ()


class StockAsked(msgspec.Struct, frozen=True, kw_only=True, tag="stock.asked"):
    """The orders of these overdue holds were asked whether they live; ask again at ``again_ms``."""

    reservation_ids: tuple[bytes, ...]
    again_ms: int


class StockSwept(msgspec.Struct, frozen=True, kw_only=True, tag="stock.swept"):
    """Nothing was overdue after all; look again at ``wake_ms`` (0: when the next hold comes)."""

    wake_ms: int
    at_ms: int


# --- replies ----------------------------------------------------------------------------------


class LotLevel(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """Counts of one warehouse and batch.

    ``put_in + received + returned + moved_in + adjusted = available + held + sold + written_off + sent + moved_out`` always holds.
    """

    warehouse_id: str
    batch: str
    expires_on: str
    put_in: int
    received: int
    returned: int
    moved_in: int
    adjusted: int
    available: int
    held: int
    sold: int
    written_off: int
    sent: int
    moved_out: int


class StockLevel(msgspec.Struct, frozen=True, kw_only=True, tag="stock.level", omit_defaults=True):
    """Counts of one part.

    ``put_in + received + returned + adjusted = available + held + sold + written_off + sent + moving`` always holds.
    in_transit: sent to other parts and not there yet. moving: on the way between warehouses.
    sellable: available units which may be sold now; None: all of them. lots, safety: none where there is no warehouse with a name.
    """

    put_in: int
    received: int
    available: int
    held: int
    sold: int
    written_off: int
    sent: int
    in_transit: int
    returned: int = 0
    adjusted: int = 0
    moving: int = 0
    sellable: int | None = None
    lots: tuple[LotLevel, ...] = ()
    safety: dict[str, int] = {}
    moves: dict[str, tuple[Lot, ...]] = {}
    """What is on its way, by the hexadecimal id of the move: to where, as it will be."""


class StockSoldOut(msgspec.Struct, frozen=True, kw_only=True, tag="stock.is_sold_out"):
    """Nothing is left. Whoever asks again under a listed reservation must reach the owner for the first answer.

    The list has ``count`` entries, of every reservation that is held or finished (some that are forgotten
    may stay): the first four bytes of each. ``prefixes``: those from the ``start``-th on, as many as one
    answer takes. Another ``generation`` is another list: what was known of an earlier one says nothing.
    """

    generation: int
    start: int
    count: int
    prefixes: bytes


class HoldTaken(msgspec.Struct, gc=False, frozen=True, kw_only=True, tag="stock.hold_taken", omit_defaults=True):
    """The reservation stands. ``available``: what else may be sold. ``lots``: where its units are; none: in the unnamed warehouse."""

    available: int
    lots: tuple[Lot, ...] = ()


class StockDone(msgspec.Struct, gc=False, frozen=True, kw_only=True, tag="stock.done"):
    """The command took effect, now or when it first came."""

    available: int
