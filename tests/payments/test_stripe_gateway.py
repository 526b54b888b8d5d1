"""The Stripe adapter where the provider misbehaves. Faults are the simulator's; the wire is real."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from actors.adapters.payments.stripe import StripeGateway
from actors.testing.stripe_simulator.control_api import serving
from actors.testing.stripe_simulator.plan import Fault, FaultKind, Operation
from actors.testing.stripe_simulator.server import Options, Simulator
from schemas.payment import NoSuchPayment, PaymentRequest, PaymentState, PaymentStatus, RefundRequest, RefundStatus

REQUEST = PaymentRequest(payment_id="pay_1", order_id="ord_1", user_id="usr_1", amount=1999, currency="CNY")


class Provider:
    """The gateway under test, the simulator behind it, and its faults."""

    def __init__(self, gateway: StripeGateway, simulator: Simulator, url: str) -> None:
        self.gateway, self.simulator, self.url = gateway, simulator, url

    def fault(self, kind: FaultKind, operation: Operation = "", *, status: int = 500, seconds: float = 0.0, times: int = 1) -> None:
        self.simulator.faults.append(Fault(kind=kind, operation=operation, status=status, seconds=seconds, times=times))

    def pay(self, payment_id: str = "pay_1") -> None:
        intent = self.simulator.ledger.find(payment_id)
        assert intent is not None
        self.simulator.ledger.confirm(intent.id, {"payment_method": "pm_card_visa"})


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with serving(Options(seed=1)) as (url, simulator), gateway_at(url) as gateway:
        yield Provider(gateway, simulator, url)


def gateway_at(url: str, *, api_key: str = "sk_test_simulator", timeout_s: float = 10.0) -> StripeGateway:
    return StripeGateway(api_key=api_key, webhook_secrets=["whsec_simulator"], base_url=url, timeout_s=timeout_s)


@pytest.mark.parametrize("status", [401, 403, 409, 429, 500, 502, 503])
async def test_an_answer_that_proves_nothing_is_unknown_and_the_same_id_opens_one_payment(provider: Provider, status: int) -> None:
    provider.fault("refuse", "create", status=status)
    assert (await provider.gateway.create(REQUEST)).status is PaymentStatus.UNKNOWN
    assert (await provider.gateway.create(REQUEST)).status is PaymentStatus.PENDING
    assert len(provider.simulator.ledger.books.intents) == 1


async def test_a_create_that_takes_too_long_is_unknown_and_the_same_id_finds_it(provider: Provider) -> None:
    provider.fault("hang", "create", seconds=3600)
    async with gateway_at(provider.url, timeout_s=0.05) as hasty:
        assert (await hasty.create(REQUEST)).status is PaymentStatus.UNKNOWN
    state = await provider.gateway.create(REQUEST)
    assert state.status is PaymentStatus.PENDING
    assert list(provider.simulator.ledger.books.intents) == [state.provider_id]


async def test_a_create_still_being_worked_on_is_unknown_and_not_done_twice(provider: Provider) -> None:
    provider.fault("delay", "create", seconds=3600)
    async with gateway_at(provider.url, timeout_s=0.05) as hasty:
        assert (await hasty.create(REQUEST)).status is PaymentStatus.UNKNOWN
    again = await provider.gateway.create(REQUEST)
    assert (again.status, again.reason) == (PaymentStatus.UNKNOWN, "idempotency_key_in_use")
    assert provider.simulator.ledger.books.intents == {}


async def test_a_stored_server_error_is_resolved_by_searching(provider: Provider) -> None:
    provider.fault("break", "create")
    assert (await provider.gateway.create(REQUEST)).status is PaymentStatus.UNKNOWN
    state = await provider.gateway.create(REQUEST)
    assert state.status is PaymentStatus.PENDING
    assert list(provider.simulator.ledger.books.intents) == [state.provider_id]


async def test_a_stored_server_error_without_a_payment_to_find_fails_for_nobody_has_its_secret(provider: Provider) -> None:
    provider.simulator.ledger.search_lag_s = 3600
    provider.fault("break", "create")
    assert (await provider.gateway.create(REQUEST)).status is PaymentStatus.UNKNOWN
    assert await provider.gateway.create(REQUEST) == PaymentState(payment_id="pay_1", status=PaymentStatus.FAILED, reason="api_error")
    assert (await provider.gateway.cancel(REQUEST)).status is PaymentStatus.FAILED


async def test_no_try_ever_uses_another_key(provider: Provider) -> None:
    for kind in ("lose", "drop", "break"):
        provider.fault(kind, "create")
    for _ in range(5):
        await provider.gateway.create(REQUEST)
    assert list(provider.simulator.keys.stored) == ["pay_1"]
    assert len(provider.simulator.ledger.books.intents) == 1


async def test_a_search_that_is_behind_is_no_proof_but_the_providers_id_is_exact(provider: Provider) -> None:
    provider.simulator.ledger.search_lag_s = 60
    state = await provider.gateway.create(REQUEST)
    assert await provider.gateway.lookup("pay_1") == NoSuchPayment(payment_id="pay_1")
    assert await provider.gateway.lookup("pay_1", state.provider_id) == state


async def test_of_two_payments_with_our_id_the_paid_one_counts(provider: Provider) -> None:
    """After a day a key is forgotten, and a create under it opens a second payment."""
    first = await provider.gateway.create(REQUEST)
    provider.simulator.keys.stored.clear()
    second = await provider.gateway.create(REQUEST)
    assert first.provider_id != second.provider_id
    provider.simulator.ledger.confirm(first.provider_id, {"payment_method": "pm_card_visa"})
    found = await provider.gateway.lookup("pay_1")
    assert isinstance(found, PaymentState)
    assert (found.status, found.provider_id) == (PaymentStatus.PAID, first.provider_id)


async def test_a_customer_who_pays_before_the_create_is_answered_is_told_as_paid(provider: Provider) -> None:
    provider.fault("early_webhook", "create")
    state = await provider.gateway.create(REQUEST)
    found = await provider.gateway.lookup("pay_1", state.provider_id)
    assert isinstance(found, PaymentState)
    assert found.status is PaymentStatus.PAID


async def test_a_currency_whose_units_differ_is_refused_before_any_call(provider: Provider) -> None:
    state = await provider.gateway.create(msgspec.structs.replace(REQUEST, currency="KWD"))
    assert (state.status, state.reason) == (PaymentStatus.FAILED, "currency_unsupported")
    assert provider.simulator.calls.total() == 0


async def test_closing_with_a_wrong_provider_id_is_unknown(provider: Provider) -> None:
    await provider.gateway.create(REQUEST)
    assert (await provider.gateway.cancel(REQUEST, "pi_other")).status is PaymentStatus.UNKNOWN


async def test_closing_another_payment_by_mistake_of_ids_is_never_told_as_ours(provider: Provider) -> None:
    other = await provider.gateway.create(msgspec.structs.replace(REQUEST, payment_id="pay_2"))
    assert (await provider.gateway.cancel(REQUEST, other.provider_id)).status is PaymentStatus.UNKNOWN


async def test_a_provider_id_cannot_leave_its_place_in_the_path(provider: Provider) -> None:
    await provider.gateway.create(REQUEST)
    assert await provider.gateway.lookup("pay_1", "../refunds?limit=1") == NoSuchPayment(payment_id="pay_1")
    assert provider.simulator.calls["list_refunds"] == 0


async def test_an_id_of_ours_cannot_leave_its_place_in_the_search(provider: Provider) -> None:
    await provider.gateway.create(REQUEST)
    assert await provider.gateway.lookup('x" OR status:"succeeded') == NoSuchPayment(payment_id='x" OR status:"succeeded')


async def test_a_wrong_api_key_is_unknown_for_every_question(provider: Provider) -> None:
    state = await provider.gateway.create(REQUEST)
    refund = RefundRequest(refund_id="ref_1", payment_id="pay_1", provider_id=state.provider_id, amount=1999, currency="CNY")
    async with gateway_at(provider.url, api_key="sk_test_wrong") as stranger:
        answers = [
            await stranger.create(REQUEST),
            await stranger.lookup("pay_1"),
            await stranger.lookup("pay_1", state.provider_id),
            await stranger.cancel(REQUEST, state.provider_id),
            await stranger.refund(refund),
        ]
    assert [answer.status.value for answer in answers if not isinstance(answer, NoSuchPayment)] == ["unknown"] * 5


async def test_nobody_listening_is_unknown(unused_tcp_port: int) -> None:
    async with gateway_at(f"http://127.0.0.1:{unused_tcp_port}") as gateway:
        state = await gateway.create(REQUEST)
    assert (state.status, state.reason) == (PaymentStatus.UNKNOWN, "ClientConnectorError")


async def test_a_refund_with_a_stored_server_error_is_found_and_not_repeated(provider: Provider) -> None:
    state = await provider.gateway.create(REQUEST)
    provider.pay()
    request = RefundRequest(refund_id="ref_1", payment_id="pay_1", provider_id=state.provider_id, amount=500, currency="CNY")
    provider.fault("break", "refund")
    assert (await provider.gateway.refund(request)).status is RefundStatus.UNKNOWN
    assert (await provider.gateway.refund(request)).status is RefundStatus.DONE
    assert [refund.amount for refund in provider.simulator.ledger.books.refunds.values()] == [500]


async def test_a_refund_is_not_repeated_after_its_key_was_forgotten(provider: Provider) -> None:
    state = await provider.gateway.create(REQUEST)
    provider.pay()
    request = RefundRequest(refund_id="ref_1", payment_id="pay_1", provider_id=state.provider_id, amount=500, currency="CNY")
    first = await provider.gateway.refund(request)
    provider.simulator.keys.stored.clear()
    assert await provider.gateway.refund(request) == first
    assert len(provider.simulator.ledger.books.refunds) == 1


async def test_a_refund_is_not_tried_while_it_cannot_be_asked_for(provider: Provider) -> None:
    state = await provider.gateway.create(REQUEST)
    provider.pay()
    request = RefundRequest(refund_id="ref_1", payment_id="pay_1", provider_id=state.provider_id, amount=500, currency="CNY")
    provider.fault("refuse", "list_refunds", status=503)
    assert (await provider.gateway.refund(request)).status is RefundStatus.UNKNOWN
    assert provider.simulator.calls["refund"] == 0
