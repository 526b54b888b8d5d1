"""A firm's orders are listed as they are written, and again after a rebuild."""

from typing import Any

import pytest

from actors.storage.projections.follower import Follower
from actors.storage.projections.rebuild import rebuild
from tests.storage.test_projections import ORDER, placed

pytestmark = pytest.mark.slow

FIRM = (
    "INSERT INTO merchant (merchant_id, title, title_zh) VALUES ('mer_1', 'Firm', '商家')",
    "INSERT INTO product (product_id, title, title_zh, department, department_zh) VALUES ('prd_1', 't', 't', 'd', 'd')",
    "INSERT INTO sku (sku_id, product_id, code, price_minor, currency, merchant_id) VALUES ('sku_1', 'prd_1', 'c', 500, 'CNY', 'mer_1')",
)


async def listed(connection: Any) -> list[tuple[str, str]]:
    return [tuple(row) for row in await connection.fetch("SELECT merchant_id, order_id FROM merchant_order")]


async def test_an_order_with_goods_of_a_firm_is_listed_once_and_a_rebuild_lists_what_is_missing(
    writer: Any, follower: Follower, database_url: str, connection: Any
) -> None:
    for statement in FIRM:
        await connection.execute(statement)
    await writer.write("order", "usr_1", placed())
    await follower.step()
    assert await listed(connection) == [("mer_1", ORDER)]
    await connection.execute("DELETE FROM merchant_order")
    await rebuild(database_url, "orders")
    assert await listed(connection) == [("mer_1", ORDER)]
    await writer.write("order", "usr_1", placed(ORDER[:-1] + ("0" if ORDER[-1] != "0" else "1")))
    await follower.step()
    assert len(await listed(connection)) == 2


async def test_an_order_with_goods_of_nobody_is_in_no_list(writer: Any, follower: Follower, connection: Any) -> None:
    await connection.execute(FIRM[0])
    await writer.write("order", "usr_1", placed())
    await follower.step()
    assert await connection.fetchval("SELECT count(*) FROM orders") == 1
    assert await listed(connection) == []
