"""Goods, sales and stock for tests of the watch: rows as the projections and the documents write them."""

import json
from typing import Any

DAY_MS = 86_400_000
NOW_MS = 1_790_000_000_000 // DAY_MS * DAY_MS + 40_000_000
"""A morning."""
TODAY = NOW_MS // DAY_MS

PRODUCT = """
INSERT INTO product (product_id, title, title_zh, department, department_zh, state, on_shelf_since_ms, category_id, doc)
VALUES ($1, $1, $1, 'd', 'd', $2, $3, $4, $5)"""
SKU = """
INSERT INTO sku (sku_id, product_id, code, price_minor, currency, on_shelf, safety_stock) VALUES ($1, $2, $1, $3, 'CNY', $4, $5)"""
STOCK = """
INSERT INTO stock_level (key, put_in, available, held) VALUES ($1 || '#0', $2 + $3, $2, $3)
ON CONFLICT (key) DO UPDATE SET available = $2, held = $3"""
ORDER = """
INSERT INTO orders (order_id, user_id, status, total_amount, currency, sale_id, placed_at_ms, expires_at_ms, shard, updated_seq, lines)
VALUES ($1, 'usr_1', 'paid', $2, 'CNY', '', $3, $3, 0, 1, $4)"""
ENTRIES = """
INSERT INTO ledger_entry (posting, account, amount, currency, order_id, at_ms)
VALUES ($1, $2, $4, 'CNY', $5, $6), ($1, $3, -$4::bigint, 'CNY', $5, $6)"""


async def product(
    connection: Any, name: str, *, state: str = "on_shelf", age_days: int = 100, category_id: str | None = None, price: int = 1000,
    available: int = 0, held: int = 0, safety_stock: int = 0, doc: Any = None,
) -> str:  # fmt: skip
    """A product ``prd_<name>`` with one article ``sku_<name>``; answers the product's id."""
    text = None if doc is None else json.dumps(doc)
    await connection.execute(PRODUCT, f"prd_{name}", state, NOW_MS - age_days * DAY_MS, category_id, text)
    await connection.execute(SKU, f"sku_{name}", f"prd_{name}", price, state == "on_shelf", safety_stock)
    if available or held:
        await stock(connection, name, available, held)
    return f"prd_{name}"


async def stock(connection: Any, name: str, available: int, held: int = 0) -> None:
    """So much there is of an article."""
    await connection.execute(STOCK, f"sku_{name}", available, held)


async def sold(connection: Any, order_id: str, lines: dict[str, int], *, days_ago: int = 0, price: int = 1000) -> None:
    """A paid order, as the follower writes it: the order and the entries of its payment in one transaction."""
    at_ms = NOW_MS - days_ago * DAY_MS
    written = [
        {"sku_id": f"sku_{name}", "quantity": quantity, "unit_price": price, "stock_key": f"sku_{name}#0"}
        for name, quantity in lines.items()
    ]
    total = price * sum(lines.values())
    async with connection.transaction():
        await connection.execute(ORDER, order_id, total, at_ms, json.dumps(written))
        await connection.execute(ENTRIES, f"order:{order_id}", "customer.deposits", "merchant.payable", total, order_id, at_ms)


async def paid_back(connection: Any, order_id: str, *, days_ago: int = 0) -> None:
    """The order could not be delivered: its money goes back."""
    total = await connection.fetchval("SELECT total_amount FROM orders WHERE order_id = $1", order_id)
    async with connection.transaction():
        await connection.execute("UPDATE orders SET status = 'unfulfillable' WHERE order_id = $1", order_id)
        await connection.execute(
            ENTRIES, f"refund:{order_id}", "merchant.payable", "refunds.payable", total, order_id, NOW_MS - days_ago * DAY_MS
        )
