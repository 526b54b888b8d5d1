"""Orders that points help to pay: placed, paid, cancelled, expired and undeliverable, in one flush and as a saga."""

import itertools
from typing import Any

import pytest

from actors.domain import member_state, order, quota, stock
from actors.domain.entity import Refused, Wake
from actors.testing.market import HOME, Market, shop
from actors.testing.members import membership
from schemas.gateway import GatewayPayment
from schemas.ids import derived_id
from schemas.member import Earn, HoldPoints, ReleasePoints, SpendInMall
from schemas.money import Money
from schemas.order import CancelOrder, ConfirmHold, HoldAlive, Line, OrderPlaced, OrderView, PayOrder, PlaceOrder, ReadOrder
from schemas.quota import Configure
from schemas.stock import PutIn, Release

USER = "usr_a"
HOLD_MS = 900_000
INVARIANTS = {"stock": stock, "order": order, "quota": quota, "member": member_state}


class Buying:
    """One buyer with 600 points, and one order of two ``sku_b`` (6.66) of which points pay half at most."""

    def __init__(self, *, staged: bool = False, earned: int = 6000, **facts: Any) -> None:
        self.market = Market(shop() | membership() | facts, staged=staged)
        for sku_id in ("sku_a", "sku_b"):
            self.market.ask("stock", sku_id + "#0", PutIn(quantity=5))
        self.market.ask("quota", "cpn_gift", Configure(total=5))
        if earned:
            self.market.ask("member", USER, Earn(order_id="ord_0", amount=earned, currency="CNY"))

    def place(self, name: str = "1", **terms: Any) -> Any:
        terms = {"lines": (Line(sku_id="sku_b", quantity=2),), "points": 500, "member_level": "", **terms}
        command = PlaceOrder(order_id="ord_" + name, hold_ms=HOLD_MS, ship_to=HOME, **terms)
        reply = self.market.ask("order", USER, command, b"place" + name.encode())
        self.market.carry_all()
        reply = self.market.answers.get(b"place" + name.encode(), reply)
        return reply.code if isinstance(reply, Refused) else reply

    def give(self) -> None:
        """The mall gives him a personal coupon; it costs the 50 points that he has just got."""
        self.market.ask("quota", "mal_coupon", Configure(total=5))
        self.market.ask("member", USER, Earn(order_id="ord_0", amount=500, currency="CNY"))
        self.market.ask("member", USER, SpendInMall(redemption_id="rdm_1", item_id="mal_coupon", points=50), b"mall")
        self.market.carry_all()

    def view(self) -> OrderView:
        view = self.market.ask("order", USER, ReadOrder(order_id="ord_1"))
        assert isinstance(view, OrderView)
        return view

    def pay(self) -> None:
        self.market.ask("order", USER, PayOrder(order_id="ord_1", payment_id="pay_1"), b"pay")

    def provider(self, verb: str, status: str) -> None:
        told = GatewayPayment(
            payment_id="pay_1", provider_id="pi_1", status=status, amount=self.view().total.amount, currency="CNY", client_secret="s"
        )
        self.market.reply_from_provider(verb, told)

    def cancel(self) -> Any:
        return self.market.ask("order", USER, CancelOrder(order_id="ord_1"), b"cancel")

    def settle(self) -> None:
        self.market.carry_all()
        self.market.check()
        for (kind, _), state in self.market.states.items():
            assert INVARIANTS[kind].invariant(state) == []

    @property
    def member(self) -> member_state.MemberState:
        return self.market.state("member", USER)

    def points(self) -> tuple[int, int, int]:
        self.settle()
        return self.member.available, self.member.held, self.member.spent


BOTH = pytest.mark.parametrize("staged", [False, True], ids=["in one flush", "as a saga"])


@BOTH
def test_points_pay_their_share_and_no_more_of_them_are_held(staged: bool) -> None:
    buying = Buying(staged=staged)
    view = buying.place()
    assert isinstance(view, OrderView)
    assert (view.total, view.points, view.points_discount, view.status) == (Money(amount=333, currency="CNY"), 333, 333, "pending_payment")
    assert buying.points() == (267, 333, 0)
    [line] = view.lines
    assert (line.unit_price, line.discount) == (333, 333)


@BOTH
def test_a_paid_order_spends_its_points_and_earns_by_what_was_paid(staged: bool) -> None:
    buying = Buying(staged=staged)
    buying.place()
    buying.pay()
    buying.provider("open", "paid")
    assert buying.points() == (267 + 33, 0, 333)
    assert buying.member.orders["ord_1"].amount == 333


@BOTH
@pytest.mark.parametrize("how", ["cancelled", "expired"])
def test_an_order_that_ends_unpaid_gives_its_points_back(staged: bool, how: str) -> None:
    buying = Buying(staged=staged)
    buying.place()
    if how == "cancelled":
        buying.cancel()
    else:
        buying.market.wake("order", USER)
    assert buying.view().status == "cancelled"
    assert buying.points() == (600, 0, 0)


HAPPENINGS = ("opened", "paid", "cancel", "expire", "ask")


@pytest.mark.parametrize("happenings", list(itertools.permutations(HAPPENINGS)), ids="-".join)
def test_pay_cancel_and_expire_in_every_order_leave_points_with_exactly_one_of_the_two(happenings: tuple[str, ...]) -> None:
    buying = Buying()
    buying.place()
    buying.pay()
    for name in happenings:
        match name:
            case "opened" if any(send.step.startswith("open:") for _, send in buying.market.sends):
                buying.provider("open", "pending")
            case "paid" if any(send.step.startswith("close:") for _, send in buying.market.sends):
                buying.provider("close", "paid")
            case "cancel":
                buying.cancel()
            case "expire":
                buying.market.now_ms += HOLD_MS
                buying.market.ask("order", USER, Wake())
            case "ask":
                buying.market.now_ms += HOLD_MS + 60_000
                buying.market.ask("member", USER, Wake())
            case _:
                pass
        buying.settle()
    while buying.market.sends:
        verb = buying.market.sends[0][1].step.split(":")[0]
        buying.provider(verb, "closed")
        buying.settle()
    status = buying.view().status
    if status == "paid":
        assert buying.points() == (267 + 33, 0, 333)
    else:
        assert (status, buying.points()) == ("cancelled", (600, 0, 0))


@BOTH
def test_what_cannot_be_delivered_gives_points_back_and_takes_what_it_earned(staged: bool) -> None:
    buying = Buying(staged=staged)
    buying.place()
    reservation_id = buying.market.state("order", USER).open["ord_1"].reservation_ids[0]
    buying.market.ask("stock", "sku_b#0", Release(reservation_id=reservation_id))
    buying.pay()
    buying.provider("open", "paid")
    buying.settle()
    assert buying.view().status == "unfulfillable"
    assert buying.points() == (600, 0, 0)
    assert (buying.member.debt, buying.member.taken_back) == (0, 33)


def test_another_level_than_the_one_that_it_was_priced_by_is_refused() -> None:
    buying = Buying()
    assert buying.place(member_level="gold") == "member_level_changed"
    assert buying.points() == (600, 0, 0)
    assert buying.market.state("stock", "sku_b#0").held == 0


@BOTH
def test_points_that_are_not_there_refuse_the_whole_order(staged: bool) -> None:
    buying = Buying(staged=staged, earned=1000)
    assert buying.place(points=500) == "points_insufficient"
    assert (buying.points(), buying.market.state("stock", "sku_b#0").held) == ((100, 0, 0), 0)


def test_a_release_that_overtakes_its_hold_leaves_nothing_held() -> None:
    buying = Buying(staged=True)
    command = PlaceOrder(
        order_id="ord_1", hold_ms=HOLD_MS, ship_to=HOME, lines=(Line(sku_id="sku_b", quantity=9),), points=500, member_level=""
    )
    buying.market.ask("order", USER, command, b"place")
    hold = next(index for index, (_, send) in enumerate(buying.market.sends) if isinstance(send.command, HoldPoints))
    late = buying.market.sends.pop(hold)
    buying.market.carry()  # the stock says no
    buying.market.carry_all()
    assert isinstance(buying.market.answers[b"place"], Refused)
    assert buying.market.ask("member", USER, late[1].command) == Refused(code="hold_released")
    assert buying.points() == (600, 0, 0)


def test_a_hold_that_was_said_to_be_nobody_s_never_becomes_an_order() -> None:
    buying = Buying()
    asked = ConfirmHold(order_id="ord_7", reservation_id=derived_id(b"place7", "m0"))
    assert buying.market.ask("order", USER, asked) == HoldAlive(alive=False)
    assert buying.place("7") == "order_abandoned"
    assert buying.points() == (600, 0, 0)


@BOTH
def test_a_personal_coupon_is_for_whom_it_was_given_to_and_once(staged: bool) -> None:
    buying = Buying(staged=staged, earned=0)
    assert buying.place(coupon_ids=("cpn_gift",), points=0) == "coupon_not_yours"
    buying.give()
    view = buying.place("2", coupon_ids=("cpn_gift",), points=0)
    assert (view.total.amount, buying.member.gifts) == (366, {})
    assert buying.place("3", coupon_ids=("cpn_gift",), points=0) == "coupon_not_yours"
    buying.market.ask("order", USER, CancelOrder(order_id="ord_2"))
    assert (buying.points(), list(buying.member.gifts)) == ((0, 0, 50), ["cpn_gift"])


def test_a_flash_order_asks_stock_alone() -> None:
    buying = Buying()
    command = PlaceOrder(order_id="ord_1", lines=(Line(sku_id="sku_a", quantity=1),), sale_id="sal_open")
    buying.market.ask("order", USER, command)
    assert [kind for kind, _ in buying.market.events] == ["stock", "stock", "quota", "member", "order"]
    assert len(buying.market.events[("member", USER)]) == 1, "only what it had earned before"
    [placed] = buying.market.events[("order", USER)]
    assert isinstance(placed, OrderPlaced)
    assert (placed.points, placed.member_level, placed.rules_version) == (None, None, 0)


def test_an_order_says_by_which_level_and_rules_it_was_priced() -> None:
    buying = Buying(earned=60_000)
    view = buying.place(lines=(Line(sku_id="sku_a", quantity=1), Line(sku_id="sku_b", quantity=1)), points=0, member_level="gold")
    assert [line.unit_price for line in view.lines] == [850, 300]
    [placed] = buying.market.events[("order", USER)]
    assert (placed.member_level, placed.rules_version, placed.points) == ("gold", 9, None)
    buying.market.ask("member", USER, ReleasePoints(hold_id=b"other"))
    assert buying.points() == (6000, 0, 0)
