"""The whole core under seeds: no promise is broken, and each protection is missed when it is off."""

import gc
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.testing.simulator import Report, run, without

ROOT = Path(__file__).resolve().parents[2]
BATCHES, SEEDS_A_BATCH = 10, 15

FOUND = {"fence": 2, "gate": 0, "dedup": 0, "tombstone": 0, "snapshot_fence": 1, "oversold": 2}
"""The first seed of each control that notices, when it was last recorded: the search begins there, then goes through all."""

SEARCH = 2000

FAULTS = frozenset(
    {
        "crash", "freeze", "net_split", "net_split_one_way", "request_cut", "reply_cut", "request_lost", "reply_lost", "request_doubled",
        "request_late", "database_down", "database_away", "host_without_database", "unknown_before_commit", "unknown_after_commit",
        "statement_lingers", "statement_hangs", "shards_moved_about", "clock_step", "drain", "rebalanced", "caller_left", "paid_late",
        "paid_twice", "paid_wrong_amount", "webhook_doubled", "provider_lose", "provider_drop", "provider_notice_lost",
        "provider_notice_copied", "split_further", "hold_given_away",
    }
)  # fmt: skip

REFUSALS = frozenset(
    {
        "sold_out", "insufficient_stock", "hold_unknown", "hold_released", "quantity_invalid", "invalid_request",
        "coupon_unknown", "coupon_exhausted", "coupon_not_active", "coupon_not_applicable", "claim_unknown", "claim_released",
        "claim_redeemed", "quota_below_used", "sku_unknown", "sku_not_on_sale", "currency_mixed", "cart_empty", "cart_full",
        "order_unknown", "order_state", "order_abandoned", "total_changed", "purchase_limit", "sale_unknown", "sale_not_open", "sale_ended",
        "ticket_missing", "ticket_used", "ticket_expired", "idempotency_key_reused", "payment_declined",
        "outcome_unknown", "busy", "moved", "storage_unavailable", "deadline_passed",
    }
)  # fmt: skip

_reports: list[Report] = []


@pytest.mark.slow
@pytest.mark.parametrize("batch", range(BATCHES))
def test_no_promise_is_broken_whatever_fails(batch: int) -> None:
    for seed in range(batch * SEEDS_A_BATCH, (batch + 1) * SEEDS_A_BATCH):
        report = run(seed)
        _reports.append(report)
        assert report.broken == (), f"seed {seed}: {report.broken}\n" + "\n".join(report.tail)
        assert report.commands >= 300
        assert report.takeovers >= 2
        assert sum(count for name, count in report.faults.items() if name in FAULTS) >= 5
    gc.collect()


@pytest.mark.slow
def test_every_kind_of_fault_and_every_refusal_occurred() -> None:
    reports = _reports or [run(seed) for seed in range(BATCHES * SEEDS_A_BATCH)]
    faults, refusals = Counter[str](), Counter[str]()
    for report in reports:
        faults.update(report.faults)
        refusals.update(report.refusals)
    if len(reports) == BATCHES * SEEDS_A_BATCH:
        assert sorted(FAULTS - set(faults)) == []
        assert sorted(REFUSALS - set(refusals)) == []


def search(name: str) -> Iterator[int]:
    yield FOUND[name]
    yield from range(SEARCH)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("control", sorted(set(FOUND) - {"oversold"}))
def test_without_a_protection_the_books_notice(control: str) -> None:
    assert any(run(seed, without(control)).broken for seed in search(control))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_f07_without_the_fence_units_are_oversold_and_with_it_they_are_not() -> None:
    seed = next(seed for seed in search("oversold") if run(seed, without("fence")).oversold)
    assert run(seed).broken == ()


@pytest.mark.slow
def test_a_seed_is_the_same_run_in_every_process() -> None:
    one = run(3)
    assert run(3) == one
    program = "from actors.testing.simulator import run; report = run(3); print(report.steps, report.records)"
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT, env={"PYTHONHASHSEED": hash_seed, "PATH": ""}, capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        assert done.stdout.split() == [str(one.steps), str(one.records)]


def test_an_unknown_control_is_refused() -> None:
    with pytest.raises(ValueError, match="no such control"):
        without("everything")
