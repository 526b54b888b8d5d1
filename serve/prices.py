"""Prices as they are shown: the rule's answer in machine codes and in both languages."""

from typing import Any, Final

from actors.domain.entity import Refused
from actors.domain.unit_price import Reasons, Step, currencies_of, reasons
from schemas.goods import FOREVER_MS
from schemas.http.prices import NextTier, PriceNow, PriceStep
from schemas.http.titles import Titles
from schemas.money import Money, money_text
from schemas.offer import Offer
from serve.answers import timestamp

SHOWN: Final = ("applies", "needs_quantity")
"""What is not for this buyer, over, or still to come is nobody's business: a promotion is announced by whoever plans it."""

EVERY: Final = (*SHOWN, "not_started", "ended", "other_level")
"""What staff see."""

_WORDS: Final = {
    "list": ("List price {amount}", "标价 {amount}"),
    "tier": ("From {quantity} units {amount} each", "满 {quantity} 件每件 {amount}"),
    "promotion": ("{label}: {amount}", "{label_zh}:{amount}"),
    "member": ("Member price {amount}", "会员价 {amount}"),
    "level": ("{label}: {percent} % off, {amount}", "{label_zh}:优惠 {percent}%,{amount}"),
}
_FROM: Final = (", from {quantity} units", ",满 {quantity} 件")


def price_names(sku_ids: tuple[str, ...], *, member: bool) -> tuple[str, ...]:
    """The facts that prices of these SKUs are made from; for a member some more."""
    kinds = ("sku", "prices", "member_price") if member else ("sku", "prices")
    names = tuple(f"{kind}:{sku_id}" for sku_id in sku_ids for kind in kinds)
    return (*names, "member:rules") if member else names


def price_now(
    offer: Offer,
    facts: dict[str, Any],
    at_ms: int,
    *,
    quantity: int = 1,
    level_id: str | None = None,
    currency: str = "",
    shown: tuple[str, ...] = SHOWN,
) -> tuple[PriceNow, int] | Refused:
    """The price with those of its reasons that are shown, and the moment until which it is the same unless a fact changes."""
    found = reasons(offer, facts, at_ms, quantity=quantity, level_id=level_id, currency=currency)
    if isinstance(found, Refused):
        return found
    return _shown(found, offer, facts, quantity, shown), found.changes_ms


def ends(at_ms: int) -> str | None:
    """A moment for people; None for never."""
    return None if at_ms >= FOREVER_MS else timestamp(at_ms)


def tier_of(found: tuple[int, int] | None, currency: str) -> NextTier | None:
    """The next tier as it is shown."""
    return None if found is None else NextTier(min_quantity=found[0], unit_price=Money(amount=found[1], currency=currency))


def _shown(found: Reasons, offer: Offer, facts: dict[str, Any], quantity: int, shown: tuple[str, ...]) -> PriceNow:
    price = found.price
    currency, saving = price.currency, price.list_price - price.amount
    return PriceNow(
        sku_id=offer.sku_id,
        quantity=quantity,
        unit_price=Money(amount=price.amount, currency=currency),
        list_price=Money(amount=price.list_price, currency=currency),
        saving=Money(amount=saving, currency=currency) if saving else None,
        kind=price.kind,
        until=ends(price.until_ms),
        next_tier=tier_of(found.next_tier, currency),
        currencies=currencies_of(offer, facts),
        version=price.version,
        why=tuple(_step(step, currency) for step in found.steps if step.state in shown),
    )


def _step(step: Step, currency: str) -> PriceStep:
    return PriceStep(
        kind=step.kind,
        unit_price=Money(amount=step.amount, currency=currency),
        state=step.state,
        won=step.won,
        min_quantity=step.min_quantity,
        level_id=step.level_id or None,
        percent=step.percent or None,
        starts_at=timestamp(step.starts_at_ms) if step.starts_at_ms else None,
        ends_at=ends(step.ends_at_ms),
        texts=_texts(step, currency),
    )


def _texts(step: Step, currency: str) -> Titles:
    en, zh = _WORDS[step.kind]
    if step.kind != "tier" and step.min_quantity > 1:
        en, zh = en + _FROM[0], zh + _FROM[1]
    said = {
        "amount": money_text(step.amount, currency),
        "quantity": step.min_quantity,
        "percent": step.percent,
        # Either label stands for both: a merchant may have written one of them.
        "label": step.label or step.label_zh or "Promotion",
        "label_zh": step.label_zh or step.label or "促销",
    }
    return Titles(en=en.format(**said), zh=zh.format(**said))
