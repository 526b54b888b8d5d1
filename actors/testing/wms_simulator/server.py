"""The simulator's HTTP side: what the shop calls, faults on top, and the control of both."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
from aiohttp import web

from actors.adapters.wms.signature import flaw, headers
from actors.testing.wms_simulator.books import Books
from actors.testing.wms_simulator.deliveries import FOREIGN, Deliveries
from actors.testing.wms_simulator.plan import Drift, Fault, Happen, Release, Report, Ship, WebhookPlan
from schemas.providers.wms import Change, Envelope, ShippedLine, StockAsk

BODY_BYTES_MAX: Final = 1 << 20


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """shop_secrets: what the shop signs with. own_secrets: what the simulator signs with. hook_url: where its webhooks go."""

    shop_secrets: tuple[str, ...]
    own_secrets: tuple[str, ...]
    hook_url: str = ""
    numbered: bool = False


class Simulator:
    """One warehouse. Tests in the same process call it directly, others by ``/_control``."""

    def __init__(self, options: Options, now_s: Callable[[], int] = lambda: int(time.time())) -> None:
        self.shop_secrets: Sequence[str] = options.shop_secrets
        self.own_secrets: Sequence[str] = options.own_secrets
        self.books = Books(numbered=options.numbered)
        self.deliveries = Deliveries(options.hook_url, options.own_secrets, now_s)
        self.faults: list[Fault] = []
        self.calls: Counter[str] = Counter()
        self.refused = 0
        self._now_s = now_s

    # --- what is done to it -----------------------------------------------------------------------

    def happen(self, *changes: Change, occurred_at_ms: int = 0) -> Envelope:
        """Changes happen, and are told."""
        return self._push(self.books.happen(changes, occurred_at_ms))

    def ship(self, shipment_id: str, order_id: str, *lines: ShippedLine, state: Any = "shipped") -> Envelope:
        """A parcel changes, which is told."""
        return self._push(self.books.ship(Ship(shipment_id=shipment_id, order_id=order_id, lines=lines, state=state)))

    def drift(self, sku: str, units: int) -> None:
        """Units vanish or appear, and nobody is told."""
        self.books.counts[sku] = self.books.counts.get(sku, 0) + units

    def _push(self, envelope: Envelope) -> Envelope:
        self.deliveries.push(envelope)
        return envelope

    def report(self) -> Report:
        """What it has seen."""
        books, deliveries = self.books, self.deliveries
        return Report(
            counts=dict(books.counts), heard=dict(books.heard), counted=dict(books.counted), types=dict(books.types),
            orders={order_id: state for order_id, (_, state) in books.orders.items()}, deliveries=list(deliveries.seen),
            held=deliveries.held, lost=deliveries.lost, refused=self.refused, calls=dict(self.calls),
        )  # fmt: skip

    # --- what the shop calls ----------------------------------------------------------------------

    async def messages(self, request: web.Request) -> web.StreamResponse:
        """Take a message of the shop."""
        body = await request.read()
        return await self._answered(request, "messages", body, lambda: self._hear(request, body))

    async def changes(self, request: web.Request) -> web.StreamResponse:
        """The feed."""
        signed = f"GET {request.path_qs}".encode()
        return await self._answered(request, "changes", signed, lambda: self._changes(request))

    async def snapshot(self, request: web.Request) -> web.StreamResponse:
        """A page of a count."""
        signed = f"GET {request.path_qs}".encode()
        return await self._answered(request, "snapshot", signed, lambda: self._count(request))

    def _hear(self, request: web.Request, body: bytes) -> tuple[int, bytes]:
        message_id = request.headers["webhook-id"]
        if wrong := self.books.hear(message_id, body):
            return 422, wrong.encode()
        if self.books.types[message_id] == "stock.ask" and self.books.heard[message_id] == 1:
            self._tell_counts(msgspec.json.decode(msgspec.json.decode(body, type=Envelope).data, type=StockAsk))
        return 200, b'{"received":true}'

    def _tell_counts(self, ask: StockAsk) -> None:
        first = self.books.count("", 1)
        assert first is not None
        for page in range(1, first.pages + 1):
            found = self.books.count(first.snapshot_id, page)
            assert found is not None
            if ask.skus:
                counts = tuple(count for count in found.counts if count.sku in ask.skus)
                found = msgspec.structs.replace(found, counts=counts, complete=False)
            self._push(self.books.tell("stock.snapshot", found))

    def _changes(self, request: web.Request) -> tuple[int, bytes]:
        return 200, msgspec.json.encode(self.books.changes(request.query.get("cursor", ""), int(request.query.get("limit", "100"))))

    def _count(self, request: web.Request) -> tuple[int, bytes]:
        found = self.books.count(request.query.get("snapshot_id", ""), int(request.query.get("page", "1")))
        return (404, b"{}") if found is None else (200, msgspec.json.encode(found))

    async def _answered(
        self, request: web.Request, operation: str, signed: bytes, act: Callable[[], tuple[int, bytes]]
    ) -> web.StreamResponse:
        self.calls[operation] += 1
        given = {name: request.headers.get(name, "") for name in ("webhook-id", "webhook-timestamp", "webhook-signature")}
        if flaw(given, signed, self.shop_secrets, self._now_s()):
            self.refused += 1
            return web.Response(status=401)
        fault = self._fault(operation)
        if fault is None:
            status, body = act()
            return self._signed(given["webhook-id"], status, body, self.own_secrets)
        if fault.kind == "refuse":
            return web.Response(status=fault.status)
        if fault.kind in ("break", "drop", "unsigned", "foreign"):
            status, body = act()
            if fault.kind == "break":
                return web.Response(status=fault.status)
            if fault.kind != "drop":
                return self._signed(given["webhook-id"], status, body, (FOREIGN,) if fault.kind == "foreign" else ())
        await asyncio.sleep(fault.seconds)
        if request.transport is not None:
            request.transport.close()
        return web.Response(status=500)

    def _fault(self, operation: str) -> Fault | None:
        for index, fault in enumerate(self.faults):
            if fault.operation in ("", operation):
                left = [msgspec.structs.replace(fault, times=fault.times - 1)] if fault.times > 1 else []
                self.faults[index : index + 1] = left
                return fault
        return None

    def _signed(self, message_id: str, status: int, body: bytes, secrets: Sequence[str]) -> web.Response:
        signed = headers(secrets, message_id, body, self._now_s()) if secrets else {}
        return web.Response(status=status, body=body, headers=signed, content_type="application/json")

    # --- control ----------------------------------------------------------------------------------

    def routes(self) -> list[web.RouteDef]:
        """All of them."""
        control: dict[str, tuple[type[Any], Callable[[Any], Awaitable[Any] | Any]]] = {
            "faults": (Fault, self.faults.append),
            "webhooks": (WebhookPlan, self.deliveries.plan),
            "release": (Release, lambda told: self.deliveries.release(reverse=told.reverse)),
            "happen": (Happen, lambda told: self.happen(*told.changes, occurred_at_ms=told.occurred_at_ms)),
            "ship": (Ship, lambda told: self._push(self.books.ship(told))),
            "drift": (Drift, lambda told: self.drift(told.sku, told.units)),
            "report": (_Nothing, lambda told: None),
        }
        doors = [web.post(f"/_control/{name}", self._told(kind, act)) for name, (kind, act) in control.items()]
        return [web.post("/messages", self.messages), web.get("/changes", self.changes), web.get("/snapshot", self.snapshot), *doors]

    def _told(self, kind: type[Any], act: Callable[[Any], Awaitable[Any] | Any]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def told(request: web.Request) -> web.StreamResponse:
            try:
                order = msgspec.json.decode(await request.read() or b"{}", type=kind)
            except msgspec.DecodeError as error:
                return web.json_response({"error": str(error)}, status=422)
            done = act(order)
            if asyncio.iscoroutine(done):
                await done
            return web.Response(body=msgspec.json.encode(self.report()), content_type="application/json")

        return told


class _Nothing(msgspec.Struct, frozen=True, kw_only=True):
    """No order."""


@asynccontextmanager
async def serving(
    options: Options, *, host: str = "127.0.0.1", port: int = 0, now_s: Callable[[], int] = lambda: int(time.time())
) -> AsyncIterator[tuple[str, Simulator]]:
    """Run a simulator in this event loop; yields its URL. Port 0: a free one. Control is for whoever reaches it: loopback alone."""
    simulator = Simulator(options, now_s)
    app = web.Application(client_max_size=BODY_BYTES_MAX)
    app.add_routes(simulator.routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield f"http://{host}:{runner.addresses[0][1]}", simulator
    finally:
        await simulator.deliveries.close()
        await runner.cleanup()
