"""The life cycle of goods: seven rules over the facts of a product. Each proposes something that can be done, never only a flag.

| rule | fires | proposes |
| --- | --- | --- |
| launch | a draft: what its description lacks, or nothing | to publish it |
| promotion | it sells, but what there is lasts too long | a promotion price for some days |
| sales | it sells far less, or far more, than it did | a promotion price; a purchase |
| low_stock | it is gone before the next purchase could arrive | a purchase |
| replenish | stock and what is ordered do not last to the purchase after the next one | a purchase |
| slow | (next to) nothing was sold of it, and there is stock | a bundle, or a markdown that deepens |
| retire | off the shelf for long, nothing left, nothing sold | to retire it |

A rule answers a :class:`Suggestion` or None. Its ``mark`` says what of the case matters: figures that move a little every day are
evidence, and no new case. What is sold varies by chance: a fall or a rise must be more than the square root of what was expected explains.
"""

import math
from collections.abc import Callable
from typing import Final

import msgspec

from actors.domain.product_facts import forecast
from schemas.watch import (
    NEVER_DAYS,
    Action,
    Bundle,
    Complete,
    CutPrice,
    ProductFacts,
    Publish,
    Purchase,
    Quantity,
    Retire,
    Rule,
    SkuFacts,
    Suggestion,
    Thresholds,
)

PURCHASE_MAX: Final = 1_000_000
"""Units of one line: a typing mistake in a threshold must not order more."""
_SPREAD_FALLING: Final = 2.0
_SPREAD_RISING: Final = 3.0
"""Square roots of the expected units."""
_PERCENT_STEP: Final = 5


def suggestions(facts: ProductFacts, terms: Thresholds) -> dict[Rule, Suggestion]:
    """What all rules make of a product, by rule."""
    found = ((rule, judge(facts, terms)) for rule, judge in JUDGES.items())
    return {rule: suggestion for rule, suggestion in found if suggestion is not None}


def launch(facts: ProductFacts, terms: Thresholds) -> Suggestion | None:
    """A draft that could be on the shelf, or what it lacks."""
    if facts.state != "draft":
        return None
    missing = (*facts.missing, *(("stock",) if facts.available + facts.incoming <= 0 else ()))
    action: Action = Complete(missing=missing) if missing else Publish()
    return Suggestion(
        rule="launch",
        why="incomplete" if missing else "ready",
        mark=",".join(sorted(missing)),
        action=action,
        evidence={"missing": list(missing), "available": facts.available, "incoming": facts.incoming, "price": facts.price},
    )


def promotion(facts: ProductFacts, terms: Thresholds) -> Suggestion | None:
    """It sells, and what there is lasts longer than it should: the further beyond, the more percent (up to twice the usual)."""
    if not _may_be_cut(facts) or facts.units_28 <= 0 or facts.age_days < 28 or _is_slow(facts, terms):
        return None
    if facts.trend * 100 >= terms.rising_percent:
        return None  # what rises by itself needs no help
    cover = facts.days_of_cover
    if terms.promotion_cover_days <= 0 or cover <= terms.promotion_cover_days or cover >= NEVER_DAYS:
        return None
    beyond = min(2.0, cover / terms.promotion_cover_days)
    percent = _step(terms.promotion_percent * beyond, terms.promotion_percent, 100 - terms.floor_percent)
    if _achieved(facts, percent, terms) <= 0:
        return None
    return Suggestion(
        rule="promotion",
        why="covers_too_long",
        mark=str(percent),
        action=CutPrice(percent=percent, days=terms.promotion_days, floor_percent=terms.floor_percent),
        evidence={
            "days_of_cover": cover,
            "promotion_cover_days": terms.promotion_cover_days,
            "available": facts.available,
            "units_28": facts.units_28,
            "price": facts.price,
        },
    )


def sales(facts: ProductFacts, terms: Thresholds) -> Suggestion | None:
    """What sold in seven days, against the 28 days before: a fall is met by a price, a rise by a purchase."""
    if not facts.on_shelf or facts.in_flash_sale:
        return None
    expected = facts.velocity_28 * 7
    evidence: dict[str, int | float | str | bool | list[str]] = {
        "units_7": facts.units_7,
        "expected_7": round(expected, 2),
        "trend": facts.trend,
        "falling_percent": terms.falling_percent,
        "rising_percent": terms.rising_percent,
        "available": facts.available,
    }
    spread = math.sqrt(max(expected, 1.0))
    if _fell(facts, terms, expected, spread):
        percent = _step(terms.promotion_percent, terms.promotion_percent, 100 - terms.floor_percent)
        if _achieved(facts, percent, terms) <= 0 or facts.has_promotion:
            return None
        action: Action = CutPrice(percent=percent, days=terms.promotion_days, floor_percent=terms.floor_percent)
        return Suggestion(rule="sales", why="falling", mark="falling", action=action, evidence=evidence)
    rose = facts.units_7 >= max(terms.sales_units, 1) and facts.units_7 >= expected * terms.rising_percent / 100
    if rose and facts.units_7 - expected >= _SPREAD_RISING * spread:
        # By what sells now, where the forecast still remembers the weeks before.
        lines = _lines(facts, terms, lambda sku: sku.units_7 / 7)
        if lines:
            return Suggestion(rule="sales", why="rising", mark="rising", action=Purchase(lines=lines), evidence=evidence)
    return None


def low_stock(facts: ProductFacts, terms: Thresholds) -> Suggestion | None:
    """An article is gone before a purchase of today would be on the shelf, and nothing is on its way."""
    if not facts.on_shelf:
        return None
    short = tuple(sku for sku in facts.skus if sku.offered and _is_low(sku, terms))
    lines = _lines(msgspec.structs.replace(facts, skus=short), terms, _forecast)
    if not lines:
        return None
    return Suggestion(
        rule="low_stock",
        why="sold_out" if all(sku.available <= 0 for sku in short) else "runs_out",
        mark=_mark(lines),
        action=Purchase(lines=lines),
        evidence={
            "skus": [f"{sku.code or sku.sku_id}: {sku.available} < {_reorder_point(sku, terms):.0f}" for sku in short[:20]],
            "days_of_cover": facts.days_of_cover,
            "lead_days": terms.lead_days,
            "safety_days": terms.safety_days,
        },
    )


def replenish(facts: ProductFacts, terms: Thresholds) -> Suggestion | None:
    """What there is and what is ordered does not last over the next review and its delivery: order up to that, in whole packs.

    Articles that ``low_stock`` tells of are in no second proposal.
    """
    if not facts.on_shelf:
        return None
    due = tuple(
        sku
        for sku in facts.skus
        if sku.offered and not _is_low(sku, terms) and _position(sku) <= _reorder_point(sku, terms) + _half_review(sku, terms)
    )
    lines = _lines(msgspec.structs.replace(facts, skus=due), terms, _forecast)
    if not lines:
        return None
    by_id = {sku.sku_id: sku for sku in due}
    shown = [by_id[line.sku_id] for line in lines[:20]]
    return Suggestion(
        rule="replenish",
        why="reorder",
        mark=_mark(lines),
        action=Purchase(lines=lines),
        evidence={
            "skus": [f"{sku.code or sku.sku_id}: {sku.on_hand} + {sku.incoming}, {_forecast(sku):.2f} a day" for sku in shown],
            "lead_days": terms.lead_days,
            "review_days": terms.review_days,
            "safety_days": terms.safety_days,
            "pack_size": terms.pack_size,
        },
    )


def slow(facts: ProductFacts, terms: Thresholds) -> Suggestion | None:
    """Stock that does not sell: first together with something that does, then cheaper, and cheaper again for every ``slow_days``."""
    if not _is_slow(facts, terms) or facts.in_flash_sale:
        return None
    evidence: dict[str, int | float | str | bool | list[str]] = {
        "units_90": facts.units_90,
        "units_28": facts.units_28,
        "days_since_sold": facts.days_since_sold,
        "age_days": facts.age_days,
        "available": facts.available,
        "slow_days": terms.slow_days,
        "slow_units": terms.slow_units,
        "price": facts.price,
    }
    stages = min(facts.age_days, facts.days_since_sold) // max(terms.slow_days, 1) - 1
    if facts.bundle_with and not facts.in_bundle and stages <= 0:
        action: Action = Bundle(with_id=facts.bundle_with, percent=terms.bundle_percent, days=terms.bundle_days)
        return Suggestion(rule="slow", why="bundle", mark=f"bundle:{facts.bundle_with}", action=action, evidence=evidence)
    wanted = terms.markdown_percent + terms.markdown_step_percent * max(0, stages)
    percent = _step(wanted, 1, 100 - terms.floor_percent)
    if _achieved(facts, percent, terms) <= facts.discount_percent:
        return None
    cut = CutPrice(percent=percent, days=terms.slow_days, floor_percent=terms.floor_percent)
    evidence["discount_percent"] = facts.discount_percent
    evidence["floor_percent"] = terms.floor_percent
    return Suggestion(rule="slow", why="markdown", mark=f"markdown:{percent}", action=cut, evidence=evidence)


def retire(facts: ProductFacts, terms: Thresholds) -> Suggestion | None:
    """Off the shelf for long, nothing left, nothing on its way, nothing sold meanwhile."""
    gone = facts.on_hand <= 0 and facts.incoming <= 0
    if facts.state != "off_shelf" or facts.off_days < terms.retire_days or facts.days_since_sold < terms.retire_days or not gone:
        return None
    return Suggestion(
        rule="retire",
        why="forgotten",
        mark="",
        action=Retire(),
        evidence={"off_days": facts.off_days, "days_since_sold": facts.days_since_sold, "retire_days": terms.retire_days},
    )


JUDGES: Final[dict[Rule, Callable[[ProductFacts, Thresholds], Suggestion | None]]] = {
    "launch": launch,
    "promotion": promotion,
    "sales": sales,
    "low_stock": low_stock,
    "replenish": replenish,
    "slow": slow,
    "retire": retire,
}


# --- quantities -----------------------------------------------------------------------------------


def order_quantity(sku: SkuFacts, terms: Thresholds, per_day: float) -> int:
    """Units to order now: the sales of a review period and a delivery, and the safety, less what is there and on its way; whole packs."""
    target = per_day * (terms.review_days + terms.lead_days) + _safety(sku, terms, per_day)
    needed = math.ceil(round(target - _position(sku), 6))
    if needed <= 0:
        return 0
    packs = -(-needed // terms.pack_size)
    return min(packs * terms.pack_size, PURCHASE_MAX)


def cut_price(price: int, percent: int, floor_percent: int) -> int:
    """The list price less so many percent, in minor units, rounded up to the unit and not below the floor; at least 1 of a price."""
    cut = -(-price * (100 - percent) // 100)
    floor = -(-price * floor_percent // 100)
    return max(cut, floor, min(price, 1))


def percent_off(price: int, promotion: int) -> int:
    """Whole percent that a promotion takes off, to the nearest: what a label says of a price that was rounded to the unit."""
    return 0 if price <= 0 else max(0, ((price - promotion) * 200 + price) // (2 * price))


def _lines(facts: ProductFacts, terms: Thresholds, per_day: Callable[[SkuFacts], float]) -> tuple[Quantity, ...]:
    found = ((sku.sku_id, order_quantity(sku, terms, per_day(sku))) for sku in facts.skus if sku.offered)
    return tuple(Quantity(sku_id=sku_id, quantity=quantity) for sku_id, quantity in found if quantity > 0)


def _forecast(sku: SkuFacts) -> float:
    return forecast(sku.units_7, sku.units_35)


def _position(sku: SkuFacts) -> int:
    return sku.on_hand + sku.incoming


def _safety(sku: SkuFacts, terms: Thresholds, per_day: float) -> float:
    return sku.safety_stock + terms.safety_days * per_day


def _reorder_point(sku: SkuFacts, terms: Thresholds) -> float:
    per_day = _forecast(sku)
    return per_day * terms.lead_days + _safety(sku, terms, per_day)


def _is_low(sku: SkuFacts, terms: Thresholds) -> bool:
    return not sku.incoming and sku.available < _reorder_point(sku, terms)


def _half_review(sku: SkuFacts, terms: Thresholds) -> float:
    """A purchase is worth its trouble from half of a review period's sales on."""
    return _forecast(sku) * terms.review_days / 2


def _mark(lines: tuple[Quantity, ...]) -> str:
    """Another case: other articles, or a total of another order of size (by steps of half as much again)."""
    total = sum(line.quantity for line in lines)
    return f"{len(lines)}:{round(math.log(max(total, 1), 1.5))}"


# --- prices ---------------------------------------------------------------------------------------


def _may_be_cut(facts: ProductFacts) -> bool:
    return facts.on_shelf and facts.available > 0 and not facts.has_promotion and not facts.in_flash_sale


def _achieved(facts: ProductFacts, percent: int, terms: Thresholds) -> int:
    """What a cut of so many percent comes to: of a few cents, and above the floor, it may come to nothing."""
    return percent_off(facts.price, cut_price(facts.price, percent, terms.floor_percent)) if percent > 0 else 0


def _is_slow(facts: ProductFacts, terms: Thresholds) -> bool:
    return facts.on_shelf and facts.available > 0 and facts.age_days >= terms.slow_days and _sold(facts, terms) <= terms.slow_units


def _sold(facts: ProductFacts, terms: Thresholds) -> int:
    """Units sold in ``slow_days``, as far as the counted windows say it: none when the last sale was before, else those of 90 days."""
    if facts.days_since_sold >= terms.slow_days:
        return 0
    return facts.units_28 if terms.slow_days <= 28 else facts.units_90


def _fell(facts: ProductFacts, terms: Thresholds, expected: float, spread: float) -> bool:
    below = facts.units_7 <= expected * terms.falling_percent / 100 and expected - facts.units_7 >= _SPREAD_FALLING * spread
    return facts.available > 0 and expected >= max(terms.sales_units, 1) and below


def _step(percent: float, least: int, most: int) -> int:
    """In steps that people put on a label; never above ``most``."""
    return min(most, max(least, round(percent / _PERCENT_STEP) * _PERCENT_STEP))
