"""Days, months and years against the standard library's calendar, and the dates that do not exist."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.domain.dates import date_of, day_of, day_on, first_day_of_month, month_length, month_of, next_on, start_of, year_later

EPOCH = date(1970, 1, 1)


@given(st.dates(min_value=date(1600, 1, 1), max_value=date(2600, 12, 31)))
def test_a_day_is_the_date_that_the_calendar_says_and_back(on: date) -> None:
    day = (on - EPOCH).days
    assert date_of(day) == (on.year, on.month, on.day)
    assert day_on(on.year, on.month, on.day) == day
    assert first_day_of_month(month_of(day)) == (on.replace(day=1) - EPOCH).days


@given(st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(2600, 1, 1)), st.integers(-840, 840))
def test_a_moment_lies_in_the_day_of_the_shop_s_clock(at: datetime, offset_min: int) -> None:
    at_ms = int(at.replace(tzinfo=UTC).timestamp()) * 1000
    day = day_of(at_ms, offset_min)
    assert day == ((at + timedelta(minutes=offset_min)).date() - EPOCH).days
    assert start_of(day, offset_min) <= at_ms < start_of(day + 1, offset_min)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("2023-03-01", "2024-03-01"),
        ("2024-02-29", "2025-02-28"),
        ("2023-02-28", "2024-02-28"),
        ("2024-01-31", "2025-01-31"),
        ("2099-12-31", "2100-12-31"),
    ],
)
def test_a_year_later_is_the_same_date_or_the_last_of_its_month(before: str, after: str) -> None:
    assert year_later((date.fromisoformat(before) - EPOCH).days) == (date.fromisoformat(after) - EPOCH).days


@pytest.mark.parametrize(
    ("today", "month", "day", "following"),
    [
        ("2023-05-05", 5, 6, "2023-05-06"),
        ("2023-05-06", 5, 6, "2024-05-06"),
        ("2023-01-01", 2, 29, "2023-02-28"),
        ("2024-01-01", 2, 29, "2024-02-29"),
        ("2024-02-29", 2, 29, "2025-02-28"),
        ("2023-12-31", 12, 31, "2024-12-31"),
    ],
)
def test_the_next_time_of_a_date_is_after_today(today: str, month: int, day: int, following: str) -> None:
    assert next_on((date.fromisoformat(today) - EPOCH).days, month, day) == (date.fromisoformat(following) - EPOCH).days


def test_a_century_is_no_leap_year_but_every_fourth_is() -> None:
    assert [month_length(year, 2) for year in (1900, 2000, 2023, 2024, 2100)] == [28, 29, 28, 29, 28]
