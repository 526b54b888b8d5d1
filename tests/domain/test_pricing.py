"""Prices: a table of guards, a table of totals, and sums that always agree."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.domain.entity import Refused
from actors.domain.pricing import Buyer, Quote, QuotedLine, quote
from actors.testing.market import shop
from actors.testing.members import RULES, membership
from schemas.membership import MemberPrices, Rate
from schemas.money import MINOR_UNITS_MAX
from schemas.offer import CouponTerms, Offer
from schemas.order import Line

NOW = 1_700_000_000_000


def lines(**quantities: int) -> tuple[Line, ...]:
    return tuple(Line(sku_id="sku_" + name, quantity=quantity) for name, quantity in quantities.items())


def priced(some: tuple[Line, ...], *coupon_ids: str, sale_id: str = "", facts: dict[str, Any] | None = None) -> Quote | Refused:
    facts = facts or shop()
    return quote(some, coupon_ids, facts["sale:" + sale_id] if sale_id else None, facts, NOW)


def with_coupon(**terms: Any) -> dict[str, Any]:
    facts = shop()
    plain = CouponTerms(coupon_id="cpn_x", method="percent", value=10, currency="CNY", ends_at_ms=2**50)
    facts["coupon:cpn_x"] = msgspec.structs.replace(plain, **terms)
    return facts


@pytest.mark.parametrize(
    ("some", "coupons", "total", "discounts", "by_line"),
    [
        (lines(a=1), (), 1000, (), (0,)),
        (lines(a=3, b=2), (), 3666, (), (0, 0)),
        (lines(a=1), ("cpn_10",), 900, (100,), (100,)),
        (lines(b=1), ("cpn_10",), 300, (33,), (33,)),
        (lines(a=1, b=1), ("cpn_10",), 1200, (133,), (100, 33)),
        (lines(a=1, b=1), ("cpn_500",), 833, (500,), (375, 125)),
        (lines(b=1), ("cpn_500",), 0, (333,), (333,)),
        (lines(a=2, b=1), ("cpn_all",), 0, (2333,), (2000, 333)),
        (lines(a=1, b=1), ("cpn_b",), 1166, (167,), (0, 167)),
        (lines(a=1, b=1), ("cpn_b", "cpn_10"), 1049, (167, 117), (100, 184)),
        (lines(a=1, b=1), ("cpn_10", "cpn_b"), 1050, (133, 150), (100, 183)),
        (lines(a=1), ("cpn_all", "cpn_10"), 0, (1000, 0), (1000,)),
        (lines(a=1), ("cpn_500", "cpn_all"), 0, (500, 500), (1000,)),
    ],
)
def test_what_an_order_costs(
    some: tuple[Line, ...], coupons: tuple[str, ...], total: int, discounts: tuple[int, ...], by_line: tuple[int, ...]
) -> None:
    found = priced(some, *coupons)
    assert isinstance(found, Quote)
    assert (found.total, found.coupon_discounts, tuple(line.discount for line in found.lines)) == (total, discounts, by_line)


def test_in_a_sale_the_price_is_the_sale_s() -> None:
    assert priced(lines(a=2), sale_id="sal_open") == Quote(
        lines=(QuotedLine(sku_id="sku_a", quantity=2, unit_price=900, discount=0),),
        coupon_discounts=(),
        total=1800,
        currency="CNY",
        version=4,
    )


@pytest.mark.parametrize(
    ("some", "sale_id", "code"),
    [
        (lines(a=1, none=1), "", "sku_unknown"),
        (lines(off=1, eur=1), "", "sku_not_on_sale"),
        (lines(a=1, b=1), "sal_open", "sku_not_on_sale"),
        (lines(a=1, eur=1), "", "currency_mixed"),
    ],
)
def test_lines_without_a_price_are_refused(some: tuple[Line, ...], sale_id: str, code: str) -> None:
    found = priced(some, sale_id=sale_id)
    assert isinstance(found, Refused)
    assert found.code == code


def test_a_total_beyond_the_bound_is_refused() -> None:
    facts = shop()
    facts["sku:sku_a"] = Offer(sku_id="sku_a", product_id="prd_a", price=MINOR_UNITS_MAX, currency="CNY")
    assert priced(lines(a=1), facts=facts) == Quote(
        lines=(QuotedLine(sku_id="sku_a", quantity=1, unit_price=MINOR_UNITS_MAX, discount=0),),
        coupon_discounts=(), total=MINOR_UNITS_MAX, currency="CNY", version=0,
    )  # fmt: skip
    assert priced(lines(a=2), facts=facts) == Refused(code="quantity_invalid", params={"limit": MINOR_UNITS_MAX})


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"starts_at_ms": NOW + 1}, "coupon_not_active"),
        ({"starts_at_ms": NOW}, ""),
        ({"ends_at_ms": NOW}, "coupon_not_active"),
        ({"ends_at_ms": NOW + 1}, ""),
        ({"currency": "EUR"}, "coupon_not_applicable"),
        ({"min_total": 1001}, "coupon_not_applicable"),
        ({"min_total": 1000}, ""),
        ({"product_ids": frozenset(["prd_b"])}, "coupon_not_applicable"),
        ({"product_ids": frozenset(["prd_a"])}, ""),
    ],
)
def test_a_coupon_has_a_window_a_currency_a_minimum_and_a_scope(terms: dict[str, Any], code: str) -> None:
    found = priced(lines(a=1), "cpn_x", facts=with_coupon(**terms))
    assert (found.code if isinstance(found, Refused) else "") == code


def test_an_unknown_coupon_is_named() -> None:
    assert priced(lines(a=1), "cpn_10", "cpn_none") == Refused(code="coupon_unknown", params={"coupon_id": "cpn_none"})


@given(
    st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 99), st.integers(1, 99),
    st.lists(st.tuples(st.sampled_from(["percent", "amount"]), st.integers(0, 2000), st.booleans()), max_size=3),
)  # fmt: skip
def test_lines_discounts_and_total_always_agree(price_a: int, price_b: int, a: int, b: int, coupons: list[tuple[str, int, bool]]) -> None:
    facts = shop()
    facts["sku:sku_a"] = Offer(sku_id="sku_a", product_id="prd_a", price=price_a, currency="CNY")
    facts["sku:sku_b"] = Offer(sku_id="sku_b", product_id="prd_b", price=price_b, currency="CNY")
    for index, (method, value, narrow) in enumerate(coupons):
        scope = frozenset(["prd_b"]) if narrow else frozenset[str]()
        facts[f"coupon:cpn_{index}"] = CouponTerms(
            coupon_id=f"cpn_{index}", method=method, value=value, currency="CNY", ends_at_ms=2**50, product_ids=scope
        )
    found = quote(lines(a=a, b=b), tuple(f"cpn_{index}" for index in range(len(coupons))), None, facts, NOW)
    assert isinstance(found, Quote)
    net = [line.unit_price * line.quantity - line.discount for line in found.lines]
    assert min(net) >= 0
    assert sum(net) == found.total
    assert sum(line.discount for line in found.lines) == sum(found.coupon_discounts)


MEMBERS = membership()


def priced_for(level_id: str | None, points: int, *lines: Line, coupon_ids: tuple[str, ...] = (), **facts: Any) -> Any:
    return quote(lines, coupon_ids, None, shop() | MEMBERS | facts, 1_700_000_000_000, Buyer(level_id=level_id, points=points))


@pytest.mark.parametrize(
    ("level_id", "prices"),
    [
        (None, (1000, 333)),  # anybody
        ("", (1000, 333)),  # the lowest level has no discount
        ("silver", (1000, 333)),
        ("gold", (850, 300)),  # a member price of its own; else 10 % off, 299.7 rounded
        ("gone", (1000, 333)),  # a level that is no more is the lowest
    ],
)
def test_a_member_pays_the_price_of_his_level(level_id: str | None, prices: tuple[int, int]) -> None:
    found = priced_for(level_id, 0, Line(sku_id="sku_a", quantity=1), Line(sku_id="sku_b", quantity=1))
    assert tuple(line.unit_price for line in found.lines) == prices


def test_a_member_price_is_never_above_the_offer() -> None:
    dear = MemberPrices(sku_id="sku_a", prices={"gold": 5000})
    found = priced_for("gold", 0, Line(sku_id="sku_a", quantity=1), **{"member_price:sku_a": dear})
    assert found.lines[0].unit_price == 1000


@pytest.mark.parametrize(
    ("offered", "coupon_ids", "worth", "taken"),
    [
        # points offered, coupons, minor units for 100 points: points taken, what they take off
        (100, (), 100, (100, 100)),
        (9999, (), 100, (500, 500)),  # half of 1000 at most
        (9999, ("cpn_500",), 100, (250, 250)),  # half of what coupons leave
        (9999, ("cpn_all",), 100, (0, 0)),  # nothing is left to pay
        (7, (), 14, (0, 0)),  # not a whole minor unit
        (107, (), 14, (100, 14)),  # no more points than whole units need
        (9999, (), 14, (3572, 500)),
        (3, (), 250, (3, 7)),
    ],
)
def test_points_come_after_coupons_and_pay_no_more_than_their_share(
    offered: int, coupon_ids: tuple[str, ...], worth: int, taken: tuple[int, int]
) -> None:
    rate = Rate(growth_per_100=1, points_per_100=1, minor_per_100_points=worth)
    rules = msgspec.structs.replace(RULES, terms=msgspec.structs.replace(RULES.terms, rates={"CNY": rate}))
    found = priced_for("", offered, Line(sku_id="sku_a", quantity=1), coupon_ids=coupon_ids, **{"member:rules": rules})
    assert (found.points, found.points_discount) == taken
    assert found.total == 1000 - sum(found.coupon_discounts) - taken[1] == 1000 - sum(line.discount for line in found.lines)


def test_points_are_not_taken_in_a_currency_without_a_rate_or_a_shop_without_rules() -> None:
    assert priced_for("", 5, Line(sku_id="sku_eur", quantity=1)) == Refused(code="points_not_taken")
    assert priced_for("", 5, Line(sku_id="sku_a", quantity=1), **{"member:rules": None}) == Refused(code="points_not_taken")
