"""Flash-sale orders over HTTP."""

import asyncio

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_order_is_answered_with_its_total_and_deadline(shop) -> None:
    user_id, token = shop.user()
    sku_id = await shop.sku(5)
    sale_id = await shop.sale(sku_id, price=999)
    answer = await shop.flash_order(sale_id, sku_id, token, quantity=2)
    assert answer.status == 201, answer.body
    body = answer.json
    assert sorted(body) == ["expires_at", "order_id", "position", "status", "total"]
    assert body["total"] == {"amount": 1998, "currency": "CNY"}
    assert body["status"] == "pending_payment"
    shard = shop.client.sharding.shard("order", user_id)
    assert body["position"].split(":")[0] == str(shard)
    assert answer.headers["x-request-id"]
    assert answer.headers["x-content-type-options"] == "nosniff"
