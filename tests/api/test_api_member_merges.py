"""Merging accounts over HTTP: membership follows, once, also when the process ends between the merge and what follows it."""

import asyncio
import secrets

import pytest

from schemas.member import Earn, ReadMember, SetBirthday
from serve.merging import follow_merge, follow_merges

pytestmark = pytest.mark.asyncio(loop_scope="session")

PASSWORD = "correct horse battery staple"


def email() -> str:
    return f"kim.{secrets.token_hex(6)}@example.com"


async def earned(shop, user_id: str, amount: int, order_id: str = "ord_earlier") -> None:
    command = Earn(order_id=order_id, amount=amount, currency="CNY")
    answer = await shop.client.ask("member", user_id, command, command_id=secrets.token_bytes(16), digest=b"d")
    assert not answer.code


async def view(shop, user_id: str):
    return (await shop.client.ask("member", user_id, ReadMember(), command_id=secrets.token_bytes(16))).reply


async def two(shop) -> tuple[dict, dict, str]:
    """An older account that logs in by telephone, a newer one with points, and the telephone."""
    number = f"+86138{secrets.randbelow(10**8):08}"
    older = (await shop.ask("POST", "/v1/sessions/code", await shop.code("login", phone=number))).json
    newer = await shop.register({"email": email(), "password": PASSWORD})
    return older, newer, number


async def test_points_growth_and_level_are_the_surviving_account_s(shop) -> None:
    older, newer, number = await two(shop)
    await earned(shop, newer["user_id"], 600_000)
    await earned(shop, older["user_id"], 10_000)
    birthday = SetBirthday(month=5, day=4)
    await shop.client.ask("member", newer["user_id"], birthday, command_id=secrets.token_bytes(16), digest=b"d")
    expiring = (await view(shop, newer["user_id"])).expiring_ms
    shop.clock_forward(61_000)
    merge = await shop.code("merge", token=newer["access_token"], phone=number)
    merged = await shop.ask("POST", "/v1/me/merge", merge, token=newer["access_token"])
    assert merged.status == 200, merged.body
    found = (await shop.ask("GET", "/v1/me/membership", token=merged.json["access_token"])).json
    assert (found["level"]["level_id"], found["points"]["available"], found["growth"]) == ("gold", 6100, 6100)
    assert (found["birthday"]["month"], found["birthday"]["day"]) == (5, 4)
    assert (await view(shop, older["user_id"])).expiring_ms == expiring
    gone = await view(shop, newer["user_id"])
    assert (gone.available, gone.growth) == (0, 0)
    # What was paid in an order of the account that is gone comes later, and follows.
    await earned(shop, newer["user_id"], 10_000, "ord_late")
    async with asyncio.timeout(20):
        while (await view(shop, older["user_id"])).available <= 6100:  # noqa: ASYNC110 (a reminder moves it on)
            await asyncio.sleep(0.05)
    assert (await view(shop, older["user_id"])).available == 6100 + 125
    assert await shop.pool.fetchval("SELECT done_at IS NOT NULL FROM account_merge WHERE gone = $1", newer["user_id"])


@pytest.mark.parametrize("ended_after", ["the merge", "the transfer"])
async def test_a_process_that_ends_between_the_steps_is_followed_by_another_once(shop, ended_after) -> None:
    older, newer, _ = await two(shop)
    gone, survivor = newer["user_id"], older["user_id"]
    await earned(shop, gone, 50_000)
    desk = shop.application.desk
    # As far as the process came: the transaction, or also the transfer, whose end it did not write down.
    assert await desk.users.merge(gone, survivor)
    if ended_after == "the transfer":
        await follow_merge(desk, gone, survivor)
        await shop.pool.execute("UPDATE account_merge SET done_at = NULL WHERE gone = $1", gone)
    assert await shop.pool.fetchval("SELECT count(*) FROM account_merge WHERE gone = $1", gone) == 1
    # Two replicas find it at once, and again.
    await asyncio.gather(*(follow_merges(desk) for _ in range(4)))
    await follow_merge(desk, gone, survivor)
    assert ((await view(shop, survivor)).available, (await view(shop, gone)).available) == (500, 0)
    assert await desk.users.open_merges(100) == []
    assert (await shop.ask("GET", "/v1/me", token=newer["access_token"])).code == "token_revoked"
    assert await desk.users.merge(gone, survivor), "it is merged, and so it was"
    assert await desk.users.open_merges(100) == []
    assert not await desk.users.merge(gone, (await two(shop))[0]["user_id"]), "but not into anybody else"


async def test_a_request_that_is_repeated_after_its_process_ended_goes_on_where_that_was(shop) -> None:
    older, newer, number = await two(shop)
    await earned(shop, newer["user_id"], 50_000)
    shop.clock_forward(61_000)
    merge = await shop.code("merge", token=newer["access_token"], phone=number)
    assert await shop.application.desk.users.merge(newer["user_id"], older["user_id"])
    merged = await shop.ask("POST", "/v1/me/merge", merge, token=newer["access_token"])
    assert (merged.status, merged.json.get("user_id")) == (200, older["user_id"]), merged.body
    assert (await view(shop, older["user_id"])).available == 500
