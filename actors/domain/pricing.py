"""What an order costs, and why. Pure, in one fixed order:

1. unit price: the sale's price for the SKU in a flash sale; else the lowest price that applies (list, tier, promotion,
   member, level), as ``actors.domain.unit_price`` decides it for everybody, in the currency that the buyer asks for;
2. line total: unit price times quantity;
3. coupons, in the order given, each on what its lines still cost, spread over them by largest
   remainder, never below zero;
4. points, as many as were offered, but for no more than the rules' share of what is left; spread in the same way;
5. total: the sum of line totals less discounts, and delivery.

Delivery is in no line. It costs nothing in a flash sale, and nothing where the goods less coupons (points are money) come to
the shop's amount; a member with a free parcel left does not pay it. Coupons and points do not pay it.

Rounding happens once a unit price, once a coupon and once for the points (``schemas.money.portion``), half away from zero;
points only ever pay whole minor units, and no more of them are taken than that needs.
"""

from typing import Any, Final

import msgspec

from actors.domain.entity import Refused
from actors.domain.unit_price import UnitPrice, unit_price
from schemas.membership import MemberRules
from schemas.money import MINOR_UNITS_MAX, portion, share
from schemas.offer import CouponTerms, Offer, SaleTerms, ShippingTerms
from schemas.order import Line


class QuotedLine(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """One priced line; ``discount`` is this line's part of all coupons and of the points.

    price_kind, list_price: as an order keeps them (``schemas.order.PricedLine``).
    """

    sku_id: str
    quantity: int
    unit_price: int
    discount: int
    price_kind: str = ""
    list_price: int = 0


class Quote(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """The price of an order. ``version`` is the newest version among the facts it was made from.

    points: how many are taken, and what they take off. shipping: what delivery costs, within the total; shipping_saved: what it would
    have cost without the membership. rules_version: of the membership rules, 0 where they had no part in it.
    """

    lines: tuple[QuotedLine, ...]
    coupon_discounts: tuple[int, ...]
    total: int
    currency: str
    version: int
    points: int = 0
    points_discount: int = 0
    rules_version: int = 0
    shipping: int = 0
    shipping_saved: int = 0


class Buyer(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """Who buys, as far as prices go. ``level_id`` None: anybody, "": a member of the lowest level. ``points``: offered to be spent.

    currency: in which he would pay, "" for that of the articles' first list prices; a flash sale has its own.
    """

    level_id: str | None = None
    points: int = 0
    currency: str = ""


ANYBODY: Final = Buyer()


def quote(
    lines: tuple[Line, ...],
    coupon_ids: tuple[str, ...],
    sale: SaleTerms | None,
    facts: dict[str, Any],
    at_ms: int,
    buyer: Buyer = ANYBODY,
) -> Quote | Refused:
    """The price of ``lines`` now, or the first reason why there is none."""
    offers = _offers(lines, facts)
    if isinstance(offers, Refused):
        return offers
    priced = _sale_prices(offers, sale) if sale is not None else _cart_prices(lines, offers, facts, at_ms, buyer)
    if isinstance(priced, Refused):
        return priced
    unit_prices, currency, version, kinds = priced
    if sale is not None and any(offer.currency != currency for offer in offers):
        return Refused(code="currency_mixed")
    gross = [price * line.quantity for price, line in zip(unit_prices, lines, strict=True)]
    if sum(gross) > MINOR_UNITS_MAX:
        return Refused(code="quantity_invalid", params={"limit": MINOR_UNITS_MAX})
    if not coupon_ids and buyer is ANYBODY:
        quoted = tuple(
            QuotedLine(sku_id=line.sku_id, quantity=line.quantity, unit_price=price, discount=0)
            for line, price in zip(lines, unit_prices, strict=True)
        )
        found: Quote | Refused = Quote(lines=quoted, coupon_discounts=(), total=sum(gross), currency=currency, version=version)
    else:
        found = _with_coupons(lines, offers, unit_prices, gross, coupon_ids, currency, facts, at_ms, version, buyer)
    return found if isinstance(found, Refused) or not kinds else _with_kinds(found, kinds)


def shipping_fee(goods: int, currency: str, terms: Any) -> int:
    """What delivery of goods of this price costs. ``terms``: the fact ``shop:shipping``, None where there is none."""
    fee = terms.fees.get(currency) if isinstance(terms, ShippingTerms) else None
    if fee is None or (fee.free_from and goods >= fee.free_from):
        return 0
    return fee.fee


def delivered(priced: Quote, terms: Any, *, free: bool) -> Quote:
    """The price with delivery; ``free``: a free parcel is there to be used."""
    fee = shipping_fee(priced.total + priced.points_discount, priced.currency, terms)
    if not fee:
        return priced
    if free:
        return msgspec.structs.replace(priced, shipping_saved=fee)
    return msgspec.structs.replace(priced, shipping=fee, total=priced.total + fee)


def _offers(lines: tuple[Line, ...], facts: dict[str, Any]) -> list[Offer] | Refused:
    offers: list[Offer] = []
    for line in lines:
        offer = facts.get("sku:" + line.sku_id)
        if not isinstance(offer, Offer):
            return Refused(code="sku_unknown", params={"sku_id": line.sku_id})
        if not offer.on_sale:
            return Refused(code="sku_not_on_sale", params={"sku_id": line.sku_id})
        offers.append(offer)
    return offers


_Prices = tuple[list[int], str, int, dict[int, UnitPrice]]
"""Unit prices, their currency, the newest version, and those lines (by index) whose price is another than the list's."""


def _sale_prices(offers: list[Offer], sale: SaleTerms) -> _Prices | Refused:
    prices = []
    for offer in offers:
        if offer.sku_id not in sale.prices:
            return Refused(code="sku_not_on_sale", params={"sku_id": offer.sku_id})
        prices.append(sale.prices[offer.sku_id])
    return prices, sale.currency, max(offer.version for offer in offers), {}


def _cart_prices(lines: tuple[Line, ...], offers: list[Offer], facts: dict[str, Any], at_ms: int, buyer: Buyer) -> _Prices | Refused:
    prices: list[int] = []
    others: dict[int, UnitPrice] = {}
    version, currency = 0, ""
    for index, (line, offer) in enumerate(zip(lines, offers, strict=True)):
        price = unit_price(offer, facts, at_ms, quantity=line.quantity, level_id=buyer.level_id, currency=buyer.currency)
        if isinstance(price, Refused):
            return price
        if currency and price.currency != currency:
            return Refused(code="currency_mixed")
        currency, version = price.currency, max(version, price.version)
        prices.append(price.amount)
        if price.kind != "list":
            others[index] = price
    return prices, currency, version, others


def _with_kinds(priced: Quote, kinds: dict[int, UnitPrice]) -> Quote:
    """The order keeps why a line costs what it costs."""
    lines = list(priced.lines)
    for index, price in kinds.items():
        listed = price.list_price if price.list_price != price.amount else 0
        lines[index] = msgspec.structs.replace(lines[index], price_kind=price.kind, list_price=listed)
    return msgspec.structs.replace(priced, lines=tuple(lines))


def points_part(points: int, left: int, currency: str, rules: Any) -> tuple[int, int] | Refused:
    """(points taken, minor units off) of so many offered, where ``left`` is still to be paid."""
    rate = rules.terms.rates.get(currency) if isinstance(rules, MemberRules) else None
    if rate is None or not rate.minor_per_100_points:
        return Refused(code="points_not_taken")
    worth = rate.minor_per_100_points
    off = min(points * worth // 100, left * rules.terms.points_share_percent // 100)
    return -(-off * 100 // worth), off


def _with_coupons(
    lines: tuple[Line, ...],
    offers: list[Offer],
    unit_prices: list[int],
    gross: list[int],
    coupon_ids: tuple[str, ...],
    currency: str,
    facts: dict[str, Any],
    at_ms: int,
    version: int,
    buyer: Buyer,
) -> Quote | Refused:
    left = list(gross)
    taken = []
    for coupon_id in coupon_ids:
        coupon = facts.get("coupon:" + coupon_id)
        if not isinstance(coupon, CouponTerms):
            return Refused(code="coupon_unknown", params={"coupon_id": coupon_id})
        parts = coupon_discount(coupon, offers, left, sum(gross), currency, at_ms)
        if isinstance(parts, Refused):
            return parts
        left = [rest - part for rest, part in zip(left, parts, strict=True)]
        taken.append(sum(parts))
    points = off = 0
    if buyer.points:
        part = points_part(buyer.points, sum(left), currency, facts.get("member:rules"))
        if isinstance(part, Refused):
            return part
        points, off = part
        if off:
            left = [rest - share_of for rest, share_of in zip(left, share(off, tuple(left)), strict=True)]
    quoted = tuple(
        QuotedLine(sku_id=line.sku_id, quantity=line.quantity, unit_price=price, discount=full - rest)
        for line, price, full, rest in zip(lines, unit_prices, gross, left, strict=True)
    )
    rules = facts.get("member:rules") if buyer is not ANYBODY else None
    return Quote(
        lines=quoted,
        coupon_discounts=tuple(taken),
        total=sum(left),
        currency=currency,
        version=version,
        points=points,
        points_discount=off,
        rules_version=rules.version if isinstance(rules, MemberRules) else 0,
    )


def coupon_discount(
    coupon: CouponTerms, offers: list[Offer], left: list[int], gross_total: int, currency: str, at_ms: int
) -> tuple[int, ...] | Refused:
    """What one coupon takes off each line, given what the lines still cost."""
    if not coupon.starts_at_ms <= at_ms < coupon.ends_at_ms:
        return Refused(code="coupon_not_active", params={"coupon_id": coupon.coupon_id})
    in_scope = [not coupon.product_ids or offer.product_id in coupon.product_ids for offer in offers]
    eligible = tuple(rest if inside else 0 for rest, inside in zip(left, in_scope, strict=True))
    if coupon.currency != currency or gross_total < coupon.min_total or not any(in_scope):
        return Refused(code="coupon_not_applicable", params={"coupon_id": coupon.coupon_id})
    base = sum(eligible)
    if base == 0:
        return tuple(0 for _ in left)
    wanted = portion(base, coupon.value, 100) if coupon.method == "percent" else coupon.value
    return share(min(wanted, base), eligible)
