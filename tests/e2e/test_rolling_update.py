"""The storefront is updated and scaled while customers order and browse over both lanes: nobody is cut off."""

import asyncio
import contextlib
import itertools
import json
import os
import secrets
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(240)]

ROOT = Path(__file__).parents[2]
CLIENTS = 6
UPDATE = """
import sys
import ray
from ray import serve as ray_serve
from actors.runtime.config import read_config
from serve.app import APPLICATION, prepare_environment, storefront
path, address, changes = sys.argv[1], sys.argv[2], eval(sys.argv[3])
settings = read_config(path)
prepare_environment(settings)
ray.init(address=address, namespace="stampede", log_to_driver=False)
application = storefront(settings, path)
deployment = application._bound_deployment.options(**changes)
ray_serve.run(deployment.bind(path), name=APPLICATION, route_prefix="/", blocking=False)
print("done", ray_serve.status().applications[APPLICATION].status.value)
"""


class Customers:
    """Each keeps a connection to one lane while it may, and orders and browses in turn."""

    def __init__(self, copy: Any, sale_id: str, sku_id: str, tokens: list[str]) -> None:
        self.copy, self.sale_id, self.sku_id, self.tokens = copy, sale_id, sku_id, tokens
        self.seen: Counter[tuple[str, str]] = Counter()
        self.stopping = False

    async def run(self, number: int) -> None:
        lane, port = ("direct", self.copy.direct) if number % 2 else ("ingress", self.copy.ingress)
        requests = self._requests(self.tokens[number])
        while not self.stopping:
            try:
                await self._connection(lane, port, requests)
            except (ConnectionError, asyncio.IncompleteReadError, TimeoutError) as error:
                self.seen[lane, type(error).__name__] += 1

    def _requests(self, token: str) -> Any:
        body = json.dumps({"sku_id": self.sku_id, "quantity": 1}).encode()
        page = b"GET /v1/products?limit=1 HTTP/1.1\r\nhost: x\r\n\r\n"
        for number in itertools.count():
            order = [
                f"POST /v1/flash-sales/{self.sale_id}/orders HTTP/1.1", "host: x", f"authorization: Bearer {token}",
                "content-type: application/json", f"content-length: {len(body)}", f"idempotency-key: {secrets.token_hex(8)}", "", "",
            ]  # fmt: skip
            yield page if number % 2 else "\r\n".join(order).encode() + body

    async def _connection(self, lane: str, port: int, requests: Any) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            goes_on = True
            while goes_on and not self.stopping:
                await asyncio.sleep(0.02)
                writer.write(next(requests))
                async with asyncio.timeout(20):
                    head = await reader.readuntil(b"\r\n\r\n")
                    lines = head.lower().split(b"\r\n")
                    body = await reader.readexactly(next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length")))
                status = head[9:12].decode()
                self.seen[lane, status if status < "400" else json.loads(body)["code"]] += 1
                goes_on = b"connection: close" not in head.lower()
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


def update(copy: Any, changes: dict[str, Any]) -> None:
    """Deploy the storefront again with other options, from a process of its own, and wait until it is done."""
    raylet = next(process for process in copy.family() if process.name() == "raylet")
    address = next(part.partition("=")[2] for part in raylet.cmdline() if part.startswith("--gcs-address="))
    data = copy.folder / "data"
    environment = copy.environment | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(data / "ray-token"),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "PYTHONPATH": str(ROOT),
    }
    program = [sys.executable, "-c", UPDATE, str(data / "runtime.json"), address, repr(changes)]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=120, check=False, cwd=os.sep)
    assert "done RUNNING" in done.stdout, done.stderr[-2000:]


@pytest.mark.parametrize(
    "changes", [{"ray_actor_options": {"num_cpus": 0.01}}, {"num_replicas": 1, "ray_actor_options": {"num_cpus": 0.01}}],
    ids=["updated", "scaled down"],
)  # fmt: skip
async def test_an_update_cuts_nobody_off(copy: Any, changes: dict[str, Any], until: Callable[..., float]) -> None:
    sale_id, sku_id = copy.sale(stock=100_000)
    tokens = [copy.customer() for _ in range(CLIENTS)]
    customers = Customers(copy, sale_id, sku_id, tokens)
    running = [asyncio.ensure_future(customers.run(number)) for number in range(CLIENTS)]
    before = [process.pid for process in copy.family() if "storefront" in " ".join(process.cmdline())]
    await asyncio.to_thread(update, copy, changes)
    await asyncio.to_thread(
        until, lambda: len([process for process in copy.family() if process.pid in before]) <= (1 if "num_replicas" in changes else 0)
    )
    customers.stopping = True
    await asyncio.gather(*running)
    # Each of them may buy five in this sale.
    assert {code for _, code in customers.seen} == {"200", "201", "purchase_limit"}, customers.seen
    assert (customers.seen["direct", "201"], customers.seen["ingress", "201"]) == (CLIENTS // 2 * 5, CLIENTS // 2 * 5)
    assert all(customers.seen[lane, "200"] > 20 for lane in ("direct", "ingress"))
