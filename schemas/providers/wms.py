"""The wire format ``stampede-wms/1``: what this shop and a warehouse (WMS or ERP) tell each other, as JSON over HTTP.

Every message is an envelope with an id, which is also its ``webhook-id``. Fields that are not named here are refused: who adds
one raises the version. Times are UTC in milliseconds, quantities whole units. How messages are signed, carried, repeated and
ordered is in ``actors/adapters/wms/README.md``.
"""

from typing import Annotated, Final, Literal

import msgspec

PROTOCOL: Final = "stampede-wms/1"
QUANTITY_MAX: Final = 1_000_000
CHANGES_MAX: Final = 200
COUNTS_MAX: Final = 500
"""Of one message: it stays under the 64 KB that a webhook may have."""

TimeMs = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
MessageId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.\-]{1,100}$")]
Code = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/\-]{0,63}$")]
"""A SKU as the shop's catalogue numbers it (``sku.code``)."""

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Word = Annotated[str, msgspec.Meta(max_length=100)]
Units = Annotated[int, msgspec.Meta(ge=1, le=QUANTITY_MAX)]
Day = Annotated[str, msgspec.Meta(pattern=r"^(\d{4}-\d{2}-\d{2})?$")]
Sequence = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""The number of a change of one SKU in one warehouse, from 1 on without a gap; 0: changes are not numbered."""

ChangeKind = Literal["receipt", "adjustment", "damage", "return", "transfer"]
ShipmentState = Literal["packed", "shipped", "delivered", "lost", "returned", "cancelled"]


class _Wire(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Exactly these fields."""


class Envelope(_Wire, frozen=True, kw_only=True):
    """Any message. ``type`` says what ``data`` is; it is read after the protocol and the type were."""

    protocol: Annotated[str, msgspec.Meta(max_length=40)]
    id: MessageId
    type: Annotated[str, msgspec.Meta(max_length=40)]
    at_ms: TimeMs
    data: msgspec.Raw


# --- what a warehouse tells the shop --------------------------------------------------------------


class Change(_Wire, frozen=True, kw_only=True):
    """One change of what is on the shelf of a SKU.

    quantity: units; of an adjustment signed and not 0, otherwise more than 0. receipt and return put in, damage takes out.
    transfer: ``sent`` takes out of this warehouse, for ``to_warehouse``; ``arrived`` ends the transfer ``transfer_id`` that the shop
    was told of when it was sent, ``lost`` units of it aside.
    """

    sku: Code
    kind: ChangeKind
    quantity: Annotated[int, msgspec.Meta(ge=-QUANTITY_MAX, le=QUANTITY_MAX)]
    sequence: Sequence = 0
    batch: Word = ""
    expires_on: Day = ""
    reference: Word = ""
    transfer_id: Word = ""
    phase: Literal["", "sent", "arrived"] = ""
    to_warehouse: Word = ""
    lost: Annotated[int, msgspec.Meta(ge=0, le=QUANTITY_MAX)] = 0


class StockDelta(_Wire, frozen=True, kw_only=True):
    """``stock.delta``: changes that happened. warehouse: its code; empty: the connection's."""

    occurred_at_ms: TimeMs
    changes: Annotated[tuple[Change, ...], msgspec.Meta(min_length=1, max_length=CHANGES_MAX)]
    warehouse: Word = ""


class Count(_Wire, frozen=True, kw_only=True):
    """Units of a SKU that are in the house, also those that are set aside for orders. ``sequence``: of its last change counted."""

    sku: Code
    on_hand: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    sequence: Sequence = 0


class StockSnapshot(_Wire, frozen=True, kw_only=True):
    """``stock.snapshot``: one page of a count at one point in time. complete: a SKU in none of the pages is not in the house."""

    snapshot_id: MessageId
    taken_at_ms: TimeMs
    counts: Annotated[tuple[Count, ...], msgspec.Meta(max_length=COUNTS_MAX)]
    page: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1
    pages: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1
    complete: bool = True
    warehouse: Word = ""


class ShippedLine(_Wire, frozen=True, kw_only=True):
    """Units of a SKU in a parcel or an order."""

    sku: Code
    quantity: Units


class Shipment(_Wire, frozen=True, kw_only=True):
    """``shipment.created``, ``shipment.updated``: one parcel of an order as it is now. ``number`` rises with every change of it."""

    shipment_id: MessageId
    order_id: MessageId
    state: ShipmentState
    occurred_at_ms: TimeMs
    lines: Annotated[tuple[ShippedLine, ...], msgspec.Meta(min_length=1, max_length=CHANGES_MAX)]
    number: Annotated[int, msgspec.Meta(ge=1, le=2**53)] = 1
    parcel: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    carrier: Word = ""
    tracking: Word = ""


class ReceivedLine(_Wire, frozen=True, kw_only=True):
    """Units of a SKU that came from a supplier."""

    sku: Code
    quantity: Units
    sequence: Sequence = 0
    batch: Word = ""
    expires_on: Day = ""


class Receipt(_Wire, frozen=True, kw_only=True):
    """``receipt``: goods of a purchase order came in. It is the change of stock itself: no ``stock.delta`` tells of them again."""

    receipt_id: MessageId
    occurred_at_ms: TimeMs
    lines: Annotated[tuple[ReceivedLine, ...], msgspec.Meta(min_length=1, max_length=CHANGES_MAX)]
    purchase_order: Word = ""
    warehouse: Word = ""


Inbound = StockDelta | StockSnapshot | Shipment | Receipt

INBOUND: Final[dict[str, type[StockDelta] | type[StockSnapshot] | type[Shipment] | type[Receipt]]] = {
    "stock.delta": StockDelta,
    "stock.snapshot": StockSnapshot,
    "shipment.created": Shipment,
    "shipment.updated": Shipment,
    "receipt": Receipt,
}


# --- what the shop tells a warehouse ---------------------------------------------------------------


class ShipTo(_Wire, frozen=True, kw_only=True):
    """Where a parcel goes. ``country``: ISO 3166-1 alpha-2."""

    country: str
    name: str
    phone: str
    line1: str
    city: str
    line2: str = ""
    region: str = ""
    district: str = ""
    postal_code: str = ""


class Parcel(_Wire, frozen=True, kw_only=True):
    """What one warehouse packs of an order."""

    parcel: int
    warehouse: str
    lines: tuple[ShippedLine, ...]


class OrderToFulfil(_Wire, frozen=True, kw_only=True):
    """``order.to_fulfil``: a paid order. ``number`` rises from message to message: of one order the highest counts.

    ship_to is null where the buyer was erased meanwhile, or the order was placed without an address.
    """

    order_id: str
    number: int
    placed_at_ms: int
    priority: int
    parcels: tuple[Parcel, ...]
    ship_to: ShipTo | None = None


class OrderCancelled(_Wire, frozen=True, kw_only=True):
    """``order.cancelled``: not to be shipped (any more), also when no ``order.to_fulfil`` was seen before."""

    order_id: str
    number: int
    reason: str = ""


class PurchaseLine(_Wire, frozen=True, kw_only=True):
    """Units that a supplier is to bring."""

    sku: Code
    quantity: Units


class PurchaseOrder(_Wire, frozen=True, kw_only=True):
    """``purchase_order``: goods that will come; a ``receipt`` names ``reference``."""

    reference: Name
    supplier: Word = ""
    expected_on: Day = ""
    lines: Annotated[tuple[PurchaseLine, ...], msgspec.Meta(min_length=1, max_length=CHANGES_MAX)]


class StockAsk(_Wire, frozen=True, kw_only=True):
    """``stock.ask``: tell us what you count, by ``stock.snapshot``. No SKUs: of everything."""

    skus: Annotated[tuple[Code, ...], msgspec.Meta(max_length=COUNTS_MAX)] = ()


class ProductSeen(_Wire, frozen=True, kw_only=True):
    """A SKU as a warehouse needs to know it."""

    sku: str
    title: str
    title_zh: str
    barcode: str
    weight_g: int
    offered: bool


class ProductChanged(_Wire, frozen=True, kw_only=True):
    """``product.changed``: SKUs that are new or differ from what was told before."""

    products: tuple[ProductSeen, ...]


OUTBOUND: Final = ("order.to_fulfil", "order.cancelled", "purchase_order", "stock.ask", "product.changed")


class ChangesPage(_Wire, frozen=True, kw_only=True):
    """``GET /changes?cursor=&limit=``: messages after a cursor, whether or not they were sent by webhook, under the same ids."""

    messages: Annotated[tuple[Envelope, ...], msgspec.Meta(max_length=1000)]
    next_cursor: Annotated[str, msgspec.Meta(max_length=500)]
    more: bool = False


class Taken(_Wire, frozen=True, kw_only=True):
    """The body of every 2xx to a message."""

    received: bool
