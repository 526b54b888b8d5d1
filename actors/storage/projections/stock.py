"""The levels of stock, one row a part. Events add and take, so a step is one change per part, however many orders it holds."""

from typing import Any, ClassVar, Final, assert_never

from actors.storage.projections.projection import Fact, Statement
from schemas.stock import (
    StockArrived,
    StockHeld,
    StockPutIn,
    StockReceived,
    StockReleased,
    StockRestocked,
    StockSent,
    StockSold,
    StockWrittenOff,
)

ADD_LEVELS: Final = """
INSERT INTO stock_level AS s (key, put_in, received, available, held, sold, written_off, sent, in_transit)
SELECT * FROM unnest(
    $1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[]
)
ON CONFLICT (key) DO UPDATE SET
    put_in = s.put_in + excluded.put_in,
    received = s.received + excluded.received,
    available = s.available + excluded.available,
    held = s.held + excluded.held,
    sold = s.sold + excluded.sold,
    written_off = s.written_off + excluded.written_off,
    sent = s.sent + excluded.sent,
    in_transit = s.in_transit + excluded.in_transit
"""

_PUT_IN, _RECEIVED, _AVAILABLE, _HELD, _SOLD, _WRITTEN_OFF, _SENT, _IN_TRANSIT = range(8)

StockEvent = (
    StockHeld | StockSold | StockReleased | StockRestocked | StockPutIn | StockWrittenOff | StockSent | StockArrived | StockReceived
)


class StockProjection:
    """Fills ``stock_level``."""

    events: ClassVar[tuple[type, ...]] = (
        StockHeld, StockSold, StockReleased, StockRestocked, StockPutIn, StockWrittenOff, StockSent, StockArrived, StockReceived,
    )  # fmt: skip
    tables: ClassVar[tuple[str, ...]] = ("stock_level",)
    after_swap: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        self._changes: dict[str, list[int]] = {}

    def fold(self, fact: Fact, event: Any, turn: list[Any]) -> None:
        level = self._changes.get(fact.key)
        if level is None:
            level = self._changes[fact.key] = [0] * 8
        _add(level, event)

    def statements(self) -> list[Statement]:
        if not self._changes:
            return []
        keys = sorted(self._changes)
        return [Statement(ADD_LEVELS, (keys, *zip(*(self._changes[key] for key in keys), strict=True)))]


def _add(level: list[int], event: StockEvent) -> None:
    match event:
        case StockHeld():
            level[_AVAILABLE] -= event.quantity
            level[_HELD] += event.quantity
        case StockSold():
            level[_HELD] -= event.quantity
            level[_SOLD] += event.quantity
        case StockReleased():
            level[_HELD] -= event.quantity
            level[_AVAILABLE] += event.quantity
        case StockRestocked():
            level[_SOLD] -= event.quantity
            level[_AVAILABLE] += event.quantity
        case StockPutIn():
            level[_PUT_IN] += event.quantity
            level[_AVAILABLE] += event.quantity
        case StockWrittenOff():
            level[_AVAILABLE] -= event.quantity
            level[_WRITTEN_OFF] += event.quantity
        case StockSent():
            level[_AVAILABLE] -= event.quantity
            level[_SENT] += event.quantity
            level[_IN_TRANSIT] += event.quantity
        case StockArrived():
            level[_IN_TRANSIT] -= event.quantity
        case StockReceived():
            level[_RECEIVED] += event.quantity
            level[_AVAILABLE] += event.quantity
        case _:
            assert_never(event)
