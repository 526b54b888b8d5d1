"""What the bench finds, as written to ``.bench/bench.json``."""

from collections.abc import Iterable

import msgspec

from loadtests.figures import Latency, latency_of_ms, median, ratio, share_by_group


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How the bench is run. seconds: of one measured load; warm_s: of the unmeasured one before it."""

    rounds: int = 3
    seconds: float = 8.0
    warm_s: float = 2.0
    sweep_s: float = 3.0
    pools: tuple[int, ...] = (4, 8, 16, 32)
    connections: int = 256
    users: int = 40_000
    limit_each: int = 50
    idle_s: float = 10.0
    browse_per_s: float = 100.0


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """One closed load on one system.

    effects: what is counted: accepted orders, or answers where the load is of refusals or empty answers.
    cpu_s: CPU seconds by group of process, from the start of the load until projections had caught up.
    foreign_cores: what other programs on the machine used while the load ran.
    """

    system: str
    per_s: float
    effects: int
    refused: int
    broken: int
    latency: Latency
    cpu_s: dict[str, float]
    generator: str
    foreign_cores: float = 0.0
    caught_up_s: float = 0.0
    pool: int | None = None


class OpenMeasure(msgspec.Struct, frozen=True, kw_only=True):
    """One open load: a constant rate, waits from the intended send."""

    name: str
    rate_per_s: float
    accepted: int
    failed: int
    latency: Latency
    differences: str = ""


class Idle(msgspec.Struct, frozen=True, kw_only=True):
    """What a copy costs that nobody uses: memory as PSS, CPU as a part of one core."""

    pss_bytes: int
    cpu_share: float
    processes: int


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one bench found."""

    options: Options
    best_pool: dict[str, int] = {}
    swept: tuple[Measure, ...] = ()
    measures: tuple[Measure, ...] = ()
    opened: tuple[OpenMeasure, ...] = ()
    idle: tuple[Idle, ...] = ()
    books: tuple[str, ...] = ()


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One system over all rounds: medians."""

    system: str
    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    cpu_us_by_group: dict[str, float]
    rounds: int
    foreign_cores_max: float = 0.0


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The file: medians and ratios first, then all that they were taken from."""

    ratios: dict[str, float | None]
    lines: tuple[Line, ...]
    generator: str
    results: Results


RATIOS: tuple[tuple[str, str, str], ...] = (
    ("direct_vs_rowlock", "direct", "rowlock"),
    ("direct_vs_rowlock_stock_last", "direct", "rowlock_stock_last"),
    ("direct_vs_rowlock_cte", "direct", "rowlock_cte"),
    ("direct_vs_redis", "direct", "redis"),
    ("ingress_vs_rowlock", "ingress", "rowlock"),
    ("ingress_vs_rowlock_stock_last", "ingress", "rowlock_stock_last"),
    ("ingress_vs_rowlock_cte", "ingress", "rowlock_cte"),
    ("ingress_vs_redis", "ingress", "redis"),
    ("direct_returning_vs_rowlock", "direct_returning", "rowlock"),
    ("two_hosts_direct_vs_rowlock", "direct_two_hosts", "rowlock"),
    ("two_hosts_split_direct_vs_rowlock", "direct_two_hosts_split", "rowlock"),
    ("two_hosts_ingress_vs_rowlock", "ingress_two_hosts", "rowlock"),
    ("sold_out_vs_empty", "sold_out", "empty"),
)


def line_of(system: str, measures: Iterable[Measure]) -> Line | None:
    """The medians of one system; None when it was not measured."""
    mine = [measure for measure in measures if measure.system == system and measure.effects]
    if not mine:
        return None
    shares = [share_by_group(measure.cpu_s, measure.effects) for measure in mine]
    groups = {group for share in shares for group in share}
    by_group = {group: median(share.get(group, 0.0) for share in shares) for group in groups}
    return Line(
        system=system,
        per_s=round(median(measure.per_s for measure in mine), 1),
        p50_ms=median(measure.latency.p50_ms for measure in mine),
        p99_ms=median(measure.latency.p99_ms for measure in mine),
        cpu_us=round(median(sum(us for group, us in share.items() if group != "load generator") for share in shares), 1),
        cpu_us_by_group=dict(sorted(by_group.items(), key=lambda item: -item[1])),
        rounds=len(mine),
        foreign_cores_max=max(measure.foreign_cores for measure in mine),
    )


def report_of(results: Results) -> Report:
    """Medians and ratios of all that was measured."""
    systems = list(dict.fromkeys(measure.system for measure in results.measures))
    lines = {system: line for system in systems if (line := line_of(system, results.measures)) is not None}
    rates = {system: line.per_s for system, line in lines.items()}
    ratios = {name: ratio(rates.get(part), rates.get(whole)) for name, part, whole in RATIOS}
    quiet, spike = (median_p99(results.opened, name) for name in ("browse quiet", "browse in the spike"))
    ratios["browse_spike_vs_quiet"] = ratio(spike, quiet)
    generators = sorted({measure.generator for measure in results.measures})
    return Report(ratios=ratios, lines=tuple(lines.values()), generator=", ".join(generators), results=results)


def median_p99(opened: Iterable[OpenMeasure], name: str) -> float | None:
    """The median over rounds of the p99 of an open load; None when it was not measured."""
    found = [measure.latency.p99_ms for measure in opened if measure.name == name]
    return median(found) if found else None


def opened_of(name: str, rate_per_s: float, waits_ms: list[float], failed: int, differences: str = "") -> OpenMeasure:
    """An open measure from the waits of all its requests. ValueError when there were none."""
    latency = latency_of_ms(waits_ms)
    if latency is None:
        raise ValueError(f"{name}: nothing was sent")
    return OpenMeasure(
        name=name, rate_per_s=rate_per_s, accepted=len(waits_ms) - failed, failed=failed, latency=latency, differences=differences
    )
