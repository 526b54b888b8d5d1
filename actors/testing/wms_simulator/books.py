"""The warehouse's own books: counts, the numbers of changes, the feed of what happened, and what it was told."""

import time
from collections import Counter
from typing import Any, Final

import msgspec

from actors.domain.wms import effect_of
from actors.testing.wms_simulator.plan import Ship
from schemas.providers.wms import (
    OUTBOUND,
    PROTOCOL,
    Change,
    ChangesPage,
    Count,
    Envelope,
    OrderCancelled,
    OrderToFulfil,
    Shipment,
    StockDelta,
    StockSnapshot,
)

PAGE_OF_SNAPSHOT: Final = 100


class Books:
    """In memory. numbered: changes of a SKU are numbered from 1 on."""

    def __init__(self, *, numbered: bool = False) -> None:
        self.numbered = numbered
        self.counts: dict[str, int] = {}
        self.numbers: Counter[str] = Counter()
        self.feed: list[Envelope] = []
        self.heard: Counter[str] = Counter()
        self.counted: Counter[str] = Counter()
        self.types: dict[str, str] = {}
        self.bodies: dict[str, bytes] = {}
        self.orders: dict[str, tuple[int, str]] = {}
        self.shipments: dict[str, int] = {}
        self.snapshots: dict[str, StockSnapshot] = {}
        self._made = 0

    # --- what happens -----------------------------------------------------------------------------

    def happen(self, changes: tuple[Change, ...], occurred_at_ms: int = 0) -> Envelope:
        """Changes of stock, and the message that tells of them."""
        told = []
        for change in changes:
            self.counts[change.sku] = self.counts.get(change.sku, 0) + effect_of(change)
            if self.numbered:
                self.numbers[change.sku] += 1
                told.append(msgspec.structs.replace(change, sequence=self.numbers[change.sku]))
            else:
                told.append(change)
        return self.tell("stock.delta", StockDelta(occurred_at_ms=occurred_at_ms or now_ms(), changes=tuple(told)))

    def ship(self, ship: Ship) -> Envelope:
        """A parcel changes; its units leave when it is shipped first."""
        number = self.shipments.get(ship.shipment_id, 0) + 1
        left = self.shipments.get(ship.shipment_id + "#left", 0)
        if ship.state not in ("packed", "cancelled") and not left:
            self.shipments[ship.shipment_id + "#left"] = 1
            for line in ship.lines:
                self.counts[line.sku] = self.counts.get(line.sku, 0) - line.quantity
        self.shipments[ship.shipment_id] = number
        shipment = Shipment(
            shipment_id=ship.shipment_id, order_id=ship.order_id, state=ship.state, occurred_at_ms=now_ms(), lines=ship.lines,
            number=number, carrier=ship.carrier, tracking=ship.tracking,
        )  # fmt: skip
        return self.tell("shipment.created" if number == 1 else "shipment.updated", shipment)

    def tell(self, kind: str, data: msgspec.Struct) -> Envelope:
        """A message of ours, in the feed."""
        self._made += 1
        body = msgspec.Raw(msgspec.json.encode(data))
        envelope = Envelope(protocol=PROTOCOL, id=f"evt_{self._made:06d}", type=kind, at_ms=now_ms(), data=body)
        self.feed.append(envelope)
        return envelope

    def count(self, snapshot_id: str, page: int) -> StockSnapshot | None:
        """A page of a count; the first page without an id makes a new one. None for a count or page that there is not."""
        if not snapshot_id and page == 1:
            self._made += 1
            snapshot_id = f"cnt_{self._made:06d}"
            counts = tuple(
                Count(sku=sku, on_hand=units, sequence=self.numbers[sku]) for sku, units in sorted(self.counts.items()) if units >= 0
            )
            pages = max(1, -(-len(counts) // PAGE_OF_SNAPSHOT))
            self.snapshots[snapshot_id] = StockSnapshot(snapshot_id=snapshot_id, taken_at_ms=now_ms(), counts=counts, pages=pages)
        whole = self.snapshots.get(snapshot_id)
        if whole is None or not 1 <= page <= whole.pages:
            return None
        start = (page - 1) * PAGE_OF_SNAPSHOT
        return msgspec.structs.replace(whole, counts=whole.counts[start : start + PAGE_OF_SNAPSHOT], page=page)

    def changes(self, cursor: str, limit: int) -> ChangesPage:
        """What happened behind a cursor."""
        start = int(cursor or 0)
        some = self.feed[start : start + limit]
        return ChangesPage(messages=tuple(some), next_cursor=str(start + len(some)), more=start + len(some) < len(self.feed))

    # --- what it is told --------------------------------------------------------------------------

    def hear(self, message_id: str, body: bytes) -> str:
        """Take a message; empty, or why not. The same id counts once, and of one order a higher number is never undone by a lower."""
        self.heard[message_id] += 1
        if message_id in self.counted:
            return ""
        try:
            envelope = msgspec.json.decode(body, type=Envelope)
        except msgspec.DecodeError as error:
            return str(error)
        if envelope.protocol != PROTOCOL or envelope.id != message_id or envelope.type not in OUTBOUND:
            return "not of this protocol"
        self.counted[message_id] += 1
        self.types[message_id] = envelope.type
        self.bodies[message_id] = body
        if envelope.type == "order.to_fulfil":
            told: Any = msgspec.json.decode(envelope.data, type=OrderToFulfil)
            self._order(told.order_id, told.number, "to_fulfil")
        elif envelope.type == "order.cancelled":
            told = msgspec.json.decode(envelope.data, type=OrderCancelled)
            self._order(told.order_id, told.number, "cancelled")
        return ""

    def _order(self, order_id: str, number: int, state: str) -> None:
        if self.orders.get(order_id, (0, ""))[0] < number:
            self.orders[order_id] = (number, state)


def now_ms() -> int:
    """The warehouse's clock."""
    return int(time.time() * 1000)
