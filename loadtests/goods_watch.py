"""``python -m loadtests.goods_watch``: what the watch over goods costs, over 50,000 products with a year's worth of sales.

Each round is a process of its own, as beside a shop. Measured: the first round (everything is counted and judged), one after a night
(every product is a day older), one after an order, and one after nothing. Prints seconds, processor seconds and memory, writes
``.bench/goods_watch.json``; exit 1 when what changes is not seen within a minute.
"""

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import asyncpg
import msgspec

from actors.storage.embedded import EmbeddedPostgres

OUTPUT: Final = Path(".bench")
SEEN_S_MAX: Final = 60.0
PROGRAM: Final = (sys.executable, "-m", "serve.cli.main")

FILL: Final = (
    """INSERT INTO product (product_id, title, title_zh, department, department_zh, on_shelf_since_ms)
    SELECT 'prd_' || n, 'Product ' || n, '商品' || n, 'd', 'd', (extract(epoch FROM now()) * 1000)::bigint - 86400000::bigint * (n % 400)
    FROM generate_series(1, $1::integer) n""",
    """INSERT INTO sku (sku_id, product_id, code, price_minor, currency, safety_stock)
    SELECT 'sku_' || n, 'prd_' || n, 'c' || n, 1000 + n % 900, 'CNY', n % 3 FROM generate_series(1, $1::integer) n""",
    """INSERT INTO stock_level (key, put_in, available)
    SELECT 'sku_' || n || '#0', n % 200, n % 200 FROM generate_series(1, $1::integer) n""",
)
ORDERS: Final = """
WITH made AS (
    SELECT 'ord_' || ($1::text) || n AS order_id,
        (extract(epoch FROM now()) * 1000)::bigint - 86400000::bigint * (n % $4::integer) AS at_ms,
        'sku_' || (1 + (n::bigint * 7919) % $3::integer) AS one,
        'sku_' || (1 + (n::bigint * 104729) % ($3::integer / 20)) AS other
    FROM generate_series(1, $2::integer) n
), placed AS (
    INSERT INTO orders (order_id, user_id, status, total_amount, currency, sale_id, placed_at_ms, expires_at_ms, shard, updated_seq, lines)
    SELECT order_id, 'usr_1', 'paid', 3000, 'CNY', '', at_ms, at_ms, 0, 1, jsonb_build_array(
        jsonb_build_object('sku_id', one, 'quantity', 1, 'unit_price', 1000, 'stock_key', one || '#0'),
        jsonb_build_object('sku_id', other, 'quantity', 2, 'unit_price', 1000, 'stock_key', other || '#0')) FROM made
)
INSERT INTO ledger_entry (posting, account, amount, currency, order_id, at_ms)
SELECT 'order:' || order_id, account, amount, 'CNY', order_id, at_ms FROM made
CROSS JOIN LATERAL (VALUES ('customer.deposits', 3000), ('merchant.payable', -3000)) AS e (account, amount)"""
NIGHT: Final = "UPDATE product_fact SET day = day - 1"


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One round as a process. processor_s: its own; database_s is not in it. memory_mb: at most."""

    name: str
    seconds: float
    processor_s: float
    memory_mb: float
    told: dict[str, int | bool]


def run_round(environment: dict[str, str], name: str) -> Measured:
    """A round, measured from its start to its end."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    told = subprocess.run([*PROGRAM, "watch", "--json"], env=environment, capture_output=True, text=True, check=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Measured(
        name=name, seconds=round(time.monotonic() - begun, 2), processor_s=round(spent, 2), memory_mb=round(after.ru_maxrss / 1024),
        told=json.loads(told),
    )  # fmt: skip


async def _fill(url: str, products: int, orders: int) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in FILL:
            await connection.execute(statement, products)
        await connection.execute(ORDERS, "a", orders, products, 90)
        await connection.execute("ANALYZE")
    finally:
        await connection.close()


async def _do(url: str, statement: str, *arguments: object) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement, *arguments)
    finally:
        await connection.close()


def measure(url: str, folder: Path, products: int, orders: int) -> list[Measured]:
    """All rounds, one after the other."""
    environment = {**os.environ, "STAMPEDE_DATABASE_URL": url, "STAMPEDE_DATA_DIR": str(folder)}
    subprocess.run([*PROGRAM, "migrate"], env=environment, check=True, capture_output=True)
    asyncio.run(_fill(url, products, orders))
    found = [run_round(environment, "the first one")]
    found.append(run_round(environment, "after the tags"))
    found.append(run_round(environment, "after nothing"))
    asyncio.run(_do(url, ORDERS, "b", 1, products, 1))
    found.append(run_round(environment, "after an order"))
    asyncio.run(_do(url, NIGHT))
    found.append(run_round(environment, "after a night"))
    return found


def main(arguments: list[str] | None = None) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.goods_watch", description="What the watch over goods costs.")
    parser.add_argument("--products", type=int, default=50_000)
    parser.add_argument("--orders", type=int, default=100_000)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="stampede-goods-watch-") as folder, EmbeddedPostgres(Path(folder) / "postgres") as server:
        found = measure(server.url, Path(folder), options.products, options.orders)
    for one in found:
        print(f"{one.name:16} {one.seconds:7.2f} s, {one.processor_s:6.2f} s of a core, {one.memory_mb:4.0f} MB, {one.told}")
    OUTPUT.mkdir(exist_ok=True)
    (OUTPUT / "goods_watch.json").write_bytes(msgspec.json.encode(found))
    return 0 if all(one.seconds <= SEEN_S_MAX for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
