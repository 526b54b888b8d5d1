"""What every payment gateway promises, on the fake and on the Stripe adapter with the simulator behind it."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from typing import Any, Protocol

import msgspec
import pytest
from aiohttp import web

from actors.adapters.payments.stripe import StripeGateway
from actors.ports.payments import PaymentGateway
from actors.testing.payments import FakeGateway
from actors.testing.stripe_simulator.control import SimulatorControl
from actors.testing.stripe_simulator.control_api import serving
from actors.testing.stripe_simulator.plan import Fault
from actors.testing.stripe_simulator.server import Options
from schemas.payment import (
    Decline,
    NoSuchPayment,
    NoSuchRefund,
    Notice,
    NoticeRefused,
    PaymentRequest,
    PaymentState,
    PaymentStatus,
    RefundRequest,
    RefundState,
    RefundStatus,
)

REQUEST = PaymentRequest(payment_id="pay_1", order_id="ord_1", user_id="usr_1", amount=1999, currency="CNY")
Webhook = tuple[dict[str, str], bytes]


class World(Protocol):
    """A gateway and what lies behind it."""

    gateway: PaymentGateway

    async def act(self, payment_id: str, outcome: Any = "paid", *, amount: int | None = None, force: bool = False) -> None: ...

    async def trouble(self, kind: Any, operation: Any = "") -> None: ...

    async def transactions(self) -> int: ...

    async def webhooks(self) -> list[Webhook]: ...


class StillClock:
    """A clock of the real day that does not wait."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


class FakeWorld:
    def __init__(self) -> None:
        self.fake = FakeGateway(StillClock(), random.Random(1))
        self.gateway: PaymentGateway = self.fake

    async def act(self, payment_id: str, outcome: Any = "paid", *, amount: int | None = None, force: bool = False) -> None:
        self.fake.act(payment_id, outcome, amount=amount, force=force)

    async def trouble(self, kind: Any, operation: Any = "") -> None:
        self.fake.trouble_next(kind)

    async def transactions(self) -> int:
        return len(self.fake.payments)

    async def webhooks(self) -> list[Webhook]:
        return self.fake.take_notices()


class StripeWorld:
    def __init__(self, gateway: PaymentGateway, control: SimulatorControl, received: list[Webhook]) -> None:
        self.gateway, self.control, self._received = gateway, control, received

    async def act(self, payment_id: str, outcome: Any = "paid", *, amount: int | None = None, force: bool = False) -> None:
        await self.control.pay(payment_id, outcome, amount=amount, force=force)

    async def trouble(self, kind: Any, operation: Any = "") -> None:
        await self.control.fault(Fault(kind=kind, operation=operation))

    async def transactions(self) -> int:
        return len(await self.control.intents())

    async def webhooks(self) -> list[Webhook]:
        await self.control.quiet()
        received = list(self._received)
        self._received.clear()
        return received


async def stripe_world() -> AsyncIterator[World]:
    received: list[Webhook] = []

    async def hook(request: web.Request) -> web.Response:
        received.append((dict(request.headers), await request.read()))
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", hook)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        hook_url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        async with serving(Options(webhook_url=hook_url, seed=1)) as (url, _):
            secrets = ["whsec_simulator"]
            async with (
                StripeGateway(api_key="sk_test_simulator", webhook_secrets=secrets, base_url=url) as gateway,
                SimulatorControl(url) as c,
            ):
                yield StripeWorld(gateway, c, received)
    finally:
        await runner.cleanup()


@pytest.fixture(params=["fake", "stripe"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "fake":
        yield FakeWorld()
        return
    async for made in stripe_world():
        yield made


async def opened(world: World, request: PaymentRequest = REQUEST) -> PaymentState:
    state = await world.gateway.create(request)
    assert state.status is PaymentStatus.PENDING
    return state


async def paid(world: World, request: PaymentRequest = REQUEST) -> PaymentState:
    await opened(world, request)
    await world.act(request.payment_id)
    state = await world.gateway.lookup(request.payment_id)
    assert isinstance(state, PaymentState)
    assert state.status is PaymentStatus.PAID
    return state


def refund_of(state: PaymentState, *, refund_id: str = "ref_1", amount: int = 1999) -> RefundRequest:
    return RefundRequest(
        refund_id=refund_id, payment_id=state.payment_id, provider_id=state.provider_id, amount=amount, currency=state.currency
    )


# --- opening ----------------------------------------------------------------------------------


async def test_a_new_payment_is_pending_and_carries_everything_back(world: World) -> None:
    state = await world.gateway.create(REQUEST)
    assert state.provider_id
    assert state.client_secret
    assert state == PaymentState(
        payment_id="pay_1",
        status=PaymentStatus.PENDING,
        provider_id=state.provider_id,
        order_id="ord_1",
        user_id="usr_1",
        amount=1999,
        currency="CNY",
        client_secret=state.client_secret,
    )


async def test_creating_again_answers_with_the_same_payment(world: World) -> None:
    first = await opened(world)
    assert await world.gateway.create(REQUEST) == first
    assert await world.transactions() == 1


async def test_creating_twice_at_once_opens_one_payment(world: World) -> None:
    states = await asyncio.gather(*(world.gateway.create(REQUEST) for _ in range(5)))
    assert {state.status for state in states} <= {PaymentStatus.PENDING, PaymentStatus.UNKNOWN}
    assert len({state.provider_id for state in states if state.status is PaymentStatus.PENDING}) == 1
    assert await world.transactions() == 1


async def test_the_same_id_with_another_amount_is_never_offered_to_the_customer(world: World) -> None:
    await opened(world)
    state = await world.gateway.create(msgspec.structs.replace(REQUEST, amount=2999))
    assert (state.status, state.client_secret) == (PaymentStatus.FAILED, "")
    assert await world.transactions() == 1


async def test_an_amount_that_the_provider_refuses_fails_and_leaves_nothing(world: World) -> None:
    state = await world.gateway.create(msgspec.structs.replace(REQUEST, amount=1))
    assert state == PaymentState(payment_id="pay_1", status=PaymentStatus.FAILED, reason="amount_too_small")
    assert await world.transactions() == 0


async def test_a_request_that_never_arrived_is_unknown_and_asking_again_opens_one_payment(world: World) -> None:
    await world.trouble("lose")
    assert (await world.gateway.create(REQUEST)).status is PaymentStatus.UNKNOWN
    assert await world.transactions() == 0
    await opened(world)
    assert await world.transactions() == 1


async def test_an_answer_that_was_lost_is_unknown_and_asking_again_finds_the_same_payment(world: World) -> None:
    await world.trouble("drop")
    assert (await world.gateway.create(REQUEST)).status is PaymentStatus.UNKNOWN
    assert await world.transactions() == 1
    await opened(world)
    assert await world.transactions() == 1


async def test_creating_again_after_it_was_paid_says_paid(world: World) -> None:
    state = await paid(world)
    again = await world.gateway.create(REQUEST)
    assert (again.status, again.provider_id) == (PaymentStatus.PAID, state.provider_id)


# --- looking ----------------------------------------------------------------------------------


async def test_a_payment_is_found_by_our_id_and_by_both(world: World) -> None:
    state = await opened(world)
    assert await world.gateway.lookup("pay_1") == state
    assert await world.gateway.lookup("pay_1", state.provider_id) == state


async def test_a_payment_that_is_not_there_is_a_value(world: World) -> None:
    assert await world.gateway.lookup("pay_2") == NoSuchPayment(payment_id="pay_2")
    assert await world.gateway.lookup("pay_2", "pi_2") == NoSuchPayment(payment_id="pay_2")


async def test_a_provider_id_of_another_payment_finds_nothing(world: World) -> None:
    other = await opened(world, msgspec.structs.replace(REQUEST, payment_id="pay_2"))
    await opened(world)
    assert await world.gateway.lookup("pay_1", other.provider_id) == NoSuchPayment(payment_id="pay_1")


@pytest.mark.parametrize("kind", ["lose", "drop"])
async def test_a_look_without_an_answer_is_unknown(world: World, kind: str) -> None:
    await opened(world)
    await world.trouble(kind)
    # The HTTP client itself asks once more where asking is harmless and a kept connection broke.
    await world.trouble(kind)
    state = await world.gateway.lookup("pay_1")
    assert isinstance(state, PaymentState)
    assert state.status is PaymentStatus.UNKNOWN


# --- paying -----------------------------------------------------------------------------------


async def test_a_paid_payment_says_what_was_received(world: World) -> None:
    state = await paid(world)
    assert (state.amount, state.currency) == (1999, "CNY")


async def test_another_amount_than_asked_is_told_as_received(world: World) -> None:
    await opened(world)
    await world.act("pay_1", amount=1)
    state = await world.gateway.lookup("pay_1")
    assert isinstance(state, PaymentState)
    assert (state.status, state.amount) == (PaymentStatus.PAID, 1)


async def test_a_decline_is_not_the_end_of_a_payment(world: World) -> None:
    await opened(world)
    await world.act("pay_1", "declined")
    declined = await world.gateway.lookup("pay_1")
    assert isinstance(declined, PaymentState)
    assert declined.status is PaymentStatus.PENDING
    assert declined.decline == Decline(code="card_declined", decline_code="generic_decline", message="Your card was declined.")
    await world.act("pay_1")
    state = await world.gateway.lookup("pay_1")
    assert isinstance(state, PaymentState)
    assert (state.status, state.decline) == (PaymentStatus.PAID, None)


async def test_a_step_left_to_the_customer_is_told(world: World) -> None:
    await opened(world)
    await world.act("pay_1", "requires_action")
    state = await world.gateway.lookup("pay_1")
    assert isinstance(state, PaymentState)
    assert (state.status, state.requires_action) == (PaymentStatus.PENDING, True)


# --- closing ----------------------------------------------------------------------------------


async def test_closing_is_done_once_and_answered_alike_again(world: World) -> None:
    state = await opened(world)
    assert (await world.gateway.cancel(REQUEST, state.provider_id)).status is PaymentStatus.CLOSED
    assert (await world.gateway.cancel(REQUEST, state.provider_id)).status is PaymentStatus.CLOSED
    assert (await world.gateway.create(REQUEST)).status is PaymentStatus.CLOSED


async def test_closing_what_was_paid_says_paid(world: World) -> None:
    state = await paid(world)
    closed = await world.gateway.cancel(REQUEST, state.provider_id)
    assert (closed.status, closed.amount) == (PaymentStatus.PAID, 1999)


async def test_closing_what_is_being_processed_is_not_done_yet(world: World) -> None:
    state = await opened(world)
    await world.act("pay_1", "processing")
    assert (await world.gateway.cancel(REQUEST, state.provider_id)).status is PaymentStatus.PENDING
    await world.act("pay_1")
    assert (await world.gateway.cancel(REQUEST, state.provider_id)).status is PaymentStatus.PAID


async def test_closing_before_the_create_arrived_closes_the_create_that_comes_late(world: World) -> None:
    assert (await world.gateway.cancel(REQUEST)).status is PaymentStatus.CLOSED
    assert (await world.gateway.create(REQUEST)).status is PaymentStatus.CLOSED
    assert await world.transactions() == 1


async def test_closing_without_an_answer_is_unknown_and_closed_when_asked_again(world: World) -> None:
    state = await opened(world)
    await world.trouble("drop")
    assert (await world.gateway.cancel(REQUEST, state.provider_id)).status is PaymentStatus.UNKNOWN
    assert (await world.gateway.cancel(REQUEST, state.provider_id)).status is PaymentStatus.CLOSED


async def test_money_that_comes_after_closing_is_told(world: World) -> None:
    state = await opened(world)
    await world.gateway.cancel(REQUEST, state.provider_id)
    await world.act("pay_1", force=True)
    late = await world.gateway.lookup("pay_1", state.provider_id)
    assert isinstance(late, PaymentState)
    assert (late.status, late.amount) == (PaymentStatus.PAID, 1999)


async def test_two_payments_of_one_order_are_both_told_as_paid(world: World) -> None:
    first = await paid(world)
    second = await paid(world, msgspec.structs.replace(REQUEST, payment_id="pay_2"))
    assert first.provider_id != second.provider_id
    assert (first.order_id, second.order_id) == ("ord_1", "ord_1")


# --- giving back ------------------------------------------------------------------------------


async def test_a_refund_is_made_once_per_id(world: World) -> None:
    request = refund_of(await paid(world))
    state = await world.gateway.refund(request)
    assert state == RefundState(
        refund_id="ref_1", status=RefundStatus.DONE, payment_id="pay_1", provider_id=state.provider_id, amount=1999, currency="CNY"
    )
    assert await world.gateway.refund(request) == state
    assert await world.gateway.lookup_refund(request) == state


async def test_no_more_is_given_back_than_was_paid(world: World) -> None:
    state = await paid(world)
    assert (await world.gateway.refund(refund_of(state, amount=1000))).status is RefundStatus.DONE
    assert (await world.gateway.refund(refund_of(state, refund_id="ref_2", amount=1000))).status is RefundStatus.FAILED
    assert (await world.gateway.refund(refund_of(state, refund_id="ref_3", amount=999))).status is RefundStatus.DONE
    assert (await world.gateway.refund(refund_of(state, refund_id="ref_4", amount=1))).status is RefundStatus.FAILED


async def test_a_refund_whose_answer_was_lost_is_made_once(world: World) -> None:
    request = refund_of(await paid(world), amount=500)
    await world.trouble("drop", "refund")
    assert (await world.gateway.refund(request)).status is RefundStatus.UNKNOWN
    assert (await world.gateway.refund(request)).status is RefundStatus.DONE
    rest = refund_of(await paid(world, msgspec.structs.replace(REQUEST, payment_id="pay_2")), refund_id="ref_2")
    assert (await world.gateway.refund(rest)).status is RefundStatus.DONE
    left = msgspec.structs.replace(request, refund_id="ref_3", amount=1499)
    assert (await world.gateway.refund(left)).status is RefundStatus.DONE


async def test_what_was_not_paid_is_not_refunded(world: World) -> None:
    state = await opened(world)
    request = refund_of(state)
    assert (await world.gateway.refund(request)).status is RefundStatus.FAILED
    assert await world.gateway.lookup_refund(request) == NoSuchRefund(refund_id="ref_1")


# --- webhooks ---------------------------------------------------------------------------------


def now_s() -> int:
    return int(time.time())


async def test_a_webhook_tells_what_a_look_would_and_keeps_the_secret(world: World) -> None:
    state = await paid(world)
    notices = [world.gateway.parse_notice(*webhook, now_s()) for webhook in await world.webhooks()]
    told = {notice.about.status: notice.about for notice in notices if isinstance(notice, Notice)}
    assert len(notices) == 2
    assert told[PaymentStatus.PAID] == msgspec.structs.replace(state, client_secret="")
    assert set(told) == {PaymentStatus.PENDING, PaymentStatus.PAID}


async def test_a_webhook_tells_of_a_refund(world: World) -> None:
    request = refund_of(await paid(world))
    await world.webhooks()
    state = await world.gateway.refund(request)
    (webhook,) = await world.webhooks()
    notice = world.gateway.parse_notice(*webhook, now_s())
    assert isinstance(notice, Notice)
    assert notice.about == state


async def test_a_webhook_that_was_tampered_with_is_refused(world: World) -> None:
    await opened(world)
    ((headers, body),) = await world.webhooks()
    changed = body.replace(b"1999", b"0001")
    assert changed != body
    for forged_headers, forged_body in ((headers, changed), ({}, body), (dict.fromkeys(headers, "t=1,v1=00"), body)):
        refused = world.gateway.parse_notice(forged_headers, forged_body, now_s())
        assert isinstance(refused, NoticeRefused)
        assert refused.code == "signature_invalid"


@pytest.mark.parametrize("shift_s", [-3600, -400, 400, 3600])
async def test_a_webhook_of_another_time_is_refused(world: World, shift_s: int) -> None:
    await opened(world)
    ((headers, body),) = await world.webhooks()
    refused = world.gateway.parse_notice(headers, body, now_s() + shift_s)
    assert isinstance(refused, NoticeRefused)
    assert refused.code == "signature_stale"
