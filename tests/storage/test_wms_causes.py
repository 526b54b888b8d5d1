"""Paid orders become messages to warehouses with the projection that follows the journal: each once, over crashes and rebuilds."""

import asyncio
from typing import Any

import asyncpg
import pytest

from actors.storage.connect import open_pool
from actors.storage.projections.follower import Follower
from actors.storage.projections.groups import GROUPS
from actors.storage.projections.rebuild import rebuild
from actors.storage.wms_outbox import Outbox

pytestmark = pytest.mark.slow

OPEN = """
WITH places AS (
    SELECT '' AS name UNION SELECT source ->> 1 FROM orders CROSS JOIN LATERAL jsonb_array_elements(sources) AS source
), lines AS (
    INSERT INTO wms_connection (connection_id, title, warehouse_id, warehouse_code, url, state, created_at_ms)
    SELECT 'wms_' || name, name, name, 'code_' || name, 'https://wms.example.com', 'active', 0 FROM places RETURNING connection_id
)
INSERT INTO wms_link (connection_id) SELECT connection_id FROM lines"""
PAID = "SELECT order_id FROM orders WHERE status = 'paid' ORDER BY order_id"
CAUSES = "SELECT order_id FROM wms_cause WHERE what = 'paid' ORDER BY order_id"
TOLD = "SELECT DISTINCT order_id FROM wms_outbox WHERE type = 'order.to_fulfil' ORDER BY order_id"


async def names(db: Any, sql: str) -> list[str]:
    return [row["order_id"] for row in await db.fetch(sql)]


async def follow_anew(db: Any, url: str) -> None:
    """Everything that the journal says, by the projections themselves."""
    tables = ", ".join(table for projection in GROUPS["orders"] for table in projection.tables)
    await db.execute(f"TRUNCATE {tables}")
    await db.execute("UPDATE projection_position SET seq = 0 WHERE projection = 'orders'")
    followers = [Follower(url), Follower(url)]
    while sum(await asyncio.gather(*(follower.step() for follower in followers))):
        pass
    for follower in followers:
        await follower.close()


async def test_every_paid_order_is_told_once_also_by_two_followers_after_a_crash_and_after_a_rebuild(busy_url: str) -> None:
    db = await asyncpg.connect(busy_url)
    assert await names(db, CAUSES) == []  # there was no line
    await db.execute(OPEN)
    await follow_anew(db, busy_url)
    paid = await names(db, PAID)
    assert len(paid) > 3
    assert await names(db, CAUSES) == paid
    pool = await open_pool(busy_url, size=4)
    outboxes = [Outbox(pool) for _ in range(3)]
    while sum(await asyncio.gather(*(outbox.take_causes(1) for outbox in outboxes))):
        pass
    assert await names(db, TOLD) == paid
    # The follower's commits are not waited for: rows and position may be lost together, and come again.
    before = await db.fetch("SELECT message_id FROM wms_outbox ORDER BY message_id")
    await db.execute("DELETE FROM wms_cause")
    await follow_anew(db, busy_url)
    while await outboxes[0].take_causes(2):
        pass
    assert await db.fetch("SELECT message_id FROM wms_outbox ORDER BY message_id") == before
    # What the triggers did not see because a rebuild was faster is found by the rebuild.
    await db.execute("DELETE FROM wms_cause")
    await rebuild(busy_url, "orders")
    assert await names(db, CAUSES) == paid
    triggers = await db.fetch("SELECT tgname FROM pg_trigger WHERE tgrelid = 'orders'::regclass AND tgname LIKE '%wms' ORDER BY tgname")
    assert [row["tgname"] for row in triggers] == ["order_moved_for_wms", "order_paid_for_wms"]
    assert await db.execute("UPDATE orders SET status = 'refunded' WHERE order_id = $1", paid[0]) == "UPDATE 1"
    assert await outboxes[0].take_causes(3) >= 1
    while await outboxes[0].take_causes(3):
        pass
    assert await names(db, "SELECT DISTINCT order_id FROM wms_outbox WHERE type = 'order.cancelled'") == [paid[0]]
    await pool.close()
    await db.close()
