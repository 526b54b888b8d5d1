"""Measures the shop: orders on both lanes, refusals, an open load at half of the peak, browsing beside a spike, idling."""

import asyncio
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from loadtests.bench.baselines import measure_of
from loadtests.bench.measure import Idle, Measure, OpenMeasure, Options, opened_of
from loadtests.bench.watch import watched
from loadtests.generator.closed import peak, run_crowd
from loadtests.generator.plan import Plan, Requests, Sent, read_tokens
from loadtests.instance import LOOPBACK, Sale, ShopCopy
from loadtests.processes import pss_bytes, spent
from loadtests.reconcile import reconcile, told_by

STOCK: Final = 10_000_000
SCARCE: Final = 1_000
IDLE_SETTLE_S: Final = 5.0
SPIKE_LEAD_S: Final = 1.0


class ShopBench:
    """The measures that are taken on one running copy. ``first`` moves on, so that no user is worn out."""

    def __init__(self, shop: ShopCopy, options: Options) -> None:
        self._shop, self._options, self._first = shop, options, secrets.randbelow(options.users)

    def orders(self, system: str, port: int, *, warm: bool = True, parts: int = 1) -> Measure:
        """Durable orders of one hot article, until projections have caught up.

        warm: after a moment of the same load. parts: of the article, spread before the sale.
        """
        sale = self._shop.open_sale(stock=STOCK, limit=self._options.limit_each)
        if parts > 1:
            self._shop.command("sale", "prepare", sale.sale_id, "--parts", str(parts))
        return self._closed(system, port, sale.path, sale.body, warm=warm)

    def refusals(self) -> tuple[Measure, Measure]:
        """Sold-out answers, and empty ones to the same request, on the direct listener."""
        sale = self._shop.open_sale(stock=1, limit=1)
        port = self._shop.direct_port
        sold_out = self._closed("sold_out", port, sale.path, sale.body, refusals=True)
        return sold_out, self._closed("empty", port, "/bench/empty", sale.body)

    def half_of(self, peak_per_s: float) -> OpenMeasure:
        """An open load of orders at half of a peak; every answer is compared with the tables afterwards."""
        sale = self._shop.open_sale(stock=STOCK, limit=self._options.limit_each)
        plan = self._order_plan(sale, peak_per_s / 2)
        sent = run_crowd(plan)
        told = told_by(sent, Requests(plan, read_tokens(plan.tokens)), sale.sale_id)
        self._shop.wait_caught_up()
        differences = asyncio.run(reconcile(self._shop.database_url, told))
        return _opened("orders at half of the peak", plan.rate_per_s, sent, "" if differences.none else str(differences))

    def browsing(self, peak_per_s: float) -> tuple[OpenMeasure, OpenMeasure, OpenMeasure]:
        """Browsing when it is quiet, beside a crowd of half the peak that wants a scarce article, and beside a flood.

        The flood is a closed load of all connections: both cores are then busy by definition.
        """
        quiet = self._browse("browse quiet")
        scarce = self._shop.open_sale(stock=SCARCE, limit=1)
        crowd = self._order_plan(scarce, peak_per_s / 2, lead_s=2 * SPIKE_LEAD_S)
        beside = self._beside(lambda: run_crowd(crowd), "browse in the spike")
        sale = self._shop.open_sale(stock=STOCK, limit=self._options.limit_each)
        target = self._shop.target(self._shop.direct_port, sale.path, sale.body)
        seconds, connections = self._options.seconds + 2 * SPIKE_LEAD_S, self._options.connections
        flood = self._beside(lambda: peak(target, run=_run(), seconds=seconds, connections=connections), "browse in a flood")
        self._shop.wait_caught_up()
        return quiet, beside, flood

    def idle(self) -> Idle:
        """Memory and CPU of the copy while nobody asks anything."""
        time.sleep(IDLE_SETTLE_S)
        before = self._shop.processes()
        time.sleep(self._options.idle_s)
        after = self._shop.processes()
        share = sum(spent(before, after).values()) / self._options.idle_s
        return Idle(pss_bytes=pss_bytes(after), cpu_share=round(share, 3), processes=len(after))

    def _closed(self, system: str, port: int, path: str, body: str, *, refusals: bool = False, warm: bool = True) -> Measure:
        target, options = self._shop.target(port, path, body), self._options
        if warm:
            self._next(peak(target, run=_run(), seconds=options.warm_s, connections=options.connections, first=self._next(0)).accepted)
        first = self._next(0)
        seen = watched(
            self._shop.processes,
            lambda: peak(target, run=_run(), seconds=options.seconds, connections=options.connections, first=first),
        )
        self._next(seen.found.accepted)
        ended_s = time.monotonic()
        self._shop.wait_caught_up()
        cpu_s = spent(seen.before, self._shop.processes())
        return measure_of(system, seen, cpu_s, refusals=refusals, caught_up_s=round(time.monotonic() - ended_s, 2))

    def _beside(self, crowd: Callable[[], object], name: str) -> OpenMeasure:
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(crowd)
            time.sleep(SPIKE_LEAD_S)
            found = self._browse(name)
            running.result()
        return found

    def _browse(self, name: str) -> OpenMeasure:
        product = self._shop.any_product()
        plan = Plan(
            host=LOOPBACK,
            port=self._shop.direct_port,
            paths=("/v1/products?limit=20", f"/v1/products/{product}", f"/v1/products/{product}"),
            method="GET",
            run=_run(),
            rate_per_s=self._options.browse_per_s,
            seconds=self._options.seconds,
            connections=32,
            answers_kept=False,
            output="",
        )
        return _opened(name, plan.rate_per_s, run_crowd(plan))

    def _order_plan(self, sale: Sale, rate_per_s: float, lead_s: float = 0.0) -> Plan:
        return Plan(
            host=LOOPBACK,
            port=self._shop.direct_port,
            paths=(sale.path,),
            method="POST",
            body=sale.body,
            tokens=str(self._shop.tokens),
            first=self._next(int(rate_per_s * self._options.seconds)),
            run=_run(),
            rate_per_s=rate_per_s,
            seconds=self._options.seconds + lead_s,
            connections=self._options.connections,
            output="",
        )

    def _next(self, used: int) -> int:
        self._first = (self._first + used) % self._options.users
        return self._first


def _opened(name: str, rate_per_s: float, sent: list[Sent], differences: str = "") -> OpenMeasure:
    failed = sum(not row.attempt.accepted for row in sent)
    return opened_of(name, round(rate_per_s, 1), [row.attempt.latency_ms for row in sent], failed, differences)


def _run() -> str:
    return "b" + secrets.token_hex(6)
