"""Events as rows of the lake: one flat row each, with the time corrected for the terminal's clock."""

import hashlib
from collections.abc import Iterable
from typing import Any, Final

from actors.storage.events.frames import SpooledBatch

OF_BATCH: Final = (
    "received_ms",
    "at_ms",
    "key",
    "actor",
    "visitor",
    "session",
    "terminal",
    "source",
    "medium",
    "campaign",
    "term",
    "content",
)
OF_EVENT: Final = (
    "type", "id", "page", "product_id", "sku_id", "sale_id", "order_id", "query", "results", "category", "quantity", "dwell_ms", "referrer",
)  # fmt: skip
COLUMNS: Final = (*OF_BATCH, *OF_EVENT, "amount", "currency")

CAMPAIGN: Final = ("source", "medium", "campaign", "term", "content")
NO_CAMPAIGN: Final[dict[str, Any]] = {}
HOUR_MS: Final = 3_600_000

Row = tuple[Any, ...]


def key_of(visitor: str, event_id: str) -> int:
    """What an event is recognised by when it comes again: 63 bits of its visitor and its own name."""
    return int.from_bytes(hashlib.blake2b(f"{visitor}\n{event_id}".encode(), digest_size=8).digest(), "big") >> 1


def rows_of(batch: SpooledBatch) -> Iterable[Row]:
    """The rows of a batch. What a younger writer knows of an event and this one does not is passed over."""
    for event in batch.events:
        get = event.get
        campaign = get("campaign") or batch.campaign or NO_CAMPAIGN
        total = get("total") or NO_CAMPAIGN
        yield (
            batch.received_ms,
            # An event is no younger than its arrival, whatever the terminal's clock says.
            min(get("at_ms") + batch.skew_ms, batch.received_ms),
            key_of(batch.visitor, get("id")),
            batch.actor or None,
            batch.visitor,
            batch.session or None,
            batch.terminal,
            *[campaign.get(name) for name in CAMPAIGN],
            *[get(name) for name in OF_EVENT],
            total.get("amount"),
            total.get("currency"),
        )


def hour_of(row: Row) -> int:
    """Hours since 1970 at which the row arrived: its partition. Not when it happened, which a client could spread over a thousand files."""
    return int(row[0]) // HOUR_MS
