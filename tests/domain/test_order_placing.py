"""Placing an order: guards in order, all or nothing, and the same end whether owners are here or elsewhere."""

import itertools
from typing import Any

import msgspec
import pytest

from actors.domain import order, quota, stock
from actors.domain.entity import Refused
from actors.domain.order_placing import LINES_MAX, stock_keys
from actors.domain.order_state import OPEN_ORDERS_MAX
from actors.testing.market import HOME, Market, shop
from schemas.ids import derived_id
from schemas.money import Money
from schemas.offer import PriceList, PriceRow
from schemas.order import CancelOrder, ConfirmHold, HoldAlive, Line, OrderPlaced, OrderView, PlaceOrder, ReadOrder
from schemas.quota import Configure
from schemas.stock import PutIn, Release

USER = "usr_1"
A = (Line(sku_id="sku_a", quantity=1),)
NOWHERE = msgspec.structs.replace(HOME, country="XX")
AB = (Line(sku_id="sku_a", quantity=2), Line(sku_id="sku_b", quantity=1))


def market(*, stock_a: int = 5, stock_b: int = 5, staged: bool = False, **terms: Any) -> Market:
    parts = terms.get("parts", 1)
    made = Market(shop(**terms), staged=staged)
    for part in range(parts):
        if stock_a:
            made.ask("stock", f"sku_a#{part}", PutIn(quantity=stock_a))
    if stock_b:
        made.ask("stock", "sku_b#0", PutIn(quantity=stock_b))
    made.ask("quota", "cpn_10", Configure(total=2, per_user=1))
    return made


def place(made: Market, number: str = "ord_1", lines: tuple[Line, ...] = A, command_id: bytes = b"", **terms: Any) -> Any:
    told = made.ask(
        "order", USER, PlaceOrder(**{"order_id": number, "lines": lines, "ship_to": HOME, **terms}), command_id or number.encode()
    )
    if told is None:
        made.carry_all()
        return made.answers[command_id or number.encode()]
    return told


def levels(made: Market) -> dict[str, tuple[int, int, int]]:
    return {key: (state.available, state.held, state.sold) for (kind, key), state in made.states.items() if kind == "stock"}


def check(made: Market) -> None:
    made.check()
    for (kind, _), state in made.states.items():
        assert {"stock": stock, "order": order, "quota": quota}[kind].invariant(state) == []


GUARDS: list[tuple[str, dict[str, Any]]] = [
    # in the order of the guards: each of these commands also fails every later one
    ("cart_empty", {"lines": (), "sale_id": "sal_none"}),
    ("cart_full", {"lines": A * (LINES_MAX + 1), "sale_id": "sal_none"}),
    ("quantity_invalid", {"lines": (Line(sku_id="sku_a", quantity=0),) * 2, "sale_id": "sal_none"}),
    ("quantity_invalid", {"lines": (Line(sku_id="sku_a", quantity=1000),), "sale_id": "sal_none"}),
    ("invalid_request", {"lines": A * 2, "sale_id": "sal_none"}),
    ("invalid_request", {"lines": A, "coupon_ids": ("cpn_x", "cpn_x"), "sale_id": "sal_none"}),
    ("address_invalid", {"lines": (Line(sku_id="sku_none", quantity=1),), "sale_id": "sal_none", "ship_to": NOWHERE}),
    ("address_invalid", {"lines": (Line(sku_id="sku_none", quantity=1),), "ship_to": NOWHERE}),
    ("address_invalid", {"lines": (Line(sku_id="sku_none", quantity=1),), "ship_to": None}),
    ("address_invalid", {"lines": (Line(sku_id="sku_none", quantity=1),), "sealed_ship_to": b"s"}),
    ("address_invalid", {"lines": (Line(sku_id="sku_none", quantity=1),), "ship_to": None, "sealed_ship_to": b"s" * 8193}),
    ("sale_unknown", {"lines": (Line(sku_id="sku_none", quantity=1),), "sale_id": "sal_none", "ship_to": None}),
    ("sale_unknown", {"lines": (Line(sku_id="sku_none", quantity=1),), "sale_id": "sal_none"}),
    ("sale_ended", {"lines": (Line(sku_id="sku_none", quantity=1),), "sale_id": "sal_ended"}),
    ("sale_not_open", {"lines": (Line(sku_id="sku_none", quantity=1),), "sale_id": "sal_closed"}),
    ("sale_not_open", {"lines": (Line(sku_id="sku_none", quantity=1),), "sale_id": "sal_entering"}),
    ("sku_unknown", {"lines": (Line(sku_id="sku_none", quantity=1),), "expected_total": Money(amount=1, currency="CNY")}),
    (
        "total_changed",
        {"lines": (Line(sku_id="sku_a", quantity=4),), "sale_id": "sal_open", "expected_total": Money(amount=1, currency="CNY")},
    ),
    ("total_changed", {"lines": A, "expected_total": Money(amount=1000, currency="EUR")}),
    ("purchase_limit", {"lines": (Line(sku_id="sku_a", quantity=4),), "sale_id": "sal_open"}),
    ("insufficient_stock", {"lines": (Line(sku_id="sku_a", quantity=6),), "coupon_ids": ("cpn_10",)}),
    ("coupon_unknown", {"lines": A, "coupon_ids": ("cpn_500",)}),
]


@pytest.mark.parametrize("staged", [False, True], ids=["direct", "staged"])
@pytest.mark.parametrize(("code", "terms"), GUARDS)
def test_an_order_is_refused_by_the_first_guard_that_fails_and_nothing_is_kept(code: str, terms: dict[str, Any], staged: bool) -> None:
    made = market(staged=staged)
    told = place(made, **terms)
    assert isinstance(told, Refused)
    assert told.code == code
    assert levels(made) == {"sku_a#0": (5, 0, 0), "sku_b#0": (5, 0, 0)}
    assert made.state("quota", "cpn_10").available == 2
    assert made.state("order", USER).open == {}
    assert made.state("order", USER).bought == {}
    check(made)


@pytest.mark.parametrize("staged", [False, True], ids=["direct", "staged"])
def test_an_order_of_two_lines_and_a_coupon_is_placed_alike_whether_its_owners_are_here_or_elsewhere(staged: bool) -> None:
    made = market(staged=staged)
    told = place(made, lines=AB, coupon_ids=("cpn_10",), expected_total=Money(amount=2100, currency="CNY"), hold_ms=60_000)
    assert isinstance(told, OrderView)
    assert (told.status, told.total, told.expires_at_ms) == ("pending_payment", Money(amount=2100, currency="CNY"), made.now_ms + 60_000)
    assert levels(made) == {"sku_a#0": (3, 2, 0), "sku_b#0": (4, 1, 0)}
    assert made.state("quota", "cpn_10").claimed == 1
    assert made.ask("order", USER, ReadOrder(order_id="ord_1")) == told
    assert made.sends == []
    check(made)


@pytest.mark.parametrize("staged", [False, True], ids=["direct", "staged"])
def test_when_one_of_many_refuses_all_that_was_taken_is_given_back(staged: bool) -> None:
    made = market(stock_b=0, staged=staged)
    assert place(made, lines=AB, coupon_ids=("cpn_10",)) == Refused(code="sold_out", params={"sku_id": "sku_b"})
    made.carry_all()
    assert levels(made)["sku_a#0"] == (5, 0, 0)
    assert made.state("quota", "cpn_10").available == 2
    check(made)


@pytest.mark.parametrize("order_of_delivery", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("lost", range(4))
def test_f47_a_placement_across_owners_ends_alike_in_any_order_of_messages(order_of_delivery: tuple[int, ...], lost: int) -> None:
    made = market(stock_b=0, staged=True)
    made.ask("order", USER, PlaceOrder(order_id="ord_1", lines=AB, ship_to=HOME, coupon_ids=("cpn_10",)), b"cmd")
    places = list(made.sends)
    for count, index in enumerate(order_of_delivery):
        entry = places[index]
        if count == lost:
            # Its answer is lost: the receiver hears it again.
            made.carry(made.sends.index(entry), answer=False)
        if entry in made.sends:
            made.carry(made.sends.index(entry))
    made.carry_all()
    assert isinstance(made.answers[b"cmd"], Refused)
    assert levels(made)["sku_a#0"] == (5, 0, 0)
    assert made.state("quota", "cpn_10").available == 2
    assert made.state("order", USER).closed["ord_1"].status == "refused"
    check(made)


def test_f47_a_release_before_its_reservation_leaves_a_tombstone() -> None:
    made = market(stock_b=0, staged=True)
    made.ask("order", USER, PlaceOrder(order_id="ord_1", lines=AB, ship_to=HOME), b"cmd")
    _, reserve_a = made.sends[0]
    made.carry(1)
    release_a = next(i for i, (_, send) in enumerate(made.sends) if isinstance(send.command, Release) and send.key == "sku_a#0")
    made.carry(release_a)
    assert made.ask(reserve_a.kind, reserve_a.key, reserve_a.command, reserve_a.id) == Refused(code="hold_released")
    made.carry_all()
    assert levels(made)["sku_a#0"] == (5, 0, 0)


@pytest.mark.parametrize("staged", [False, True], ids=["direct", "staged"])
def test_a_part_that_is_sold_out_sends_the_buyer_to_the_next(staged: bool) -> None:
    made = market(stock_a=1, parts=3, staged=staged)
    keys = stock_keys(USER, "sku_a", 3)
    for count, key in enumerate(keys, 1):
        told = place(made, f"ord_{count}")
        assert isinstance(told, OrderView)
        assert told.lines[0].stock_key == key
    refused = place(made, "ord_4")
    assert isinstance(refused, Refused)
    assert refused.code == "sold_out"
    assert sorted(keys) == ["sku_a#0", "sku_a#1", "sku_a#2"]
    check(made)


def test_a_hold_that_came_late_to_a_part_that_had_refused_it_belongs_to_nobody() -> None:
    made = market(stock_a=1, parts=2, staged=True)
    first, second = stock_keys(USER, "sku_a", 2)
    made.state("stock", first).available = 0
    made.ask("order", USER, PlaceOrder(order_id="ord_1", lines=A, ship_to=HOME), b"cmd")
    _, late = made.sends[0]
    made.carry_all()
    assert made.answers[b"cmd"].lines[0].stock_key == second
    ask = {"order_id": "ord_1", "reservation_id": late.command.reservation_id}
    assert made.ask("order", USER, ConfirmHold(**ask, stock_key=second)) == HoldAlive(alive=True)
    assert made.ask("order", USER, ConfirmHold(**ask, stock_key=first)) == HoldAlive(alive=False)
    assert made.ask("order", USER, ConfirmHold(**ask)) == HoldAlive(alive=True)


def test_a_ticket_is_used_once_and_not_by_an_order_that_never_stood() -> None:
    made = market(ticket=True, stock_a=1)
    ticket = {"sale_id": "sal_open", "ticket_nonce": "n", "ticket_expires_ms": made.now_ms + 1000}
    assert place(made, sale_id="sal_open") == Refused(code="ticket_missing")
    assert place(made, **{**ticket, "ticket_expires_ms": made.now_ms}) == Refused(code="ticket_expired")
    two = (Line(sku_id="sku_a", quantity=2),)
    assert place(made, lines=two, **ticket).code == "insufficient_stock"
    assert isinstance(place(made, **ticket), OrderView)
    assert place(made, "ord_2", **ticket) == Refused(code="ticket_used")


def test_f71_a_started_order_that_is_refused_gives_its_ticket_back() -> None:
    made = market(ticket=True, stock_a=0, staged=True)
    ticket = {"sale_id": "sal_open", "ticket_nonce": "n", "ticket_expires_ms": made.now_ms + 1000}
    assert place(made, **ticket).code == "sold_out"
    made.ask("stock", "sku_a#0", PutIn(quantity=1))
    assert isinstance(place(made, "ord_2", **ticket), OrderView)


def test_the_limit_counts_what_is_bought_and_forgets_what_was_given_back() -> None:
    made = market()
    two = (Line(sku_id="sku_a", quantity=2),)
    assert isinstance(place(made, lines=two, sale_id="sal_open"), OrderView)
    assert place(made, "ord_2", lines=two, sale_id="sal_open") == Refused(code="purchase_limit", params={"limit": 3})
    made.ask("order", USER, CancelOrder(order_id="ord_1"))
    made.carry_all()
    assert isinstance(place(made, "ord_2", lines=two, sale_id="sal_open"), OrderView)
    check(made)


def test_f70_a_buyer_who_hoards_is_stopped() -> None:
    made = market(stock_a=100)
    for number in range(OPEN_ORDERS_MAX):
        assert isinstance(place(made, f"ord_{number}"), OrderView)
    assert place(made, "ord_x") == Refused(code="too_many_open_orders", params={"limit": OPEN_ORDERS_MAX})


def test_an_order_number_is_taken_once() -> None:
    made = market()
    place(made)
    assert place(made, lines=AB, command_id=b"another") == Refused(code="order_state", params={"state": "pending_payment"})
    assert levels(made) == {"sku_a#0": (4, 1, 0), "sku_b#0": (5, 0, 0)}


@pytest.mark.parametrize("name", ["r0", "r1", "c0"])
def test_what_was_said_to_be_nobodys_can_never_become_an_order(name: str) -> None:
    made = market()
    asked = ConfirmHold(order_id="ord_1", reservation_id=derived_id(b"cmd", name))
    for _ in range(2):
        assert made.ask("order", USER, asked) == HoldAlive(alive=False)
    assert len(made.events[("order", USER)]) == 1
    assert place(made, lines=AB, coupon_ids=("cpn_10",), command_id=b"cmd") == Refused(code="order_abandoned")
    assert isinstance(place(made, lines=AB, command_id=b"other"), OrderView)


def test_a_placement_that_nobody_answers_ends_at_its_deadline() -> None:
    made = market(staged=True)
    made.ask("order", USER, PlaceOrder(order_id="ord_1", lines=A, ship_to=HOME, hold_ms=5000), b"cmd")
    made.wake("order", USER)
    assert made.answers[b"cmd"] == Refused(code="order_abandoned")
    made.carry_all()
    assert levels(made)["sku_a#0"] == (5, 0, 0)
    check(made)


def test_an_address_that_is_sealed_is_kept_as_it_is_and_read_by_nobody() -> None:
    made = market()
    command = PlaceOrder(order_id="ord_1", lines=A, sealed_ship_to=b"sealed")
    view = made.ask("order", USER, command, b"cmd")
    assert isinstance(view, OrderView)
    kept = made.events["order", USER]
    assert [(event.sealed_ship_to, event.ship_to) for event in kept if isinstance(event, OrderPlaced)] == [(b"sealed", None)]
    check(made)


@pytest.mark.parametrize("staged", [False, True])
def test_an_order_keeps_what_kind_of_price_each_line_had_and_in_which_currency_it_was_asked_for(staged: bool) -> None:
    made = market(staged=staged)
    rows = {"CNY": (PriceRow(kind="tier", amount=800, min_quantity=2),), "EUR": (PriceRow(kind="list", amount=150),)}
    made.facts["prices:sku_a"] = PriceList(sku_id="sku_a", rows=rows, version=12)
    placed = place(made, lines=(Line(sku_id="sku_a", quantity=2),))
    assert (placed.lines[0].unit_price, placed.lines[0].price_kind, placed.lines[0].list_price) == (800, "tier", 1000)
    kept = made.state("order", USER).open["ord_1"]
    assert (kept.lines[0].price_kind, placed.total) == ("tier", Money(amount=1600, currency="CNY"))
    euros = place(made, "ord_2", currency="EUR", expected_total=Money(amount=150, currency="EUR"))
    assert (euros.total, euros.lines[0].price_kind) == (Money(amount=150, currency="EUR"), "")
    assert place(made, "ord_3", currency="USD").params == {"sku_id": "sku_a", "currencies": ["CNY", "EUR"]}
    assert place(made, "ord_4", lines=AB, currency="EUR").code == "currency_not_offered"
    # A flash sale's price stands alone.
    assert place(made, "ord_5", lines=(Line(sku_id="sku_a", quantity=2),), sale_id="sal_open").total.amount == 1800
    check(made)
