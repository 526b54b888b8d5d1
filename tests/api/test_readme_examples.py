"""The curls of the READMEs about events, staff, goods and third-party logins do what these say."""

import asyncio
import json
import os
import re
import secrets
from pathlib import Path
from typing import Any

import pytest

from tests.api.staff_people import member
from tests.api.test_api_third_party import Walk, one_walk, somebody, walk

__all__ = ["one_walk", "walk"]

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

ROOT = Path(__file__).parents[2]


def session(readme: str) -> str:
    """The lines of a README that a shell runs, which have a curl among them."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / readme).read_text(), re.DOTALL)
    found = "\n".join(block for block in blocks if "curl" in block)
    assert found, readme
    return found


async def run(text: str, **environment: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "sh", "-ec", text, env=os.environ | {"no_proxy": "127.0.0.1"} | environment, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, complaints = await process.communicate()
    assert process.returncode == 0, complaints
    return out.decode()


async def test_the_batch_of_behaviour_events_is_taken(shop: Any) -> None:
    told = json.loads(await run(session("actors/storage/events/README.md").replace("http://127.0.0.1:8701", shop.base)))
    assert told["accepted"] == 1, told


async def test_staff_give_a_role_unmask_and_read_the_trail(shop: Any) -> None:
    admin, token = await member(shop, "administrator")
    person = (await shop.register({"email": f"kim.{admin[5:]}@example.com", "password": "correct horse battery staple"}))["user_id"]
    out = await run(session("serve/staff/README.md"), SHOP=shop.base, TOKEN=token, PERSON=person)
    given, roles, masked, clear, _, trail = [json.loads(line) if line else None for line in out.splitlines()]
    assert given == roles
    assert [role["role"] for role in roles["roles"]] == ["support"]
    assert [one["identities"][0]["subject"] for one in (masked, clear)] == ["k***@example.com", f"kim.{admin[5:]}@example.com"]
    assert [(action["permission"], action["reason"], action["actor_id"]) for action in trail["actions"]] == [
        ("role.grant", "has left", admin),
        ("person.unmask", "ticket 4712", admin),
        ("role.grant", "ticket 4711", admin),
    ]


async def test_goods_go_from_a_draft_to_the_shelf(shop: Any) -> None:
    _, token = await member(shop, "operator", "warehouse")
    mark = secrets.token_hex(3)
    text = (
        session("serve/staff/GOODS.md")
        .replace('"USD"', '"CNY"')
        .replace("TEA-", f"TEA-{mark}-")
        .replace("tea-sh", f"tea-{mark}")
        .replace('"slug": "tea"', f'"slug": "tea-{mark}"')
    )
    received, launched, price, sent, changes = [json.loads(line) for line in (await run(text, SHOP=shop.base, TOKEN=token)).splitlines()]
    assert received["available"] == 40
    assert (launched["revision"], changes["changes"][0]["path"]) == (2, "state")
    assert (price["kind"], price["unit_price"]["amount"]) == ("list", 4900)
    assert sent["parcels"] or sent["short"]


async def test_a_third_party_login_is_linked(walk: Walk) -> None:
    who = somebody()
    bearer = (await walk.tokens("qq", somebody()))["access_token"]
    text = session("actors/adapters/oauth/README.md").replace('"who": "kim"', f'"who": "{who}"')
    out = await run(text, SHOP=walk.shop.base, TOKEN=bearer, SIMULATOR=walk.control._url)
    assert '"purpose":"link"' in out
    assert sorted(one["kind"] for one in await walk.identities(bearer)) == ["qq", "wechat"]
    assert '"kind":"wechat"' in out
