"""The address book: one default, sealed at rest, checked by country; and the table of places."""

import asyncio
from typing import Any

import pytest

from actors.domain.kinds import body_decoder
from actors.storage.addresses import ADDRESSES_MAX, move_addresses, reseal_addresses
from actors.storage.sealing import FieldKeys, Sealer, Unreadable
from actors.storage.user_keys import UserKeys, reseal_user_keys
from schemas.order import Address, OrderPlaced

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

HOME = {"country": "CN", "name": "李雷", "phone": "+86 13800138000", "line1": "中关村大街1号", "region_code": "110108"}
AWAY = {
    "country": "US",
    "name": "Kim",
    "phone": "+1 2025550143",
    "line1": "1 Main St",
    "city": "Austin",
    "region": "TX",
    "postal_code": "78701",
}


async def add(shop: Any, bearer: str, body: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer = await shop.ask("POST", "/v1/me/addresses", body | more, token=bearer)
    assert answer.status == 201, answer.body
    return answer.json


async def book(shop: Any, bearer: str) -> list[tuple[str, bool]]:
    found = (await shop.ask("GET", "/v1/me/addresses", token=bearer)).json["addresses"]
    return [(one["address_id"], one["is_default"]) for one in found]


async def test_an_address_is_added_read_changed_and_removed(shop) -> None:
    _, bearer = shop.user()
    home = await add(shop, bearer, HOME)
    assert (home["region"], home["city"], home["district"], home["is_default"]) == ("北京市", "北京市", "海淀区", True)
    path = f"/v1/me/addresses/{home['address_id']}"
    assert (await shop.ask("GET", path, token=bearer)).json == home
    changed = await shop.ask("PUT", path, AWAY, token=bearer)
    assert (changed.status, changed.json["city"], changed.json["region_code"], changed.json["is_default"]) == (200, "Austin", "", True)
    assert (await shop.ask("DELETE", path, token=bearer)).status == 204
    assert (await shop.ask("GET", path, token=bearer)).code == "address_unknown"
    assert (await shop.ask("DELETE", path, token=bearer)).code == "address_unknown"


async def test_exactly_one_is_the_default_whatever_is_added_chosen_and_removed(shop) -> None:
    _, bearer = shop.user()
    first, second = await add(shop, bearer, HOME), await add(shop, bearer, AWAY)
    assert await book(shop, bearer) == [(first["address_id"], True), (second["address_id"], False)]
    third = await add(shop, bearer, HOME, is_default=True)
    assert [one for one, default in await book(shop, bearer) if default] == [third["address_id"]]
    chosen = await shop.ask("PUT", f"/v1/me/addresses/{first['address_id']}/default", token=bearer)
    assert (chosen.status, chosen.json["is_default"]) == (200, True)
    assert [one for one, default in await book(shop, bearer) if default] == [first["address_id"]]
    assert (await shop.ask("DELETE", f"/v1/me/addresses/{first['address_id']}", token=bearer)).status == 204
    assert [one for one, default in await book(shop, bearer) if default] == [third["address_id"]]


async def test_of_ten_at_once_that_are_to_be_the_default_one_is(shop) -> None:
    user_id, bearer = shop.user()
    await asyncio.gather(*(add(shop, bearer, HOME, is_default=True) for _ in range(10)))
    found = await book(shop, bearer)
    assert (len(found), sum(default for _, default in found)) == (10, 1)
    await asyncio.gather(*(shop.ask("PUT", f"/v1/me/addresses/{name}/default", token=bearer) for name, _ in found))
    assert sum(default for _, default in await book(shop, bearer)) == 1
    kept = await shop.pool.fetchval("SELECT count(*) FROM address WHERE user_id = $1 AND is_default", user_id)
    assert kept == 1


async def test_a_repeat_with_the_same_key_is_one_address_and_another_body_is_refused(shop) -> None:
    _, bearer = shop.user()
    once = await shop.ask("POST", "/v1/me/addresses", HOME, token=bearer, key="key-address-1")
    again = await shop.ask("POST", "/v1/me/addresses", HOME, token=bearer, key="key-address-1")
    assert (once.status, again.status, again.json) == (201, 201, once.json)
    other = await shop.ask("POST", "/v1/me/addresses", AWAY, token=bearer, key="key-address-1")
    assert (other.status, other.code) == (422, "idempotency_key_reused")
    assert (await shop.ask("POST", "/v1/me/addresses", HOME, token=bearer, key=None)).code == "idempotency_key_missing"


async def test_a_full_book_takes_no_more_also_of_many_at_once(shop) -> None:
    _, bearer = shop.user()
    answers = await asyncio.gather(*(shop.ask("POST", "/v1/me/addresses", HOME, token=bearer) for _ in range(ADDRESSES_MAX + 5)))
    assert sorted(answer.status for answer in answers) == [201] * ADDRESSES_MAX + [409] * 5
    assert {answer.code for answer in answers if answer.status == 409} == {"address_limit"}
    assert len(await book(shop, bearer)) == ADDRESSES_MAX


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"region_code": "110199"}, "address_invalid"),
        ({"region_code": "", "city": "北京市", "region": "北京市"}, "address_invalid"),
        ({"city": "上海市"}, "address_invalid"),
        ({"country": "XX", "region_code": ""}, "address_invalid"),
        ({"country": "US", "region_code": "", "city": "Austin", "region": "TX", "postal_code": "787"}, "address_invalid"),
        ({"line1": "   "}, "address_invalid"),
        ({"phone": "no"}, "invalid_request"),
        ({"name": "x" * 101}, "invalid_request"),
        ({"user_id": "usr_other"}, "invalid_request"),
        ({"is_default": 1}, "invalid_request"),
    ],
)
async def test_an_address_where_no_parcel_arrives_is_refused(shop, change: dict[str, Any], code: str) -> None:
    _, bearer = shop.user()
    refused = await shop.ask("POST", "/v1/me/addresses", HOME | change, token=bearer)
    assert (refused.status, refused.code) == (422, code)
    assert await book(shop, bearer) == []


async def test_f67_checkout_goes_to_an_address_of_one_s_own_book_and_of_nobody_else_s(shop) -> None:
    _, bearer = shop.user()
    _, other = shop.user()
    own, foreign = await add(shop, bearer, HOME), await add(shop, other, HOME)
    sku_id = await shop.sku(5)
    await shop.ask("PUT", f"/v1/cart/lines/{sku_id}", {"quantity": 1}, token=bearer)
    refused = await shop.ask("POST", "/v1/checkout", {"address_id": foreign["address_id"]}, token=bearer)
    assert (refused.status, refused.code) == (404, "address_unknown")
    for wrong in ({}, {"address_id": own["address_id"], "ship_to": AWAY}):
        assert (await shop.ask("POST", "/v1/checkout", wrong, token=bearer)).code == "invalid_request"
    done = await shop.ask("POST", "/v1/checkout", {"address_id": own["address_id"]}, token=bearer)
    assert (done.status, done.json["status"]) == (201, "pending_payment")


async def test_the_journal_holds_no_address_that_anybody_reads_without_the_buyer_s_key(shop) -> None:
    user_id, bearer = shop.user()
    own = await add(shop, bearer, HOME)
    sku_id = await shop.sku(5)
    await shop.ask("PUT", f"/v1/cart/lines/{sku_id}", {"quantity": 1}, token=bearer)
    await shop.ask("POST", "/v1/checkout", {"address_id": own["address_id"]}, token=bearer)
    journal = shop.services.directory
    bodies = [record.body for shard in journal.rows.values() for record in shard if record.key == user_id and record.kind == "order"]
    placed = [event for body in bodies for event in body_decoder.decode(body).events if isinstance(event, OrderPlaced)]
    assert len(placed) == 1
    assert placed[0].ship_to is None
    assert all("中关村".encode() not in body and b"13800138000" not in body for body in bodies)
    keys: UserKeys = shop.application.desk.user_keys
    found = await keys.open_address(user_id, placed[0].sealed_ship_to)
    assert found is not None
    assert (found.line1, found.district) == ("中关村大街1号", "海淀区")
    await shop.pool.execute("DELETE FROM user_key WHERE user_id = $1", user_id)
    assert await keys.open_address(user_id, placed[0].sealed_ship_to) is None


async def test_an_address_in_the_tables_is_sealed_and_opens_for_its_own_row_alone(shop) -> None:
    user_id, bearer = shop.user()
    one, other = await add(shop, bearer, HOME), await add(shop, bearer, AWAY)
    rows = await shop.pool.fetch("SELECT sealed FROM address WHERE user_id = $1", user_id)
    assert all("中关村".encode() not in row["sealed"] and b"Main" not in row["sealed"] for row in rows)
    await shop.pool.execute(
        "UPDATE address SET sealed = (SELECT sealed FROM address WHERE address_id = $1) WHERE address_id = $2",
        one["address_id"], other["address_id"],
    )  # fmt: skip
    with pytest.raises(Unreadable):
        await shop.application.desk.addresses.of_user(user_id)
    await shop.pool.execute("DELETE FROM address WHERE user_id = $1", user_id)


async def test_a_new_field_key_seals_addresses_and_user_keys_anew_and_they_open_as_before(shop) -> None:
    old = FieldKeys(current=1, keys={1: b"a" * 32}, lookup=b"l" * 32)
    both = FieldKeys(current=2, keys={1: b"a" * 32, 2: b"b" * 32}, lookup=b"l" * 32)
    new = FieldKeys(current=2, keys={2: b"b" * 32}, lookup=b"l" * 32)
    address = Address(country="US", name="Kim", phone="+1 2025550143", line1="1 Main St", city="Austin")
    async with shop.pool.acquire() as connection:
        begun = connection.transaction()
        await begun.start()
        await connection.execute("DELETE FROM address")
        await connection.execute("DELETE FROM user_key")
        written = await UserKeys(connection, Sealer(old)).seal_address("usr_a", address)
        assert await reseal_user_keys(connection, Sealer(both)) == 1
        assert await reseal_user_keys(connection, Sealer(both)) == 0
        assert await reseal_addresses(connection, Sealer(both)) == 0
        assert await UserKeys(connection, Sealer(new)).open_address("usr_a", written) == address
        with pytest.raises(Unreadable):
            await UserKeys(connection, Sealer(new)).open_address("usr_a", written[:-1] + bytes((written[-1] ^ 1,)))
        await begun.rollback()


async def test_a_merged_account_s_book_goes_to_the_other_and_its_default_stays(shop) -> None:
    gone, gone_bearer = shop.user()
    survivor, bearer = shop.user()
    theirs, own = await add(shop, gone_bearer, AWAY), await add(shop, bearer, HOME)
    async with shop.pool.acquire() as connection:
        await move_addresses(connection, gone, survivor)
    assert await book(shop, bearer) == [(own["address_id"], True), (theirs["address_id"], False)]
    assert await book(shop, gone_bearer) == []


# --- places -------------------------------------------------------------------------------------------


async def test_places_are_listed_by_what_they_lie_in(shop) -> None:
    provinces = (await shop.ask("GET", "/v1/regions/cn")).json
    assert (provinces["parent"], len(provinces["regions"]), provinces["regions"][0]) == (
        "", 31, {"code": "11", "name": "北京市", "leaf": False},
    )  # fmt: skip
    towns = (await shop.ask("GET", "/v1/regions/cn?parent=4419")).json["regions"]
    assert towns[0] == {"code": "441900003", "name": "东城街道", "leaf": True}
    assert (await shop.ask("GET", "/v1/regions/cn?parent=99")).code == "region_unknown"
    assert (await shop.ask("GET", "/v1/regions/cn?parent=1;")).code == "invalid_request"


async def test_whoever_has_the_places_is_told_that_they_have_not_changed(shop) -> None:
    first = await shop.ask("GET", "/v1/regions/cn?parent=11")
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "public, max-age=86400"
    again = await shop.ask("GET", "/v1/regions/cn?parent=11", headers={"If-None-Match": f'"x", {tag}'})
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
    other = await shop.ask("GET", "/v1/regions/cn?parent=12", headers={"If-None-Match": tag})
    assert other.status == 200
