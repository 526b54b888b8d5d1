"""``python -m loadtests.run NAME``: one Locust scenario against a private copy of the shop, judged by the books.

Ends with ``stampede audit`` and a comparison of every 2xx to an order with the tables. Exit 1 when the books do
not balance, an acknowledged order is missing or different, or the scenario's own expectations fail; 2 when
there is no such scenario.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import msgspec

from loadtests.instance import LOOPBACK, Sale, ShopCopy, ids_in
from loadtests.reconcile import Acknowledged, Differences, Row, compare, rows_of
from loadtests.scenario import FOLDER, Scenario, load, names

ROOT: Final = Path(__file__).resolve().parent.parent
STOP_S: Final = 20
GRACE_S: Final = 90.0
ARTICLES_MAX: Final = 100
PENDING: Final = "pending_payment"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of request, as Locust counted it."""

    name: str
    count: int
    failures: int
    p50_ms: float
    p99_ms: float


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """What Locust counted."""

    entries: tuple[Entry, ...]
    errors: tuple[str, ...]

    @property
    def failed_share(self) -> float:
        """Failures of all requests."""
        count = sum(entry.count for entry in self.entries)
        return sum(entry.failures for entry in self.entries) / count if count else 1.0


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """A scenario's end. complaints: one sentence for each thing that must hold and does not."""

    stats: Stats
    differences: Differences
    books: str
    complaints: tuple[str, ...]


def main() -> int:
    """Run the scenario that the argument names."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.run", description=__doc__)
    parser.add_argument("name", metavar="NAME", help=f"one of: {', '.join(names())}")
    parser.add_argument("--seed", type=int, default=1)
    found = parser.parse_args()
    try:
        scenario = load(found.name)
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 2
    return run(found.name, scenario, found.seed)


def run(name: str, scenario: Scenario, seed: int = 1) -> int:
    """Run a scenario, print what came of it, and return the exit code."""
    print(f"{name}: {scenario.title.en} / {scenario.title.zh} ({scenario.loop} load, {scenario.seconds:g} s, seed {seed})", flush=True)
    with tempfile.TemporaryDirectory(prefix="stampede-load-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with ShopCopy(Path(folder) / "shop", scenario.settings) as shop:
            verdict = _carry_out(shop, name, scenario, seed, Path(folder))
    print(_words(verdict))
    return 1 if verdict.complaints else 0


def _carry_out(shop: ShopCopy, name: str, scenario: Scenario, seed: int, folder: Path) -> Verdict:
    shop.seed(scenario.accounts)
    sale = None
    if scenario.sale is not None:
        sale = shop.open_sale(stock=scenario.sale.stock, limit=scenario.sale.limit, price=scenario.sale.price)
    stats = _locust(shop, name, scenario, seed, sale, folder)
    told = [msgspec.json.decode(line, type=Acknowledged) for line in (folder / "told").read_bytes().splitlines()]
    shop.wait_caught_up()
    rows = _rows(shop, told)
    if scenario.expect.unpaid_end_s is not None:
        rows = _rows_without_pending(shop, told, scenario.expect.unpaid_end_s)
    differences, books = compare(told, rows), shop.audit()
    complaints = complaints_of(scenario, stats, told, rows, differences, books)
    return Verdict(stats=stats, differences=differences, books=books, complaints=complaints)


def complaints_of(
    scenario: Scenario, stats: Stats, told: list[Acknowledged], rows: dict[str, Row], differences: Differences, books: str
) -> tuple[str, ...]:
    """What must hold and does not, one sentence each."""
    expect = scenario.expect
    sold = len({ack.order_id for ack in told if ack.sale_id})
    pending = sum(row.status == PENDING for row in rows.values())
    checks = (
        (differences.none, str(differences)),
        (books == "balanced", f"the books do not balance: {books}"),
        (stats.failed_share <= expect.failed_share_max, f"{stats.failed_share:.2%} of requests failed: {'; '.join(stats.errors)}"),
        (expect.sold in (None, sold), f"{sold} orders were accepted in the sale, {expect.sold} were to be"),
        (expect.unpaid_end_s is None or not pending, f"{pending} orders are still unpaid and alive"),
    )
    return tuple(words for holds, words in checks if not holds)


def _locust(shop: ShopCopy, name: str, scenario: Scenario, seed: int, sale: Sale | None, folder: Path) -> Stats:
    products, skus = _articles(shop)
    environment = dict(os.environ) | {
        "PYTHONPATH": str(ROOT),
        "LOADTEST_SCENARIO": name,
        "LOADTEST_SEED": str(seed),
        "LOADTEST_TOKENS": str(shop.tokens),
        "LOADTEST_SALE": sale.sale_id if sale else "",
        "LOADTEST_SALE_SKU": sale.sku_id if sale else "",
        "LOADTEST_PRODUCTS": json.dumps(products),
        "LOADTEST_SKUS": json.dumps(skus),
        "LOADTEST_TOLD": str(folder / "told"),
        "LOADTEST_STATS": str(folder / "stats.json"),
    }
    command = [sys.executable, "-m", "locust", "--headless", "--only-summary", "-f", str(FOLDER / "locustfile.py")]
    command += ["--host", f"http://{LOOPBACK}:{shop.direct_port}", "--stop-timeout", str(STOP_S), "--exit-code-on-error", "0"]
    with (folder / "locust.log").open("wb") as log:
        timeout = scenario.seconds + STOP_S + GRACE_S
        done = subprocess.run(command, env=environment, stdout=log, stderr=log, timeout=timeout, check=False)
    if done.returncode or not (folder / "stats.json").exists():
        raise RuntimeError(f"locust ended with {done.returncode}: {(folder / 'locust.log').read_text(errors='replace')[-1500:]}")
    return msgspec.json.decode((folder / "stats.json").read_bytes(), type=Stats)


def _articles(shop: ShopCopy) -> tuple[list[str], list[str]]:
    listed = shop.get(f"/v1/products?limit={ARTICLES_MAX}")
    products, skus = ids_in("prd", listed), ids_in("sku", listed)
    for product in products if not skus else ():
        skus += ids_in("sku", shop.get(f"/v1/products/{product}"))
    if not products or not skus:
        raise RuntimeError("the shop shows no articles")
    return products, list(dict.fromkeys(skus))


def _rows(shop: ShopCopy, told: list[Acknowledged]) -> dict[str, Row]:
    return asyncio.run(rows_of(shop.database_url, sorted({ack.order_id for ack in told})))


def _rows_without_pending(shop: ShopCopy, told: list[Acknowledged], within_s: float) -> dict[str, Row]:
    deadline = time.monotonic() + within_s
    while True:
        rows = _rows(shop, told)
        if time.monotonic() > deadline or not any(row.status == PENDING for row in rows.values()):
            return rows
        time.sleep(0.5)


def _words(verdict: Verdict) -> str:
    lines = ["| request | count | failed | p50 ms | p99 ms |", "| --- | ---: | ---: | ---: | ---: |"]
    lines += [f"| {e.name} | {e.count} | {e.failures} | {e.p50_ms:.0f} | {e.p99_ms:.0f} |" for e in verdict.stats.entries]
    lines += [f"{verdict.differences}. Books: {verdict.books}."]
    lines += [f"WRONG: {complaint}" for complaint in verdict.complaints] or ["All as expected."]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
