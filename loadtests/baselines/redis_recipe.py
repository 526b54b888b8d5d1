"""Baseline (b), the Redis recipe: FastAPI, a Lua script that takes stock in Redis, then one durable order INSERT.

What it gives up, and the row lock does not: a crash between the script and the INSERT loses that stock
for sale until somebody recounts it. It is measured as it is commonly built.
"""

import contextlib
import os
from collections.abc import AsyncIterator
from typing import Final

import asyncpg
import redis.asyncio as redis
from fastapi import FastAPI, Request, Response

from loadtests.baselines.rowlock import PLACE
from loadtests.baselines.tables import READ_FIRST_ANSWER, Sales
from loadtests.baselines.wire import Wanted, placed, problem, wanted

REDIS_POOL_SIZE: Final = 64

TAKE: Final = """
local bought = tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or '0')
if bought + ARGV[2] > tonumber(ARGV[3]) then return -2 end
if tonumber(redis.call('GET', KEYS[1]) or '0') < tonumber(ARGV[2]) then return -1 end
redis.call('HINCRBY', KEYS[2], ARGV[1], ARGV[2])
return redis.call('DECRBY', KEYS[1], ARGV[2])
"""

GIVE_BACK: Final = """
redis.call('HINCRBY', KEYS[2], ARGV[1], -ARGV[2])
return redis.call('INCRBY', KEYS[1], ARGV[2])
"""

REFUSALS: Final = {-1: "sold_out", -2: "purchase_limit"}


def keys_of(sale_id: str) -> tuple[str, str]:
    """The Redis keys of a sale: what is left, and what each user bought."""
    return f"sale:{sale_id}:left", f"sale:{sale_id}:bought"


async def stock_up(url: str, sale_id: str, stock: int) -> None:
    """Put a sale's stock into Redis."""
    client = redis.Redis.from_url(url)
    try:
        await client.set(keys_of(sale_id)[0], stock)
    finally:
        await client.aclose()


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    size = int(os.environ.get("BASELINE_POOL", "8"))
    connections = redis.BlockingConnectionPool.from_url(os.environ["BASELINE_REDIS_URL"], max_connections=REDIS_POOL_SIZE, timeout=None)
    client = redis.Redis.from_pool(connections)
    async with asyncpg.create_pool(os.environ["BASELINE_DATABASE_URL"], min_size=size, max_size=size) as pool:
        app.state.pool, app.state.sales = pool, Sales(pool)
        app.state.take, app.state.give_back = client.register_script(TAKE), client.register_script(GIVE_BACK)
        yield
    await client.aclose()


app = FastAPI(lifespan=_lifespan, openapi_url=None)


@app.post("/v1/flash-sales/{sale_id}/orders")
async def place_order(request: Request, sale_id: str) -> Response:
    """Place one order: taken in Redis, durable in PostgreSQL before the answer leaves."""
    state = request.app.state
    want = await wanted(request, sale_id, await state.sales.terms(sale_id))
    if isinstance(want, Response):
        return want
    keys = keys_of(sale_id)
    left = await state.take(keys=keys, args=(want.user_id, want.quantity, want.limit_each))
    if left < 0:
        return await _answer_again(state.pool, want) or problem(409, REFUSALS[left])
    if await _inserted(state.pool, want):
        return placed(want.order_id, want.total, want.currency, want.expires_ms)
    await state.give_back(keys=keys, args=(want.user_id, want.quantity))
    return await _answer_again(state.pool, want) or problem(503, "outcome_unknown")


async def _inserted(pool: "asyncpg.Pool", want: Wanted) -> bool:
    row = (want.order_id, want.user_id, want.key, want.sale_id, want.sku_id, want.quantity, want.total, want.currency, want.expires_ms)
    return await pool.fetchval(PLACE, *row) is not None


async def _answer_again(pool: "asyncpg.Pool", want: Wanted) -> Response | None:
    row = await pool.fetchrow(READ_FIRST_ANSWER, want.user_id, want.key)
    return None if row is None else placed(row["order_id"], row["total_amount"], row["currency"], row["expires_ms"])
