"""The simulator is strict where Stripe is, and misbehaves exactly as told."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from actors.adapters.payments.stripe_signature import verify
from actors.testing.stripe_simulator.control import SimulatorControl
from actors.testing.stripe_simulator.control_api import serving
from actors.testing.stripe_simulator.plan import AutoPay, Fault, WebhookPlan
from actors.testing.stripe_simulator.server import Options, Simulator

FORM = {"amount": "1999", "currency": "cny", "metadata[payment_id]": "pay_1"}
SECRET = "whsec_simulator"


class Shop:
    """A caller of the API, its webhook endpoint, and the simulator's side door."""

    def __init__(self, url: str, simulator: Simulator, session: aiohttp.ClientSession, control: SimulatorControl) -> None:
        self.url, self.simulator, self.control = url, simulator, control
        self.events: list[tuple[str, bytes]] = []
        self.refuse_next = 0
        self._arrived: asyncio.Queue[None] = asyncio.Queue()
        self._session = session

    async def call(self, method: str, path: str, form: Any = None, *, key: str = "", token: str = "sk_test_simulator") -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}"} | ({"Idempotency-Key": key} if key else {})
        data, params = (form, None) if method == "POST" else (None, form)
        async with self._session.request(method, f"{self.url}/v1/{path}", data=data, params=params, headers=headers) as answer:
            return answer.status, await answer.json()

    async def create(self) -> dict[str, Any]:
        status, intent = await self.call("POST", "payment_intents", FORM)
        assert status == 200
        return dict(intent)

    async def hook(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.events.append((request.headers["Stripe-Signature"], body))
        self._arrived.put_nowait(None)
        if self.refuse_next:
            self.refuse_next -= 1
            return web.Response(status=500)
        return web.Response()

    async def wait_for_events(self, count: int) -> None:
        async with asyncio.timeout(20):
            for _ in range(count):
                await self._arrived.get()

    def types(self) -> list[str]:
        return [match[1] for _, body in self.events if (match := re.search(r'"type":"(payment_intent\.\w+)"', body.decode()))]


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async with serving(Options(webhook_secret=SECRET, seed=1)) as (url, simulator), aiohttp.ClientSession() as session:
        async with SimulatorControl(url) as control:
            made = Shop(url, simulator, session, control)
            app = web.Application()
            app.router.add_post("/hook", made.hook)
            runner = web.AppRunner(app)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            simulator.deliveries.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
            yield made
        await runner.cleanup()


def error(answer: tuple[int, Any]) -> tuple[int, str | None, str | None]:
    status, body = answer
    return status, body["error"]["type"], body["error"]["code"]


# --- as strict as the real one ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"foo": "1"}, "parameter_unknown"),
        ({"card[number]": "4242424242424242"}, "parameter_unknown"),
        ({"amount": ""}, "parameter_missing"),
        ({"amount": "19.99"}, "parameter_invalid_integer"),
        ({"amount": "-1"}, "parameter_invalid_integer"),
        ({"amount": "0"}, "parameter_invalid_integer"),
        ({"amount": "1"}, "amount_too_small"),
        ({"amount": "100000000"}, "amount_too_large"),
        ({"currency": ""}, "parameter_missing"),
        ({"currency": "yuan"}, None),
        ({"metadata[" + "k" * 41 + "]": "v"}, None),
        ({"metadata[k]": "v" * 501}, None),
    ],
)
async def test_a_create_that_stripe_would_refuse_is_refused(shop: Shop, changes: dict[str, str], code: str | None) -> None:
    assert error(await shop.call("POST", "payment_intents", FORM | changes)) == (400, "invalid_request_error", code)
    assert shop.simulator.ledger.books.intents == {}


async def test_without_the_key_nothing_is_answered(shop: Shop) -> None:
    for token in ("", "sk_test_other"):
        assert error(await shop.call("POST", "payment_intents", FORM, token=token))[0] == 401
    assert error(await shop.call("POST", "payment_intents", FORM, token="pk_test_simulator"))[:2] == (403, "invalid_request_error")
    async with aiohttp.ClientSession() as stranger, stranger.post(f"{shop.url}/_control/intents") as answer:
        assert answer.status == 401


async def test_a_key_answers_with_the_first_answer_and_only_to_the_same_request(shop: Shop) -> None:
    first = await shop.call("POST", "payment_intents", FORM, key="k")
    assert await shop.call("POST", "payment_intents", FORM, key="k") == first
    other = await shop.call("POST", "payment_intents", FORM | {"amount": "2000"}, key="k")
    assert error(other) == (400, "idempotency_error", None)
    elsewhere = await shop.call("POST", "refunds", {"payment_intent": first[1]["id"]}, key="k")
    assert error(elsewhere) == (400, "idempotency_error", None)
    assert len(shop.simulator.ledger.books.intents) == 1


async def test_a_key_is_not_used_up_by_a_request_that_was_not_valid(shop: Shop) -> None:
    assert (await shop.call("POST", "payment_intents", FORM | {"amount": ""}, key="k"))[0] == 400
    assert (await shop.call("POST", "payment_intents", FORM, key="k"))[0] == 200


async def test_a_stored_answer_is_old_after_the_payment_moved_on(shop: Shop) -> None:
    _, intent = await shop.call("POST", "payment_intents", FORM, key="k")
    await shop.control.pay(intent["id"])
    assert (await shop.call("POST", "payment_intents", FORM, key="k"))[1]["status"] == "requires_payment_method"
    assert (await shop.call("GET", f"payment_intents/{intent['id']}"))[1]["status"] == "succeeded"


async def test_a_customer_confirms_with_the_secret_of_that_payment_alone(shop: Shop) -> None:
    first, second = await shop.create(), await shop.create()
    assert await shop.control.confirm(f"{first['id']}_secret_guessed") == 400
    assert await shop.control.confirm(second["client_secret"], "pm_card_chargeDeclined") == 402
    assert await shop.control.confirm(second["client_secret"]) == 200
    assert await shop.control.confirm(second["client_secret"]) == 400
    assert [intent.status for intent in await shop.control.intents()] == ["requires_payment_method", "succeeded"]


async def test_a_payment_that_ended_cannot_be_closed(shop: Shop) -> None:
    intent = await shop.create()
    path = f"payment_intents/{intent['id']}/cancel"
    assert (await shop.call("POST", path))[1]["status"] == "canceled"
    status, body = await shop.call("POST", path)
    assert (status, body["error"]["code"]) == (400, "payment_intent_unexpected_state")
    assert body["error"]["payment_intent"]["status"] == "canceled"
    assert await shop.control.confirm(intent["client_secret"]) == 400


async def test_no_more_is_refunded_than_was_captured(shop: Shop) -> None:
    intent = await shop.create()
    form = {"payment_intent": intent["id"], "amount": "1000"}
    assert (await shop.call("POST", "refunds", form))[0] == 400
    await shop.control.pay(intent["id"])
    assert (await shop.call("POST", "refunds", form))[0] == 200
    assert (await shop.call("POST", "refunds", form))[0] == 400
    assert (await shop.call("POST", "refunds", {"payment_intent": intent["id"]}))[1]["amount"] == 999
    assert error(await shop.call("POST", "refunds", form)) == (400, "invalid_request_error", "charge_already_refunded")


async def test_a_body_of_another_type_and_an_unknown_path_are_refused(shop: Shop) -> None:
    assert (await shop.call("POST", "payment_intents", b"{}"))[0] == 400
    assert (await shop.call("GET", "charges"))[0] == 404
    assert error(await shop.call("GET", "payment_intents/search", {"query": "nonsense"}))[0] == 400


async def test_a_list_is_paged_newest_first(shop: Shop) -> None:
    ids = [(await shop.create())["id"] for _ in range(3)]
    _, page = await shop.call("GET", "payment_intents", {"limit": "2"})
    assert ([intent["id"] for intent in page["data"]], page["has_more"]) == ([ids[2], ids[1]], True)
    _, page = await shop.call("GET", "payment_intents", {"limit": "2", "starting_after": ids[1]})
    assert ([intent["id"] for intent in page["data"]], page["has_more"]) == ([ids[0]], False)


# --- webhooks -----------------------------------------------------------------------------------


async def test_every_change_is_told_with_a_signature_that_holds(shop: Shop) -> None:
    intent = await shop.create()
    await shop.control.pay(intent["id"], "declined")
    await shop.control.pay(intent["id"])
    await shop.control.quiet()
    assert sorted(shop.types()) == ["payment_intent.created", "payment_intent.payment_failed", "payment_intent.succeeded"]
    for header, body in shop.events:
        assert verify(header, body, [SECRET], int(header[2:12])) is None


async def test_an_event_comes_in_so_many_copies_as_told(shop: Shop) -> None:
    await shop.control.webhooks(WebhookPlan(copies=10))
    await shop.create()
    await shop.control.quiet()
    assert len(shop.events) == 10
    assert len({body for _, body in shop.events}) == 1


async def test_held_events_come_in_reverse_when_told(shop: Shop) -> None:
    await shop.control.webhooks(WebhookPlan(hold=True))
    intent = await shop.create()
    await shop.control.pay(intent["id"], "declined")
    await shop.control.pay(intent["id"])
    assert ((await shop.control.report()).held, shop.events) == (3, [])
    await shop.control.release(reverse=True)
    assert shop.types() == ["payment_intent.succeeded", "payment_intent.payment_failed", "payment_intent.created"]


async def test_a_lost_event_never_comes(shop: Shop) -> None:
    await shop.control.webhooks(WebhookPlan(lose=1))
    intent = await shop.create()
    await shop.control.pay(intent["id"])
    await shop.control.quiet()
    assert shop.types() == ["payment_intent.succeeded"]
    assert (await shop.control.report()).lost == 1


@pytest.mark.parametrize(("plan", "code"), [(WebhookPlan(forge=1), "signature_invalid"), (WebhookPlan(stale=1), "signature_stale")])
async def test_a_spoilt_signature_is_seen_by_who_verifies_it(shop: Shop, plan: WebhookPlan, code: str) -> None:
    await shop.control.webhooks(plan)
    await shop.create()
    await shop.create()
    await shop.control.quiet()
    now_s = max(int(header[2:12]) for header, _ in shop.events)
    told = [verify(header, body, [SECRET], now_s) for header, body in shop.events]
    assert sorted(refused.code if refused else "accepted" for refused in told) == sorted(["accepted", code])


@pytest.mark.slow
async def test_an_event_that_was_not_taken_comes_again(shop: Shop) -> None:
    shop.refuse_next = 1
    await shop.create()
    await shop.wait_for_events(2)
    assert shop.events[0][1] == shop.events[1][1]


async def test_an_early_webhook_is_answered_before_the_create_is(shop: Shop) -> None:
    await shop.control.fault(Fault(kind="early_webhook", operation="create"))
    intent = await shop.create()
    assert "payment_intent.succeeded" in shop.types()
    assert intent["status"] == "requires_payment_method"


# --- customers, restarts, the process -----------------------------------------------------------


@pytest.mark.slow
async def test_customers_who_pay_by_themselves_do_so_in_the_shares_told(shop: Shop) -> None:
    await shop.control.auto_pay(AutoPay(delay_ms_min=0, delay_ms_max=5, decline_share=0.3, abandon_share=0.2, seed=7))
    for _ in range(100):
        await shop.create()
    await shop.wait_for_events(100 + 51 + 29)
    intents = await shop.control.intents()
    paid = sum(intent.status == "succeeded" for intent in intents)
    declined = sum(intent.last_payment_error is not None for intent in intents)
    assert (paid, declined, 100 - paid - declined) == (51, 29, 20)


async def test_a_state_file_keeps_payments_and_keys_over_a_restart(tmp_path: Path) -> None:
    options = Options(state_file=str(tmp_path / "state"), seed=1)
    headers = {"Authorization": "Bearer sk_test_simulator", "Idempotency-Key": "k"}
    told = []
    for _ in range(2):
        async with serving(options) as (url, _), aiohttp.request("POST", f"{url}/v1/payment_intents", data=FORM, headers=headers) as answer:
            told.append((answer.headers.get("Idempotent-Replayed"), (await answer.json())["id"]))
    assert [replayed for replayed, _ in told] == [None, "true"]
    assert told[0][1] == told[1][1]


@pytest.mark.slow
async def test_it_runs_as_a_process_and_stops_when_told() -> None:
    module = "actors.testing.stripe_simulator"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, "--port", "0", "--auto-pay", "0:1", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        line = (await asyncio.wait_for(process.stdout.readline(), 30)).decode()
        url = line.split()[-1]
        async with SimulatorControl(url) as control:
            assert (await control.report()).calls == {}
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 30) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_half_a_state_file_is_set_aside(tmp_path: Path) -> None:
    halves: list[bytes] = []
    state = tmp_path / "state"
    options = Options(state_file=str(state), seed=1)
    headers = {"Authorization": "Bearer sk_test_simulator", "Idempotency-Key": "k"}
    for _ in range(2):
        async with serving(options) as (url, _), aiohttp.request("POST", f"{url}/v1/payment_intents", data=FORM, headers=headers) as answer:
            assert (answer.status, answer.headers.get("Idempotent-Replayed")) == (200, None)
        halves.append(state.read_bytes()[:-9])
        state.write_bytes(halves[-1])
    assert (tmp_path / "state.unreadable").read_bytes() == halves[0]
