"""How an order ends: paid and sold, cancelled by its buyer, expired, or never placed at all."""

import msgspec

from actors.domain.entity import Accepted, Answered, Context, Outcome, Refused
from actors.domain.order_holds import give_back, take_back
from actors.domain.order_payment import close_send, poll, refund
from actors.domain.order_placing import refuse
from actors.domain.order_state import FORGET_MS, STARTING, STEPS_OPEN, Order, OrderBook, find, order_view
from schemas.member import MemberDone
from schemas.order import (
    CancelOrder,
    ConfirmHold,
    HoldAlive,
    OrderAbandoned,
    OrderCancelled,
    OrderClosing,
    OrderRanked,
    OrdersForgotten,
    OrderUnfulfillable,
    RefundDone,
)


def cancel(state: OrderBook, command: CancelOrder, context: Context) -> Outcome:
    """The buyer's wish. An open payment is closed at the provider first; if it turns out paid, the order is paid."""
    order = find(state, command.order_id)
    if order is None:
        return Refused(code="order_unknown")
    if order.status == "cancelled":
        return Accepted(reply=order_view(order))
    if order.status != STEPS_OPEN:
        return Refused(code="order_state", params={"state": order.status})
    ended = end(state, order, "buyer", context)
    if isinstance(ended.events[0], OrderClosing):
        return ended
    gone = msgspec.structs.replace(order_view(order), status="cancelled", reason="buyer")
    return Accepted(events=ended.events, sends=ended.sends, reply=gone)


def end(state: OrderBook, order: Order, reason: str, context: Context) -> Accepted:
    """Cancel at once, or begin to close the payments that are still open."""
    open_payments = [payment for payment in order.payments.values() if payment.status in ("opening", "open")]
    if not open_payments:
        event = OrderCancelled(order_id=order.order_id, reason=reason, at_ms=context.at_ms)
        return Accepted(events=(event,), sends=give_back(state.user_id, order))
    command_id = context.command_id if reason == "buyer" else b""
    closing = OrderClosing(order_id=order.order_id, reason=reason, at_ms=context.at_ms, command_id=command_id)
    sends = tuple(close_send(state.user_id, order, payment) for payment in open_payments)
    return Accepted(events=(closing,), sends=sends)


def confirm_hold(state: OrderBook, command: ConfirmHold, context: Context) -> Outcome:
    """Stock or quota asks about an overdue hold. "Not alive" is itself committed, so that it stays true.

    A hold lives with its order, if it is the part that the order counts on: a reservation that was
    carried late to a part which had refused it before belongs to nobody.
    """
    order = find(state, command.order_id)
    if order is not None:
        alive = order.status in (STARTING, STEPS_OPEN, "closing", "paid") and _counts_on(order, command)
        return Accepted(reply=HoldAlive(alive=alive))
    if command.reservation_id in state.abandoned:
        return Accepted(reply=HoldAlive(alive=False))
    event = OrderAbandoned(order_id=command.order_id, reservation_id=command.reservation_id, at_ms=context.at_ms)
    return Accepted(events=(event,), reply=HoldAlive(alive=False))


def _counts_on(order: Order, command: ConfirmHold) -> bool:
    if not command.stock_key:
        return True
    held = zip(order.reservation_ids, order.lines, strict=True)
    return any(reservation_id == command.reservation_id and line.stock_key == command.stock_key for reservation_id, line in held)


def sold(state: OrderBook, command: Answered, context: Context) -> Outcome:
    """Stock or quota answered to "sell". A hold that was released meanwhile means: give the money back."""
    _, order_id, step = command.step.split(":", 2)
    order = state.closed.get(order_id)
    if order is None or command.refused is None or order.status != "paid" or step[0] in "cm":
        return Accepted()
    payment = next((payment for payment in order.payments.values() if payment.status == "paid"), None)
    unfulfillable = OrderUnfulfillable(order_id=order_id, code=command.refused.code, at_ms=context.at_ms)
    assert payment is not None, "a paid order keeps the payment that paid it"
    started, send = refund(order, payment, "unfulfillable", payment.amount, payment.currency, context)
    backs = take_back(state.user_id, order, int(step[1:]), started.refund_id)
    if payment.amount:
        return Accepted(events=(unfulfillable, started), sends=(send, *backs))
    # Coupons had taken the whole price off: no provider knows of this payment.
    done = RefundDone(order_id=order_id, payment_id=payment.payment_id, refund_id=started.refund_id, at_ms=context.at_ms)
    return Accepted(events=(unfulfillable, started, done), sends=backs)


def ranked(state: OrderBook, command: Answered) -> Outcome:
    """The buyer's membership answered to the payment: how early the order is packed."""
    order = find(state, command.step.split(":", 2)[1])
    if order is None or not isinstance(command.reply, MemberDone) or command.reply.priority == order.priority:
        return Accepted()
    return Accepted(events=(OrderRanked(order_id=order.order_id, priority=command.reply.priority),))


def wake_at(state: OrderBook) -> int | None:
    """The earliest of: a deadline, a poll of a payment, the day to forget finished orders."""
    earliest: int | None = None
    for order in state.open.values():
        due = order.expires_at_ms if order.status in (STARTING, STEPS_OPEN) else None
        for payment in order.payments.values():
            if payment.poll_ms and (due is None or payment.poll_ms < due):
                due = payment.poll_ms
        if due is not None and (earliest is None or due < earliest):
            earliest = due
    if earliest is None and state.closed:
        return next((order.closed_at_ms + FORGET_MS for order in state.closed.values() if _is_settled(order)), None)
    return earliest


def wake(state: OrderBook, context: Context) -> Outcome:
    """Do what is due of one order (the reminder fires again while more is due), or forget what is old."""
    for order in state.open.values():
        if order.status == STARTING and order.expires_at_ms <= context.at_ms:
            return refuse(state, order, Refused(code="order_abandoned"), context)
        if order.status == STEPS_OPEN and order.expires_at_ms <= context.at_ms:
            return end(state, order, "expired", context)
        for payment in order.payments.values():
            if payment.poll_ms and payment.poll_ms <= context.at_ms:
                return poll(order, payment, context)
    before_ms = context.at_ms - FORGET_MS
    old = tuple(order.order_id for order in state.closed.values() if order.closed_at_ms <= before_ms and _is_settled(order))
    if old or any(at_ms < before_ms for at_ms in state.abandoned.values()):
        return Accepted(events=(OrdersForgotten(order_ids=old, before_ms=before_ms),))
    return Accepted()


def _is_settled(order: Order) -> bool:
    return all(payment.status in ("paid", "closed", "failed", "refunded") for payment in order.payments.values())
