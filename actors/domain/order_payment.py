"""Paying: open, settle, close, refund. Money that arrives is never ignored.

Whoever learns first that a payment is paid (webhook, poll, the answer to open or close) leads to
:func:`settle`, which decides by the order's state: pay it, refund a late or second payment, or keep
a wrong amount for a person.
"""

from typing import Final

import msgspec

from actors.domain.entity import Accepted, Answered, Context, Outcome, Refused, Send
from actors.domain.order_holds import give_back, sell
from actors.domain.order_state import STEPS_OPEN, Order, OrderBook, Payment, find, order_view
from schemas.gateway import GatewayClose, GatewayLookup, GatewayOpen, GatewayPayment, GatewayRefund, GatewayRefunded
from schemas.ids import derived_id
from schemas.money import Money
from schemas.order import (
    NoticeTaken,
    OrderCancelled,
    OrderPaid,
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
    RefundDone,
    RefundFailed,
    RefundStarted,
)

POLL_MS: Final = (15_000, 30_000, 60_000, 120_000, 300_000)
"""Waits between polls of an open payment; the last one repeats. A webhook that never comes costs minutes, not the order."""

PAYMENTS_MAX: Final = 10
"""Attempts to pay one order: a client that loops is stopped here."""


def pay(state: OrderBook, command: PayOrder, context: Context) -> Outcome:
    """Open a payment at the provider, or answer with the one that is open."""
    order = find(state, command.order_id)
    if order is None:
        return Refused(code="order_unknown")
    if order.status != STEPS_OPEN:
        return Refused(code="order_state", params={"state": order.status})
    for payment in order.payments.values():
        if payment.status == "open":
            return Accepted(reply=_payment_view(order, payment))
        if payment.status == "opening":
            waits = PaymentAwaited(order_id=order.order_id, payment_id=payment.payment_id, command_id=context.command_id)
            return Accepted(events=(waits,))
    if order.total == 0:
        return _pay_nothing(state.user_id, order, command, context)
    if len(order.payments) >= PAYMENTS_MAX:
        return Refused(code="rate_limited")
    started = PaymentStarted(
        order_id=order.order_id,
        payment_id=command.payment_id,
        amount=order.total,
        currency=order.currency,
        command_id=context.command_id,
        at_ms=context.at_ms,
    )
    ask = GatewayOpen(
        payment_id=command.payment_id, order_id=order.order_id, user_id=state.user_id, amount=order.total, currency=order.currency
    )
    send = _gateway_send(f"open:{order.order_id}:{command.payment_id}", command.payment_id, ask)
    return Accepted(events=(started,), sends=(send,))


def _pay_nothing(user_id: str, order: Order, command: PayOrder, context: Context) -> Accepted:
    """Coupons and points took the whole price off: there is nothing to ask of a provider, and the order is paid."""
    at_ms, names = context.at_ms, {"order_id": order.order_id, "payment_id": command.payment_id}
    events = (
        PaymentStarted(**names, amount=0, currency=order.currency, command_id=context.command_id, at_ms=at_ms),
        PaymentSettled(**names, provider_id="", amount=0, currency=order.currency, at_ms=at_ms),
        OrderPaid(**names, at_ms=at_ms),
    )
    nothing = Money(amount=0, currency=order.currency)
    view = PaymentView(**names, status="paid", provider_id="", client_secret="", amount=nothing)
    return Accepted(events=events, sends=sell(user_id, order), reply=view)


def notice(state: OrderBook, command: PaymentNotice, context: Context) -> Outcome:
    """A verified webhook. The same word twice, early or late, leads to the same state."""
    order = find(state, command.order_id)
    if order is None:
        return Refused(code="order_unknown")
    payment = order.payments.get(command.payment_id)
    if payment is None:
        return Refused(code="payment_mismatch")
    told = GatewayPayment(
        payment_id=command.payment_id,
        provider_id=command.provider_id,
        status=command.status,
        amount=command.amount,
        currency=command.currency,
    )
    accepted = _learn(state, order, payment, told, context)
    return Accepted(events=accepted.events, sends=accepted.sends, completes=accepted.completes, reply=NoticeTaken())


def answered(state: OrderBook, command: Answered, context: Context) -> Outcome:
    """The provider answered open, close, poll or refund."""
    verb, order_id, payment_id = command.step.split(":")[:3]
    order = find(state, order_id)
    payment = order.payments.get(payment_id) if order else None
    if order is None or payment is None:
        return Accepted()
    if verb == "refund":
        return _refund_answered(order, payment, command, context)
    if isinstance(command.reply, GatewayPayment):
        return _learn(state, order, payment, command.reply, context)
    if command.refused is not None and verb == "open" and payment.status == "opening":
        return _ended(state, order, payment, _closed(order, payment, "failed", context), command.refused, context)
    return Accepted()


def _learn(state: OrderBook, order: Order, payment: Payment, told: GatewayPayment, context: Context) -> Accepted:
    """The provider's word, from wherever it came."""
    match told.status:
        case "paid":
            return settle(state, order, payment, told, context)
        case "closed" | "failed":
            if payment.status in ("opening", "open"):
                ended = _closed(order, payment, told.status, context)
                return _ended(state, order, payment, ended, Refused(code="payment_declined"), context)
            return Accepted()
        case _:
            return _opened(order, payment, told, context)


def _opened(order: Order, payment: Payment, told: GatewayPayment, context: Context) -> Accepted:
    if payment.status != "opening" or not told.client_secret:
        return Accepted()
    event = PaymentOpened(
        order_id=order.order_id,
        payment_id=payment.payment_id,
        provider_id=told.provider_id,
        client_secret=told.client_secret,
        poll_ms=context.at_ms + POLL_MS[0],
    )
    view = PaymentView(
        order_id=order.order_id,
        payment_id=payment.payment_id,
        status="open",
        provider_id=told.provider_id,
        client_secret=told.client_secret,
        amount=Money(amount=payment.amount, currency=payment.currency),
    )
    return Accepted(events=(event,), completes=tuple((command_id, view) for command_id in payment.waiting))


def settle(state: OrderBook, order: Order, payment: Payment, told: GatewayPayment, context: Context) -> Accepted:
    """The provider has the buyer's money for this payment."""
    if payment.status not in ("opening", "open", "closed", "failed"):
        return Accepted()
    if told.amount != payment.amount or told.currency != payment.currency:
        questioned = PaymentQuestioned(
            order_id=order.order_id, payment_id=payment.payment_id, amount=told.amount, currency=told.currency, at_ms=context.at_ms
        )
        return _ended(state, order, payment, questioned, Refused(code="payment_mismatch"), context)
    settled = PaymentSettled(
        order_id=order.order_id,
        payment_id=payment.payment_id,
        provider_id=told.provider_id,
        amount=told.amount,
        currency=told.currency,
        at_ms=context.at_ms,
    )
    if order.status in (STEPS_OPEN, "closing"):
        return _paid(state, order, payment, settled, context)
    reason = "double" if order.status == "paid" else "late"
    started, send = refund(order, payment, reason, told.amount, told.currency, context, told.provider_id)
    return Accepted(
        events=(settled, started),
        sends=(send,),
        completes=_refuse_waiting(payment, Refused(code="order_state", params={"state": order.status})),
    )


def _paid(state: OrderBook, order: Order, payment: Payment, settled: PaymentSettled, context: Context) -> Accepted:
    event = OrderPaid(order_id=order.order_id, payment_id=payment.payment_id, at_ms=context.at_ms)
    others = [other for other in order.payments.values() if other is not payment and other.status in ("opening", "open")]
    closes = tuple(close_send(state.user_id, order, other) for other in others)
    completes = list(_refuse_waiting(payment, Refused(code="order_state", params={"state": "paid"})))
    if order.status == "closing" and order.cancel_command:
        completes.append((order.cancel_command, Refused(code="order_state", params={"state": "paid"})))
    return Accepted(events=(settled, event), sends=(*sell(state.user_id, order), *closes), completes=tuple(completes))


def _closed(order: Order, payment: Payment, status: str, context: Context) -> PaymentEnded:
    return PaymentEnded(order_id=order.order_id, payment_id=payment.payment_id, status=status, at_ms=context.at_ms)


def _ended(
    state: OrderBook, order: Order, payment: Payment, ended: PaymentEnded | PaymentQuestioned, refusal: Refused, context: Context
) -> Accepted:
    """No money for the order will come of this payment; the last one to end ends an order that was closing."""
    completes: tuple[tuple[bytes, object], ...] = _refuse_waiting(payment, refusal)
    others = [other for other in order.payments.values() if other is not payment and other.status in ("opening", "open")]
    if order.status != "closing" or others:
        return Accepted(events=(ended,), completes=completes)
    cancelled = OrderCancelled(order_id=order.order_id, reason=order.reason, at_ms=context.at_ms)
    if order.cancel_command:
        completes = (*completes, (order.cancel_command, _cancelled_view(order)))
    return Accepted(events=(ended, cancelled), sends=give_back(state.user_id, order), completes=completes)


def poll(order: Order, payment: Payment, context: Context) -> Accepted:
    """Ask the provider how a payment stands, and say when to ask again."""
    polls = payment.polls + 1
    wait_ms = POLL_MS[min(polls, len(POLL_MS) - 1)]
    event = PaymentPolled(order_id=order.order_id, payment_id=payment.payment_id, polls=polls, poll_ms=context.at_ms + wait_ms)
    ask = GatewayLookup(payment_id=payment.payment_id, provider_id=payment.provider_id)
    send = _gateway_send(f"poll:{order.order_id}:{payment.payment_id}:{polls}", payment.payment_id, ask)
    return Accepted(events=(event,), sends=(send,))


def refund(
    order: Order, payment: Payment, reason: str, amount: int, currency: str, context: Context, provider_id: str = ""
) -> tuple[RefundStarted, Send]:
    """Give the money of a payment back; its id is derived, so that it is given back once."""
    refund_id = "ref_" + derived_id("refund", payment.payment_id).hex()[:20]
    event = RefundStarted(
        order_id=order.order_id,
        payment_id=payment.payment_id,
        refund_id=refund_id,
        amount=amount,
        currency=currency,
        reason=reason,
        at_ms=context.at_ms,
    )
    ask = GatewayRefund(
        refund_id=refund_id,
        payment_id=payment.payment_id,
        provider_id=provider_id or payment.provider_id,
        amount=amount,
        currency=currency,
    )
    return event, _gateway_send(f"refund:{order.order_id}:{payment.payment_id}", payment.payment_id, ask)


def _refund_answered(order: Order, payment: Payment, command: Answered, context: Context) -> Outcome:
    if payment.refund is None or payment.status != "refunding":
        return Accepted()
    refund_id = payment.refund.refund_id
    if isinstance(command.reply, GatewayRefunded) and command.reply.status == "done":
        done = RefundDone(order_id=order.order_id, payment_id=payment.payment_id, refund_id=refund_id, at_ms=context.at_ms)
        return Accepted(events=(done,))
    failed = RefundFailed(order_id=order.order_id, payment_id=payment.payment_id, refund_id=refund_id, at_ms=context.at_ms)
    return Accepted(events=(failed,))


def close_send(user_id: str, order: Order, payment: Payment) -> Send:
    """Close a payment at the provider, so that no money can come any more."""
    ask = GatewayClose(
        payment_id=payment.payment_id,
        order_id=order.order_id,
        user_id=user_id,
        amount=payment.amount,
        currency=payment.currency,
        provider_id=payment.provider_id,
    )
    return _gateway_send(f"close:{order.order_id}:{payment.payment_id}", payment.payment_id, ask)


def _gateway_send(step: str, payment_id: str, ask: object) -> Send:
    return Send(id=derived_id("gateway", step), step=step, kind="gateway", key=payment_id, command=ask)


def _refuse_waiting(payment: Payment, refusal: Refused) -> tuple[tuple[bytes, object], ...]:
    return tuple((command_id, refusal) for command_id in payment.waiting)


def _payment_view(order: Order, payment: Payment) -> PaymentView:
    return PaymentView(
        order_id=order.order_id,
        payment_id=payment.payment_id,
        status=payment.status,
        provider_id=payment.provider_id,
        client_secret=payment.client_secret,
        amount=Money(amount=payment.amount, currency=payment.currency),
    )


def _cancelled_view(order: Order) -> OrderView:
    return msgspec.structs.replace(order_view(order), status="cancelled")
