"""Our counts against the warehouse's: what drifted is found and put right once, what is on its way is no difference."""

import asyncio
import random

import pytest

from actors.testing.wms_simulator.plan import Fault, WebhookPlan
from schemas.providers.wms import Count, ShippedLine, StockSnapshot
from schemas.stock import Reserve, Sell
from serve.wms.taking import Taking
from tests.api.wms_line import Killed, change, dying_at, opened, paid_order

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def compared(line, snapshot_id: str = "", *, key: str = "") -> str:
    """A comparison that was asked for and has come to its end; its id."""
    body = {"reason": "weekly", "snapshot_id": snapshot_id}
    begun = await line.ask("POST", f"/connections/{line.connection_id}/comparisons", body, key=key)
    assert begun.status == 202, begun.body
    await line.round()
    return begun.json["run_id"]


async def report(line, run_id: str, *, matched: bool = False) -> dict[str, tuple]:
    answer = await line.ask("GET", f"/comparisons/{run_id}?matched={str(matched).lower()}")
    assert answer.status == 200, answer.body
    return {
        row["sku"]: (row["ours"], row["theirs"], row["in_flight"], row["difference"], row["cause"]) for row in answer.json["differences"]
    }


async def state(line, run_id: str) -> dict:
    return (await line.ask("GET", f"/comparisons/{run_id}")).json["comparison"]


async def test_drift_is_found_shown_exported_applied_once_and_gone_afterwards(shop) -> None:
    same, less, more, here, late = [await shop.sku() for _ in range(5)]
    async with opened(shop) as line:
        line.simulator.happen(*(change(sku, 10) for sku in (same, less, more, here)))
        await line.hear()
        line.simulator.drift(less, -3)
        line.simulator.drift(more, 2)
        line.simulator.drift(late, 4)
        line.simulator.drift("NOBODY-KNOWS", 1)
        del line.simulator.books.counts[here]
        await line.follow(same, less, more, here)
        run_id = await compared(line)
        assert await report(line, run_id, matched=True) == {
            same: (10, 10, 0, 0, "matched"),
            less: (10, 7, 0, -3, "mismatch"),
            more: (10, 12, 0, 2, "mismatch"),
            here: (10, 0, 0, -10, "missing_there"),
            late: (0, 4, 0, 4, "missing_here"),
            "NOBODY-KNOWS": (0, 1, 0, 1, "missing_here"),
        }
        assert same not in await report(line, run_id)
        told = await line.ask("GET", f"/comparisons/{run_id}/csv")
        assert told.headers["content-type"] == "text/csv; charset=utf-8"
        rows = told.body.decode().split("\r\n")
        assert rows[0] == "sku,ours,theirs,in_flight,difference,cause,applied"
        assert f"{less},10,7,0,-3,mismatch," in rows
        assert len(rows) == 6 + 2
        # Looked at, and nothing was done yet.
        assert await line.stock(less) == 10
        applied = [await line.ask("POST", f"/comparisons/{run_id}/apply", {"reason": "counted twice"}) for _ in range(2)]
        assert [(one.status, one.json["state"]) for one in applied] == [(202, "applied")] * 2
        await asyncio.gather(line.hear(), line.hear())
        await line.hear()
        assert [await line.stock(sku) for sku in (same, less, more, here, late)] == [10, 7, 12, 0, 4]
        ended = await state(line, run_id)
        assert (ended["rows"], ended["different"], ended["adjusted"], ended["refused"]) == (6, 5, 4, 0)
        await line.follow(same, less, more, here, late)
        again = await compared(line)
        assert set(await report(line, again)) == {"NOBODY-KNOWS"}


async def test_what_is_held_sold_on_its_way_or_not_carried_out_yet_is_no_difference(shop) -> None:
    held, shipped, waiting, after = [await shop.sku() for _ in range(4)]
    async with opened(shop) as line:
        skus = (held, shipped, waiting, after)
        line.simulator.happen(*(change(sku, 10) for sku in skus))
        await line.hear()
        now_ms = shop.clock.now_ms()
        for number, sku in enumerate((held, shipped)):
            take = Reserve(
                reservation_id=sku.encode(), order_id=f"ord_{number}", user_id="usr_1", quantity=3, deadline_ms=now_ms + 900_000,
                prefer=(line.warehouse_id,),
            )  # fmt: skip
            assert not (await shop.client.ask("stock", sku + "#0", take, command_id=sku.encode()[:16].ljust(16))).code
        # One is paid, told to the warehouse, and a part of it is shipped before the count.
        sold = await shop.client.ask(
            "stock", shipped + "#0", Sell(reservation_id=shipped.encode()), command_id=b"sell" + shipped.encode()[:12]
        )
        assert not sold.code
        order = await paid_order(shop, (shipped, 3), sources=[[0, line.warehouse_id, 3]])
        await line.round()
        line.simulator.ship("S1" + line.connection_id, order, ShippedLine(sku=shipped, quantity=1))
        await line.hear()
        # They have counted a receipt of which we do not know the article yet.
        line.simulator.happen(change(waiting, 4))
        await shop.pool.execute("UPDATE sku SET code = 'hidden-' || sku_id WHERE sku_id = $1", waiting)
        await line.hear()
        await shop.pool.execute("UPDATE sku SET code = sku_id WHERE sku_id = $1", waiting)
        taken = line.simulator.books.count("", 1)
        # And what happens after the count is told before it is compared.
        line.simulator.happen(change(after, 7), occurred_at_ms=taken.taken_at_ms + 1000)
        await line.hear()
        line.simulator._push(line.simulator.books.tell("stock.snapshot", taken))
        await line.hear()
        await line.follow(*skus)
        run_id = await compared(line, taken.snapshot_id)
        assert await report(line, run_id, matched=True) == {
            held: (10, 10, 0, 0, "matched"),
            shipped: (9, 9, 0, 0, "matched"),
            waiting: (10, 14, 4, 0, "in_flight"),
            after: (17, 10, -7, 0, "in_flight"),
        }
        assert await report(line, run_id) == {}


async def test_a_change_that_was_dead_and_is_counted_is_dropped_with_the_adjustment(shop) -> None:
    sku = await shop.sku()
    async with opened(shop) as line:
        line.simulator.happen(change(sku, 5))
        await line.hear()
        line.simulator.drift(sku, 3)
        line.simulator.happen(change(sku, 0, "receipt"))
        line.simulator.books.counts[sku] += 0
        await line.hear()
        [letter] = await line.letters("in", "dead")
        await line.follow(sku)
        run_id = await compared(line)
        assert await report(line, run_id) == {sku: (5, 8, 0, 3, "mismatch")}
        await line.ask("POST", f"/comparisons/{run_id}/apply", {"reason": "as counted"})
        await line.hear()
        assert await line.stock(sku) == 8
        whole = (await line.ask("GET", f"/letters/{letter['letter_id']}")).json
        assert [(one["state"], one["reason"]) for one in whole["lines"]] == [("dropped", f"reconciled {run_id}")]
        assert await line.letters("in", "dead") == []


async def test_of_two_comparisons_that_found_the_same_one_is_applied(shop) -> None:
    sku = await shop.sku()
    async with opened(shop) as line:
        line.simulator.happen(change(sku, 10))
        await line.hear()
        line.simulator.drift(sku, -4)
        await line.follow(sku)
        first, second = await compared(line), await compared(line)
        assert (await line.ask("POST", f"/comparisons/{first}/apply", {"reason": "as counted"})).status == 202
        refused = await line.ask("POST", f"/comparisons/{second}/apply", {"reason": "as counted"})
        assert (refused.status, refused.code) == (409, "wms_run_stale")
        await line.hear()
        assert await line.stock(sku) == 6


async def test_an_adjustment_below_what_is_held_is_refused_and_shown(shop) -> None:
    sku = await shop.sku()
    async with opened(shop) as line:
        line.simulator.happen(change(sku, 5))
        await line.hear()
        take = Reserve(reservation_id=b"r", order_id="ord_1", user_id="usr_1", quantity=5, deadline_ms=shop.clock.now_ms() + 10**9)
        assert not (await shop.client.ask("stock", sku + "#0", take, command_id=sku.encode()[-16:])).code
        line.simulator.drift(sku, -2)
        await line.follow(sku)
        run_id = await compared(line)
        await line.ask("POST", f"/comparisons/{run_id}/apply", {"reason": "as counted"})
        await line.hear()
        row = await shop.pool.fetchrow("SELECT state, reason, tries FROM wms_line WHERE letter_id = $1", f"wml_{run_id}")
        assert (row["state"], row["tries"]) == ("waiting", 1)
        assert row["reason"] in ("sold_out", "stock_held", "insufficient_stock", "stock_short")
        assert (await line.level(sku)).held == 5


@pytest.mark.parametrize("step", ["claimed", "asked", "carried_out"])
async def test_wherever_the_applying_dies_each_adjustment_counts_once(shop, step) -> None:
    desk = shop.application.desk
    sku = await shop.sku()
    async with opened(shop) as line:
        line.simulator.happen(change(sku, 10))
        await line.hear()
        line.simulator.drift(sku, 5)
        await line.follow(sku)
        run_id = await compared(line)
        await line.ask("POST", f"/comparisons/{run_id}/apply", {"reason": "as counted"})
        line.work.lines.forget()
        connection = (await line.work.lines.all())[line.connection_id].connection
        with pytest.raises(Killed):
            await Taking(desk.wms_inbox, desk.ask, shop.clock, random.Random(1), dying_at(step, 1)).round(connection)
        shop.clock_forward(61_000)
        await line.hear()
        assert await line.stock(sku) == 15


async def test_a_count_of_many_pages_is_fetched_over_faults_and_a_page_that_is_lost_is_fetched_again(shop) -> None:
    async with opened(shop) as line:
        line.simulator.books.counts = {f"P-{number:04}": 1 for number in range(350)}
        line.simulator.faults += [Fault(kind="refuse", operation="snapshot", status=503), Fault(kind="foreign", operation="snapshot")]
        run_id = await compared(line)
        for _ in range(3):
            assert (await state(line, run_id))["state"] == "fetching"
            shop.clock_forward(61_000 + 300_000)
            await line.round()
            if line.simulator.faults == [] and (await state(line, run_id))["state"] == "preview":
                break
        ended = await state(line, run_id)
        assert (ended["state"], ended["rows"], ended["different"]) == ("preview", 350, 350)
        page = (await line.ask("GET", f"/comparisons/{run_id}?limit=100")).json
        assert page["differences"][-1]["sku"] == "P-0099"
        more = (await line.ask("GET", f"/comparisons/{run_id}?limit=100&cursor={page['next_cursor']}")).json
        assert more["differences"][0]["sku"] == "P-0100"


async def test_a_warehouse_that_cannot_be_asked_makes_a_comparison_that_failed_and_says_why(shop) -> None:
    async with opened(shop) as line:
        line.simulator.faults.append(Fault(kind="refuse", operation="snapshot", status=500, times=100))
        run_id = await compared(line)
        for _ in range(7):
            shop.clock_forward(5 * 3_600_000)
            await line.round()
        row = await shop.pool.fetchrow("SELECT state, reason FROM wms_reconciliation WHERE run_id = $1", run_id)
        assert tuple(row) == ("failed", "http_500")


async def test_what_is_said_but_not_heard_yet_is_heard_before_counts_are_compared(shop) -> None:
    sku = await shop.sku()
    async with opened(shop) as line:
        await line.round()
        line.simulator.deliveries.plan(WebhookPlan(lose=5))
        line.simulator.happen(change(sku, 5))
        run_id = await compared(line)
        # It was carried out on the way; its level follows a moment later, and a comparison after that finds nothing.
        assert await line.stock(sku) == 5
        await line.follow(sku)
        again = await compared(line)
        assert await report(line, again, matched=True) == {sku: (5, 5, 0, 0, "matched")}
        assert (await state(line, run_id))["state"] == "preview"


async def test_pages_of_a_count_that_contradict_each_other_are_dead_and_a_count_that_is_not_whole_is_not_compared(shop) -> None:
    async with opened(shop) as line:

        def page(number: int, **more) -> StockSnapshot:
            told = {"snapshot_id": "C1", "taken_at_ms": 5, "counts": (Count(sku="A", on_hand=1),), "page": number, "pages": 2} | more
            return StockSnapshot(**told)

        for one in (page(1), page(1), page(2, pages=3), page(2, taken_at_ms=6), page(3)):
            line.simulator._push(line.simulator.books.tell("stock.snapshot", one))
            await line.hear()
        assert sorted(letter["reason"] for letter in await line.letters("in", "dead")) == [
            "page_of_another_count", "page_of_another_count", "page_past_the_last",
        ]  # fmt: skip
        body = {"reason": "weekly", "snapshot_id": "C1"}
        assert (await line.ask("POST", f"/connections/{line.connection_id}/comparisons", body)).code == "wms_snapshot_unknown"
        line.simulator._push(line.simulator.books.tell("stock.snapshot", page(2)))
        await line.hear()
        assert (await line.ask("POST", f"/connections/{line.connection_id}/comparisons", body)).status == 202
