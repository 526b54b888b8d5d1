"""What clients were told against the tables."""

import pytest

from loadtests.generator.plan import Plan, Requests, Sent
from loadtests.reconcile import Acknowledged, Differences, Row, compare, told_by


def _row(order_id: str, **fields: object) -> Row:
    values = {"user_id": "usr_1", "status": "pending_payment", "total_amount": 1999, "currency": "CNY", "sale_id": "sal_1"}
    return Row(order_id=order_id, **(values | fields))


def _ack(order_id: str, **fields: object) -> Acknowledged:
    values = {"user_id": "usr_1", "sale_id": "sal_1", "total": 1999, "currency": "CNY", "key": f"key-{order_id}"}
    return Acknowledged(order_id=order_id, **(values | fields))


def test_nothing_differs_when_the_tables_hold_what_was_told() -> None:
    found = compare([_ack("ord_1"), _ack("ord_2")], {"ord_1": _row("ord_1"), "ord_2": _row("ord_2", status="cancelled")})
    assert found == Differences(acknowledged=2)
    assert found.none
    assert str(found) == "2 acknowledged orders: all in the tables, as told"


def test_an_acknowledged_order_that_is_not_there_is_missing() -> None:
    found = compare([_ack("ord_1"), _ack("ord_2")], {"ord_1": _row("ord_1")})
    assert found == Differences(acknowledged=2, missing=("ord_2",))
    assert str(found) == "2 acknowledged orders: 1 missing (ord_2)"


@pytest.mark.parametrize("planted", [{"user_id": "usr_2"}, {"sale_id": None}, {"total_amount": 1998}, {"currency": "USD"}])
def test_an_order_that_is_there_otherwise_than_told_is_different(planted: dict[str, object]) -> None:
    assert compare([_ack("ord_1")], {"ord_1": _row("ord_1", **planted)}) == Differences(acknowledged=1, different=("ord_1",))


def test_what_was_not_told_is_not_compared() -> None:
    told = Acknowledged(order_id="ord_1")
    assert compare([told], {"ord_1": _row("ord_1", user_id="usr_9", total_amount=5)}).none


def test_two_orders_for_one_key_are_a_double() -> None:
    rows = {"ord_1": _row("ord_1"), "ord_2": _row("ord_2")}
    found = compare([_ack("ord_1", key="k"), _ack("ord_2", key="k")], rows)
    assert found == Differences(acknowledged=2, doubled=("k: ord_1, ord_2",))


def test_the_same_key_of_two_users_is_no_double() -> None:
    rows = {"ord_1": _row("ord_1"), "ord_2": _row("ord_2", user_id="usr_2")}
    assert compare([_ack("ord_1", key="k"), _ack("ord_2", key="k", user_id="usr_2")], rows).none


def test_the_same_answer_told_again_is_no_double() -> None:
    assert compare([_ack("ord_1"), _ack("ord_1")], {"ord_1": _row("ord_1")}).none


def test_one_order_told_to_two_keys_is_shared() -> None:
    found = compare([_ack("ord_1", key="a"), _ack("ord_1", key="b")], {"ord_1": _row("ord_1")})
    assert found == Differences(acknowledged=2, shared=("ord_1",))


def test_only_accepted_answers_with_an_order_were_told() -> None:
    plan = Plan(host="h", port=1, paths=("/",), method="POST", run="r", seconds=1, output="")
    sent = [
        Sent(number=0, intended_s=0, done_s=1, status=201, order_id="ord_1"),
        Sent(number=1, intended_s=0, done_s=1, status=409, code="sold_out"),
        Sent(number=2, intended_s=0, done_s=1, status=0),
    ]
    told = told_by(sent, Requests(plan, [("usr_a", "t"), ("usr_b", "t")]), "sal_1")
    assert told == [Acknowledged(order_id="ord_1", user_id="usr_a", sale_id="sal_1", key="r-00000000")]
