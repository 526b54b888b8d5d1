"""The simulator's HTTP side: routes of all four providers, faults on top, and the side door."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import msgspec
from aiohttp import web

from actors.testing.oauth_simulator import alipay, apple, qq, wechat
from actors.testing.oauth_simulator.answers import Call, Desk
from actors.testing.oauth_simulator.authorizing import asked, chosen, page, posting_page
from actors.testing.oauth_simulator.books import Books, Grant
from actors.testing.oauth_simulator.keys import SimulatorKeys
from actors.testing.oauth_simulator.plan import (
    PEOPLE,
    PROVIDER_OF_PATH,
    AppleNative,
    AppleTold,
    Choose,
    Fault,
    Issued,
    MiniCode,
    Plan,
    Report,
)

BODY_BYTES_MAX: Final = 64 * 1024
_Body = TypeVar("_Body")
_Answering = Callable[[Desk, Call], web.Response]

_ROUTES: Final[dict[str, tuple[str, str, _Answering]]] = {
    "/sns/oauth2/access_token": ("GET", "wechat.token", wechat.token),
    "/sns/userinfo": ("GET", "wechat.user", wechat.user),
    "/sns/jscode2session": ("GET", "wechat.session", wechat.session),
    "/oauth2.0/token": ("GET", "qq.token", qq.token),
    "/oauth2.0/me": ("GET", "qq.me", qq.me),
    "/user/get_user_info": ("GET", "qq.user", qq.user),
    "/gateway.do": ("POST", "", alipay.gateway),
    "/auth/token": ("POST", "apple.token", apple.token),
    "/auth/keys": ("GET", "apple.keys", apple.keys),
}


class Simulator:
    """Four providers, their people and their faults. keys: may be shared between simulators, since making them takes a while."""

    def __init__(self, keys: SimulatorKeys | None = None) -> None:
        self.desk = Desk(keys=keys or SimulatorKeys(), books=Books(time.time))
        self.faults: list[Fault] = []
        self.calls: Counter[str] = Counter()

    def routes(self) -> list[web.RouteDef]:
        """All of them."""
        control: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = {
            "faults": self._add_fault, "plan": self._set_plan, "choose": self._choose_told, "mini_code": self._mini_code,
            "apple_native": self._apple_native, "apple_told": self._apple_told,
            "report": self._report, "reset": self._reset, "keys": self._keys,
        }  # fmt: skip
        return [
            *(web.route(method, path, self._api) for path, (method, _, _) in _ROUTES.items()),
            *(web.get(path, self._authorize) for path in PROVIDER_OF_PATH),
            web.post("/_choose", self._choose),
            web.get("/_stolen", self._stolen),
            *(web.post(f"/_control/{name}", _guarded(handler)) for name, handler in control.items()),
        ]

    async def _api(self, request: web.Request) -> web.StreamResponse:
        """One call of a provider."""
        _, operation, answering = _ROUTES[request.path]
        form = {name: str(value) for name, value in (await request.post()).items()} if request.method == "POST" else {}
        query = dict(request.query)
        operation = operation or alipay.operation_of(query.get("method", ""))
        self.calls[operation] += 1
        fault = self._take_fault(operation)
        if fault is None:
            return answering(self.desk, Call(query=query, form=form))
        match fault.kind:
            case "lose":
                return _cut(request)
            case "refuse":
                return web.Response(status=fault.status, text="<html>simulated</html>", content_type="text/html")
            case "garbage":
                return web.Response(text="\x00<html>&&&==", content_type="text/html")
            case "redirect":
                return web.Response(status=302, headers={"Location": f"{self.desk.url}/_stolen"})
        answer = answering(self.desk, Call(query=query, form=form, twist=fault.twist, error=fault.code))
        if fault.kind == "hang":
            await asyncio.sleep(fault.seconds)
        return _cut(request) if fault.kind == "drop" else answer

    def _take_fault(self, operation: str) -> Fault | None:
        for i, fault in enumerate(self.faults):
            if fault.operation == operation:
                if fault.times > 1:
                    self.faults[i] = msgspec.structs.replace(fault, times=fault.times - 1)
                else:
                    del self.faults[i]
                return fault
        return None

    async def _authorize(self, request: web.Request) -> web.StreamResponse:
        """The page of a provider."""
        found = asked(request.path_qs, self.desk.keys.given)
        if isinstance(found, str):
            return web.Response(status=400, text=found)
        return web.Response(text=page(request.path_qs, found[0]), content_type="text/html", charset="utf-8")

    async def _choose(self, request: web.Request) -> web.StreamResponse:
        """A button of the page."""
        form = await request.post()
        authorize_url, who = str(form.get("authorize_url", "")), str(form.get("who", ""))
        found = asked(authorize_url, self.desk.keys.given)
        if isinstance(found, str) or (who and who not in PEOPLE):
            return web.Response(status=400, text=str(found))
        back = chosen(self.desk, *found, who)
        if back.posted:
            return web.Response(text=posting_page(back), content_type="text/html", charset="utf-8")
        return web.Response(status=303, headers={"Location": back.url})

    async def _stolen(self, request: web.Request) -> web.StreamResponse:
        """Where a redirected caller would leave its secrets."""
        self.calls["stolen"] += 1
        return web.Response(text="{}")

    # --- the side door ----------------------------------------------------------------------------

    async def _add_fault(self, request: web.Request) -> web.StreamResponse:
        self.faults.append(await _read(request, Fault))
        return await self._report(request)

    async def _set_plan(self, request: web.Request) -> web.StreamResponse:
        plan = await _read(request, Plan)
        if plan.apple_rotates:
            self.desk.keys.rotate()
        self.desk.plan = plan
        return await self._report(request)

    async def _choose_told(self, request: web.Request) -> web.StreamResponse:
        told = await _read(request, Choose)
        found = asked(told.authorize_url, self.desk.keys.given)
        if isinstance(found, str) or (told.who and told.who not in PEOPLE):
            return web.json_response({"error": str(found)}, status=422)
        return _json(chosen(self.desk, *found, told.who))

    async def _mini_code(self, request: web.Request) -> web.StreamResponse:
        told, books = await _read(request, MiniCode), self.desk.books
        app_id = self.desk.keys.given.wechat_mini_app_id
        return _json(Issued(code=books.issue(Grant(provider="wechat", app_id=app_id, who=told.who, issued_at_s=books.now_s()))))

    async def _apple_native(self, request: web.Request) -> web.StreamResponse:
        told, books = await _read(request, AppleNative), self.desk.books
        grant = Grant(
            provider="apple", app_id=self.desk.keys.given.apple_app_id, who=told.who, issued_at_s=books.now_s(), nonce=told.nonce
        )  # fmt: skip
        return _json(Issued(code=apple.id_token(self.desk, grant, told.twist)))

    async def _apple_told(self, request: web.Request) -> web.StreamResponse:
        return _json(Issued(code=apple.notification(self.desk, await _read(request, AppleTold))))

    async def _report(self, request: web.Request) -> web.StreamResponse:
        open_faults = sum(fault.times for fault in self.faults)
        return _json(Report(calls=dict(self.calls), replays=self.desk.books.replays, open_faults=open_faults))

    async def _reset(self, request: web.Request) -> web.StreamResponse:
        self.faults.clear()
        self.calls.clear()
        self.desk.books, self.desk.plan = Books(time.time), Plan()
        return await self._report(request)

    async def _keys(self, request: web.Request) -> web.StreamResponse:
        return _json(self.desk.keys.given)


@asynccontextmanager
async def serving(keys: SimulatorKeys | None = None, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[tuple[str, Simulator]]:
    """Run a simulator in this event loop; yields its URL. Port 0: a free one."""
    simulator = Simulator(keys)
    app = web.Application(client_max_size=BODY_BYTES_MAX)
    app.add_routes(simulator.routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        simulator.desk.url = f"http://{host}:{runner.addresses[0][1]}"
        yield simulator.desk.url, simulator
    finally:
        await runner.cleanup()


def _guarded(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def guarded(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except msgspec.DecodeError as error:
            return web.json_response({"error": str(error)}, status=422)

    return guarded


async def _read(request: web.Request, kind: type[_Body]) -> _Body:
    return msgspec.json.decode(await request.read() or b"{}", type=kind)


def _json(body: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), content_type="application/json")


def _cut(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)
