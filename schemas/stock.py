"""Stock of one SKU (or one part of it): commands, events, replies."""

import msgspec

# --- commands ---------------------------------------------------------------------------------


class PutIn(msgspec.Struct, frozen=True, kw_only=True, tag="stock.put_in"):
    """``quantity`` units arrive (a receipt, a found box). ``reason`` is for the movement list."""

    quantity: int
    reason: str = "receipt"


class WriteOff(msgspec.Struct, frozen=True, kw_only=True, tag="stock.write_off"):
    """``quantity`` available units are lost or broken."""

    quantity: int
    reason: str = "damage"


class Reserve(msgspec.Struct, gc=False, frozen=True, kw_only=True, tag="stock.reserve"):
    """Hold ``quantity`` units for an order until its deadline (UTC, ms). Same id: same answer."""

    reservation_id: bytes
    order_id: str
    user_id: str
    quantity: int
    deadline_ms: int


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


class TransferIn(msgspec.Struct, frozen=True, kw_only=True, tag="stock.transfer_in"):
    """Units of a transfer arrive; credited once."""

    transfer_id: bytes
    from_key: str
    quantity: int


class ReadStock(msgspec.Struct, frozen=True, kw_only=True, tag="stock.read"):
    """Ask for the exact level."""


class ProveSoldOut(msgspec.Struct, frozen=True, kw_only=True, tag="stock.prove_sold_out"):
    """Ask whether nothing is left, and who may hold something all the same.

    ``known``: so many reservations of list ``generation`` the asker has already; it is told those that follow.
    """

    generation: int = 0
    known: int = 0


# --- events -----------------------------------------------------------------------------------


class StockPutIn(msgspec.Struct, frozen=True, kw_only=True, tag="stock.was_put_in"):
    quantity: int
    reason: str = ""


class StockWrittenOff(msgspec.Struct, frozen=True, kw_only=True, tag="stock.was_written_off"):
    quantity: int
    reason: str = ""


class StockHeld(msgspec.Struct, gc=False, frozen=True, kw_only=True, tag="stock.held"):
    reservation_id: bytes
    order_id: str
    user_id: str
    quantity: int
    deadline_ms: int


class StockSold(msgspec.Struct, frozen=True, kw_only=True, tag="stock.sold"):
    reservation_id: bytes
    quantity: int
    at_ms: int


class StockReleased(msgspec.Struct, frozen=True, kw_only=True, tag="stock.released"):
    """``quantity`` is 0 when nothing was held: the tombstone of a reservation that may still come."""

    reservation_id: bytes
    quantity: int
    at_ms: int


class StockRestocked(msgspec.Struct, frozen=True, kw_only=True, tag="stock.restocked"):
    reservation_id: bytes
    quantity: int
    at_ms: int


class StockSent(msgspec.Struct, frozen=True, kw_only=True, tag="stock.sent"):
    transfer_id: bytes
    to_key: str
    quantity: int


class StockArrived(msgspec.Struct, frozen=True, kw_only=True, tag="stock.arrived"):
    """The other part confirmed a transfer of ours: it is no longer in transit."""

    transfer_id: bytes
    quantity: int


class StockReceived(msgspec.Struct, frozen=True, kw_only=True, tag="stock.received"):
    transfer_id: bytes
    from_key: str
    quantity: int


class StockAsked(msgspec.Struct, frozen=True, kw_only=True, tag="stock.asked"):
    """The orders of these overdue holds were asked whether they live; ask again at ``again_ms``."""

    reservation_ids: tuple[bytes, ...]
    again_ms: int


class StockSwept(msgspec.Struct, frozen=True, kw_only=True, tag="stock.swept"):
    """Nothing was overdue after all; look again at ``wake_ms`` (0: when the next hold comes)."""

    wake_ms: int
    at_ms: int


# --- replies ----------------------------------------------------------------------------------


class StockLevel(msgspec.Struct, frozen=True, kw_only=True, tag="stock.level"):
    """Counts of one part. ``put_in + received = available + held + sold + written_off + sent`` always holds."""

    put_in: int
    received: int
    available: int
    held: int
    sold: int
    written_off: int
    sent: int
    in_transit: int


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


class HoldTaken(msgspec.Struct, gc=False, frozen=True, kw_only=True, tag="stock.hold_taken"):
    """The reservation stands."""

    available: int


class StockDone(msgspec.Struct, frozen=True, kw_only=True, tag="stock.done"):
    """The command took effect, now or when it first came."""

    available: int
