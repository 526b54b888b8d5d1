"""Times are UTC milliseconds inside and RFC 3339 in UTC outside: no zone, no season, no month has a say."""

import pytest

from serve.answers import timestamp


@pytest.mark.parametrize(
    ("at_ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_709_164_799_999, "2024-02-28T23:59:59.999Z"),
        (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
        (1_711_846_800_000, "2024-03-31T01:00:00.000Z"),  # summer time begins in Europe
        (1_730_595_600_000, "2024-11-03T01:00:00.000Z"),  # and ends in America
        (1_483_228_799_000, "2016-12-31T23:59:59.000Z"),  # the second before a leap second
        (1_483_228_800_000, "2017-01-01T00:00:00.000Z"),
    ],
)
def test_f36_a_time_is_written_in_utc_whatever_the_zone_and_the_season(at_ms: int, text: str) -> None:
    assert timestamp(at_ms) == text


def test_f36_a_deadline_lies_as_far_ahead_across_a_change_of_season_as_on_any_day() -> None:
    before_ms = 1_711_846_800_000 - 60_000
    assert timestamp(before_ms + 900_000) == "2024-03-31T01:14:00.000Z"
