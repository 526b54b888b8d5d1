"""The seven rules, each by a table: what fires, what does not, and what is proposed."""

from typing import Any

import msgspec
import pytest

from actors.domain.lifecycle import cut_price, order_quantity, percent_off, suggestions
from actors.domain.product_facts import cover_of, days_of_cover, forecast, trend, velocity_28
from schemas.watch import NEVER_DAYS, ProductFacts, SkuFacts, Thresholds

TERMS = Thresholds()


def sku(**more: Any) -> SkuFacts:
    return SkuFacts(**({"sku_id": "sku_1", "code": "A", "price": 1000} | more))


def product(*skus: SkuFacts, **more: Any) -> ProductFacts:
    """The facts of a product that has been on the shelf for long; what follows from others is made so."""
    own = skus or (sku(),)
    units_7, units_35 = sum(one.units_7 for one in own), sum(one.units_35 for one in own)
    found = {
        "product_id": "prd_1", "age_days": 100, "skus": own, "price": 1000, "available": sum(one.available for one in own),
        "on_hand": sum(one.on_hand for one in own), "incoming": sum(one.incoming for one in own), "units_7": units_7,
        "units_28": sum(one.units_28 for one in own), "units_35": units_35, "units_90": sum(max(one.units_90, one.units_35) for one in own),
        "velocity_28": velocity_28(units_7, units_35), "trend": trend(units_7, units_35), "days_of_cover": cover_of(own),
        "days_since_sold": 0 if units_35 else NEVER_DAYS,
    }  # fmt: skip
    return ProductFacts(**(found | more))


def selling(per_week: int, available: int, **more: Any) -> SkuFacts:
    """An article that sells as it did."""
    return sku(
        units_7=per_week, units_28=4 * per_week, units_35=5 * per_week, units_90=12 * per_week, available=available, on_hand=available,
        **more,
    )  # fmt: skip


def case(facts: ProductFacts, terms: Thresholds = TERMS) -> dict[str, tuple[str, Any]]:
    """What fires: rule to why and what is done, plainly."""
    found = suggestions(facts, terms)
    return {rule: (one.why, msgspec.to_builtins(one.action)) for rule, one in found.items()}


def price(percent: int, days: int = 14) -> dict[str, Any]:
    return {"type": "price", "percent": percent, "days": days, "floor_percent": 50}


def purchase(quantity: int, sku_id: str = "sku_1") -> dict[str, Any]:
    return {"type": "purchase", "lines": ({"sku_id": sku_id, "quantity": quantity},)}


TABLE: list[tuple[str, ProductFacts, dict[str, tuple[str, Any]]]] = [
    # launch
    ("a draft lacks", product(state="draft", on_shelf=False, missing=("image",)),
     {"launch": ("incomplete", {"type": "complete", "missing": ("image", "stock")})}),
    ("a draft is ready", product(sku(available=1), state="draft", on_shelf=False), {"launch": ("ready", {"type": "publish"})}),
    ("a draft is ready once what is ordered is there", product(sku(incoming=1), state="draft", on_shelf=False),
     {"launch": ("ready", {"type": "publish"})}),
    ("scheduled is no draft", product(sku(available=1), state="scheduled", on_shelf=False), {}),
    # promotion
    ("lasts too long", product(selling(7, 100)), {"promotion": ("covers_too_long", price(10))}),
    ("lasts twice too long", product(selling(7, 1000)), {"promotion": ("covers_too_long", price(20))}),
    ("lasts long enough", product(selling(7, 90)), {}),
    ("has a promotion already", product(selling(7, 100), has_promotion=True, discount_percent=10), {}),
    ("is in a flash sale", product(selling(7, 100), in_flash_sale=True), {}),
    ("is too young to say", product(selling(7, 100), age_days=20), {}),
    ("is not on the shelf", product(selling(7, 100), state="off_shelf", on_shelf=False), {}),
    ("costs too little to be cut", product(selling(7, 100, price=1), price=1), {}),
    # sales
    ("falls", product(sku(units_7=2, units_28=60, units_35=82, available=50, on_hand=50)), {"sales": ("falling", price(10))}),
    ("falls by chance", product(sku(units_7=8, units_28=48, units_35=58, available=50, on_hand=50)), {}),
    ("falls from next to nothing", product(sku(units_7=0, units_28=6, units_35=8, available=5, on_hand=5)), {}),
    ("falls because nothing is left", product(sku(units_7=0, units_28=60, units_35=80, on_hand=0, incoming=900)), {}),
    ("rises, and there is enough", product(sku(units_7=100, units_28=130, units_35=140, available=700, on_hand=700)), {}),
    ("rises from little", product(sku(units_7=6, units_28=7, units_35=8, available=90, on_hand=90)), {}),
    # low stock
    ("is gone before more could come", product(selling(70, 100)), {"low_stock": ("runs_out", purchase(10 * 21 + 30 - 100))}),
    ("is gone", product(selling(70, 0)), {"low_stock": ("sold_out", purchase(240))}),
    ("is low, and more is on its way", product(selling(70, 100, incoming=140)), {}),
    ("is below its safety stock and never sold", product(sku(safety_stock=5, available=2, on_hand=2), age_days=9),
     {"low_stock": ("runs_out", purchase(3))}),
    ("is not offered", product(selling(70, 100, offered=False), days_of_cover=5.0), {}),
    # replenish
    ("lasts to the next purchase, and not further", product(selling(70, 180)), {"replenish": ("reorder", purchase(60))}),
    ("needs less than half of what sells in a review", product(selling(70, 210)), {}),
    ("what is on its way counts", product(selling(70, 100, incoming=80)), {"replenish": ("reorder", purchase(60))}),
    # slow
    ("does not sell, and another does", product(sku(available=9, on_hand=9), bundle_with="prd_2", age_days=70),
     {"slow": ("bundle", {"type": "bundle", "with_id": "prd_2", "percent": 10, "days": 30})}),
    ("does not sell in its bundle", product(sku(available=9, on_hand=9), bundle_with="prd_2", in_bundle=True, age_days=70),
     {"slow": ("markdown", price(20, 60))}),
    ("does not sell alone", product(sku(available=9, on_hand=9), age_days=70), {"slow": ("markdown", price(20, 60))}),
    ("has not sold for three times as long", product(sku(available=9, on_hand=9), age_days=190), {"slow": ("markdown", price(40, 60))}),
    ("never goes below the floor", product(sku(available=9, on_hand=9), age_days=3000), {"slow": ("markdown", price(50, 60))}),
    ("is at the floor already", product(sku(available=9, on_hand=9), age_days=3000, has_promotion=True, discount_percent=50), {}),
    ("is new", product(sku(available=9, on_hand=9), age_days=20), {}),
    ("does not sell because nothing is there", product(sku(), age_days=190), {}),
    # retire
    ("is forgotten", product(state="off_shelf", on_shelf=False, off_days=180), {"retire": ("forgotten", {"type": "retire"})}),
    ("left the shelf a while ago", product(state="off_shelf", on_shelf=False, off_days=179), {}),
    ("something is left", product(sku(on_hand=1), state="off_shelf", on_shelf=False, off_days=400), {}),
    ("something is on its way", product(sku(incoming=1), state="off_shelf", on_shelf=False, off_days=400), {}),
    ("was sold meanwhile", product(state="off_shelf", on_shelf=False, off_days=400, days_since_sold=100), {}),
    ("is retired", product(state="retired", on_shelf=False), {}),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "wanted"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_what_fires_and_what_is_proposed(facts: ProductFacts, wanted: dict[str, tuple[str, Any]]) -> None:
    assert case(facts) == wanted


def test_a_rise_orders_by_what_sells_now_where_the_forecast_would_not_order_yet() -> None:
    facts = product(sku(units_7=100, units_28=130, units_35=140, available=250, on_hand=250))
    why, action = case(facts)["sales"]
    assert (why, action["lines"][0]["quantity"]) == ("rising", round(100 / 7 * 24 + 0.5) - 250)


@pytest.mark.parametrize(
    ("stock", "pack", "per_day", "wanted"),
    [
        ({}, 1, 2.0, 2 * 21 + 6),
        ({"on_hand": 10, "incoming": 20}, 1, 2.0, 2 * 21 + 6 - 30),
        ({"on_hand": 48}, 1, 2.0, 0),
        ({"on_hand": 47}, 12, 2.0, 12),
        ({"safety_stock": 5}, 10, 0.0, 10),
        ({}, 1, 0.0, 0),
        ({}, 7, 1e9, 1_000_000),
    ],
)
def test_how_many_are_ordered(stock: dict[str, int], pack: int, per_day: float, wanted: int) -> None:
    assert order_quantity(sku(**stock), Thresholds(pack_size=pack), per_day) == wanted


@pytest.mark.parametrize(
    ("amount", "percent", "floor", "wanted"),
    [(1000, 20, 50, 800), (1999, 30, 50, 1400), (1000, 60, 50, 500), (1, 90, 1, 1), (0, 20, 50, 0), (3, 50, 1, 2), (999, 10, 95, 950)],
)
def test_what_a_cut_costs(amount: int, percent: int, floor: int, wanted: int) -> None:
    assert cut_price(amount, percent, floor) == wanted


@pytest.mark.parametrize(("full", "cut", "wanted"), [(1000, 800, 20), (1999, 1400, 30), (0, 0, 0), (100, 100, 0), (3, 2, 33), (1, 0, 100)])
def test_what_a_label_says_is_to_the_nearest_percent(full: int, cut: int, wanted: int) -> None:
    assert percent_off(full, cut) == wanted


def test_figures_that_move_a_little_are_no_new_case() -> None:
    marks = {suggestions(product(selling(70, 100 - n)), TERMS)["low_stock"].mark for n in range(10)}
    assert len(marks) == 1
    assert suggestions(product(selling(700, 100)), TERMS)["low_stock"].mark not in marks


def test_thresholds_move_the_rules() -> None:
    assert "low_stock" not in case(product(selling(70, 100)), Thresholds(lead_days=1, safety_days=0))
    assert case(product(selling(7, 100)), Thresholds(promotion_cover_days=200)) == {}
    assert case(product(sku(available=9, units_90=1), days_since_sold=70), Thresholds(slow_days=90, slow_units=1))["slow"][0] == "markdown"


@pytest.mark.parametrize(
    ("units_7", "units_35", "wanted"), [(0, 0, 1.0), (7, 7, 99.0), (7, 35, 1.0), (14, 42, 2.0), (0, 28, 0.0)]
)  # fmt: skip
def test_the_trend_is_the_last_week_over_the_four_before(units_7: int, units_35: int, wanted: float) -> None:
    assert trend(units_7, units_35) == wanted


def test_cover_is_of_the_article_that_is_gone_first() -> None:
    assert forecast(7, 35) == 1.0
    assert days_of_cover(5, 0.0) == NEVER_DAYS
    assert cover_of((selling(7, 50), selling(70, 100), sku(available=3))) == 10.0
    assert cover_of((sku(available=3),)) == NEVER_DAYS
