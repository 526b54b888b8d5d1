"""The arithmetic of the bench."""

import pytest

from loadtests.figures import Attempt, Latency, latency_of, latency_of_ms, median, percentile, ratio, recovered_after_s, share_by_group


def _attempt(intended_s: float, done_s: float, status: int = 201) -> Attempt:
    return Attempt(intended_s=intended_s, done_s=done_s, status=status)


@pytest.mark.parametrize(("fraction", "value"), [(0.0, 1), (0.01, 1), (0.5, 50), (0.505, 51), (0.99, 99), (0.991, 100), (1.0, 100)])
def test_a_percentile_is_the_smallest_value_that_covers_the_fraction(fraction: float, value: int) -> None:
    assert percentile(list(range(1, 101)), fraction) == value


def test_a_percentile_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_the_wait_counts_from_the_intended_send_so_that_a_stalled_server_shows() -> None:
    # One request stalls for a second; ten more were meant to leave meanwhile and are answered at its end.
    stalled = [_attempt(number / 10, 1.0) for number in range(11)]
    assert latency_of(stalled) == Latency(count=11, p50_ms=500.0, p90_ms=900.0, p99_ms=1000.0, max_ms=1000.0)


def test_no_requests_have_no_latency() -> None:
    assert latency_of_ms([]) is None


@pytest.mark.parametrize(("values", "middle"), [([3.0], 3.0), ([9.0, 1.0, 5.0], 5.0), ([4.0, 1.0, 2.0, 9.0], 3.0)])
def test_the_median_is_the_middle_or_the_mean_of_the_two_middle_ones(values: list[float], middle: float) -> None:
    assert median(values) == middle


def test_the_median_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="no values"):
        median([])


@pytest.mark.parametrize(("part", "whole", "expected"), [(7000.0, 900.0, 7.78), (None, 1.0, None), (1.0, None, None), (1.0, 0.0, None)])
def test_a_ratio_of_what_was_not_measured_is_none(part: float | None, whole: float | None, expected: float | None) -> None:
    assert ratio(part, whole) == expected


def test_cpu_per_effect_is_in_microseconds_largest_first_without_crumbs() -> None:
    shares = share_by_group({"redis": 0.0000001, "hosts": 0.5, "postgres": 2.0}, 10_000)
    assert list(shares.items()) == [("postgres", 200.0), ("hosts", 50.0)]


def test_cpu_of_no_effects_is_empty() -> None:
    assert share_by_group({"hosts": 1.0}, 0) == {}


def test_recovery_begins_with_the_first_answer_that_no_failure_follows() -> None:
    before = [_attempt(at / 10, at / 10 + 0.01) for at in range(10)]
    down = [_attempt(1.0 + at / 10, 1.0 + at / 10 + 0.05, 503) for at in range(10)]
    one_lucky = [_attempt(1.35, 1.40)]
    back = [_attempt(2.0 + at / 10, 2.0 + at / 10 + 0.25) for at in range(10)]
    assert recovered_after_s([*before, *down, *one_lucky, *back], 1.0) == pytest.approx(1.25)


def test_requests_that_waited_out_the_fault_end_it_with_their_answer() -> None:
    waited = [_attempt(1.0 + at / 10, 3.0) for at in range(20)]
    assert recovered_after_s(waited, 1.0) == pytest.approx(2.0)


def test_half_of_the_buyers_is_not_everybody() -> None:
    lucky = [_attempt(1.0 + at / 10, 1.0 + at / 10 + 0.01) for at in range(40)]
    unlucky = [_attempt(1.05 + at / 10, max(1.05 + at / 10 + 0.01, 3.5)) for at in range(40)]
    assert recovered_after_s([*lucky, *unlucky], 1.0) == pytest.approx(1.51)


def test_a_shop_that_never_sells_again_has_no_recovery_time() -> None:
    assert recovered_after_s([_attempt(0.5, 0.6), _attempt(1.5, 1.6, 503), _attempt(2.5, 2.6, 0)], 1.0) is None
