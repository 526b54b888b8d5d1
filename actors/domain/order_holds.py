"""What an order has at others, and the messages to all of them: sell it, give it back, take it back.

One message for each reservation and each claim. Its id is made of what is asked and of the hold, so
that it has its effect once however often it is carried.
"""

from collections.abc import Callable
from typing import Any

from actors.domain.entity import Send
from actors.domain.order_state import Order
from schemas.ids import derived_id
from schemas.member import CommitPoints, Earn, ReinstatePoints, ReleasePoints, ReturnFreeShipping, TakeBack
from schemas.order import PricedLine
from schemas.quota import GiveBack, Redeem, Reinstate
from schemas.stock import Release, Restock, Sell


def sell(user_id: str, order: Order) -> tuple[Send, ...]:
    """The order is paid: its units leave, its coupons and points are spent, and its buyer's membership earns by it.

    Where nothing was paid it earns nothing, and is asked all the same: its answer says how early the order is packed.
    """
    sends = _to_each(
        order, "sell", "sell", lambda _, reservation_id: Sell(reservation_id=reservation_id), lambda claim_id: Redeem(claim_id=claim_id)
    )
    points = order.points
    if points is not None:
        sends = (*sends, _to_member(user_id, order, "sell", "m0", CommitPoints(hold_id=points.hold_id)))
    earn = Earn(order_id=order.order_id, amount=order.total, currency=order.currency)
    return (*sends, _to_member(user_id, order, "earn", "m0", earn))


def give_back(user_id: str, order: Order) -> tuple[Send, ...]:
    """The order will not be. What arrives before its reservation leaves a tombstone."""
    sends = _to_each(
        order,
        "undo",
        "release",
        lambda _, reservation_id: Release(reservation_id=reservation_id),
        lambda claim_id: GiveBack(claim_id=claim_id),
    )
    points = order.points
    if points is not None:
        sends = (*sends, _to_member(user_id, order, "undo", "m0", ReleasePoints(hold_id=points.hold_id)))
    return (*sends, *_return_shipping(user_id, order))


def _return_shipping(user_id: str, order: Order) -> tuple[Send, ...]:
    """The parcel will not go: the free delivery that it took may be used again."""
    if not order.shipping_use:
        return ()
    return (_to_member(user_id, order, "undo", "m0", ReturnFreeShipping(use_id=order.shipping_use)),)


def take_back(user_id: str, order: Order, lost_line: int, refund_id: str) -> tuple[Send, ...]:
    """A paid order that cannot be delivered: whatever has become of the others, sold or still held, may be had again.

    What it earned goes with its money; the points that it took come back.
    """
    lost = f"undo:{order.order_id}:r{lost_line}"
    sends = _to_each(
        order,
        "undo",
        "restock",
        lambda line, reservation_id: Restock(reservation_id=reservation_id, quantity=line.quantity),
        lambda claim_id: Reinstate(claim_id=claim_id, user_id=user_id),
    )
    sends = tuple(send for send in sends if send.step != lost)
    points = order.points
    if points is not None:
        back = ReinstatePoints(hold_id=points.hold_id, points=points.points, gifts=points.gifts)
        sends = (*sends, _to_member(user_id, order, "undo", "m0", back))
    if order.total:
        taken = TakeBack(refund_id=refund_id, order_id=order.order_id, amount=order.total)
        sends = (*sends, _to_member(user_id, order, "unearn", "m0", taken))
    return (*sends, *_return_shipping(user_id, order))


def _to_member(user_id: str, order: Order, step: str, part: str, command: Any) -> Send:
    """To the buyer's membership. The id says what is asked: an order earns once, and is undone once."""
    return Send(
        id=derived_id("member", step, order.order_id, type(command).__name__),
        step=f"{step}:{order.order_id}:{part}",
        kind="member",
        key=user_id,
        command=command,
    )


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
