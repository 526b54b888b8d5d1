"""Driving a running simulator from a test or a load run."""

from typing import Self

import aiohttp
import msgspec

from actors.testing.stripe_simulator.plan import AutoPay, Fault, Outcome, Pay, Release, Report, WebhookPlan
from schemas.providers.stripe import PaymentIntent


class SimulatorControl:
    """A client of the simulator's control API. Use as an async context manager. AssertionError when it is told nonsense."""

    def __init__(self, url: str, *, api_key: str = "sk_test_simulator", publishable_key: str = "pk_test_simulator") -> None:
        self._url = url.rstrip("/")
        self._publishable_key = publishable_key
        self._session = aiohttp.ClientSession(headers={"Authorization": f"Bearer {api_key}"})

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def pay(self, payment: str, outcome: Outcome = "paid", *, amount: int | None = None, force: bool = False) -> PaymentIntent:
        """A customer acts on a payment (its own id, or the shop's): also after it was closed, or with another amount."""
        answer = await self._post("pay", Pay(payment=payment, outcome=outcome, amount=amount, force=force))
        return msgspec.json.decode(answer, type=PaymentIntent)

    async def confirm(self, client_secret: str, payment_method: str = "pm_card_visa") -> int:
        """What the customer's browser does, with the publishable key. Answers the HTTP status (402: declined)."""
        intent_id = client_secret.partition("_secret_")[0]
        form = {"client_secret": client_secret, "payment_method": payment_method}
        headers = {"Authorization": f"Bearer {self._publishable_key}"}
        url = f"{self._url}/v1/payment_intents/{intent_id}/confirm"
        async with self._session.post(url, data=form, headers=headers) as answer:
            await answer.read()
            return answer.status

    async def fault(self, fault: Fault) -> None:
        """The next calls go wrong."""
        await self._post("faults", fault)

    async def webhooks(self, plan: WebhookPlan) -> None:
        """How events are delivered from now on."""
        await self._post("webhooks", plan)

    async def release(self, *, reverse: bool = False) -> None:
        """Deliver what was held, in order or newest first; returns when it was answered."""
        await self._post("release", Release(reverse=reverse))

    async def auto_pay(self, plan: AutoPay) -> None:
        """Customers who pay by themselves."""
        await self._post("auto_pay", plan)

    async def quiet(self) -> None:
        """Wait until no webhook is under way."""
        await self._post("quiet", None)

    async def report(self) -> Report:
        """What the simulator has seen."""
        return msgspec.json.decode(await self._post("report", None), type=Report)

    async def intents(self) -> list[PaymentIntent]:
        """All payments, oldest first."""
        return msgspec.json.decode(await self._post("intents", None), type=list[PaymentIntent])

    async def reset(self) -> None:
        """Forget everything."""
        await self._post("reset", None)

    async def _post(self, name: str, body: msgspec.Struct | None) -> bytes:
        data = b"" if body is None else msgspec.json.encode(body)
        async with self._session.post(f"{self._url}/_control/{name}", data=data) as answer:
            told = await answer.read()
            assert answer.status == 200, f"{name}: {answer.status} {told[:200]!r}"
            return told
