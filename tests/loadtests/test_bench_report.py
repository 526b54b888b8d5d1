"""Medians, ratios and tables of the bench."""

from pathlib import Path

import msgspec
import pytest

from loadtests.bench.baselines import best_pools, measure_of
from loadtests.bench.measure import Idle, Measure, Options, Results, line_of, opened_of, report_of
from loadtests.bench.report import markdown, plot
from loadtests.bench.watch import Watched, foreign_cores
from loadtests.figures import Latency
from loadtests.generator.closed import Peak

LATENCY = Latency(count=100, p50_ms=10, p90_ms=20, p99_ms=30, max_ms=40)


def _measure(system: str, per_s: float, *, pool: int | None = None, cpu_s: dict[str, float] | None = None) -> Measure:
    return Measure(
        system=system, per_s=per_s, effects=1000, refused=0, broken=0, latency=LATENCY, cpu_s=cpu_s or {}, generator="wrk", pool=pool
    )


def test_a_system_is_the_median_of_its_rounds_and_the_generator_is_not_its_cost() -> None:
    costs = [{"hosts": 0.1, "load generator": 1.0}, {"hosts": 0.3, "load generator": 1.0}, {"hosts": 0.2, "postgres": 0.1}]
    line = line_of("direct", [_measure("direct", rate, cpu_s=cpu) for rate, cpu in zip((900.0, 1200.0, 1000.0), costs, strict=True)])
    assert line is not None
    assert (line.per_s, line.rounds, line.cpu_us) == (1000.0, 3, 300.0)
    assert line.cpu_us_by_group == {"load generator": 1000.0, "hosts": 200.0, "postgres": 0.0}


def test_a_system_that_was_not_measured_has_no_line() -> None:
    assert line_of("ingress", [_measure("direct", 1.0)]) is None


def test_the_ratios_are_of_medians_in_one_run_and_none_where_one_side_is_missing() -> None:
    measures = [_measure(name, rate) for name, rate in (("direct", 8000.0), ("rowlock", 1000.0), ("redis", 2000.0), ("sold_out", 900.0))]
    ratios = report_of(Results(options=Options(), measures=tuple(measures))).ratios
    assert ratios["direct_vs_rowlock"] == 8.0
    assert ratios["direct_vs_redis"] == 4.0
    assert ratios["ingress_vs_rowlock"] is None
    assert ratios["sold_out_vs_empty"] is None


def test_browsing_in_the_spike_is_compared_with_quiet_browsing_by_p99() -> None:
    opened = (opened_of("browse quiet", 10, [1.0, 2.0], 0), opened_of("browse in the spike", 10, [1.0, 3.0], 0))
    assert report_of(Results(options=Options(), opened=opened)).ratios["browse_spike_vs_quiet"] == 1.5


def test_an_open_load_that_sent_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="browse: nothing was sent"):
        opened_of("browse", 10, [], 0)


def test_each_baseline_is_taken_at_its_fastest_pool() -> None:
    swept = (_measure("redis", 10, pool=4), _measure("redis", 30, pool=8), _measure("redis", 20, pool=16), _measure("rowlock", 5, pool=32))
    assert best_pools(swept) == {"redis": 8, "rowlock": 32}


@pytest.mark.parametrize(("refusals", "per_s", "effects"), [(False, 5.0, 10), (True, 50.0, 100)])
def test_refusals_count_only_where_they_are_what_is_measured(refusals: bool, per_s: float, effects: int) -> None:
    found = Peak(generator="wrk", seconds=2.0, accepted=10, refused=90, broken=0, latency=LATENCY, generator_cpu_s=0.5)
    measure = measure_of("sold_out", Watched(found=found, before={}, foreign_cores=0.3), {"hosts": 1.0}, refusals=refusals)
    assert measure.foreign_cores == 0.3
    assert (measure.per_s, measure.effects) == (per_s, effects)
    assert measure.cpu_s == {"hosts": 1.0, "load generator": 0.5}


@pytest.mark.slow
def test_the_report_is_a_table_a_plot_and_a_file(tmp_path: Path) -> None:
    measures = (_measure("direct", 8000.0, cpu_s={"hosts": 0.05, "postgres": 0.02}), _measure("rowlock", 1000.0, pool=8))
    idle = Idle(pss_bytes=1024**3, cpu_share=0.151, processes=12)
    opened = (opened_of("orders at half of the peak", 4000, [5.0], 0),)
    results = Results(options=Options(), best_pool={"rowlock": 8}, measures=measures, opened=opened, idle=(idle,), books=("balanced",))
    report = report_of(results)
    text = markdown(report)
    assert "| Stampede, direct listener, one host | 8,000 | 10.0 | 30.0 | 70 | hosts 50, postgres 20 |" in text
    assert "| row lock, transaction, pool 8 | 1,000 |" in text
    assert "| direct_vs_rowlock | 8.00 |" in text
    assert "| orders at half of the peak | 4000 | 1 | 0 | 5.0 | 5.0 | equal |" in text
    assert "Idle: 1,024 MiB PSS in 12 processes, 15% of one core." in text
    assert "Books: balanced" in text
    plot(report, tmp_path / "bench.png")
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")
    assert msgspec.json.decode(msgspec.json.encode(report))["ratios"]["direct_vs_rowlock"] == 8.0


@pytest.mark.parametrize(("busy_s", "cores"), [(4.0, 1.25), (1.5, 0.0), (1.2, 0.0)])
def test_what_neither_the_system_nor_the_generator_used_is_foreign(busy_s: float, cores: float) -> None:
    found = Peak(generator="wrk", seconds=2.0, accepted=1, refused=0, broken=0, latency=LATENCY, generator_cpu_s=0.5)
    assert foreign_cores(busy_s, {"hosts": 0.75, "postgres": 0.25}, found) == cores


def test_a_figure_from_a_busy_machine_says_so() -> None:
    quiet, busy = _measure("direct", 10.0), msgspec.structs.replace(_measure("rowlock", 5.0), foreign_cores=0.9)
    words = "NOT QUIET: other programs used up to so many cores meanwhile, so the ratios do not hold: rowlock 0.90."
    assert words in markdown(report_of(Results(options=Options(), measures=(quiet, busy))))
    assert "NOT QUIET" not in markdown(report_of(Results(options=Options(), measures=(quiet,))))
