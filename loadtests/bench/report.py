"""The bench for people: a table in markdown, the ratios, and a plot."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from loadtests.bench.measure import Line, Report

LABELS: Final = {
    "rowlock": "row lock, transaction",
    "rowlock_stock_last": "row lock, stock row last",
    "rowlock_cte": "row lock, one statement",
    "redis": "Redis recipe",
    "direct": "Stampede, direct listener, one host",
    "direct_returning": "Stampede, direct listener, buyers whose books must be read first",
    "ingress": "Stampede, Serve ingress, one host",
    "direct_two_hosts": "Stampede, direct listener, two hosts, article on one",
    "direct_two_hosts_split": "Stampede, direct listener, two hosts, article split over both",
    "ingress_two_hosts": "Stampede, Serve ingress, two hosts, article on one",
    "sold_out": "Stampede, sold-out answers",
    "empty": "Stampede, empty answers",
}
MIB: Final = 1024 * 1024
COLOURS: Final = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb", "#882255", "#44aa99", "#999933")
GROUPS_SHOWN: Final = 5
FOREIGN_CORES_MAX: Final = 0.1
"""Cores that others may use while a load is measured; past it the report says that the machine was not quiet."""


def markdown(report: Report) -> str:
    """All of it, as markdown."""
    return "\n".join([*_systems(report), *_disturbed(report), "", *_ratios(report), "", *_opened(report), "", *_rest(report)])


def _systems(report: Report) -> Iterator[str]:
    options = report.results.options
    yield f"Closed load, {options.connections} connections, {options.seconds:g} s, {options.rounds} rounds, medians."
    yield f"The load generator is {report.generator}."
    yield "CPU counts until projections have caught up, without the load generator's own."
    yield ""
    yield "| system | answers/s | p50 ms | p99 ms | CPU us each | by process (us) |"
    yield "| --- | ---: | ---: | ---: | ---: | --- |"
    for line in report.lines:
        pool = report.results.best_pool.get(line.system)
        name = LABELS.get(line.system, line.system) + (f", pool {pool}" if pool else "")
        yield f"| {name} | {line.per_s:,.0f} | {line.p50_ms:.1f} | {line.p99_ms:.1f} | {line.cpu_us:.0f} | {_groups(line)} |"


def _disturbed(report: Report) -> Iterator[str]:
    disturbed = [f"{line.system} {line.foreign_cores_max:.2f}" for line in report.lines if line.foreign_cores_max > FOREIGN_CORES_MAX]
    if disturbed:
        yield ""
        yield f"NOT QUIET: other programs used up to so many cores meanwhile, so the ratios do not hold: {', '.join(disturbed)}."


def _groups(line: Line) -> str:
    return ", ".join(f"{group} {us:.0f}" for group, us in list(line.cpu_us_by_group.items())[: GROUPS_SHOWN + 1] if us >= 1)


def _ratios(report: Report) -> Iterator[str]:
    yield "| ratio | value |"
    yield "| --- | ---: |"
    for name, value in report.ratios.items():
        if value is not None:
            yield f"| {name} | {value:.2f} |"


def _opened(report: Report) -> Iterator[str]:
    if not report.results.opened:
        return
    yield "Open load (waits from the intended send):"
    yield ""
    yield "| load | rate/s | accepted | failed | p50 ms | p99 ms | against the tables |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | --- |"
    for measure in report.results.opened:
        counts = f"{measure.rate_per_s:g} | {measure.accepted} | {measure.failed}"
        waits = f"{measure.latency.p50_ms:.1f} | {measure.latency.p99_ms:.1f}"
        yield f"| {measure.name} | {counts} | {waits} | {measure.differences or 'equal'} |"


def _rest(report: Report) -> Iterator[str]:
    for idle in report.results.idle:
        yield f"Idle: {idle.pss_bytes / MIB:,.0f} MiB PSS in {idle.processes} processes, {idle.cpu_share:.0%} of one core."
    for words in report.results.books:
        yield f"Books: {words}"


def plot(report: Report, file: Path) -> None:
    """Answers a second, and CPU an answer by group of process, one bar a system."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (rates, costs) = pyplot.subplots(1, 2, figsize=(14, 1.2 + 0.55 * len(report.lines)), sharey=True, layout="constrained")
    names = [LABELS.get(line.system, line.system) for line in report.lines]
    bars = rates.barh(names, [line.per_s for line in report.lines], color=COLOURS[0])
    rates.bar_label(bars, labels=[f" {line.per_s:,.0f}" for line in report.lines])
    rates.set_xlabel("answers a second (median)")
    rates.invert_yaxis()
    groups = sorted({group for line in report.lines for group in line.cpu_us_by_group})
    left = [0.0] * len(report.lines)
    for number, group in enumerate(groups):
        widths = [line.cpu_us_by_group.get(group, 0.0) for line in report.lines]
        costs.barh(names, widths, left=left, label=group, color=COLOURS[number % len(COLOURS)])
        left = [at + width for at, width in zip(left, widths, strict=True)]
    costs.set_xlabel("CPU, microseconds an answer")
    costs.legend(fontsize="small")
    figure.savefig(file, dpi=120)
    pyplot.close(figure)
