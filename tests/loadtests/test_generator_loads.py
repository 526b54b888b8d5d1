"""The generators against a minimal shop over real sockets."""

import asyncio
import collections
import shutil
import time
from pathlib import Path

import msgspec
import pytest

from loadtests.generator import closed
from loadtests.generator.crowd import carry_out
from loadtests.generator.plan import Plan, Sent
from tests.loadtests.conftest import FakeShop

BODY = '{"sku_id":"sku_1","quantity":1}'


def _plan(shop: FakeShop, tokens: Path, **changes: object) -> Plan:
    plan = Plan(
        host="127.0.0.1",
        port=shop.port,
        paths=("/v1/flash-sales/sal_1/orders",),
        method="POST",
        body=BODY,
        tokens=str(tokens),
        run="t",
        seconds=0.2,
        connections=4,
        output="",
    )
    return msgspec.structs.replace(plan, **changes)


async def test_an_open_load_sends_what_its_schedule_says_and_notes_every_order(fake_shop: FakeShop, tokens: Path) -> None:
    sent = await carry_out(_plan(fake_shop, tokens, rate_per_s=200.0, spacing="fixed"))
    assert sorted(row.number for row in sent) == list(range(40))
    assert {row.status for row in sent} == {201}
    assert {row.order_id for row in sent} == set(fake_shop.orders.values())
    assert len(fake_shop.orders) == 40


async def test_waits_behind_a_slow_answer_count_from_the_intended_send(tokens: Path) -> None:
    held_s = 0.15

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        await asyncio.sleep(held_s)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        for _ in range(9):
            await reader.readuntil(b"{}")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        plan = Plan(host="127.0.0.1", port=server.sockets[0].getsockname()[1], paths=("/",), method="POST", run="t", seconds=0.1, output="")
        plan = msgspec.structs.replace(plan, body="{}", rate_per_s=100.0, spacing="fixed", connections=1)
        sent = {row.number: row for row in await carry_out(plan)}
    waits = [sent[number].attempt.latency_ms for number in range(10)]
    assert waits[0] >= held_s * 1000
    assert [round(row.intended_s - sent[0].intended_s, 6) for row in sent.values()] == pytest.approx([n / 100 for n in range(10)])
    assert all(wait >= held_s * 1000 - 10 * number - 5 for number, wait in enumerate(waits))


async def test_refusals_are_noted_with_their_code(fake_shop: FakeShop, tokens: Path) -> None:
    fake_shop.stock = 3
    sent = await carry_out(_plan(fake_shop, tokens, only=tuple(range(10))))
    assert collections.Counter((row.status, row.code) for row in sent) == {(201, ""): 3, (409, "sold_out"): 7}


async def test_a_broken_connection_is_noted_and_replaced(fake_shop: FakeShop, tokens: Path) -> None:
    fake_shop.hang_up_every = 5
    sent = await carry_out(_plan(fake_shop, tokens, only=tuple(range(20)), seconds=20.0))
    assert collections.Counter(row.status for row in sent) == {201: 16, 0: 4}


async def test_a_request_that_is_sent_again_meets_its_first_order(fake_shop: FakeShop, tokens: Path) -> None:
    first = await carry_out(_plan(fake_shop, tokens, only=(1, 2, 3), connections=1))
    again = await carry_out(_plan(fake_shop, tokens, only=(3, 2), connections=1))
    told = {row.number: row.order_id for row in first}
    assert {row.number: row.order_id for row in again} == {2: told[2], 3: told[3]}


async def test_a_request_without_an_answer_is_given_up(tokens: Path) -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(mute, "127.0.0.1", 0) as server:
        plan = Plan(host="127.0.0.1", port=server.sockets[0].getsockname()[1], paths=("/",), method="GET", run="t", seconds=9, output="")
        started_s = time.monotonic()
        sent = await carry_out(msgspec.structs.replace(plan, only=(0,), connections=1, timeout_s=0.05))
    assert [(row.number, row.status) for row in sent] == [(0, 0)]
    assert time.monotonic() - started_s < 5


def _target(shop: FakeShop, tokens: Path) -> closed.Target:
    return closed.Target(host="127.0.0.1", port=shop.port, path="/v1/flash-sales/sal_1/orders", body=BODY, tokens=str(tokens))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed: the raw clients are used instead")
def test_wrk_gives_every_request_its_own_key_and_records_every_order(fake_shop: FakeShop, tokens: Path) -> None:
    fake_shop.stock = 50
    found = closed.peak(_target(fake_shop, tokens), run="w", seconds=1, connections=8, record=True)
    assert found.generator == "wrk"
    assert found.accepted == 50
    assert found.refused > 0
    assert sorted(found.order_ids) == sorted(fake_shop.orders.values())
    assert found.latency.count == found.accepted + found.refused


@pytest.mark.slow
def test_without_wrk_several_raw_clients_load_the_shop_and_say_so(
    fake_shop: FakeShop, tokens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    fake_shop.stock = 50
    found = closed.peak(_target(fake_shop, tokens), run="c", seconds=0.5, connections=8, record=True)
    assert found.generator == "2 raw asyncio clients"
    assert found.accepted == 50
    assert found.refused > 0
    assert found.broken == 0
    assert sorted(found.order_ids) == sorted(fake_shop.orders.values())
    assert found.generator_cpu_s > 0


@pytest.mark.slow
def test_a_generator_that_fails_tells_why(tokens: Path, tmp_path: Path, fake_shop: FakeShop) -> None:
    with pytest.raises(RuntimeError, match="FileNotFoundError"):
        closed.run_crowd(_plan(fake_shop, tmp_path / "absent"))


def test_rows_of_a_crowd_are_read_back(tmp_path: Path) -> None:
    rows = [Sent(number=1, intended_s=0.5, done_s=0.75, status=201, order_id="ord_1")]
    (tmp_path / "sent").write_bytes(b"\n".join(map(msgspec.json.encode, rows)))
    assert closed.read_sent(tmp_path / "sent") == rows
    assert rows[0].attempt.latency_ms == 250.0
