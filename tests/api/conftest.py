"""A whole shop for tests of the API: the application behind a real socket, real owners on a journal in memory, real PostgreSQL."""

import asyncio
import itertools
import json
import random
import re
import secrets
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import msgspec
import pytest
import pytest_asyncio
import uvicorn

from actors.adapters.oauth.offered import Logins
from actors.adapters.payments.gateway import GatewayEffects
from actors.client.client import Client, ClientPeers
from actors.domain import token as tokens
from actors.domain.sharding import Sharding
from actors.domain.signing import SigningKeys
from actors.owners.door import Door
from actors.owners.host import Host
from actors.owners.limits import Limits
from actors.owners.placement import Placement
from actors.storage.clock import DatabaseClock
from actors.storage.connect import open_pool
from actors.storage.embedded import EmbeddedPostgres
from actors.storage.facts import PostgresFacts
from actors.storage.migrate import migrate
from actors.storage.probe import Probe
from actors.storage.sealing import FieldKeys, Sealer
from actors.testing.memory import MemoryJournal
from actors.testing.payments import FakeGateway
from schemas.envelope import Call
from schemas.ids import derived_id
from schemas.settings import Settings
from schemas.stock import PutIn
from serve.application import Application, build
from serve.services import Services

SHARDS = 16
KEYS = SigningKeys(current=1, keys={1: b"k" * 32})
FIELD_KEYS = FieldKeys(current=1, keys={1: b"f" * 32}, lookup=b"l" * 32)
TICKET_KEYS = SigningKeys(current=1, keys={1: b"t" * 32})
_CALLS = msgspec.msgpack.Decoder(list[Call])
SETTINGS = Settings(shard_count=SHARDS, bench=True, replicas=1, rate_user_per_s=1000, login_threads=2)

INSERT_PRODUCT = """
INSERT INTO product (product_id, title, title_zh, department, department_zh, category) VALUES ($1, $2, $3, 'HOME', '家居', $4)"""
INSERT_SKU = "INSERT INTO sku (sku_id, product_id, code, price_minor, currency, on_shelf) VALUES ($1, $2, $1, $3, $4, $5)"
INSERT_SALE = """
INSERT INTO flash_sale (sale_id, title, title_zh, state, mode, opens_at_ms, ends_at_ms, prices, currency, limit_per_user,
    ticket_required, rate_per_s)
VALUES ($1, 'Sale', '特卖', $2, $3, $4, $5, $6, $7, $8, $9, $10)"""
INSERT_COUPON = """
INSERT INTO coupon (coupon_id, title, title_zh, kind, value, currency, quota_total, starts_at, ends_at)
VALUES ($1, 'c', 'c', 'percent', 10, 'CNY', 10, now() - interval '1 day', now() + interval '1 year')"""


class _Transport:
    """Envelopes to hosts in this process, and which commands were in them: one whose answer is late is asked for again."""

    def __init__(self) -> None:
        self.doors: dict[str, Door] = {}
        self.asked: dict[bytes, str] = {}

    async def call(self, host: str, payload: bytes) -> bytes:
        for call in _CALLS.decode(payload):
            self.asked[call.id] = call.kind
        return await self.doors[host].envelope(payload)

    def asked_since(self, earlier: int) -> list[str]:
        """The kinds that were asked, a command once, after so many commands."""
        return list(self.asked.values())[earlier:]


class Answer:
    """One HTTP answer, read."""

    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return self.json["code"] if self.status >= 400 else ""


class Shop:
    """The running shop, and what a test does to it."""

    def __init__(self, services: Services, application: Application, base: str, session: aiohttp.ClientSession) -> None:
        self.services = services
        self.application = application
        self.base = base
        self.session = session
        self.pool = services.pool
        self.clock = services.clock
        self.client = services.client
        self.gateway: FakeGateway = services.gateway  # type: ignore[assignment]
        self.transport: _Transport = services.client._transport  # type: ignore[assignment]
        self._numbers = itertools.count(1)

    async def ask(
        self, method: str, path: str, body: Any = None, *, token: str = "", key: str | None = "", headers: dict[str, str] | None = None
    ) -> Answer:
        """One request. ``key``: "" makes a fresh Idempotency-Key for a POST, None sends none."""
        send = dict(headers or {})
        if token:
            send["Authorization"] = f"Bearer {token}"
        if key is not None and method == "POST":
            send.setdefault("Idempotency-Key", key or secrets.token_hex(12))
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        if data is not None:
            send.setdefault("Content-Type", "application/json")
        async with self.session.request(method, self.base + path, data=data, headers=send, allow_redirects=False) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    def user(self) -> tuple[str, str]:
        """A new user's id and access token."""
        user_id = f"usr_t{next(self._numbers)}x{secrets.token_hex(3)}"
        return user_id, self.token_of(user_id)

    async def code(self, purpose: str, *, token: str = "", **named: str) -> dict[str, str]:
        """Have a code sent to an ``email`` or a ``phone`` and read it; answers what proves the destination."""
        channel, to = ("sms", named["phone"]) if "phone" in named else ("email", named["email"])
        sent = await self.ask("POST", "/v1/codes", {"channel": channel, "to": to, "purpose": purpose}, token=token)
        assert sent.status == 202, sent.body
        kept = (await self.ask("GET", "/dev/outbox.json")).json["messages"]
        texts = [message["body"] for message in kept if message["channel"] == channel and message["template"] == "code"]
        found = re.search(r"\b\d{6}\b", texts[0]) if texts else None
        return {**named, "challenge_id": sent.json["challenge_id"], "code": found[0] if found else "000000"}

    async def register(self, person: dict[str, str]) -> dict[str, Any]:
        """Open an account with this ``email`` or ``phone`` and password; answers its first tokens."""
        named = {name: person[name] for name in ("email", "phone") if name in person}
        answer = await self.ask("POST", "/v1/users", {**await self.code("register", **named), "password": person["password"]})
        assert answer.status == 201, answer.body
        return answer.json

    def clock_forward(self, milliseconds: int) -> None:
        """So much time passes for the shop."""
        self.clock._offset_ms += milliseconds

    def token_of(self, user_id: str, *, session_id: str = "", expires_in_ms: int = 600_000, roles: int = 1) -> str:
        """An access token as a login would have given it."""
        token = tokens.AccessToken(
            user_id=user_id, session_id=session_id or "ses_" + secrets.token_hex(8), generation=0, roles=roles,
            expires_at_ms=self.clock.now_ms() + expires_in_ms,
        )  # fmt: skip
        return tokens.issue(KEYS, token)

    async def sku(self, stock: int = 0, *, price: int = 1999, currency: str = "CNY", on_shelf: bool = True, category: str = "CUP") -> str:
        """A new SKU of a new product, with stock."""
        number = f"t{next(self._numbers)}x{secrets.token_hex(3)}"
        await self.pool.execute(INSERT_PRODUCT, f"prd_{number}", f"Cup {number}", f"杯子 {number}", category)
        await self.pool.execute(INSERT_SKU, f"sku_{number}", f"prd_{number}", price, currency, on_shelf)
        if stock:
            await self.put_in(f"sku_{number}", stock)
        await self.fresh_facts()
        return f"sku_{number}"

    async def put_in(self, sku_id: str, stock: int) -> None:
        """Units arrive."""
        answer = await self.client.ask("stock", sku_id + "#0", PutIn(quantity=stock), command_id=secrets.token_bytes(16), digest=b"d")
        assert not answer.code, answer

    async def sale(
        self, sku_id: str, *, price: int = 999, limit: int = 5, state: str = "open", mode: str = "first_come", ticket: bool = False,
        opens_in_ms: int = -1000, ends_in_ms: int = 3_600_000, rate: int = 0, currency: str = "CNY",
    ) -> str:  # fmt: skip
        """A new sale of one SKU."""
        sale_id = f"sal_t{next(self._numbers)}x{secrets.token_hex(3)}"
        now_ms = self.clock.now_ms()
        await self.pool.execute(
            INSERT_SALE, sale_id, state, mode, now_ms + opens_in_ms, now_ms + ends_in_ms, json.dumps({sku_id: price}), currency, limit,
            ticket, rate,
        )  # fmt: skip
        await self.fresh_facts()
        return sale_id

    async def coupon(self) -> str:
        """A new coupon: 10 % off everything."""
        coupon_id = f"cpn_t{next(self._numbers)}x{secrets.token_hex(3)}"
        await self.pool.execute(INSERT_COUPON, coupon_id)
        await self.fresh_facts()
        return coupon_id

    async def fresh_facts(self) -> None:
        """What was just written is known everywhere."""
        await self.application.desk.facts._cache.refresh()
        for door in self.transport.doors.values():
            await door._host.facts.refresh()

    async def flash_order(self, sale_id: str, sku_id: str, token: str, *, quantity: int = 1, key: str | None = "", **more: Any) -> Answer:
        """Buy in a sale."""
        body = {"sku_id": sku_id, "quantity": quantity, **more}
        return await self.ask("POST", f"/v1/flash-sales/{sale_id}/orders", body, token=token, key=key)


@pytest.fixture(scope="session")
def database_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a migrated, empty database."""
    folder: Path = tmp_path_factory.mktemp("api") / "postgres"
    server = EmbeddedPostgres(folder)
    url = server.start()
    asyncio.run(_migrate(url))
    yield url
    server.stop()


async def _migrate(url: str) -> None:
    connection = await asyncpg.connect(url)
    await migrate(connection)
    await connection.close()


@asynccontextmanager
async def running_shop(
    database_url: str, settings: Settings = SETTINGS, *, redis: Any = None, logins: Logins | None = None
) -> AsyncIterator[Shop]:
    """A shop of one host and one replica."""
    clock = DatabaseClock()
    journal = MemoryJournal(clock, SHARDS)
    sharding = Sharding(b"s" * 16, SHARDS)
    transport = _Transport()
    client = Client(sharding, transport, journal, clock, random.Random(1))
    pool = await open_pool(database_url, size=4)
    probe = Probe(database_url)
    gateway = FakeGateway(clock, random.Random(2))
    facts = PostgresFacts(pool)
    host = Host("h0", sharding, journal, facts, ClientPeers(client, clock), GatewayEffects(gateway), clock, Limits())
    transport.doors["h0"] = Door(host)
    placement = Placement(host, journal)
    work = [asyncio.ensure_future(placement.keep_lease()), asyncio.ensure_future(host.keep_reminding())]
    while len(host.shards) < SHARDS:
        await asyncio.sleep(0)
        await placement.look()
    folder = tempfile.TemporaryDirectory(prefix="stampede-shop-")
    if settings.data_dir == SETTINGS.data_dir:
        settings = msgspec.structs.replace(settings, data_dir=folder.name)
    services = Services(
        settings=settings, clock=clock, client=client, directory=journal, facts=facts, pool=pool, probe=probe, gateway=gateway,
        token_keys=KEYS, ticket_keys=TICKET_KEYS, sealer=Sealer(FIELD_KEYS), redis=redis,
        logins=logins or Logins(),
    )  # fmt: skip
    application = build(services)
    async with _listening(application) as base, aiohttp.ClientSession() as session:
        yield Shop(services, application, base, session)
    for task in work:
        task.cancel()
    await asyncio.gather(*work, return_exceptions=True)
    await probe.close()
    await pool.close()
    folder.cleanup()


@asynccontextmanager
async def _listening(application: Application) -> AsyncIterator[str]:
    # Opened anew by its number, as the node's replicas do: only then is its protocol known, and answers do not wait for Nagle.
    listening = socket.socket(fileno=socket.create_server(("127.0.0.1", 0)).detach())
    app: Any = application
    # Generated requests come with long thoughts in between: their connection is not to be closed meanwhile.
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on", server_header=False, timeout_keep_alive=600))
    running = asyncio.ensure_future(server.serve(sockets=[listening]))
    while not server.started:  # noqa: ASYNC110 (the server announces it nowhere else)
        await asyncio.sleep(0.005)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    await running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shop(database_url: str) -> AsyncIterator[Shop]:
    """The one shop of this run; every test brings its own users, articles and sales."""
    async with running_shop(database_url) as found:
        yield found


@pytest.fixture(scope="session", name="running_shop")
def running_shop_fixture() -> Callable[..., AbstractAsyncContextManager[Shop]]:
    """Opens a shop of its own, as a context."""
    return running_shop


def reservation_of(user_id: str, key: str) -> bytes:
    """The reservation that a flash order with this key makes."""
    return derived_id(derived_id(user_id, b"flash", key), "r0")
