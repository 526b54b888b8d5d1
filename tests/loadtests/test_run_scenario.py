"""A scenario run: Locust against a minimal shop, and the judgement of what it wrote."""

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from loadtests.reconcile import Acknowledged, Differences, Row
from loadtests.run import Entry, Stats, complaints_of
from loadtests.scenario import FOLDER, Expect, SaleTerms, Scenario, Stage, Title
from tests.loadtests.conftest import FakeShop

FINE = Stats(entries=(Entry(name="buy", count=100, failures=0, p50_ms=1, p99_ms=2),), errors=())
SCENARIO = Scenario(
    title=Title(en="a", zh="b"),
    loop="open",
    stages=(Stage(seconds=1, rate_per_s=1, acts={"buy": 1}),),
    sale=SaleTerms(stock=1),
    expect=Expect(sold=1, unpaid_end_s=1),
)
TOLD = [Acknowledged(order_id="ord_1", user_id="usr_1", sale_id="sal_1")]


def _rows(status: str = "cancelled") -> dict[str, Row]:
    return {"ord_1": Row(order_id="ord_1", user_id="usr_1", status=status, total_amount=1, currency="CNY", sale_id="sal_1")}


def test_a_run_that_went_well_has_no_complaints() -> None:
    assert complaints_of(SCENARIO, FINE, TOLD, _rows(), Differences(acknowledged=1), "balanced") == ()


def test_everything_that_must_hold_is_named_when_it_does_not() -> None:
    failed = Stats(entries=(Entry(name="buy", count=4, failures=1, p50_ms=1, p99_ms=2),), errors=("buy: 500 (1)",))
    missing = Differences(acknowledged=1, missing=("ord_9",))
    assert complaints_of(SCENARIO, failed, [], _rows("pending_payment"), missing, "exit 1: sku_1") == (
        "1 acknowledged orders: 1 missing (ord_9)",
        "the books do not balance: exit 1: sku_1",
        "25.00% of requests failed: buy: 500 (1)",
        "0 orders were accepted in the sale, 1 were to be",
        "1 orders are still unpaid and alive",
    )


def test_a_run_without_any_request_failed() -> None:
    assert Stats(entries=(), errors=()).failed_share == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("loop", ["open", "closed"])
def test_locust_carries_out_a_scenario_and_writes_down_every_order(loop: str, fake_shop: FakeShop, tokens: Path, tmp_path: Path) -> None:
    fake_shop.stock = 20
    scenarios = tmp_path / "scenarios"
    scenarios.mkdir()
    pace = "rate_per_s = 60" if loop == "open" else "users = 5"
    (scenarios / "tiny.toml").write_text(
        f'loop = "{loop}"\nthink_s = [0.01, 0.02]\n[title]\nen = "a"\nzh = "b"\n[sale]\nstock = 20\n[[stages]]\nseconds = 2\n{pace}\n'
        "acts = { browse = 1, product = 1, sale_page = 1, buy = 6, buy_again = 3, cart = 1, checkout = 1, read_order = 1 }\n"
    )
    told, stats = tmp_path / "told", tmp_path / "stats"
    environment = os.environ | {
        "PYTHONPATH": str(FOLDER.parent.parent),
        "LOADTEST_FOLDER": str(scenarios),
        "LOADTEST_SCENARIO": "tiny",
        "LOADTEST_TOKENS": str(tokens),
        "LOADTEST_SALE": "sal_1",
        "LOADTEST_SALE_SKU": "sku_1",
        "LOADTEST_PRODUCTS": '["prd_1"]',
        "LOADTEST_SKUS": '["sku_1","sku_2"]',
        "LOADTEST_TOLD": str(told),
        "LOADTEST_STATS": str(stats),
    }
    command = [sys.executable, "-m", "locust", "--headless", "--only-summary", "-f", str(FOLDER / "locustfile.py")]
    command += ["--host", f"http://127.0.0.1:{fake_shop.port}", "--stop-timeout", "5", "--exit-code-on-error", "0"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    counted = msgspec.json.decode(stats.read_bytes(), type=Stats)
    assert (counted.failed_share, counted.errors) == (0.0, ())
    assert {entry.name for entry in counted.entries} >= {"list products", "read product", "sale page", "buy", "buy again", "put cart line"}
    written = [json.loads(line) for line in told.read_text().splitlines()]
    assert {row["order_id"] for row in written} == set(fake_shop.orders.values())
    assert len(fake_shop.orders) == 20
