"""What ``serve/README.md`` says is so: its endpoints are served, its files exist, and its session logs somebody in."""

import asyncio
import json
import os
import re
import time
from pathlib import Path

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


@pytest.mark.slow
async def test_the_session_logs_in_with_a_second_factor(shop) -> None:
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
    text = out.decode()
    last = json.JSONDecoder().raw_decode(text, text.rindex('{"access_token"'))[0]
    assert last["device_token"] is None, text
    assert b'"codes":[' in out
