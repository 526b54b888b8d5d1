"""Between our words and Stripe's: pure, no I/O."""

from typing import Final

import msgspec

from schemas.payment import (
    Decline,
    Notice,
    NoticeIgnored,
    NoticeRefused,
    PaymentRequest,
    PaymentState,
    PaymentStatus,
    RefundRequest,
    RefundState,
    RefundStatus,
)
from schemas.providers.stripe import Error, ErrorBody, Event, PaymentIntent, Refund

CURRENCIES_REFUSED: Final = frozenset({"BHD", "ISK", "JOD", "KWD", "MGA", "OMR", "TND", "UGX"})
"""Stripe's smallest unit of these is not ISO 4217's minor unit (or must end in 0): an amount of ours would be charged tenfold
or hundredfold. https://docs.stripe.com/currencies#special-cases"""

_INTENT_EVENTS: Final = frozenset(
    f"payment_intent.{what}" for what in ("canceled", "created", "payment_failed", "processing", "requires_action", "succeeded")
)
_REFUND_EVENTS: Final = frozenset({"refund.created", "refund.updated", "refund.failed", "charge.refund.updated"})
_STATUSES: Final = {
    "requires_payment_method": PaymentStatus.PENDING,
    "requires_confirmation": PaymentStatus.PENDING,
    "requires_action": PaymentStatus.PENDING,
    "processing": PaymentStatus.PENDING,
    "requires_capture": PaymentStatus.PENDING,
    "succeeded": PaymentStatus.PAID,
    "canceled": PaymentStatus.CLOSED,
}
_REFUND_STATUSES: Final = {
    "pending": RefundStatus.PENDING,
    "requires_action": RefundStatus.PENDING,
    "succeeded": RefundStatus.DONE,
    "failed": RefundStatus.FAILED,
    "canceled": RefundStatus.FAILED,
}


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """Whose events are ours: live or test mode, a connected ``account`` or none, a platform's ``application`` or none."""

    livemode: bool
    account: str | None = None
    application: str | None = None


def payment_form(request: PaymentRequest) -> dict[str, str]:
    """The form that opens a payment. The customer chooses how to pay, and confirms, at Stripe: no card data here."""
    return {
        "amount": str(request.amount),
        "currency": request.currency.lower(),
        "automatic_payment_methods[enabled]": "true",
        "metadata[payment_id]": request.payment_id,
        "metadata[order_id]": request.order_id,
        "metadata[user_id]": request.user_id,
    }


def refund_form(request: RefundRequest) -> dict[str, str]:
    """The form that gives money back."""
    return {
        "payment_intent": request.provider_id,
        "amount": str(request.amount),
        "metadata[refund_id]": request.refund_id,
        "metadata[payment_id]": request.payment_id,
    }


def search_query(payment_id: str) -> str:
    """Stripe's query for the intents of one payment of ours."""
    quoted = payment_id.replace("\\", "\\\\").replace('"', '\\"')
    return f'metadata["payment_id"]:"{quoted}"'


def payment_state(intent: PaymentIntent) -> PaymentState:
    """An intent in our words. A status that we do not know is UNKNOWN, not an error."""
    status = _STATUSES.get(intent.status, PaymentStatus.UNKNOWN)
    return PaymentState(
        payment_id=intent.metadata.get("payment_id", ""),
        status=status,
        provider_id=intent.id,
        order_id=intent.metadata.get("order_id", ""),
        user_id=intent.metadata.get("user_id", ""),
        amount=intent.amount_received if status is PaymentStatus.PAID else intent.amount,
        currency=intent.currency.upper(),
        client_secret=intent.client_secret or "",
        requires_action=intent.status == "requires_action",
        decline=_decline(intent),
        reason=f"status {intent.status}" if status is PaymentStatus.UNKNOWN else "",
    )


def refund_state(refund: Refund) -> RefundState:
    """A refund in our words."""
    status = _REFUND_STATUSES.get(refund.status or "", RefundStatus.UNKNOWN)
    metadata = refund.metadata or {}
    return RefundState(
        refund_id=metadata.get("refund_id", ""),
        status=status,
        payment_id=metadata.get("payment_id", ""),
        provider_id=refund.id,
        amount=refund.amount,
        currency=refund.currency.upper(),
        reason=refund.failure_reason or ("" if status is not RefundStatus.UNKNOWN else f"status {refund.status}"),
    )


def error_of(body: bytes) -> Error:
    """The error in a body; an empty one when it cannot be read (a proxy's page, a cut answer)."""
    try:
        return msgspec.json.decode(body, type=ErrorBody).error
    except msgspec.DecodeError:
        return Error()


def is_final(status: int, error: Error) -> bool:
    """True when this answer proves that the request had no effect and never will under its key.

    Not so: 401 and 403 (our key; an earlier try may have worked), 409 and 429 (another try is under
    way), 5xx (anything may have happened), and a key that was used with another body.
    """
    return status in (400, 402, 404) and error.type not in ("", "idempotency_error") and error.code != "lock_timeout"


def reason_of(status: int, error: Error) -> str:
    """One short phrase for the log."""
    return error.code or error.type or f"HTTP {status}"


def read_event(body: bytes, scope: Scope) -> Notice | NoticeIgnored | NoticeRefused:
    """A webhook's body, whose signature has been checked, in our words."""
    try:
        event = msgspec.json.decode(body, type=Event)
        if event.livemode != scope.livemode or event.account != scope.account:
            return NoticeRefused(code="payment_mismatch", reason=f"account {event.account}, livemode {event.livemode}")
        if event.type in _INTENT_EVENTS:
            return _intent_notice(event, msgspec.json.decode(event.data.object, type=PaymentIntent), scope)
        if event.type in _REFUND_EVENTS:
            return _refund_notice(event, msgspec.json.decode(event.data.object, type=Refund))
    except msgspec.DecodeError as error:
        return NoticeRefused(code="malformed_body", reason=str(error))
    return NoticeIgnored(event_id=event.id, reason=event.type)


def _intent_notice(event: Event, intent: PaymentIntent, scope: Scope) -> Notice | NoticeIgnored | NoticeRefused:
    if intent.application != scope.application or intent.livemode != scope.livemode:
        return NoticeRefused(code="payment_mismatch", reason=f"application {intent.application}, livemode {intent.livemode}")
    state = payment_state(intent)
    if not (state.payment_id and state.order_id and state.user_id):
        return NoticeIgnored(event_id=event.id, reason="a payment that we did not make")
    # Whoever reads a notice has no use for the secret, and it must not reach a log.
    return Notice(event_id=event.id, created_s=event.created, about=msgspec.structs.replace(state, client_secret=""))


def _refund_notice(event: Event, refund: Refund) -> Notice | NoticeIgnored:
    state = refund_state(refund)
    if not state.refund_id:
        return NoticeIgnored(event_id=event.id, reason="a refund that we did not make")
    return Notice(event_id=event.id, created_s=event.created, about=state)


def _decline(intent: PaymentIntent) -> Decline | None:
    error = intent.last_payment_error
    if error is None or intent.status == "succeeded":
        return None
    return Decline(code=error.code or error.type, decline_code=error.decline_code or "", message=error.message or "")
