"""Rules of the exchange with warehouses: what a change is, when to try again, when to rest."""

import pytest

from actors.domain import wms
from actors.domain.wms import Line, after_call, calls_at_once, change_flaw, changes_of, command_of, effect_of, wait_ms
from schemas.providers.wms import Change, Receipt, ReceivedLine, StockDelta
from schemas.stock import Adjust, Arrive, Move, PutIn, WriteOff


def change(kind: str, quantity: int, **more) -> Change:
    return Change(sku="A-1", kind=kind, quantity=quantity, **more)


TABLE = [
    (
        change("receipt", 5, batch="L", expires_on="2030-01-01", reference="PO"), 5,
        PutIn(quantity=5, reason="receipt", warehouse_id="whs_1", batch="L", expires_on="2030-01-01", reference="PO"),
    ),
    (change("return", 2, reference="ord_1"), 2, PutIn(quantity=2, reason="return", warehouse_id="whs_1", reference="ord_1")),
    (change("damage", 3), -3, WriteOff(quantity=3, reason="damage", warehouse_id="whs_1")),
    (change("adjustment", -4), -4, Adjust(delta=-4, reason="count", warehouse_id="whs_1")),
    (change("adjustment", 4), 4, Adjust(delta=4, reason="count", warehouse_id="whs_1")),
]  # fmt: skip


@pytest.mark.parametrize(("told", "effect", "command"), TABLE)
def test_a_change_is_a_command_to_the_stock_and_has_an_effect_on_the_count(told, effect, command) -> None:
    assert change_flaw(told) == ""
    assert effect_of(told) == effect
    assert command_of(told, "wms_1", "whs_1", "") == command


def test_both_ends_of_a_transfer_name_one_move_whichever_line_tells_of_it() -> None:
    sent = command_of(change("transfer", 3, transfer_id="T", phase="sent", to_warehouse="B"), "wms_1", "whs_1", "whs_2")
    arrived = command_of(change("transfer", 3, transfer_id="T", phase="arrived", lost=1), "wms_2", "whs_2", "")
    assert isinstance(sent, Move)
    assert isinstance(arrived, Arrive)
    assert sent.move_id == arrived.move_id
    assert (sent.from_warehouse, sent.to_warehouse, arrived.lost) == ("whs_1", "whs_2", 1)


@pytest.mark.parametrize(
    ("told", "flaw"),
    [
        (change("adjustment", 0), "quantity_zero"),
        (change("receipt", 0), "quantity_not_positive"),
        (change("damage", -1), "quantity_not_positive"),
        (change("transfer", 1), "transfer_incomplete"),
        (change("transfer", 1, transfer_id="T"), "transfer_incomplete"),
        (change("transfer", 1, transfer_id="T", phase="sent"), "transfer_without_goal"),
        (change("transfer", 1, transfer_id="T", phase="arrived"), ""),
    ],
)
def test_what_is_no_change_is_found(told, flaw) -> None:
    assert change_flaw(told) == flaw


def test_a_receipt_is_its_lines_and_a_delta_its_changes() -> None:
    lines = (ReceivedLine(sku="A", quantity=1, sequence=4), ReceivedLine(sku="B", quantity=2, batch="L"))
    found = changes_of(Receipt(receipt_id="R", occurred_at_ms=1, lines=lines, purchase_order="PO"))
    assert [(one.kind, one.sku, one.quantity, one.sequence, one.batch, one.reference) for one in found] == [
        ("receipt", "A", 1, 4, "", "PO"), ("receipt", "B", 2, 0, "L", "PO"),
    ]  # fmt: skip
    delta = StockDelta(occurred_at_ms=1, changes=(change("damage", 1),))
    assert changes_of(delta) == delta.changes


def test_waits_grow_are_spread_by_a_fifth_and_end_after_the_fifth() -> None:
    assert [wait_ms(tries, 0.5) for tries in range(1, 7)] == [5_000, 30_000, 300_000, 1_800_000, 14_400_000, None]
    assert (wait_ms(1, 0.0), wait_ms(1, 1.0)) == (4_000, 6_000)


def test_a_line_rests_after_five_failures_in_a_row_longer_each_time_and_is_whole_after_one_success() -> None:
    line, now = Line(), 1000
    rests = []
    for _ in range(wms.FAILURES_MAX + 4):
        line = after_call(line, failed=True, now_ms=now)
        rests.append(line.rests_until_ms - now if line.rests_until_ms else 0)
    assert rests == [0, 0, 0, 0, 30_000, 60_000, 120_000, 300_000, 300_000]
    assert calls_at_once(line, 4) == 1
    assert after_call(line, failed=False, now_ms=now) == Line()
    assert calls_at_once(Line(failures=4), 4) == 4
