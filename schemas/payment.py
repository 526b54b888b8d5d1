"""Payments and refunds as the rest of the shop sees them, whoever the provider is.

Amounts are minor units of an ISO 4217 currency in capitals, as in ``schemas.money``.
"""

import enum

import msgspec


class PaymentStatus(enum.StrEnum):
    """How a payment stands at the provider.

    PENDING: open; money may still come. PAID: the provider has the money. CLOSED: cancelled at the
    provider, no money can come. FAILED: it was never opened and cannot be. UNKNOWN: no definite
    answer; ask again, under the same id. A decline is not an end: the customer may try another card,
    so a declined payment is PENDING and carries a :class:`Decline`.
    """

    PENDING = "pending"
    PAID = "paid"
    CLOSED = "closed"
    FAILED = "failed"
    UNKNOWN = "unknown"


class RefundStatus(enum.StrEnum):
    """How a refund stands. PENDING: taken by the provider, money still on its way. UNKNOWN: ask again, under the same id."""

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Decline(msgspec.Struct, frozen=True, kw_only=True):
    """Why the customer's last try was declined. ``message`` may be shown to the customer; the codes are for rules."""

    code: str
    decline_code: str = ""
    message: str = ""


class PaymentRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for ``amount`` of ``currency`` for one order. ``payment_id`` is ours and names the payment for ever."""

    payment_id: str
    order_id: str
    user_id: str
    amount: int
    currency: str


class PaymentState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="payment"):
    """What the provider says of one payment.

    amount: received when PAID, else asked; the caller compares it and ``currency`` with its own.
    client_secret: lets the customer pay; goes to nobody else and into no log.
    requires_action: the customer has a step left (a bank's confirmation page).
    reason: why a state is FAILED or UNKNOWN, for the log.
    """

    payment_id: str
    status: PaymentStatus
    provider_id: str = ""
    order_id: str = ""
    user_id: str = ""
    amount: int = 0
    currency: str = ""
    client_secret: str = ""
    requires_action: bool = False
    decline: Decline | None = None
    reason: str = ""


class NoSuchPayment(msgspec.Struct, frozen=True, kw_only=True):
    """The provider shows no such payment now. Without a provider's id this is no proof: one may appear later."""

    payment_id: str


class RefundRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Give ``amount`` of a payment back. ``refund_id`` is ours; ``provider_id`` is the provider's id of the payment."""

    refund_id: str
    payment_id: str
    provider_id: str
    amount: int
    currency: str


class RefundState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="refund"):
    """What the provider says of one refund."""

    refund_id: str
    status: RefundStatus
    payment_id: str = ""
    provider_id: str = ""
    amount: int = 0
    currency: str = ""
    reason: str = ""


class NoSuchRefund(msgspec.Struct, frozen=True, kw_only=True):
    """The provider shows no refund with this id of ours on the payment."""

    refund_id: str


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """A verified word of the provider. The same event may come many times, late, and out of order.

    event_id: the provider's id of the event. created_s: when it happened there, UTC seconds.
    """

    event_id: str
    created_s: int
    about: PaymentState | RefundState


class NoticeIgnored(msgspec.Struct, frozen=True, kw_only=True):
    """Genuine, but of no concern: an event we do not follow, or of a payment that we did not make. Answer 2xx."""

    event_id: str
    reason: str


class NoticeRefused(msgspec.Struct, frozen=True, kw_only=True):
    """Not to be believed. ``code`` is a key of ``schemas.problems.PROBLEMS``; ``reason`` is for the log."""

    code: str
    reason: str
