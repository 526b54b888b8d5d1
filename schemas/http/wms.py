"""Warehouses over HTTP, for staff."""

from typing import Annotated, Literal

import msgspec

from schemas.http.shapes import Timestamp
from schemas.http.staff import Reason
from schemas.providers.wms import Code, Day, Name, PurchaseLine, Word
from schemas.wms import ConnectionState

Title = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Url = Annotated[str, msgspec.Meta(min_length=8, max_length=500, examples=["https://wms.example.com/stampede"])]
WarehouseRef = Annotated[str, msgspec.Meta(pattern=r"^(whs_[A-Za-z0-9_.\-]{1,58})?$", description="a warehouse; empty: the unnamed one")]
WarehouseCode = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._\-]{1,64}$", description="how the other side calls it")]
SecretText = Annotated[str, msgspec.Meta(max_length=120, description="`whsec_` and base64; empty: one is made")]


class AddConnection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Open a line."""

    title: Title
    url: Url
    warehouse_code: WarehouseCode
    reason: Reason
    warehouse_id: WarehouseRef = ""
    our_secret: SecretText = ""
    their_secret: SecretText = ""


class ConnectionAdded(msgspec.Struct, frozen=True, kw_only=True):
    """The secrets are shown here and never again; a repeat of the request shows none.

    our_secret: signs what we send. their_secret: signs what is sent to ``hook``.
    """

    connection_id: str
    hook: str
    our_secret: str | None
    their_secret: str | None


class ChangeConnection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The line as it shall be. closed: for ever; messages that wait stay."""

    title: Title
    url: Url
    warehouse_code: WarehouseCode
    state: ConnectionState
    reason: Reason


class RollSecret(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Replace a secret. old_good_s: so many seconds those before it are good."""

    side: Literal["ours", "theirs"]
    reason: Reason
    secret: SecretText = ""
    old_good_s: Annotated[int, msgspec.Meta(ge=0, le=30 * 86_400)] = 86_400


class SecretRolled(msgspec.Struct, frozen=True, kw_only=True):
    """The new secret, shown once; null for a repeat."""

    secret: str | None


class ConnectionSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One line, and how it goes. failures: calls in a row. waiting, dead: messages, counted up to some bound."""

    connection_id: str
    title: str
    warehouse_id: str
    warehouse_code: str
    url: str
    state: str
    created_at: Timestamp
    failures: int
    rests_until: Timestamp | None
    last_error: str
    last_sent_at: Timestamp | None
    last_heard_at: Timestamp | None
    last_asked_at: Timestamp | None
    waiting: int
    dead: int


class Connections(msgspec.Struct, frozen=True, kw_only=True):
    """The lines, the newest first."""

    connections: tuple[ConnectionSeen, ...]


class AskStock(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which SKUs; none: all."""

    reason: Reason
    skus: Annotated[tuple[Code, ...], msgspec.Meta(max_length=500)] = ()


class SendPurchase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Goods that will come."""

    reference: Name
    reason: Reason
    lines: Annotated[tuple[PurchaseLine, ...], msgspec.Meta(min_length=1, max_length=200)]
    supplier: Word = ""
    expected_on: Day = ""


class LetterSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One message. lines_dead: changes of it that could not be carried out."""

    letter_id: str
    side: str
    connection_id: str
    message_id: str
    type: str
    state: str
    reason: str
    tries: int
    at: Timestamp
    due_at: Timestamp | None
    ended_at: Timestamp | None
    order_id: str
    lines_dead: int


class LetterPage(msgspec.Struct, frozen=True, kw_only=True):
    """Messages, the newest first."""

    letters: tuple[LetterSeen, ...]
    next_cursor: str | None = None


class LetterLine(msgspec.Struct, frozen=True, kw_only=True):
    """One change in a message."""

    line: int
    sku: str
    kind: str
    quantity: int
    sequence: int
    state: str
    reason: str
    tries: int


class LetterWhole(msgspec.Struct, frozen=True, kw_only=True):
    """One message with its body, and its changes."""

    letter: LetterSeen
    body: str
    lines: tuple[LetterLine, ...]


class RetryLetters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which ones: received, or ours."""

    side: Literal["in", "out"]
    reason: Reason


class LettersRetried(msgspec.Struct, frozen=True, kw_only=True):
    """How many wait again."""

    retried: int


class ShipmentLine(msgspec.Struct, frozen=True, kw_only=True):
    """Units of a SKU in a parcel."""

    sku: str
    quantity: int


class ShipmentShown(msgspec.Struct, frozen=True, kw_only=True):
    """One parcel, as its warehouse last told of it."""

    connection_id: str
    shipment_id: str
    order_id: str
    parcel: int
    state: str
    carrier: str
    tracking: str
    lines: tuple[ShipmentLine, ...]
    changed_at: Timestamp
    shipped_at: Timestamp | None


class ShipmentPage(msgspec.Struct, frozen=True, kw_only=True):
    """Parcels, those that changed last first."""

    shipments: tuple[ShipmentShown, ...]
    next_cursor: str | None = None


class Compare(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """With a count that was heard, or (empty) with a new one."""

    reason: Reason
    snapshot_id: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.\-]{0,100}$")] = ""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison. state: fetching, preview, failed, applied. different: SKUs with one; adjusted, refused: of an applied one."""

    run_id: str
    connection_id: str
    state: str
    reason: str
    made_by: str
    made_at: Timestamp
    counted_at: Timestamp | None
    rows: int
    different: int
    adjusted: int
    refused: int


class ComparisonPage(msgspec.Struct, frozen=True, kw_only=True):
    """Comparisons, the newest first."""

    comparisons: tuple[Comparison, ...]
    next_cursor: str | None = None


class DifferenceSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One SKU. difference: theirs - (ours + in_flight). applied: empty, waiting, done, or why not."""

    sku: str
    ours: int
    theirs: int
    in_flight: int
    difference: int
    cause: Literal["matched", "in_flight", "missing_here", "missing_there", "mismatch"]
    applied: str


class ComparisonWhole(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison with a page of its differences, by SKU."""

    comparison: Comparison
    differences: tuple[DifferenceSeen, ...]
    next_cursor: str | None = None
