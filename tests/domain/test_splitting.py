"""When a hot article is split: never for a burst, never for the last units, never where it would not help."""

import pytest

from actors.domain.splitting import LASTS_S, REST_MS, SUSTAINED_MS, UNITS_MIN, SplitRule, Watch, parts_wanted, rested, watch

RULE = SplitRule(rate_per_s=1000, parts_max=8)
NOW = 1_700_000_000_000
PLENTY = 1_000_000


def hot_after(*samples: tuple[int, float], rule: SplitRule = RULE) -> list[int]:
    """When the article was ready to be split, of samples (ms, rate)."""
    watches: dict[str, Watch] = {}
    ready = []
    for at_ms, rate in samples:
        watches, found = watch(rule, watches, {"sku_a#0": rate} if rate else {}, NOW + at_ms)
        if found:
            ready.append(at_ms)
    return ready


WATCHED = [
    ("never hot", [(0, 999), (4000, 999)], []),
    ("hot for long enough", [(0, 1000), (2999, 1000), (3000, 1000), (4000, 1000)], [3000, 4000]),
    ("a burst", [(0, 9000), (1000, 9000), (2000, 0), (5000, 9000)], []),
    ("wavering around the threshold", [(0, 1000), (1000, 701), (2000, 999), (3000, 700)], [3000]),
    ("cooled below the hysteresis", [(0, 1000), (1000, 699), (2000, 1000), (4999, 1000), (5000, 1000)], [5000]),
    ("almost hot after hot", [(0, 700), (1000, 1000), (3999, 1000), (4000, 1000)], [4000]),
]


@pytest.mark.parametrize(("samples", "ready"), [row[1:] for row in WATCHED], ids=[row[0] for row in WATCHED])
def test_an_article_is_hot_when_a_part_of_it_stays_above_the_threshold(samples: list[tuple[int, float]], ready: list[int]) -> None:
    assert hot_after(*samples) == ready


def test_with_a_threshold_of_nothing_nothing_is_hot() -> None:
    off = SplitRule(rate_per_s=0, parts_max=8)
    assert hot_after((0, 1e9), (9000, 1e9), rule=off) == []
    assert watch(off, {}, {"sku_a#0": 1e9}, NOW) == ({}, ())


def test_the_hottest_part_counts_and_the_hottest_article_comes_first() -> None:
    rates = {"sku_a#0": 10.0, "sku_a#1": 1500.0, "sku_b#0": 2000.0, "sku_c#0": 600.0, "sku_c#1": 600.0}
    watches, ready = watch(RULE, {}, rates, NOW)
    assert (set(watches), ready) == ({"sku_a", "sku_b"}, ())
    assert watch(RULE, watches, rates, NOW + SUSTAINED_MS)[1] == ("sku_b", "sku_a")


def test_after_a_look_the_article_is_left_in_peace_and_must_be_hot_anew() -> None:
    hot = {"sku_a#0": 5000.0}
    watches = {"sku_a": rested(Watch(since_ms=NOW), NOW)}
    assert watches["sku_a"] == Watch(since_ms=0, rests_until_ms=NOW + REST_MS)
    watches, ready = watch(RULE, watches, {}, NOW + 1)
    assert (set(watches), ready) == ({"sku_a"}, ())
    watches, ready = watch(RULE, watches, hot, NOW + REST_MS - SUSTAINED_MS + 1)
    assert ready == ()
    assert watch(RULE, watches, hot, NOW + REST_MS)[1] == ()
    assert watch(RULE, watches, hot, NOW + REST_MS + 1)[1] == ("sku_a",)
    assert watch(RULE, {"sku_a": rested(Watch(), NOW)}, {}, NOW + REST_MS) == ({}, ())


WANTED = [
    # (what, available by part, rate, homes by possible part, parts)
    ("one host", (PLENTY,), 5000, ("h0",) * 8, 0),
    ("two hosts, the next part on the other", (PLENTY,), 1000, ("h0", "h1", "h0", "h1"), 2),
    ("two hosts, the next parts on the same", (PLENTY,), 1000, ("h0", "h0", "h0", "h1", "h1"), 4),
    ("two hosts, all parts that may be on the same", (PLENTY,), 1000, ("h0",) * 8 + ("h1",), 0),
    ("three hosts, a rate for two", (PLENTY,), 2000, ("h0", "h1", "h2", "h0"), 2),
    ("three hosts, a rate for three", (PLENTY,), 2001, ("h0", "h1", "h2", "h0"), 3),
    ("three hosts, a rate for ten", (PLENTY,), 10_000, ("h0", "h1", "h1", "h2", "h0", "h1"), 4),
    ("three hosts of which two can be reached", (PLENTY,), 10_000, ("h0", "h1", "h1", "h0", "h0", "h1", "h1", "h1", "h2"), 2),
    ("more hosts than the limit", (PLENTY,), 90_000, tuple(f"h{i}" for i in range(20)), 8),
    ("grows from two to three", (PLENTY, PLENTY), 3000, ("h0", "h1", "h2"), 3),
    ("two parts on two hosts already", (PLENTY, PLENTY), 5000, ("h0", "h1", "h0", "h1"), 0),
    ("two parts, one nearly empty", (PLENTY, UNITS_MIN), 5000, ("h0", "h1"), 2),
    ("two parts, one not yet filled", (PLENTY, 0), 5000, ("h0", "h1"), 2),
    ("two parts, one with a quarter of its share", (700, 100), 10, ("h0", "h1"), 0),
    ("two parts, one with less than a quarter", (701, 99), 10, ("h0", "h1"), 2),
    ("what is left lasts for nine seconds", (1000 * LASTS_S - 1,), 1000, ("h0", "h1"), 0),
    ("what is left lasts for ten", (1000 * LASTS_S,), 1000, ("h0", "h1"), 2),
    ("too few for two", (2 * UNITS_MIN - 1,), 1, ("h0", "h1"), 0),
    ("just enough for two", (2 * UNITS_MIN,), 1, ("h0", "h1"), 2),
    ("uneven, but nearly sold", (UNITS_MIN, 0), 1, ("h0", "h1"), 0),
    ("nothing left", (0,), 5000, ("h0", "h1"), 0),
]


@pytest.mark.parametrize(("available", "rate", "homes", "parts"), [row[1:] for row in WANTED], ids=[row[0] for row in WANTED])
def test_a_hot_article_gets_as_many_parts_as_reach_hosts_that_its_rate_needs(
    available: tuple[int, ...], rate: float, homes: tuple[str, ...], parts: int
) -> None:
    assert parts_wanted(RULE, available, rate, homes) == parts
