"""The table of orders: one row an order, with the status that its buyer sees."""

from typing import Any, ClassVar, Final

import msgspec

from actors.storage.projections.projection import Fact, Statement
from actors.storage.wms_outbox import FILL_CAUSES, FILL_ENDS
from schemas.order import (
    OrderCancelled,
    OrderClosing,
    OrderConfirmed,
    OrderPaid,
    OrderPlaced,
    OrderRanked,
    OrderRefused,
    OrderStarted,
    OrderStepMoved,
    OrderStepTaken,
    OrderUnfulfillable,
    RefundDone,
    Source,
)

INSERT_ORDERS: Final = """
INSERT INTO orders (
    order_id, user_id, status, reason, total_amount, currency, sale_id, placed_at_ms, expires_at_ms, shard, updated_seq, lines, coupons,
    points, points_discount, shipping, shipping_saved, priority, sources, considered
)
SELECT r.order_id, r.user_id, r.status, r.reason, r.total, r.currency, r.sale_id, r.placed, r.expires, r.shard, r.seq,
    r.lines::jsonb, r.coupons::jsonb, r.points, r.points_discount, r.shipping, r.shipping_saved, r.priority,
    r.sources::jsonb, r.considered::jsonb
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::bigint[], $9::bigint[], $10::smallint[],
    $11::bigint[], $12::text[], $13::text[], $14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[], $18::smallint[],
    $19::text[], $20::text[]
) AS r (order_id, user_id, status, reason, total, currency, sale_id, placed, expires, shard, seq, lines, coupons, points, points_discount,
    shipping, shipping_saved, priority, sources, considered)
"""

CHANGE_ORDERS: Final = """
UPDATE orders o SET
    status = CASE WHEN c.status IS NOT NULL THEN c.status
        WHEN c.refunded AND o.status = 'unfulfillable' THEN 'refunded' ELSE o.status END,
    reason = coalesce(c.reason, o.reason),
    lines = CASE WHEN c.moves IS NULL THEN o.lines ELSE (
        SELECT jsonb_agg(
            CASE WHEN c.moves::jsonb ? (n - 1)::text THEN jsonb_set(line, '{stock_key}', c.moves::jsonb -> (n - 1)::text) ELSE line END
            ORDER BY n
        )
        FROM jsonb_array_elements(o.lines) WITH ORDINALITY AS e (line, n)
    ) END,
    priority = coalesce(c.priority, o.priority),
    sources = CASE WHEN c.sources IS NULL THEN o.sources ELSE o.sources || c.sources::jsonb END,
    updated_seq = c.seq
FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::text[], $6::smallint[], $7::bigint[], $8::text[])
    AS c (order_id, status, reason, refunded, moves, priority, seq, sources)
WHERE o.order_id = c.order_id
"""

FILL_MERCHANT_ORDERS: Final = """
INSERT INTO merchant_order (merchant_id, order_id)
SELECT DISTINCT s.merchant_id, o.order_id FROM orders o CROSS JOIN LATERAL jsonb_array_elements(o.lines) AS line
JOIN sku s ON s.sku_id = line ->> 'sku_id'
WHERE EXISTS (SELECT FROM merchant) AND s.merchant_id IS NOT NULL ON CONFLICT DO NOTHING"""
"""Orders that a rebuild found and the table before it had not. Reads every order where there are firms, and none elsewhere."""

_STATUS, _REASON, _SEQ, _LINES, _PRIORITY, _SOURCES = 2, 3, 10, 11, 17, 18


class _Change:
    """What happens in this step to an order of an earlier one. None: stays as it is. ``moves``: line number to stock key."""

    __slots__ = ("moves", "priority", "reason", "refunded", "seq", "sources", "status")

    def __init__(self) -> None:
        self.status: str | None = None
        self.reason: str | None = None
        self.refunded = False
        self.moves: dict[str, str] = {}
        self.priority: int | None = None
        self.sources: list[Source] = []
        self.seq = 0


class OrderProjection:
    """Fills ``orders``."""

    events: ClassVar[tuple[type, ...]] = (
        OrderPlaced, OrderStarted, OrderStepMoved, OrderConfirmed, OrderRefused, OrderClosing, OrderCancelled, OrderPaid,
        OrderRanked, OrderUnfulfillable, OrderStepTaken, RefundDone,
    )  # fmt: skip
    tables: ClassVar[tuple[str, ...]] = ("orders",)
    after_swap: ClassVar[tuple[str, ...]] = (FILL_MERCHANT_ORDERS, FILL_CAUSES, FILL_ENDS)

    def __init__(self) -> None:
        self._placed: dict[str, list[Any]] = {}
        self._changed: dict[str, _Change] = {}

    def fold(self, fact: Fact, event: Any, turn: list[Any]) -> None:
        match event:
            case OrderPlaced():
                self._place(fact, event, "pending_payment")
            case OrderStarted():
                self._place(fact, event.draft, "placing")
            case OrderConfirmed():
                self._change(fact, event.order_id, "pending_payment", None)
                self._take(fact, event)
            case OrderStepTaken():
                self._take(fact, event)
            case OrderRefused():
                self._change(fact, event.order_id, "refused", event.code)
            case OrderClosing():
                self._change(fact, event.order_id, "closing", event.reason)
            case OrderCancelled():
                self._change(fact, event.order_id, "cancelled", event.reason)
            case OrderPaid():
                self._change(fact, event.order_id, "paid", "")
            case OrderRanked():
                self._rank(fact, event)
            case OrderUnfulfillable():
                self._change(fact, event.order_id, "unfulfillable", event.code)
            case OrderStepMoved():
                self._move(fact, event)
            case RefundDone():
                self._refund(fact, event.order_id)
            case _:
                pass

    def statements(self) -> list[Statement]:
        found = []
        if self._placed:
            found.append(Statement(INSERT_ORDERS, tuple(zip(*self._placed.values(), strict=True))))
        if self._changed:
            rows = [
                (
                    order_id,
                    change.status,
                    change.reason,
                    change.refunded,
                    _moves(change),
                    change.priority,
                    change.seq,
                    _json(change.sources),
                )
                for order_id, change in self._changed.items()
            ]
            found.append(Statement(CHANGE_ORDERS, tuple(zip(*rows, strict=True))))
        return found

    def _place(self, fact: Fact, event: OrderPlaced, status: str) -> None:
        assert event.order_id not in self._placed, f"{event.order_id} is placed twice"
        self._placed[event.order_id] = [
            event.order_id,
            fact.key,
            status,
            "",
            event.total,
            event.currency,
            event.sale_id,
            event.placed_at_ms,
            event.expires_at_ms,
            fact.shard,
            fact.seq,
            msgspec.json.encode(event.lines).decode(),
            msgspec.json.encode(event.coupons).decode() if event.coupons else "[]",
            event.points.points if event.points else 0,
            event.points.discount if event.points else 0,
            event.shipping,
            event.shipping_saved,
            0,
            msgspec.json.encode(event.sources).decode() if event.sources else "[]",
            msgspec.json.encode(event.considered).decode() if event.considered else "[]",
        ]

    def _change(self, fact: Fact, order_id: str, status: str, reason: str | None) -> None:
        row = self._placed.get(order_id)
        if row is None:
            change = self._of(fact, order_id)
            change.status = status
            change.reason = change.reason if reason is None else reason
            return
        row[_STATUS], row[_SEQ] = status, fact.seq
        if reason is not None:
            row[_REASON] = reason

    def _refund(self, fact: Fact, order_id: str) -> None:
        """Given back: an order that could not be delivered has ended; a paid one that was paid twice stands."""
        row = self._placed.get(order_id)
        if row is None:
            change = self._of(fact, order_id)
            change.refunded = True
            if change.status == "unfulfillable":
                change.status = "refunded"
            return
        row[_SEQ] = fact.seq
        if row[_STATUS] == "unfulfillable":
            row[_STATUS] = "refunded"

    def _rank(self, fact: Fact, event: OrderRanked) -> None:
        row = self._placed.get(event.order_id)
        if row is None:
            self._of(fact, event.order_id).priority = event.priority
            return
        row[_PRIORITY], row[_SEQ] = event.priority, fact.seq

    def _take(self, fact: Fact, event: OrderStepTaken | OrderConfirmed) -> None:
        if not event.sources:
            return
        row = self._placed.get(event.order_id)
        if row is None:
            self._of(fact, event.order_id).sources.extend(event.sources)
            return
        found = msgspec.json.decode(row[_SOURCES], type=list[Source])
        row[_SOURCES], row[_SEQ] = msgspec.json.encode([*found, *event.sources]).decode(), fact.seq

    def _move(self, fact: Fact, event: OrderStepMoved) -> None:
        row = self._placed.get(event.order_id)
        if row is None:
            self._of(fact, event.order_id).moves[str(event.line)] = event.stock_key
            return
        lines = msgspec.json.decode(row[_LINES])
        lines[event.line]["stock_key"] = event.stock_key
        row[_LINES], row[_SEQ] = msgspec.json.encode(lines).decode(), fact.seq

    def _of(self, fact: Fact, order_id: str) -> _Change:
        change = self._changed.get(order_id)
        if change is None:
            change = self._changed[order_id] = _Change()
        change.seq = fact.seq
        return change


def _json(sources: list[Source]) -> str | None:
    return msgspec.json.encode(sources).decode() if sources else None


def _moves(change: _Change) -> str | None:
    return msgspec.json.encode(change.moves).decode() if change.moves else None
