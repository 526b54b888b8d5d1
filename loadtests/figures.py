"""The arithmetic of a bench: exact percentiles, medians, ratios and recovery times. Pure."""

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence

import msgspec

RECOVERY_WINDOW_S = 0.5
"""How long buying must work for everybody before an outage counts as over."""

PROMPT_S = 1.0
"""A buyer who waits longer than this is one for whom buying does not work."""


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """What a crowd of requests waited, in milliseconds."""

    count: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One request of an open load, times in seconds of one monotonic clock.

    intended_s: when the schedule wanted it sent; the wait is counted from here, so that a client
    which could not send in time does not flatter the server.
    status: the HTTP status, 0 when the connection broke.
    """

    intended_s: float
    done_s: float
    status: int

    @property
    def latency_ms(self) -> float:
        """From the intended send to the last byte of the answer."""
        return (self.done_s - self.intended_s) * 1000

    @property
    def accepted(self) -> bool:
        """The answer was a 2xx."""
        return 200 <= self.status < 300


def percentile(ordered: Sequence[float], fraction: float) -> float:
    """The nearest-rank percentile of an ascending sequence: a value that really occurred. ValueError when it is empty."""
    if not ordered:
        raise ValueError("no values")
    return ordered[max(0, math.ceil(fraction * len(ordered)) - 1)]


def latency_of(attempts: Iterable[Attempt]) -> Latency | None:
    """The waits of these attempts from their intended sends; None when there are none."""
    return latency_of_ms([attempt.latency_ms for attempt in attempts])


def latency_of_ms(waits_ms: Iterable[float]) -> Latency | None:
    """The summary of waits in milliseconds; None when there are none."""
    ordered = sorted(waits_ms)
    if not ordered:
        return None
    p50, p90, p99 = (round(percentile(ordered, fraction), 3) for fraction in (0.50, 0.90, 0.99))
    return Latency(count=len(ordered), p50_ms=p50, p90_ms=p90, p99_ms=p99, max_ms=round(ordered[-1], 3))


def median(values: Iterable[float]) -> float:
    """The middle value, or the mean of the two middle ones. ValueError when there are none."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values")
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def ratio(part: float | None, whole: float | None) -> float | None:
    """``part / whole`` to two places; None when one of them was not measured or is nothing."""
    return None if not part or not whole else round(part / whole, 2)


def share_by_group(cpu_s: Mapping[str, float], effects: int) -> dict[str, float]:
    """Microseconds of CPU per effect for each group, largest first; groups below 0.1 us are left out."""
    per = {group: round(seconds * 1e6 / effects, 1) for group, seconds in cpu_s.items()} if effects else {}
    return dict(sorted(((group, us) for group, us in per.items() if us >= 0.1), key=lambda item: -item[1]))


def recovered_after_s(attempts: Iterable[Attempt], fault_s: float, window_s: float = RECOVERY_WINDOW_S) -> float | None:
    """Seconds from a fault until buying worked again: None when it never did.

    Working again begins with the first answer to a request that was meant to be sent after the fault, was
    accepted promptly, and is followed by ``window_s`` in which every intended request was: an order that is
    taken in the end, or taken for half of the buyers at once, does not end an outage.
    """
    after = sorted((a for a in attempts if a.intended_s >= fault_s), key=lambda a: a.intended_s)
    failures = [a.intended_s for a in after if not _is_prompt(a)]
    best: float | None = None
    for attempt in after:
        following = bisect_left(failures, attempt.intended_s)
        quiet = following == len(failures) or failures[following] >= attempt.intended_s + window_s
        if _is_prompt(attempt) and quiet and (best is None or attempt.done_s < best):
            best = attempt.done_s
        if best is not None and attempt.intended_s > best:
            break
    return None if best is None else best - fault_s


def _is_prompt(attempt: Attempt) -> bool:
    return attempt.accepted and attempt.done_s - attempt.intended_s <= PROMPT_S
