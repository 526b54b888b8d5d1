"""The watch as a process of its own: killed at any moment, the next one ends with the same counts; it carries no heavy library."""

import asyncio
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from actors.runtime import goods_watch
from actors.runtime.config import write_config
from actors.storage.migrate import found_cluster
from actors.storage.watch import selling
from schemas.settings import Settings

pytestmark = pytest.mark.slow

FILL = """
INSERT INTO product (product_id, title, title_zh, department, department_zh, on_shelf_since_ms)
SELECT 'prd_' || n, 't', 't', 'd', 'd', 1 FROM generate_series(0, 999) n;
INSERT INTO sku (sku_id, product_id, code, price_minor, currency)
SELECT 'sku_' || n, 'prd_' || n, 'c' || n, 1000, 'CNY' FROM generate_series(0, 999) n;
INSERT INTO orders (order_id, user_id, status, total_amount, currency, sale_id, placed_at_ms, expires_at_ms, shard, updated_seq, lines)
SELECT 'ord_' || n, 'usr_1', 'paid', 2000, 'CNY', '', 0, 0, 0, 1, jsonb_build_array(
    jsonb_build_object('sku_id', 'sku_' || n % 1000, 'quantity', 1, 'unit_price', 1000),
    jsonb_build_object('sku_id', 'sku_' || n * 7 % 1000, 'quantity', 2, 'unit_price', 500)) FROM generate_series(1, 2500) n;
INSERT INTO ledger_entry (posting, account, amount, currency, order_id, at_ms)
SELECT 'order:ord_' || n, 'merchant.payable', -2000, 'CNY', 'ord_' || n,
    (extract(epoch FROM now()) * 1000)::bigint - 86400000::bigint * (n % 50) FROM generate_series(1, 2500) n"""
COUNTS = "SELECT sku_id, day, units, revenue_minor, orders FROM sku_day ORDER BY 1, 2"
PAIRS = "SELECT product_id, with_id, orders FROM product_pair ORDER BY 1, 2"
FACTS = "SELECT product_id, facts::text AS facts FROM product_fact ORDER BY 1"
TAGS = "SELECT product_id, tags FROM product ORDER BY 1"
PROPOSALS = "SELECT product_id, rule, state, mark, evidence::text AS evidence FROM proposal WHERE state = 'open' ORDER BY 1, 2"


def test_neither_the_watch_nor_who_starts_it_has_a_heavy_library_in_memory() -> None:
    look = "import sys, actors.runtime.goods_watch; print([name for name in ('polars', 'ray', 'litestar') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True).stdout == "[]\n"


async def test_a_round_that_is_killed_anywhere_is_taken_up_by_the_next_one(database_url: str, tmp_path: Path, eventually: Any) -> None:
    connection = await asyncpg.connect(database_url)
    await found_cluster(connection, 8)
    await connection.execute(selling.COUNTED)  # by the news of each entry, and not all at once
    await connection.execute(FILL)
    data = tmp_path / "data"
    data.mkdir()
    config = str(write_config(Settings(data_dir=str(data), database_url=database_url, shard_count=8)))
    command, chance = [sys.executable, "-m", goods_watch.MODULE, config], random.Random(3)
    for _ in range(3):
        process = await asyncio.create_subprocess_exec(*command)
        await asyncio.sleep(0.5 + chance.random())
        process.send_signal(signal.SIGKILL)
        await process.wait()
    await eventually(lambda: _nobody_at_work(connection))
    assert await _run(command) == 0
    after = await _everything(connection)
    assert [len(rows) > 0 for rows in after] == [True] * 5
    assert await connection.fetchval("SELECT count(*) FROM product_fact_due") == 0
    assert await connection.fetchval("SELECT count(*) FROM sale_news") == 0
    await selling.recount(connection)
    assert await _run(command) == 0
    assert await _everything(connection) == after
    await connection.close()


async def _nobody_at_work(connection: Any) -> bool:
    """The server has heard of those that were killed."""
    return await connection.fetchval("SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'stampede watch')")


async def _run(command: list[str]) -> int:
    process = await asyncio.create_subprocess_exec(*command)
    return await process.wait()


async def _everything(connection: Any) -> list[list[tuple[Any, ...]]]:
    return [[tuple(row) for row in await connection.fetch(statement)] for statement in (COUNTS, PAIRS, FACTS, TAGS, PROPOSALS)]
