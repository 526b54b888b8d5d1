"""Projections say what the journal says: each kind of event, in one step and in many."""

import json
from typing import Any

import pytest

from actors.storage.projections.follower import Follower
from schemas.admission import SaleConfigured, SaleMoved
from schemas.order import (
    CouponClaim,
    OrderCancelled,
    OrderClosing,
    OrderConfirmed,
    OrderPaid,
    OrderPlaced,
    OrderRanked,
    OrderRefused,
    OrderStarted,
    OrderStepMoved,
    OrderUnfulfillable,
    PaymentEnded,
    PaymentOpened,
    PaymentQuestioned,
    PaymentSettled,
    PaymentStarted,
    PointsUse,
    PricedLine,
    RefundDone,
    RefundFailed,
    RefundStarted,
)
from schemas.quota import QuotaClaimed, QuotaConfigured, QuotaGivenBack, QuotaRedeemed
from schemas.sessions import REVOKED_KEPT_MS, SessionsEnded, SessionStarted
from schemas.stock import (
    StockArrived,
    StockHeld,
    StockPutIn,
    StockReceived,
    StockReleased,
    StockRestocked,
    StockSent,
    StockSold,
    StockWrittenOff,
)

ORDER, USER, PAYMENT = "ord_1", "usr_1", "pay_1"


def placed(order_id: str = ORDER, **more: Any) -> OrderPlaced:
    lines = tuple(PricedLine(sku_id=f"sku_{i}", quantity=1, unit_price=500, stock_key=f"sku_{i}#0") for i in range(2))
    return OrderPlaced(
        order_id=order_id,
        lines=lines,
        total=1000,
        currency="CNY",
        reservation_ids=(b"r0", b"r1"),
        placed_at_ms=10,
        expires_at_ms=20,
        price_version=1,
        **more,
    )


def started() -> PaymentStarted:
    return PaymentStarted(order_id=ORDER, payment_id=PAYMENT, amount=1000, currency="CNY", command_id=b"c", at_ms=11)


def opened() -> PaymentOpened:
    return PaymentOpened(order_id=ORDER, payment_id=PAYMENT, provider_id="pi_1", client_secret="s", poll_ms=0)


def settled() -> PaymentSettled:
    return PaymentSettled(order_id=ORDER, payment_id=PAYMENT, provider_id="pi_1", amount=1000, currency="CNY", at_ms=12)


def refund_started(reason: str) -> RefundStarted:
    return RefundStarted(order_id=ORDER, payment_id=PAYMENT, refund_id="ref_1", amount=1000, currency="CNY", reason=reason, at_ms=13)


def refund_done() -> RefundDone:
    return RefundDone(order_id=ORDER, payment_id=PAYMENT, refund_id="ref_1", at_ms=14)


PAID = ([placed()], [started()], [opened()], [settled(), OrderPaid(order_id=ORDER, payment_id=PAYMENT, at_ms=12)])
LIVES: dict[str, tuple[tuple[list[Any], ...], tuple[str, str], tuple[str, str] | None]] = {
    # turns of the order book; the order's status and reason; the payment's status and refund
    "placed": (([placed()],), ("pending_payment", ""), None),
    "started": (([OrderStarted(command_id=b"c", draft=placed(), stock_keys=((), ()))],), ("placing", ""), None),
    "confirmed": (
        ([OrderStarted(command_id=b"c", draft=placed(), stock_keys=((), ()))], [OrderConfirmed(order_id=ORDER)]),
        ("pending_payment", ""),
        None,
    ),
    "refused": (
        (
            [OrderStarted(command_id=b"c", draft=placed(), stock_keys=((), ()))],
            [OrderRefused(order_id=ORDER, code="sold_out", params={}, at_ms=12)],
        ),
        ("refused", "sold_out"),
        None,
    ),
    "cancelled": (([placed()], [OrderCancelled(order_id=ORDER, reason="buyer", at_ms=12)]), ("cancelled", "buyer"), None),
    "closing": (
        ([placed()], [started()], [opened()], [OrderClosing(order_id=ORDER, reason="expired", at_ms=12)]),
        ("closing", "expired"),
        ("open", ""),
    ),
    "closed": (
        (
            [placed()],
            [started()],
            [OrderClosing(order_id=ORDER, reason="expired", at_ms=12)],
            [
                PaymentEnded(order_id=ORDER, payment_id=PAYMENT, status="closed", at_ms=13),
                OrderCancelled(order_id=ORDER, reason="expired", at_ms=13),
            ],
        ),
        ("cancelled", "expired"),
        ("closed", ""),
    ),
    "paid": (PAID, ("paid", ""), ("paid", "")),
    "unfulfillable": (
        (*PAID, [OrderUnfulfillable(order_id=ORDER, code="hold_released", at_ms=13), refund_started("unfulfillable")]),
        ("unfulfillable", "hold_released"),
        ("refunding", "ref_1"),
    ),
    "refunded": (
        (
            *PAID,
            [OrderUnfulfillable(order_id=ORDER, code="hold_released", at_ms=13), refund_started("unfulfillable")],
            [refund_done()],
        ),
        ("refunded", "hold_released"),
        ("refunded", "ref_1"),
    ),
    "refund failed": (
        (
            *PAID,
            [OrderUnfulfillable(order_id=ORDER, code="hold_released", at_ms=13), refund_started("unfulfillable")],
            [RefundFailed(order_id=ORDER, payment_id=PAYMENT, refund_id="ref_1", at_ms=14)],
        ),
        ("unfulfillable", "hold_released"),
        ("refund_failed", "ref_1"),
    ),
    "paid late": (
        (
            [placed()],
            [started()],
            [OrderCancelled(order_id=ORDER, reason="expired", at_ms=12)],
            [settled(), refund_started("late")],
            [refund_done()],
        ),
        ("cancelled", "expired"),
        ("refunded", "ref_1"),
    ),
    "questioned": (
        ([placed()], [started()], [PaymentQuestioned(order_id=ORDER, payment_id=PAYMENT, amount=7, currency="CNY", at_ms=12)]),
        ("pending_payment", ""),
        ("questioned", ""),
    ),
}


@pytest.mark.parametrize("at_once", [True, False], ids=["in one step", "step by step"])
@pytest.mark.parametrize("life", LIVES)
async def test_an_order_and_its_payment_have_the_status_of_their_events(
    life: str, at_once: bool, writer: Any, follower: Follower, connection: Any
) -> None:
    turns, order, payment = LIVES[life]
    for turn in turns:
        await writer.write("order", USER, *turn)
        if not at_once:
            assert await follower.step() == 1
    assert await follower.step() == (len(turns) if at_once else 0)

    row = await connection.fetchrow("SELECT user_id, status, reason, total_amount, currency, updated_seq FROM orders")
    assert tuple(row)[:5] == (USER, *order, 1000, "CNY")
    book = writer.states["order", USER]
    found = book.open.get(ORDER) or book.closed[ORDER]
    assert order == (found.status, found.reason)
    rows = await connection.fetch("SELECT status, refund_id FROM payment")
    assert [tuple(item) for item in rows] == ([] if payment is None else [payment])
    assert {item.status for item in found.payments.values()} == ({payment[0]} if payment else set())
    assert await connection.fetch("SELECT posting FROM ledger_entry GROUP BY posting, currency HAVING sum(amount) <> 0") == []


@pytest.mark.parametrize("at_once", [True, False], ids=["in one step", "step by step"])
async def test_lines_that_moved_to_other_parts_of_a_sku_are_kept_where_they_are_held(
    at_once: bool, writer: Any, follower: Follower, connection: Any
) -> None:
    keys = (("sku_0#1", "sku_0#2"), ("sku_1#1",))
    await writer.write("order", USER, OrderStarted(command_id=b"c", draft=placed(), stock_keys=keys))
    if not at_once:
        await follower.step()
    for line, key in ((0, "sku_0#1"), (1, "sku_1#1"), (0, "sku_0#2")):
        await writer.write("order", USER, OrderStepMoved(order_id=ORDER, line=line, stock_key=key))
    await follower.step()

    lines = json.loads(await connection.fetchval("SELECT lines FROM orders"))
    assert [line["stock_key"] for line in lines] == ["sku_0#2", "sku_1#1"]
    assert [line["sku_id"] for line in lines] == ["sku_0", "sku_1"]


async def test_an_order_carries_its_sale_its_coupons_and_where_it_was_written(writer: Any, follower: Follower, connection: Any) -> None:
    claim = CouponClaim(coupon_id="cpn_1", claim_id=b"c0", discount=100)
    row = await writer.write("order", USER, placed(sale_id="sal_1", coupons=(claim,)))
    await follower.step()
    found = await connection.fetchrow("SELECT sale_id, shard, updated_seq, placed_at_ms, expires_at_ms, coupons FROM orders")
    assert tuple(found)[:5] == ("sal_1", row.shard, row.seq, 10, 20)
    assert json.loads(found["coupons"])[0]["coupon_id"] == "cpn_1"


async def test_the_ledger_follows_the_money_from_the_provider_to_the_merchant_and_back(
    writer: Any, follower: Follower, connection: Any
) -> None:
    for turn in LIVES["refunded"][0]:
        await writer.write("order", USER, *turn)
    await follower.step()
    rows = await connection.fetch("SELECT posting, account, amount FROM ledger_entry ORDER BY posting, account")
    assert [tuple(row) for row in rows] == [
        ("order:ord_1", "customer.deposits", 1000),
        ("order:ord_1", "merchant.payable", -1000),
        ("payment:pay_1", "customer.deposits", -1000),
        ("payment:pay_1", "provider.receivable", 1000),
        ("refund:ref_1", "merchant.payable", 1000),
        ("refund:ref_1", "refunds.payable", -1000),
        ("refunded:ref_1", "provider.receivable", -1000),
        ("refunded:ref_1", "refunds.payable", 1000),
    ]


@pytest.mark.parametrize("at_once", [True, False], ids=["in one step", "step by step"])
async def test_a_stock_level_is_the_sum_of_its_events(at_once: bool, writer: Any, follower: Follower, connection: Any) -> None:
    def held(number: int, quantity: int) -> StockHeld:
        return StockHeld(reservation_id=bytes([number]), order_id="ord_1", user_id=USER, quantity=quantity, deadline_ms=9)

    for event in (
        StockPutIn(quantity=100),
        StockWrittenOff(quantity=3),
        held(1, 10),
        held(2, 5),
        held(3, 2),
        StockSold(reservation_id=b"\1", quantity=10, at_ms=1),
        StockReleased(reservation_id=b"\2", quantity=5, at_ms=1),
        StockReleased(reservation_id=b"\7", quantity=0, at_ms=1),
        StockRestocked(reservation_id=b"\1", quantity=4, at_ms=1),
        StockSent(transfer_id=b"t", to_key="sku_1#1", quantity=20),
        StockSent(transfer_id=b"u", to_key="sku_1#1", quantity=7),
        StockArrived(transfer_id=b"t", quantity=20),
        StockReceived(transfer_id=b"v", from_key="sku_1#1", quantity=1),
    ):
        await writer.write("stock", "sku_1#0", event)
        if not at_once:
            await follower.step()
    await follower.step()

    state = writer.states["stock", "sku_1#0"]
    names = ("put_in", "received", "available", "held", "sold", "written_off", "sent", "in_transit")
    row = await connection.fetchrow(f"SELECT {', '.join(names)} FROM stock_level WHERE key = 'sku_1#0'")
    assert dict(row) == {name: getattr(state, name) for name in names}
    assert (row["available"], row["held"], row["sold"]) == (100 - 3 - 10 - 2 + 4 - 27 + 1, 2, 6)


@pytest.mark.parametrize("at_once", [True, False], ids=["in one step", "step by step"])
async def test_a_quota_level_is_its_terms_and_the_sum_of_its_claims(
    at_once: bool, writer: Any, follower: Follower, connection: Any
) -> None:
    def claimed(number: int) -> QuotaClaimed:
        return QuotaClaimed(claim_id=bytes([number]), order_id="ord_1", user_id=USER, quantity=1, deadline_ms=9)

    def configured(total: int) -> QuotaConfigured:
        return QuotaConfigured(total=total, per_user=0, starts_at_ms=0, ends_at_ms=10)

    for event in (
        configured(10),
        claimed(1),
        claimed(2),
        claimed(3),
        QuotaRedeemed(claim_id=b"\1", quantity=1, at_ms=1),
        QuotaGivenBack(claim_id=b"\2", quantity=1, reason="order", at_ms=1),
        configured(12),
        claimed(4),
    ):
        await writer.write("quota", "cpn_1", event)
        if not at_once:
            await follower.step()
    await follower.step()
    row = await connection.fetchrow("SELECT total, claimed, redeemed FROM quota_level")
    assert tuple(row) == (12, 2, 1)


async def test_sessions_that_end_before_their_time_are_revoked_and_expired_ones_are_not(
    writer: Any, follower: Follower, connection: Any
) -> None:
    for number in range(6):
        await writer.write("sessions", USER, SessionStarted(session_id=f"ses_{number}", refresh_hash=b"h" * 32, device="", at_ms=1))
    endings = (
        (("ses_0",), "logout"),
        (("ses_1", "ses_2"), "all"),
        (("ses_3",), "reused"),
        (("ses_4",), "expired"),
        (("ses_5",), "replaced"),
    )
    for number, (ids, reason) in enumerate(endings):
        await writer.write("sessions", USER, SessionsEnded(session_ids=ids, reason=reason, generation=number, at_ms=100 + number))
    await follower.step()
    rows = await connection.fetch("SELECT session_id, revoked_at_ms FROM revoked_session ORDER BY session_id")
    assert [tuple(row) for row in rows] == [("ses_0", 100), ("ses_1", 101), ("ses_2", 101), ("ses_3", 102), ("ses_5", 104)]


async def test_the_end_of_a_session_is_listed_for_two_days_whatever_else_happens(writer: Any, follower: Follower, connection: Any) -> None:
    for number, at_ms in enumerate((100, 101, 101 + REVOKED_KEPT_MS)):
        session_id = f"ses_{number}"
        await writer.write("sessions", USER, SessionStarted(session_id=session_id, refresh_hash=b"h" * 32, device="", at_ms=1))
        await writer.write("sessions", USER, SessionsEnded(session_ids=(session_id,), reason="logout", generation=number, at_ms=at_ms))
        await follower.step()
    rows = await connection.fetch("SELECT session_id FROM revoked_session ORDER BY session_id")
    assert [row["session_id"] for row in rows] == ["ses_1", "ses_2"]


async def test_a_sale_has_the_state_that_it_last_moved_to_and_checkouts_are_told(writer: Any, follower: Follower, connection: Any) -> None:
    await connection.execute(
        "INSERT INTO flash_sale (sale_id, title, title_zh, state, mode, opens_at_ms, ends_at_ms, prices, currency, limit_per_user) "
        "VALUES ('sal_1', 't', 't', 'closed', 'first_come', 0, 1, '{}', 'CNY', 1)"
    )
    before = await connection.fetchval("SELECT version FROM flash_sale")
    terms = SaleConfigured(
        mode="first_come",
        sku_ids=("sku_1",),
        opens_at_ms=0,
        ends_at_ms=9,
        draws_at_ms=0,
        ticket_ttl_ms=1,
        winners_max=0,
        rate_per_s=0,
        seed=b"",
    )
    await writer.write("admission", "sal_1", terms)
    await follower.step()
    assert await connection.fetchval("SELECT state FROM sale_state") == "closed"
    await writer.write("admission", "sal_1", SaleMoved(state="open", trigger="open", at_ms=1))
    await follower.step()
    assert await connection.fetchval("SELECT state FROM sale_state") == "open"
    state, version = await connection.fetchrow("SELECT state, version FROM flash_sale")
    assert state == "open"
    assert version > before


@pytest.mark.parametrize("at_once", [True, False], ids=["in one step", "step by step"])
async def test_an_order_says_what_points_and_delivery_were_and_how_early_it_is_packed(
    writer: Any, follower: Follower, connection: Any, at_once: bool
) -> None:
    points = PointsUse(hold_id=b"h", points=300, discount=200)
    turns = (
        [placed(points=points, shipping=80, shipping_saved=0)],
        [started()],
        [paid_now(), OrderPaid(order_id=ORDER, payment_id=PAYMENT, at_ms=13)],
    )
    for turn in (*turns, [OrderRanked(order_id=ORDER, priority=3)]):
        await writer.write("order", USER, *turn)
        if not at_once:
            await follower.step()
    while await follower.step():
        pass
    row = await connection.fetchrow("SELECT status, points, points_discount, shipping, shipping_saved, priority FROM orders")
    assert tuple(row) == ("paid", 300, 200, 80, 0, 3)


def paid_now() -> PaymentSettled:
    return PaymentSettled(order_id=ORDER, payment_id=PAYMENT, provider_id="pi_1", amount=1000, currency="CNY", at_ms=13)
