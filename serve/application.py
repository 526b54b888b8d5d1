"""The shop over HTTP, as one ASGI application. It runs unchanged behind Serve's ingress and behind the direct listener.

``build(services)`` makes it; ``start`` and ``stop`` (or ASGI's lifespan) run what it keeps fresh in
the background. Every request passes here: its id, the limit of requests in flight, the limits of its
head and body, and the translation of whatever happens into an answer; bad input is never a 500.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import msgspec
import structlog

from actors.domain.entity import Refused
from actors.ports.journal import StorageBusy, StorageUnknown
from actors.storage.connect import LOST, storage_error
from schemas.ids import base32
from serve import live_cart, login_guard
from serve.answers import SECURITY, Reply, json_reply, problem_reply
from serve.desk import Desk
from serve.framework import Framework
from serve.hooks import apple, stripe
from serve.hooks import wms as wms_hook
from serve.hot import category_tree, events
from serve.hot.browsing import Browsing
from serve.hot.category_tree import CategoryTreePage
from serve.hot.flash_orders import FlashOrders
from serve.hot.lane import whole
from serve.hot.media import PREFIX as MEDIA
from serve.hot.media import MediaPages
from serve.image_work import ImageWork
from serve.importing import ImportWork
from serve.live_cart import LiveCarts
from serve.ops import health, outbox
from serve.ops.document import Documents
from serve.permissions import check_declared
from serve.privacy_work import PrivacyWork
from serve.rates import Rate
from serve.request_log import RequestLog
from serve.requests import ClientGone, Receive, Refusal, Request, Scope, Send, check_head, check_length, read_body
from serve.services import Services
from serve.shelf_work import ShelfWork
from serve.shop import (
    accounts,
    addresses,
    carts,
    codes,
    event_consent,
    factor_logins,
    factors,
    membership,
    orders,
    prices,
    privacy,
    sessions,
    third_party,
    tickets,
)
from serve.staff import (
    categories,
    images,
    lookups,
    merchant,
    merchant_products,
    payouts,
    people,
    products,
    purchases,
    roles,
    stock,
    tags,
    trail,
    warehouses,
    watch,
    wms,
    wms_counts,
)
from serve.staff import factors as staff_factors
from serve.staff import imports as staff_imports
from serve.staff import prices as staff_prices
from serve.strict_json import Malformed
from serve.web import handlers as web
from serve.web.pages import PageRefused, problem_page, wants_page

log = structlog.get_logger("stampede.http")

SALES: Final = "/v1/flash-sales/"
PRODUCTS: Final = "/v1/products/"
SEARCH: Final = "/v1/search"
SUGGEST: Final = "/v1/suggest"
WHOLE_PATHS: Final = ("/v1/products", category_tree.PATH, SEARCH, SUGGEST, "/healthz")
EMPTY: Final = "/bench/empty"

HANDLERS: Final = (
    *accounts.HANDLERS,
    *sessions.HANDLERS,
    *carts.HANDLERS,
    *orders.HANDLERS,
    *prices.HANDLERS,
    *tickets.HANDLERS,
    *stripe.HANDLERS,
    *third_party.HANDLERS,
    *apple.HANDLERS,
    *codes.HANDLERS,
    *factors.HANDLERS,
    *factor_logins.HANDLERS,
    *addresses.HANDLERS,
    *privacy.HANDLERS,
    *event_consent.HANDLERS,
    *membership.HANDLERS,
    *roles.HANDLERS,
    *people.HANDLERS,
    *staff_factors.HANDLERS,
    *staff_prices.HANDLERS,
    *trail.HANDLERS,
    *lookups.HANDLERS,
    *merchant.HANDLERS,
    *products.HANDLERS,
    *merchant_products.HANDLERS,
    *categories.HANDLERS,
    *payouts.HANDLERS,
    *images.HANDLERS,
    *web.HANDLERS,
    *tags.HANDLERS,
    *watch.HANDLERS,
    *purchases.HANDLERS,
    *staff_imports.HANDLERS,
    *wms_hook.HANDLERS,
    *wms.HANDLERS,
    *wms_counts.HANDLERS,
    *warehouses.HANDLERS,
    *stock.HANDLERS,
    *health.HANDLERS,
    *outbox.HANDLERS,
)

_ALIVE: Final = json_reply(200, b'{"status":"ok"}')
_EMPTY: Final = json_reply(200, b"{}")


class Application:
    """One a replica."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.desk = Desk(services)
        self.flash_orders = FlashOrders(self.desk)
        self.browsing = Browsing(services, self.desk.facts, self.desk.sold_out)
        self.category_tree = CategoryTreePage(self.desk.categories, self.browsing.pages)
        self.searching = self.desk.searching
        self.live_carts = LiveCarts(self.desk, carts.cart_of)
        self.events = events.Events(self.desk)
        check_declared(handler.operation_id or str(handler) for handler in HANDLERS)
        self.privacy_work = PrivacyWork(self.desk)
        self.image_work = ImageWork(self.desk)
        self.media = MediaPages(self.desk.images.media)
        self.shelf_work = ShelfWork(self.desk)
        self.import_work = ImportWork(self.desk)
        self.framework = Framework(self.desk, HANDLERS)
        settings = services.settings
        self.documents = Documents(self.framework.app, HANDLERS, bench=settings.bench, login_page=not settings.login_return_url)
        rate = services.settings.rate_address_per_s
        self._address_rate = Rate(services.clock.monotonic_ms, rate, rate * 2)
        self._in_flight_max = services.settings.in_flight_max
        self._ids = base32(int.from_bytes(services.random_bytes(8), "big") & ((1 << 60) - 1), 12).encode()
        self._count = 0
        self._log = RequestLog(services.clock.monotonic_ms)
        self._tasks: list[asyncio.Task[None]] = []

    # --- life -------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to keep facts and revocations fresh. Twice is once."""
        if self._tasks:
            return
        desk = self.desk
        await desk.revocations.poll()
        desk.spool.start()
        works = (
            desk.facts.keep_fresh(),
            desk.revocations.keep_polling(),
            self.privacy_work.run(),
            self.image_work.run(),
            self.shelf_work.run(),
            self.import_work.run(),
            desk.wms_work.run(),
            desk.news.keep_listening(),
            self.browsing.news.keep_watching(),
        )
        for work in works:
            self._tasks.append(asyncio.ensure_future(_lasting(work)))

    async def stop(self) -> None:
        """End what ``start`` began. Requests under way are answered."""
        tasks, self._tasks = self._tasks, []
        self.drain()
        self.desk.sold_out.close()
        self.desk.passwords.close()
        self.searching.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.desk.codes.close()
        await self.desk.wms_work.close()
        await self.desk.spool.close()

    def drain(self) -> None:
        """End what would go on for ever: streams. Their clients open them anew, elsewhere."""
        self.live_carts.close()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self.start()
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    # --- one request ------------------------------------------------------------------------------

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1000})

    def hot(self, scope: Scope, body: bytes) -> tuple[bytes, Reply | Awaitable[Reply]]:
        """One request of the hot lane, with its whole body (``serve.hot.lane``): its id, and the reply or what will give it."""
        started = time.perf_counter()
        request = self._request(scope)
        try:
            reply = self._begin(request, body)
        except Exception as error:
            reply = self._problem(request, error)
        if isinstance(reply, Reply):
            self._note(request, reply, time.perf_counter() - started)
            return request.id, reply
        return request.id, self._finish(request, reply, started)

    def _begin(self, request: Request, body: bytes) -> Reply | Awaitable[Reply]:
        if self.services.counters.in_flight >= self._in_flight_max:
            request.route = "refused"
            return problem_reply("busy", language=request.language)
        check_head(request)
        self._check_address(request)
        check_length(request, len(body), self.services.settings.body_bytes_max)
        path = request.path
        if request.method != "POST":
            return self._public(request) or self._answer(request, whole(body))
        if path.startswith(SALES) and "/" not in path[len(SALES) : -7]:
            request.route = "flash_order"
            return self.flash_orders.begin(request, body, path[len(SALES) : -7])
        if path == EMPTY and self.services.settings.bench:
            request.route = "bench_empty"
            return _EMPTY
        if path in login_guard.PATHS:
            return self._in_turn(request, self._place(request), body)
        return self._answer(request, whole(body))

    async def _finish(self, request: Request, begun: Awaitable[Reply], started: float) -> Reply:
        counters = self.services.counters
        counters.in_flight += 1
        try:
            reply = await begun
        except Exception as error:
            reply = self._problem(request, error)
        finally:
            counters.in_flight -= 1
        self._note(request, reply, time.perf_counter() - started)
        return reply

    def _request(self, scope: Scope) -> Request:
        self._count += 1
        return Request(scope, b"%s%x" % (self._ids, self._count))

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        counters = self.services.counters
        started = time.perf_counter()
        request = self._request(scope)
        if counters.in_flight >= self._in_flight_max:
            request.route = "refused"
            await self._send(request, problem_reply("busy", language=request.language), send, started)
            return
        if request.path == live_cart.PATH and request.method == "GET":
            await self._stream(request, receive, send, started)
            return
        counters.in_flight += 1
        try:
            reply = await self._answer(request, receive)
            await self._send(request, reply, send, started)
        except ClientGone:
            counters.answered(request.route, 499, time.perf_counter() - started)
        finally:
            counters.in_flight -= 1

    async def _stream(self, request: Request, receive: Receive, send: Send, started: float) -> None:
        """A live cart. It is no request in flight: it waits, and is bounded by itself."""
        request.route = "cart_events"
        try:
            check_head(request)
            self._check_address(request)
            holder, allowed = self._stream_holder(request)
            await self.live_carts.stream(request, receive, send, holder, allowed)
        except Exception as error:
            await self._send(request, self._problem(request, error), send, started)
        else:
            self.services.counters.answered(request.route, 200, time.perf_counter() - started)

    def _stream_holder(self, request: Request) -> tuple[str, Callable[[], bool]]:
        """Whose cart, and whether its holder may still see it. Refusal ``unauthenticated`` and so on."""
        guest, desk = request.headers.get(b"guest-token"), self.desk
        credential = desk.cookies.credential(request)
        if guest is not None and credential is None:
            return carts.guest_holder(guest), lambda: True
        token = desk.authentication.customer(credential, desk.clock.now_ms())
        if isinstance(token, Refused):
            raise Refusal(token.code)
        return token.user_id, lambda: not isinstance(desk.authentication.customer(credential, desk.clock.now_ms()), Refused)

    async def _answer(self, request: Request, receive: Receive) -> Reply:
        """The answer, whatever happens."""
        try:
            check_head(request)
            self._check_address(request)
            return await self._routed(request, receive)
        except ClientGone:
            raise
        except Exception as error:
            return self._problem(request, error)

    def _problem(self, request: Request, error: Exception) -> Reply:
        """What is answered to an exception: a problem, or a page for whoever asked for one."""
        if not wants_page(request):
            return self._said(request, error)
        return error.reply if isinstance(error, PageRefused) else problem_page(request, self._said(request, error))

    def _said(self, request: Request, error: Exception) -> Reply:
        """What people read of an exception; one that is nobody's is recorded."""
        language = request.language
        match error:
            case Refusal():
                return problem_reply(error.code, error.params, language=language)
            case Malformed():
                return problem_reply("malformed_body", {"reason": error.reason}, language=language)
            case msgspec.ValidationError():
                return problem_reply("invalid_request", {"reason": str(error)}, language=language)
            case msgspec.DecodeError() | UnicodeDecodeError():
                return problem_reply("malformed_body", language=language)
        lost = storage_error(error) if isinstance(error, LOST) else error
        if isinstance(lost, StorageUnknown):
            code = "storage_busy" if isinstance(lost, StorageBusy) else "storage_unavailable"
            log.warning(code, route=request.route, reason=f"{type(error).__name__}: {error}", request_id=request.id.decode())
            return problem_reply(code, language=language)
        log.error("request_failed", route=request.route, request_id=request.id.decode(), exc_info=error)
        return problem_reply("internal_error", language=language)

    def _routed(self, request: Request, receive: Receive) -> Awaitable[Reply]:
        """The endpoint of a request: hot ones by their text, the rest by the framework."""
        path, method = request.path, request.method
        if method == "POST":
            if path.startswith(SALES) and path.endswith("/orders") and "/" not in path[len(SALES) : -7]:
                request.route = "flash_order"
                return self.flash_orders.place(request, receive, path[len(SALES) : -7])
            if path == events.PATH:
                request.route = "events"
                return self.events.take(request, receive)
            if path == EMPTY and self.services.settings.bench:
                request.route = "bench_empty"
                return self._empty(request, receive)
            if path in login_guard.PATHS:
                return self._guarded(request, receive)
        elif method in ("GET", "HEAD") and path.startswith(MEDIA):
            request.route = "image"
            return self.media.reply(request)
        elif method in ("GET", "HEAD"):
            page = self._page(request, path)
            if page is not None:
                return page
        self._check_method(method, path)
        return self.framework.reply(request, receive)

    def _public(self, request: Request) -> Reply | Awaitable[Reply] | None:
        """A public page that is kept in memory, or what will give it; the hot lane takes most of these too."""
        page = self.browsing.begin(request)
        if page is not None:
            return page
        if request.path == category_tree.PATH:
            request.route = "categories"
            return self.category_tree.begin(request)
        if request.path == SEARCH:
            request.route = "search"
            return self.searching.search(request)
        if request.path == SUGGEST:
            request.route = "suggest"
            return self.searching.suggest(request)
        return None

    def _page(self, request: Request, path: str) -> Awaitable[Reply] | None:
        """The hot page of a path."""
        found = self._public(request)
        if found is not None:
            return _ready(found) if isinstance(found, Reply) else found
        if path == "/healthz":
            request.route = "healthz"
            return _ready(_ALIVE)
        document = self.documents.get(path)
        if document is not None:
            request.route = "document"
            return _ready(document)
        return None

    def _check_method(self, method: str, path: str) -> None:
        """Refusal for a hot path with another method: the framework does not know it."""
        hot = path.startswith((PRODUCTS, MEDIA)) or path in (*WHOLE_PATHS, events.PATH) or self.documents.get(path) is not None
        sale = path.startswith(SALES) and ("/" not in path[len(SALES) :] or path.endswith("/orders"))
        if hot or sale or (path == EMPTY and self.services.settings.bench):
            raise Refusal("method_not_allowed")

    async def _guarded(self, request: Request, receive: Receive) -> Reply:
        """What costs a password hash, off the hot lane."""
        body = await read_body(request, receive, self.services.settings.body_bytes_max)
        return await self._in_turn(request, self._place(request), body)

    def _place(self, request: Request) -> login_guard.Place:
        """The request's place in the line for passwords. Refusal ``busy``."""
        request.route = "refused"
        return self.desk.login_guard.enter(request.address(self.services.settings.forwarded_hops))

    async def _in_turn(self, request: Request, place: login_guard.Place, body: bytes) -> Reply:
        async with place:
            request.route = "unknown"
            return await self.framework.reply(request, whole(body))

    async def _empty(self, request: Request, receive: Receive) -> Reply:
        """What the listener costs by itself: reads a body, answers nothing."""
        await read_body(request, receive, self.services.settings.body_bytes_max)
        return _EMPTY

    def _check_address(self, request: Request) -> None:
        """Refusal when one address asks too often. This machine itself, and an unknown proxy on it, are not counted."""
        if not self.services.settings.rate_address_per_s:
            return
        address = request.address(self.services.settings.forwarded_hops)
        if address and not self._address_rate.take(address):
            raise Refusal("rate_limited")

    async def _send(self, request: Request, reply: Reply, send: Send, started: float) -> None:
        own = {name for name, _ in reply.headers}
        # A page with a policy of its own: a second one beside it would forbid what the first allows.
        headers = [*(header for header in SECURITY if header[0] not in own), *reply.headers, (b"x-request-id", request.id)]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        if request.pieces is not None:
            async for piece in request.pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else reply.body})
        self._note(request, reply, time.perf_counter() - started)

    def _note(self, request: Request, reply: Reply, seconds: float) -> None:
        """Count an answer; of slow and failed ones there are lines in the log."""
        counters = self.services.counters
        counters.answered(request.route, reply.status, seconds)
        if reply.code:
            counters.refusals[reply.code] += 1
        self._log.note(request, reply, seconds)


async def _ready(reply: Reply) -> Reply:
    return reply


async def _lasting(work: Coroutine[Any, Any, None]) -> None:
    """Background work whose end is a fault worth a line."""
    try:
        await work
    except asyncio.CancelledError:
        raise
    except Exception:
        log.exception("background_work_failed")


def build(services: Services) -> Application:
    """The application of one replica."""
    return Application(services)
