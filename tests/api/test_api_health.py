"""Readiness asks the database over a connection of its own, and waits for it no longer than a second."""

import asyncio
import os
import signal
import time
from contextlib import AsyncExitStack
from typing import Any

import pytest

from actors.storage import connect
from actors.storage.connect import open_pool

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROBE = "SELECT pid FROM pg_stat_activity WHERE application_name = 'stampede probe' AND datname = current_database()"


async def test_f28_with_every_connection_taken_the_shop_is_ready_and_a_reader_is_told_to_come_back(
    shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect, "ANSWER_TIMEOUT_S", 0.3)
    token = shop.user()[1]
    async with AsyncExitStack() as stack:
        for _ in range(shop.pool.get_max_size()):
            await stack.enter_async_context(shop.pool.acquire())
        ready, orders = await asyncio.gather(shop.ask("GET", "/readyz"), shop.ask("GET", "/v1/orders", token=token))
    assert (ready.status, ready.json) == (200, {"status": "ok"})
    assert (orders.status, orders.code, orders.headers["retry-after"]) == (503, "storage_unavailable", "2")
    assert (await shop.ask("GET", "/v1/orders", token=token)).status == 200


@pytest.mark.slow
async def test_f28_a_database_that_does_not_answer_is_not_waited_for(shop: Any, database_url: str) -> None:
    assert (await shop.ask("GET", "/readyz")).status == 200
    pool = await open_pool(database_url, size=1)
    [row] = await pool.fetch(PROBE)
    os.kill(row["pid"], signal.SIGSTOP)
    try:
        began_s = time.monotonic()
        answers = await asyncio.gather(*(shop.ask("GET", "/readyz") for _ in range(20)))
        took_s = time.monotonic() - began_s
    finally:
        os.kill(row["pid"], signal.SIGCONT)
        await pool.close()
    assert {(answer.status, answer.code, answer.headers["retry-after"]) for answer in answers} == {(503, "storage_unavailable", "2")}
    assert took_s < 2
    assert (await shop.ask("GET", "/healthz")).status == 200
    assert (await shop.ask("GET", "/readyz")).status == 200
