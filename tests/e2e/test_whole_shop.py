"""The whole shop, started by one command: buying, paying, the books, faults, and starting again."""

import asyncio
import json
import os
import signal
import socket
import stat
import time
from collections.abc import Callable
from typing import Any

import asyncpg
import psutil
import pytest

from actors.domain.kinds import body_decoder
from actors.runtime.config import short_directory
from actors.storage.embedded.postgres import EmbeddedPostgres
from schemas.order import OrderPlaced

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(300)]

LOOPBACK = ("127.0.0.1", "::1", "::ffff:127.0.0.1")


def test_a_customer_buys_over_both_lanes_pays_and_the_books_balance(copy: Any, until: Callable[..., float]) -> None:
    token = copy.customer()
    sale_id, sku_id = copy.sale()
    orders = []
    for port in (copy.direct, copy.ingress):
        status, order = copy.buy(sale_id, sku_id, token, port=port, key=f"twice-{port}")
        assert (status, order["status"]) == (201, "pending_payment")
        assert copy.buy(sale_id, sku_id, token, port=copy.direct, key=f"twice-{port}") == (201, order)
        orders.append(order)
    for order in orders:
        status, payment = copy.ask("POST", f"/v1/orders/{order['order_id']}/pay", token=token)
        assert status in (200, 201), payment
        copy.provider("pay", {"payment": payment["payment_id"]})
    for order in orders:
        path = f"/v1/orders/{order['order_id']}"
        until(lambda path=path: copy.ask("GET", path, token=token)[1]["status"] == "paid")
    found = copy.command("sale", "status", sale_id, "--json")
    assert "2" in str(found)
    until(lambda: copy.run("audit").returncode == 0)


def test_f01_a_lone_host_is_back_within_five_seconds(copy: Any, until: Callable[..., float]) -> None:
    token = copy.customer()
    sale_id, sku_id = copy.sale()
    pid = copy.command("status", "--json")["hosts"][0]["pid"]
    assert copy.buy(sale_id, sku_id, token)[0] == 201
    os.kill(pid, signal.SIGKILL)
    killed_s = time.monotonic()
    until(lambda: copy.buy(sale_id, sku_id, token, key="the-same")[0] == 201)
    # Five seconds for the host, and what a request waits between two of its tries.
    assert time.monotonic() - killed_s < 6


def test_f31_an_empty_or_dead_cache_changes_no_outcome(copy: Any) -> None:
    token = copy.customer()
    sale_id, sku_id = copy.sale(stock=2)
    valkey = psutil.Process(json.loads((copy.folder / "data" / "valkey" / "server.json").read_text())["pid"])
    assert copy.buy(sale_id, sku_id, token)[0] == 201
    valkey.suspend()
    try:
        started = time.monotonic()
        assert copy.buy(sale_id, sku_id, token)[0] == 201
        status, refusal = copy.buy(sale_id, sku_id, token)
        assert (status, refusal["code"]) == (409, "sold_out")
        assert time.monotonic() - started < 3
    finally:
        valkey.resume()
    assert copy.buy(sale_id, sku_id, token)[1]["code"] == "sold_out"


def test_f76_nothing_of_ours_but_serve_s_own_port_listens_beyond_loopback(copy: Any) -> None:
    beyond = {(name.split(":")[-1] or name, address.ip) for name, address in copy.listening() if address.ip not in LOOPBACK}
    # Each Serve replica has a port for calls between deployments, of which there are none here; Serve binds it everywhere.
    assert {ip for _, ip in beyond} <= {"::"}
    assert all("Serve" in name or "storefront" in name for name, _ in beyond)


def test_f79_secrets_are_in_no_process_s_arguments_and_in_no_log(copy: Any) -> None:
    data = copy.folder / "data"
    secrets = [(data / "postgres" / "password").read_text().strip(), (data / "ray-token").read_text().strip()]
    arguments = " ".join(" ".join(process.cmdline()) for process in copy.family())
    logs = [path for path in [*data.rglob("*.log"), *short_directory(copy.settings).glob("r/session_latest/logs/**/*")] if path.is_file()]
    assert len(logs) > 10
    for secret in secrets:
        assert secret not in arguments
        assert [path for path in logs if secret in path.read_text(errors="replace")] == []


def test_only_this_user_may_write_where_the_sockets_lie(copy: Any) -> None:
    directory = short_directory(copy.settings)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert [path.name for path in directory.glob("*.sock") if path.stat().st_mode & 0o077] == []


def test_a_second_copy_of_a_directory_and_a_busy_port_are_one_clear_sentence(copy: Any, new_copy: Any, plain: Any) -> None:
    second = copy.run("up")
    assert second.returncode == 1
    assert "Another copy is running in" in plain(second.stderr)
    other = new_copy()
    with socket.create_server(("127.0.0.1", other.direct)):
        busy = other.run("up")
    assert busy.returncode == 1
    assert f"Port {other.direct} on 127.0.0.1 is taken" in plain(busy.stderr)
    assert "STAMPEDE_DIRECT_PORT" in busy.stderr
    chinese = copy.run("up", LANG="zh_CN.UTF-8")
    assert "中已有另一个实例在运行" in plain(chinese.stderr)


def test_f09_beside_another_copy_what_was_bought_is_there_after_ctrl_c_a_kill_and_the_end_of_ray(
    copy: Any, new_copy: Any, until: Callable[..., float]
) -> None:
    beside = copy
    copy = new_copy(replicas=1)
    copy.start()
    token = copy.customer()
    sale_id, sku_id = copy.sale()
    status, order = copy.buy(sale_id, sku_id, token)
    assert status == 201
    assert copy.stop() < 15
    until(lambda: [process for process in copy.family() if "watchdog" not in " ".join(process.cmdline())] == [], within_s=5)
    copy.start()
    assert copy.ask("GET", f"/v1/orders/{order['order_id']}", token=token)[1]["status"] == "pending_payment"
    copy.stop(signal.SIGKILL)
    copy.start()
    assert copy.ask("GET", f"/v1/orders/{order['order_id']}", token=token)[1]["status"] == "pending_payment"
    status, second = copy.buy(sale_id, sku_id, token)
    assert status == 201
    assert beside.ask("GET", "/readyz")[0] == 200
    assert beside.ask("GET", f"/v1/orders/{order['order_id']}", token=token)[0] == 401
    next(process for process in copy.family() if process.name() == "gcs_server").kill()
    assert copy.process.wait(30) == 1
    assert "Ray has ended (gcs_server). What was acknowledged is safe in PostgreSQL. Start again with: stampede up." in copy.words
    until(lambda: copy.family() == [], within_s=5)
    with EmbeddedPostgres(copy.folder / "data" / "postgres") as server:
        assert copy.run("audit", STAMPEDE_DATABASE_URL=server.url).returncode == 0
        placed = asyncio.run(_placed(server.url))
    assert {order["order_id"], second["order_id"]} <= placed


async def _placed(url: str) -> set[str]:
    """Every order that was placed, by the journal."""
    connection = await asyncpg.connect(url)
    rows = await connection.fetch("SELECT body FROM journal WHERE kind = 'order'")
    await connection.close()
    return {event.order_id for row in rows for event in body_decoder.decode(row["body"]).events if isinstance(event, OrderPlaced)}
