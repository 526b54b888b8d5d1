"""What an order asks of the payment provider through its outbox. Carried until there is a definite answer."""

import msgspec


class GatewayOpen(msgspec.Struct, frozen=True, kw_only=True, tag="gateway.open"):
    payment_id: str
    order_id: str
    user_id: str
    amount: int
    currency: str


class GatewayLookup(msgspec.Struct, frozen=True, kw_only=True, tag="gateway.lookup"):
    payment_id: str
    provider_id: str = ""


class GatewayClose(msgspec.Struct, frozen=True, kw_only=True, tag="gateway.close"):
    """Close the provider's transaction, so that no money can come any more. Answers ``paid`` when it already has."""

    payment_id: str
    order_id: str
    user_id: str
    amount: int
    currency: str
    provider_id: str = ""


class GatewayRefund(msgspec.Struct, frozen=True, kw_only=True, tag="gateway.refund"):
    refund_id: str
    payment_id: str
    provider_id: str
    amount: int
    currency: str


class GatewayPayment(msgspec.Struct, frozen=True, kw_only=True, tag="gateway.payment"):
    """``status``: pending, paid, closed or failed; never unknown (an unknown is asked again, not answered)."""

    payment_id: str
    provider_id: str
    status: str
    amount: int
    currency: str
    client_secret: str = ""


class GatewayRefunded(msgspec.Struct, frozen=True, kw_only=True, tag="gateway.refunded"):
    """``status``: done or failed."""

    refund_id: str
    status: str
