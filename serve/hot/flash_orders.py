"""``POST /v1/flash-sales/{sale_id}/orders``: everything that needs no owner is decided here, then one call.

Guards in order: token, key, user's rate, body, sale, sale's rate, ticket, step-up of a large order, sold out.
"""

import hashlib
from collections.abc import Awaitable
from typing import Any, Final

import msgspec

from actors.domain import ticket as tickets
from actors.domain.entity import Refused
from actors.domain.signing import SigningKeys
from actors.domain.token import AccessToken
from schemas.envelope import Answer
from schemas.http.sales import FlashOrder
from schemas.ids import derived_id, is_id, order_id
from schemas.offer import Offer, SaleTerms
from schemas.order import Line, OrderView, PlaceOrder
from serve import strict_json
from serve.answers import Reply, json_reply, problem_reply, refusal_reply, timestamp
from serve.desk import Desk
from serve.rates import Rate
from serve.requests import Receive, Refusal, Request, check_json_type, read_body
from serve.step_up import is_stepped_up, step_up_refusal

REMEMBERED_MAX: Final = 4096
"""Bodies remembered as read: a crowd sends the same few bytes over and over."""

REMEMBERED_BYTES_MAX: Final = 200

_NO_TICKET: Final = ("", 0)
_decode: Final = msgspec.json.Decoder(FlashOrder).decode


class _Read:
    """A body that was read: the order, its line, the facts that it needs (sale and article), and the digest of sale and body."""

    __slots__ = ("digest", "lines", "names", "order")

    def __init__(self, order: FlashOrder, sale_id: str, body: bytes) -> None:
        self.order = order
        self.names = ("sale:" + sale_id, "sku:" + order.sku_id)
        self.lines = (Line(sku_id=order.sku_id, quantity=order.quantity),)
        self.digest = hashlib.blake2b(sale_id.encode() + b"\n" + body, digest_size=16).digest()


class FlashOrders:
    """Places flash-sale orders for one replica."""

    def __init__(self, desk: Desk) -> None:
        settings = desk.settings
        self._desk = desk
        self._step_up_minor = settings.step_up_order_minor
        self._services = desk.services
        self._clock = desk.clock
        self._client = desk.client
        self._keys: SigningKeys = desk.services.ticket_keys
        self._authentication = desk.authentication
        self._cookies = desk.cookies
        self._facts = desk.facts
        self._sold_out = desk.sold_out
        self._shard_of = desk.client.sharding.shard
        self._body_max = settings.body_bytes_max
        self._hold_ms = settings.hold_ms
        self._deadline_ms = settings.request_deadline_ms
        self._user_rate = desk.user_rate
        self._sale_rates: dict[str, tuple[int, Rate]] = {}
        self._replicas = max(1, settings.replicas)
        self._read: dict[tuple[str, bytes], _Read] = {}

    async def place(self, request: Request, receive: Receive, sale_id: str) -> Reply:
        """201 with the order, or the first refusal. For the ordinary lane; the hot one has its body already."""
        begun = self.begin(request, await read_body(request, receive, self._body_max), sale_id)
        return begun if isinstance(begun, Reply) else await begun

    def begin(self, request: Request, body: bytes, sale_id: str) -> Reply | Awaitable[Reply]:
        """The answer where no owner is needed, else what will give it."""
        now_ms = self._clock.now_ms()
        token = self._authentication.customer(self._cookies.credential(request), now_ms)
        if isinstance(token, Refused):
            return problem_reply(token.code, language=request.language)
        key = request.idempotency_key()
        if not self._user_rate.take(token.user_id):
            return problem_reply("rate_limited", language=request.language)
        check_json_type(request)
        read = self._read.get((sale_id, body)) or self._read_body(sale_id, body)
        facts = self._facts.get(read.names)
        if facts is None:
            return self._with_facts(request, token, key, read, sale_id, now_ms)
        return self._decide(request, token, key, read, sale_id, facts, now_ms)

    async def _with_facts(self, request: Request, token: AccessToken, key: bytes, read: _Read, sale_id: str, now_ms: int) -> Reply:
        decided = self._decide(request, token, key, read, sale_id, await self._facts.fetch(read.names), now_ms)
        return decided if isinstance(decided, Reply) else await decided

    def _decide(
        self, request: Request, token: AccessToken, key: bytes, read: _Read, sale_id: str, facts: dict[str, Any], now_ms: int
    ) -> Reply | Awaitable[Reply]:
        user_id = token.user_id
        sale, offer = facts.get(read.names[0]), facts.get(read.names[1])
        admitted = self._admit(user_id, read.order, sale_id, sale, isinstance(offer, Offer), now_ms)
        if isinstance(admitted, Refused):
            return problem_reply(admitted.code, admitted.params, language=request.language)
        sku_id = read.order.sku_id
        # Whoever is let in has a sale with a price for the article. A small order costs one comparison here, and nobody is asked.
        assert isinstance(sale, SaleTerms), "it let the buyer in"
        large = 0 < self._step_up_minor <= sale.prices[sku_id] * read.order.quantity
        if large and not is_stepped_up(self._desk, token):
            return self._ask_step_up(request, user_id)
        command_id = derived_id(user_id, b"flash", key)
        parts = offer.parts if isinstance(offer, Offer) else 1
        if self._sold_out.refuses(sku_id, parts, command_id):
            self._services.counters.sold_out_local += 1
            return problem_reply("sold_out", language=request.language)
        command = PlaceOrder(
            order_id=order_id(now_ms, self._shard_of("order", user_id), self._services.rng.getrandbits(40)),
            lines=read.lines,
            sale_id=sale_id,
            ticket_nonce=admitted[0],
            ticket_expires_ms=admitted[1],
            expected_total=read.order.expected_total,
            hold_ms=self._hold_ms,
        )
        return self._ask(request, user_id, command, command_id, read.digest, parts, now_ms)

    async def _ask_step_up(self, request: Request, user_id: str) -> Reply:
        refused = await step_up_refusal(self._desk, user_id)
        return problem_reply(refused.code, refused.params, language=request.language)

    async def _ask(
        self, request: Request, user_id: str, command: PlaceOrder, command_id: bytes, digest: bytes, parts: int, now_ms: int
    ) -> Reply:
        deadline_ms = now_ms + self._deadline_ms
        answer = await self._client.ask("order", user_id, command, command_id=command_id, digest=digest, deadline_ms=deadline_ms)
        return self._reply(answer, command.lines[0].sku_id, parts, request)

    def _read_body(self, sale_id: str, body: bytes) -> _Read:
        if not is_id(sale_id, "sal"):
            raise Refusal("sale_unknown")
        strict_json.check(body)
        read = _Read(_decode(body), sale_id, body)
        if len(body) <= REMEMBERED_BYTES_MAX and read.order.ticket is None:
            if len(self._read) >= REMEMBERED_MAX:
                self._read.clear()
            self._read[(sale_id, body)] = read
        return read

    def _admit(self, user_id: str, order: FlashOrder, sale_id: str, sale: Any, known: bool, now_ms: int) -> tuple[str, int] | Refused:
        """Whether the sale lets the buyer in: the nonce and the end of the ticket, empty without one. known: the article exists."""
        if not isinstance(sale, SaleTerms):
            return Refused(code="sale_unknown")
        if now_ms < sale.opens_at_ms:
            return Refused(code="sale_not_open")
        if order.sku_id not in sale.prices:
            return Refused(code="sku_not_on_sale" if known else "sku_unknown", params={"sku_id": order.sku_id})
        if order.ticket is not None:
            # Whether it is too old is the owner's word: a retry after its end must still get its first answer.
            oldest_ms = max(0, now_ms - self._hold_ms)
            ticket = tickets.verify(self._keys, order.ticket, user_id=user_id, sale_id=sale_id, at_ms=oldest_ms)
            return ticket if isinstance(ticket, Refused) else (ticket.nonce, ticket.expires_at_ms)
        if sale.ticket_required:
            return Refused(code="ticket_missing")
        if sale.rate_per_s and not self._sale_rate(sale).take(sale_id):
            return Refused(code="rate_limited")
        return _NO_TICKET

    def _sale_rate(self, sale: SaleTerms) -> Rate:
        """This replica's share of the sale's rate."""
        known = self._sale_rates.get(sale.sale_id)
        if known is None or known[0] != sale.rate_per_s:
            share = sale.rate_per_s / self._replicas
            known = self._sale_rates[sale.sale_id] = (sale.rate_per_s, Rate(self._clock.monotonic_ms, share, max(1.0, share)))
        return known[1]

    def _reply(self, answer: Answer, sku_id: str, parts: int, request: Request) -> Reply:
        view = answer.reply
        if isinstance(view, OrderView) and not answer.code:
            return json_reply(201, placed_body(view, answer))
        if answer.code == "sold_out":
            self._sold_out.told(sku_id, parts)
            return problem_reply("sold_out", language=request.language)
        if not answer.code:
            raise Refusal("internal_error")
        return refusal_reply(answer, request.language)


def placed_body(view: OrderView, answer: Answer) -> bytes:
    """The order as JSON. Every value is of our own making, in characters that JSON takes as they are."""
    return (
        f'{{"order_id":"{view.order_id}","status":"{view.status}",'
        f'"total":{{"amount":{view.total.amount},"currency":"{view.total.currency}"}},'
        f'"expires_at":"{timestamp(view.expires_at_ms)}","position":"{answer.shard}:{answer.seq}"}}'
    ).encode()
