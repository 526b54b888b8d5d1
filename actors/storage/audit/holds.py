"""Orders against what is held for them: every unit and every coupon use belongs to an order, and every order has its own."""

from collections.abc import Mapping
from typing import Any, Final

from actors.domain.order_state import Order
from actors.storage.audit.history import Entity, Record
from actors.storage.audit.report import Findings
from schemas.member import PointsCommitted, PointsHeld, PointsReinstated, PointsReleased
from schemas.order import OrderPlaced, OrdersForgotten, OrderStarted
from schemas.quota import QuotaClaimed, QuotaGivenBack, QuotaRedeemed, QuotaReinstated
from schemas.stock import StockHeld, StockReceived, StockReleased, StockRestocked, StockReturned, StockSent, StockSold

GRACE_MS: Final = 60_000
"""Stock and quota ask about a hold this long after its deadline."""

RIGHT: Final[Mapping[str, tuple[frozenset[str], frozenset[str], str]]] = {
    # status: (what may be, what may be only while this verb's message is open, the verb)
    "placing": (frozenset({"none", "held"}), frozenset(), "place"),
    "pending_payment": (frozenset({"held"}), frozenset(), ""),
    "closing": (frozenset({"held"}), frozenset(), ""),
    "paid": (frozenset({"sold"}), frozenset({"held", "released"}), "sell"),
    "cancelled": (frozenset({"released"}), frozenset({"held", "none"}), "undo"),
    "refused": (frozenset({"released"}), frozenset({"held", "none"}), "undo"),
    "unfulfillable": (frozenset({"released", "restocked"}), frozenset({"held", "sold"}), "undo"),
    "refunded": (frozenset({"released", "restocked"}), frozenset({"held", "sold"}), "undo"),
}


class Hold:
    """What became of one reservation or claim."""

    __slots__ = ("deadline_ms", "key", "order_id", "outcome", "quantity")

    def __init__(self, key: str, order_id: str, quantity: int, deadline_ms: int, outcome: str) -> None:
        self.key = key
        self.order_id = order_id
        self.quantity = quantity
        self.deadline_ms = deadline_ms
        self.outcome = outcome


class Holds:
    """Collects reservations, claims, orders and transfers as the history passes."""

    def __init__(self, findings: Findings) -> None:
        self.orders: dict[str, tuple[str, Order]] = {}
        self._findings = findings
        self._holds: dict[bytes, Hold] = {}
        self._sent: dict[bytes, tuple[str, str, int]] = {}
        self._received: dict[bytes, tuple[str, str, int]] = {}
        self._returned: dict[bytes, tuple[str, int]] = {}
        self._levels: dict[str, list[int]] = {}

    def before(self, entity: Entity, record: Record) -> None:
        """Orders that are forgotten now are looked at as they were."""
        if entity.kind == "order":
            for event in record.events:
                if isinstance(event, OrdersForgotten):
                    self._keep(entity, event.order_ids)

    def after(self, entity: Entity, record: Record, entities: Mapping[tuple[str, str], Entity]) -> None:
        """What was held, and what became of it."""
        if entity.kind in ("stock", "quota", "member"):
            for event in record.events:
                self._follow(entity.key, event)
        elif entity.kind == "order" and not entity.broken:
            for event in record.events:
                self._check_limit(entity, event)

    def end(self, shard: int, entities: Mapping[tuple[str, str], Entity]) -> None:
        """The orders as they stand, and the levels for the sums over parts."""
        for entity in entities.values():
            if entity.kind == "order":
                self._keep(entity, (*entity.state.open, *entity.state.closed))
            elif entity.kind == "stock" and not entity.broken:
                self._sum(entity)

    def check(self, steps: set[str], now_ms: int, limit_ms: int) -> None:
        """Orders against holds, holds against orders, transfers against each other. ``steps``: the open messages' steps."""
        known: set[bytes] = set()
        for user_id, order in self.orders.values():
            parts = [
                (f"r{i}", rid, line.stock_key, line.quantity)
                for i, (rid, line) in enumerate(zip(order.reservation_ids, order.lines, strict=True))
            ]
            parts += [(f"c{i}", claim.claim_id, claim.coupon_id, 1) for i, claim in enumerate(order.coupons)]
            if order.points is not None:
                parts.append(("m0", order.points.hold_id, user_id, order.points.points))
            for step, hold_id, key, quantity in parts:
                known.add(hold_id)
                self._check_part(user_id, order, step, hold_id, key, quantity, steps)
        for hold_id, hold in self._holds.items():
            overdue = hold.deadline_ms + GRACE_MS + limit_ms < now_ms
            if hold.outcome == "held" and hold_id not in known and overdue:
                self._findings.add(2, f"{hold.key} is held for {hold.order_id}, which no buyer has", hold.key, hold.order_id, hold_id.hex())
        for hold_id, (key, returned) in self._returned.items():
            known_hold = self._holds.get(hold_id)
            if known_hold is not None and (known_hold.outcome != "sold" or returned > known_hold.quantity):
                text = f"{returned} of {key} came back for {known_hold.order_id}, of which {known_hold.quantity} are {known_hold.outcome}"
                self._findings.add(2, text, key, known_hold.order_id, hold_id.hex())
        self._check_transfers()

    def _check_part(self, user_id: str, order: Order, step: str, hold_id: bytes, key: str, quantity: int, steps: set[str]) -> None:
        hold = self._holds.get(hold_id)
        outcome = hold.outcome if hold else "none"
        always, meanwhile, verb = RIGHT[order.status]
        is_right = outcome in always or (outcome in meanwhile and f"{verb}:{order.order_id}:{step}" in steps)
        if step[0] in "cm" and order.status == "paid":
            # A discount that was given is given: its use may have lapsed meanwhile, and nobody takes it back from a paid order.
            is_right = is_right or outcome == "released"
        if order.status == "placing" and outcome == "none":
            is_right = f"place:{order.order_id}:{step}" in steps
        if not is_right:
            text = f"order {order.order_id} of {user_id} is {order.status}, but {key} is {outcome} for it"
            self._findings.add(2, text, order.order_id, key, hold_id.hex())
        elif (
            hold is not None and outcome in ("held", "sold") and (hold.key, hold.quantity, hold.order_id) != (key, quantity, order.order_id)
        ):
            text = f"order {order.order_id} has {quantity} of {key}, but {hold.quantity} of {hold.key} are {outcome} for {hold.order_id}"
            self._findings.add(2, text, order.order_id, key, hold_id.hex())

    def _check_limit(self, entity: Entity, event: Any) -> None:
        """Nobody had more of a sale than it allowed when he ordered: the limit may have been changed since."""
        placed = event.draft if isinstance(event, OrderStarted) else event
        if not isinstance(placed, OrderPlaced) or not placed.limit:
            return
        for line in placed.lines:
            count = entity.state.bought.get(f"{placed.sale_id}:{line.sku_id}", 0)
            if count > placed.limit:
                text = f"{entity.key} had {count} of {line.sku_id} in {placed.sale_id}, which allowed {placed.limit}"
                self._findings.add(2, text, entity.key, placed.sale_id, placed.order_id)

    def _keep(self, entity: Entity, order_ids: Any) -> None:
        for order_id in order_ids:
            order = entity.state.open.get(order_id) or entity.state.closed.get(order_id)
            if order is None:
                continue
            other = self.orders.get(order_id)
            if other is not None and other[0] != entity.key:
                self._findings.add(3, f"order {order_id} is in the books of {other[0]} and {entity.key}", order_id)
            self.orders[order_id] = (entity.key, order)

    def _follow(self, key: str, event: Any) -> None:
        match event:
            case StockHeld():
                self._take(event.reservation_id, key, event)
            case QuotaClaimed():
                self._take(event.claim_id, key, event)
            case StockSold():
                self._finish(event.reservation_id, key, "sold")
            case QuotaRedeemed():
                self._finish(event.claim_id, key, "sold")
            case StockReleased():
                self._finish(event.reservation_id, key, "released")
            case QuotaGivenBack():
                self._finish(event.claim_id, key, "released")
            case StockRestocked():
                self._finish(event.reservation_id, key, "restocked")
            case QuotaReinstated():
                self._finish(event.claim_id, key, "restocked")
            case PointsHeld() | PointsCommitted() | PointsReleased() | PointsReinstated():
                self._follow_points(key, event)
            case StockReturned():
                self._returned[event.reservation_id] = (key, self._returned.get(event.reservation_id, (key, 0))[1] + event.quantity)
            case StockSent():
                self._sent[event.transfer_id] = (key, event.to_key, event.quantity)
            case StockReceived():
                if event.transfer_id in self._received:
                    self._findings.add(3, f"transfer {event.transfer_id.hex()} arrived twice", key, event.transfer_id.hex())
                self._received[event.transfer_id] = (event.from_key, key, event.quantity)
            case _:
                pass

    def _follow_points(self, key: str, event: PointsHeld | PointsCommitted | PointsReleased | PointsReinstated) -> None:
        """Of orders. What is exchanged in the mall is none: its claim has the same id, and is followed as its quota's."""
        match event:
            case PointsHeld() if event.order_id.startswith("ord_"):
                self._holds[event.hold_id] = Hold(key, event.order_id, event.points, event.deadline_ms, "held")
            case PointsReleased() if event.reason != "mall":
                self._finish(event.hold_id, key, "released")
            case PointsCommitted() | PointsReinstated() if event.hold_id in self._holds:
                self._finish(event.hold_id, key, "sold" if isinstance(event, PointsCommitted) else "restocked")
            case _:
                pass

    def _take(self, hold_id: bytes, key: str, event: StockHeld | QuotaClaimed) -> None:
        before = self._holds.get(hold_id)
        if before is not None and (before.outcome != "released" or before.key == key):
            text = f"{hold_id.hex()} of order {event.order_id} was {before.outcome} in {before.key} and is held again in {key}"
            self._findings.add(3, text, hold_id.hex(), event.order_id, key)
        self._holds[hold_id] = Hold(key, event.order_id, event.quantity, event.deadline_ms, "held")

    def _finish(self, hold_id: bytes, key: str, outcome: str) -> None:
        hold = self._holds.get(hold_id)
        if hold is None:
            self._holds[hold_id] = Hold(key, "", 0, 0, outcome)
        elif hold.key == key:
            hold.outcome = outcome

    def _sum(self, entity: Entity) -> None:
        state = entity.state
        level = self._levels.setdefault(entity.key.partition("#")[0], [0] * 4)
        for i, value in enumerate(
            (
                state.put_in + state.returned + state.adjusted,
                state.available + state.held + state.sold + state.written_off + state.moving,
                state.sent,
                state.received,
            )
        ):
            level[i] += value

    def _check_transfers(self) -> None:
        """Over the parts of a SKU: what was put in is there, sold, written off, or on its way between two parts."""
        for transfer_id, arrived in self._received.items():
            if self._sent.get(transfer_id) != arrived:
                text = f"transfer {transfer_id.hex()} arrived as {arrived}, but was sent as {self._sent.get(transfer_id)}"
                self._findings.add(2, text, arrived[1], transfer_id.hex())
        for sku_id, (put_in, here, sent, received) in self._levels.items():
            if put_in != here + sent - received or sent < received:
                text = f"{sku_id}: {put_in} were put in, returned or found, {here} are accounted for and {sent - received} are on their way"
                self._findings.add(2, text, sku_id)
