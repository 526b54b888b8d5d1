"""The side door: ``POST /_control/...`` tells the simulator what to do. It asks for the secret API key."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import msgspec
from aiohttp import web

from actors.testing.stripe_simulator.plan import AutoPay, Fault, Pay, Release, Report, WebhookPlan
from actors.testing.stripe_simulator.server import BODY_BYTES_MAX, Options, Simulator

SAVE_EVERY_S: Final = 1.0
QUIET_S_MAX: Final = 30.0

_Body = TypeVar("_Body")
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Control:
    """Handlers of the side door of one simulator."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    def routes(self) -> list[web.RouteDef]:
        """All of them."""
        handlers: dict[str, _Handler] = {
            "pay": self.pay,
            "faults": self.add_fault,
            "webhooks": self.plan_webhooks,
            "release": self.release,
            "auto_pay": self.plan_customers,
            "quiet": self.quiet,
            "report": self.report,
            "intents": self.intents,
            "reset": self.reset,
        }
        return [web.post(f"/_control/{name}", self._guarded(handler)) for name, handler in handlers.items()]

    async def pay(self, request: web.Request) -> web.StreamResponse:
        """A customer acts on a payment."""
        pay = await _read(request, Pay)
        intent = self._simulator.ledger.find(pay.payment)
        if intent is None:
            return web.json_response({"error": f"no payment {pay.payment}"}, status=404)
        if intent.status in ("succeeded", "canceled") and not pay.force:
            return web.json_response({"error": f"the payment is {intent.status}: say force"}, status=409)
        return _json(self._simulator.ledger.act(intent, pay))

    async def add_fault(self, request: web.Request) -> web.StreamResponse:
        """The next calls go wrong."""
        self._simulator.faults.append(await _read(request, Fault))
        return _json(self._report())

    async def plan_webhooks(self, request: web.Request) -> web.StreamResponse:
        """How events are delivered from now on."""
        self._simulator.deliveries.plan(await _read(request, WebhookPlan))
        return _json(self._report())

    async def release(self, request: web.Request) -> web.StreamResponse:
        """Deliver what is held."""
        await self._simulator.deliveries.release(reverse=(await _read(request, Release)).reverse)
        return _json(self._report())

    async def plan_customers(self, request: web.Request) -> web.StreamResponse:
        """Customers who pay by themselves."""
        self._simulator.plan_customers(await _read(request, AutoPay))
        return _json(self._report())

    async def quiet(self, request: web.Request) -> web.StreamResponse:
        """Answers when no delivery is under way; 504 when that takes too long."""
        return web.json_response({}, status=200 if await self._simulator.deliveries.quiet(QUIET_S_MAX) else 504)

    async def report(self, request: web.Request) -> web.StreamResponse:
        """What the simulator has seen."""
        return _json(self._report())

    async def intents(self, request: web.Request) -> web.StreamResponse:
        """All payments, as the provider has them, oldest first."""
        return _json(list(self._simulator.ledger.books.intents.values()))

    async def reset(self, request: web.Request) -> web.StreamResponse:
        """Forget everything."""
        self._simulator.reset()
        return _json(self._report())

    def _report(self) -> Report:
        simulator = self._simulator
        return Report(
            calls=dict(simulator.calls),
            deliveries=list(simulator.deliveries.seen),
            held=simulator.deliveries.held,
            lost=simulator.deliveries.lost,
            open_faults=sum(fault.times for fault in simulator.faults),
        )

    def _guarded(self, handler: _Handler) -> _Handler:
        wanted = f"Bearer {self._simulator.options.api_key}"

        async def guarded(request: web.Request) -> web.StreamResponse:
            if request.headers.get("Authorization") != wanted:
                return web.json_response({"error": "send the secret API key"}, status=401)
            try:
                return await handler(request)
            except msgspec.DecodeError as error:
                return web.json_response({"error": str(error)}, status=422)

        return guarded


@asynccontextmanager
async def serving(options: Options, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[tuple[str, Simulator]]:
    """Run a simulator in this event loop; yields its URL. Port 0: a free one."""
    simulator = Simulator(options)
    app = web.Application(client_max_size=BODY_BYTES_MAX)
    app.add_routes([web.route("*", "/v1/{path:.+}", simulator.api), *Control(simulator).routes()])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    saving = asyncio.create_task(_save_now_and_then(simulator))
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        yield f"http://{host}:{runner.addresses[0][1]}", simulator
    finally:
        saving.cancel()
        await asyncio.gather(saving, return_exceptions=True)
        await simulator.close()
        await runner.cleanup()


async def _save_now_and_then(simulator: Simulator) -> None:
    saved = -1
    while simulator.options.state_file:
        await asyncio.sleep(SAVE_EVERY_S)
        if simulator.calls.total() != saved:
            saved = simulator.calls.total()
            simulator.save()


async def _read(request: web.Request, kind: type[_Body]) -> _Body:
    return msgspec.json.decode(await request.read() or b"{}", type=kind)


def _json(body: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), content_type="application/json")
