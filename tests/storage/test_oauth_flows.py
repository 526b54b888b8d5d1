"""A login under way is finished once, by whoever began it, in time; and the forgotten ones do not pile up."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from actors.storage.connect import open_pool
from actors.storage.oauth_flows import SWEPT_MAX, Flow, OAuthFlows

pytestmark = pytest.mark.slow

NOW = 1_764_000_000_000
FLOW = Flow(
    provider="wechat", purpose="login", user_id=None, redirect_uri="https://r", return_url="https://p", expires_at_ms=NOW + 600_000
)  # fmt: skip
STATE, SECRET = b"s" * 32, b"x" * 32


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Any]:
    found = await open_pool(database_url, size=4)
    yield found
    await found.close()


@pytest.fixture
def flows(pool: Any) -> OAuthFlows:
    return OAuthFlows(pool)


async def test_of_many_at_once_one_takes_it(flows: OAuthFlows) -> None:
    await flows.add(STATE, SECRET, FLOW, NOW)
    taken = await asyncio.gather(*(flows.take(STATE, SECRET, "wechat", NOW) for _ in range(8)))
    assert [flow for flow in taken if flow is not None] == [FLOW]


async def test_control_of_many_who_only_look_all_would_find_it(flows: OAuthFlows, pool: Any) -> None:
    """What looking first and deleting then would do: the race that taking by deleting closes."""
    await flows.add(STATE, SECRET, FLOW, NOW)
    seen = await asyncio.gather(*(flows.return_url(STATE, "wechat", NOW) for _ in range(8)))
    assert seen == ["https://p"] * 8


async def test_a_wrong_secret_or_provider_takes_nothing_from_the_right_one(flows: OAuthFlows) -> None:
    await flows.add(STATE, SECRET, FLOW, NOW)
    assert await flows.take(STATE, b"y" * 32, "wechat", NOW) is None
    assert await flows.take(b"t" * 32, SECRET, "wechat", NOW) is None
    assert await flows.take(STATE, SECRET, "qq", NOW) is None
    assert await flows.take(STATE, SECRET, "wechat", NOW) == FLOW


async def test_what_is_late_is_gone(flows: OAuthFlows) -> None:
    await flows.add(STATE, SECRET, FLOW, NOW)
    assert await flows.return_url(STATE, "wechat", FLOW.expires_at_ms) is None
    assert await flows.take(STATE, SECRET, "wechat", FLOW.expires_at_ms) is None
    assert await flows.take(STATE, SECRET, "wechat", NOW) is None


async def test_each_new_one_clears_away_some_that_were_forgotten(flows: OAuthFlows, pool: Any) -> None:
    for n in range(SWEPT_MAX + 5):
        await flows.add(b"%032d" % n, SECRET, FLOW, NOW)
    await flows.add(b"later", SECRET, FLOW, FLOW.expires_at_ms)
    assert await pool.fetchval("SELECT count(*) FROM oauth_flow") == 6
    await flows.add(b"last", SECRET, FLOW, NOW)
    assert await pool.fetchval("SELECT count(*) FROM oauth_flow") == 7


async def test_nothing_in_the_table_finishes_a_login(flows: OAuthFlows, pool: Any) -> None:
    names = {
        row["column_name"] for row in await pool.fetch("SELECT column_name FROM information_schema.columns WHERE table_name = 'oauth_flow'")
    }
    assert names == {"flow_hash", "secret_hash", "provider", "purpose", "user_id", "redirect_uri", "return_url", "expires_at_ms"}
