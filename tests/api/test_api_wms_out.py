"""What warehouses are told: once for each cause, in the order of each order, until it is taken; a dead message is kept and seen."""

import asyncio
import json
import os
import secrets
import signal
import sys

import pytest

from actors.domain.kinds import Body, encoder
from actors.domain.wms import FAILURES_MAX, UNANSWERED_MS_MAX
from actors.testing.wms_simulator.plan import Fault
from schemas.order import Address, OrderPlaced, PricedLine
from tests.api.staff_people import member
from tests.api.wms_line import opened, paid_order

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def outbox(line) -> list:
    return await line.shop.pool.fetch(
        "SELECT *, data::text AS text FROM wms_outbox WHERE connection_id = $1 ORDER BY number", line.connection_id
    )


def told(line, kind: str) -> list[dict]:
    books = line.simulator.books
    return [json.loads(books.bodies[name])["data"] for name, found in books.types.items() if found == kind]


async def test_a_paid_order_is_told_once_to_the_warehouses_that_pack_it(shop) -> None:
    sku, other = await shop.sku(), await shop.sku()
    async with opened(shop, unnamed=True) as home, opened(shop) as line, opened(shop) as third:
        order = await paid_order(shop, (sku, 3), (other, 2), sources=[[0, line.warehouse_id, 2], [1, line.warehouse_id, 2]])
        unpaid = await paid_order(shop, (sku, 1), status="cancelled")
        for _ in range(2):
            for one in (home, line, third):
                await one.round()
        [at_home], [there] = told(home, "order.to_fulfil"), told(line, "order.to_fulfil")
        assert at_home["parcels"][0]["lines"] == [{"sku": sku, "quantity": 1}]
        assert there["parcels"][0]["lines"] == [{"sku": sku, "quantity": 2}, {"sku": other, "quantity": 2}]
        assert (at_home["order_id"], there["order_id"]) == (order, order)
        assert told(third, "order.to_fulfil") == []
        assert [row["state"] for row in await outbox(line)] == ["done"]
        assert await shop.pool.fetchval("SELECT count(*) FROM wms_cause WHERE order_id = $1", unpaid) == 0
        # Paid then given back: both warehouses hear of it, once.
        await shop.pool.execute("UPDATE orders SET status = 'unfulfillable' WHERE order_id = $1", order)
        await shop.pool.execute("UPDATE orders SET status = 'refunded' WHERE order_id = $1", order)
        for one in (home, line, third):
            await one.round()
        assert home.simulator.report().orders == line.simulator.report().orders == {order: "cancelled"}
        assert [data["order_id"] for data in told(home, "order.cancelled")] == [order]
        assert told(third, "order.cancelled") == []


async def test_two_replicas_at_once_tell_each_thing_once(shop) -> None:
    sku = await shop.sku()
    async with opened(shop, unnamed=True) as line:
        orders = [await paid_order(shop, (sku, 1)) for _ in range(12)]
        await asyncio.gather(*(line.round() for _ in range(4)))
        await line.round()
        report = line.simulator.report()
        assert report.orders == dict.fromkeys(orders, "to_fulfil")
        assert set(report.heard.values()) == set(report.counted.values()) == {1}


async def test_the_address_is_opened_for_the_call_and_stands_in_no_table(shop) -> None:
    sku, (user_id, _) = await shop.sku(), shop.user()
    home = Address(country="CN", name="李雷", phone="+8613800138000", line1="中关村大街1号", city="北京市")
    async with opened(shop, unnamed=True) as line:
        order = await paid_order(shop, (sku, 1))
        sealed = await shop.application.desk.user_keys.seal_address(user_id, home)
        placed = OrderPlaced(
            order_id=order, lines=(PricedLine(sku_id=sku, quantity=1, unit_price=1, stock_key=sku + "#0"),), total=1, currency="CNY",
            reservation_ids=(b"r",), placed_at_ms=1, expires_at_ms=2, price_version=0, sealed_ship_to=sealed,
        )  # fmt: skip
        await shop.pool.execute("UPDATE orders SET user_id = $2 WHERE order_id = $1", order, user_id)
        body = encoder.encode(Body(events=[placed]))
        await shop.pool.execute(
            "INSERT INTO journal (shard, seq, version, at_ms, wake_ms, kind, key, command_id, body, meta) "
            "VALUES (1, (SELECT coalesce(max(seq), 0) + 1 FROM journal), 1, 1, 0, 'order', $1, ''::bytea, $2, ''::bytea)", user_id, body,
        )  # fmt: skip
        line.simulator.faults.append(Fault(kind="refuse", operation="messages", status=503))
        await line.round()
        shop.clock_forward(10_000)
        await line.round()
        [found] = told(line, "order.to_fulfil")
        assert found["ship_to"]["name"] == "李雷"
        assert found["ship_to"]["line1"] == "中关村大街1号"
        assert "李雷" not in "".join(row["text"] for row in await outbox(line))
        # Whoever was erased meanwhile is told to nobody.
        await shop.pool.execute("DELETE FROM user_key WHERE user_id = $1", user_id)
        assert await line.work._address(order) is None


async def test_of_one_order_messages_leave_in_order_and_hold_up_no_other_order(shop) -> None:
    sku = await shop.sku()
    async with opened(shop, unnamed=True) as line:
        order = await paid_order(shop, (sku, 1))
        line.simulator.faults.append(Fault(kind="refuse", operation="messages", status=503))
        await line.round()
        await shop.pool.execute("UPDATE orders SET status = 'refunded' WHERE order_id = $1", order)
        other = await paid_order(shop, (sku, 1))
        await line.round()
        assert line.simulator.report().orders == {other: "to_fulfil"}
        shop.clock_forward(10_000)
        await line.round()
        heard = [line.simulator.books.types[name] for name in line.simulator.books.counted]
        assert heard == ["order.to_fulfil", "order.to_fulfil", "order.cancelled"]
        assert line.simulator.report().orders == {other: "to_fulfil", order: "cancelled"}


WAYS = ["break", "drop", "lose", "refuse"]


@pytest.mark.parametrize("kind", WAYS)
async def test_whatever_becomes_of_a_call_the_message_counts_once(shop, kind) -> None:
    sku = await shop.sku()
    async with opened(shop, unnamed=True) as line:
        order = await paid_order(shop, (sku, 1))
        line.simulator.faults.append(Fault(kind=kind, operation="messages", status=500, times=2))
        for _ in range(4):
            await line.round()
            shop.clock_forward(60_000)
        report = line.simulator.report()
        assert report.orders == {order: "to_fulfil"}
        assert list(report.counted.values()) == [1]
        assert list(report.heard.values()) == [3 if kind in ("break", "drop") else 1]


async def test_after_five_answered_tries_more_a_message_is_dead_and_may_be_retried_or_dropped(shop) -> None:
    sku = await shop.sku()
    async with opened(shop, unnamed=True) as line:
        order, other = await paid_order(shop, (sku, 1)), None
        line.simulator.faults.append(Fault(kind="refuse", operation="messages", status=500, times=6))
        for _ in range(8):
            await line.round()
            shop.clock_forward(5 * 3_600_000)
        [row] = await outbox(line)
        assert (row["state"], row["tries"], row["reason"]) == ("dead", 6, "http_500")
        [letter] = await line.letters("out", "dead")
        assert (letter["order_id"], letter["type"]) == (order, "order.to_fulfil")
        whole = (await line.ask("GET", f"/letters/{letter['letter_id']}")).json
        assert json.loads(whole["body"])["order_id"] == order
        assert (await line.ask("POST", f"/letters/{letter['letter_id']}/retry", {"reason": "they are back"})).status == 200
        await line.round()
        assert line.simulator.report().orders == {order: "to_fulfil"}
        # What they read and refuse is dead at once: it would be refused again.
        other = await paid_order(shop, (sku, 1))
        line.simulator.faults.append(Fault(kind="refuse", operation="messages", status=422))
        await line.round()
        [letter] = await line.letters("out", "dead")
        assert letter["tries"] == 1
        retried = await line.ask("POST", f"/connections/{line.connection_id}/retries", {"side": "out", "reason": "mended"})
        assert retried.json == {"retried": 1}
        line.simulator.faults.append(Fault(kind="refuse", operation="messages", status=422))
        await line.round()
        dropped = await line.ask("POST", f"/letters/{letter['letter_id']}/drop", {"reason": "by hand"})
        assert dropped.status == 200
        await line.round()
        assert other not in line.simulator.report().orders
        trail = (
            await shop.ask("GET", f"/v1/staff/actions?target={letter['letter_id']}", token=(await member(shop, "administrator"))[1])
        ).json
        assert [(one["permission"], one["reason"]) for one in trail["actions"]] == [("wms.act", "by hand")]


async def test_where_nobody_answers_no_try_is_counted_and_the_line_rests_until_it_does(shop) -> None:
    sku = await shop.sku()
    async with opened(shop, unnamed=True) as line:
        for _ in range(3):
            await paid_order(shop, (sku, 1))
        line.simulator.faults.append(Fault(kind="lose", times=1000))
        for _ in range(3):
            await line.round()
            shop.clock_forward(7_000)
        called = line.simulator.calls["messages"]
        seen = (await line.ask("GET", "/connections")).json["connections"]
        [shown] = [one for one in seen if one["connection_id"] == line.connection_id]
        assert shown["failures"] >= FAILURES_MAX
        assert shown["rests_until"] is not None
        for _ in range(5):
            await line.round()
        assert line.simulator.calls["messages"] == called
        # An hour of that, with one call after each rest: no message has lost a try.
        for _ in range(12):
            shop.clock_forward(305_000)
            await line.round()
        assert line.simulator.calls["messages"] - called <= 12
        assert [(row["state"], row["tries"]) for row in await outbox(line)] == [("waiting", 0)] * 3
        line.simulator.faults.clear()
        shop.clock_forward(305_000)
        await line.round()
        assert [row["state"] for row in await outbox(line)] == ["done"] * 3
        assert (await line.work._outbox.line(line.connection_id)).failures == 0


async def test_a_message_that_nobody_answered_for_three_days_is_dead(shop) -> None:
    sku = await shop.sku()
    async with opened(shop, unnamed=True) as line:
        await paid_order(shop, (sku, 1))
        line.simulator.faults.append(Fault(kind="lose", times=1000))
        await line.round()
        shop.clock_forward(UNANSWERED_MS_MAX + 1000)
        await line.round()
        assert [(row["state"], row["tries"]) for row in await outbox(line)] == [("dead", 0)]


async def test_a_warehouse_that_is_paused_is_not_called_and_hears_everything_afterwards(shop) -> None:
    sku = await shop.sku()
    async with opened(shop, unnamed=True) as line:
        seen = next(
            one for one in (await line.ask("GET", "/connections")).json["connections"] if one["connection_id"] == line.connection_id
        )
        body = {name: seen[name] for name in ("title", "url", "warehouse_code")} | {"reason": "a test"}
        assert (await line.ask("PUT", f"/connections/{line.connection_id}", body | {"state": "paused"})).status == 200
        order = await paid_order(shop, (sku, 1))
        await line.round()
        assert line.simulator.calls == {}
        assert (await line.ask("PUT", f"/connections/{line.connection_id}", body | {"state": "active"})).status == 200
        await line.round()
        assert line.simulator.report().orders == {order: "to_fulfil"}


async def test_products_that_change_are_told_in_messages_of_a_bounded_size(shop) -> None:
    async with opened(shop) as line:
        sku = await shop.sku()
        await shop.pool.execute("UPDATE sku SET barcode = '4006381333931', weight_g = 250 WHERE sku_id = $1", sku)
        await line.round()
        [found] = told(line, "product.changed")
        assert found["products"] == [
            {
                "sku": sku,
                "title": f"Cup {sku[4:]}",
                "title_zh": f"杯子 {sku[4:]}",
                "barcode": "4006381333931",
                "weight_g": 250,
                "offered": True,
            }
        ]
        await line.round()
        assert len(told(line, "product.changed")) == 1
        await shop.pool.execute("UPDATE product SET state = 'off_shelf' WHERE product_id = 'prd_' || substr($1, 5)", sku)
        await line.round()
        assert [data["products"][0]["offered"] for data in told(line, "product.changed")] == [True, False]


async def test_purchase_orders_and_questions_are_told_once_for_one_reference_or_key(shop) -> None:
    async with opened(shop) as line:
        path = f"/connections/{line.connection_id}/purchase-orders"
        body = {"reference": "PO-1", "supplier": "Acme", "lines": [{"sku": "A-1", "quantity": 5}], "reason": "replenish"}
        assert [(await line.ask("POST", path, body)).status for _ in range(2)] == [202, 202]
        assert (await line.ask("POST", path, body | {"supplier": "Other"})).code == "wms_reference_used"
        key = secrets.token_hex(12)
        ask = {"reason": "a look"}
        for _ in range(2):
            assert (await line.ask("POST", f"/connections/{line.connection_id}/stock-questions", ask, key=key)).status == 202
        line.simulator.books.counts["A-1"] = 4
        await line.round()
        await line.hear()
        assert [data["supplier"] for data in told(line, "purchase_order")] == ["Acme"]
        assert len(told(line, "stock.ask")) == 1
        counted = await shop.pool.fetch("SELECT sku, on_hand FROM wms_count WHERE connection_id = $1", line.connection_id)
        assert [tuple(row) for row in counted] == [("A-1", 4)]
        assert (await line.ask("POST", "/connections/wms_nobody/purchase-orders", body)).code == "wms_connection_unknown"


# --- a process that is killed -------------------------------------------------------------------------

RUN = """
import asyncio, os, random, signal, sys
import msgspec
from actors.adapters.wms.addresses import networks
from actors.adapters.wms.client import WmsClient
from actors.storage.clock import DatabaseClock
from actors.storage.connect import open_pool
from actors.storage.wms_outbox import Outbox
from schemas.wms import Connection
from serve.wms.lines import NONE, OpenLine
from serve.wms.sending import Sending

url, connection_id, warehouse, ours, theirs, step, times, offset = sys.argv[1:]
seen = 0

def tell(now):
    global seen
    seen += now == step
    if now == step and seen == int(times):
        os.kill(os.getpid(), signal.SIGKILL)

async def nowhere(order_id):
    return None

async def main():
    clock = DatabaseClock()
    clock._offset_ms += float(offset)
    pool = await open_pool(url, size=2)
    client = WmsClient(warehouse, (ours,), (theirs,), private=networks("127.0.0.0/8"), now_s=lambda: clock.now_ms() // 1000)
    connection = Connection(connection_id=connection_id, title="", warehouse_id="", warehouse_code="", url=warehouse, state="active",
        created_at_ms=0)
    await Sending(Outbox(pool), nowhere, clock, random.Random(1), tell).round(OpenLine(connection=connection, secrets=NONE), client)

asyncio.run(main())
"""


@pytest.mark.slow
async def test_after_kill_9_before_and_after_a_message_was_sent_it_counts_once_at_the_other_side(shop, database_url) -> None:
    sku = await shop.sku()
    async with opened(shop, unnamed=True) as line:
        orders = [await paid_order(shop, (sku, 1)) for _ in range(3)]
        await line.work._outbox.take_causes(shop.clock.now_ms())
        for step, times in (("claimed", 1), ("sent", 1), ("sent", 2)):
            offset = shop.clock._offset_ms - type(shop.clock)()._offset_ms
            arguments = (database_url, line.connection_id, line.url, line.added["our_secret"], line.added["their_secret"], step)
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", RUN, *arguments, str(times), str(offset), env={**os.environ, "PYTHONPATH": "."}
            )
            assert await process.wait() == -signal.SIGKILL
            # Nobody knows of its death: what it had claimed is free again when the lease ends.
            shop.clock_forward(61_000)
        await line.round()
        report = line.simulator.report()
        assert report.orders == dict.fromkeys(orders, "to_fulfil")
        assert set(report.counted.values()) == {1}
        assert max(report.heard.values()) > 1
        assert [row["state"] for row in await outbox(line)] == ["done"] * 3
