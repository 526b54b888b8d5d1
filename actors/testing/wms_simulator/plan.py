"""What the simulator can be told to do."""

from typing import Annotated, Literal

import msgspec

from schemas.providers.wms import Change, ShipmentState, ShippedLine

FaultKind = Literal["refuse", "break", "drop", "lose", "hang", "unsigned", "foreign"]
"""refuse: answer ``status``, nothing done. break: do it and answer ``status``. drop: do it and cut the connection. lose: cut it, nothing
done. hang: do nothing for ``seconds`` and cut it. unsigned, foreign: answer without a signature, or with somebody else's."""

Operation = Literal["", "messages", "changes", "snapshot"]


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The next ``times`` calls of ``operation`` (empty: any) go wrong."""

    kind: FaultKind
    operation: Operation = ""
    times: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1
    status: int = 500
    seconds: float = 0.0


class WebhookPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How messages are delivered from now on.

    lose, forge, stale: so many next ones are not sent (they stay in the feed of changes); are signed with another key; an hour ago.
    copies: each goes out so often at once. hold: keep them until released.
    """

    lose: int = 0
    forge: int = 0
    stale: int = 0
    copies: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1
    hold: bool = False


class Release(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Deliver what was held, one after the other; ``reverse``: the newest first."""

    reverse: bool = False


class Happen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Changes happen in the warehouse, and are told in one message. Numbers are given by the simulator where it numbers."""

    changes: tuple[Change, ...]
    occurred_at_ms: int = 0


class Ship(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A parcel of an order is as follows now. Units leave the house when it is shipped first."""

    shipment_id: str
    order_id: str
    lines: tuple[ShippedLine, ...]
    state: ShipmentState = "shipped"
    carrier: str = "SF"
    tracking: str = ""


class Drift(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Units vanish or appear, and nobody is told."""

    sku: str
    units: int


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One try to deliver one message. ``status`` 0: no answer."""

    message_id: str
    type: str
    status: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What the simulator has seen. heard: message ids with how often each came; counted: how often each had an effect (1).

    orders: what is to be packed, by order: ``to_fulfil`` or ``cancelled``; refused: calls with a signature that is none.
    """

    counts: dict[str, int]
    heard: dict[str, int]
    counted: dict[str, int]
    types: dict[str, str]
    orders: dict[str, str]
    deliveries: list[Delivery]
    held: int
    lost: int
    refused: int
    calls: dict[str, int]
