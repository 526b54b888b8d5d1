"""A real Valkey that is emptied, killed, started again or stands still: no outcome changes, nobody waits for it, the loop goes on."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio as redis_client

from actors.storage.embedded import EmbeddedValkey
from serve.news import CHANNEL

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

PATIENCE_S = 0.8
"""Longer than any of these requests takes on a busy machine, shorter than any time-out of the cache's client and than the fault."""

PAUSE_MS = 5000


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    with EmbeddedValkey(tmp_path / "valkey") as server:
        yield server


@asynccontextmanager
async def loop_watched() -> AsyncIterator[None]:
    """The event loop stood still for no longer than a request may take."""
    lags: list[float] = []

    async def tick() -> None:
        while True:
            began_s = time.monotonic()
            await asyncio.sleep(0.005)
            lags.append(time.monotonic() - began_s)

    ticking = asyncio.ensure_future(tick())
    yield
    ticking.cancel()
    assert max(lags) < PATIENCE_S


class Customer:
    """Logged in twice, with an open sale to buy in."""

    def __init__(self, shop: Any, tokens: list[str], sale_id: str, sku_id: str) -> None:
        self.shop, self.tokens, self.sale_id, self.sku_id = shop, tokens, sale_id, sku_id

    async def timed(self, asked: Awaitable[Any]) -> Any:
        began_s = time.monotonic()
        answer = await asked
        assert time.monotonic() - began_s < PATIENCE_S
        return answer

    async def shops(self) -> None:
        """Whatever is bought, repeated, sold out or logged out has the outcome that it has with a cache that works."""
        buy, ask = self.shop.flash_order, self.shop.ask
        key = secrets.token_hex(12)
        first = await self.timed(buy(self.sale_id, self.sku_id, self.tokens[0], key=key))
        again = await self.timed(buy(self.sale_id, self.sku_id, self.tokens[0], key=key))
        none_left = await self.timed(buy(self.sale_id, self.sku_id, self.tokens[0]))
        assert (first.status, again.json, none_left.code) == (201, first.json, "sold_out")
        order = await self.timed(ask("GET", f"/v1/orders/{first.json['order_id']}", token=self.tokens[0]))
        assert order.json["status"] == "pending_payment"
        assert (await self.timed(ask("GET", "/readyz"))).status == 200
        assert (await self.timed(ask("DELETE", "/v1/sessions/current", token=self.tokens[1]))).status == 204
        assert (await self.timed(ask("GET", "/v1/cart", token=self.tokens[1]))).code == "token_revoked"
        assert (await self.timed(ask("GET", "/v1/cart", token=self.tokens[0]))).status == 200


async def customer_of(shop: Any) -> Customer:
    person = {"email": f"{secrets.token_hex(6)}@example.com", "password": "correct horse battery staple"}
    await shop.register(person)
    tokens = [(await shop.ask("POST", "/v1/sessions", person)).json["access_token"] for _ in range(2)]
    sku_id = await shop.sku(stock=1)
    return Customer(shop, tokens, await shop.sale(sku_id), sku_id)


async def _emptied(server: EmbeddedValkey, client: Any) -> None:
    await client.flushall()


async def _killed(server: EmbeddedValkey, client: Any) -> None:
    await asyncio.to_thread(server.kill)


async def _restarted(server: EmbeddedValkey, client: Any) -> None:
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)


async def _stands_still(server: EmbeddedValkey, client: Any) -> None:
    await client.execute_command("CLIENT", "PAUSE", PAUSE_MS, "ALL")


@pytest.mark.parametrize("fault", [_emptied, _killed, _restarted, _stands_still])
async def test_f31_f32_whatever_becomes_of_the_cache_no_outcome_changes_and_nobody_waits(
    running_shop: Any, database_url: str, valkey: EmbeddedValkey, fault: Callable[[EmbeddedValkey, Any], Awaitable[None]]
) -> None:
    # As the deployment makes it.
    client = redis_client.from_url(valkey.url, socket_timeout=1.0, socket_connect_timeout=0.5)
    other = redis_client.from_url(valkey.url)
    async with running_shop(database_url, redis=client) as shop:
        customer = await customer_of(shop)
        async with asyncio.timeout(10):
            while dict(await other.pubsub_numsub(CHANNEL)) != {CHANNEL.encode(): 1}:  # noqa: ASYNC110 (another process says it nowhere)
                await asyncio.sleep(0.01)
        await fault(valkey, other)
        began_s = time.monotonic()
        async with loop_watched():
            await customer.shops()
        assert time.monotonic() - began_s < PAUSE_MS / 1000
    await other.aclose()
    await client.aclose()
