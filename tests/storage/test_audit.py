"""The audit finds every kind of break by its id, and nothing in a shop whose books balance."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import msgspec
import pytest

from actors.domain.entity import Send
from actors.domain.kinds import Body, Meta, WireSend, body_decoder, encoder
from actors.domain.sharding import Sharding
from actors.storage.audit import Report, audit
from actors.storage.projections.follower import Follower
from schemas.member import PointsHeld, PointsReleased
from schemas.order import OrderPlaced, PricedLine
from schemas.quota import QuotaClaimed
from schemas.sessions import REVOKED_KEPT_MS, SessionsEnded, SessionStarted
from schemas.stock import Release, StockHeld, StockPutIn, StockReceived, StockReleased

pytestmark = pytest.mark.slow


class Books:
    """A copy of the busy shop's database, to be tampered with."""

    def __init__(self, url: str, connection: Any) -> None:
        self.url = url
        self.db = connection

    async def one(self, sql: str, *arguments: Any) -> Any:
        row = await self.db.fetchrow(sql, *arguments)
        assert row is not None, sql
        return row

    async def forge(self, kind: str, key: str, *events: Any, command_id: bytes = b"forged", at_ms: int | None = None, **more: Any) -> str:
        """Append a record as if its owner had written it; answers its shard, as findings name it."""
        cluster = await self.one("SELECT shard_count, hash_secret FROM cluster")
        shard = more.get("shard", Sharding(cluster["hash_secret"], cluster["shard_count"]).shard(kind, key))
        seq = await self.db.fetchval("UPDATE shard_owner SET head_seq = head_seq + 1 WHERE shard = $1 RETURNING head_seq", shard)
        version = await self.db.fetchval("SELECT coalesce(max(version), 0) + 1 FROM journal WHERE kind = $1 AND key = $2", kind, key)
        at_ms = at_ms or await self.db.fetchval("SELECT max(at_ms) FROM journal")
        body = more.get("body", encoder.encode(Body(list(events), b"d")))
        row = (shard, seq, version, at_ms, 0, kind, key, command_id, body, more.get("meta", b""))
        await self.db.execute("INSERT INTO journal VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)", *row)
        return f"shard {shard}"

    async def events_of(self, kind: str, wanted: type) -> tuple[Any, Any]:
        """The first record of a kind whose first event is of this type, and that event."""
        for row in await self.db.fetch("SELECT * FROM journal WHERE kind = $1 ORDER BY shard, seq", kind):
            events = body_decoder.decode(row["body"]).events
            if events and isinstance(events[0], wanted):
                return row, events[0]
        raise AssertionError(f"no {wanted.__name__} was written")

    async def without_events(self, row: Any) -> None:
        """Let this record have said nothing."""
        await self.db.execute(
            "UPDATE journal SET body = $3 WHERE shard = $1 AND seq = $2", row["shard"], row["seq"], encoder.encode(Body([]))
        )


@pytest.fixture
async def books(busy_url: str) -> AsyncIterator[Books]:
    connection = await asyncpg.connect(busy_url)
    yield Books(busy_url, connection)
    await connection.close()


def ids_of(report: Report) -> set[str]:
    return {name for finding in report.findings for name in finding.ids}


async def test_nothing_is_found_in_a_shop_where_something_of_everything_happened(books: Books) -> None:
    report = await audit(books.url)
    assert report.findings == ()
    assert report.ok
    statuses = {row["status"] for row in await books.db.fetch("SELECT status FROM orders")}
    assert statuses == {"pending_payment", "paid", "cancelled", "refused"}
    payments = {row["status"] for row in await books.db.fetch("SELECT status FROM payment")}
    assert payments == {"paid", "refunded", "questioned"}
    money = ("orders", "payment", "ledger_entry")
    for table in (
        *money,
        "stock_level",
        "stock_warehouse",
        "stock_movement",
        "quota_level",
        "revoked_session",
        "sale_state",
        "points_entry",
        "member_standing",
        "sign_in",
    ):
        assert await books.db.fetchval(f"SELECT count(*) FROM {table}") > 0, table
    assert report.counts["orders"] == await books.db.fetchval("SELECT count(*) FROM orders")
    assert report.counts["behind"] == 0
    assert sum(report.in_flight.values()) == 0


async def test_projections_that_are_behind_are_compared_at_their_position(books: Books) -> None:
    await books.forge("stock", "sku_1#0", StockPutIn(quantity=5))
    report = await audit(books.url)
    assert (report.ok, report.counts["behind"]) == (True, 1)


async def test_an_empty_database_is_in_order(database_url: str) -> None:
    assert (await audit(database_url)).ok


async def test_the_books_balance_at_every_moment_of_a_rush(shop: Any, follower: Any) -> None:
    await shop.put_in("sku_1#0", 60)
    orders = asyncio.gather(*(shop.order(f"usr_{number}", "sku_1") for number in range(90)))
    reports = []
    while not orders.done():
        await follower.step()
        reports.append(await audit(shop.url))
    assert sorted(answer.code for answer in await orders) == [""] * 60 + ["sold_out"] * 30
    assert [finding for report in reports for finding in report.findings] == []
    await shop.settled()
    while await follower.step():
        pass
    report = await audit(shop.url)
    assert (report.findings, report.counts["orders"] >= 60) == ((), True)


Break = Callable[[Books], Awaitable[str]]
BREAKS: dict[str, Break] = {}


def planted(name: str) -> Callable[[Break], Break]:
    def register(plant: Break) -> Break:
        BREAKS[name] = plant
        return plant

    return register


@planted("a record is lost")
async def a_record_is_lost(books: Books) -> str:
    row = await books.one("SELECT shard, seq FROM journal WHERE seq = 3 LIMIT 1")
    await books.db.execute("DELETE FROM journal WHERE shard = $1 AND seq = 3", row["shard"])
    return f"shard {row['shard']}"


@planted("the last record of a shard is lost")
async def the_last_record_of_a_shard_is_lost(books: Books) -> str:
    row = await books.one("SELECT shard, head_seq FROM shard_owner WHERE head_seq > 3 LIMIT 1")
    await books.db.execute("DELETE FROM journal WHERE shard = $1 AND seq = $2", row["shard"], row["head_seq"])
    return f"shard {row['shard']}"


@planted("all records of a shard are lost")
async def all_records_of_a_shard_are_lost(books: Books) -> str:
    shard = await books.db.fetchval("SELECT shard FROM shard_owner WHERE head_seq > 0 LIMIT 1")
    await books.db.execute("DELETE FROM journal WHERE shard = $1", shard)
    return f"shard {shard}"


@planted("a head is ahead of its records")
async def a_head_is_ahead_of_its_records(books: Books) -> str:
    return f"shard {await books.db.fetchval('UPDATE shard_owner SET head_seq = head_seq + 1 WHERE shard = 2 RETURNING shard')}"


@planted("somebody wrote without an epoch")
async def somebody_wrote_without_an_epoch(books: Books) -> str:
    # Which shards have records is a matter of the database's secret.
    written = "UPDATE shard_owner SET epoch = 0 WHERE shard = (SELECT min(shard) FROM journal) RETURNING shard"
    return f"shard {await books.db.fetchval(written)}"


@planted("a shard is no longer listed")
async def a_shard_is_no_longer_listed(books: Books) -> str:
    await books.db.execute("DELETE FROM shard_owner WHERE shard = 5")
    return "shard_owner"


@planted("an entity has two histories")
async def an_entity_has_two_histories(books: Books) -> str:
    await books.db.execute("UPDATE journal SET version = version + 700 WHERE kind = 'stock' AND key = 'sku_1#0' AND version = 3")
    return "sku_1#0"


@planted("a record is in a shard where its entity does not live")
async def a_record_is_in_a_shard_where_its_entity_does_not_live(books: Books) -> str:
    cluster = await books.one("SELECT shard_count, hash_secret FROM cluster")
    home = Sharding(cluster["hash_secret"], cluster["shard_count"]).shard("stock", "sku_9#0")
    await books.forge("stock", "sku_9#0", StockPutIn(quantity=1), shard=(home + 1) % cluster["shard_count"])
    return "sku_9#0"


@planted("a record is of no kind that is known")
async def a_record_is_of_no_kind_that_is_known(books: Books) -> str:
    shard = await books.db.fetchval("UPDATE journal SET kind = 'parcel' WHERE kind = 'cart' AND key = 'usr_3' RETURNING key")
    return str(shard)


@planted("a record cannot be read")
async def a_record_cannot_be_read(books: Books) -> str:
    await books.db.execute(r"UPDATE journal SET body = '\xc1' WHERE kind = 'order' AND key = 'usr_2' AND version = 1")
    return "usr_2"


@planted("a record cannot be applied")
async def a_record_cannot_be_applied(books: Books) -> str:
    await books.forge(
        "order", "usr_1", body=encoder.encode(Body([{"type": "order.cancelled", "order_id": "ord_none", "reason": "", "at_ms": 1}]))
    )
    return "usr_1"


@planted("a command has a second effect")
async def a_command_has_a_second_effect(books: Books) -> str:
    row = await books.one("SELECT command_id FROM journal WHERE kind = 'stock' AND key = 'sku_1#0' AND version = 1")
    await books.forge("stock", "sku_1#0", StockPutIn(quantity=40), command_id=row["command_id"])
    return str(row["command_id"].hex())


@planted("a reservation is held twice")
async def a_reservation_is_held_twice(books: Books) -> str:
    _, event = await books.events_of("stock", StockHeld)
    await books.forge("stock", "sku_2#0", event)
    return str(event.reservation_id.hex())


@planted("more is sold than was put in")
async def more_is_sold_than_was_put_in(books: Books) -> str:
    body = encoder.encode(Body([StockPutIn(quantity=1)], b"d"))
    await books.db.execute("UPDATE journal SET body = $1 WHERE kind = 'stock' AND key = 'sku_1#0' AND version = 1", body)
    return "sku_1#0"


@planted("an order has lost its hold")
async def an_order_has_lost_its_hold(books: Books) -> str:
    row = await books.one("SELECT order_id FROM orders WHERE status = 'pending_payment' AND sale_id = 'sal_1' ORDER BY order_id LIMIT 1")
    for record in await books.db.fetch("SELECT * FROM journal WHERE kind = 'stock'"):
        events = body_decoder.decode(record["body"]).events
        if any(isinstance(event, StockHeld) and event.order_id == row["order_id"] for event in events):
            await books.without_events(record)
    return str(row["order_id"])


@planted("an order's units were released while it stands")
async def an_orders_units_were_released_while_it_stands(books: Books) -> str:
    row = await books.one("SELECT order_id FROM orders WHERE status = 'pending_payment' AND sale_id = 'sal_1' LIMIT 1")
    for record in await books.db.fetch("SELECT * FROM journal WHERE kind = 'stock'"):
        for event in body_decoder.decode(record["body"]).events:
            if isinstance(event, StockHeld) and event.order_id == row["order_id"]:
                back = StockReleased(reservation_id=event.reservation_id, quantity=event.quantity, at_ms=record["at_ms"])
                await books.forge("stock", record["key"], back)
                return str(row["order_id"])
    raise AssertionError("the order has no hold")


@planted("an order holds less than it sold")
async def an_order_holds_less_than_it_sold(books: Books) -> str:
    now_ms = await books.db.fetchval("SELECT max(at_ms) FROM journal")
    order_id = "ord_" + "0" * 20
    line = PricedLine(sku_id="sku_1", quantity=2, unit_price=1, stock_key="sku_1#0")
    hold = StockHeld(reservation_id=b"x" * 16, order_id=order_id, user_id="usr_3", quantity=1, deadline_ms=2**50)
    forged = OrderPlaced(
        order_id=order_id,
        lines=(line,),
        total=2,
        currency="CNY",
        reservation_ids=(b"x" * 16,),
        placed_at_ms=now_ms,
        expires_at_ms=2**50,
        price_version=1,
    )
    await books.forge("stock", "sku_1#0", hold)
    await books.forge("order", "usr_3", forged)
    return order_id


@planted("something is held for an order that nobody has")
async def something_is_held_for_an_order_that_nobody_has(books: Books) -> str:
    hold = StockHeld(reservation_id=b"x" * 16, order_id="ord_none", user_id="usr_3", quantity=1, deadline_ms=1)
    await books.forge("stock", "sku_1#0", hold)
    return "ord_none"


@planted("an order is in two books")
async def an_order_is_in_two_books(books: Books) -> str:
    row = await books.one("SELECT * FROM journal WHERE kind = 'order' AND key = 'usr_1' AND version = 1")
    await books.forge("order", "usr_2", body=row["body"])
    return str(await books.db.fetchval("SELECT order_id FROM orders WHERE user_id = 'usr_1' ORDER BY order_id LIMIT 1"))


@planted("a transfer arrives that was never sent")
async def a_transfer_arrives_that_was_never_sent(books: Books) -> str:
    await books.forge("stock", "sku_hot#1", StockReceived(transfer_id=b"z" * 16, from_key="sku_hot#0", quantity=3))
    return "sku_hot"


@planted("a coupon is used more often than allowed")
async def a_coupon_is_used_more_often_than_allowed(books: Books) -> str:
    for number in range(2):
        claim = QuotaClaimed(claim_id=bytes([number]) * 16, order_id="ord_x", user_id="usr_99", quantity=1, deadline_ms=2**50)
        await books.forge("quota", "cpn_1", claim, command_id=bytes([number]))
    return "cpn_1"


@planted("a user has more of a sale than it allows")
async def a_user_has_more_of_a_sale_than_it_allows(books: Books) -> str:
    row, placed = await books.events_of("order", OrderPlaced)
    line = PricedLine(sku_id="sku_hot", quantity=4, unit_price=1999, stock_key="sku_hot#0")
    forged = msgspec.structs.replace(placed, order_id="ord_x", sale_id="sal_1", lines=(line,), total=4 * 1999, limit=3)
    forged = msgspec.structs.replace(forged, reservation_ids=placed.reservation_ids[:1])
    await books.forge("order", row["key"], forged)
    return "ord_x"


async def test_a_limit_that_was_lowered_since_says_nothing_about_orders_that_stood_before(books: Books) -> None:
    assert await books.db.execute("UPDATE flash_sale SET limit_per_user = 1") != "UPDATE 0"
    assert (await audit(books.url)).findings == ()


async def test_the_end_of_a_session_is_missed_in_the_list_only_while_a_token_of_it_may_live(books: Books) -> None:
    now_ms = await books.db.fetchval("SELECT max(at_ms) FROM journal") + REVOKED_KEPT_MS
    await books.forge("sessions", "usr_7", SessionStarted(session_id="ses_x", refresh_hash=b"h" * 32, device="", at_ms=now_ms))
    ended = SessionsEnded(session_ids=("ses_x",), reason="logout", generation=2, at_ms=now_ms)
    await books.forge("sessions", "usr_7", ended, command_id=b"logout")
    assert await books.db.fetchval("SELECT count(*) FROM revoked_session") == 1
    follower = Follower(books.url)
    while await follower.step():
        pass
    await follower.close()
    assert await books.db.fetchval("SELECT string_agg(session_id, ',') FROM revoked_session") == "ses_x"
    assert (await audit(books.url)).findings == ()
    await books.db.execute("DELETE FROM revoked_session")
    assert ids_of(await audit(books.url)) == {"ses_x"}


@planted("a row of orders is lost")
async def a_row_of_orders_is_lost(books: Books) -> str:
    return str(await books.db.fetchval("DELETE FROM orders WHERE order_id = (SELECT min(order_id) FROM orders) RETURNING order_id"))


@planted("there is an order that nobody placed")
async def there_is_an_order_that_nobody_placed(books: Books) -> str:
    await books.db.execute(
        "INSERT INTO orders SELECT 'ord_ghost', user_id, status, total_amount, currency, sale_id, placed_at_ms, expires_at_ms, shard, "
        "updated_seq, lines FROM orders LIMIT 1"
    )
    return "ord_ghost"


@planted("an order has another status")
async def an_order_has_another_status(books: Books) -> str:
    return str(
        await books.db.fetchval("UPDATE orders SET status = 'paid' WHERE order_id = (SELECT max(order_id) FROM orders) RETURNING order_id")
    )


@planted("an order has other lines")
async def an_order_has_other_lines(books: Books) -> str:
    last = str(await books.db.fetchval("SELECT max(order_id) FROM orders"))
    await books.db.execute("UPDATE orders SET lines = jsonb_set(lines, '{0,quantity}', '9') WHERE order_id = $1", last)
    return last


@planted("a payment has another amount")
async def a_payment_has_another_amount(books: Books) -> str:
    return str(
        await books.db.fetchval(
            "UPDATE payment SET amount = 1 WHERE payment_id = (SELECT min(payment_id) FROM payment) RETURNING payment_id"
        )
    )


@planted("a quota is wrong")
async def a_quota_is_wrong(books: Books) -> str:
    return str(await books.db.fetchval("UPDATE quota_level SET redeemed = redeemed + 1 RETURNING coupon_id"))


@planted("a posting does not sum to zero")
async def a_posting_does_not_sum_to_zero(books: Books) -> str:
    return str(
        await books.db.fetchval(
            "UPDATE ledger_entry SET amount = amount + 1 WHERE account = 'customer.deposits' "
            "AND posting = (SELECT min(posting) FROM ledger_entry WHERE posting LIKE 'payment:%') RETURNING posting"
        )
    )


@planted("a payment was never booked")
async def a_payment_was_never_booked(books: Books) -> str:
    await books.db.execute(
        "DELETE FROM ledger_entry WHERE posting = (SELECT min(posting) FROM ledger_entry WHERE posting LIKE 'payment:%')"
    )
    return "provider.receivable"


@planted("a revoked session is not in the list")
async def a_revoked_session_is_not_in_the_list(books: Books) -> str:
    return str(await books.db.fetchval("DELETE FROM revoked_session RETURNING session_id"))


@planted("a sale has another state")
async def a_sale_has_another_state(books: Books) -> str:
    return str(await books.db.fetchval("UPDATE sale_state SET state = 'ended' RETURNING sale_id"))


@planted("a posting of points does not sum to zero")
async def a_posting_of_points_does_not_sum_to_zero(books: Books) -> str:
    change = "UPDATE points_entry SET amount = amount + 1 WHERE account = 'spent' RETURNING posting"
    return str(await books.db.fetchval(change))


@planted("a posting of points is missing")
async def a_posting_of_points_is_missing(books: Books) -> str:
    await books.db.execute("DELETE FROM points_entry WHERE posting LIKE 'committed:%'")
    return "usr_1 spent"


@planted("somebody has another level")
async def somebody_has_another_level(books: Books) -> str:
    return str(await books.db.fetchval("UPDATE member_standing SET level_id = 'gold' WHERE level_id = 'silver' RETURNING user_id"))


@planted("a visit is not in the table")
async def a_visit_is_not_in_the_table(books: Books) -> str:
    row = await books.one("DELETE FROM sign_in RETURNING user_id, day")
    return f"{row['user_id']} {row['day']}"


@planted("points are held for an order that was cancelled")
async def points_are_held_for_an_order_that_was_cancelled(books: Books) -> str:
    row, event = await books.events_of("member", PointsReleased)
    await books.without_events(row)
    return str(event.hold_id.hex())


@planted("points were spent that nobody had")
async def points_were_spent_that_nobody_had(books: Books) -> str:
    held = PointsHeld(hold_id=b"h", order_id="ord_x", points=10**6, deadline_ms=2**50, at_ms=0, parts=((5, 10**6),))
    await books.forge("member", "usr_none", held)
    return "usr_none"


@planted("the members' projections are ahead of the journal")
async def the_members_projections_are_ahead_of_the_journal(books: Books) -> str:
    await books.db.execute("UPDATE projection_position SET seq = seq + 9 WHERE shard = 2 AND projection = 'members'")
    return "shard 2"


@planted("projections are ahead of the journal")
async def projections_are_ahead_of_the_journal(books: Books) -> str:
    shard = await books.db.fetchval("UPDATE projection_position SET seq = seq + 9 WHERE shard = 1 RETURNING shard")
    return f"shard {shard}"


@planted("a projection stands still")
async def a_projection_stands_still(books: Books) -> str:
    await books.db.execute("INSERT INTO projection_stop (projection, shard, seq, reason) VALUES ('orders', 3, 7, 'poison')")
    return "shard 3"


@planted("a snapshot is torn")
async def a_snapshot_is_torn(books: Books) -> str:
    row = await books.one("SELECT shard, seq, version FROM journal WHERE kind = 'stock' AND key = 'sku_1#0' AND version = 2")
    await books.db.execute("INSERT INTO snapshot VALUES ($1, 'stock', 'sku_1#0', $3, $2, 'torn')", *row)
    return "sku_1#0"


@planted("a snapshot is of a history that did not happen")
async def a_snapshot_is_of_a_history_that_did_not_happen(books: Books) -> str:
    await books.db.execute("INSERT INTO snapshot VALUES (0, 'stock', 'sku_1#0', 999, 999999, 'x')")
    return "sku_1#0"


@planted("a message has waited for an hour")
async def a_message_has_waited_for_an_hour(books: Books) -> str:
    send = Send(id=b"s" * 16, step="undo:ord_x:r0", kind="stock", key="sku_1#0", command=Release(reservation_id=b"x"))
    meta = encoder.encode(Meta([WireSend(send.id, send.step, send.kind, send.key, send.command)], []))
    hour_ago = await books.db.fetchval("SELECT (extract(epoch FROM now()) * 1000)::bigint - 3600000")
    await books.forge("order", "usr_1", meta=meta, at_ms=hour_ago)
    return "undo:ord_x:r0"


@pytest.mark.parametrize("name", BREAKS)
async def test_a_planted_break_is_found_by_its_id(name: str, books: Books) -> None:
    wanted = await BREAKS[name](books)
    report = await audit(books.url)
    assert not report.ok
    assert wanted in ids_of(report), report.findings


async def test_f30_a_level_of_stock_that_somebody_changed_by_hand_is_found(books: Books) -> None:
    await books.db.execute("UPDATE stock_level SET available = available + 1 WHERE key = 'sku_2#0'")
    report = await audit(books.url)
    assert [finding.ids for finding in report.findings] == [("sku_2#0",)]
