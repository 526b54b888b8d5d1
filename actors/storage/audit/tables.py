"""Projections against the journal, row by row, at the positions that they have reached.

What the tables should say comes from the domain's states as of the position, not from the code that
fills them; only the ledger's postings, which no state keeps, are made by the projection's own rule.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Set
from typing import Any, Final

import msgspec

from actors.domain.order_state import Order, OrderBook
from actors.domain.stock_state import StockState
from actors.storage.audit.history import Entity, Record
from actors.storage.audit.report import Findings
from actors.storage.projections.ledger import RECEIVABLE, REFUNDS, Entry, postings
from actors.storage.projections.movements import changes, movements
from actors.storage.projections.stock import COLUMNS
from schemas.order import (
    Considered,
    OrderPaid,
    OrdersForgotten,
    PaymentQuestioned,
    PaymentSettled,
    PricedLine,
    RefundDone,
    RefundStarted,
    Source,
)
from schemas.sessions import REVOKED_KEPT_MS, SessionsEnded

FETCH: Final = 2000

READ_ORDERS: Final = """
SELECT order_id, user_id, status, reason, total_amount, currency, sale_id, placed_at_ms, expires_at_ms, shard,
    points, points_discount, shipping, shipping_saved, priority, sources::text, considered::text, lines::text FROM orders
"""
READ_PAYMENTS: Final = """
SELECT payment_id, order_id, user_id, status, amount, currency, provider_id, refund_id, started_at_ms, shard FROM payment
"""
READ_STOCK: Final = (
    "SELECT key, put_in, received, available, held, sold, written_off, sent, in_transit, returned, adjusted, moving FROM stock_level"
)
READ_WAREHOUSES: Final = """
SELECT key || ' in ' || warehouse_id, put_in, received, returned, moved_in, adjusted, available, held, sold, written_off, sent, moved_out,
    safety FROM stock_warehouse
"""
READ_MOVEMENTS: Final = """
SELECT shard || ':' || seq || ':' || n, key, warehouse_id, batch, kind, quantity, available, held, reason, reference, at_ms
FROM stock_movement
"""
UNEQUAL_MOVEMENTS: Final = """
SELECT coalesce(m.key, w.key) || ' in ' || coalesce(m.warehouse_id, w.warehouse_id) AS place,
    coalesce(m.available, 0)::bigint AS available, coalesce(m.held, 0)::bigint AS held,
    coalesce(w.available, 0) AS available_there, coalesce(w.held, 0) AS held_there
FROM (
    SELECT key, warehouse_id, sum(available) AS available, sum(held) AS held FROM stock_movement WHERE warehouse_id <> '' GROUP BY 1, 2
) m FULL JOIN stock_warehouse w USING (key, warehouse_id)
WHERE (coalesce(m.available, 0), coalesce(m.held, 0)) <> (coalesce(w.available, 0), coalesce(w.held, 0))
"""
READ_QUOTA: Final = "SELECT coupon_id, total, claimed, redeemed FROM quota_level"
READ_ENTRIES: Final = "SELECT posting || ' ' || account, amount, currency, order_id, at_ms FROM ledger_entry"
READ_REVOKED: Final = "SELECT session_id, revoked_at_ms FROM revoked_session"
READ_SALES: Final = "SELECT sale_id, state, shard FROM sale_state"
UNBALANCED: Final = (
    "SELECT posting, currency, sum(amount)::text AS off FROM ledger_entry GROUP BY posting, currency HAVING sum(amount) <> 0"
)
RECEIVED: Final = "SELECT currency, sum(amount)::bigint AS amount FROM ledger_entry WHERE account = 'provider.receivable' GROUP BY currency"

_LINES: Final = msgspec.json.Decoder(tuple[PricedLine, ...])
_CONSIDERED: Final = msgspec.json.Decoder(tuple[Considered, ...])
_SOURCES: Final = msgspec.json.Decoder(tuple[Source, ...])


class Tables:
    """What each table should hold, by its key. ``positions``: how far the projections have come, by shard."""

    def __init__(self, positions: Mapping[int, int]) -> None:
        self.orders: dict[str, tuple[Any, ...]] = {}
        self.payments: dict[str, tuple[Any, ...]] = {}
        self.stock: dict[str, tuple[Any, ...]] = {}
        self.warehouses: dict[str, tuple[Any, ...]] = {}
        self.movements: dict[str, tuple[Any, ...]] = {}
        self.quota: dict[str, tuple[Any, ...]] = {}
        self.entries: dict[str, tuple[Any, ...]] = {}
        self.revoked: dict[str, tuple[Any, ...]] = {}
        self.sales: dict[str, tuple[Any, ...]] = {}
        self.money: dict[str, int] = {}
        self._positions = positions
        self._taken_at = -1

    def before(self, entity: Entity, record: Record) -> None:
        """What is forgotten now is in the tables as it was."""
        if entity.kind == "order" and record.seq <= self._position(record.shard):
            for event in record.events:
                if isinstance(event, OrdersForgotten):
                    for order_id in event.order_ids:
                        order = entity.state.closed.get(order_id)
                        if order is not None:
                            self._expect_order(entity.state, order, record.shard)

    def after(self, entity: Entity, record: Record, entities: Mapping[tuple[str, str], Entity]) -> None:
        """Postings and ended sessions, and everything else at the position."""
        position = self._position(record.shard)
        if record.seq > position:
            return
        if entity.kind == "order":
            for event in record.events:
                self._expect_postings(event, record.events)
        elif entity.kind == "stock":
            self._expect_movements(entity.key, record)
        elif entity.kind == "sessions":
            for event in record.events:
                if isinstance(event, SessionsEnded) and event.reason != "expired":
                    for session_id in event.session_ids:
                        self.revoked.setdefault(session_id, (event.at_ms,))
        if record.seq == position:
            self._expect_all(record.shard, entities.values())

    def end(self, shard: int, entities: Mapping[tuple[str, str], Entity]) -> None:
        """A position beyond the last record: compare with all there is."""
        if self._taken_at != shard and self._position(shard) > 0:
            self._expect_all(shard, entities.values())

    async def check(self, connection: Any, findings: Findings) -> int:
        """Compare every row of every table; answers how many there are."""
        rows = 0
        # Whether an end so long ago is still listed depends on when the last one came: nobody needs it.
        pruned_ms = max((at_ms for (at_ms,) in self.revoked.values()), default=0) - REVOKED_KEPT_MS
        pruned = {name for name, (at_ms,) in self.revoked.items() if at_ms < pruned_ms}
        # Of the unnamed warehouse nothing was written down before there were others.
        plain = {name for name, values in self.movements.items() if not values[1] and not values[2]}
        may_lack = {"revoked_session": pruned, "stock_movement": plain}
        for name, sql, expected in (
            ("orders", READ_ORDERS, self.orders),
            ("payment", READ_PAYMENTS, self.payments),
            ("stock_level", READ_STOCK, self.stock),
            ("stock_warehouse", READ_WAREHOUSES, self.warehouses),
            ("stock_movement", READ_MOVEMENTS, self.movements),
            ("quota_level", READ_QUOTA, self.quota),
            ("ledger_entry", READ_ENTRIES, self.entries),
            ("revoked_session", READ_REVOKED, self.revoked),
            ("sale_state", READ_SALES, self.sales),
        ):
            rows += await compare(name, _rows(connection, sql), expected, findings, may_lack.get(name, frozenset()))
        await self._check_ledger(connection, findings)
        for place, *counts in await connection.fetch(UNEQUAL_MOVEMENTS):
            findings.add(6, f"the movements of {place} sum to {counts[:2]} (available, held), its row says {counts[2:]}", place)
        return rows

    async def _check_ledger(self, connection: Any, findings: Findings) -> None:
        for posting, currency, off in await connection.fetch(UNBALANCED):
            findings.add(6, f"posting {posting} is off by {off} {currency}", posting)
        received = {row["currency"]: row["amount"] for row in await connection.fetch(RECEIVED)}
        for currency in sorted(received.keys() | self.money.keys()):
            booked, true = received.get(currency, 0), self.money.get(currency, 0)
            if booked != true:
                text = f"the ledger has {booked} {currency} at the provider, the payments less the refunds are {true}"
                findings.add(6, text, RECEIVABLE, currency)

    def _position(self, shard: int) -> int:
        return self._positions.get(shard, 0)

    def _expect_all(self, shard: int, entities: Iterable[Entity]) -> None:
        self._taken_at = shard
        for entity in entities:
            state = entity.state
            match entity.kind:
                case "order":
                    for order in (*state.open.values(), *state.closed.values()):
                        self._expect_order(state, order, shard)
                case "stock":
                    self._expect_stock(entity.key, state)
                case "quota":
                    self.quota[entity.key] = (state.total, state.claimed, state.redeemed)
                case "admission" if state.mode:
                    self.sales[entity.key] = (state.state, shard)

    def _expect_stock(self, key: str, state: StockState) -> None:
        self.stock[key] = (
            state.put_in, state.received, state.available, state.held, state.sold, state.written_off, state.sent, state.in_transit,
            state.returned, state.adjusted, state.moving,
        )  # fmt: skip
        if state.spread is None:
            return
        names = dict.fromkeys((*state.spread.safety, *(count.warehouse_id for count in state.spread.lots.values())))
        for warehouse_id in filter(None, names):
            counts = [count for count in state.spread.lots.values() if count.warehouse_id == warehouse_id]
            sums = (sum(getattr(count, name) for count in counts) for name in COLUMNS)
            self.warehouses[f"{key} in {warehouse_id}"] = (*sums, state.spread.safety.get(warehouse_id, 0))

    def _expect_movements(self, key: str, record: Record) -> None:
        found = (movement for event in record.events for movement in movements(event))
        for n, movement in enumerate(found):
            available, held = (sum(units for what, units in changes(movement) if what == name) for name in ("available", "held"))
            self.movements[f"{record.shard}:{record.seq}:{n}"] = (
                key, *movement[:4], available, held, movement.reason, movement.reference, record.at_ms,
            )  # fmt: skip

    def _expect_order(self, book: OrderBook, order: Order, shard: int) -> None:
        self.orders[order.order_id] = (
            book.user_id,
            order.status,
            order.reason,
            order.total,
            order.currency,
            order.sale_id,
            order.placed_at_ms,
            order.expires_at_ms,
            shard,
            order.points.points if order.points else 0,
            order.points.discount if order.points else 0,
            order.shipping,
            order.shipping_saved,
            order.priority,
            tuple(order.sources),
            tuple(order.considered),
            tuple(order.lines),
        )
        for payment in order.payments.values():
            refund = payment.refund
            self.payments[payment.payment_id] = (
                order.order_id,
                book.user_id,
                payment.status,
                payment.amount,
                payment.currency,
                payment.provider_id,
                refund.refund_id if refund else "",
                payment.started_at_ms,
                shard,
            )
            if payment.status in ("paid", "refunding", "refund_failed"):
                self._count(payment.currency, payment.amount)
            elif payment.status == "questioned":
                self._count(payment.settled_currency, payment.settled_amount)
            elif payment.status == "refunded":
                self._count(payment.currency, payment.amount - (refund.amount if refund else 0))

    def _count(self, currency: str, amount: int) -> None:
        self.money[currency] = self.money.get(currency, 0) + amount

    def _expect_postings(self, event: Any, turn: list[Any]) -> None:
        match event:
            case PaymentSettled() | PaymentQuestioned() | OrderPaid() | RefundStarted():
                for entry in postings(event, turn):
                    self._expect_entry(entry)
            case RefundDone():
                promised = self.entries.get(f"refund:{event.refund_id} {REFUNDS}")
                if promised is not None:
                    amount, currency, order_id, _ = promised
                    posting = f"refunded:{event.refund_id}"
                    self._expect_entry(Entry(posting, REFUNDS, -amount, currency, order_id, event.at_ms))
                    self._expect_entry(Entry(posting, RECEIVABLE, amount, currency, order_id, event.at_ms))
            case _:
                pass

    def _expect_entry(self, entry: Entry) -> None:
        self.entries[f"{entry.posting} {entry.account}"] = (entry.amount, entry.currency, entry.order_id, entry.at_ms)


async def _rows(connection: Any, sql: str) -> AsyncIterator[tuple[Any, ...]]:
    async for row in plain_rows(connection, sql):
        yield (*row[:-3], _SOURCES.decode(row[-3]), _CONSIDERED.decode(row[-2]), _LINES.decode(row[-1])) if sql is READ_ORDERS else row


async def plain_rows(connection: Any, sql: str) -> AsyncIterator[tuple[Any, ...]]:
    """Rows as they are, a few at a time."""
    async for row in connection.cursor(sql, prefetch=FETCH):
        yield tuple(row)


async def compare(
    name: str,
    rows: AsyncIterator[tuple[Any, ...]],
    expected: dict[str, tuple[Any, ...]],
    findings: Findings,
    may_lack: Set[str] = frozenset(),
) -> int:
    """Every row is as expected and every expected row is there, but for those that ``may_lack``."""
    count = 0
    async for key, *values in rows:
        count += 1
        right = expected.pop(key, None)
        if right is None:
            findings.add(6, f"{name}: the journal knows nothing of {key}", key)
        elif right != tuple(values):
            findings.add(6, f"{name}: {key} is {_shown(values)}, by the journal {_shown(right)}", key)
    for key in [key for key in expected if key not in may_lack]:
        findings.add(6, f"{name}: {key} is missing", key)
    return count


def _shown(values: Iterable[Any]) -> str:
    return ", ".join(str(value) for value in values)
