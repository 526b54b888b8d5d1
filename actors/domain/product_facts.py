"""What follows from the counts of a product: velocities, trend, the forecast, and how long the stock lasts. Pure."""

from typing import Final

from schemas.goods import Product
from schemas.watch import NEVER_DAYS, SkuFacts

DAY_MS: Final = 86_400_000
TREND_MAX: Final = 99.0


def velocity_7(units_7: int) -> float:
    """Units a day in the last seven days."""
    return round(units_7 / 7, 4)


def velocity_28(units_7: int, units_35: int) -> float:
    """Units a day in the 28 days before the last seven."""
    return round((units_35 - units_7) / 28, 4)


def trend(units_7: int, units_35: int) -> float:
    """The velocity of the last seven days over that of the 28 before; 1.0 where nothing is sold, TREND_MAX where nothing was."""
    now, before = velocity_7(units_7), velocity_28(units_7, units_35)
    if before <= 0:
        return TREND_MAX if now > 0 else 1.0
    return min(TREND_MAX, round(now / before, 4))


def forecast(units_7: int, units_35: int) -> float:
    """Units a day that are expected: what sells now counts as much as what sold in the four weeks before. Never negative."""
    return max(0.0, round(0.5 * units_7 / 7 + 0.5 * (units_35 - units_7) / 28, 4))


def days_of_cover(available: int, per_day: float) -> float:
    """How many days this stock lasts; NEVER_DAYS at most."""
    if available <= 0:
        return 0.0
    return float(NEVER_DAYS) if per_day <= 0 else min(float(NEVER_DAYS), round(available / per_day, 2))


def cover_of(skus: tuple[SkuFacts, ...]) -> float:
    """Of the articles that are sold, how long that one lasts which is gone first."""
    found = [days_of_cover(sku.available, forecast(sku.units_7, sku.units_35)) for sku in skus if sku.offered and sku.units_35 > 0]
    return min(found, default=float(NEVER_DAYS))


def lacking(doc: Product) -> tuple[str, ...]:
    """What a description lacks before a person would put it on the shelf: more than what the shelf refuses (``product.flaws``)."""
    texts = {"title_en": doc.texts.en.title, "title_zh": doc.texts.zh.title, "detail": doc.texts.en.detail or doc.texts.zh.detail}
    found = [name for name, text in texts.items() if not text.strip()]
    found += [] if doc.category_id else ["category"]
    found += [] if doc.images else ["image"]
    found += [] if any(sku.offered for sku in doc.skus) else ["sku"]
    return tuple(found)
