"""Connections to warehouses and what goes over them, as the shop keeps it. Times in UTC, ms."""

from typing import Final, Literal

import msgspec

FOREVER_MS: Final = 2**53

ConnectionState = Literal["active", "paused", "closed"]
"""paused: messages are taken and wait, nothing is called. closed: nothing is taken either, and it stays so."""

Side = Literal["in", "out"]


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """One warehouse's line. warehouse_id: empty is the shop's unnamed warehouse; warehouse_code: how the other side calls it."""

    connection_id: str
    title: str
    warehouse_id: str
    warehouse_code: str
    url: str
    state: ConnectionState
    created_at_ms: int
    failures: int = 0
    rests_until_ms: int = 0
    last_error: str = ""
    last_sent_ms: int = 0
    last_heard_ms: int = 0
    polled_at_ms: int = 0
    waiting: int = 0
    dead: int = 0


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """One message, received or to be sent. ``state``: waiting, open (its changes are being carried out), done, dead, dropped.

    lines_dead: changes of it that could not be carried out. body: as it was received; of what is sent, without the address.
    """

    letter_id: str
    side: Side
    connection_id: str
    message_id: str
    type: str
    state: str
    reason: str
    tries: int
    at_ms: int
    due_ms: int
    ended_at_ms: int
    order_id: str = ""
    lines_dead: int = 0
    body: str = ""


class LineSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One change of a received message, and what became of it."""

    line: int
    sku: str
    kind: str
    quantity: int
    sequence: int
    state: str
    reason: str
    tries: int
    due_ms: int


class ShipmentSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One parcel as its warehouse last told of it. lines: (SKU code, units)."""

    connection_id: str
    shipment_id: str
    order_id: str
    parcel: int
    state: str
    carrier: str
    tracking: str
    lines: tuple[tuple[str, int], ...]
    changed_at_ms: int
    shipped_at_ms: int


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison of counts. state: fetching, preview, failed, applied. taken_at_ms: when the warehouse counted.

    rows, different: SKUs compared, and with a difference. adjusted, refused: of what was applied, what is done and what was refused.
    """

    run_id: str
    connection_id: str
    state: str
    reason: str
    made_by: str
    made_at_ms: int
    snapshot_id: str
    taken_at_ms: int
    rows: int = 0
    different: int = 0
    adjusted: int = 0
    refused: int = 0


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One SKU of a comparison. difference: theirs - (ours + in_flight). applied: empty, ``waiting``, ``done``, or why not."""

    sku: str
    ours: int
    theirs: int
    in_flight: int
    difference: int
    cause: str
    applied: str
