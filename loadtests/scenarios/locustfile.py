"""Interprets one scenario for Locust; ``python -m loadtests.run`` starts it and judges what it wrote.

Locust patches the standard library for gevent when it is imported, so this runs in a process of its own and
imports nothing that holds sockets or threads.
"""

# locust and gevent publish no types
# mypy: disable-error-code="import-untyped, misc, untyped-decorator"

import json
import os
import random
import re
import time
import uuid
from pathlib import Path
from typing import Any

import gevent
import gevent.pool
from locust import FastHttpUser, LoadTestShape, between, constant, events, task

from loadtests.scenario import ADDRESS, FOLDER, Act, choose, load

SCENARIO = load(os.environ["LOADTEST_SCENARIO"], Path(os.environ.get("LOADTEST_FOLDER", FOLDER)))
SALE, SALE_SKU = os.environ.get("LOADTEST_SALE", ""), os.environ.get("LOADTEST_SALE_SKU", "")
ACCOUNTS = [line.split("\t") for line in Path(os.environ["LOADTEST_TOKENS"]).read_text().splitlines()]
PRODUCTS = json.loads(os.environ["LOADTEST_PRODUCTS"])
SKUS = json.loads(os.environ["LOADTEST_SKUS"])
CHANCE = random.Random(int(os.environ.get("LOADTEST_SEED", "1")))
OPEN = SCENARIO.loop == "open"
REFUSALS = {"sold_out", "purchase_limit", "insufficient_stock", "cart_empty", "order_state", "too_many_open_orders"}

_told = Path(os.environ["LOADTEST_TOLD"]).open("w")  # noqa: SIM115 - open for the whole run
_started = time.monotonic()


@events.test_start.add_listener
def _begin(**_: Any) -> None:
    global _started
    _started = time.monotonic()


@events.quitting.add_listener
def _end(environment: Any, **_: Any) -> None:
    entries = [
        {
            "name": entry.name,
            "count": entry.num_requests,
            "failures": entry.num_failures,
            "p50_ms": entry.get_response_time_percentile(0.5) or 0,
            "p99_ms": entry.get_response_time_percentile(0.99) or 0,
        }
        for entry in environment.stats.entries.values()
    ]
    errors = [f"{error.name}: {error.error} ({error.occurrences})" for error in environment.stats.errors.values()]
    Path(os.environ["LOADTEST_STATS"]).write_text(json.dumps({"entries": entries, "errors": errors}))
    _told.close()


class Customer:
    """One account and its last order. In an open load every action draws an account."""

    def __init__(self, client: Any, user_id: str, token: str) -> None:
        self._client, self.user_id, self._token = client, user_id, token
        self.order_id, self._last_buy = "", ""

    def act(self, name: Act) -> None:
        """Do one thing."""
        getattr(self, f"_{name}")()

    def _browse(self) -> None:
        self._ask("GET", f"/v1/products?limit={CHANCE.choice((10, 20, 50))}", "list products")

    def _product(self) -> None:
        self._ask("GET", f"/v1/products/{CHANCE.choice(PRODUCTS)}", "read product")

    def _sale_page(self) -> None:
        self._ask("GET", f"/v1/flash-sales/{SALE}", "sale page")

    def _buy(self) -> None:
        self._last_buy = uuid.uuid4().hex
        self._order(f"/v1/flash-sales/{SALE}/orders", {"sku_id": SALE_SKU, "quantity": 1}, self._last_buy, "buy", SALE)

    def _buy_again(self) -> None:
        if not self._last_buy:
            self._buy()
        self._order(f"/v1/flash-sales/{SALE}/orders", {"sku_id": SALE_SKU, "quantity": 1}, self._last_buy, "buy again", SALE)

    def _cart(self) -> None:
        for sku in CHANCE.sample(SKUS, min(len(SKUS), CHANCE.randint(1, 4))):
            self._ask("PUT", f"/v1/cart/lines/{sku}", "put cart line", {"quantity": CHANCE.randint(1, 3)})

    def _checkout(self) -> None:
        self._cart()
        self._order("/v1/checkout", {"coupon_ids": [], "ship_to": ADDRESS}, uuid.uuid4().hex, "checkout", "")

    def _pay(self) -> None:
        if self.order_id:
            self._ask("POST", f"/v1/orders/{self.order_id}/pay", "pay", {}, uuid.uuid4().hex)

    def _cancel(self) -> None:
        if self.order_id:
            self._ask("POST", f"/v1/orders/{self.order_id}/cancel", "cancel", {}, uuid.uuid4().hex)
            self.order_id = ""

    def _read_order(self) -> None:
        if self.order_id:
            self._ask("GET", f"/v1/orders/{self.order_id}", "read order")

    def _list_orders(self) -> None:
        self._ask("GET", "/v1/orders", "list orders")

    def _order(self, path: str, body: dict[str, Any], key: str, name: str, sale: str) -> None:
        answer = self._ask("POST", path, name, body, key)
        if answer is None or "order_id" not in answer:
            return
        self.order_id = answer["order_id"]
        total = answer.get("total") or {}
        told: dict[str, Any] = {"order_id": self.order_id, "user_id": self.user_id, "sale_id": sale, "key": key}
        told |= {"total": total.get("amount"), "currency": total.get("currency", "")}
        _told.write(json.dumps(told) + "\n")

    def _ask(self, method: str, path: str, name: str, body: dict[str, Any] | None = None, key: str = "") -> dict[str, Any] | None:
        headers = {"Authorization": f"Bearer {self._token}"} | ({"Idempotency-Key": key} if key else {})
        with self._client.request(method, path, json=body, headers=headers, name=name, catch_response=True) as answer:
            if 200 <= answer.status_code < 300:
                answer.success()
                return json.loads(answer.text or "{}") if answer.text else {}
            code = re.search(r'"code"\s*:\s*"([a-z_]+)"', answer.text or "")
            if code is not None and code.group(1) in REFUSALS:
                answer.success()
            else:
                answer.failure(f"{answer.status_code} {code.group(1) if code else ''}".strip())
            return None


def _stage_now() -> Any:
    return SCENARIO.stage_at(time.monotonic() - _started)


class Shopper(FastHttpUser):
    """Closed: one customer who thinks between actions. Open: the source of all arrivals, each in a greenlet of its own."""

    wait_time = constant(0) if OPEN else between(*SCENARIO.think_s)
    concurrency = 2000 if OPEN else 4
    network_timeout = connection_timeout = 15.0

    def on_start(self) -> None:
        """Take an account."""
        self.customers: dict[str, Customer] = {}
        self.arrivals = gevent.pool.Group()
        self.customer = self._customer()

    def on_stop(self) -> None:
        """Let the arrivals under way end."""
        self.arrivals.join(timeout=self.network_timeout)

    @task
    def go_on(self) -> None:
        """The next action, or the next arrival."""
        stage = _stage_now()
        if stage is None:
            gevent.sleep(0.2)
        elif OPEN:
            gevent.sleep(CHANCE.expovariate(stage.rate_per_s))
            self.arrivals.spawn(self._customer().act, choose(stage, CHANCE))
        else:
            self.customer.act(choose(stage, CHANCE))

    def _customer(self) -> Customer:
        user_id, token = CHANCE.choice(ACCOUNTS)
        return self.customers.setdefault(user_id, Customer(self.client, user_id, token))


class Stages(LoadTestShape):
    """The users of each stage; one source of arrivals in an open load."""

    def tick(self) -> tuple[int, float] | None:
        """Users and spawn rate now; None at the end."""
        stage = SCENARIO.stage_at(self.get_run_time())
        if stage is None:
            return None
        return (1, 1.0) if OPEN else (stage.users, stage.spawn_per_s)
