"""``python -m loadtests.bench``: measure everything, print a table, write ``.bench/bench.json`` and ``.bench/bench.png``.

It starts all it needs and stops it again. Exit 1 when books do not balance or an acknowledged order is not in the tables.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from loadtests.bench.baselines import FORMS, BaselineBench, best_pools
from loadtests.bench.measure import Measure, OpenMeasure, Options, Results, report_of
from loadtests.bench.report import markdown, plot
from loadtests.bench.shop import ShopBench
from loadtests.instance import ShopCopy

OUTPUT: Final = Path(".bench")
SPLIT_PARTS: Final = 4
"""Two might both live on one host; of four, that is rare."""

QUICK: Final = Options(rounds=1, seconds=3.0, warm_s=1.0, sweep_s=2.0, pools=(8,), users=5_000, idle_s=4.0)


def main() -> int:
    """Run the bench that the arguments describe."""
    options, wanted = _arguments()
    OUTPUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="stampede-bench-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        results = _run(options, wanted, Path(folder))
    report = report_of(results)
    (OUTPUT / "bench.json").write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2))
    plot(report, OUTPUT / "bench.png")
    print(markdown(report))
    broken = [measure for measure in results.opened if measure.differences]
    return 1 if broken or any(not words.startswith("balanced") for words in results.books) else 0


def _arguments() -> tuple[Options, str]:
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="of each measured load")
    parser.add_argument("--connections", type=int)
    parser.add_argument("--users", type=int)
    parser.add_argument("--quick", action="store_true", help="one short round, pool 8: shows that it works, not how fast it is")
    parser.add_argument("--only", choices=("all", "baselines", "shop"), default="all")
    found = vars(parser.parse_args())
    wanted: str = found.pop("only")
    options = QUICK if found.pop("quick") else Options()
    return msgspec.structs.replace(options, **{name: value for name, value in found.items() if value is not None}), wanted


def _run(options: Options, wanted: str, folder: Path) -> Results:
    results = Results(options=options)
    if wanted != "shop":
        with BaselineBench(folder / "baselines", options) as bench:
            _say("sweeping the baselines over pool sizes")
            swept = bench.sweep()
        results = msgspec.structs.replace(results, swept=swept, best_pool=best_pools(swept))
    for number in range(options.rounds):
        if wanted != "shop":
            _say(f"round {number + 1}: baselines")
            results = _with(results, _baseline_round(folder / "baselines", results), ())
        if wanted != "baselines":
            _say(f"round {number + 1}: Stampede, one host")
            results = _shop_round(folder / f"shop-{number}", results, first=number == 0)
            _say(f"round {number + 1}: Stampede, started again, the same buyers")
            results = _returning_round(folder / f"shop-{number}", results)
            _say(f"round {number + 1}: Stampede, two hosts")
            results = _two_hosts_round(folder / f"shop-{number}-two", results)
    return results


def _baseline_round(folder: Path, results: Results) -> tuple[Measure, ...]:
    with BaselineBench(folder, results.options) as bench:
        return tuple(bench.measure(form, results.best_pool[form], results.options.seconds) for form in FORMS)


def _shop_round(folder: Path, results: Results, *, first: bool) -> Results:
    options = results.options
    with ShopCopy(folder, {"STAMPEDE_HOSTS": "1"}) as shop:
        bench = ShopBench(shop, options)
        if first:
            results = msgspec.structs.replace(results, idle=(bench.idle(),))
        shop.seed(options.users)
        direct = bench.orders("direct", shop.direct_port)
        ingress = bench.orders("ingress", shop.ingress_port)
        results = _with(results, (direct, ingress, *bench.refusals()), ())
        results = _with(results, (), (bench.half_of(direct.per_s), *bench.browsing(direct.per_s)))
        return _with_books(results, shop)


def _returning_round(folder: Path, results: Results) -> Results:
    """The copy of :func:`_shop_round` after a restart: nothing is in memory, and every buyer has a history."""
    with ShopCopy(folder, {"STAMPEDE_HOSTS": "1"}) as shop:
        bench = ShopBench(shop, results.options)
        return _with_books(_with(results, (bench.orders("direct_returning", shop.direct_port, warm=False),), ()), shop)


def _two_hosts_round(folder: Path, results: Results) -> Results:
    """The article on one of two hosts, so that half of the orders ask across; and split over both, so that few do."""
    with ShopCopy(folder, {"STAMPEDE_HOSTS": "2", "STAMPEDE_SPLIT_RATE_PER_S": "0"}) as shop:
        bench = ShopBench(shop, results.options)
        shop.seed(results.options.users)
        direct = bench.orders("direct_two_hosts", shop.direct_port)
        ingress = bench.orders("ingress_two_hosts", shop.ingress_port)
        split = bench.orders("direct_two_hosts_split", shop.direct_port, parts=SPLIT_PARTS)
        return _with_books(_with(results, (direct, ingress, split), ()), shop)


def _with(results: Results, measures: tuple[Measure, ...], opened: tuple[OpenMeasure, ...]) -> Results:
    for measure in measures:
        _say(f"  {measure.system}: {measure.per_s:,.0f}/s, p99 {measure.latency.p99_ms:.1f} ms")
    for found in opened:
        _say(f"  {found.name}: p99 {found.latency.p99_ms:.1f} ms, {found.failed} failed")
    return msgspec.structs.replace(results, measures=results.measures + measures, opened=results.opened + opened)


def _with_books(results: Results, shop: ShopCopy) -> Results:
    return msgspec.structs.replace(results, books=(*results.books, shop.audit()))


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
