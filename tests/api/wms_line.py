"""A line between a running shop and a simulated warehouse, for tests: opened over HTTP as staff do, and closed behind each test."""

import itertools
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from actors.testing.wms_simulator.server import Options, Simulator, serving
from schemas.providers.wms import Change
from schemas.stock import ReadStock
from serve.wms.work import WmsWork
from tests.api.staff_people import member, token

WAREHOUSE = """
INSERT INTO warehouse (warehouse_id, code, country, lat, lon) VALUES ($1, $2, 'CN', 31.2, 121.5) ON CONFLICT DO NOTHING"""
TOLD_ALL = """
UPDATE wms_link SET told_version = (SELECT coalesce(max(version), 0) FROM product) WHERE connection_id = $1"""
LEVEL = """
INSERT INTO stock_level (key, available, held, sold) VALUES ($1, $2, $3, $4)
ON CONFLICT (key) DO UPDATE SET available = excluded.available, held = excluded.held, sold = excluded.sold"""
LOT = """
INSERT INTO stock_warehouse (key, warehouse_id, available, held, sold) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (key, warehouse_id) DO UPDATE SET available = excluded.available, held = excluded.held, sold = excluded.sold"""
_numbers = itertools.count(1)


class Line:
    """The line, and what a test does to it. ``work``: one replica's rounds, driven by the test."""

    def __init__(self, shop: Any, simulator: Simulator, url: str, added: dict[str, Any], user_id: str, warehouse_id: str) -> None:
        self.shop = shop
        self.simulator = simulator
        self.url = url
        self.connection_id: str = added["connection_id"]
        self.added = added
        self.user_id = user_id
        self.warehouse_id = warehouse_id
        self.work: WmsWork = shop.application.desk.wms_work

    async def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """As an operator, just stepped up."""
        bearer = token(self.shop, self.user_id, "operator")
        return await self.shop.ask(method, "/v1/staff/wms" + path, body, token=bearer, **more)

    async def round(self) -> None:
        """What one replica does at once: for this line alone."""
        self.work.lines.forget()
        line = (await self.work.lines.all())[self.connection_id]
        while await self.work._outbox.take_causes(self.shop.clock.now_ms()):
            pass
        await self.work._line(line)

    async def hear(self) -> None:
        """Webhooks arrive, and what they say is carried out."""
        await self.simulator.deliveries.quiet()
        self.work.lines.forget()
        await self.work.taking.round((await self.work.lines.all())[self.connection_id].connection)

    async def stock(self, sku_id: str) -> int:
        """Units that are available at the first part, asked of their owner."""
        return (await self.level(sku_id)).available

    async def level(self, sku_id: str) -> Any:
        answer = await self.shop.client.ask("stock", sku_id + "#0", ReadStock(), command_id=secrets.token_bytes(16))
        assert not answer.code, answer
        return answer.reply

    async def follow(self, *sku_ids: str) -> None:
        """What the projection would have written: the API's shop has its journal in memory."""
        for sku_id in sku_ids:
            level = await self.level(sku_id)
            await self.shop.pool.execute(LEVEL, sku_id + "#0", level.available, level.held, level.sold)
            for lot in level.lots:
                if lot.warehouse_id:
                    await self.shop.pool.execute(LOT, sku_id + "#0", lot.warehouse_id, lot.available, lot.held, lot.sold)

    async def letters(self, side: str, state: str = "") -> list[dict[str, Any]]:
        query = f"?side={side}&connection_id={self.connection_id}&limit=100" + (f"&status={state}" if state else "")
        answer = await self.ask("GET", "/letters" + query)
        assert answer.status == 200, answer.body
        return answer.json["letters"]


def change(sku: str, quantity: int, kind: Any = "receipt", **more: Any) -> Change:
    return Change(sku=sku, kind=kind, quantity=quantity, **more)


@asynccontextmanager
async def opened(shop: Any, *, numbered: bool = False, unnamed: bool = False, hooks: bool = True) -> AsyncIterator[Line]:
    """A line to a warehouse of its own; unnamed: to the shop's unnamed one."""
    user_id, bearer = await member(shop, "operator")
    number = f"{next(_numbers)}x{secrets.token_hex(3)}"
    warehouse_id = "" if unnamed else f"whs_t{number}"
    if warehouse_id:
        await shop.pool.execute(WAREHOUSE, warehouse_id, f"WH-{number}")
    options = Options(shop_secrets=(), own_secrets=(), numbered=numbered)
    async with serving(options, now_s=lambda: shop.clock.now_ms() // 1000) as (url, simulator):
        body = {"title": "Test", "url": url, "warehouse_id": warehouse_id, "warehouse_code": f"WH-{number}", "reason": "a test"}
        added = await shop.ask("POST", "/v1/staff/wms/connections", body, token=bearer)
        assert added.status == 201, added.body
        simulator.shop_secrets, simulator.own_secrets = (added.json["our_secret"],), (added.json["their_secret"],)
        simulator.deliveries.secrets = simulator.own_secrets
        simulator.deliveries.url = shop.base + added.json["hook"] if hooks else ""
        # The catalogue of the other tests is no concern of this one.
        await shop.pool.execute(TOLD_ALL, added.json["connection_id"])
        line = Line(shop, simulator, url, added.json, user_id, warehouse_id)
        try:
            yield line
        finally:
            await shop.pool.execute("UPDATE wms_connection SET state = 'closed' WHERE connection_id = $1", line.connection_id)
            line.work.lines.forget()


async def paid_order(shop: Any, *goods: tuple[str, int], sources: Any = (), status: str = "paid") -> str:
    """An order in the table of orders that has just been paid, as the projection writes it."""
    order_id = f"ord_t{next(_numbers)}x{secrets.token_hex(5)}"
    lines = [{"sku_id": sku_id, "quantity": count, "unit_price": 100, "stock_key": sku_id + "#0"} for sku_id, count in goods]
    await shop.pool.execute(
        "INSERT INTO orders (order_id, user_id, status, total_amount, currency, sale_id, placed_at_ms, expires_at_ms, shard, updated_seq, "
        "lines, sources) VALUES ($1, 'usr_t', 'pending_payment', 100, 'CNY', '', $2, $2, 0, 1, $3, $4)",
        order_id, shop.clock.now_ms(), json.dumps(lines), json.dumps(list(sources)),
    )  # fmt: skip
    await shop.pool.execute("UPDATE orders SET status = $2 WHERE order_id = $1", order_id, status)
    return order_id


class Killed(BaseException):
    """The process ends here."""


def dying_at(step: str, times: int):
    count = 0

    def tell(now: str) -> None:
        nonlocal count
        count += now == step
        if now == step and count == times:
            raise Killed

    return tell
