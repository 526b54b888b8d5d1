"""Orders of one buyer: placing, paying, ending. Pure rules; see README.md in this folder.

One entity is one buyer's order book, so that a double click, a purchase limit and a ticket are
decided in one turn. This file holds the state, its changes, and which rule answers which command;
the rules stand in ``order_placing``, ``order_payment`` and ``order_ending``.
"""

from typing import Any, ClassVar, Final, assert_never

import msgspec

from actors.domain import order_ending, order_payment, order_placing
from actors.domain.entity import Accepted, Answered, Context, Outcome, Refused, Wake
from actors.domain.order_state import (
    STARTING,
    STEPS_OPEN,
    Order,
    OrderBook,
    Payment,
    Refund,
    find,
    order_view,
)
from schemas.order import (
    CancelOrder,
    ConfirmHold,
    HoldAlive,
    NoticeTaken,
    OrderAbandoned,
    OrderCancelled,
    OrderClosing,
    OrderConfirmed,
    OrderPaid,
    OrderPlaced,
    OrderRanked,
    OrderRefused,
    OrdersForgotten,
    OrderStarted,
    OrderStepMoved,
    OrderStepTaken,
    OrderUnfulfillable,
    OrderView,
    PaymentAwaited,
    PaymentEnded,
    PaymentNotice,
    PaymentOpened,
    PaymentPolled,
    PaymentQuestioned,
    PaymentSettled,
    PaymentStarted,
    PaymentView,
    PayOrder,
    PlaceOrder,
    ReadOrder,
    RefundDone,
    RefundFailed,
    RefundStarted,
)

OrderCommand = PlaceOrder | ReadOrder | PayOrder | CancelOrder | PaymentNotice | ConfirmHold | Answered | Wake

PaymentEvent = (
    PaymentStarted
    | PaymentAwaited
    | PaymentOpened
    | PaymentPolled
    | PaymentSettled
    | PaymentEnded
    | PaymentQuestioned
    | RefundStarted
    | RefundDone
    | RefundFailed
)
OrderEvent = (
    OrderPlaced
    | OrderStarted
    | OrderStepTaken
    | OrderStepMoved
    | OrderConfirmed
    | OrderRefused
    | OrderAbandoned
    | OrderClosing
    | OrderCancelled
    | OrderPaid
    | OrderRanked
    | OrderUnfulfillable
    | OrdersForgotten
    | PaymentEvent
)

PAYMENT_EVENTS: Final = (
    PaymentStarted, PaymentAwaited, PaymentOpened, PaymentPolled, PaymentSettled, PaymentEnded, PaymentQuestioned,
    RefundStarted, RefundDone, RefundFailed,
)  # fmt: skip


class OrderKind:
    """The kind ``order``. Key: the buyer's user id."""

    name: ClassVar[str] = "order"
    commands: ClassVar[tuple[type, ...]] = (PlaceOrder, ReadOrder, PayOrder, CancelOrder, PaymentNotice, ConfirmHold)
    reads: ClassVar[tuple[type, ...]] = (ReadOrder,)
    ending: ClassVar[tuple[type, ...]] = (PayOrder, CancelOrder, PaymentNotice, ConfirmHold)
    events: ClassVar[tuple[type, ...]] = (
        OrderPlaced, OrderStarted, OrderStepTaken, OrderStepMoved, OrderConfirmed, OrderRefused, OrderAbandoned,
        OrderClosing, OrderCancelled, OrderPaid, OrderRanked, OrderUnfulfillable, OrdersForgotten, *PAYMENT_EVENTS,
    )  # fmt: skip
    replies: ClassVar[tuple[type, ...]] = (OrderView, PaymentView, HoldAlive, NoticeTaken)
    state: ClassVar[type] = OrderBook

    def route(self, key: str) -> str:
        return "user:" + key

    def crowd(self, key: str, command: object) -> str:
        return "stock:" + command.lines[0].sku_id if isinstance(command, PlaceOrder) and command.lines else "user:" + key

    def new(self, key: str) -> OrderBook:
        return OrderBook(user_id=key)

    def needs(self, command: Any) -> tuple[str, ...]:
        return order_placing.needs(command) if isinstance(command, PlaceOrder) else ()

    def wake_at(self, state: OrderBook) -> int | None:
        return order_ending.wake_at(state)

    def decide(self, state: OrderBook, command: OrderCommand, context: Context) -> Outcome:
        match command:
            case PlaceOrder():
                return order_placing.place(state, command, context)
            case ReadOrder():
                order = find(state, command.order_id)
                return Refused(code="order_unknown") if order is None else Accepted(reply=order_view(order))
            case PayOrder():
                return order_payment.pay(state, command, context)
            case CancelOrder():
                return order_ending.cancel(state, command, context)
            case PaymentNotice():
                return order_payment.notice(state, command, context)
            case ConfirmHold():
                return order_ending.confirm_hold(state, command, context)
            case Answered():
                return _answered(state, command, context)
            case Wake():
                return order_ending.wake(state, context)
            case _:
                assert_never(command)

    def apply(self, state: OrderBook, event: OrderEvent) -> None:
        match event:
            case OrderPlaced():
                _add(state, event, STEPS_OPEN)
            case OrderStarted():
                _apply_started(state, event)
            case OrderAbandoned():
                state.abandoned[event.reservation_id] = event.at_ms
            case OrdersForgotten():
                _apply_forgotten(state, event)
            case (
                OrderStepTaken()
                | OrderStepMoved()
                | OrderConfirmed()
                | OrderRefused()
                | OrderClosing()
                | OrderCancelled()
                | OrderPaid()
                | OrderRanked()
                | OrderUnfulfillable()
            ):
                _apply_order(state, event)
            case _:
                _apply_payment(state, event)


def _answered(state: OrderBook, command: Answered, context: Context) -> Outcome:
    """The step's first word says which rule it belongs to: place, undo, sell, earn, or a payment's."""
    match command.step.split(":", 1)[0]:
        case "place":
            return order_placing.answered(state, command, context)
        case "open" | "close" | "poll" | "refund":
            return order_payment.answered(state, command, context)
        case "sell":
            return order_ending.sold(state, command, context)
        case "earn":
            return order_ending.ranked(state, command)
        case _:
            return Accepted()


def invariant(state: OrderBook) -> list[str]:
    """What does not hold of this state; empty when all is well."""
    wrong = []
    bought: dict[str, int] = {}
    for order in [*state.open.values(), *state.closed.values()]:
        if order.sale_id and order.status not in ("refused", "cancelled", "refunded"):
            for line in order.lines:
                key = f"{order.sale_id}:{line.sku_id}"
                bought[key] = bought.get(key, 0) + line.quantity
        gross = sum(line.unit_price * line.quantity - line.discount for line in order.lines)
        if gross + order.shipping != order.total:
            wrong.append(f"{order.order_id}: lines and delivery do not sum to the total")
        settled = [payment for payment in order.payments.values() if payment.status == "paid"]
        if len(settled) > 1:
            wrong.append(f"{order.order_id}: two payments are kept")
    if any(state.bought.get(key, 0) < count for key, count in bought.items()):
        wrong.append(f"{state.user_id}: more bought than counted against the limit")
    return wrong


def _add(state: OrderBook, event: OrderPlaced, status: str) -> Order:
    order = Order(
        order_id=event.order_id,
        status=status,
        lines=list(event.lines),
        total=event.total,
        currency=event.currency,
        reservation_ids=event.reservation_ids,
        coupons=event.coupons,
        sale_id=event.sale_id,
        ticket_nonce=event.ticket_nonce,
        points=event.points,
        member_level=event.member_level,
        shipping=event.shipping,
        shipping_saved=event.shipping_saved,
        shipping_use=event.shipping_use,
        placed_at_ms=event.placed_at_ms,
        expires_at_ms=event.expires_at_ms,
        sources=event.sources,
        considered=event.considered,
    )
    state.open[event.order_id] = order
    if event.sale_id:
        for line in event.lines:
            key = f"{event.sale_id}:{line.sku_id}"
            state.bought[key] = state.bought.get(key, 0) + line.quantity
    if event.ticket_nonce:
        state.tickets[event.ticket_nonce] = event.ticket_expires_ms
    return order


def _apply_started(state: OrderBook, event: OrderStarted) -> None:
    order = _add(state, event.draft, STARTING)
    order.command_id = event.command_id
    order.alternatives = [list(keys) for keys in event.stock_keys]
    order.wishes = event.wishes
    order.steps = {f"r{i}": False for i in range(len(order.lines))}
    order.steps.update({f"c{i}": False for i in range(len(order.coupons))})
    if order.points is not None or order.member_level is not None:
        order.steps["m0"] = False


def _apply_forgotten(state: OrderBook, event: OrdersForgotten) -> None:
    for order_id in event.order_ids:
        state.closed.pop(order_id, None)
    state.abandoned = {key: at_ms for key, at_ms in state.abandoned.items() if at_ms >= event.before_ms}
    state.tickets = {nonce: at_ms for nonce, at_ms in state.tickets.items() if at_ms >= event.before_ms}


def _apply_order(
    state: OrderBook,
    event: (
        OrderStepTaken
        | OrderStepMoved
        | OrderConfirmed
        | OrderRefused
        | OrderClosing
        | OrderCancelled
        | OrderPaid
        | OrderRanked
        | OrderUnfulfillable
    ),
) -> None:
    order = find(state, event.order_id)
    assert order is not None, event
    match event:
        case OrderStepTaken():
            order.steps[event.step] = True
            order.sources += event.sources
        case OrderStepMoved():
            order.lines[event.line] = msgspec.structs.replace(order.lines[event.line], stock_key=event.stock_key)
            order.alternatives[event.line].remove(event.stock_key)
        case OrderConfirmed():
            order.status, order.steps, order.alternatives, order.wishes = STEPS_OPEN, {}, [], ()
            order.sources += event.sources
        case OrderRefused():
            _close(state, order, "refused", event.at_ms, event.code)
            # An order that never stood has not used its ticket.
            state.tickets.pop(order.ticket_nonce, None)
        case OrderClosing():
            order.status, order.reason, order.cancel_command = "closing", event.reason, event.command_id
            order.closing_since_ms = event.at_ms
        case OrderCancelled():
            _close(state, order, "cancelled", event.at_ms, event.reason)
        case OrderPaid():
            _close(state, order, "paid", event.at_ms, "")
        case OrderRanked():
            order.priority = event.priority
        case OrderUnfulfillable():
            order.status, order.reason = "unfulfillable", event.code
        case _:
            assert_never(event)


def _close(state: OrderBook, order: Order, status: str, at_ms: int, reason: str) -> None:
    """No deadline runs for it any more. The units count against the limit only while they are bought."""
    order.status, order.closed_at_ms, order.reason = status, at_ms, reason
    state.open.pop(order.order_id, None)
    state.closed[order.order_id] = order
    if status != "paid":
        _give_back_limit(state, order)


def _give_back_limit(state: OrderBook, order: Order) -> None:
    if not order.sale_id:
        return
    for line in order.lines:
        key = f"{order.sale_id}:{line.sku_id}"
        state.bought[key] -= line.quantity
        if state.bought[key] == 0:
            del state.bought[key]


def _apply_payment(state: OrderBook, event: PaymentEvent) -> None:
    order = find(state, event.order_id)
    assert order is not None, event
    if isinstance(event, PaymentStarted):
        order.payments[event.payment_id] = Payment(
            payment_id=event.payment_id,
            amount=event.amount,
            currency=event.currency,
            started_at_ms=event.at_ms,
            waiting=[event.command_id],
        )
        return
    payment = order.payments.get(event.payment_id)
    if payment is None:
        # The provider took money under our id for a payment that this book does not know as open: it is recorded all the same.
        payment = Payment(payment_id=event.payment_id, amount=0, currency=order.currency, started_at_ms=0)
        order.payments[event.payment_id] = payment
    match event:
        case PaymentAwaited():
            payment.waiting.append(event.command_id)
        case PaymentOpened():
            payment.status, payment.provider_id, payment.client_secret = "open", event.provider_id, event.client_secret
            payment.poll_ms, payment.waiting = event.poll_ms, []
        case PaymentPolled():
            payment.polls, payment.poll_ms = event.polls, event.poll_ms
        case PaymentSettled():
            payment.status, payment.provider_id = "paid", event.provider_id or payment.provider_id
            payment.amount, payment.currency = event.amount, event.currency
            payment.poll_ms, payment.waiting = 0, []
        case PaymentEnded():
            payment.status, payment.poll_ms, payment.waiting = event.status, 0, []
        case PaymentQuestioned():
            payment.status, payment.poll_ms, payment.waiting = "questioned", 0, []
            payment.settled_amount, payment.settled_currency = event.amount, event.currency
        case RefundStarted():
            payment.status = "refunding"
            payment.refund = Refund(refund_id=event.refund_id, amount=event.amount, reason=event.reason)
        case RefundDone():
            payment.status = "refunded"
            if order.status == "unfulfillable":
                order.status = "refunded"
                _give_back_limit(state, order)
        case RefundFailed():
            payment.status = "refund_failed"
        case _:
            assert_never(event)
