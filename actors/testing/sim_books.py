"""The books: what must hold of the journal, kept beside it from the records alone.

Nothing here calls the rules of ``actors.domain``: the books are a second, simpler account of the
same events. :meth:`Books.see` is called at every commit; ``broken`` lists promises that were broken.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from actors.domain.kinds import body_decoder, meta_decoder
from actors.ports.journal import Row
from schemas import order as o
from schemas import quota as q
from schemas import stock as s
from schemas.ids import derived_id

BROKEN_MAX: Final = 20
"""Broken promises listed: one breach makes many."""

FINAL: Final = ("paid", "cancelled", "refused", "refunded")


@dataclass(slots=True, kw_only=True)
class Part:
    """One part of a SKU by its events. ``ended``: what became of reservations: sold, released or restocked."""

    put_in: int = 0
    received: int = 0
    available: int = 0
    written_off: int = 0
    sent: int = 0
    arrived: int = 0
    holds: dict[bytes, int] = field(default_factory=dict)
    sold: dict[bytes, int] = field(default_factory=dict)
    ended: dict[bytes, str] = field(default_factory=dict)
    orders: dict[bytes, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Quota:
    """One coupon by its events."""

    total: int = 0
    per_user: int = 0
    claims: dict[bytes, tuple[str, int]] = field(default_factory=dict)
    redeemed: dict[bytes, tuple[str, int]] = field(default_factory=dict)
    ended: set[bytes] = field(default_factory=set)


@dataclass(slots=True, kw_only=True)
class Paper:
    """One order by its events."""

    user_id: str
    placed: o.OrderPlaced
    status: str
    stock_keys: list[str]
    payments: dict[str, str] = field(default_factory=dict)
    times_placed: int = 1


@dataclass(slots=True, kw_only=True)
class Record:
    """One row with its events, decoded once."""

    row: Row
    body: Any


class Books:
    """The account of one run."""

    def __init__(self, sale_limit: int) -> None:
        self.broken: list[str] = []
        self.oversold = False
        self.records: dict[tuple[str, str], list[Record]] = {}
        self.parts: dict[str, Part] = {}
        self.quotas: dict[str, Quota] = {}
        self.orders: dict[str, Paper] = {}
        self.answers: dict[tuple[str, str, bytes], Any] = {}
        self.bought: dict[tuple[str, str, str], int] = {}
        self._sale_limit = sale_limit
        self._seqs: dict[int, int] = {}
        self._settled: set[bytes] = set()

    def breach(self, promise: str) -> None:
        """Note a broken promise."""
        if len(self.broken) < BROKEN_MAX:
            self.broken.append(promise)

    def see(self, row: Row) -> None:
        """One committed record."""
        if row.seq != self._seqs.get(row.shard, 0) + 1:
            self.breach(f"seqs have gaps: shard {row.shard} went from {self._seqs.get(row.shard, 0)} to {row.seq}")
        self._seqs[row.shard] = row.seq
        entity = (row.kind, row.key)
        body = body_decoder.decode(row.body)
        records = self.records.setdefault(entity, [])
        records.append(Record(row=row, body=body))
        if row.version != len(records):
            self.breach(f"two histories: {row.kind} {row.key} wrote version {row.version} as its record {len(records)}")
        if row.meta:
            self._settled.update(meta_decoder.decode(row.meta).acks)
        if body.digest:
            known = (*entity, row.command_id)
            if known in self.answers:
                self.breach(f"applied twice: command {row.command_id.hex()[:8]} of {row.kind} {row.key}")
            self.answers[known] = body.answer
        for command_id, answer in body.completes:
            self.answers[(*entity, command_id)] = answer
        match row.kind:
            case "stock":
                self._see_stock(row.key, body.events)
            case "quota":
                self._see_quota(row.key, body.events)
            case "order":
                for event in body.events:
                    self._see_order(row.key, event)
            case _:
                pass

    # --- stock ------------------------------------------------------------------------------------------

    def _see_stock(self, key: str, events: list[Any]) -> None:
        part = self.parts.setdefault(key, Part())
        for event in events:
            self._fold_stock(key, part, event)
        held, sold = sum(part.holds.values()), sum(part.sold.values())
        if part.available < 0:
            self.oversold = True
            self.breach(f"oversold: {key} has {part.available} available")
        if part.put_in + part.received != part.available + held + sold + part.written_off + part.sent:
            self.breach(f"not conserved: {key}: {part}")
        if part.sent < part.arrived:
            self.breach(f"not conserved: more of {key} arrived than was sent")

    def _fold_stock(self, key: str, part: Part, event: Any) -> None:
        match event:
            case s.StockPutIn():
                part.put_in += event.quantity
                part.available += event.quantity
            case s.StockWrittenOff():
                part.written_off += event.quantity
                part.available -= event.quantity
            case s.StockHeld():
                self._fold_held(key, part, event)
            case s.StockSold():
                quantity = part.holds.pop(event.reservation_id, 0)
                self._expect(quantity == event.quantity, f"sold without a hold: {key} {event.reservation_id.hex()[:8]}")
                part.sold[event.reservation_id] = event.quantity
            case s.StockReleased():
                quantity = part.holds.pop(event.reservation_id, 0)
                self._expect(quantity == event.quantity, f"released what was not held: {key} {event.reservation_id.hex()[:8]}")
                self._expect(event.reservation_id not in part.sold, f"released what was sold: {key}")
                part.available += event.quantity
                part.ended[event.reservation_id] = "released"
            case s.StockRestocked():
                quantity = part.sold.pop(event.reservation_id, 0)
                self._expect(quantity == event.quantity, f"restocked what was not sold: {key} {event.reservation_id.hex()[:8]}")
                part.available += event.quantity
                part.ended[event.reservation_id] = "restocked"
            case s.StockSent():
                part.sent += event.quantity
                part.available -= event.quantity
            case s.StockArrived():
                part.arrived += event.quantity
            case s.StockReceived():
                part.received += event.quantity
                part.available += event.quantity
            case _:
                pass

    def _fold_held(self, key: str, part: Part, event: s.StockHeld) -> None:
        reservation_id = event.reservation_id
        self._expect(reservation_id not in part.holds, f"held twice: {key} {reservation_id.hex()[:8]}")
        self._expect(
            reservation_id not in part.ended, f"held after its end: {key} {reservation_id.hex()[:8]} was {part.ended.get(reservation_id)}"
        )
        self._expect(reservation_id not in part.sold, f"held after it was sold: {key} {reservation_id.hex()[:8]}")
        given_back = derived_id("release", reservation_id, key) in self._settled
        self._expect(not given_back, f"held after its release was answered: {key} {reservation_id.hex()[:8]}")
        part.available -= event.quantity
        part.holds[reservation_id] = part.holds.get(reservation_id, 0) + event.quantity
        part.orders[reservation_id] = event.order_id

    def _expect(self, held: bool, promise: str) -> None:
        if not held:
            self.breach(promise)

    # --- quota ------------------------------------------------------------------------------------------

    def _see_quota(self, key: str, events: list[Any]) -> None:
        quota = self.quotas.setdefault(key, Quota())
        for event in events:
            match event:
                case q.QuotaConfigured():
                    quota.total, quota.per_user = event.total, event.per_user
                case q.QuotaClaimed():
                    self._expect(event.claim_id not in quota.ended, f"claimed after its end: {key} {event.claim_id.hex()[:8]}")
                    self._expect(event.claim_id not in quota.redeemed, f"claimed after it was redeemed: {key}")
                    quota.claims[event.claim_id] = (event.user_id, event.quantity)
                case q.QuotaRedeemed():
                    self._expect(event.claim_id in quota.claims, f"redeemed without a claim: {key}")
                    quota.redeemed[event.claim_id] = quota.claims.pop(event.claim_id, ("", 0))
                case q.QuotaReinstated():
                    used_by = quota.redeemed.pop(event.claim_id, None)
                    self._expect(used_by == (event.user_id, event.quantity), f"reinstated what was not redeemed: {key}")
                    quota.ended.add(event.claim_id)
                case q.QuotaGivenBack():
                    self._expect(event.claim_id not in quota.redeemed, f"gave back what was redeemed: {key}")
                    quota.claims.pop(event.claim_id, None)
                    quota.ended.add(event.claim_id)
                case _:
                    pass
        used: dict[str, int] = {}
        for user_id, quantity in [*quota.claims.values(), *quota.redeemed.values()]:
            used[user_id] = used.get(user_id, 0) + quantity
        self._expect(sum(used.values()) <= quota.total, f"quota passed: {key} has {sum(used.values())} of {quota.total}")
        if quota.per_user and used:
            self._expect(max(used.values()) <= quota.per_user, f"quota of a user passed: {key}")

    # --- orders -----------------------------------------------------------------------------------------

    def _see_order(self, user_id: str, event: Any) -> None:
        match event:
            case o.OrderPlaced():
                self._place(user_id, event, "pending_payment")
            case o.OrderStarted():
                self._place(user_id, event.draft, "placing")
            case o.OrderAbandoned() | o.OrdersForgotten():
                pass
            case _:
                paper = self.orders.get(event.order_id)
                if paper is None:
                    self.breach(f"lost: {type(event).__name__} of {event.order_id}, which was never placed")
                else:
                    self._fold_order(paper, event)

    def _place(self, user_id: str, placed: o.OrderPlaced, status: str) -> None:
        known = self.orders.get(placed.order_id)
        if known is not None:
            known.times_placed += 1
            self.breach(f"placed twice: {placed.order_id}")
            return
        keys = [line.stock_key for line in placed.lines]
        self.orders[placed.order_id] = Paper(user_id=user_id, placed=placed, status=status, stock_keys=keys)
        self._count(user_id, placed, 1)
        for line in placed.lines if placed.sale_id else ():
            if self.bought[(user_id, placed.sale_id, line.sku_id)] > self._sale_limit:
                self.breach(f"limit passed: {user_id} holds too much of {line.sku_id}")

    def _count(self, user_id: str, placed: o.OrderPlaced, sign: int) -> None:
        for line in placed.lines if placed.sale_id else ():
            key = (user_id, placed.sale_id, line.sku_id)
            self.bought[key] = self.bought.get(key, 0) + sign * line.quantity

    def _fold_order(self, paper: Paper, event: Any) -> None:
        match event:
            case o.OrderStepMoved():
                paper.stock_keys[event.line] = event.stock_key
            case o.OrderConfirmed():
                self._become(paper, "pending_payment", ("placing",))
            case o.OrderRefused():
                self._become(paper, "refused", ("placing",))
            case o.OrderClosing():
                self._become(paper, "closing", ("pending_payment",))
            case o.OrderCancelled():
                self._become(paper, "cancelled", ("pending_payment", "closing"))
            case o.OrderPaid():
                self._become(paper, "paid", ("pending_payment", "closing"))
            case o.OrderUnfulfillable():
                self._become(paper, "unfulfillable", ("paid",))
            case o.PaymentStarted() | o.PaymentOpened() | o.PaymentEnded() | o.PaymentSettled() | o.PaymentQuestioned():
                paper.payments[event.payment_id] = type(event).__name__.removeprefix("Payment").lower()
            case o.RefundStarted():
                paper.payments[event.payment_id] = "refunding"
            case o.RefundFailed():
                paper.payments[event.payment_id] = "refund_failed"
            case o.RefundDone():
                paper.payments[event.payment_id] = "refunded"
                if paper.status == "unfulfillable":
                    self._become(paper, "refunded", ("unfulfillable",))
            case _:
                pass

    def _become(self, paper: Paper, status: str, before: tuple[str, ...]) -> None:
        if paper.status not in before:
            self.breach(f"{paper.placed.order_id} became {status} after {paper.status}")
        paper.status = status
        if status in ("refused", "cancelled", "refunded"):
            self._count(paper.user_id, paper.placed, -1)
