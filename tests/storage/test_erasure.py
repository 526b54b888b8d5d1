"""Erasing a person leaves the books as they were, and nobody reads where their orders went."""

from typing import Any

import asyncpg
import pytest

from actors.domain.kinds import body_decoder
from actors.storage.addresses import Addresses, Kept
from actors.storage.audit import audit
from actors.storage.identities import Identities
from actors.storage.orders import Orders
from actors.storage.personal_data import PersonalData
from actors.storage.privacy import Privacy, drop_messages, erase_due
from actors.storage.projections.follower import Follower
from actors.storage.sealing import FieldKeys, Sealer
from actors.storage.user_keys import UserKeys
from actors.storage.users import Users
from schemas.identity import ProvenIdentity
from schemas.ids import order_id
from schemas.order import Address, Line, OrderPlaced, OrderStarted, PlaceOrder

pytestmark = pytest.mark.slow

SEALER = Sealer(FieldKeys(current=1, keys={1: b"f" * 32}, lookup=b"l" * 32))
HOME = Address(country="CN", name="李雷", phone="+86 13800138000", line1="中关村大街1号", city="北京市", region="北京市", district="海淀区")


async def written(connection: Any, user_id: str) -> list[Any]:
    rows = await connection.fetch("SELECT body FROM journal WHERE kind = 'order' AND key = $1 ORDER BY version", user_id)
    events = [event for row in rows for event in body_decoder.decode(row["body"]).events]
    placed = [event.draft if isinstance(event, OrderStarted) else event for event in events]
    return [event for event in placed if isinstance(event, OrderPlaced)]


async def test_the_books_balance_after_an_erasure_and_the_journal_s_address_is_nobody_s(shop: Any, connection: Any) -> None:
    pool = await asyncpg.create_pool(shop.url, min_size=1, max_size=3)
    identities = Identities(pool, SEALER)
    users, addresses, keys, privacy = Users(pool, identities), Addresses(pool, SEALER), UserKeys(pool, SEALER), Privacy(pool, SEALER)
    user_id = "usr_kim"
    assert await users.open(user_id, ProvenIdentity(kind="email", subject="kim@example.com"), "hash", b"r" * 16)
    await addresses.add(user_id, "adr_1", Kept(address=HOME), is_default=True)
    await shop.put_in("sku_1#0", 5)
    sealed = await keys.seal_address(user_id, HOME)
    number = order_id(shop.clock.now_ms(), 1, 1)
    command = PlaceOrder(order_id=number, lines=(Line(sku_id="sku_1", quantity=1),), sealed_ship_to=sealed)
    assert (await shop.ask("order", user_id, command)).code == ""
    assert (await shop.pay(user_id, number)).code == ""
    await shop.settled()
    follower = Follower(shop.url)
    while await follower.step():
        pass
    await follower.close()
    assert [event.sealed_ship_to for event in await written(connection, user_id)] == [sealed]
    data = await PersonalData(pool, identities, addresses, Orders(pool), keys).of_user(user_id)
    assert [(order["order_id"], order["ship_to"]["line1"]) for order in data["orders"]] == [(number, "中关村大街1号")]
    assert [payment["status"] for payment in data["payments"]] == ["paid"]
    kept = ("SELECT * FROM journal ORDER BY shard, seq", "SELECT * FROM orders", "SELECT * FROM payment", "SELECT * FROM ledger_entry")
    before = [await connection.fetch(sql) for sql in kept]
    assert all(before)

    await privacy.ask_erasure(user_id, 0)
    assert await privacy.erase_one() == user_id
    assert await privacy.erase_one() is None
    assert [await connection.fetch(sql) for sql in kept] == before
    assert await keys.open_address(user_id, sealed) is None
    report = await audit(shop.url)
    assert (report.findings, report.counts["staff_actions"], report.counts["orders"]) == ((), 1, 1)
    assert await connection.fetchval("SELECT status FROM account WHERE user_id = $1", user_id) == "erased"
    for table in ("identity", "address", "user_key"):
        assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0
    # Whoever had been merged into the account goes with it, and no key is made for who was erased.
    with pytest.raises(Exception, match="was erased"):
        await keys.seal_address(user_id, HOME)
    await pool.close()


async def test_an_erasure_that_fails_in_the_middle_leaves_everything(database_url: str, connection: Any, monkeypatch: Any) -> None:
    from actors.storage import staff_actions

    pool = await asyncpg.create_pool(database_url, min_size=1, max_size=2)
    users, privacy = Users(pool, Identities(pool, SEALER)), Privacy(pool, SEALER)
    assert await users.open("usr_kim", ProvenIdentity(kind="email", subject="kim@example.com"), "hash", b"r" * 16)
    await privacy.ask_erasure("usr_kim", 0)

    async def broken(connection: Any, action: Any) -> int:
        raise asyncpg.RaiseError("the trail is full")

    with monkeypatch.context() as patched:
        patched.setattr(staff_actions, "add", broken)
        with pytest.raises(Exception, match="the trail is full"):
            await privacy.erase_one()
    assert await connection.fetchval("SELECT count(*) FROM identity") == 1
    assert await connection.fetchval("SELECT status FROM account") == "active"
    assert await privacy.erase_one() == "usr_kim"
    await pool.close()


async def test_of_two_who_erase_at_once_each_takes_another_person(database_url: str, connection: Any) -> None:
    for user_id in ("usr_a", "usr_b"):
        await connection.execute("INSERT INTO account (user_id, register_id) VALUES ($1, '')", user_id)
        await connection.execute("INSERT INTO erasure (user_id, due_at) VALUES ($1, now() - interval '1 day')", user_id)
    other = await asyncpg.connect(database_url)
    one_begun, other_begun = connection.transaction(), other.transaction()
    await one_begun.start()
    first = await connection.fetchval("SELECT user_id FROM erasure ORDER BY due_at LIMIT 1 FOR UPDATE")
    await other_begun.start()
    assert await erase_due(other) not in (None, first)
    await other_begun.commit()
    await one_begun.rollback()
    await other.close()


async def test_a_merged_account_s_key_is_destroyed_with_the_survivor(database_url: str, connection: Any) -> None:
    await connection.execute("INSERT INTO account (user_id, register_id) VALUES ('usr_a', '')")
    await connection.execute("INSERT INTO account (user_id, register_id, status, merged_into) VALUES ('usr_b', '', 'merged', 'usr_a')")
    keys = UserKeys(connection, SEALER)
    sealed = await keys.seal_address("usr_b", HOME)
    await connection.execute("INSERT INTO erasure (user_id, due_at) VALUES ('usr_a', now())")
    async with connection.transaction():
        assert await erase_due(connection) == "usr_a"
    assert await keys.open_address("usr_b", sealed) is None
    assert {row["status"] for row in await connection.fetch("SELECT status FROM account")} == {"erased"}


async def test_messages_of_the_outbox_are_deleted_by_their_age_where_there_is_one(connection: Any) -> None:
    if not await connection.fetchval("SELECT to_regclass('outgoing_message') IS NOT NULL"):
        assert await drop_messages(connection, 30) == 0
        await connection.execute(
            "CREATE TABLE outgoing_message (message_id text, channel text, recipient text, template text, language text, subject text,"
            " body text, at_ms bigint)"
        )
    for days in (29, 31):
        await connection.execute(
            "INSERT INTO outgoing_message (message_id, channel, recipient, template, language, subject, body, at_ms)"
            " VALUES ($1, 'sms', 'r', 't', 'en', '', 'b', (extract(epoch FROM now()) * 1000)::bigint - $2::bigint * 86400000)",
            f"msg_{days}", days,
        )  # fmt: skip
    assert await drop_messages(connection, 30) == 1
    assert await connection.fetchval("SELECT message_id FROM outgoing_message") == "msg_29"
