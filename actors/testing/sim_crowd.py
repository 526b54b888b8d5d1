"""Who uses the simulated shop: buyers who click twice and ask again, customers at the provider, a clerk, webhooks."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from actors.adapters.payments.gateway import order_notice
from actors.testing.market import HOME
from actors.testing.sim_shop import CART_SKUS, HOT, PARTS_MAX
from actors.testing.sim_world import World
from schemas import order as o
from schemas import quota as q
from schemas import stock as s
from schemas.envelope import Answer
from schemas.ids import derived_id, order_id
from schemas.money import Money
from schemas.payment import Notice, PaymentRequest, PaymentStatus

BUYERS: Final = 14
ACTIONS: Final = 9
COMMANDS_MIN: Final = 310
NOT_DEFINITE: Final = frozenset({"outcome_unknown", "busy", "moved", "storage_unavailable", "deadline_passed"})
READS: Final = (o.ReadOrder, s.ReadStock, q.ReadQuota)


@dataclass(slots=True, kw_only=True)
class Intent:
    """One thing that somebody wants, under one id, and every answer that came. ``make`` proposes anew at every try."""

    kind: str
    key: str
    make: Callable[[], Any]
    id: bytes
    digest: bytes
    answers: list[Answer] = field(default_factory=list)

    def is_definite(self) -> bool:
        return any(answer.code not in NOT_DEFINITE for answer in self.answers)


class Crowd:
    """Everybody, and what they were told."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.rng = random.Random(f"{seed}:crowd")
        self.intents: list[Intent] = []
        self.commands = 0
        self.refusals: dict[str, int] = {}
        self.errands: set[asyncio.Task[Any]] = set()
        self.orders: dict[str, list[str]] = {f"usr_{i}": [] for i in range(BUYERS)}
        self.seen_events: set[str] = set()

    # --- asking -------------------------------------------------------------------------------------------

    def intend(self, kind: str, key: str, make: Callable[[], Any], digest: bytes | None = None) -> Intent:
        """A new wish with a new id."""
        number = len(self.intents)
        intent = Intent(kind=kind, key=key, make=make, id=derived_id("intent", str(number)), digest=b"d" if digest is None else digest)
        self.intents.append(intent)
        return intent

    async def ask(self, intent: Intent) -> Answer:
        """One try; what comes back is checked against the journal as it is now."""
        world = self.world
        client = world.clients[self.rng.randrange(len(world.clients))]
        command = intent.make()
        before = self._last_seq(intent.kind, intent.key)
        self.commands += 1
        answer = await client.ask(intent.kind, intent.key, command, command_id=intent.id, digest=intent.digest)
        intent.answers.append(answer)
        if answer.code:
            self.refusals[answer.code] = self.refusals.get(answer.code, 0) + 1
        if answer.code == "internal_error":
            world.books.breach(f"internal error: {command}")
        if answer.shard >= 0 and answer.seq > world.journal.heads[answer.shard]:
            world.books.breach(f"undurable state shown: {type(command).__name__} saw seq {answer.seq} of shard {answer.shard}")
        if isinstance(command, READS) and not answer.code and answer.seq < before:
            world.books.breach(f"stale state shown: {type(command).__name__} of {intent.key} saw {answer.seq}, {before} was durable")
        return answer

    def _last_seq(self, kind: str, key: str) -> int:
        records = self.world.books.records.get((kind, key))
        return records[-1].row.seq if records else 0

    async def insist(self, intent: Intent, tries: int) -> Answer:
        """Ask again, under the same id, until the answer is definite or patience ends."""
        answer = await self.ask(intent)
        for _ in range(tries):
            if answer.code not in NOT_DEFINITE:
                break
            await asyncio.sleep(self.rng.uniform(0.1, 2.0))
            answer = await self.ask(intent)
        return answer

    def errand(self, work: Any) -> "asyncio.Task[Any]":
        """Something done beside; :meth:`finish` waits for it."""
        task: asyncio.Task[Any] = asyncio.ensure_future(work)
        self.errands.add(task)
        task.add_done_callback(self.errands.discard)
        return task

    # --- buyers -------------------------------------------------------------------------------------------

    async def buyer(self, user_id: str) -> None:
        """One buyer's visit."""
        rng = self.rng
        await asyncio.sleep(rng.uniform(0, 1.0))
        acts = (self.flash, self.flash, self.flash, self.cart, self.cart, self.pay, self.pay, self.pay, self.cancel, self.read, self.odd)
        actions = 0
        while actions < ACTIONS or self.commands < COMMANDS_MIN:
            actions += 1
            await acts[rng.randrange(len(acts))](user_id)
            await asyncio.sleep(rng.uniform(0.1, 4.5) if rng.random() < 0.8 else 0.0)

    async def order(self, user_id: str, lines: tuple[o.Line, ...], **terms: Any) -> None:
        """Place an order, perhaps with a double click, perhaps leaving before the answer."""
        rng = self.rng
        hold_ms, ship_to = rng.choice((8_000, 15_000, 30_000)), None if "sale_id" in terms else HOME

        def make() -> o.PlaceOrder:
            number = order_id(self.world.clock.now_ms(), self.world.sharding.shard("order", user_id), rng.getrandbits(40))
            return o.PlaceOrder(order_id=number, lines=lines, hold_ms=hold_ms, ship_to=ship_to, **terms)

        intent = self.intend("order", user_id, make)
        draw = rng.random()
        if draw < 0.15:
            await asyncio.gather(self.insist(intent, 3), self.insist(intent, 3))
        elif draw < 0.25:
            task = asyncio.ensure_future(self.ask(intent))
            await asyncio.wait([task], timeout=rng.uniform(0.0, 0.02))
            if task.cancel():
                self.world.counts["caller_left"] += 1
            await self.insist(intent, 3)
        else:
            await self.insist(intent, 4)
        if rng.random() < 0.05:
            other = self.intend("order", user_id, make, b"another body")
            other.id = intent.id
            await self.insist(other, 2)
        for answer in intent.answers:
            if (
                isinstance(answer.reply, o.OrderView | None)
                and answer.reply is not None
                and answer.reply.order_id not in self.orders[user_id]
            ):
                self.orders[user_id].append(answer.reply.order_id)

    async def flash(self, user_id: str) -> None:
        """Buy the scarce SKU."""
        await self.order(user_id, (o.Line(sku_id=HOT, quantity=self.rng.choice((1, 1, 1, 2, 3, 4))),), sale_id="sal_1")

    async def cart(self, user_id: str) -> None:
        """Check out several lines, with coupons, perhaps at a total seen before."""
        rng = self.rng
        skus = rng.sample((*CART_SKUS, HOT), rng.randint(1, 3))
        coupons = tuple(rng.sample(("cpn_ten", "cpn_all", "cpn_five"), rng.choice((0, 0, 1, 1, 2))))
        expected = Money(amount=rng.randint(300, 3000), currency="CNY") if rng.random() < 0.1 else None
        lines = tuple(o.Line(sku_id=sku_id, quantity=rng.randint(1, 3)) for sku_id in skus)
        await self.order(user_id, lines, coupon_ids=coupons, expected_total=expected)

    async def odd(self, user_id: str) -> None:
        """Ask for what cannot be had."""
        rng, hot, now_ms = self.rng, (o.Line(sku_id=HOT, quantity=1),), self.world.clock.now_ms()
        one = (o.Line(sku_id="sku_a", quantity=1),)
        lines, terms = rng.choice(
            (
                (hot, {"sale_id": "sal_closed"}),
                (hot, {"sale_id": "sal_past"}),
                (hot, {"sale_id": "sal_none"}),
                (hot, {"sale_id": "sal_ticket"}),
                (hot, {"sale_id": "sal_ticket", "ticket_nonce": f"n{user_id}", "ticket_expires_ms": now_ms + 300_000}),
                (hot, {"sale_id": "sal_ticket", "ticket_nonce": f"n{user_id}", "ticket_expires_ms": now_ms + 300_000}),
                (hot, {"sale_id": "sal_ticket", "ticket_nonce": f"o{user_id}", "ticket_expires_ms": now_ms - 1}),
                ((o.Line(sku_id="sku_none", quantity=1),), {}),
                ((o.Line(sku_id="sku_off", quantity=1),), {}),
                ((*one, o.Line(sku_id="sku_eur", quantity=1)), {}),
                ((), {}),
                ((o.Line(sku_id="sku_a", quantity=0),), {}),
                ((*one, *one), {}),
                (tuple(o.Line(sku_id=f"sku_{i}", quantity=1) for i in range(101)), {}),
                ((o.Line(sku_id="sku_b", quantity=1),), {"coupon_ids": ("cpn_all",)}),
                (one, {"coupon_ids": ("cpn_unset",)}),
                (one, {"coupon_ids": ("cpn_over",)}),
                (one, {"coupon_ids": ("cpn_none",)}),
            )
        )
        await self.order(user_id, lines, **terms)

    async def read(self, user_id: str) -> None:
        """Look at an order, or at the stock."""
        if self.orders[user_id] and self.rng.random() < 0.7:
            number = self.rng.choice(self.orders[user_id])
            await self.insist(self.intend("order", user_id, lambda: o.ReadOrder(order_id=number), b""), 2)
        else:
            part = self.rng.randrange(self.world.shop.parts)
            await self.insist(self.intend("stock", f"{HOT}#{part}", s.ReadStock, b""), 2)

    async def cancel(self, user_id: str) -> None:
        """Cancel some order, if there is one."""
        number = self.rng.choice(self.orders[user_id] or ["ord_none"])
        await self.insist(self.intend("order", user_id, lambda: o.CancelOrder(order_id=number)), 4)

    async def pay(self, user_id: str) -> None:
        """Open a payment; the customer then goes to the provider."""
        number = (self.orders[user_id] or ["ord_none"])[-1]
        number = number if self.rng.random() < 0.8 else self.rng.choice(self.orders[user_id] or ["ord_none"])
        intent = self.intend("order", user_id, lambda: o.PayOrder(order_id=number, payment_id=f"pay_{self.rng.getrandbits(48):x}"))
        answer = await self.insist(intent, 4)
        if isinstance(answer.reply, o.PaymentView) and answer.reply.client_secret:
            self.errand(self.customer(answer.reply))

    async def customer(self, view: o.PaymentView) -> None:
        """What the customer does at the provider's page."""
        rng, gateway = self.rng, self.world.gateway
        await asyncio.sleep(rng.expovariate(0.3))
        draw, payment_id = rng.random(), view.payment_id
        if draw < 0.6:
            gateway.act(payment_id)
        elif draw < 0.68:
            gateway.act(payment_id, "declined")
            await asyncio.sleep(rng.uniform(1, 20))
            gateway.act(payment_id)
        elif draw < 0.76:
            gateway.act(payment_id, "processing")
            await asyncio.sleep(rng.uniform(1, 40))
            gateway.act(payment_id, rng.choice(("paid", "declined")))
        elif draw < 0.82:
            gateway.act(payment_id, amount=view.amount.amount + rng.choice((-1, 1)))
            self.world.counts["paid_wrong_amount"] += 1
        elif draw < 0.9:
            await asyncio.sleep(rng.uniform(20, 60))
            await self._pay_late(payment_id)
        elif draw < 0.97:
            await self._pay_twice(view)

    async def _pay_late(self, payment_id: str) -> None:
        """Money comes for a payment that the provider had called closed: its word of that is repeated until it is heard."""
        if self.world.gateway.payments[payment_id].status is not PaymentStatus.CLOSED:
            return
        self.world.counts["paid_late"] += 1
        paid = self.world.gateway.act(payment_id, force=True)
        told = order_notice(Notice(event_id="late_" + payment_id, created_s=0, about=paid))
        assert told is not None
        await self._deliver("late_" + payment_id, *told)

    async def _pay_twice(self, view: o.PaymentView) -> None:
        """The provider closes the payment, the buyer pays by another, and then the first one comes through all the same."""
        world = self.world
        user_id = world.gateway.payments[view.payment_id].user_id
        request = PaymentRequest(
            payment_id=view.payment_id, order_id=view.order_id, user_id=user_id, amount=view.amount.amount, currency=view.amount.currency
        )
        await world.gateway.cancel(request, view.provider_id)
        await asyncio.sleep(self.rng.uniform(0.5, 4))
        again = self.intend("order", user_id, lambda: o.PayOrder(order_id=view.order_id, payment_id=f"pay_{self.rng.getrandbits(48):x}"))
        answer = await self.insist(again, 3)
        if isinstance(answer.reply, o.PaymentView) and answer.reply.payment_id != view.payment_id and answer.reply.client_secret:
            world.gateway.act(answer.reply.payment_id)
            world.counts["paid_twice"] += 1
        await asyncio.sleep(self.rng.uniform(0, 10))
        await self._pay_late(view.payment_id)

    # --- webhooks ---------------------------------------------------------------------------------------------

    async def webhooks(self) -> None:
        """Deliver the provider's word for ever: late, twice, in any order, or never."""
        world = self.world
        while True:
            await asyncio.sleep(self.rng.uniform(0.05, 1.5))
            for headers, body in world.gateway.take_notices():
                notice = world.gateway.parse_notice(headers, body, world.clock.now_ms() // 1000)
                assert isinstance(notice, Notice), notice
                told = order_notice(notice)
                if told is not None:
                    self.errand(self._deliver(notice.event_id, *told))

    async def _deliver(self, event_id: str, user_id: str, command: o.PaymentNotice) -> None:
        await asyncio.sleep(self.rng.expovariate(1.0) if self.rng.random() < 0.7 else 0.0)
        intent = self.intend("order", user_id, _always(command))
        intent.id = derived_id("notice", event_id)
        if event_id in self.seen_events:
            self.world.counts["webhook_doubled"] += 1
        self.seen_events.add(event_id)
        await self.insist(intent, 8)

    # --- the clerk ---------------------------------------------------------------------------------------------

    async def open_shop(self) -> None:
        """Put in stock and set quotas: few, so that all of it runs out."""
        rng, shop = self.rng, self.world.shop
        stocks = [(f"{HOT}#{part}", rng.randint(3, 14)) for part in range(shop.parts)]
        stocks.extend((f"{sku_id}#0", rng.randint(4, 30)) for sku_id in CART_SKUS)
        for number, (key, quantity) in enumerate(stocks):
            # Some in one warehouse, some in two, some in the unnamed one alone.
            east = quantity // 2 if number % 3 == 1 else quantity if number % 3 == 2 else 0
            for warehouse_id, units in (("whs_east", east), ("", quantity - east)):
                if units:
                    await self.insist(self.intend("stock", key, _always(s.PutIn(quantity=units, warehouse_id=warehouse_id))), 9)
        for coupon_id, total in (("cpn_ten", rng.randint(3, 8)), ("cpn_all", 3), ("cpn_five", 9)):
            await self.insist(self.intend("quota", coupon_id, _always(q.Configure(total=total, per_user=2))), 9)

    async def clerk(self) -> None:
        """Receipts, breakage, transfers between parts, and orders to nowhere."""
        rng = self.rng
        for _ in range(24):
            await asyncio.sleep(rng.uniform(0.5, 3.0))
            part, stranger = f"{HOT}#{rng.randrange(self.world.shop.parts)}", rng.randbytes(16)
            to_key = f"{HOT}#{rng.randrange(self.world.shop.parts)}"
            user_id = f"usr_{rng.randrange(BUYERS)}"
            quantity = rng.choice((1, 2, 5, 500))
            kind, key, command = rng.choice(
                (
                    ("stock", part, s.PutIn(quantity=rng.choice((0, 1, 4)))),
                    ("stock", part, s.WriteOff(quantity=quantity)),
                    ("stock", part, s.TransferOut(transfer_id=stranger, to_key=to_key, quantity=rng.choice((1, 2)))),
                    ("stock", part, s.TransferOut(transfer_id=stranger, to_key=to_key, quantity=rng.choice((1, 2)))),
                    ("stock", part, s.Sell(reservation_id=stranger)),
                    ("stock", part, s.ProveSoldOut()),
                    ("quota", "cpn_ten", q.Redeem(claim_id=stranger)),
                    ("quota", "cpn_ten", q.Configure(total=0)),
                    ("quota", "cpn_ten", q.Configure(total=5, starts_at_ms=9, ends_at_ms=3)),
                    ("quota", "cpn_ten", q.GiveBack(claim_id=self._some_claim("cpn_ten"))),
                    ("quota", "cpn_five", q.Redeem(claim_id=self._some_end("cpn_five"))),
                    ("order", user_id, o.ConfirmHold(order_id="ord_ghost", reservation_id=derived_id(b"ghost", "r0"))),
                )
            )
            # A question, as replicas ask it: its answer is of the moment, and not remembered.
            digest = b"" if isinstance(command, s.ProveSoldOut) else None
            await self.insist(self.intend(kind, key, _always(command), digest), 3)
            if isinstance(command, o.ConfirmHold):
                await self._place_ghost(user_id)

    async def _place_ghost(self, user_id: str) -> None:
        """Place an order whose hold was already said to belong to nobody."""
        ghost = o.PlaceOrder(order_id=f"ord_ghost_{user_id}", lines=(o.Line(sku_id="sku_a", quantity=1),), ship_to=HOME)
        intent = self.intend("order", user_id, _always(ghost))
        intent.id = b"ghost"
        await self.insist(intent, 3)

    async def manager(self, seed: int) -> None:
        """Splits the scarce SKU further while it is bought (the clerk moves units), and gives holds away that are somebody's."""
        rng, world = random.Random(f"manager {seed}"), self.world
        for _ in range(6):
            await asyncio.sleep(rng.uniform(2.0, 8.0))
            held = [(key, reservation_id) for key, part in world.books.parts.items() for reservation_id in part.holds]
            if world.shop.parts < PARTS_MAX and rng.random() < 0.3:
                world.shop.split_further()
                world.counts["split_further"] += 1
            elif held:
                key, reservation_id = rng.choice(held)
                await self.insist(self.intend("stock", key, _always(s.Release(reservation_id=reservation_id))), 3)
                world.counts["hold_given_away"] += 1

    def _some_claim(self, coupon_id: str) -> bytes:
        quota = self.world.books.quotas.get(coupon_id)
        return next(iter(quota.redeemed), b"none") if quota else b"none"

    def _some_end(self, coupon_id: str) -> bytes:
        quota = self.world.books.quotas.get(coupon_id)
        return min(quota.ended, default=b"none") if quota else b"none"


def _always(command: Any) -> Callable[[], Any]:
    return lambda: command
