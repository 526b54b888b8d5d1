"""What delivery costs, and the free parcels of a membership: rules as tables, at a checkout, cancelled, undeliverable, as a saga."""

from typing import Any

import pytest

from actors.domain import order
from actors.domain.entity import Refused
from actors.domain.pricing import shipping_fee
from actors.testing.market import HOME, Market, shop
from actors.testing.members import membership
from schemas.gateway import GatewayPayment
from schemas.member import Earn, HoldPoints, ReturnFreeShipping
from schemas.money import Money
from schemas.offer import ShippingFee, ShippingTerms
from schemas.order import CancelOrder, Line, OrderView, PayOrder, PlaceOrder, ReadOrder
from schemas.quota import Configure
from schemas.stock import PutIn, Release

USER = "usr_a"
TERMS = ShippingTerms(fees={"CNY": ShippingFee(fee=800, free_from=5000), "EUR": ShippingFee(fee=500)}, version=3)
BOTH = pytest.mark.parametrize("staged", [False, True], ids=["in one flush", "as a saga"])


@pytest.mark.parametrize(
    ("goods", "currency", "terms", "fee"),
    [
        (4999, "CNY", TERMS, 800),
        (5000, "CNY", TERMS, 0),
        (9999, "CNY", TERMS, 0),
        (0, "CNY", TERMS, 800),
        (10**9, "EUR", TERMS, 500),
        (100, "USD", TERMS, 0),
        (100, "CNY", None, 0),
        (100, "CNY", ShippingTerms(fees={"CNY": ShippingFee(fee=0)}), 0),
    ],
)
def test_what_delivery_costs(goods: int, currency: str, terms: ShippingTerms | None, fee: int) -> None:
    assert shipping_fee(goods, currency, terms) == fee


class Buying:
    """A member of the silver level (one free parcel a month), or of another one, who orders from a cart."""

    def __init__(self, *, staged: bool = False, earned: int = 20_000, **facts: Any) -> None:
        self.market = Market(shop() | membership() | {"shop:shipping": TERMS} | facts, staged=staged)
        for sku_id in ("sku_a", "sku_b"):
            self.market.ask("stock", sku_id + "#0", PutIn(quantity=50))
        self.market.ask("quota", "cpn_500", Configure(total=50))
        if earned:
            self.market.ask("member", USER, Earn(order_id="ord_0", amount=earned, currency="CNY"))

    @property
    def member(self) -> Any:
        return self.market.state("member", USER)

    def place(self, name: str = "1", **terms: Any) -> Any:
        terms = {"lines": (Line(sku_id="sku_a", quantity=1),), "member_level": self.member.level_id, "free_shipping": True, **terms}
        command = PlaceOrder(order_id="ord_" + name, ship_to=HOME, **terms)
        reply = self.market.ask("order", USER, command, b"place" + name.encode())
        self.market.carry_all()
        reply = self.market.answers.get(b"place" + name.encode(), reply)
        self.settle()
        return reply.code if isinstance(reply, Refused) else reply

    def settle(self) -> None:
        self.market.carry_all()
        self.market.check()
        assert order.invariant(self.market.state("order", USER)) == []


@pytest.mark.parametrize(
    ("earned", "terms", "total", "shipping", "saved", "used"),
    [
        (0, {}, 1000 + 800, 800, 0, 0),  # the lowest level has no free parcels, whatever the edge saw
        (20_000, {}, 1000, 0, 800, 1),
        (20_000, {"free_shipping": False}, 1800, 800, 0, 0),
        (20_000, {"lines": (Line(sku_id="sku_a", quantity=5),)}, 5000, 0, 0, 0),  # free by its amount: none is used up
        (20_000, {"lines": (Line(sku_id="sku_a", quantity=5),), "coupon_ids": ("cpn_500",)}, 4500, 0, 800, 1),
        (20_000, {"lines": (Line(sku_id="sku_a", quantity=4),), "points": 1500, "free_shipping": False}, 2500 + 800, 800, 0, 0),
        (20_000, {"lines": (Line(sku_id="sku_a", quantity=5),), "points": 2000}, 3000, 0, 0, 0),  # points are money
    ],
)
@BOTH
def test_a_checkout_pays_for_delivery_or_takes_a_free_parcel(
    staged: bool, earned: int, terms: dict[str, Any], total: int, shipping: int, saved: int, used: int
) -> None:
    buying = Buying(staged=staged, earned=earned)
    view = buying.place(**terms)
    if not earned:
        assert view == "free_shipping_used"
        view = buying.place("2", **terms, free_shipping=False)
    assert isinstance(view, OrderView)
    assert (view.total, view.shipping, view.shipping_saved) == (Money(amount=total, currency="CNY"), shipping, saved)
    assert len(buying.member.shipping) == used


@BOTH
def test_a_parcel_more_than_there_are_refuses_the_whole_order(staged: bool) -> None:
    buying = Buying(staged=staged)
    assert isinstance(buying.place("1"), OrderView)
    assert buying.place("2") == "free_shipping_used"
    assert (buying.market.state("stock", "sku_a#0").held, len(buying.member.shipping)) == (1, 1)


@BOTH
def test_a_cancelled_order_gives_its_parcel_back_once(staged: bool) -> None:
    buying = Buying(staged=staged)
    buying.place("1")
    for _ in range(2):
        buying.market.ask("order", USER, CancelOrder(order_id="ord_1"))
        buying.settle()
    assert buying.member.shipping == {}
    assert isinstance(buying.place("2"), OrderView)
    assert buying.place("3") == "free_shipping_used"


@BOTH
def test_an_order_that_cannot_be_delivered_gives_its_parcel_back(staged: bool) -> None:
    buying = Buying(staged=staged)
    buying.place("1")
    reservation_id = buying.market.state("order", USER).open["ord_1"].reservation_ids[0]
    buying.market.ask("stock", "sku_a#0", Release(reservation_id=reservation_id))
    buying.market.ask("order", USER, PayOrder(order_id="ord_1", payment_id="pay_1"), b"pay")
    told = GatewayPayment(payment_id="pay_1", provider_id="pi_1", status="paid", amount=1000, currency="CNY", client_secret="s")
    buying.market.reply_from_provider("open", told)
    buying.settle()
    assert buying.market.ask("order", USER, ReadOrder(order_id="ord_1")).status == "unfulfillable"
    assert buying.member.shipping == {}


def test_a_return_that_overtakes_its_order_leaves_a_tombstone() -> None:
    buying = Buying()
    buying.market.ask("member", USER, ReturnFreeShipping(use_id=b"f"))
    late = HoldPoints(hold_id=b"h", order_id="ord_1", deadline_ms=2**50, shipping_use=b"f", shipping_month=1, shipping_limit=9)
    assert buying.market.ask("member", USER, late) == Refused(code="hold_released")
    assert buying.member.shipping == {}


def test_a_flash_sale_s_order_pays_no_delivery_and_asks_no_membership() -> None:
    buying = Buying()
    command = PlaceOrder(order_id="ord_1", lines=(Line(sku_id="sku_a", quantity=1),), sale_id="sal_open")
    view = buying.market.ask("order", USER, command)
    assert (view.total.amount, view.shipping, view.shipping_saved, buying.member.shipping) == (900, 0, 0, {})


@pytest.mark.parametrize(("earned", "priority"), [(0, 0), (20_000, 1), (60_000, 2)])
@BOTH
def test_a_paid_order_is_packed_by_the_level_on_which_its_payment_found_the_buyer(staged: bool, earned: int, priority: int) -> None:
    buying = Buying(staged=staged, earned=earned)
    # This payment alone would reach gold: the level that it reaches is the next order's.
    buying.place("1", lines=(Line(sku_id="sku_a", quantity=50),), free_shipping=False)
    buying.market.ask("order", USER, PayOrder(order_id="ord_1", payment_id="pay_1"), b"pay")
    total = buying.market.ask("order", USER, ReadOrder(order_id="ord_1")).total.amount
    told = GatewayPayment(payment_id="pay_1", provider_id="pi_1", status="paid", amount=total, currency="CNY", client_secret="s")
    buying.market.reply_from_provider("open", told)
    buying.settle()
    assert buying.member.level_id == "gold" if earned else buying.member.level_id != ""
    assert buying.market.state("order", USER).closed["ord_1"].priority == priority
    # The same payment told again says the same, though the level is another one by now.
    again = buying.market.ask("member", USER, Earn(order_id="ord_1", amount=total, currency="CNY"))
    assert again.priority == priority
