"""The simulator's HTTP side: authentication, idempotency, routing, and faults on top."""

import asyncio
import base64
import random
import re
import time
from collections import Counter
from pathlib import Path
from typing import Final, Literal
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from actors.testing.stripe_simulator.deliveries import API_VERSION, Deliveries
from actors.testing.stripe_simulator.forms import Form, Refusal, read_form, refusal, text
from actors.testing.stripe_simulator.idempotency import Keys, Stored
from actors.testing.stripe_simulator.ledger import Books, Ledger
from actors.testing.stripe_simulator.plan import AutoPay, Fault, Pay
from schemas.providers.stripe import PaymentIntent, Refund

BODY_BYTES_MAX: Final = 64 * 1024
EARLY_WEBHOOK_S: Final = 5.0
"""How long a create waits for the webhook that overtakes it: the shop may itself be waiting for the create."""

_ROUTES: Final = [
    ("POST", re.compile(r"payment_intents\Z"), "create"),
    ("GET", re.compile(r"payment_intents\Z"), "list"),
    ("GET", re.compile(r"payment_intents/search\Z"), "search"),
    ("GET", re.compile(r"payment_intents/([^/]+)\Z"), "retrieve"),
    ("POST", re.compile(r"payment_intents/([^/]+)/cancel\Z"), "cancel"),
    ("POST", re.compile(r"payment_intents/([^/]+)/confirm\Z"), "confirm"),
    ("POST", re.compile(r"refunds\Z"), "refund"),
    ("GET", re.compile(r"refunds\Z"), "list_refunds"),
    ("GET", re.compile(r"refunds/([^/]+)\Z"), "retrieve_refund"),
]
_PARAMETERS: Final = {
    "create": frozenset({"amount", "currency", "automatic_payment_methods", "metadata", "description", "payment_method_types", "expand"}),
    "list": frozenset({"limit", "starting_after", "created", "expand"}),
    "search": frozenset({"query", "limit", "page", "expand"}),
    "retrieve": frozenset({"client_secret", "expand", "key"}),
    "cancel": frozenset({"cancellation_reason", "expand"}),
    "confirm": frozenset({"payment_method", "client_secret", "return_url", "key", "expand"}),
    "refund": frozenset({"payment_intent", "amount", "metadata", "reason", "expand"}),
    "list_refunds": frozenset({"payment_intent", "limit", "starting_after", "expand"}),
    "retrieve_refund": frozenset({"expand"}),
}
_NOT_EXECUTED: Final = ("parameter_missing", "parameter_unknown", "parameter_invalid_integer")
_CORS: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, Stripe-Version",
}
"""A shop's page confirms a payment from the customer's browser, which is on another origin."""

Who = Literal["secret", "publishable"]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """``state_file`` empty: everything is forgotten at the end."""

    api_key: str = "sk_test_simulator"
    publishable_key: str = "pk_test_simulator"
    webhook_url: str = ""
    webhook_secret: str = "whsec_simulator"
    search_lag_s: float = 0.0
    state_file: str = ""
    seed: int | None = None


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What a state file holds."""

    books: Books
    keys: dict[str, Stored]


class Simulator:
    """One account, its API, its webhooks and its faults."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.rng = random.Random(options.seed)
        self.auto_pay = AutoPay(on=False)
        self.faults: list[Fault] = []
        self.calls: Counter[str] = Counter()
        self.deliveries = Deliveries(options.webhook_url, options.webhook_secret, self.rng)
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._customers = random.Random(1)
        self.reset()
        self._load()

    def reset(self) -> None:
        """Forget payments, keys and faults."""
        self.ledger = Ledger(time.time, self.rng, self._on_event, search_lag_s=self.options.search_lag_s)
        self.keys = Keys(time.time)
        self.faults.clear()
        self.calls.clear()

    def plan_customers(self, plan: AutoPay) -> None:
        """Payments created from now on are paid so by themselves."""
        self.auto_pay, self._customers = plan, random.Random(plan.seed)

    async def close(self) -> None:
        """Stop timers and deliveries, and write the state file."""
        for timer in self._timers.values():
            timer.cancel()
        self.save()
        await self.deliveries.close()

    def save(self) -> None:
        """Write the state file, if there is one, so that a crash leaves the old or the new one."""
        if self.options.state_file:
            target = Path(self.options.state_file)
            beside = target.with_name(target.name + ".new")
            beside.write_bytes(msgspec.msgpack.encode(Kept(books=self.ledger.books, keys=self.keys.stored)))
            beside.replace(target)

    async def api(self, request: web.Request) -> web.StreamResponse:
        """Every call under /v1."""
        if request.method == "OPTIONS":
            return web.Response(status=204, headers=_CORS)
        operation, target = _route(request.method, request.match_info["path"])
        if not operation:
            return _answer(refusal(f"Unrecognized request URL ({request.method}: {request.path}).", status=404))
        self.calls[operation] += 1
        fault = self._take_fault(operation)
        if fault is not None and fault.kind == "lose":
            return _cut(request)
        if fault is not None and fault.kind == "refuse":
            kind = "invalid_request_error" if fault.status < 500 else "api_error"
            code = "rate_limit" if fault.status == 429 else None
            return _answer(refusal("Told to fail.", status=fault.status, kind=kind, code=code))
        return await self._call(request, operation, target, fault)

    async def _call(self, request: web.Request, operation: str, target: str, fault: Fault | None) -> web.StreamResponse:
        raw = await request.text() if request.method == "POST" else request.query_string
        if request.method == "POST" and raw and request.content_type != "application/x-www-form-urlencoded":
            return _answer(refusal("Invalid request (check that your POST content type is application/x-www-form-urlencoded)."))
        form = read_form(parse_qsl(raw, keep_blank_values=True), _PARAMETERS[operation])
        who = self._authenticate(request, form)
        if isinstance(who, Refusal):
            return _answer(who)
        if isinstance(form, Refusal):
            return _answer(form)
        key = request.headers.get("Idempotency-Key", "") if request.method == "POST" else ""
        if key:
            known = self.keys.begin(key, f"{request.path}?{sorted(parse_qsl(raw))}")
            if isinstance(known, Refusal):
                return _answer(known)
            if known is not None:
                return _answer(known, replayed=True)
        if fault is not None and fault.kind == "delay":
            await asyncio.sleep(fault.seconds)
        answer = _stored(self._execute(operation, target, form, who))
        if fault is not None and fault.kind == "break":
            answer = _stored(refusal("An unknown error occurred.", status=fault.status, kind="api_error"))
        if key and answer.status < 500 and any(code in answer.body for code in _QUOTED_NOT_EXECUTED):
            self.keys.give_up(key)
        elif key:
            self.keys.finish(key, answer.status, answer.body)
        return await self._reply(request, answer, fault)

    async def _reply(self, request: web.Request, answer: Stored, fault: Fault | None) -> web.StreamResponse:
        """The effect is done; what the caller sees of it."""
        if fault is None:
            return _answer(answer)
        if fault.kind == "drop":
            return _cut(request)
        if fault.kind == "hang":
            await asyncio.sleep(fault.seconds)
        if fault.kind == "early_webhook" and answer.status == 200:
            intent = msgspec.json.decode(answer.body, type=PaymentIntent)
            self.ledger.act(intent, Pay(payment=intent.id))
            await self.deliveries.quiet(EARLY_WEBHOOK_S)
        return _answer(answer)

    def _execute(self, operation: str, target: str, form: Form, who: Who) -> msgspec.Struct:
        """The operation itself; runs without interruption, so that one account has one order of things."""
        ledger, limit = self.ledger, _limit(form)
        if who == "publishable":
            refused = self._customer_may(operation, target, form)
            if refused is not None:
                return refused
        match operation:
            case "create":
                return self._created(ledger.create(form))
            case "retrieve":
                return ledger.retrieve(target)
            case "list":
                return ledger.list_intents(limit, text(form, "starting_after"), _created_min(form))
            case "search":
                return ledger.search(text(form, "query"), limit)
            case "cancel":
                return ledger.cancel(target, form)
            case "confirm":
                return ledger.confirm(target, form)
            case "refund":
                return ledger.refund(form)
            case "list_refunds":
                return ledger.list_refunds(text(form, "payment_intent"), limit)
            case _:
                return ledger.retrieve_refund(target)

    def _authenticate(self, request: web.Request, form: Form | Refusal) -> Who | Refusal:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "basic":
            given = base64.b64decode(given + "==").decode(errors="replace").partition(":")[0]
        given = given.strip() or ("" if isinstance(form, Refusal) else text(form, "key"))
        if not given:
            return refusal("You did not provide an API key.", status=401)
        if given == self.options.api_key:
            return "secret"
        if given == self.options.publishable_key:
            return "publishable"
        return refusal(f"Invalid API Key provided: {given[:8]}***", status=401)

    def _customer_may(self, operation: str, target: str, form: Form) -> Refusal | None:
        """A publishable key is public: it reads and confirms only with the intent's own secret."""
        if operation not in ("retrieve", "confirm"):
            message = "This API call cannot be made with a publishable API key. Please use a secret API key."
            return refusal(message, code="secret_key_required", status=403)
        intent = self.ledger.books.intents.get(target)
        if intent is None or text(form, "client_secret") != intent.client_secret:
            return refusal(
                "The client_secret provided does not match any associated PaymentIntent.", code="resource_missing", param="client_secret"
            )
        return None

    def _created(self, intent: PaymentIntent | Refusal) -> PaymentIntent | Refusal:
        """A new payment, and a customer for it where customers pay by themselves."""
        plan = self.auto_pay
        if isinstance(intent, Refusal) or not plan.on or self._customers.random() < plan.abandon_share:
            return intent
        outcome: Literal["declined", "paid"] = "declined" if self._customers.random() < plan.decline_share else "paid"
        delay_s = self._customers.uniform(plan.delay_ms_min, plan.delay_ms_max) / 1000
        self._timers[intent.id] = asyncio.get_running_loop().call_later(delay_s, self._pay_by_itself, intent.id, outcome)
        return intent

    def _pay_by_itself(self, intent_id: str, outcome: Literal["declined", "paid"]) -> None:
        self._timers.pop(intent_id, None)
        intent = self.ledger.books.intents.get(intent_id)
        if intent is not None and intent.status == "requires_payment_method":
            self.ledger.act(intent, Pay(payment=intent_id, outcome=outcome))

    def _take_fault(self, operation: str) -> Fault | None:
        for i, fault in enumerate(self.faults):
            if fault.operation in ("", operation):
                if fault.times > 1:
                    self.faults[i] = msgspec.structs.replace(fault, times=fault.times - 1)
                else:
                    del self.faults[i]
                return fault
        return None

    def _on_event(self, event_type: str, subject: PaymentIntent | Refund) -> None:
        self.deliveries.push(event_type, subject)

    def _load(self) -> None:
        path = Path(self.options.state_file)
        if self.options.state_file and path.exists():
            try:
                kept = msgspec.msgpack.decode(path.read_bytes(), type=Kept)
            except msgspec.DecodeError:
                # Half a file, of a machine that lost its power: kept for whoever wants to look, and not in the way.
                path.replace(path.with_name(path.name + ".unreadable"))
                return
            self.ledger.books, self.keys.stored = kept.books, kept.keys


_QUOTED_NOT_EXECUTED: Final = [f'"{code}"'.encode() for code in _NOT_EXECUTED]


def _route(method: str, path: str) -> tuple[str, str]:
    for wanted, pattern, operation in _ROUTES:
        match = pattern.match(path)
        if wanted == method and match is not None:
            return operation, match[1] if pattern.groups else ""
    return "", ""


def _stored(result: msgspec.Struct) -> Stored:
    if isinstance(result, Refusal):
        return Stored(request="", at_s=0.0, status=result.status, body=result.body())
    return Stored(request="", at_s=0.0, status=200, body=msgspec.json.encode(result))


def _answer(result: Stored | Refusal, *, replayed: bool = False) -> web.Response:
    stored = _stored(result) if isinstance(result, Refusal) else result
    headers = {**_CORS, "Stripe-Version": API_VERSION, **({"Idempotent-Replayed": "true"} if replayed else {})}
    return web.Response(status=stored.status, body=stored.body, content_type="application/json", headers=headers)


def _cut(request: web.Request) -> web.StreamResponse:
    """Close the connection under the caller: it cannot know whether anything was done."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


def _limit(form: Form) -> int:
    raw = text(form, "limit")
    return min(100, max(1, int(raw))) if raw.isdigit() else 10


def _created_min(form: Form) -> int:
    created = form.get("created", {})
    raw = created.get("gte", "") if isinstance(created, dict) else ""
    return int(raw) if raw.isdigit() else 0
