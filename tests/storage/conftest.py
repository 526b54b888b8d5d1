"""A journal to write into by hand, and a whole shop of real owners on a real PostgreSQL."""

import asyncio
import contextlib
import inspect
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import asyncpg
import pytest

from actors.client.client import Client, ClientPeers
from actors.domain.dates import day_of
from actors.domain.entity import Send
from actors.domain.kinds import KINDS, Body, Meta, WireSend, encoder
from actors.domain.sharding import Sharding
from actors.owners.door import Door
from actors.owners.host import Host
from actors.owners.limits import Limits
from actors.owners.placement import Placement
from actors.ports.journal import Fence, Row
from actors.storage.board import PostgresBoard
from actors.storage.clock import DatabaseClock
from actors.storage.connect import Identity
from actors.storage.facts import PostgresFacts
from actors.storage.journal import PostgresJournal
from actors.storage.migrate import found_cluster
from actors.storage.projections.follower import Follower
from actors.storage.projections.groups import GROUPS
from actors.testing.market import HOME
from actors.testing.members import membership
from schemas.admission import Configure as ConfigureSale
from schemas.admission import Open as OpenSale
from schemas.cart import PutLine
from schemas.envelope import Answer
from schemas.gateway import GatewayClose, GatewayOpen, GatewayPayment, GatewayRefund, GatewayRefunded
from schemas.ids import derived_id, order_id
from schemas.member import Earn, SignIn, SpendInMall, TakeBack
from schemas.offer import CouponTerms, Offer, SaleTerms
from schemas.order import CancelOrder, Considered, Line, PaymentNotice, PayOrder, PlaceOrder, ReadOrder, Wish
from schemas.quota import Configure as ConfigureQuota
from schemas.sessions import Login, RevokeAll
from schemas.stock import Adjust, Arrive, Move, PutIn, ReturnIn, SetSafety, TransferOut, WriteOff

SHARDS = 8


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Any]:
    """A connection to the test's database, founded with eight shards."""
    connection = await asyncpg.connect(database_url)
    await found_cluster(connection, SHARDS)
    yield connection
    await connection.close()


@pytest.fixture
async def sharding(connection: Any) -> Sharding:
    cluster = await found_cluster(connection, SHARDS)
    return cluster.sharding()


@pytest.fixture
async def follower(database_url: str, connection: Any) -> AsyncIterator[Follower]:
    """Follows the group of orders, whose steps are counted."""
    follower = Follower(database_url, {"orders": GROUPS["orders"]})
    yield follower
    await follower.close()


@pytest.fixture
async def whole_follower(database_url: str, connection: Any) -> AsyncIterator[Follower]:
    """Every registered group: nothing is pruned that one of them has not followed."""
    follower = Follower(database_url)
    yield follower
    await follower.close()


async def _eventually(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not ((await found) if inspect.isawaitable(found := condition()) else found):  # noqa: ASYNC110
            # What is waited for happens in another process, which sets no event here.
            await asyncio.sleep(0.01)


@pytest.fixture
def eventually() -> Callable[[Callable[[], Any]], Awaitable[None]]:
    """Waits until a condition (a plain or an async function) holds; fails after twenty seconds."""
    return _eventually


class Writer:
    """Appends records of hand-made events, as an owner with epoch 0 would."""

    def __init__(self, url: str, sharding: Sharding) -> None:
        self.journal = PostgresJournal(url, "writer")
        self.sharding = sharding
        self.heads: dict[int, int] = {}
        self.versions: dict[tuple[str, str], int] = {}
        self.states: dict[tuple[str, str], Any] = {}
        self._ids = itertools.count(1)

    async def write(
        self,
        kind: str,
        key: str,
        *events: Any,
        command_id: bytes | None = None,
        digest: bytes = b"d",
        sends: tuple[Send, ...] = (),
        acks: tuple[bytes, ...] = (),
        at_ms: int = 1_700_000_000_000,
        body: bytes | None = None,
    ) -> Row:
        """One record; its shard, seq and version follow from what was written before."""
        shard = self.sharding.shard(kind, key)
        head = self.heads.get(shard, 0)
        version = self.versions.get((kind, key), 0) + 1
        wire = [WireSend(send.id, send.step, send.kind, send.key, send.command) for send in sends]
        row = Row(
            shard=shard,
            seq=head + 1,
            kind=kind,
            key=key,
            version=version,
            command_id=derived_id("test", str(next(self._ids))) if command_id is None else command_id,
            at_ms=at_ms,
            wake_ms=0,
            body=encoder.encode(Body(list(events), digest)) if body is None else body,
            meta=encoder.encode(Meta(wire, list(acks))) if sends or acks else b"",
        )
        assert await self.journal.append([Fence(shard=shard, epoch=0, head=head, new_head=head + 1)], [row])
        self.heads[shard], self.versions[(kind, key)] = head + 1, version
        if body is None:
            state = self.states.setdefault((kind, key), KINDS[kind].new(key))
            for event in events:
                KINDS[kind].apply(state, event)
        return row


@pytest.fixture
async def writer(database_url: str, sharding: Sharding) -> AsyncIterator[Writer]:
    writer = Writer(database_url, sharding)
    yield writer
    await writer.journal.close()


class Facts:
    """Every SKU is sold for 19.99 yuan in one part (``hot`` ones in two), every sale is open to all. ``tables``: or what they say."""

    def __init__(self) -> None:
        self.tables: PostgresFacts | None = None

    async def load(self, names: list[str]) -> dict[str, Any]:
        return {name: self._fact(name) for name in names} if self.tables is None else await self.tables.load(names)

    def _fact(self, name: str) -> Any:
        what, _, key = name.partition(":")
        if what in ("member", "member_price", "mall"):
            return membership().get(name)
        if what == "sku":
            return Offer(sku_id=key, product_id="prd_1", price=1999, currency="CNY", parts=2 if "hot" in key else 1, version=1)
        if what == "coupon":
            return CouponTerms(coupon_id=key, method="amount", value=100, currency="CNY")
        return SaleTerms(
            sale_id=key, state="open", opens_at_ms=0, ends_at_ms=2**50, prices={"sku_hot": 1999}, currency="CNY", limit_per_user=3
        )

    async def changed(self, since: int) -> tuple[int, list[str]]:
        return (1, []) if self.tables is None else await self.tables.changed(since)


class Gateway:
    """A provider that opens, closes and refunds at once, and says the money came when ``Shop.pay`` does."""

    def __init__(self) -> None:
        self.down = False

    def handles(self, kind: str) -> bool:
        return kind == "gateway"

    async def perform(self, kind: str, command: Any, command_id: bytes) -> Any:
        if self.down:
            raise TimeoutError
        match command:
            case GatewayOpen() | GatewayClose():
                return GatewayPayment(
                    payment_id=command.payment_id,
                    provider_id="pi_" + command.payment_id,
                    status="pending" if isinstance(command, GatewayOpen) else "closed",
                    amount=command.amount,
                    currency=command.currency,
                    client_secret="secret",
                )
            case GatewayRefund():
                return GatewayRefunded(refund_id=command.refund_id, status="done")
            case _:
                raise TimeoutError


class Doors:
    """Envelopes between hosts of one process."""

    def __init__(self) -> None:
        self.doors: dict[str, Door] = {}

    async def call(self, host: str, payload: bytes) -> bytes:
        return await self.doors[host].envelope(payload)


class Shop:
    """Two hosts, a client, a gateway, and a follower that is stepped by hand."""

    def __init__(self, url: str, sharding: Sharding, clock: DatabaseClock, host_url: str = "", guarded: bool = True) -> None:
        self.url, self.sharding, self.clock = url, sharding, clock
        self.host_url, self.guarded = host_url or url, guarded
        self.gateway, self.doors, self.facts = Gateway(), Doors(), Facts()
        self.client_board = PostgresBoard(url, "client")
        self.client = Client(sharding, self.doors, self.client_board, clock)
        self.hosts: list[Host] = []
        self.boards: list[PostgresBoard] = [self.client_board]
        self.journals: list[PostgresJournal] = []
        self.tasks: list[asyncio.Task[None]] = []
        self._numbers = itertools.count(1)

    async def start(self, hosts: int = 2) -> None:
        for number in range(hosts):
            name = f"h{number}"
            identity = Identity(lambda number=number: self.hosts[number].forget_everything()) if self.guarded else None
            board = PostgresBoard(self.host_url, name, node="n", identity=identity)
            journal = PostgresJournal(self.host_url, name, identity=identity)
            await board.join(name, name)
            limits = Limits(board_ms=50)
            host = Host(name, self.sharding, journal, self.facts, ClientPeers(self.client, self.clock), self.gateway, self.clock, limits)
            self.doors.doors[name] = Door(host)
            self.hosts.append(host)
            self.boards.append(board)
            self.journals.append(journal)
        for host, board in zip(self.hosts, self.boards[1:], strict=True):
            placement = Placement(host, board)
            self.tasks += [asyncio.ensure_future(work()) for work in (placement.keep_lease, placement.keep_shards, host.keep_reminding)]
        await self.until(lambda: sum(len(host.shards) for host in self.hosts) == SHARDS)

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for host in self.hosts:
            for shard in list(host.shards.values()):
                host.drop(shard)
        everyone = [task for task in asyncio.all_tasks() if task is not asyncio.current_task() and "_carry" in repr(task)]
        for task in everyone:
            task.cancel()
        await asyncio.gather(*everyone, return_exceptions=True)
        for closing in (*self.boards, *self.journals):
            await closing.close()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let everybody work until it holds."""
        await _eventually(condition)

    async def settled(self) -> None:
        """Let every send be answered."""
        await self.until(lambda: not any(shard.outbox for host in self.hosts for shard in host.shards.values()))

    async def ask(self, kind: str, key: str, command: Any) -> Answer:
        command_id = derived_id("shop", str(next(self._numbers)))
        return await self.client.ask(kind, key, command, command_id=command_id, digest=b"d", deadline_ms=self.clock.now_ms() + 15_000)

    async def put_in(self, key: str, quantity: int) -> None:
        assert (await self.ask("stock", key, PutIn(quantity=quantity))).code == ""

    async def order(self, user_id: str, *sku_ids: str, **terms: Any) -> Answer:
        lines = tuple(Line(sku_id=sku_id, quantity=1) for sku_id in sku_ids)
        proposal = order_id(self.clock.now_ms(), 1, next(self._numbers))
        return await self.ask("order", user_id, PlaceOrder(order_id=proposal, lines=lines, ship_to=HOME, **terms))

    async def pay_late(self, user_id: str, order: str) -> Answer:
        """The provider says that the money came after all."""
        paid = PaymentNotice(
            order_id=order, payment_id=f"pay_{order[4:]}", status="paid", amount=1999, currency="CNY", provider_id="pi_late"
        )
        return await self.ask("order", user_id, paid)

    async def pay(self, user_id: str, order: str, *, amount: int | None = None) -> Answer:
        payment_id = f"pay_{order[4:]}"
        view = (await self.ask("order", user_id, PayOrder(order_id=order, payment_id=payment_id))).reply
        paid = PaymentNotice(
            order_id=order,
            payment_id=payment_id,
            status="paid",
            amount=amount or view.amount.amount,
            currency="CNY",
            provider_id=view.provider_id,
        )
        return await self.ask("order", user_id, paid)


@contextlib.asynccontextmanager
async def _open_shop(url: str, connection: Any, host_url: str = "", *, guarded: bool = True) -> AsyncIterator[Shop]:
    """``host_url``: how the hosts reach the database, where that is not how everybody else does. ``guarded``: they know it again."""
    cluster = await found_cluster(connection, SHARDS)
    clock = DatabaseClock()
    await clock.sync(connection)
    shop = Shop(url, cluster.sharding(), clock, host_url, guarded)
    await shop.start()
    try:
        yield shop
    finally:
        await shop.stop()


@pytest.fixture
async def shop(database_url: str, connection: Any) -> AsyncIterator[Shop]:
    """A shop that is open."""
    async with _open_shop(database_url, connection) as shop:
        yield shop


@pytest.fixture(scope="session", name="open_shop")
def open_shop_fixture() -> Callable[..., contextlib.AbstractAsyncContextManager[Shop]]:
    """Opens a shop in a database."""
    return _open_shop


INSERT_SALE = """
INSERT INTO flash_sale (sale_id, title, title_zh, state, mode, opens_at_ms, ends_at_ms, prices, currency, limit_per_user)
VALUES ('sal_1', 'Sale', '秒杀', 'closed', 'first_come', 0, 4102444800000, '{}', 'CNY', 3)
"""


async def _trade(shop: Shop) -> None:
    """Something of everything: paid, cancelled, expired, refused, paid late, paid wrongly, moved between parts."""
    for key in ("sku_1#0", "sku_2#0", "sku_hot#0", "sku_hot#1"):
        await shop.put_in(key, 40)
    await shop.put_in("sku_last#0", 1)
    await shop.ask("stock", "sku_2#0", WriteOff(quantity=2))
    await shop.ask("stock", "sku_hot#0", TransferOut(transfer_id=b"t" * 16, to_key="sku_hot#1", quantity=5))
    await shop.ask("quota", "cpn_1", ConfigureQuota(total=9, per_user=1))
    sale = ConfigureSale(mode="first_come", sku_ids=("sku_hot",), opens_at_ms=0, ends_at_ms=4_102_444_800_000)
    await shop.ask("admission", "sal_1", sale)
    await shop.ask("admission", "sal_1", OpenSale())
    for number in range(12):
        user_id = f"usr_{number}"
        await shop.ask("sessions", user_id, Login(session_id=f"ses_{number}", refresh_hash=bytes([number]) * 32))
        await shop.ask("cart", user_id, PutLine(sku_id="sku_1", quantity=2))
        placed = [
            await shop.order(user_id, "sku_1", "sku_2", coupon_ids=("cpn_1",)),
            await shop.order(user_id, "sku_hot", sale_id="sal_1"),
            await shop.order(user_id, "sku_hot", sale_id="sal_1"),
            await shop.order(user_id, "sku_last"),
        ]
        if number >= 8:
            continue
        first, second = placed[0].reply.order_id, placed[1].reply.order_id
        if number < 4:
            assert (await shop.pay(user_id, first)).code == ""
        elif number < 6:
            await shop.ask("order", user_id, CancelOrder(order_id=first))
            await shop.ask("order", user_id, PayOrder(order_id=second, payment_id=f"pay_{second[4:]}"))
            await shop.ask("order", user_id, CancelOrder(order_id=second))
            assert (await shop.pay_late(user_id, second)).code == ""
        elif number < 7:
            await shop.pay(user_id, second, amount=7)
        else:
            await shop.ask("sessions", user_id, RevokeAll())
    await _spend_points(shop)
    await _use_warehouses(shop)
    await shop.order("usr_1", "sku_1", hold_ms=1)
    await shop.settled()


async def _use_warehouses(shop: Shop) -> None:
    """Two warehouses and a batch: sold, cancelled, returned, counted, lost, moved, kept back, sent to another part."""

    async def done(key: str, command: Any) -> None:
        assert (await shop.ask("stock", key, command)).code == "", command

    for key, warehouse_id, quantity in (("sku_wh#0", "whs_e", 9), ("sku_wh#0", "whs_w", 5), ("sku_hot#0", "whs_e", 6)):
        await done(key, PutIn(quantity=quantity, warehouse_id=warehouse_id, reason="receipt"))
    await done("sku_wh#0", PutIn(quantity=4, warehouse_id="whs_w", batch="b1", expires_on="2090-01-01"))
    await done("sku_wh#0", SetSafety(warehouse_id="whs_w", quantity=1))
    await done("sku_hot#0", TransferOut(transfer_id=b"w" * 16, to_key="sku_hot#1", quantity=20))
    wishes = (Wish(prefer=("whs_w", "whs_e")),)
    considered = (Considered(warehouse_id="whs_w", verdict="whole"),)
    orders = [await shop.order(f"usr_w{n}", "sku_wh", wishes=wishes, considered=considered) for n in range(4)]
    assert [order.reply.sources[0].warehouse_id for order in orders] == ["whs_w"] * 4
    assert (await shop.pay("usr_w0", orders[0].reply.order_id)).code == ""
    await shop.ask("order", "usr_w1", CancelOrder(order_id=orders[1].reply.order_id))
    whole = await shop.ask(
        "order", "usr_w4",
        PlaceOrder(order_id=order_id(shop.clock.now_ms(), 1, 77), lines=(Line(sku_id="sku_wh", quantity=12),), ship_to=HOME),
    )  # fmt: skip
    assert {source.warehouse_id for source in whole.reply.sources} == {"whs_e", "whs_w"}
    view = (await shop.ask("order", "usr_w0", ReadOrder(order_id=orders[0].reply.order_id))).reply
    await done("sku_wh#0", ReturnIn(return_id=b"r" * 16, reservation_id=view.reservation_ids[0], quantity=1, warehouse_id="whs_e"))
    await done("sku_wh#0", Move(move_id=b"m" * 16, from_warehouse="whs_e", to_warehouse="whs_n", quantity=1))
    await done("sku_wh#0", Arrive(move_id=b"m" * 16))
    await done("sku_wh#0", Move(move_id=b"n" * 16, from_warehouse="whs_w", to_warehouse="", quantity=1))
    await done("sku_wh#0", Adjust(delta=3, warehouse_id="whs_e"))
    await done("sku_wh#0", Adjust(delta=-1, warehouse_id="whs_e"))
    await done("sku_wh#0", WriteOff(quantity=1, warehouse_id="whs_e"))


async def _spend_points(shop: Shop) -> None:
    """A member earns, signs in, pays with points, cancels with points, exchanges some, keeps some for an order, and gives some back."""
    await shop.ask("quota", "mal_coupon", ConfigureQuota(total=9))
    await shop.ask("member", "usr_1", SignIn(day=day_of(shop.clock.now_ms())))
    await shop.ask("member", "usr_1", Earn(order_id="ord_earlier", amount=30_000, currency="CNY"))
    await shop.ask("member", "usr_1", SpendInMall(redemption_id="rdm_1", item_id="mal_coupon", points=50))
    terms = {"points": 40, "member_level": "silver"}
    paid = await shop.order("usr_1", "sku_1", **terms)
    assert (await shop.pay("usr_1", paid.reply.order_id)).code == ""
    cancelled = await shop.order("usr_1", "sku_1", **terms)
    await shop.ask("order", "usr_1", CancelOrder(order_id=cancelled.reply.order_id))
    assert (await shop.order("usr_1", "sku_1", **terms)).code == ""
    assert (await shop.order("usr_1", "sku_1", points=40, member_level="gold")).code == "member_level_changed"
    await shop.ask("member", "usr_1", TakeBack(refund_id="ref_1", order_id="ord_earlier", amount=10_000))


async def _make_busy(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(INSERT_SALE)
        async with _open_shop(url, connection) as shop:
            await _trade(shop)
        follower = Follower(url)
        while await follower.step():
            pass
        await follower.close()
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def busy_template(new_database: Callable[[str], str]) -> str:
    """The name of a database of a shop where something of everything has happened; nobody is connected."""
    asyncio.run(_make_busy(new_database("template_busy")))
    return "template_busy"


@pytest.fixture
def busy_url(copy_of_database: Any, busy_template: str) -> Iterator[str]:
    """A copy of the busy shop's database."""
    with copy_of_database(busy_template) as url:
        yield url
