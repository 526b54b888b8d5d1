"""What one unit of a SKU costs now, and why. Pure; the one place that decides it, for pages, carts and checkout.

1. The currency: the one that is asked for, else that of the SKU's first list price. Without a list price in it: ``currency_not_offered``.
2. What applies, all in that currency and never added up:
   list: the list price, always;
   tier, promotion, member: a row of the price list whose conditions hold: the line has ``min_quantity`` units or more, the moment lies in
   [starts_at_ms, ends_at_ms), and the row is for anybody or for the buyer's level;
   member: what ``member_price`` says for the buyer's level, in the currency of the first list price;
   level: the list price less the percentage of the buyer's level, unless the SKU has a member price for that level from one unit on.
3. The lowest amount wins; of equal ones the plainest: list, tier, promotion, member, level, and of one kind the first of the document.

So nobody pays more than the list price, and more units never cost more each. Quantities are counted by line: an article stands on one
line of a cart. The price of a flash sale is none of this: it stands alone (``actors.domain.pricing``).
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from actors.domain.entity import Refused
from actors.domain.member_state import level_of
from schemas.goods import FOREVER_MS
from schemas.membership import LevelTerms, MemberPrices, MemberRules
from schemas.money import portion
from schemas.offer import Offer, PriceList, PriceRow

RANK: Final = {"list": 0, "tier": 1, "promotion": 2, "member": 3, "level": 4}
"""Of equal amounts the first of these is the one that is named."""

APPLIES: Final = "applies"


class UnitPrice(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """The price of one unit in minor units. ``kind``: of ``RANK``; ``version``: of the newest fact of its SKU that was looked at.

    until_ms: when what won ends (``FOREVER_MS``: never). percent: what the level takes off, where that won.
    """

    amount: int
    list_price: int
    currency: str
    kind: str
    version: int
    until_ms: int = FOREVER_MS
    percent: int = 0
    label: str = ""
    label_zh: str = ""


class Step(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """One price that was looked at, and what became of it.

    state: ``applies``; or why it does not: ``needs_quantity``, ``not_started``, ``ended``, ``other_level``. won: it is the price.
    """

    kind: str
    amount: int
    state: str = APPLIES
    won: bool = False
    min_quantity: int = 1
    level_id: str = ""
    percent: int = 0
    starts_at_ms: int = 0
    ends_at_ms: int = FOREVER_MS
    label: str = ""
    label_zh: str = ""


class Reasons(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """A price with every step to it.

    next_tier: (units, amount) from which on each is cheaper for the same buyer. changes_ms: until then, the same question has the same
    answer, unless a fact changes.
    """

    price: UnitPrice
    steps: tuple[Step, ...]
    next_tier: tuple[int, int] | None
    changes_ms: int


def unit_price(
    offer: Offer, facts: dict[str, Any], at_ms: int, *, quantity: int = 1, level_id: str | None = None, currency: str = ""
) -> UnitPrice | Refused:
    """What each of ``quantity`` units costs. level_id: the buyer's level ("": the lowest), None for anybody.

    Reads the facts ``prices:<sku>``, and for a member ``member:rules`` and ``member_price:<sku>``. Refused: ``currency_not_offered``.
    """
    prices = facts.get("prices:" + offer.sku_id)
    if prices is None and level_id is None and (not currency or currency == offer.currency):
        return UnitPrice(amount=offer.price, list_price=offer.price, currency=offer.currency, kind="list", version=offer.version)
    found = _listed(offer, prices, currency)
    if isinstance(found, Refused):
        return found
    currency, listed, rows = found
    level = _level(facts, level_id)
    own = level is None
    best, kind, won = listed, "list", None
    for row in rows:
        if row.kind == "list" or quantity < row.min_quantity or not row.starts_at_ms <= at_ms < row.ends_at_ms:
            continue
        if row.level_id or row.kind == "member":
            if level is None or row.level_id != level.level_id:
                continue
            own = own or (row.kind == "member" and row.min_quantity == 1)
        if row.amount < best or (row.amount == best and RANK[row.kind] < RANK[kind]):
            best, kind, won = row.amount, row.kind, row
    version = max(offer.version, prices.version) if isinstance(prices, PriceList) else offer.version
    percent = 0
    if level is not None:
        members = facts.get("member_price:" + offer.sku_id) if currency == offer.currency else None
        fixed = members.prices.get(level.level_id) if isinstance(members, MemberPrices) else None
        if fixed is not None and (fixed < best or (fixed == best and RANK["member"] < RANK[kind])):
            best, kind, won = fixed, "member", None
        reduced = listed if own or fixed is not None else portion(listed, 100 - level.discount_percent, 100)
        if reduced < best:
            best, kind, won, percent = reduced, "level", None, level.discount_percent
    if won is None:
        return UnitPrice(amount=best, list_price=listed, currency=currency, kind=kind, version=version, percent=percent)
    return UnitPrice(
        amount=best,
        list_price=listed,
        currency=currency,
        kind=kind,
        version=version,
        until_ms=won.ends_at_ms,
        label=won.label,
        label_zh=won.label_zh,
    )


def currencies_of(offer: Offer, facts: dict[str, Any]) -> tuple[str, ...]:
    """The currencies in which a SKU has a list price, its first one first."""
    prices = facts.get("prices:" + offer.sku_id)
    rows = prices.rows if isinstance(prices, PriceList) else {}
    others = (currency for currency, found in rows.items() if any(row.kind == "list" for row in found))
    return tuple(dict.fromkeys((offer.currency, *others)))


def reasons(
    offer: Offer, facts: dict[str, Any], at_ms: int, *, quantity: int = 1, level_id: str | None = None, currency: str = ""
) -> Reasons | Refused:
    """The answer of :func:`unit_price` to the same question, with what it was chosen from. It tells, and decides nothing."""
    price = unit_price(offer, facts, at_ms, quantity=quantity, level_id=level_id, currency=currency)
    if isinstance(price, Refused):
        return price
    prices = facts.get("prices:" + offer.sku_id)
    found = _listed(offer, prices, price.currency)
    assert not isinstance(found, Refused), "it has a price"
    steps: list[Step] = []
    for step in _steps(offer, facts, found[1], found[2], at_ms, quantity, _level(facts, level_id), price):
        # A member price may stand in the list and beside it.
        if all((known.kind, known.level_id, known.amount, known.min_quantity) != (step.kind, step.level_id, step.amount, step.min_quantity)
               for known in steps if known.state == APPLIES == step.state):  # fmt: skip
            steps.append(step)
    won = min(
        (index for index, step in enumerate(steps) if step.state == APPLIES),
        key=lambda index: (steps[index].amount, RANK[steps[index].kind]),
    )
    steps[won] = msgspec.structs.replace(steps[won], won=True)
    tier = next_tier(offer, facts, at_ms, price, quantity=quantity, level_id=level_id)
    moments = [ms for row in found[2] for ms in (row.starts_at_ms, row.ends_at_ms) if ms > at_ms]
    return Reasons(
        price=price, steps=tuple(steps), next_tier=tier, changes_ms=min(moments, default=FOREVER_MS)
    )  # fmt: skip


def next_tier(
    offer: Offer, facts: dict[str, Any], at_ms: int, price: UnitPrice, *, quantity: int, level_id: str | None = None
) -> tuple[int, int] | None:
    """(units, amount): the next number of units from which on each costs the same buyer less than ``price`` now; None: none."""
    prices = facts.get("prices:" + offer.sku_id)
    rows = prices.rows.get(price.currency, ()) if isinstance(prices, PriceList) else ()
    level = _level(facts, level_id)
    found: tuple[int, int] | None = None
    for row in rows:
        if row.kind == "list" or row.min_quantity <= quantity or row.amount >= price.amount:
            continue
        if _state(row, at_ms, quantity, level) == "needs_quantity" and (found is None or (row.min_quantity, row.amount) < found):
            found = (row.min_quantity, row.amount)
    return found


def _listed(offer: Offer, prices: Any, currency: str) -> tuple[str, int, tuple[PriceRow, ...]] | Refused:
    """(currency, list price, rows in that currency)."""
    by_currency = prices.rows if isinstance(prices, PriceList) else {}
    currency = currency or offer.currency
    rows = by_currency.get(currency, ())
    if currency == offer.currency:
        return currency, offer.price, rows
    for row in rows:
        if row.kind == "list":
            return currency, row.amount, rows
    offered = currencies_of(offer, {"prices:" + offer.sku_id: prices})
    return Refused(code="currency_not_offered", params={"sku_id": offer.sku_id, "currencies": list(offered)})


def _level(facts: dict[str, Any], level_id: str | None) -> LevelTerms | None:
    rules = facts.get("member:rules") if level_id is not None else None
    return level_of(rules, level_id or "") if isinstance(rules, MemberRules) else None


def _steps(
    offer: Offer,
    facts: dict[str, Any],
    listed: int,
    rows: tuple[PriceRow, ...],
    at_ms: int,
    quantity: int,
    level: LevelTerms | None,
    price: UnitPrice,
) -> Iterator[Step]:
    yield Step(kind="list", amount=listed)
    own = False
    for row in rows:
        if row.kind == "list":
            continue
        state = _state(row, at_ms, quantity, level)
        own = own or (row.kind == "member" and row.min_quantity == 1 and state == APPLIES)
        yield Step(
            kind=row.kind,
            amount=row.amount,
            state=state,
            min_quantity=row.min_quantity,
            level_id=row.level_id,
            starts_at_ms=row.starts_at_ms,
            ends_at_ms=row.ends_at_ms,
            label=row.label,
            label_zh=row.label_zh,
        )
    if level is None:
        return
    members = facts.get("member_price:" + offer.sku_id) if price.currency == offer.currency else None
    fixed = members.prices.get(level.level_id) if isinstance(members, MemberPrices) else None
    if fixed is not None:
        yield Step(kind="member", amount=fixed, level_id=level.level_id, label=level.title, label_zh=level.title_zh)
    elif not own and level.discount_percent:
        amount = portion(listed, 100 - level.discount_percent, 100)
        yield Step(
            kind="level", amount=amount, level_id=level.level_id, percent=level.discount_percent, label=level.title, label_zh=level.title_zh
        )  # fmt: skip


def _state(row: PriceRow, at_ms: int, quantity: int, level: LevelTerms | None) -> str:
    if (row.level_id or row.kind == "member") and (level is None or row.level_id != level.level_id):
        return "other_level"
    if at_ms < row.starts_at_ms:
        return "not_started"
    if at_ms >= row.ends_at_ms:
        return "ended"
    return APPLIES if quantity >= row.min_quantity else "needs_quantity"
