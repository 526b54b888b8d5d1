"""What an order has at others, and the messages to all of them: sell it, give it back, take it back.

One message for each reservation and each claim. Its id is made of what is asked and of the hold, so
that it has its effect once however often it is carried.
"""

from collections.abc import Callable
from typing import Any

from actors.domain.entity import Send
from actors.domain.order_state import Order
from schemas.ids import derived_id
from schemas.order import PricedLine
from schemas.quota import GiveBack, Redeem, Reinstate
from schemas.stock import Release, Restock, Sell


def sell(order: Order) -> tuple[Send, ...]:
    """The order is paid: its units leave, its coupons are spent."""
    return _to_each(
        order, "sell", "sell", lambda _, reservation_id: Sell(reservation_id=reservation_id), lambda claim_id: Redeem(claim_id=claim_id)
    )


def give_back(order: Order) -> tuple[Send, ...]:
    """The order will not be. What arrives before its reservation leaves a tombstone."""
    return _to_each(
        order,
        "undo",
        "release",
        lambda _, reservation_id: Release(reservation_id=reservation_id),
        lambda claim_id: GiveBack(claim_id=claim_id),
    )


def take_back(user_id: str, order: Order, lost_line: int) -> tuple[Send, ...]:
    """A paid order that cannot be delivered: whatever has become of the others, sold or still held, may be had again."""
    lost = f"undo:{order.order_id}:r{lost_line}"
    sends = _to_each(
        order,
        "undo",
        "restock",
        lambda line, reservation_id: Restock(reservation_id=reservation_id, quantity=line.quantity),
        lambda claim_id: Reinstate(claim_id=claim_id, user_id=user_id),
    )
    return tuple(send for send in sends if send.step != lost)


def _to_each(
    order: Order, step: str, what: str, of_line: Callable[[PricedLine, bytes], Any], of_coupon: Callable[[bytes], Any]
) -> tuple[Send, ...]:
    lines = zip(order.lines, order.reservation_ids, strict=True)
    sends = [
        Send(
            id=derived_id(what, reservation_id, line.stock_key),
            step=f"{step}:{order.order_id}:r{i}",
            kind="stock",
            key=line.stock_key,
            command=of_line(line, reservation_id),
        )
        for i, (line, reservation_id) in enumerate(lines)
    ]
    sends.extend(
        Send(
            id=derived_id(what, claim.claim_id),
            step=f"{step}:{order.order_id}:c{i}",
            kind="quota",
            key=claim.coupon_id,
            command=of_coupon(claim.claim_id),
        )
        for i, claim in enumerate(order.coupons)
    )
    return tuple(sends)
