"""What ``serve/README.md`` says is so: its endpoints are served, its files exist, and its session logs somebody in."""

import asyncio
import json
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROOT = Path(__file__).parents[2]
README = (ROOT / "serve" / "README.md").read_text()


async def test_every_endpoint_that_is_named_is_served(shop) -> None:
    paths = (await shop.ask("GET", "/openapi.json")).json["paths"]
    named = set(re.findall(r"(GET|POST|PUT|DELETE) (/v1/[\w/-]+)", README))
    assert len(named) > 10
    assert [(method, path) for method, path in sorted(named) if method.lower() not in paths.get(path, {})] == []


async def test_every_file_that_is_named_exists() -> None:
    named = set(re.findall(r"`((?:shop/)?\w+\.py)`", README))
    assert [name for name in sorted(named) if not (ROOT / "serve" / name).is_file()] == []


def objects_in(text: str) -> list[dict[str, Any]]:
    """The JSON objects of a text, one after the other."""
    found, at = [], text.find("{")
    while at >= 0:
        one, at = json.JSONDecoder().raw_decode(text, at)
        found.append(one)
        at = text.find("{", at)
    return found


async def session_of(shop) -> str:
    """What the session prints."""
    session = "\n".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL))
    # Other tests let time pass for the shop; the reader's telephone goes with it.
    ahead_s = round(shop.clock.now_ms() / 1000 - time.time())
    session = session.replace("int(time.time())", f"int(time.time() + {ahead_s})")
    environment = os.environ | {"api": f"{shop.base}/v1", "no_proxy": "127.0.0.1"}
    asked = await asyncio.create_subprocess_exec(
        "sh", "-c", session, cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )  # fmt: skip
    out, complaints = await asked.communicate()
    assert asked.returncode == 0, complaints
    return out.decode()


@pytest.mark.slow
async def test_the_session_logs_in_with_a_second_factor(shop) -> None:
    text = await session_of(shop)
    last = json.JSONDecoder().raw_decode(text, text.rindex('{"access_token"'))[0]
    assert last["device_token"] is None, text
    assert '"codes":[' in text


@pytest.mark.slow
async def test_the_session_shows_a_membership_before_and_after_a_visit(shop) -> None:
    found = objects_in(await session_of(shop))
    before, after = [one for one in found if "level" in one]
    assert (before["signed_in_today"], after["signed_in_today"], before["birthday"]) == (False, True, None)
    assert (after["points"]["available"], after["growth"], after["level"]["support_queue"]) == (1, 1, "standard")
    assert (after["birthday"]["month"], after["birthday"]["day"]) == (2, 29)
    [signed] = [one for one in found if "streak" in one and "level" not in one]
    assert (signed["streak"], signed["points"]) == (1, 1)
    assert [set(one) for one in found if "moves" in one or "items" in one] == [{"moves", "next_cursor"}, {"items"}]
