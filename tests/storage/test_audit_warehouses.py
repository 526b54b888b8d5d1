"""The audit finds every kind of break in the books of warehouses by its id."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from actors.storage.audit import audit
from schemas.stock import Lot, StockHeld, StockReturned
from tests.storage.test_audit import Books, books, ids_of

pytestmark = pytest.mark.slow

__all__ = ("books",)

Break = Callable[[Books], Awaitable[str]]
BREAKS: dict[str, Break] = {}


def planted(name: str) -> Callable[[Break], Break]:
    def register(plant: Break) -> Break:
        BREAKS[name] = plant
        return plant

    return register


@planted("a movement of stock is lost")
async def a_movement_of_stock_is_lost(books: Books) -> str:
    row = await books.one("SELECT shard, seq, n FROM stock_movement WHERE kind = 'hold' ORDER BY seq DESC LIMIT 1")
    await books.db.execute("DELETE FROM stock_movement WHERE shard = $1 AND seq = $2 AND n = $3", *row)
    return ":".join(map(str, row))


@planted("a movement of stock was altered")
async def a_movement_of_stock_was_altered(books: Books) -> str:
    await books.db.execute("UPDATE stock_movement SET held = held + 1 WHERE kind = 'hold' AND warehouse_id = 'whs_w'")
    return "sku_wh#0 in whs_w"


@planted("a movement of stock that never was")
async def a_movement_of_stock_that_never_was(books: Books) -> str:
    await books.db.execute("INSERT INTO stock_movement VALUES (0, 999999, 0, 'sku_wh#0', 'whs_e', '', 'in', 1, 1, 0, '', '', 0)")
    return "0:999999:0"


@planted("a warehouse has other counts")
async def a_warehouse_has_other_counts(books: Books) -> str:
    await books.db.execute("UPDATE stock_warehouse SET sold = sold + 1, held = held - 1 WHERE warehouse_id = 'whs_w'")
    return "sku_wh#0 in whs_w"


@planted("a warehouse has another safety stock")
async def a_warehouse_has_another_safety_stock(books: Books) -> str:
    await books.db.execute("UPDATE stock_warehouse SET safety = 0 WHERE warehouse_id = 'whs_w'")
    return "sku_wh#0 in whs_w"


@planted("an order is said to be sent from elsewhere")
async def an_order_is_said_to_be_sent_from_elsewhere(books: Books) -> str:
    row = await books.one("SELECT order_id FROM orders WHERE sources <> '[]' LIMIT 1")
    await books.db.execute("""UPDATE orders SET sources = '[[0, "whs_x", 1]]' WHERE order_id = $1""", row["order_id"])
    return str(row["order_id"])


@planted("more came back than was sold")
async def more_came_back_than_was_sold(books: Books) -> str:
    _, event = await books.events_of("stock", StockReturned)
    again = msgspec.structs.replace(event, return_id=b"again" * 3, quantity=2, lots=(Lot(warehouse_id="whs_e", quantity=2),))
    await books.forge("stock", "sku_wh#0", again)
    return str(event.reservation_id.hex())


@planted("a warehouse sells what is in another")
async def a_warehouse_sells_what_is_in_another(books: Books) -> str:
    held = StockHeld(
        reservation_id=b"elsewhere", order_id="ord_x", user_id="usr_x", quantity=3, deadline_ms=2**50,
        lots=(Lot(warehouse_id="whs_n", quantity=3),),
    )  # fmt: skip
    await books.forge("stock", "sku_wh#0", held)
    return "sku_wh#0"


@pytest.mark.parametrize("name", BREAKS)
async def test_a_planted_break_of_a_warehouse_is_found_by_its_id(name: str, books: Any) -> None:
    wanted = await BREAKS[name](books)
    report = await audit(books.url)
    assert not report.ok
    assert wanted in ids_of(report), report.findings
