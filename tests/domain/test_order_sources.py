"""An order says from which warehouses it is really sent, whether its stock is asked in one turn or from host to host."""

from typing import Any

import pytest

from actors.domain.order_state import find
from actors.testing.market import HOME, Market, shop
from schemas.ids import derived_id
from schemas.order import CancelOrder, Considered, Line, PaymentNotice, PayOrder, PlaceOrder, Source, Wish
from schemas.stock import PutIn, Reserve

EAST, WEST = "whs_east", "whs_west"


def place(*wishes: Wish, lines: tuple[Line, ...] = (Line(sku_id="sku_a", quantity=2), Line(sku_id="sku_b", quantity=1))) -> PlaceOrder:
    considered = (Considered(warehouse_id=WEST, verdict="whole"),)
    return PlaceOrder(order_id="ord_1", lines=lines, ship_to=HOME, wishes=wishes, considered=considered)


def stocked(*, staged: bool, parts: int = 1, **units: dict[str, int]) -> Market:
    market = Market(shop(parts=parts), staged=staged)
    for key, places in units.items():
        for warehouse_id, quantity in places.items():
            market.ask("stock", key.replace("_part", "#"), PutIn(quantity=quantity, warehouse_id=warehouse_id))
    return market


def placed(market: Market, command: PlaceOrder) -> Any:
    reply = market.ask("order", "usr_a", command, b"place")
    market.carry_all()
    return reply if reply is not None else market.answers[b"place"]


@pytest.mark.parametrize("staged", [False, True], ids=["in one turn", "from host to host"])
def test_the_wish_is_followed_where_it_can_be_and_the_truth_is_written_down(staged: bool) -> None:
    market = stocked(staged=staged, sku_a_part0={EAST: 5, WEST: 5}, sku_b_part0={EAST: 5})
    view = placed(market, place(Wish(prefer=(WEST, EAST)), Wish(prefer=(WEST, EAST))))
    sources = (Source(line=0, warehouse_id=WEST, quantity=2), Source(line=1, warehouse_id=EAST, quantity=1))
    assert tuple(sorted(view.sources, key=lambda source: source.line)) == sources
    order = find(market.state("order", "usr_a"), "ord_1")
    assert tuple(sorted(order.sources, key=lambda source: source.line)) == sources
    assert (order.considered, order.wishes) == ((Considered(warehouse_id=WEST, verdict="whole"),), ())
    market.check()
    market.ask("order", "usr_a", CancelOrder(order_id="ord_1"))
    market.carry_all()
    assert {lot.warehouse_id: lot.available for lot in market.state("stock", "sku_a#0").spread.lots.values()} == {"": 0, EAST: 5, WEST: 5}
    market.check()


@pytest.mark.parametrize("staged", [False, True], ids=["in one turn", "from host to host"])
def test_warehouses_that_are_needed_anyway_send_a_line_together(staged: bool) -> None:
    """Line b needs both; line a has enough in a third one, and stays with the two all the same: two parcels instead of three."""
    market = stocked(staged=staged, sku_a_part0={EAST: 1, WEST: 1, "whs_third": 9}, sku_b_part0={EAST: 1})
    view = placed(market, place(Wish(prefer=(WEST, EAST), together=2), Wish(prefer=(EAST,))))
    assert {source.warehouse_id for source in view.sources} == {EAST, WEST}


@pytest.mark.parametrize("staged", [False, True], ids=["in one turn", "from host to host"])
def test_the_next_part_of_a_split_article_is_asked_for_the_same_wish(staged: bool) -> None:
    market = stocked(staged=staged, parts=2, sku_a_part0={EAST: 1}, sku_a_part1={EAST: 3, WEST: 2})
    view = placed(market, place(Wish(prefer=(WEST,)), lines=(Line(sku_id="sku_a", quantity=2),)))
    assert view.sources == (Source(line=0, warehouse_id=WEST, quantity=2),)
    market.check()


@pytest.mark.parametrize("staged", [False, True], ids=["in one turn", "from host to host"])
def test_a_shop_without_warehouses_writes_nothing_of_them(staged: bool) -> None:
    market = stocked(staged=staged, sku_a_part0={"": 5}, sku_b_part0={"": 5})
    view = placed(market, PlaceOrder(order_id="ord_1", lines=(Line(sku_id="sku_a", quantity=1),), ship_to=HOME))
    assert view.sources == ()
    assert market.state("stock", "sku_a#0").spread is None


def test_a_paid_order_is_sold_where_it_was_held() -> None:
    market = stocked(staged=False, sku_a_part0={EAST: 1, WEST: 1}, sku_b_part0={"": 1})
    view = placed(market, place())
    assert {(source.line, source.warehouse_id) for source in view.sources} == {(0, EAST), (0, WEST)}
    market.ask("order", "usr_a", PayOrder(order_id="ord_1", payment_id="pay_1"), b"pay")
    money = {"amount": view.total.amount, "currency": view.total.currency}
    market.ask("order", "usr_a", PaymentNotice(order_id="ord_1", payment_id="pay_1", status="paid", provider_id="pi_1", **money))
    market.carry_all()
    assert {lot.warehouse_id: lot.sold for lot in market.state("stock", "sku_a#0").spread.lots.values()} == {"": 0, EAST: 1, WEST: 1}
    market.check()


def test_a_reservation_that_is_asked_twice_says_the_same_place() -> None:
    market = stocked(staged=False, sku_a_part0={EAST: 1, WEST: 5})
    ask = Reserve(reservation_id=derived_id("r"), order_id="ord_1", user_id="usr_a", quantity=1, deadline_ms=2**50, prefer=(EAST,))
    first = market.ask("stock", "sku_a#0", ask)
    assert market.ask("stock", "sku_a#0", ask).lots == first.lots
    assert first.lots[0].warehouse_id == EAST
