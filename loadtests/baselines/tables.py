"""The tables of the baselines, and a sale in them."""

import asyncio
from typing import Final

import asyncpg

from loadtests.baselines.wire import Terms

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS sales (
    sale_id text PRIMARY KEY, sku_id text NOT NULL, price bigint NOT NULL, currency text NOT NULL, limit_each int NOT NULL
);
CREATE TABLE IF NOT EXISTS stock (
    sku_id text PRIMARY KEY, available bigint NOT NULL CHECK (available >= 0), held bigint NOT NULL CHECK (held >= 0)
) WITH (fillfactor = 50);
CREATE TABLE IF NOT EXISTS purchases (
    sale_id text, user_id text, quantity int NOT NULL, limit_each int NOT NULL,
    PRIMARY KEY (sale_id, user_id), CHECK (quantity <= limit_each)
) WITH (fillfactor = 80);
CREATE TABLE IF NOT EXISTS orders (
    order_id text PRIMARY KEY, user_id text NOT NULL, idempotency_key text NOT NULL, sale_id text NOT NULL, sku_id text NOT NULL,
    quantity int NOT NULL, status text NOT NULL DEFAULT 'pending_payment', total_amount bigint NOT NULL, currency text NOT NULL,
    expires_ms bigint NOT NULL, placed_at timestamptz NOT NULL DEFAULT now(), UNIQUE (user_id, idempotency_key)
);
"""

OPEN_SALE: Final = """
WITH stocked AS (INSERT INTO stock (sku_id, available, held) VALUES ($2, $5, 0))
INSERT INTO sales (sale_id, sku_id, price, currency, limit_each) VALUES ($1, $2, $3, 'CNY', $4)
"""

READ_TERMS: Final = "SELECT sku_id, price, currency, limit_each FROM sales WHERE sale_id = $1"
READ_FIRST_ANSWER: Final = "SELECT order_id, total_amount, currency, expires_ms FROM orders WHERE user_id = $1 AND idempotency_key = $2"
TERMS_FRESH_S: Final = 1.0

BOOKS: Final = """
SELECT stock.available, stock.held, coalesce(sum(orders.quantity), 0)::bigint AS ordered, count(orders.order_id) AS orders
FROM stock LEFT JOIN orders ON orders.sku_id = stock.sku_id WHERE stock.sku_id = $1 GROUP BY stock.sku_id
"""


class Sales:
    """The terms of sales, kept for one second, so that no order reads them."""

    def __init__(self, pool: "asyncpg.Pool") -> None:
        self._pool = pool
        self._kept: dict[str, tuple[float, Terms | None]] = {}

    async def terms(self, sale_id: str) -> Terms | None:
        """The terms of a sale, at most a second old; None when there is no such sale."""
        now = asyncio.get_running_loop().time()
        at, terms = self._kept.get(sale_id, (-TERMS_FRESH_S, None))
        if now - at >= TERMS_FRESH_S:
            row = await self._pool.fetchrow(READ_TERMS, sale_id)
            terms = Terms(**row) if row is not None else None
            self._kept[sale_id] = (now, terms)
        return terms


async def open_sale(url: str, sale_id: str, *, sku_id: str, stock: int, limit_each: int, price: int) -> None:
    """Create the tables if they are missing, and one sale with its own stock row."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(SCHEMA)
        await connection.execute(OPEN_SALE, sale_id, sku_id, price, limit_each, stock)
    finally:
        await connection.close()


async def books_of(url: str, sku_id: str, *, at_least: int, taken_in_stock: bool) -> None:
    """Check that the tables hold every acknowledged order, and as much held stock where the stock row is the truth. RuntimeError else."""
    connection = await asyncpg.connect(url)
    try:
        row = await connection.fetchrow(BOOKS, sku_id)
    finally:
        await connection.close()
    assert row is not None
    if row["orders"] < at_least or (taken_in_stock and row["held"] != row["ordered"]):
        raise RuntimeError(f"{sku_id}: {at_least} orders were acknowledged, the tables hold {dict(row)}")
