"""What orders ask of a payment provider through their outbox, done by whichever provider is behind the port."""

from typing import Any, Final, assert_never

from actors.domain.entity import Refused
from actors.ports.payments import PaymentGateway
from schemas.gateway import GatewayClose, GatewayLookup, GatewayOpen, GatewayPayment, GatewayRefund, GatewayRefunded
from schemas.order import PaymentNotice
from schemas.payment import (
    NoSuchPayment,
    Notice,
    PaymentRequest,
    PaymentState,
    PaymentStatus,
    RefundRequest,
    RefundState,
    RefundStatus,
)

KIND: Final = "gateway"
"""The kind that an order's sends to the provider name."""

GatewayAsk = GatewayOpen | GatewayLookup | GatewayClose | GatewayRefund


class GatewayEffects:
    """Implements ``actors.ports.peers.Effects`` for payments. What is not definite is a TimeoutError: it is asked again."""

    def __init__(self, gateway: PaymentGateway) -> None:
        self._gateway = gateway

    def handles(self, kind: str) -> bool:
        """True for sends to the payment provider."""
        return kind == KIND

    async def perform(self, kind: str, command: Any, command_id: bytes) -> GatewayPayment | GatewayRefunded | Refused:
        """One try. Idempotent by the payment's or refund's own id, which the provider knows too."""
        assert kind == KIND, kind
        ask: GatewayAsk = command
        match ask:
            case GatewayOpen():
                return _payment_answer(await self._gateway.create(_request(ask)))
            case GatewayLookup():
                return _lookup_answer(ask, await self._gateway.lookup(ask.payment_id, ask.provider_id))
            case GatewayClose():
                return _close_answer(await self._gateway.cancel(_request(ask), ask.provider_id))
            case GatewayRefund():
                return _refund_answer(await self._gateway.refund(_refund_request(ask)))
            case _:
                assert_never(ask)


def order_notice(notice: Notice) -> tuple[str, PaymentNotice] | None:
    """The buyer and the command that a verified webhook means; None when it says nothing definite about a payment.

    A refund's webhook is None as well: a refund that is under way is asked for until it ends.
    """
    about = notice.about
    if isinstance(about, RefundState) or about.status is PaymentStatus.UNKNOWN:
        return None
    command = PaymentNotice(
        order_id=about.order_id,
        payment_id=about.payment_id,
        status=about.status.value,
        amount=about.amount,
        currency=about.currency,
        provider_id=about.provider_id,
    )
    return about.user_id, command


def _request(ask: GatewayOpen | GatewayClose) -> PaymentRequest:
    return PaymentRequest(payment_id=ask.payment_id, order_id=ask.order_id, user_id=ask.user_id, amount=ask.amount, currency=ask.currency)


def _refund_request(ask: GatewayRefund) -> RefundRequest:
    return RefundRequest(
        refund_id=ask.refund_id, payment_id=ask.payment_id, provider_id=ask.provider_id, amount=ask.amount, currency=ask.currency
    )


def _payment_answer(state: PaymentState) -> GatewayPayment:
    if state.status is PaymentStatus.UNKNOWN:
        raise TimeoutError(state.reason)
    return GatewayPayment(
        payment_id=state.payment_id,
        provider_id=state.provider_id,
        status=state.status.value,
        amount=state.amount,
        currency=state.currency,
        client_secret=state.client_secret,
    )


def _lookup_answer(ask: GatewayLookup, found: PaymentState | NoSuchPayment) -> GatewayPayment:
    """A payment that is not found is no news: the order goes on waiting until it closes it."""
    if isinstance(found, NoSuchPayment):
        pending = PaymentStatus.PENDING.value
        return GatewayPayment(payment_id=ask.payment_id, provider_id=ask.provider_id, status=pending, amount=0, currency="")
    return _payment_answer(found)


def _close_answer(state: PaymentState) -> GatewayPayment:
    if state.status is PaymentStatus.PENDING:
        raise TimeoutError("being processed: cannot be closed now")
    return _payment_answer(state)


def _refund_answer(state: RefundState) -> GatewayRefunded:
    match state.status:
        case RefundStatus.DONE:
            return GatewayRefunded(refund_id=state.refund_id, status="done")
        case RefundStatus.FAILED:
            return GatewayRefunded(refund_id=state.refund_id, status="failed")
        case RefundStatus.PENDING | RefundStatus.UNKNOWN:
            raise TimeoutError(state.reason or "under way")
        case _:
            assert_never(state.status)
