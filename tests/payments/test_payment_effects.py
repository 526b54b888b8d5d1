"""What an order's outbox gets from the provider: definite answers, or a time-out that is asked again."""

import random

import pytest

from actors.adapters.payments.gateway import GatewayEffects, order_notice
from actors.testing.payments import FakeGateway
from schemas.gateway import GatewayClose, GatewayLookup, GatewayOpen, GatewayPayment, GatewayRefund, GatewayRefunded
from schemas.order import PaymentNotice
from schemas.payment import Notice, PaymentState, PaymentStatus, RefundState, RefundStatus

OPEN = GatewayOpen(payment_id="pay_1", order_id="ord_1", user_id="usr_1", amount=1999, currency="CNY")
CLOSE = GatewayClose(payment_id="pay_1", order_id="ord_1", user_id="usr_1", amount=1999, currency="CNY", provider_id="fake_1")
PENDING = GatewayPayment(
    payment_id="pay_1", provider_id="fake_1", status="pending", amount=1999, currency="CNY", client_secret="fake_1_secret"
)


class StoppedClock:
    def now_ms(self) -> int:
        return 1_700_000_000_000

    def monotonic_ms(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing here waits")


@pytest.fixture
def fake() -> FakeGateway:
    return FakeGateway(StoppedClock(), random.Random(1))


async def ask(fake: FakeGateway, command: object) -> object:
    return await GatewayEffects(fake).perform("gateway", command, b"id")


async def test_only_sends_to_the_gateway_are_handled(fake: FakeGateway) -> None:
    effects = GatewayEffects(fake)
    assert [effects.handles(kind) for kind in ("gateway", "stock", "")] == [True, False, False]


async def test_opening_answers_pending_and_again_the_same(fake: FakeGateway) -> None:
    assert await ask(fake, OPEN) == PENDING
    assert await ask(fake, OPEN) == PENDING


async def test_what_the_provider_refuses_is_failed(fake: FakeGateway) -> None:
    answer = await ask(fake, GatewayOpen(payment_id="pay_1", order_id="ord_1", user_id="usr_1", amount=1, currency="CNY"))
    assert isinstance(answer, GatewayPayment)
    assert answer.status == "failed"


async def test_no_answer_is_a_time_out_and_the_effect_is_there_once(fake: FakeGateway) -> None:
    for command in (OPEN, GatewayLookup(payment_id="pay_1"), CLOSE):
        fake.trouble_next("drop")
        with pytest.raises(TimeoutError):
            await ask(fake, command)
    assert [payment.status for payment in fake.payments.values()] == [PaymentStatus.CLOSED]


async def test_a_payment_that_is_not_found_is_still_waited_for(fake: FakeGateway) -> None:
    answer = await ask(fake, GatewayLookup(payment_id="pay_9", provider_id="fake_9"))
    assert answer == GatewayPayment(payment_id="pay_9", provider_id="fake_9", status="pending", amount=0, currency="")


async def test_closing_ends_closed_or_paid_and_never_pending(fake: FakeGateway) -> None:
    await ask(fake, OPEN)
    fake.act("pay_1", "processing")
    with pytest.raises(TimeoutError):
        await ask(fake, CLOSE)
    fake.act("pay_1")
    paid = await ask(fake, CLOSE)
    assert isinstance(paid, GatewayPayment)
    assert (paid.status, paid.amount) == ("paid", 1999)


async def test_a_refund_is_done_once_or_failed(fake: FakeGateway) -> None:
    await ask(fake, OPEN)
    fake.act("pay_1")
    refund = GatewayRefund(refund_id="ref_1", payment_id="pay_1", provider_id="fake_1", amount=1999, currency="CNY")
    again = GatewayRefund(refund_id="ref_2", payment_id="pay_1", provider_id="fake_1", amount=1999, currency="CNY")
    assert await ask(fake, refund) == GatewayRefunded(refund_id="ref_1", status="done")
    assert await ask(fake, refund) == GatewayRefunded(refund_id="ref_1", status="done")
    assert await ask(fake, again) == GatewayRefunded(refund_id="ref_2", status="failed")


def test_a_webhook_becomes_the_buyers_notice() -> None:
    paid = PaymentState(
        payment_id="pay_1",
        status=PaymentStatus.PAID,
        provider_id="pi_1",
        order_id="ord_1",
        user_id="usr_1",
        amount=1999,
        currency="CNY",
    )
    command = PaymentNotice(order_id="ord_1", payment_id="pay_1", status="paid", amount=1999, currency="CNY", provider_id="pi_1")
    assert order_notice(Notice(event_id="evt_1", created_s=1, about=paid)) == ("usr_1", command)


@pytest.mark.parametrize(
    "about",
    [RefundState(refund_id="ref_1", status=RefundStatus.DONE), PaymentState(payment_id="pay_1", status=PaymentStatus.UNKNOWN)],
)
def test_a_webhook_that_settles_no_payment_is_no_notice(about: PaymentState | RefundState) -> None:
    assert order_notice(Notice(event_id="evt_1", created_s=1, about=about)) is None
