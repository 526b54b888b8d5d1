"""What the prices of a SKU must be. Which of them applies is the rule of ``actors.domain.pricing``."""

from collections.abc import Container, Iterator
from typing import Any, Final

from schemas.flaws import Flaw
from schemas.goods import FOREVER_MS, Price

DEFAULTS: Final[dict[str, Any]] = {"min_quantity": 1, "level_id": "", "starts_at_ms": 0, "ends_at_ms": FOREVER_MS}
TAKES: Final[dict[str, frozenset[str]]] = {
    "list": frozenset(),
    "tier": frozenset({"min_quantity"}),
    "promotion": frozenset({"starts_at_ms", "ends_at_ms"}),
    "member": frozenset({"level_id"}),
}
"""Which fields a price of each kind has beside its amount; of the others it has the defaults."""


def price_flaws(path: str, prices: tuple[Price, ...], currencies: frozenset[str], levels: Container[str]) -> Iterator[Flaw]:
    """What is wrong with the prices of the SKU at ``path``."""
    if not prices:
        yield Flaw(path=f"{path}.prices", code="price_missing")
        return
    listed = {price.currency: price.amount for price in reversed(prices) if price.kind == "list"}
    if not listed:
        yield Flaw(path=f"{path}.prices", code="list_price_missing", params={"currency": prices[0].currency})
    if len(prices) == 1 and listed and prices[0].currency in currencies:  # what nearly every SKU has
        yield from _field_flaws(f"{path}.prices[0]", prices[0])
        return
    seen: set[tuple[Any, ...]] = set()
    steps: dict[str, int] = {}
    for number, price in enumerate(prices):
        here = f"{path}.prices[{number}]"
        if price.currency not in currencies:
            yield Flaw(path=f"{here}.currency", code="currency_unknown", params={"currency": price.currency})
        yield from _field_flaws(here, price)
        key = (price.kind, price.currency, price.min_quantity, price.level_id, price.starts_at_ms, price.ends_at_ms)
        if key in seen:
            yield Flaw(path=here, code="price_repeated")
        seen.add(key)
        if price.kind == "tier":
            if price.min_quantity <= steps.get(price.currency, 1):
                yield Flaw(path=f"{here}.min_quantity", code="tier_order")
            steps[price.currency] = price.min_quantity
        if price.kind == "member" and price.level_id not in levels:
            yield Flaw(path=f"{here}.level_id", code="level_unknown", params={"level_id": price.level_id})
        if price.kind != "list" and listed:
            yield from _beside_list(here, price, listed)


def _field_flaws(here: str, price: Price) -> Iterator[Flaw]:
    for name, default in DEFAULTS.items():
        if name not in TAKES[price.kind] and getattr(price, name) != default:
            yield Flaw(path=f"{here}.{name}", code="price_field", params={"field": name})
    if price.kind == "promotion" and price.ends_at_ms <= price.starts_at_ms:
        yield Flaw(path=f"{here}.ends_at_ms", code="window_empty")


def _beside_list(here: str, price: Price, listed: dict[str, int]) -> Iterator[Flaw]:
    amount = listed.get(price.currency)
    if amount is None:
        yield Flaw(path=f"{here}.currency", code="list_price_missing", params={"currency": price.currency})
    elif price.amount > amount:
        yield Flaw(path=f"{here}.amount", code="price_above_list", params={"amount": amount})
