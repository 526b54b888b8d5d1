"""The payment provider, as the shop needs it. Promises that hold for every provider behind it."""

from collections.abc import Mapping
from typing import Protocol

from schemas.payment import (
    NoSuchPayment,
    NoSuchRefund,
    Notice,
    NoticeIgnored,
    NoticeRefused,
    PaymentRequest,
    PaymentState,
    RefundRequest,
    RefundState,
)


class PaymentGateway(Protocol):
    """Stateless translation to a provider.

    Nothing expected is raised: a time-out, a broken connection, an overloaded or failing provider is
    the status UNKNOWN, and the caller asks again under the same id. Every call ends within the
    gateway's time-out. Our ids go with every call, so that asking again never charges or refunds twice.

    The caller's side of the bargain: a ``client_secret`` is given to the customer only after the
    ``provider_id`` that came with it has been stored. So a payment whose provider id was never
    stored cannot have been paid, and may be called FAILED or CLOSED without finding it.
    """

    async def create(self, request: PaymentRequest) -> PaymentState:
        """Open a payment: PENDING with ``provider_id`` and ``client_secret``, or FAILED when the provider refuses it.

        Again with the same request: the same payment, as it stands now (it may be PAID or CLOSED by then).
        """
        ...

    async def lookup(self, payment_id: str, provider_id: str = "") -> PaymentState | NoSuchPayment:
        """How a payment stands now. With ``provider_id`` the answer is exact; without it a new payment may not be found yet."""
        ...

    async def cancel(self, request: PaymentRequest, provider_id: str = "") -> PaymentState:
        """Close a payment so that no money can come any more: CLOSED, or PAID when it already has.

        PENDING: it is being processed and cannot be closed now; ask again. An empty ``provider_id``
        closes a payment whose ``create`` was never answered, also one that is still under way.
        """
        ...

    async def refund(self, request: RefundRequest) -> RefundState:
        """Give money back, once per ``refund_id``. FAILED when the provider refuses (more than was paid, already refunded)."""
        ...

    async def lookup_refund(self, request: RefundRequest) -> RefundState | NoSuchRefund:
        """How a refund stands now."""
        ...

    def parse_notice(self, headers: Mapping[str, str], body: bytes, now_s: int) -> Notice | NoticeIgnored | NoticeRefused:
        """Verify and read a webhook. Pure: no I/O, no clock; header names in any case.

        Refused: ``signature_invalid`` (missing, malformed, not ours), ``signature_stale`` (its time is
        further from ``now_s`` than the tolerance), ``payment_mismatch`` (of another account, app or mode),
        ``malformed_body`` (signed, yet not readable).
        """
        ...
