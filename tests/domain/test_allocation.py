"""Allocation: as few parcels as possible, then from as near as possible, and a reason for every warehouse."""

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.domain.allocation import EXHAUSTIVE_MAX, Plan, allocate, distance_km, missed_cutoff
from schemas.order import Line, Wish
from schemas.warehouse import VERDICTS, Point, WarehouseTerms

PLACES = {
    "beijing": (39.904, 116.407), "shanghai": (31.230, 121.474), "guangzhou": (23.129, 113.264), "chengdu": (30.572, 104.067),
    "suzhou": (31.299, 120.585), "berlin": (52.52, 13.405),
}  # fmt: skip
NOON = 1_700_020_800_000
"""12:00 in China."""


def point(name: str) -> Point:
    return Point(lat=PLACES[name][0], lon=PLACES[name][1])


def warehouse(city: str, **terms: Any) -> WarehouseTerms:
    return WarehouseTerms(
        warehouse_id=city, code=city, title=city, title_zh=city, country="CN", city=city, city_zh=city, point=point(city), **terms
    )


def plan_for(wanted: dict[str, int], stock: dict[str, dict[str, int]], to: str | None = "suzhou", **terms: dict[str, Any]) -> Plan:
    """stock: by warehouse and SKU."""
    lines = [Line(sku_id=sku_id, quantity=quantity) for sku_id, quantity in wanted.items()]
    levels = {sku_id: {place: units.get(sku_id, 0) for place, units in stock.items()} for sku_id in wanted}
    warehouses = [warehouse(place, **terms.get(place, {})) for place in stock if place]
    return allocate(lines, point(to) if to else None, warehouses, levels, NOON)


def parcels(plan: Plan) -> dict[str, dict[int, int]]:
    return {parcel.warehouse_id: dict(parcel.units) for parcel in plan.parcels}


def verdicts(plan: Plan) -> dict[str, str]:
    return {judged.warehouse_id: judged.verdict for judged in plan.judged}


@pytest.mark.parametrize(
    ("one", "other", "km"),
    [("beijing", "shanghai", 1067), ("shanghai", "suzhou", 85), ("shanghai", "berlin", 8400), ("beijing", "beijing", 0)],
)
def test_distances_are_those_of_the_globe(one: str, other: str, km: float) -> None:
    assert distance_km(point(one), point(other)) == pytest.approx(km, rel=0.01, abs=0.1)
    assert distance_km(point(one), point(other)) == distance_km(point(other), point(one))


@pytest.mark.parametrize(
    ("hour", "cutoff_min", "offset", "missed"),
    [
        (12, 17 * 60, 480, False),
        (17, 17 * 60, 480, True),
        (16, 17 * 60, 480, False),
        (23, 1440, 480, False),
        (0, 0, 480, True),
        (12, 5 * 60, 60, True),
        (12, 5 * 60 + 1, 60, False),
    ],
)
def test_the_cutoff_is_by_the_clock_of_the_warehouse(hour: int, cutoff_min: int, offset: int, missed: bool) -> None:
    terms = warehouse("beijing", cutoff_min=cutoff_min, utc_offset_min=offset)
    assert missed_cutoff(terms, NOON + (hour - 12) * 3_600_000) is missed


CASES: list[tuple[str, dict[str, int], dict[str, dict[str, int]], dict[str, Any], dict[str, dict[int, int]], dict[str, str]]] = [
    (
        "the nearest that has everything",
        {"a": 1, "b": 2},
        {"beijing": {"a": 9, "b": 9}, "shanghai": {"a": 1, "b": 2}, "guangzhou": {"a": 9}, "chengdu": {}},
        {},
        {"shanghai": {0: 1, 1: 2}},
        {"shanghai": "whole", "beijing": "farther", "guangzhou": "some_stock", "chengdu": "no_stock"},
    ),
    (
        "one parcel from far away rather than two from near",
        {"a": 1, "b": 1},
        {"shanghai": {"a": 1}, "beijing": {"b": 1}, "guangzhou": {"a": 1, "b": 1}},
        {},
        {"guangzhou": {0: 1, 1: 1}},
        {"guangzhou": "whole", "shanghai": "some_stock", "beijing": "some_stock"},
    ),
    (
        "split where nobody has everything, over the two that are nearest",
        {"a": 1, "b": 1},
        {"shanghai": {"a": 1}, "beijing": {"b": 1}, "guangzhou": {"b": 1}, "chengdu": {"a": 1}},
        {},
        {"shanghai": {0: 1}, "beijing": {1: 1}},
        {"shanghai": "part", "beijing": "part", "guangzhou": "not_needed", "chengdu": "not_needed"},
    ),
    (
        "a line is split only where it must be",
        {"a": 5, "b": 3},
        {"shanghai": {"a": 3, "b": 1}, "beijing": {"a": 2, "b": 3}},
        {},
        {"shanghai": {0: 3}, "beijing": {0: 2, 1: 3}},
        {"shanghai": "part", "beijing": "part"},
    ),
    (
        "the cut-off makes a near one a day slower, a far one stays far",
        {"a": 1},
        {"shanghai": {"a": 1}, "guangzhou": {"a": 1}, "beijing": {"a": 1}},
        {"shanghai": {"cutoff_min": 600, "priority": -4}},
        {"beijing": {0: 1}},
        {"beijing": "whole", "shanghai": "cutoff", "guangzhou": "farther"},
    ),
    (
        "a day is not worth crossing the country",
        {"a": 1},
        {"shanghai": {"a": 1}, "guangzhou": {"a": 1}},
        {"shanghai": {"cutoff_min": 600}},
        {"shanghai": {0: 1}},
        {"shanghai": "whole", "guangzhou": "farther"},
    ),
    (
        "priority outweighs distance",
        {"a": 1},
        {"shanghai": {"a": 1}, "beijing": {"a": 1}},
        {"beijing": {"priority": 20}},
        {"beijing": {0: 1}},
        {"beijing": "whole", "shanghai": "priority"},
    ),
    (
        "one that is closed sends nothing",
        {"a": 1},
        {"shanghai": {"a": 9}, "beijing": {"a": 1}},
        {"shanghai": {"active": False}},
        {"beijing": {0: 1}},
        {"beijing": "whole", "shanghai": "inactive"},
    ),
    (
        "the unnamed one comes last",
        {"a": 1},
        {"": {"a": 9}, "berlin": {"a": 1}},
        {"berlin": {"cutoff_min": 0}},
        {"berlin": {0: 1}},
        {"berlin": "whole", "": "farther"},
    ),
    (
        "what is nowhere is said",
        {"a": 5, "b": 1},
        {"shanghai": {"a": 3}, "beijing": {"a": 1, "b": 1}},
        {},
        {"shanghai": {0: 3}, "beijing": {0: 1, 1: 1}},
        {"shanghai": "short", "beijing": "short"},
    ),
]


@pytest.mark.parametrize(("name", "wanted", "stock", "terms", "sent", "said"), CASES, ids=[case[0] for case in CASES])
def test_what_is_sent_from_where_and_why(
    name: str, wanted: dict[str, int], stock: Any, terms: dict[str, Any], sent: dict[str, dict[int, int]], said: dict[str, str]
) -> None:
    plan = plan_for(wanted, stock, **terms)
    assert parcels(plan) == sent
    assert verdicts(plan) == said
    assert plan.short == (((0, 1),) if name == "what is nowhere is said" else ())


def test_without_a_place_to_go_to_priority_and_time_decide() -> None:
    plan = plan_for({"a": 1}, {"beijing": {"a": 1}, "shanghai": {"a": 1}}, None, shanghai={"priority": 1})
    assert parcels(plan) == {"shanghai": {0: 1}}
    assert [judged.km for judged in plan.judged] == [None, None]


def test_the_wish_of_a_line_names_its_own_warehouses_then_the_orders_then_the_near_ones() -> None:
    stock = {"shanghai": {"a": 3, "b": 1}, "beijing": {"a": 2, "b": 3}, "guangzhou": {"a": 4, "b": 1}}
    plan = plan_for({"a": 5, "b": 3}, stock)
    assert plan.wishes == (
        Wish(prefer=("shanghai", "beijing", "guangzhou"), together=2),
        Wish(prefer=("beijing", "shanghai", "guangzhou"), together=1),
    )


def test_every_verdict_is_said_in_both_languages() -> None:
    said = {verdict for case in CASES for verdict in case[5].values()}
    assert said == VERDICTS.keys()
    assert all(text for texts in VERDICTS.values() for text in texts)


names = list(PLACES)
levels_of = st.dictionaries(st.sampled_from(names), st.dictionaries(st.sampled_from("abc"), st.integers(0, 4)), max_size=6)
wants = st.dictionaries(st.sampled_from("abc"), st.integers(1, 5), min_size=1)


def has_all(stock: dict[str, dict[str, int]], some: tuple[str, ...], wanted: dict[str, int]) -> bool:
    return all(sum(stock[place].get(sku_id, 0) for place in some) >= need for sku_id, need in wanted.items())


@settings(max_examples=200, deadline=None)
@given(wants, levels_of, st.sampled_from(names), st.randoms(use_true_random=False))
@pytest.mark.slow
def test_nothing_that_is_not_there_no_parcel_too_many_and_the_same_in_any_order(
    wanted: dict[str, int], stock: dict[str, dict[str, int]], to: str, shuffle: Any
) -> None:
    plan = plan_for(wanted, stock, to)
    sku_ids = list(wanted)
    for parcel in plan.parcels:
        for line, units in parcel.units:
            assert 0 < units <= stock[parcel.warehouse_id].get(sku_ids[line], 0)
    for line, (sku_id, need) in enumerate(wanted.items()):
        sent = sum(dict(parcel.units).get(line, 0) for parcel in plan.parcels)
        assert sent == min(need, sum(units.get(sku_id, 0) for units in stock.values()))
        assert sent + dict(plan.short).get(line, 0) == need
    fewest = next((size for size in range(1, 7) if any(has_all(stock, some, wanted) for some in itertools.combinations(stock, size))), None)
    if fewest is None:
        assert plan.short
    else:
        assert len(plan.parcels) == fewest
    assert {judged.warehouse_id for judged in plan.judged} == set(stock)
    places = list(stock)
    shuffle.shuffle(places)
    assert plan_for(wanted, {place: stock[place] for place in places}, to) == plan


@settings(max_examples=100, deadline=None)
@given(wants, levels_of, st.sampled_from(names), st.sampled_from(names), st.sampled_from("abc"))
@pytest.mark.slow
def test_more_stock_never_makes_more_parcels_nor_a_dearer_way(
    wanted: dict[str, int], stock: dict[str, dict[str, int]], to: str, where: str, sku_id: str
) -> None:
    def cost(plan: Plan) -> tuple[int, int, float]:
        costs = {judged.warehouse_id: judged.cost for judged in plan.judged}
        way = round(sum(costs[parcel.warehouse_id] for parcel in plan.parcels), 1)
        return sum(missing for _, missing in plan.short), len(plan.parcels), way

    before = plan_for(wanted, stock, to)
    more = {**stock, where: {**stock.get(where, {}), sku_id: stock.get(where, {}).get(sku_id, 0) + 2}}
    after = plan_for(wanted, more, to)
    if not before.short:
        assert cost(after) <= cost(before)


def test_many_warehouses_and_many_lines_are_bounded_and_leave_nothing_out() -> None:
    wanted = {f"sku_{n}": 3 for n in range(100)}
    lines = [Line(sku_id=sku_id, quantity=quantity) for sku_id, quantity in wanted.items()]
    for count in (EXHAUSTIVE_MAX, 60):
        warehouses = [
            WarehouseTerms(
                warehouse_id=f"w{n}", code="", title="", title_zh="", country="CN", city="", city_zh="", point=Point(lat=n, lon=n)
            )
            for n in range(count)
        ]
        levels = {sku_id: {f"w{(n * 7 + i) % count}": 1 for i in range(3)} for n, sku_id in enumerate(wanted)}
        plan = allocate(lines, point("suzhou"), warehouses, levels, NOON)
        assert plan.short == ()
        assert sum(units for parcel in plan.parcels for _, units in parcel.units) == 300
        assert len(plan.considered()) <= 20
