"""What an order costs, and why. Pure, in one fixed order:

1. unit price: the sale's price for the SKU in a flash sale, else the offer's price;
2. line total: unit price times quantity;
3. coupons, in the order given, each on what its lines still cost, spread over them by largest
   remainder, never below zero;
4. total: the sum of line totals less discounts.

Rounding happens once a coupon (``schemas.money.portion``), half away from zero.
"""

from typing import Any

import msgspec

from actors.domain.entity import Refused
from schemas.money import MINOR_UNITS_MAX, portion, share
from schemas.offer import CouponTerms, Offer, SaleTerms
from schemas.order import Line


class QuotedLine(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """One priced line; ``discount`` is this line's part of all coupons."""

    sku_id: str
    quantity: int
    unit_price: int
    discount: int


class Quote(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """The price of an order. ``version`` is the newest version among the facts it was made from."""

    lines: tuple[QuotedLine, ...]
    coupon_discounts: tuple[int, ...]
    total: int
    currency: str
    version: int


def quote(
    lines: tuple[Line, ...], coupon_ids: tuple[str, ...], sale: SaleTerms | None, facts: dict[str, Any], at_ms: int
) -> Quote | Refused:
    """The price of ``lines`` now, or the first reason why there is none."""
    offers = _offers(lines, facts)
    if isinstance(offers, Refused):
        return offers
    unit_prices = _unit_prices(offers, sale)
    if isinstance(unit_prices, Refused):
        return unit_prices
    currency = sale.currency if sale else offers[0].currency
    if any(offer.currency != currency for offer in offers):
        return Refused(code="currency_mixed")
    gross = [price * line.quantity for price, line in zip(unit_prices, lines, strict=True)]
    if sum(gross) > MINOR_UNITS_MAX:
        return Refused(code="quantity_invalid", params={"limit": MINOR_UNITS_MAX})
    version = max(offer.version for offer in offers)
    if not coupon_ids:
        quoted = tuple(
            QuotedLine(sku_id=line.sku_id, quantity=line.quantity, unit_price=price, discount=0)
            for line, price in zip(lines, unit_prices, strict=True)
        )
        return Quote(lines=quoted, coupon_discounts=(), total=sum(gross), currency=currency, version=version)
    return _with_coupons(lines, offers, unit_prices, gross, coupon_ids, currency, facts, at_ms, version)


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


def _unit_prices(offers: list[Offer], sale: SaleTerms | None) -> list[int] | Refused:
    if sale is None:
        return [offer.price for offer in offers]
    prices = []
    for offer in offers:
        if offer.sku_id not in sale.prices:
            return Refused(code="sku_not_on_sale", params={"sku_id": offer.sku_id})
        prices.append(sale.prices[offer.sku_id])
    return prices


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
    quoted = tuple(
        QuotedLine(sku_id=line.sku_id, quantity=line.quantity, unit_price=price, discount=full - rest)
        for line, price, full, rest in zip(lines, unit_prices, gross, left, strict=True)
    )
    return Quote(lines=quoted, coupon_discounts=tuple(taken), total=sum(left), currency=currency, version=version)


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
