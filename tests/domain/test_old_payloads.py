"""Facts that were written stay readable: bytes as an earlier version wrote them, and as a later one may."""

import msgspec
import pytest

from actors.domain import stock
from actors.domain.kinds import KINDS, body_decoder, encoder
from actors.testing.rehearsal import Rehearsal
from schemas.order import OrderPlaced, OrderView
from schemas.stock import PutIn, StockHeld, StockPutIn, StockSafetySet

HELD = bytes.fromhex(
    "949186a474797065aa73746f636b2e68656c64ae7265736572766174696f6e5f6964c41072727272727272727272727272727272a86f726465725f6964a5"
    "6f72645f31a7757365725f6964a57573725f31a87175616e7469747902ab646561646c696e655f6d7305c400c090"
)
PLACED = bytes.fromhex(
    "94918aa474797065ac6f726465722e706c61636564a86f726465725f6964a56f72645f31a56c696e65739184a6736b755f6964a5736b755f31a871"
    "75616e7469747901aa756e69745f7072696365cd03e7a973746f636b5f6b6579a7736b755f312330a5746f74616ccd03e7a863757272656e6379a3"
    "434e59af7265736572766174696f6e5f69647391c41072727272727272727272727272727272ac706c616365645f61745f6d7301ad657870697265"
    "735f61745f6d73ce000dbba1ad70726963655f76657273696f6e07a773616c655f6964a573616c5f31c401648ba474797065aa6f726465722e7669"
    "6577a86f726465725f6964a56f72645f31a6737461747573af70656e64696e675f7061796d656e74a5746f74616c82a6616d6f756e74cd03e7a863"
    "757272656e6379a3434e59ad657870697265735f61745f6d73ce000dbba1ac706c616365645f61745f6d7300a773616c655f6964a0a56c696e6573"
    "90a7636f75706f6e7390a87061796d656e747380a6726561736f6ea090"
)


def test_f19_records_of_the_first_version_are_read() -> None:
    held = body_decoder.decode(HELD)
    assert held.events == [StockHeld(reservation_id=b"r" * 16, order_id="ord_1", user_id="usr_1", quantity=2, deadline_ms=5)]
    placed = body_decoder.decode(PLACED)
    [event] = placed.events
    assert isinstance(event, OrderPlaced)
    assert (event.total, event.lines[0].stock_key, event.sale_id, event.expires_at_ms) == (999, "sku_1#0", "sal_1", 900_001)
    assert isinstance(placed.answer, OrderView)
    assert placed.digest == b"d"


def test_f19_a_field_that_a_later_version_added_is_passed_over() -> None:
    raw = msgspec.msgpack.decode(HELD)
    raw[0][0]["a_field_of_tomorrow"] = {"nested": [1, 2]}
    raw.append("a part of tomorrow")
    assert body_decoder.decode(encoder.encode(raw)).events == body_decoder.decode(HELD).events


def test_f19_no_two_events_commands_or_replies_share_a_tag() -> None:
    structs = {struct for kind in KINDS.values() for struct in (*kind.commands, *kind.events, *kind.replies)}
    tags = [struct.__struct_config__.tag for struct in structs]
    assert len(tags) == len(set(tags))


def test_f19_without_warehouses_what_is_written_is_what_was_always_written() -> None:
    """A hold of the unnamed warehouse has the bytes of before there were others; a state of then is all in the unnamed one."""
    held = StockHeld(reservation_id=b"r" * 16, order_id="ord_1", user_id="usr_1", quantity=2, deadline_ms=5)
    kind = KINDS["stock"]
    assert encoder.encode(body_decoder.decode(HELD)) == HELD
    assert encoder.encode([[held], b"", None, []]) == HELD
    old = {
        "key": "sku_1#0", "put_in": 5, "received": 0, "available": 3, "held": 2, "sold": 0, "written_off": 0, "sent": 0, "in_transit": 0,
        "wake_ms": 60_005, "holds": {b"r" * 16: ["ord_1", "usr_1", 2, 5]}, "done": {}, "done_before": {}, "done_since_ms": 0,
        "taken": b"rrrr", "generation": 1, "transfers_out": {}, "transfers_in": {},
    }  # fmt: skip
    state = msgspec.msgpack.decode(encoder.encode(old), type=kind.state)
    assert stock.invariant(state) == []
    fresh = kind.new("sku_1#0")
    for event in (StockPutIn(quantity=5), held):
        kind.apply(fresh, event)
    assert state == fresh
    assert msgspec.msgpack.decode(encoder.encode(fresh)).keys() <= old.keys()


def test_f19_a_host_that_knows_no_warehouses_cannot_read_on_and_lose_them() -> None:
    """The first unit of a warehouse comes after an event that an older version does not know, so that it stops there."""
    run = Rehearsal(KINDS["stock"], "sku_1#0")
    run.ask(PutIn(quantity=1), 1)
    run.ask(PutIn(quantity=1, warehouse_id="whs_1"), 1)
    assert [type(event) for event in run.events] == [StockPutIn, StockSafetySet, StockPutIn]
    known = StockPutIn | StockHeld
    with pytest.raises(msgspec.ValidationError, match=r"stock\.safety_set"):
        msgspec.msgpack.decode(encoder.encode(run.events), type=list[known])
