"""Paying and ending an order: in every order of pay, expire, cancel, notices and answers, money and units agree at the end."""

import itertools
from typing import Any

import pytest

from actors.domain import member_state, order, quota, stock
from actors.domain.entity import Refused, Send, Wake
from actors.domain.order_payment import PAYMENTS_MAX, POLL_MS
from actors.domain.order_state import FORGET_MS
from actors.testing.market import HOME, Market, shop
from schemas.gateway import GatewayClose, GatewayLookup, GatewayOpen, GatewayPayment, GatewayRefund, GatewayRefunded
from schemas.money import Money
from schemas.order import CancelOrder, Line, NoticeTaken, OrderView, PaymentNotice, PaymentView, PayOrder, PlaceOrder, ReadOrder
from schemas.quota import Configure
from schemas.stock import PutIn, Release

USER, TOTAL, HOLD_MS = "usr_1", 2100, 60_000


class Provider:
    """What is true at the provider: payments (open, paid, closed), what each received, and refunds."""

    def __init__(self) -> None:
        self.payments: dict[str, str] = {}
        self.received: dict[str, int] = {}
        self.refunded: dict[str, int] = {}

    def do(self, command: Any) -> GatewayPayment | GatewayRefunded:
        if isinstance(command, GatewayRefund):
            assert self.payments[command.payment_id] == "paid"
            self.refunded[command.payment_id] = command.amount
            return GatewayRefunded(refund_id=command.refund_id, status="done")
        if isinstance(command, GatewayOpen | GatewayClose):
            self.payments.setdefault(command.payment_id, "pending")
        if isinstance(command, GatewayClose) and self.payments[command.payment_id] == "pending":
            self.payments[command.payment_id] = "closed"
        return self.told(command.payment_id)

    def told(self, payment_id: str) -> GatewayPayment:
        status = self.payments[payment_id]
        amount = self.received.get(payment_id, TOTAL)
        return GatewayPayment(
            payment_id=payment_id, provider_id="pi_" + payment_id, status=status, amount=amount, currency="CNY", client_secret="s"
        )

    def customer_pays(self, payment_id: str, amount: int = TOTAL, *, force: bool = False) -> None:
        if self.payments.get(payment_id) == "pending" or force:
            self.payments[payment_id], self.received[payment_id] = "paid", amount


class Play:
    """One order of two lines and a coupon, with its provider."""

    def __init__(self, **terms: Any) -> None:
        self.market, self.provider = Market(shop()), Provider()
        self.market.ask("stock", "sku_a#0", PutIn(quantity=5))
        self.market.ask("stock", "sku_b#0", PutIn(quantity=5))
        self.market.ask("quota", "cpn_10", Configure(total=2))
        lines = (Line(sku_id="sku_a", quantity=2), Line(sku_id="sku_b", quantity=1))
        terms = {"lines": lines, "coupon_ids": ("cpn_10",), **terms}
        self.market.ask("order", USER, PlaceOrder(order_id="ord_1", hold_ms=HOLD_MS, ship_to=HOME, **terms), b"place")

    def pay(self, payment_id: str = "pay_1", command_id: bytes = b"pay") -> Any:
        return self.market.ask("order", USER, PayOrder(order_id="ord_1", payment_id=payment_id), command_id)

    def cancel(self, command_id: bytes = b"cancel") -> Any:
        return self.market.ask("order", USER, CancelOrder(order_id="ord_1"), command_id)

    def notice(self, payment_id: str = "pay_1") -> Any:
        told = self.provider.told(payment_id)
        notice = PaymentNotice(
            order_id="ord_1", payment_id=payment_id, status=told.status, amount=told.amount, currency="CNY", provider_id=told.provider_id
        )
        return self.market.ask("order", USER, notice)

    def order(self) -> OrderView:
        view = self.market.ask("order", USER, ReadOrder(order_id="ord_1"))
        assert isinstance(view, OrderView)
        return view

    def to_provider(self, verb: str) -> Send | None:
        return next((send for _, send in self.market.sends if send.step.startswith(verb + ":")), None)

    def answer(self, verb: str) -> None:
        """The provider does and answers the first message of this verb, if there is one."""
        send = self.to_provider(verb)
        if send is not None:
            self.market.reply_from_provider(verb, self.provider.do(send.command))

    def settle(self) -> None:
        """Everything that is under way arrives, and time passes until the order has ended."""
        for _ in range(50):
            self.market.carry_all()
            for verb in ("open", "close", "poll", "refund"):
                self.answer(verb)
            if not self.market.sends and not self.market.state("order", USER).open:
                break
            if not self.market.sends:
                self.market.wake("order", USER)
        assert self.market.sends == []
        self.check()

    def check(self) -> None:
        self.market.check()
        for (kind, _), state in self.market.states.items():
            assert {"stock": stock, "order": order, "quota": quota, "member": member_state}[kind].invariant(state) == []

    def units(self) -> tuple[tuple[int, int, int], ...]:
        states = [self.market.state("stock", key) for key in ("sku_a#0", "sku_b#0")]
        return tuple((state.available, state.held, state.sold) for state in states)

    def coupons(self) -> tuple[int, int, int]:
        state = self.market.state("quota", "cpn_10")
        return state.available, state.claimed, state.redeemed

    def money_kept(self) -> int:
        paid = {payment_id: self.provider.received[payment_id] for payment_id, status in self.provider.payments.items() if status == "paid"}
        return sum(paid.values()) - sum(self.provider.refunded.values())


SOLD, BACK = ((3, 0, 2), (4, 0, 1)), ((5, 0, 0), (5, 0, 0))


def assert_money_and_units_agree(play: Play) -> None:
    status = play.order().status
    if status == "paid":
        assert (play.units(), play.coupons(), play.money_kept()) == (SOLD, (1, 0, 1), TOTAL)
    else:
        assert status == "cancelled"
        assert (play.units(), play.coupons(), play.money_kept()) == (BACK, (2, 0, 0), 0)


HAPPENINGS = ("open_answered", "customer_pays", "notice", "cancel", "expire", "close_answered")


def happen(play: Play, name: str) -> None:
    match name:
        case "open_answered":
            play.answer("open")
        case "customer_pays":
            play.provider.customer_pays("pay_1")
        case "notice":
            if "pay_1" in play.provider.payments:
                assert play.notice() == NoticeTaken()
        case "cancel":
            play.cancel()
        case "expire":
            play.market.now_ms += HOLD_MS
            play.market.ask("order", USER, Wake())
        case _:
            play.answer("close")


@pytest.mark.slow
@pytest.mark.parametrize("first", HAPPENINGS)
def test_pay_expire_cancel_notices_and_answers_come_in_every_order(first: str) -> None:
    for rest in itertools.permutations([name for name in HAPPENINGS if name != first]):
        play = Play()
        assert play.pay() is None
        for name in (first, *rest, "notice"):
            happen(play, name)
            play.check()
        play.settle()
        assert_money_and_units_agree(play)
        assert b"pay" in play.market.answers


def test_f37_a_webhook_that_comes_ten_times_is_one_payment() -> None:
    play = Play()
    play.pay()
    play.answer("open")
    play.provider.customer_pays("pay_1")
    for _ in range(10):
        assert play.notice() == NoticeTaken()
    play.settle()
    assert [type(event).__name__ for event in play.market.events[("order", USER)]] == [
        "OrderPlaced", "PaymentStarted", "PaymentOpened", "PaymentSettled", "OrderPaid",
    ]  # fmt: skip
    assert_money_and_units_agree(play)


def test_f38_a_webhook_before_our_own_create_call_returned_pays_the_order() -> None:
    play = Play()
    play.pay()
    send = play.to_provider("open")
    assert send is not None
    play.provider.do(send.command)
    play.provider.customer_pays("pay_1")
    assert play.notice() == NoticeTaken()
    assert play.order().status == "paid"
    assert play.market.answers[b"pay"] == Refused(code="order_state", params={"state": "paid"})
    play.settle()
    assert_money_and_units_agree(play)


def test_f40_a_payment_whose_webhook_never_comes_is_found_by_asking() -> None:
    play = Play()
    play.pay()
    play.answer("open")
    play.provider.customer_pays("pay_1")
    began_ms = play.market.now_ms
    play.market.wake("order", USER)
    assert play.market.now_ms == began_ms + POLL_MS[0]
    send = play.to_provider("poll")
    assert send is not None
    assert send.command == GatewayLookup(payment_id="pay_1", provider_id="pi_pay_1")
    play.settle()
    assert_money_and_units_agree(play)


def test_polls_come_more_and_more_seldom_and_never_stop() -> None:
    play = Play()
    play.pay()
    play.answer("open")
    play.market.state("order", USER).open["ord_1"].expires_at_ms = 2**52
    waits = []
    for _ in range(7):
        before_ms = play.market.now_ms
        play.market.wake("order", USER)
        waits.append(play.market.now_ms - before_ms)
        play.answer("poll")
    assert waits == [15_000, 30_000, 60_000, 120_000, 300_000, 300_000, 300_000]


def test_f44_money_that_comes_after_the_order_was_cancelled_goes_back() -> None:
    play = Play()
    play.pay()
    play.answer("open")
    play.cancel()
    play.settle()
    play.provider.customer_pays("pay_1", force=True)
    play.notice()
    play.settle()
    assert play.provider.refunded == {"pay_1": TOTAL}
    assert play.order().payments == {"pay_1": "refunded"}
    assert_money_and_units_agree(play)


def test_money_that_comes_twice_goes_back_once() -> None:
    play = Play()
    play.pay()
    play.answer("open")
    play.provider.payments["pay_1"] = "closed"
    play.notice()
    play.pay("pay_2", b"pay again")
    play.answer("open")
    play.provider.customer_pays("pay_2")
    play.notice("pay_2")
    play.provider.customer_pays("pay_1", force=True)
    play.notice("pay_1")
    play.settle()
    assert play.provider.refunded == {"pay_1": TOTAL}
    assert play.order().payments == {"pay_1": "refunded", "pay_2": "paid"}
    assert_money_and_units_agree(play)


@pytest.mark.parametrize("wrong", [{"amount": TOTAL - 1}, {"amount": TOTAL + 1}, {"currency": "EUR"}])
@pytest.mark.parametrize("closing", [False, True])
def test_f42_a_payment_of_another_amount_or_currency_is_kept_for_a_person_and_pays_nothing(wrong: dict[str, Any], closing: bool) -> None:
    play = Play()
    play.pay()
    play.answer("open")
    if closing:
        assert play.cancel() is None
    notice: dict[str, Any] = {"order_id": "ord_1", "payment_id": "pay_1", "status": "paid", "amount": TOTAL, "currency": "CNY", **wrong}
    for _ in range(2):
        assert play.market.ask("order", USER, PaymentNotice(**notice)) == NoticeTaken()
    play.settle()
    assert (play.order().status, play.order().payments) == ("cancelled", {"pay_1": "questioned"})
    assert (play.units(), play.provider.refunded) == (BACK, {})
    if closing:
        assert play.market.answers[b"cancel"].status == "cancelled"


def test_a_second_click_on_pay_gets_the_same_payment() -> None:
    play = Play()
    assert play.pay() is None
    assert play.pay("pay_2", b"pay again") is None
    play.answer("open")
    view = play.market.answers[b"pay"]
    assert view == play.market.answers[b"pay again"] == play.pay("pay_3", b"third")
    assert view == PaymentView(
        order_id="ord_1",
        payment_id="pay_1",
        status="open",
        provider_id="pi_pay_1",
        client_secret="s",
        amount=Money(amount=TOTAL, currency="CNY"),
    )


def test_a_payment_that_the_provider_refuses_to_open_can_be_tried_again_so_often() -> None:
    play = Play()
    for number in range(PAYMENTS_MAX):
        assert play.pay(f"pay_{number}", b"pay %d" % number) is None
        play.market.reply_from_provider("open", Refused(code="payment_declined"))
        assert play.market.answers[b"pay %d" % number] == Refused(code="payment_declined")
    assert play.pay("pay_x", b"pay x") == Refused(code="rate_limited")
    play.settle()
    assert_money_and_units_agree(play)


def test_an_order_of_nothing_is_paid_without_a_provider() -> None:
    play = Play(lines=(Line(sku_id="sku_a", quantity=2),), coupon_ids=("cpn_all",))
    assert play.market.state("order", USER).open == {}
    play.market.ask("quota", "cpn_all", Configure(total=1))
    play.market.ask(
        "order",
        USER,
        PlaceOrder(order_id="ord_1", ship_to=HOME, lines=(Line(sku_id="sku_a", quantity=2),), coupon_ids=("cpn_all",)),
        b"again",
    )
    view = play.pay()
    assert isinstance(view, PaymentView)
    assert (view.status, view.amount, view.client_secret) == ("paid", Money(amount=0, currency="CNY"), "")
    assert play.to_provider("open") is None
    play.settle()
    assert (play.order().status, play.units()[0]) == ("paid", (3, 0, 2))
    assert play.pay(command_id=b"later") == Refused(code="order_state", params={"state": "paid"})


MESSAGES = {
    "sell_a": "sell:ord_1:r0",
    "sell_b": "sell:ord_1:r1",
    "redeem": "sell:ord_1:c0",
    "undo": "undo:ord_1:r1",
    "reinstate": "undo:ord_1:c0",
}


@pytest.mark.parametrize("when", list(itertools.permutations(MESSAGES)))
def test_an_order_whose_hold_is_gone_when_it_is_paid_gives_money_and_other_units_back(when: tuple[str, ...]) -> None:
    play = Play()
    play.pay()
    play.answer("open")
    reservation_id = play.market.state("order", USER).open["ord_1"].reservation_ids[0]
    play.market.ask("stock", "sku_a#0", Release(reservation_id=reservation_id))
    play.provider.customer_pays("pay_1")
    play.notice()
    for name in when:
        index = next((i for i, (_, send) in enumerate(play.market.sends) if send.step == MESSAGES[name]), None)
        if index is not None:
            play.market.carry(index)
    play.settle()
    assert (play.order().status, play.order().reason) == ("refunded", "hold_released")
    assert (play.units(), play.coupons(), play.money_kept()) == (BACK, (2, 0, 0), 0)
    assert play.market.state("quota", "cpn_10").users == {}


def test_an_order_of_nothing_whose_hold_is_gone_gives_its_coupon_back_and_asks_nothing_of_a_provider() -> None:
    play = Play()
    play.market.ask("quota", "cpn_all", Configure(total=1))
    lines = (Line(sku_id="sku_a", quantity=1),)
    play.market.ask("order", USER, PlaceOrder(order_id="ord_0", ship_to=HOME, lines=lines, coupon_ids=("cpn_all",)), b"nothing")
    reservation_id = play.market.state("order", USER).open["ord_0"].reservation_ids[0]
    play.market.ask("stock", "sku_a#0", Release(reservation_id=reservation_id))
    play.market.ask("order", USER, PayOrder(order_id="ord_0", payment_id="pay_0"), b"pay nothing")
    play.market.carry_all()
    view = play.market.ask("order", USER, ReadOrder(order_id="ord_0"))
    assert (view.status, view.payments) == ("refunded", {"pay_0": "refunded"})
    assert play.to_provider("refund") is None
    assert play.market.state("quota", "cpn_all").available == 1
    play.check()


@pytest.mark.parametrize(
    ("status", "code"), [("closing", "order_state"), ("paid", "order_state"), ("refused", "order_state"), ("unknown", "order_unknown")]
)
def test_what_cannot_be_cancelled_or_paid_says_so(status: str, code: str) -> None:
    play = Play()
    if status == "closing":
        play.pay()
        play.cancel()
    elif status == "paid":
        play.pay()
        play.answer("open")
        play.provider.customer_pays("pay_1")
        play.notice()
    number = {"unknown": "ord_x"}.get(status, "ord_1")
    if status == "refused":
        play.market.staged = True
        play.market.ask("order", USER, PlaceOrder(order_id="ord_2", ship_to=HOME, lines=(Line(sku_id="sku_a", quantity=9),)), b"second")
        play.market.carry_all()
        number = "ord_2"
    told = [
        play.market.ask("order", USER, command) for command in (CancelOrder(order_id=number), PayOrder(order_id=number, payment_id="pay_9"))
    ]
    assert [answer.code for answer in told] == [code, code]


def test_cancelling_twice_is_cancelling_once() -> None:
    play = Play()
    first = play.cancel()
    play.settle()
    assert first.status == "cancelled"
    assert play.cancel(b"again") == first
    assert play.units() == BACK


def test_a_notice_of_what_is_not_ours_is_refused() -> None:
    play = Play()
    notice = {"status": "paid", "amount": 1, "currency": "CNY"}
    assert play.market.ask("order", USER, PaymentNotice(order_id="ord_x", payment_id="p", **notice)) == Refused(code="order_unknown")
    assert play.market.ask("order", USER, PaymentNotice(order_id="ord_1", payment_id="p", **notice)) == Refused(code="payment_mismatch")


def test_finished_orders_leave_the_book_after_a_week_and_unsettled_ones_stay_without_waking_it() -> None:
    play = Play()
    play.cancel()
    play.settle()
    play.market.wake("order", USER)
    assert play.market.state("order", USER).closed == {}
    other = Play()
    other.pay()
    other.answer("open")
    other.provider.customer_pays("pay_1", amount=1)
    other.notice()
    other.settle()
    other.market.now_ms += FORGET_MS
    assert order.OrderKind().wake_at(other.market.state("order", USER)) is None
    assert list(other.market.state("order", USER).closed) == ["ord_1"]


def test_the_deadline_of_an_order_ends_it_and_gives_everything_back() -> None:
    play = Play()
    began_ms = play.market.now_ms
    play.market.wake("order", USER)
    assert play.market.now_ms == began_ms + HOLD_MS
    play.settle()
    assert (play.order().status, play.order().reason) == ("cancelled", "expired")
    assert_money_and_units_agree(play)
