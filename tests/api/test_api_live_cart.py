"""The same cart live on every terminal."""

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio as redis_client

from actors.storage.embedded import EmbeddedValkey
from schemas.cart import PutLine
from serve import live_cart
from serve.application import build
from serve.news import CHANNEL

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Terminal:
    """One open stream."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    async def next(self) -> dict[str, Any] | None:
        """The next cart that is shown, as quantities by SKU; None at the end."""
        async with asyncio.timeout(10):
            async for line in self.answer.content:
                if line.startswith(b"data: "):
                    return {one["sku_id"]: one["quantity"] for one in json.loads(line[6:])["lines"]}
        return None


@asynccontextmanager
async def terminal(shop, **headers: str) -> AsyncIterator[Terminal]:
    async with shop.session.get(shop.base + live_cart.PATH, headers=headers) as answer:
        assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        yield Terminal(answer)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_a_change_on_one_terminal_is_seen_on_all_others(shop) -> None:
    _, token = shop.user()
    first, second = await shop.sku(5), await shop.sku(5)
    async with terminal(shop, **bearer(token)) as phone, terminal(shop, **bearer(token)) as laptop:
        assert await phone.next() == await laptop.next() == {}
        await shop.ask("PUT", f"/v1/cart/lines/{first}", {"quantity": 2}, token=token)
        assert await phone.next() == await laptop.next() == {first: 2}
        await shop.ask("PUT", f"/v1/cart/lines/{second}", {"quantity": 1}, token=token)
        await shop.ask("DELETE", f"/v1/cart/lines/{first}", token=token)
        while (seen := await phone.next()) != {second: 1}:
            assert seen is not None
        while (seen := await laptop.next()) != {second: 1}:
            assert seen is not None


async def test_a_guest_sees_his_own_cart(shop) -> None:
    sku_id = await shop.sku(5)
    guest = (await shop.ask("PUT", f"/v1/cart/lines/{sku_id}", {"quantity": 2})).json["guest_token"]
    async with terminal(shop, **{"Guest-Token": guest}) as page:
        assert await page.next() == {sku_id: 2}
        await shop.ask("PUT", f"/v1/cart/lines/{sku_id}", {"quantity": 3}, headers={"Guest-Token": guest})
        assert await page.next() == {sku_id: 3}


async def test_a_stream_ends_with_its_session(shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_cart, "LOOK_S", 0.05)
    user_id, _ = shop.user()
    session_id = "ses_" + secrets.token_hex(8)
    token = shop.token_of(user_id, session_id=session_id)
    async with terminal(shop, **bearer(token)) as page:
        assert await page.next() == {}
        shop.application.desk.revocations.end([session_id])
        assert await page.next() is None


async def test_who_is_nobody_sees_no_cart(shop) -> None:
    assert (await shop.ask("GET", live_cart.PATH)).code == "unauthenticated"
    assert (await shop.ask("GET", live_cart.PATH, headers={"Guest-Token": "gst_x"})).code == "unauthenticated"
    assert (await shop.ask("GET", live_cart.PATH, token="x")).code == "unauthenticated"


async def test_one_customer_cannot_open_streams_without_end(shop) -> None:
    _, token = shop.user()
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(live_cart.STREAMS_OF_ONE_MAX):
            await stack.enter_async_context(terminal(shop, **bearer(token)))
        assert (await shop.ask("GET", live_cart.PATH, token=token)).code == "rate_limited"
    async with asyncio.timeout(10):
        while shop.application.live_carts._count:  # noqa: ASYNC110 (the server learns by itself that a client left)
            await asyncio.sleep(0.01)
    async with terminal(shop, **bearer(token)) as page:
        assert await page.next() == {}


@pytest.mark.slow
async def test_a_change_through_one_replica_is_seen_at_another(running_shop, database_url, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(live_cart, "LOOK_S", 60.0)  # the news alone can tell
    with EmbeddedValkey(tmp_path / "valkey") as valkey:
        client = redis_client.from_url(valkey.url, socket_timeout=1.0)
        async with running_shop(database_url, redis=client) as here:
            other = build(here.services)
            await other.start()
            async with asyncio.timeout(10):
                while dict(await client.pubsub_numsub(CHANNEL)) != {CHANNEL.encode(): 2}:  # noqa: ASYNC110 (Valkey says it nowhere else)
                    await asyncio.sleep(0.01)
            (user_id, token), sku_id = here.user(), await here.sku(5)
            async with terminal(here, **bearer(token)) as page:
                assert await page.next() == {}
                put = PutLine(sku_id=sku_id, quantity=4)
                assert not (await here.client.ask("cart", user_id, put, command_id=secrets.token_bytes(16), digest=b"put")).code
                other.desk.cart_changed(user_id)
                assert await page.next() == {sku_id: 4}
            await other.stop()
        await client.aclose()


@pytest.mark.slow
async def test_a_replica_that_leaves_ends_its_streams(running_shop, database_url) -> None:
    async with running_shop(database_url) as here:
        _, token = here.user()
        async with terminal(here, **bearer(token)) as page:
            assert await page.next() == {}
            here.application.drain()
            assert await page.next() is None
        assert (await here.ask("GET", live_cart.PATH, token=token)).code == "busy"
