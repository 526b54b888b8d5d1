"""Wire bodies of Stripe's API v1: the parts that we read. Unknown fields are tolerated, as Stripe asks of its clients.

Times are UTC seconds, currencies lowercase ISO 4217, amounts the currency's smallest unit.
https://docs.stripe.com/api
"""

from typing import Any

import msgspec


class CardError(msgspec.Struct, frozen=True, kw_only=True):
    """``last_payment_error`` of an intent: why the customer's last try did not succeed."""

    type: str = ""
    code: str | None = None
    decline_code: str | None = None
    message: str | None = None


class PaymentIntent(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to collect money. ``status``: requires_payment_method, requires_confirmation, requires_action,
    processing, requires_capture, canceled or succeeded."""

    id: str
    amount: int
    currency: str
    status: str
    object: str = "payment_intent"
    amount_received: int = 0
    application: str | None = None
    canceled_at: int | None = None
    cancellation_reason: str | None = None
    capture_method: str = "automatic_async"
    client_secret: str | None = None
    created: int = 0
    last_payment_error: CardError | None = None
    latest_charge: str | None = None
    livemode: bool = False
    metadata: dict[str, str] = {}
    next_action: dict[str, Any] | None = None


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    """Money given back. ``status``: pending, requires_action, succeeded, failed or canceled."""

    id: str
    amount: int
    currency: str
    status: str | None = None
    object: str = "refund"
    charge: str | None = None
    created: int = 0
    failure_reason: str | None = None
    metadata: dict[str, str] | None = None
    payment_intent: str | None = None


class PaymentIntentList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a list or search."""

    data: list[PaymentIntent]
    has_more: bool = False


class RefundList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of refunds, newest first."""

    data: list[Refund]
    has_more: bool = False


class Error(msgspec.Struct, frozen=True, kw_only=True):
    """``type``: api_error, card_error, idempotency_error or invalid_request_error."""

    type: str = ""
    code: str | None = None
    decline_code: str | None = None
    message: str | None = None
    param: str | None = None
    payment_intent: PaymentIntent | None = None


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every answer that is not 2xx."""

    error: Error


class EventData(msgspec.Struct, frozen=True, kw_only=True):
    """``object`` is whatever the event is about, as it was when the event happened."""

    object: msgspec.Raw


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a webhook. ``account`` is set when it comes from a connected account."""

    id: str
    type: str
    created: int
    data: EventData
    account: str | None = None
    livemode: bool = False
