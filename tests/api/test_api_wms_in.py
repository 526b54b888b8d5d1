"""What warehouses say has its effect once: whatever is repeated, reordered or lost, and wherever the process dies that carries it out."""

import asyncio
import json
import random
import secrets

import pytest

from actors.adapters.wms.signature import headers, secret_of
from actors.domain.wms import GAP_MS_MAX
from actors.testing.wms_simulator.plan import WebhookPlan
from schemas.providers.wms import PROTOCOL, Count, Receipt, ReceivedLine, ShippedLine, StockDelta, StockSnapshot
from tests.api.wms_line import change, opened

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def inbox(line) -> list:
    return await line.shop.pool.fetch("SELECT * FROM wms_inbox WHERE connection_id = $1 ORDER BY message_id", line.connection_id)


async def test_every_kind_of_change_moves_the_stock_of_its_warehouse(shop) -> None:
    sku = await shop.sku()
    async with opened(shop) as line, opened(shop) as other:
        line.simulator.happen(change(sku, 10, batch="L1", expires_on="2030-01-01", reference="PO-1"))
        await line.hear()
        line.simulator.happen(change(sku, 2, "return", reference="ord_1"), change(sku, 3, "damage"), change(sku, -4, "adjustment"))
        await line.hear()
        lots = (await line.level(sku)).lots
        assert {lot.warehouse_id for lot in lots if lot.available} == {line.warehouse_id}
        assert sum(lot.available for lot in lots) == 5
        code = (await shop.pool.fetchrow("SELECT code FROM warehouse WHERE warehouse_id = $1", other.warehouse_id))["code"]
        line.simulator.happen(change(sku, 3, "transfer", transfer_id="T1", phase="sent", to_warehouse=code))
        await line.hear()
        assert ((await line.level(sku)).available, (await line.level(sku)).moving) == (2, 3)
        other.simulator.happen(change(sku, 3, "transfer", transfer_id="T1", phase="arrived", lost=1))
        await other.hear()
        level = await line.level(sku)
        assert (level.available, level.moving) == (4, 0)
        assert sum(lot.available for lot in level.lots if lot.warehouse_id == other.warehouse_id) == 2
        assert {row["state"] for row in await inbox(line)} == {"done"}


async def test_a_receipt_is_the_change_of_stock_itself_and_a_code_of_the_warehouse_may_be_named(shop) -> None:
    sku = await shop.sku()
    async with opened(shop) as line:
        code = (await shop.pool.fetchrow("SELECT code FROM warehouse WHERE warehouse_id = $1", line.warehouse_id))["code"]
        told = Receipt(receipt_id="R1", occurred_at_ms=1, lines=(ReceivedLine(sku=sku, quantity=7),), purchase_order="PO-7", warehouse=code)
        line.simulator._push(line.simulator.books.tell("receipt", told))
        await line.hear()
        assert await line.stock(sku) == 7


async def test_f37_a_webhook_ten_times_in_parallel_is_one_change(shop) -> None:
    sku = await shop.sku()
    async with opened(shop) as line:
        line.simulator.deliveries.plan(WebhookPlan(copies=10))
        line.simulator.happen(change(sku, 5))
        await asyncio.gather(line.hear(), line.hear(), line.hear())
        await line.hear()
        assert [delivery.status for delivery in line.simulator.deliveries.seen] == [200] * 10
        assert len(await inbox(line)) == 1
        assert await line.stock(sku) == 5


async def test_what_a_webhook_lost_is_found_by_asking_and_what_it_did_not_lose_counts_once(shop) -> None:
    sku = await shop.sku()
    async with opened(shop) as line:
        line.simulator.deliveries.plan(WebhookPlan(lose=1))
        line.simulator.happen(change(sku, 5))
        line.simulator.happen(change(sku, 2))
        await line.hear()
        assert await line.stock(sku) == 2
        await line.round()
        assert await line.stock(sku) == 7
        assert [row["via"] for row in await inbox(line)] == ["poll", "webhook"]
        shop.clock_forward(120_000)
        await line.round()
        assert await line.stock(sku) == 7
        # The cursor is kept: what was read is not read again.
        assert (await shop.pool.fetchval("SELECT cursor FROM wms_link WHERE connection_id = $1", line.connection_id)) == "2"


async def test_numbered_changes_are_carried_out_in_their_order_however_they_come(shop) -> None:
    sku = await shop.sku()
    async with opened(shop, numbered=True) as line:
        line.simulator.deliveries.plan(WebhookPlan(hold=True))
        line.simulator.happen(change(sku, 10))
        line.simulator.happen(change(sku, 10, "damage"))
        line.simulator.happen(change(sku, 4))
        line.simulator.happen(change(sku, 4, "damage"))
        await line.simulator.deliveries.release(reverse=True)
        await line.hear()
        # In any other order a damage would have been refused: there was nothing to be broken.
        assert await line.stock(sku) == 0
        assert (await line.level(sku)).written_off == 14
        rows = await shop.pool.fetch("SELECT tries FROM wms_line WHERE connection_id = $1 ORDER BY sequence", line.connection_id)
        assert [row["tries"] for row in rows] == [1, 1, 1, 1]


async def test_a_gap_waits_then_is_asked_for_and_at_last_is_passed_over_and_its_late_change_still_counts(shop) -> None:
    sku = await shop.sku()
    async with opened(shop, numbered=True) as line:
        await line.round()
        line.simulator.deliveries.plan(WebhookPlan(lose=1))
        lost = line.simulator.happen(change(sku, 1))
        line.simulator.happen(change(sku, 2))
        await line.hear()
        assert await line.stock(sku) == 0
        await line.round()
        assert await line.stock(sku) == 0
        shop.clock_forward(6_000)
        await line.round()
        assert await line.stock(sku) == 3
        # Now one that the feed does not have either.
        line.simulator.deliveries.plan(WebhookPlan(lose=1))
        gone = line.simulator.happen(change(sku, 4))
        line.simulator.books.feed.remove(gone)
        line.simulator.happen(change(sku, 8))
        await line.hear()
        await line.round()
        assert await line.stock(sku) == 3
        shop.clock_forward(GAP_MS_MAX + 1000)
        await line.round()
        assert await line.stock(sku) == 11
        await line.simulator.deliveries.post(gone)
        await line.simulator.deliveries.post(lost)
        await line.hear()
        assert await line.stock(sku) == 15


async def test_a_number_that_was_heard_before_is_a_duplicate_under_any_message_id(shop) -> None:
    sku = await shop.sku()
    async with opened(shop) as line:
        line.simulator.happen(change(sku, 5, sequence=1))
        line.simulator.happen(change(sku, 5, sequence=1), change(sku, 1, sequence=2), change(sku, 1, sequence=2))
        await line.hear()
        assert await line.stock(sku) == 6
        states = await shop.pool.fetch("SELECT state FROM wms_line WHERE connection_id = $1 ORDER BY message_id, line", line.connection_id)
        assert sorted(row["state"] for row in states) == ["done", "done", "duplicate", "duplicate"]


async def test_a_count_says_from_which_number_on_a_sku_is_followed(shop) -> None:
    sku = await shop.sku()
    async with opened(shop) as line:
        count = StockSnapshot(snapshot_id="C1", taken_at_ms=1, counts=(Count(sku=sku, on_hand=3, sequence=41),))
        line.simulator._push(line.simulator.books.tell("stock.snapshot", count))
        await line.hear()
        line.simulator.happen(change(sku, 5, sequence=42))
        await line.hear()
        assert await line.stock(sku) == 5


# --- believing ----------------------------------------------------------------------------------------


def signed(line, body: bytes, *, secret: str = "", message_id: str = "m1", age_s: int = 0) -> dict[str, str]:
    at_s = line.shop.clock.now_ms() // 1000 - age_s
    return headers((secret or line.added["their_secret"],), message_id, body, at_s)


def delta(sku: str, quantity: int = 5, message_id: str = "m1") -> bytes:
    data = {"occurred_at_ms": 1, "changes": [{"sku": sku, "kind": "receipt", "quantity": quantity}]}
    return json.dumps({"protocol": PROTOCOL, "id": message_id, "type": "stock.delta", "at_ms": 1, "data": data}).encode()


async def test_f41_f42_what_is_forged_old_altered_or_another_line_s_is_refused_and_leaves_no_row(shop) -> None:
    sku = await shop.sku()
    async with opened(shop) as line, opened(shop) as other:
        hook, body = f"/v1/hooks/wms/{line.connection_id}", delta(sku)
        good = signed(line, body)
        wrong = [
            ({}, body, "signature_invalid"),
            (signed(line, body, secret=secret_of(b"x" * 32)), body, "signature_invalid"),
            (signed(other, body), body, "signature_invalid"),
            (signed(line, body, secret=line.added["our_secret"]), body, "signature_invalid"),
            (good, body.replace(b"5", b"6"), "signature_invalid"),
            (good | {"webhook-id": "m2"}, body, "signature_invalid"),
            (good | {"webhook-timestamp": "1"}, body, "signature_invalid"),
            (good | {"webhook-signature": good["webhook-signature"].replace("v1,", "v1a,")}, body, "signature_invalid"),
            (good | {"webhook-signature": "v1," + "A" * 5000}, body, "signature_invalid"),
            (signed(line, body, age_s=310), body, "signature_stale"),
            (signed(line, body, age_s=-310), body, "signature_stale"),
        ]
        for given, sent, code in wrong:
            answer = await shop.ask("POST", hook, sent, headers=given, key=None)
            assert (answer.status, answer.code) == (401, code), (given, answer.body)
        for name in ("wms_nobody", "x", "%00", other.connection_id):
            answer = await shop.ask("POST", f"/v1/hooks/wms/{name}", body, headers=good, key=None)
            assert answer.status in (401, 404), answer.body
        assert await inbox(line) == await inbox(other) == []
        # The control: the same message, well signed, is taken.
        assert (await shop.ask("POST", hook, body, headers=good, key=None)).status == 200
        await line.hear()
        assert await line.stock(sku) == 5


async def test_a_secret_is_replaced_while_messages_go_on_and_the_old_one_ends(shop) -> None:
    sku = await shop.sku()
    async with opened(shop) as line:
        old, hook = line.added["their_secret"], f"/v1/hooks/wms/{line.connection_id}"
        rolled = await line.ask(
            "POST", f"/connections/{line.connection_id}/secrets", {"side": "theirs", "reason": "yearly", "old_good_s": 60}
        )
        new = rolled.json["secret"]
        for number, secret in enumerate((old, new)):
            body = delta(sku, 1, f"m{number}")
            given = signed(line, body, secret=secret, message_id=f"m{number}")
            assert (await shop.ask("POST", hook, body, headers=given, key=None)).status == 200
        shop.clock_forward(61_000)
        line.work.lines.forget()
        body = delta(sku, 1, "m3")
        assert (await shop.ask("POST", hook, body, headers=signed(line, body, secret=old, message_id="m3"), key=None)).status == 401
        assert (await shop.ask("POST", hook, body, headers=signed(line, body, secret=new, message_id="m3"), key=None)).status == 200
        await line.hear()
        assert await line.stock(sku) == 3


# --- what cannot be carried out -----------------------------------------------------------------------

BAD = {
    "unreadable": [b"[]", b"{}"],
    "malformed": [b"nonsense", b"", b'{"a":1,"a":2}', b"[" * 10_000, b'{"a":"\\u0000"}', b"\xff\xfe"],
    "protocol_unknown": [b'{"protocol":"stampede-wms/2","id":"ID","type":"stock.delta","at_ms":1,"data":{}}'],
    "type_unknown": [b'{"protocol":"stampede-wms/1","id":"ID","type":"order.to_fulfil","at_ms":1,"data":{}}'],
    "id_mismatch": [b'{"protocol":"stampede-wms/1","id":"another","type":"stock.delta","at_ms":1,"data":{}}'],
}


async def test_f51_f53_what_is_signed_but_cannot_be_read_is_dead_at_once_and_kept(shop) -> None:
    async with opened(shop) as line:
        wrong, number = {}, 0
        for reason, bodies in BAD.items():
            for body in bodies:
                number += 1
                name = f"bad{number:03}"
                wrong[name] = (reason, body.replace(b"ID", name.encode()))
        quantities = ["0.5", '"1"', "null", "1e309", "9223372036854775808", "true", "[]"]
        for quantity in quantities:
            number += 1
            wrong[f"bad{number:03}"] = (
                "unreadable",
                delta("sku", 1, f"bad{number:03}").replace(b'"quantity": 1', b'"quantity": ' + quantity.encode()),
            )
        for field in (b'"price": 1, ', b'"quantity": 2, '):
            number += 1
            body = delta("sku", 1, f"bad{number:03}").replace(b'"kind"', field + b'"kind"')
            wrong[f"bad{number:03}"] = ("", body)
        for name, (_, body) in wrong.items():
            answer = await shop.ask(
                "POST", f"/v1/hooks/wms/{line.connection_id}", body, headers=signed(line, body, message_id=name), key=None
            )
            assert answer.status == 200, answer.body
        await line.hear()
        rows = await inbox(line)
        assert [(row["message_id"], row["state"]) for row in rows] == [(name, "dead") for name in sorted(wrong)]
        for row in rows:
            assert row["reason"].startswith(wrong[row["message_id"]][0] or ("unreadable", "malformed")), row["reason"]
            assert bytes(row["body"]) == wrong[row["message_id"]][1]
        seen = await line.letters("in", "dead")
        assert len(seen) == len(wrong)
        for letter in seen[:12]:
            assert (await line.ask("GET", f"/letters/{letter['letter_id']}")).status == 200


async def test_generated_bytes_never_break_the_hook_or_the_work(shop) -> None:
    rng = random.Random(26)
    async with opened(shop) as line:
        whole = delta("sku_1", 5)
        for number in range(40):
            body = bytearray(whole)
            for _ in range(rng.randint(1, 8)):
                body[rng.randrange(len(body))] = rng.randrange(256)
            cut = bytes(body[: rng.randint(0, len(body))])
            given = signed(line, cut, message_id=f"g{number}")
            answer = await shop.ask("POST", f"/v1/hooks/wms/{line.connection_id}", cut, headers=given, key=None)
            assert answer.status == 200
        await line.hear()
        assert {row["state"] for row in await inbox(line)} <= {"dead", "open"}
        large = b" " * 70_000
        answer = await shop.ask("POST", f"/v1/hooks/wms/{line.connection_id}", large, headers=signed(line, large), key=None)
        assert (answer.status, answer.code) == (413, "body_too_large")


async def test_an_unknown_sku_waits_is_dead_at_last_and_is_carried_out_once_when_it_is_known_and_retried(shop) -> None:
    async with opened(shop) as line:
        sku = "sku_later" + secrets.token_hex(4)
        line.simulator.happen(change(sku, 5))
        await line.hear()
        [row] = await inbox(line)
        assert row["state"] == "open"
        for _ in range(6):
            shop.clock_forward(5 * 3_600_000)
            await line.hear()
        [letter] = await line.letters("in", "dead")
        assert (letter["reason"], letter["lines_dead"]) == ("sku_unknown", 1)
        made = await shop.sku()
        await shop.pool.execute("UPDATE sku SET code = $2 WHERE sku_id = $1", made, sku)
        path = f"/letters/{letter['letter_id']}/retry"
        assert (await line.ask("POST", path, {"reason": "it is known now"})).status == 200
        assert (await line.ask("POST", path, {"reason": "it is known now"})).code == "wms_letter_state"
        await line.hear()
        assert await line.stock(made) == 5
        assert (await inbox(line))[0]["state"] == "done"


async def test_a_change_that_the_stock_refuses_is_dead_after_five_more_tries_and_holds_up_no_other(shop) -> None:
    sku, other = await shop.sku(), await shop.sku()
    async with opened(shop) as line:
        line.simulator.happen(change(sku, 9, "damage"), change(other, 3), change(other, -1), change(other, 0, "adjustment"))
        await line.hear()
        assert await line.stock(other) == 3
        lines = await shop.pool.fetch(
            "SELECT state, reason, tries FROM wms_line WHERE connection_id = $1 ORDER BY line", line.connection_id
        )
        assert [(row["state"], row["reason"]) for row in lines[1:]] == [
            ("done", ""), ("dead", "quantity_not_positive"), ("dead", "quantity_zero"),
        ]  # fmt: skip
        for _ in range(6):
            shop.clock_forward(5 * 3_600_000)
            await line.hear()
        row = await shop.pool.fetchrow("SELECT state, tries FROM wms_line WHERE connection_id = $1 AND line = 0", line.connection_id)
        assert (row["state"], row["tries"]) == ("dead", 6)
        [letter] = await line.letters("in", "dead")
        assert (await line.ask("POST", f"/letters/{letter['letter_id']}/drop", {"reason": "counted anew"})).status == 200
        assert (await inbox(line))[0]["state"] == "dropped"
        assert await line.letters("in", "dead") == []


async def test_a_warehouse_with_too_many_messages_waiting_is_told_to_come_back_and_is_not_asked_for_more(shop) -> None:
    sku = await shop.sku()
    async with opened(shop) as line:
        await shop.pool.execute(
            "INSERT INTO wms_inbox (letter_id, connection_id, message_id, type, via, body, received_at_ms, due_ms) "
            "SELECT 'wml_' || $1 || n, $1, 'x' || n, '', 'webhook', ''::bytea, 0, $2 FROM generate_series(1, 10000) n",
            line.connection_id, 2**53,
        )  # fmt: skip
        line.work.lines.forget()
        body = delta(sku)
        answer = await shop.ask("POST", f"/v1/hooks/wms/{line.connection_id}", body, headers=signed(line, body), key=None)
        assert (answer.status, answer.code) == (503, "busy")
        assert answer.headers["retry-after"]
        line.simulator.happen(change(sku, 1))
        await line.round()
        assert line.simulator.calls["changes"] == 0
        await shop.pool.execute("DELETE FROM wms_inbox WHERE connection_id = $1", line.connection_id)
        line.work.lines.forget()
        assert (await shop.ask("POST", f"/v1/hooks/wms/{line.connection_id}", body, headers=signed(line, body), key=None)).status == 200


# --- shipments ----------------------------------------------------------------------------------------


async def test_of_a_shipment_the_newest_word_counts_and_it_is_shown_to_staff(shop) -> None:
    async with opened(shop) as line:
        line.simulator.deliveries.plan(WebhookPlan(hold=True))
        goods = ShippedLine(sku="A-1", quantity=2)
        order = "ord_" + secrets.token_hex(8)
        for state in ("packed", "shipped", "delivered"):
            line.simulator.ship("S1", order, goods, state=state)
        line.simulator.ship("S2", order, goods, state="packed")
        await line.simulator.deliveries.release(reverse=True)
        await line.hear()
        seen = (await line.ask("GET", f"/shipments?order_id={order}")).json["shipments"]
        assert [(one["shipment_id"], one["state"]) for one in seen] == [("S2", "packed"), ("S1", "delivered")]
        assert seen[1]["lines"] == [{"sku": "A-1", "quantity": 2}]
        assert seen[1]["shipped_at"] is not None
        line.simulator.ship("S1", "ord_another", goods)
        await line.hear()
        assert [letter["reason"] for letter in await line.letters("in", "dead")] == ["shipment_of_another_order"]
        page = (await line.ask("GET", f"/shipments?order_id={order}&limit=1")).json
        rest = (await line.ask("GET", f"/shipments?order_id={order}&limit=1&cursor={page['next_cursor']}")).json
        assert [one["shipment_id"] for one in (*page["shipments"], *rest["shipments"])] == ["S2", "S1"]


async def test_a_message_for_another_warehouse_is_kept_and_moves_nothing(shop) -> None:
    sku = await shop.sku()
    async with opened(shop) as line:
        told = StockDelta(occurred_at_ms=1, changes=(change(sku, 3),), warehouse="ELSEWHERE")
        line.simulator._push(line.simulator.books.tell("stock.delta", told))
        for _ in range(7):
            await line.hear()
            shop.clock_forward(5 * 3_600_000)
        [row] = await inbox(line)
        assert (row["state"], row["reason"]) == ("dead", "warehouse_unknown")
        assert await line.stock(sku) == 0
