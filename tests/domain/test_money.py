"""Money: one rounding rule, and parts that sum to the whole."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.money import MINOR_UNITS_MAX, Money, portion, share


@pytest.mark.parametrize(
    ("amount", "numerator", "denominator", "wanted"),
    [
        (1999, 10, 100, 200),
        (1995, 10, 100, 200),
        (1994, 10, 100, 199),
        (5, 50, 100, 3),
        (-5, 50, 100, -3),
        (-4, 10, 100, 0),
        (0, 99, 100, 0),
        (1, 1, 3, 0),
        (2, 1, 3, 1),
        (MINOR_UNITS_MAX, 100, 100, MINOR_UNITS_MAX),
    ],
)
def test_a_portion_is_rounded_half_away_from_zero(amount: int, numerator: int, denominator: int, wanted: int) -> None:
    assert portion(amount, numerator, denominator) == wanted


@pytest.mark.parametrize("denominator", [0, -1])
def test_a_portion_needs_a_positive_denominator(denominator: int) -> None:
    with pytest.raises(ValueError, match="denominator must be positive"):
        portion(1, 1, denominator)


@pytest.mark.parametrize(
    ("amount", "weights", "wanted"),
    [
        (100, (1, 1, 1), (34, 33, 33)),
        (101, (1, 1, 1), (34, 34, 33)),
        (1, (1, 1), (1, 0)),
        (10, (999, 1), (10, 0)),
        (10, (0, 5, 5), (0, 5, 5)),
        (7, (3, 0, 4), (3, 0, 4)),
        (0, (1, 2), (0, 0)),
        (5, (7,), (5,)),
        (2, (2, 3, 5), (0, 1, 1)),
    ],
)
def test_shares_go_by_largest_remainder_and_earlier_first_on_a_tie(amount: int, weights: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    assert share(amount, weights) == wanted


@pytest.mark.parametrize(("amount", "weights"), [(-1, (1,)), (1, (0, 0)), (1, (2, -1))])
def test_shares_of_nothing_sensible_are_refused(amount: int, weights: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="non-negative amount"):
        share(amount, weights)


@given(st.integers(0, MINOR_UNITS_MAX), st.lists(st.integers(0, MINOR_UNITS_MAX), min_size=1, max_size=20).filter(any))
def test_shares_sum_to_the_amount_and_differ_from_the_exact_part_by_less_than_one(amount: int, weights: list[int]) -> None:
    parts, total = share(amount, tuple(weights)), sum(weights)
    assert sum(parts) == amount
    assert all(abs(part * total - amount * weight) < total for part, weight in zip(parts, weights, strict=True))


@pytest.mark.parametrize(
    "text",
    [
        '{"amount":-1,"currency":"CNY"}',
        '{"amount":1.5,"currency":"CNY"}',
        '{"amount":"1","currency":"CNY"}',
        '{"amount":1,"currency":"cny"}',
        '{"amount":1}',
        '{"amount":1,"currency":"CNY","x":1}',
        '{"amount":10000000000001,"currency":"CNY"}',
        '{"amount":1e400,"currency":"CNY"}',
        '{"amount":9223372036854775808,"currency":"CNY"}',
        '{"amount":null,"currency":"CNY"}',
    ],
)
def test_f51_money_on_the_wire_is_whole_minor_units_of_a_currency(text: str) -> None:
    with pytest.raises(msgspec.ValidationError if "1e400" not in text else msgspec.DecodeError):
        msgspec.json.decode(text, type=Money)
