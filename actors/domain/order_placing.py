"""Placing an order: the guards, the price, and the agreement of stock and quota.

Guards, in this order: abandoned, too many open orders, lines, address, sale, ticket, price, expected
total, purchase limit. Then every line is reserved and every coupon claimed, or nothing is.
"""

from typing import Any, Final

import msgspec

from actors.domain.address import flaw
from actors.domain.dates import day_of, month_of
from actors.domain.entity import Accepted, Answered, Ask, Context, Outcome, Plan, Refused, Send
from actors.domain.member_state import POINTS_MAX, level_of, rules_of
from actors.domain.order_holds import give_back
from actors.domain.order_state import OPEN_ORDERS_MAX, STARTING, Order, OrderBook, find, order_view
from actors.domain.pricing import ANYBODY, Buyer, Quote, QuotedLine, delivered, quote
from schemas.ids import derived_id
from schemas.member import HoldPoints
from schemas.membership import MemberRules
from schemas.money import Money
from schemas.offer import CouponTerms, Offer, SaleTerms
from schemas.order import (
    CouponClaim,
    OrderConfirmed,
    OrderPlaced,
    OrderRefused,
    OrderStarted,
    OrderStepMoved,
    OrderStepTaken,
    OrderView,
    PlaceOrder,
    PointsUse,
    PricedLine,
    Source,
    Wish,
)
from schemas.quota import Claim
from schemas.stock import HoldTaken, Reserve

LINES_MAX: Final = 100
LINE_QUANTITY_MAX: Final = 999
SEALED_ADDRESS_MAX: Final = 8192
"""Bytes of an address that is sealed: nine fields of 200 characters and what seals them."""

OPEN_SALE_STATES: Final = ("open", "drawn")


def needs(command: PlaceOrder) -> tuple[str, ...]:
    """The reference facts that :func:`place` reads."""
    names = ["sku:" + line.sku_id for line in command.lines]
    names.extend("coupon:" + coupon_id for coupon_id in command.coupon_ids)
    if command.sale_id:
        names.append("sale:" + command.sale_id)
    if command.member_level is not None or command.points:
        names.append("member:rules")
        names.extend("member_price:" + line.sku_id for line in command.lines)
    if not command.sale_id:
        names.extend("prices:" + line.sku_id for line in command.lines)
        names.append("shop:shipping")
    return tuple(names)


def place(state: OrderBook, command: PlaceOrder, context: Context) -> Outcome:
    """Refused by the first guard that fails, else the plan of what others must agree to."""
    refused = _guard_book(state, command, context)
    if refused is not None:
        return refused
    if not command.sale_id or command.ship_to is not None:
        refused = _guard_address(command)
        if refused is not None:
            return refused
    sale = _sale(state, command, context)
    if isinstance(sale, Refused):
        return sale
    level_id, points, currency = command.member_level, command.points, command.currency
    buyer = ANYBODY if level_id is None and not points and not currency else Buyer(level_id=level_id, points=points, currency=currency)
    priced = quote(command.lines, command.coupon_ids, sale, context.facts, context.at_ms, buyer)
    if isinstance(priced, Refused):
        return priced
    if sale is None:
        free = command.free_shipping and level_id is not None and isinstance(context.facts.get("member:rules"), MemberRules)
        priced = delivered(priced, context.facts.get("shop:shipping"), free=free)
    expected = command.expected_total
    if expected is not None and (expected.amount != priced.total or expected.currency != priced.currency):
        total = {"amount": priced.total, "currency": priced.currency}
        return Refused(code="total_changed", params={"total": total})
    refused = _guard_limit(state, command, sale)
    limit = 0 if sale is None else sale.limit_per_user
    return _plan(state, command, context, priced, limit) if refused is None else refused


def _guard_book(state: OrderBook, command: PlaceOrder, context: Context) -> Refused | None:
    if state.abandoned and _is_abandoned(state, command, context):
        return Refused(code="order_abandoned")
    known = find(state, command.order_id)
    if known is not None:
        return Refused(code="order_state", params={"state": known.status})
    if len(state.open) >= OPEN_ORDERS_MAX:
        return Refused(code="too_many_open_orders", params={"limit": OPEN_ORDERS_MAX})
    if not command.lines:
        return Refused(code="cart_empty")
    if len(command.lines) > LINES_MAX:
        return Refused(code="cart_full", params={"limit": LINES_MAX})
    if any(not 0 < line.quantity <= LINE_QUANTITY_MAX for line in command.lines):
        return Refused(code="quantity_invalid", params={"limit": LINE_QUANTITY_MAX})
    if len(command.lines) > 1 and len({line.sku_id for line in command.lines}) < len(command.lines):
        return Refused(code="invalid_request", params={"reason": "the same article stands on two lines"})
    if len(set(command.coupon_ids)) < len(command.coupon_ids):
        return Refused(code="invalid_request", params={"reason": "the same coupon stands twice"})
    if not 0 <= command.points <= POINTS_MAX:
        return Refused(code="invalid_request", params={"reason": "points are out of range"})
    return None


def _guard_address(command: PlaceOrder) -> Refused | None:
    """An order from a cart needs an address. One of a flash sale goes without; if it names one, that is checked as well.

    One that is sealed was checked at the edge: here nobody can read it.
    """
    if command.sealed_ship_to:
        wrong = command.ship_to is not None or len(command.sealed_ship_to) > SEALED_ADDRESS_MAX
        return Refused(code="address_invalid", params={"reason": "ship_to"}) if wrong else None
    reason = "ship_to" if command.ship_to is None else flaw(command.ship_to)
    return Refused(code="address_invalid", params={"reason": reason}) if reason else None


def _is_abandoned(state: OrderBook, command: PlaceOrder, context: Context) -> bool:
    """True when a hold or claim of this command was said to be nobody's: it may be gone by now."""
    names = (*(f"r{i}" for i in range(len(command.lines))), *(f"c{i}" for i in range(len(command.coupon_ids))), "m0")
    return any(derived_id(context.command_id, name) in state.abandoned for name in names)


def _sale(state: OrderBook, command: PlaceOrder, context: Context) -> SaleTerms | Refused | None:
    if not command.sale_id:
        return _guard_cart(state, command)
    sale = context.facts.get("sale:" + command.sale_id)
    if not isinstance(sale, SaleTerms):
        return Refused(code="sale_unknown")
    if sale.state == "ended" or context.at_ms >= sale.ends_at_ms:
        return Refused(code="sale_ended")
    if context.at_ms < sale.opens_at_ms or sale.state in ("closed", "entering"):
        return Refused(code="sale_not_open")
    if not sale.ticket_required and not command.ticket_nonce:
        return sale
    if not command.ticket_nonce:
        return Refused(code="ticket_missing")
    if command.ticket_nonce in state.tickets:
        return Refused(code="ticket_used")
    if context.at_ms >= command.ticket_expires_ms:
        return Refused(code="ticket_expired")
    return sale


def _guard_cart(state: OrderBook, command: PlaceOrder) -> Refused | None:
    """A version of a cart becomes one order, however many windows ask; the refusal names it."""
    nonce = command.ticket_nonce
    if not nonce or nonce not in state.tickets:
        return None
    orders = (*state.open.values(), *state.closed.values())
    first = next((order.order_id for order in orders if order.ticket_nonce == nonce and order.status != "refused"), "")
    return Refused(code="cart_changed", params={"order_id": first})


def _guard_limit(state: OrderBook, command: PlaceOrder, sale: SaleTerms | None) -> Refused | None:
    if sale is None or not sale.limit_per_user:
        return None
    for line in command.lines:
        if state.bought.get(f"{sale.sale_id}:{line.sku_id}", 0) + line.quantity > sale.limit_per_user:
            return Refused(code="purchase_limit", params={"limit": sale.limit_per_user})
    return None


def stock_keys(user_id: str, sku_id: str, parts: int) -> tuple[str, ...]:
    """The parts of a SKU in the order in which this buyer asks them: spread over the parts, the same at every try."""
    if parts <= 1:
        return (sku_id + "#0",)
    first = int.from_bytes(derived_id(user_id, sku_id)[:4], "big") % parts
    return tuple(f"{sku_id}#{(first + i) % parts}" for i in range(parts))


def _plan(state: OrderBook, command: PlaceOrder, context: Context, priced: Quote, limit: int) -> Plan:
    facts: dict[str, Any] = context.facts
    user_id = state.user_id
    expires_at_ms = context.at_ms + command.hold_ms
    keys: list[tuple[str, ...]] = []
    for line in command.lines:
        offer = facts["sku:" + line.sku_id]
        assert isinstance(offer, Offer)
        keys.append(stock_keys(user_id, line.sku_id, offer.parts))
    reservation_ids = tuple(derived_id(context.command_id, f"r{i}") for i in range(len(keys)))
    claims = tuple(
        CouponClaim(coupon_id=coupon_id, claim_id=derived_id(context.command_id, f"c{i}"), discount=discount)
        for i, (coupon_id, discount) in enumerate(zip(command.coupon_ids, priced.coupon_discounts, strict=True))
    )
    points = _points_use(command, priced, context) if command.coupon_ids or priced.points else None
    asks = _asks(user_id, command, context, priced, keys, reservation_ids, claims, points)

    def placed(chosen: tuple[str, ...], sources: tuple[Source, ...] = ()) -> OrderPlaced:
        return OrderPlaced(
            order_id=command.order_id,
            lines=tuple(_sold(line, key) for line, key in zip(priced.lines, chosen, strict=False)),
            total=priced.total,
            currency=priced.currency,
            reservation_ids=reservation_ids,
            placed_at_ms=context.at_ms,
            expires_at_ms=expires_at_ms,
            price_version=priced.version,
            sale_id=command.sale_id,
            ticket_nonce=command.ticket_nonce,
            ticket_expires_ms=command.ticket_expires_ms,
            coupons=claims,
            ship_to=command.ship_to,
            points=points,
            member_level=command.member_level,
            rules_version=priced.rules_version,
            sealed_ship_to=command.sealed_ship_to,
            limit=limit,
            shipping=priced.shipping,
            shipping_saved=priced.shipping_saved,
            shipping_use=_shipping_use(priced, context),
            sources=sources,
            considered=command.considered,
        )

    def direct(chosen: tuple[str, ...], replies: tuple[Any, ...]) -> Accepted:
        event = placed(chosen, sources_of(replies[: len(keys)]))
        return Accepted(events=(event,), reply=_placed_view(event))

    def refuse_for(index: int, refusal: Refused) -> Refused:
        return _named(refusal, command, index)

    def staged() -> Accepted:
        draft = placed(tuple(options[0] for options in keys))
        started = OrderStarted(
            command_id=context.command_id, draft=draft, stock_keys=tuple(options[1:] for options in keys), wishes=command.wishes
        )
        sends = [_place_send(draft.order_id, f"r{i}", ask.kind, ask.keys[0], ask.command) for i, ask in enumerate(asks[: len(keys)])]
        others = (*(f"c{i}" for i in range(len(claims))), "m0")
        sends.extend(
            _place_send(draft.order_id, step, ask.kind, ask.keys[0], ask.command)
            for step, ask in zip(others, asks[len(keys) :], strict=False)
        )
        return Accepted(events=(started,), sends=tuple(sends))

    return Plan(asks=tuple(asks), direct=direct, refuse=refuse_for, staged=staged)


def _sold(line: QuotedLine, stock_key: str) -> PricedLine:
    return PricedLine(
        sku_id=line.sku_id,
        quantity=line.quantity,
        unit_price=line.unit_price,
        stock_key=stock_key,
        discount=line.discount,
        price_kind=line.price_kind,
        list_price=line.list_price,
    )


def _asks(
    user_id: str,
    command: PlaceOrder,
    context: Context,
    priced: Quote,
    keys: list[tuple[str, ...]],
    reservation_ids: tuple[bytes, ...],
    claims: tuple[CouponClaim, ...],
    points: PointsUse | None,
) -> list[Ask]:
    """Everybody who must agree: the stock of each line, the quota of each coupon, the buyer's membership."""
    expires_at_ms = context.at_ms + command.hold_ms
    asks = [
        Ask(
            kind="stock",
            keys=options,
            command=_reserve(reservation_id, command.order_id, user_id, line.quantity, expires_at_ms, wish_of(command.wishes, i)),
        )
        for i, (options, reservation_id, line) in enumerate(zip(keys, reservation_ids, command.lines, strict=True))
    ]
    asks.extend(
        Ask(kind="quota", keys=(claim.coupon_id,), command=_claim(claim, command.order_id, user_id, expires_at_ms)) for claim in claims
    )
    if points is not None or command.member_level is not None:
        asks.append(Ask(kind="member", keys=(user_id,), command=_hold_points(command, priced, points, context, expires_at_ms)))
    return asks


def _named(refusal: Refused, command: PlaceOrder, index: int) -> Refused:
    """A refusal by one of many says whose it is; the membership is the last that is asked, and has one name only."""
    lines = len(command.lines)
    if index >= lines + len(command.coupon_ids):
        return refusal
    name = {"sku_id": command.lines[index].sku_id} if index < lines else {"coupon_id": command.coupon_ids[index - lines]}
    return Refused(code=refusal.code, params={**refusal.params, **name})


def _points_use(command: PlaceOrder, priced: Quote, context: Context) -> PointsUse | None:
    """What the buyer's membership has to keep: the points that are taken, and his personal coupons."""
    terms = [context.facts.get("coupon:" + coupon_id) for coupon_id in command.coupon_ids]
    gifts = tuple(coupon.coupon_id for coupon in terms if isinstance(coupon, CouponTerms) and coupon.personal)
    if not priced.points and not gifts:
        return None
    hold_id = derived_id(context.command_id, "m0")
    return PointsUse(hold_id=hold_id, points=priced.points, discount=priced.points_discount, gifts=gifts)


def _shipping_use(priced: Quote, context: Context) -> bytes:
    """The id of the free parcel that the order takes; none where delivery costs nothing anyway."""
    return derived_id(context.command_id, "f0") if priced.shipping_saved else b""


def _hold_points(command: PlaceOrder, priced: Quote, use: PointsUse | None, context: Context, deadline_ms: int) -> HoldPoints:
    shipping_use = _shipping_use(priced, context)
    rules = rules_of(context) if shipping_use else None
    return HoldPoints(
        hold_id=use.hold_id if use else derived_id(context.command_id, "m0"),
        order_id=command.order_id,
        deadline_ms=deadline_ms,
        points=use.points if use else 0,
        gifts=use.gifts if use else (),
        level_id=command.member_level,
        shipping_use=shipping_use,
        shipping_month=month_of(day_of(context.at_ms, rules.terms.utc_offset_min)) if rules is not None else 0,
        shipping_limit=level_of(rules, command.member_level or "").free_shipping if rules is not None else 0,
    )


def _reserve(reservation_id: bytes, order_id: str, user_id: str, quantity: int, deadline_ms: int, wish: Wish | None) -> Reserve:
    if wish is None:
        return Reserve(reservation_id=reservation_id, order_id=order_id, user_id=user_id, quantity=quantity, deadline_ms=deadline_ms)
    return Reserve(
        reservation_id=reservation_id,
        order_id=order_id,
        user_id=user_id,
        quantity=quantity,
        deadline_ms=deadline_ms,
        prefer=wish.prefer,
        together=wish.together,
    )


def wish_of(wishes: tuple[Wish, ...], line: int) -> Wish | None:
    """What is wished for a line; None: whatever the stock likes."""
    return wishes[line] if line < len(wishes) else None


def sources_of(replies: tuple[Any, ...], first: int = 0) -> tuple[Source, ...]:
    """Where the stock of each line (from ``first`` on) took its units from; nothing where all are in the unnamed warehouse."""
    if not any(reply.lots for reply in replies):
        return ()
    units: dict[tuple[int, str], int] = {}
    for line, reply in enumerate(replies, start=first):
        for lot in reply.lots:
            units[(line, lot.warehouse_id)] = units.get((line, lot.warehouse_id), 0) + lot.quantity
    return tuple(Source(line=line, warehouse_id=warehouse_id, quantity=count) for (line, warehouse_id), count in units.items())


def _claim(claim: CouponClaim, order_id: str, user_id: str, deadline_ms: int) -> Claim:
    return Claim(claim_id=claim.claim_id, user_id=user_id, order_id=order_id, quantity=1, deadline_ms=deadline_ms)


def _place_send(order_id: str, step: str, kind: str, key: str, command: Any) -> Send:
    return Send(id=derived_id("place", order_id, step, key), step=f"place:{order_id}:{step}", kind=kind, key=key, command=command)


def _placed_view(event: OrderPlaced) -> OrderView:
    return OrderView(
        order_id=event.order_id,
        status="pending_payment",
        total=Money(amount=event.total, currency=event.currency),
        expires_at_ms=event.expires_at_ms,
        placed_at_ms=event.placed_at_ms,
        sale_id=event.sale_id,
        lines=event.lines,
        coupons=tuple(claim.coupon_id for claim in event.coupons),
        points=event.points.points if event.points else 0,
        points_discount=event.points.discount if event.points else 0,
        shipping=event.shipping,
        shipping_saved=event.shipping_saved,
        sources=event.sources,
        reservation_ids=event.reservation_ids,
    )


def answered(state: OrderBook, command: Answered, context: Context) -> Outcome:
    """One owner answered a started order."""
    _, order_id, step = command.step.split(":", 2)
    order = state.open.get(order_id)
    if order is None or order.status != STARTING or step not in order.steps:
        return Accepted()
    if command.refused is None:
        return _step_taken(order, step, command.reply)
    index = int(step[1:])
    if step[0] == "r" and order.alternatives[index]:
        return _next_part(state, order, index)
    name = {}
    if step[0] != "m":
        name = {"sku_id": order.lines[index].sku_id} if step[0] == "r" else {"coupon_id": order.coupons[index].coupon_id}
    return refuse(state, order, Refused(code=command.refused.code, params={**command.refused.params, **name}), context)


def _step_taken(order: Order, step: str, reply: Any) -> Outcome:
    sources = () if order.steps[step] or not isinstance(reply, HoldTaken) else sources_of((reply,), int(step[1:]))
    if any(not taken for name, taken in order.steps.items() if name != step):
        return Accepted(events=(OrderStepTaken(order_id=order.order_id, step=step, sources=sources),))
    reply = msgspec.structs.replace(order_view(order), status="pending_payment", sources=(*order.sources, *sources))
    return Accepted(events=(OrderConfirmed(order_id=order.order_id, sources=sources),), completes=((order.command_id, reply),))


def _next_part(state: OrderBook, order: Order, index: int) -> Outcome:
    key, line = order.alternatives[index][0], order.lines[index]
    ask = _reserve(
        order.reservation_ids[index], order.order_id, state.user_id, line.quantity, order.expires_at_ms, wish_of(order.wishes, index)
    )
    send = _place_send(order.order_id, f"r{index}", "stock", key, ask)
    moved = OrderStepMoved(order_id=order.order_id, line=index, stock_key=key)
    return Accepted(events=(moved,), sends=(send,))


def refuse(state: OrderBook, order: Order, refusal: Refused, context: Context) -> Accepted:
    """The started order will not be: whatever was or may yet be taken is given back."""
    event = OrderRefused(order_id=order.order_id, code=refusal.code, params=refusal.params, at_ms=context.at_ms)
    return Accepted(events=(event,), sends=give_back(state.user_id, order), completes=((order.command_id, refusal),))
