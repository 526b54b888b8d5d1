"""Days, months and years by the calendar, from numbers alone (the proleptic Gregorian one; no time zone but an offset).

A *day* counts from 1970-01-01. Where a date does not exist (29 February, the 31st) it is the last day of its month.
"""

from typing import Final

DAY_MS: Final = 86_400_000
_ERA_DAYS: Final = 146_097
_TO_EPOCH: Final = 719_468


def day_of(at_ms: int, offset_min: int = 0) -> int:
    """The day in which a moment lies, where days begin ``offset_min`` minutes before UTC's."""
    return (at_ms + offset_min * 60_000) // DAY_MS


def start_of(day: int, offset_min: int = 0) -> int:
    """The moment (UTC, ms) at which a day begins."""
    return day * DAY_MS - offset_min * 60_000


def date_of(day: int) -> tuple[int, int, int]:
    """(year, month, day of the month)."""
    shifted = day + _TO_EPOCH
    era = shifted // _ERA_DAYS
    of_era = shifted - era * _ERA_DAYS
    year_of_era = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * of_year + 2) // 153
    month = shifted_month + 3 if shifted_month < 10 else shifted_month - 9
    return year_of_era + era * 400 + (month <= 2), month, of_year - (153 * shifted_month + 2) // 5 + 1


def day_on(year: int, month: int, day: int) -> int:
    """The day of a date; a day after the month's last is its last."""
    day = min(day, month_length(year, month))
    shifted_year = year - (month <= 2)
    era = shifted_year // 400
    year_of_era = shifted_year - era * 400
    of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    return era * _ERA_DAYS + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + of_year - _TO_EPOCH


def month_length(year: int, month: int) -> int:
    """Days of a month."""
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


def month_of(day: int) -> int:
    """The month in which a day lies, counted from year 0."""
    year, month, _ = date_of(day)
    return year * 12 + month - 1


def first_day_of_month(month: int) -> int:
    """The first day of a month that is counted from year 0."""
    return day_on(month // 12, month % 12 + 1, 1)


def year_later(day: int) -> int:
    """The same date a year on; of 29 February the 28th."""
    year, month, of_month = date_of(day)
    return day_on(year + 1, month, of_month)


def next_on(day: int, month: int, of_month: int) -> int:
    """The first day after ``day`` that is this date of some year."""
    year, _, _ = date_of(day)
    this_year = day_on(year, month, of_month)
    return this_year if this_year > day else day_on(year + 1, month, of_month)
