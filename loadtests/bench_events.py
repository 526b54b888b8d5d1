"""``python -m loadtests.bench_events``: events a second of one replica, their cost, and who feels them.

A closed load for the rates (one raw asyncio client, batches of 50 and 200, each of another visitor); then open loads of pages and
orders, alone and beside events at half of the measured rate. It ends with the books: every accepted event is in the lake, once.
"""

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar, Final

import msgspec

from loadtests.figures import Latency, latency_of
from loadtests.generator.closed import run_crowd
from loadtests.generator.plan import NUMBER, Plan, Sent
from loadtests.instance import LOOPBACK, ShopCopy, _ready
from loadtests.processes import MARK, machine_busy_s, spent

UP_S: Final = 90.0
SIZES: Final = (50, 200)
CONNECTIONS: Final = 32
PAGES_PER_S: Final = 100.0
ORDERS_PER_S: Final = 50.0
LEAD_S: Final = 1.0
WARM_S: Final = 1.0
USERS: Final = 2000
WANTED_PER_S: Final = 20_000
TIMES: Final = 2.0
"""The p99 of pages beside events may be so many times what it is without."""


class AloneCopy(ShopCopy):
    """A copy of one host and one replica without Ray (``serve.alone``)."""

    program: ClassVar[tuple[str, ...]] = (sys.executable, "-m", "serve.cli.main")

    def _up(self) -> None:
        self.command("seed", "--shop", "small")
        with (self.folder / "up.log").open("ab") as log:
            command = [sys.executable, "-m", "serve.alone"]
            self._process = subprocess.Popen(
                command, env=self._environment | {MARK: self.mark}, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + UP_S
        while not _ready(f"http://{LOOPBACK}:{self.direct_port}/readyz"):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"it did not come up: {self._last_words()}")
            time.sleep(0.2)


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """One closed load. us: microseconds of CPU an event by group of process; two_cores_per_s: events a second that two cores would give."""

    batch: int
    events_per_s: float
    events: int
    refused: int
    latency: Latency
    us: dict[str, float]
    two_cores_per_s: float
    foreign_cores: float


class Beside(msgspec.Struct, frozen=True, kw_only=True):
    """One open load of pages and orders; events_per_s: what was taken meanwhile."""

    events_per_s: float
    pages: Latency
    orders: Latency
    failed: int


class EventsBench:
    """The measures on one running copy."""

    def __init__(self, shop: ShopCopy, seconds: float) -> None:
        self._shop = shop
        self._seconds = seconds
        self.accepted = 0

    def rate(self, size: int) -> Rate:
        """As many batches of this size as one client gets answered."""
        self._count(run_crowd(self._events(size, WARM_S)), size)
        before, busy_s, children_s = self._shop.processes(), machine_busy_s(), _children_s()
        sent = run_crowd(self._events(size, self._seconds))
        busy_s, children_s = machine_busy_s() - busy_s, _children_s() - children_s
        used = {**spent(before, self._shop.processes()), "load generator": children_s}
        events = self._count(sent, size)
        elapsed_s = max(row.done_s for row in sent) - min(row.intended_s for row in sent)
        us = {group: round(seconds / events * 1e6, 2) for group, seconds in used.items() if seconds > 0.05}
        latency = latency_of(row.attempt for row in sent)
        assert latency is not None
        return Rate(
            batch=size,
            events_per_s=round(events / elapsed_s),
            events=events,
            refused=sum(not row.attempt.accepted for row in sent),
            latency=latency,
            us=us,
            two_cores_per_s=round(2e6 / sum(us.values())),
            foreign_cores=max(0.0, (busy_s - sum(used.values())) / elapsed_s),
        )

    def beside(self, events_per_s: float) -> Beside:
        """Pages and orders at their rates while so many events a second arrive, in batches of fifty."""
        size = SIZES[0]
        sale = self._shop.open_sale(stock=1_000_000, limit=900)
        orders = self._plan((sale.path,), sale.body, ORDERS_PER_S, tokens=str(self._shop.tokens))
        product = self._shop.any_product()
        pages = self._plan(("/v1/products?limit=20", f"/v1/products/{product}", f"/v1/flash-sales/{sale.sale_id}"), "", PAGES_PER_S)
        works: list[Callable[[], list[Sent]]] = [lambda: run_crowd(pages), lambda: run_crowd(orders)]
        with ThreadPoolExecutor(3) as pool:
            plan = self._events(size, self._seconds + 2 * LEAD_S, events_per_s / size)
            flood = pool.submit(run_crowd, plan) if events_per_s else None
            time.sleep(LEAD_S)
            found = [work.result() for work in [pool.submit(work) for work in works]]
            taken = self._count(flood.result(), size) if flood is not None else 0
        latencies = [latency_of(row.attempt for row in sent) for sent in found]
        assert latencies[0] is not None
        assert latencies[1] is not None
        return Beside(
            events_per_s=round(taken / plan.seconds),
            pages=latencies[0],
            orders=latencies[1],
            failed=sum(not row.attempt.accepted for sent in found for row in sent),
        )

    def _count(self, sent: list[Sent], size: int) -> int:
        events = sum(row.attempt.accepted for row in sent) * size
        self.accepted += events
        return events

    def _events(self, size: int, seconds: float, batches_per_s: float = 0.0) -> Plan:
        return self._plan(("/v1/events",), _body(size), batches_per_s, seconds=seconds)

    def _plan(self, paths: tuple[str, ...], body: str, rate_per_s: float, *, tokens: str = "", seconds: float = 0.0) -> Plan:
        return Plan(
            host=LOOPBACK,
            port=self._shop.direct_port,
            paths=paths,
            method="POST" if body else "GET",
            body=body,
            tokens=tokens,
            run="b" + secrets.token_hex(5),
            rate_per_s=rate_per_s,
            seconds=seconds or self._seconds,
            connections=CONNECTIONS,
            answers_kept=False,
            output="",
        )


def _children_s() -> float:
    used = os.times()
    return used.children_user + used.children_system


def _body(size: int) -> str:
    """A batch as a phone would send it: mostly views and dwells, and a visitor whose name ends in the request's number."""
    now_ms = int(time.time() * 1000)
    events = [_event(number, now_ms) for number in range(size)]
    head = {"visitor_id": secrets.token_hex(6) + NUMBER, "terminal": "app", "consent": "granted", "sent_at_ms": now_ms}
    campaign = {"source": "wechat", "medium": "social", "campaign": "double-eleven"}
    return json.dumps({**head, "campaign": campaign, "events": events}, separators=(",", ":"), ensure_ascii=False)


def _event(number: int, now_ms: int) -> dict[str, object]:
    shared: dict[str, object] = {"id": secrets.token_hex(8), "at_ms": now_ms - 100 * number}
    product = f"prd_{number % 37:05}"
    kinds: tuple[dict[str, object], ...] = (
        {"type": "view", "product_id": product, "page": "/products/" + product},
        {"type": "dwell", "product_id": product, "page": "/products/" + product, "dwell_ms": 5300},
        {"type": "search", "query": "保温杯 500ml", "results": 37},
        {"type": "view", "page": "/"},
        {"type": "add", "sku_id": f"sku_{number % 37:05}", "quantity": 1},
    )
    return {**kinds[number % len(kinds)], **shared}


def books(shop: ShopCopy, accepted: int) -> tuple[str, dict[str, float]]:
    """``balanced`` when the lake holds every accepted event once; and what landing them took."""
    shop._down()
    shop.postgres.start()
    began_s, before_s = time.monotonic(), _children_s()
    report = json.loads(shop.command("events", "land", "--json"))
    seconds = _children_s() - before_s
    rows = json.loads(shop.command("events", "status", "--json"))["lake"]["rows"]
    said = "balanced" if rows == accepted and not report["duplicates"] else f"{accepted} accepted, {rows} in the lake: {report}"
    figures = {"rows_per_s": report["rows"] / (time.monotonic() - began_s), "us": seconds / max(1, report["rows"]) * 1e6}
    return said, {name: round(value, 2) for name, value in figures.items()}


def main() -> int:
    """Measure; exit 1 when the books do not balance, the rate is not reached, or pages felt the events."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench_events", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    found = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stampede-events-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        settings = {"STAMPEDE_SHARD_COUNT": "16", "STAMPEDE_WATCHDOG_MS": "0", "STAMPEDE_EVENTS_SPOOL_BYTES_MAX": str(8 << 30)}
        with AloneCopy(Path(folder) / "shop", settings) as shop:
            shop.seed(USERS)
            bench = EventsBench(shop, found.seconds)
            rates = [bench.rate(size) for size in SIZES]
            half = rates[0].events_per_s / 2
            loads = [bench.beside(per_s) for per_s in (0, half, WANTED_PER_S) * 2]
            balanced, landing = books(shop, bench.accepted)
    times = sum(one.pages.p99_ms for one in loads[1::3]) / sum(one.pages.p99_ms for one in loads[::3])
    print(_words(rates, loads, times, balanced, landing))
    reached = min(rate.two_cores_per_s for rate in rates) >= WANTED_PER_S
    return 0 if balanced == "balanced" and reached and times <= TIMES and not any(one.failed for one in loads) else 1


def _words(rates: list[Rate], loads: list[Beside], times: float, balanced: str, landing: dict[str, float]) -> str:
    lines = ["| batch | events/s | p50 ms | p99 ms | refused | CPU us an event | two cores would give | others used |", "| ---: " * 8 + "|"]
    for rate in rates:
        us = ", ".join(f"{group} {value}" for group, value in rate.us.items())
        lines.append(
            f"| {rate.batch} | {rate.events_per_s:,.0f} | {rate.latency.p50_ms:.1f} | {rate.latency.p99_ms:.1f} | {rate.refused} | "
            f"{us} | {rate.two_cores_per_s:,.0f} | {rate.foreign_cores:.2f} cores |"
        )
    lines += ["", "| events/s beside | pages p50 ms | p99 ms | orders p50 ms | p99 ms | failed |", "| ---: " * 6 + "|"]
    lines += [
        f"| {one.events_per_s:,.0f} | {one.pages.p50_ms:.1f} | {one.pages.p99_ms:.1f} | {one.orders.p50_ms:.1f} | "
        f"{one.orders.p99_ms:.1f} | {one.failed} |"
        for one in loads
    ]
    lines += ["", f"p99 of pages beside half of the rate: {times:.2f} times that without. Landing: {landing['rows_per_s']:,.0f} events/s, "]
    lines[-1] += f"{landing['us']} us of CPU an event. Books: {balanced}."
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
