"""Followers of the simulated journal: two that race, over a line that fails, into tables that are changed exactly once."""

import asyncio
import random
from typing import Any, Final

from actors.domain.kinds import body_decoder
from actors.ports.journal import Row, StorageUnknown
from actors.testing.sim_store import SimStore
from schemas import order as o
from schemas import stock as s

BATCH: Final = 50

_STATUS: Final[dict[type, str]] = {
    o.OrderPlaced: "pending_payment",
    o.OrderConfirmed: "pending_payment",
    o.OrderRefused: "refused",
    o.OrderClosing: "closing",
    o.OrderCancelled: "cancelled",
    o.OrderPaid: "paid",
    o.OrderUnfulfillable: "unfulfillable",
}


class Tables:
    """What people query: orders by status, and units by part. ``positions``: how far each shard was read."""

    def __init__(self, shard_count: int) -> None:
        self.positions = dict.fromkeys(range(shard_count), 0)
        self.orders: dict[str, str] = {}
        self.levels: dict[tuple[str, str], int] = {}
        self.gaps: list[str] = []

    def write(self, shard: int, position: int, rows: list[Row]) -> bool:
        """Rows and position in one transaction; False when another follower was here first."""
        if self.positions[shard] != position:
            return False
        for row in rows:
            position += 1
            if row.seq != position:
                self.gaps.append(f"shard {shard}: {row.seq} after {position - 1}")
            for event in body_decoder.decode(row.body).events:
                self._fold(row, event)
        self.positions[shard] = position
        return True

    def _fold(self, row: Row, event: Any) -> None:
        if row.kind == "stock":
            for name, change in _changes(event):
                self.levels[(row.key, name)] = self.levels.get((row.key, name), 0) + change
        elif row.kind == "order":
            if isinstance(event, o.OrderStarted):
                self.orders[event.draft.order_id] = "placing"
            elif type(event) in _STATUS:
                self.orders[event.order_id] = _STATUS[type(event)]
            elif isinstance(event, o.RefundDone) and self.orders[event.order_id] == "unfulfillable":
                self.orders[event.order_id] = "refunded"


def _changes(event: Any) -> tuple[tuple[str, int], ...]:
    match event:
        case s.StockPutIn() | s.StockReceived():
            return (("available", event.quantity),)
        case s.StockWrittenOff() | s.StockSent():
            return (("available", -event.quantity),)
        case s.StockHeld():
            return (("available", -event.quantity), ("held", event.quantity))
        case s.StockReleased():
            return (("available", event.quantity), ("held", -event.quantity))
        case s.StockSold():
            return (("held", -event.quantity), ("sold", event.quantity))
        case s.StockRestocked():
            return (("sold", -event.quantity), ("available", event.quantity))
        case _:
            return ()


class Follower:
    """Carries records into the tables."""

    def __init__(self, store: SimStore, tables: Tables, rng: random.Random, place: str) -> None:
        self._store = store
        self._tables = tables
        self._rng = rng
        self._place = place

    async def follow(self) -> None:
        """Shard by shard, for ever."""
        while True:
            await asyncio.sleep(self._rng.uniform(0.5, 4.0))
            journal = self._store.journal
            for shard in journal.rows:
                if journal.heads[shard] > self._tables.positions[shard]:
                    await self._advance(shard)

    async def _advance(self, shard: int) -> None:
        journal, tables = self._store.journal, self._tables
        position = tables.positions[shard]
        try:
            rows: list[Row] = await self._store.ask(self._place, lambda: journal.rows[shard][position : position + BATCH])
            await self._store.ask(self._place, lambda: tables.write(shard, position, rows))
        except StorageUnknown:
            return
