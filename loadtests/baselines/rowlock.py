"""Baseline (a), row lock: FastAPI and asyncpg, one transaction an order, the stock row taken by a conditional UPDATE.

Three forms, by ``BASELINE_STATEMENT``: ``transaction`` (as it is usually written: the stock first, then the
purchase and the order), ``stock_last`` (the same with the stock's row taken last, so that it is locked for the
shortest time that several statements allow) and ``cte`` (all of it in one statement and one round trip).
PostgreSQL keeps the row lock until the commit is on disk in all of them: that is what bounds them.
"""

import contextlib
import os
from collections.abc import AsyncIterator
from typing import Any, Final

import asyncpg
from fastapi import FastAPI, Request, Response

from loadtests.baselines.tables import READ_FIRST_ANSWER, Sales
from loadtests.baselines.wire import Wanted, placed, problem, wanted

PLACE: Final = """
INSERT INTO orders (order_id, user_id, idempotency_key, sale_id, sku_id, quantity, total_amount, currency, expires_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (user_id, idempotency_key) DO NOTHING RETURNING order_id
"""

COUNT: Final = """
INSERT INTO purchases AS mine (sale_id, user_id, quantity, limit_each) SELECT $1, $2, $3::int, $4::int WHERE $3 <= $4
ON CONFLICT (sale_id, user_id) DO UPDATE SET quantity = mine.quantity + $3 WHERE mine.quantity + $3 <= $4 RETURNING quantity
"""

TAKE: Final = """
UPDATE stock SET available = available - $2, held = held + $2 WHERE sku_id = $1 AND available >= $2 RETURNING available
"""

ALL_IN_ONE: Final = """
WITH taken AS (
    UPDATE stock SET available = available - $6, held = held + $6
    WHERE sku_id = $5 AND available >= $6
      AND NOT EXISTS (SELECT FROM orders WHERE user_id = $2 AND idempotency_key = $3)
      AND $6 + coalesce((SELECT quantity FROM purchases WHERE sale_id = $4 AND user_id = $2), 0) <= $10
    RETURNING sku_id
), counted AS (
    INSERT INTO purchases AS mine (sale_id, user_id, quantity, limit_each) SELECT $4, $2, $6, $10 FROM taken
    ON CONFLICT (sale_id, user_id) DO UPDATE SET quantity = mine.quantity + $6
)
INSERT INTO orders (order_id, user_id, idempotency_key, sale_id, sku_id, quantity, total_amount, currency, expires_ms)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9 FROM taken RETURNING order_id
"""
"""Two orders of one user at once both pass the reads; the table's CHECK and UNIQUE then undo the second one whole."""

READ_BOUGHT: Final = "SELECT quantity FROM purchases WHERE sale_id = $1 AND user_id = $2"


class _Refused(Exception):
    """Undoes the transaction; carries the code."""


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    size = int(os.environ.get("BASELINE_POOL", "8"))
    async with asyncpg.create_pool(os.environ["BASELINE_DATABASE_URL"], min_size=size, max_size=size) as pool:
        app.state.pool, app.state.sales = pool, Sales(pool)
        yield


app = FastAPI(lifespan=_lifespan, openapi_url=None)
_form = os.environ.get("BASELINE_STATEMENT", "transaction")


@app.post("/v1/flash-sales/{sale_id}/orders")
async def place_order(request: Request, sale_id: str) -> Response:
    """Place one order; durable before the answer leaves."""
    pool: asyncpg.Pool = request.app.state.pool
    want = await wanted(request, sale_id, await request.app.state.sales.terms(sale_id))
    if isinstance(want, Response):
        return want
    try:
        await _FORMS[_form](pool, want)
    except _Refused as refused:
        return await _answer_again(pool, want) or problem(409, str(refused))
    return placed(want.order_id, want.total, want.currency, want.expires_ms)


async def _by_transaction(pool: "asyncpg.Pool", want: Wanted) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await _take(connection, want)
        await _count(connection, want)
        await _insert(connection, want)


async def _by_transaction_stock_last(pool: "asyncpg.Pool", want: Wanted) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await _insert(connection, want)
        await _count(connection, want)
        await _take(connection, want)


async def _take(connection: Any, want: Wanted) -> None:
    if await connection.fetchval(TAKE, want.sku_id, want.quantity) is None:
        raise _Refused("sold_out")


async def _count(connection: Any, want: Wanted) -> None:
    if await connection.fetchval(COUNT, want.sale_id, want.user_id, want.quantity, want.limit_each) is None:
        raise _Refused("purchase_limit")


async def _insert(connection: Any, want: Wanted) -> None:
    if await connection.fetchval(PLACE, *_row(want)) is None:
        raise _Refused("idempotency_key_reused")


async def _by_statement(pool: "asyncpg.Pool", want: Wanted) -> None:
    try:
        if await pool.fetchval(ALL_IN_ONE, *_row(want), want.limit_each) is not None:
            return
    except asyncpg.CheckViolationError:
        raise _Refused("purchase_limit") from None
    except asyncpg.UniqueViolationError:
        raise _Refused("idempotency_key_reused") from None
    bought = await pool.fetchval(READ_BOUGHT, want.sale_id, want.user_id) or 0
    raise _Refused("purchase_limit" if bought + want.quantity > want.limit_each else "sold_out")


_FORMS: Final = {"transaction": _by_transaction, "stock_last": _by_transaction_stock_last, "cte": _by_statement}


async def _answer_again(pool: "asyncpg.Pool", want: Wanted) -> Response | None:
    row = await pool.fetchrow(READ_FIRST_ANSWER, want.user_id, want.key)
    return None if row is None else placed(row["order_id"], row["total_amount"], row["currency"], row["expires_ms"])


def _row(want: Wanted) -> tuple[str | int, ...]:
    return (
        want.order_id,
        want.user_id,
        want.key,
        want.sale_id,
        want.sku_id,
        want.quantity,
        want.total,
        want.currency,
        want.expires_ms,
    )
