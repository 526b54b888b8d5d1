"""``stampede status``, ``audit``, ``drain``: what runs, whether the books balance, and emptying a host."""

import asyncio
import json
import os
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from loadtests.instance import Host, lag_of

Run = Callable[..., Any]

pytestmark = pytest.mark.slow

COUNTS = {"shards", "entities", "queue", "loading", "sends_open", "sends_oldest_ms", "reminders", "lease_left_ms", "up_s", "counters"}
COUNTS |= {"memory_bytes", "memory_limit_bytes", "memory_pressure", "hot"}


def caught_up(run: Run) -> Any:
    """The status once the projections are behind by nothing."""
    for _ in range(200):
        found = run("status", "--json").json
        if lag_of(found) == 0:
            return found
    raise AssertionError(found)


def test_every_host_tells_its_own_numbers(in_copy: Any, run: Run) -> None:
    hosts = run("status", "--json").json["hosts"]
    assert [host["host"] for host in hosts] == ["host-a", "host-b"]
    for host in hosts:
        assert host.keys() >= COUNTS
        assert (host["pid"], host["node"], host["draining"], host["answers"]) == (os.getpid(), "node", False, True)
        assert host["shards"] == 8
        assert 0 < host["lease_left_ms"] <= 5000
    assert [msgspec.convert(host, Host).pid for host in hosts] == [os.getpid()] * 2


def test_hosts_that_are_gone_or_silent_are_told_apart_from_those_that_answer(in_copy: Any, run: Run) -> None:
    columns, until = "host, address, node, pid, draining, until", "now() + $2::int * interval '1 s'"
    lease = f"INSERT INTO host_lease ({columns}) VALUES ($1, $1, 'far', 1, true, {until})"
    in_copy.sql(lease, "host-ended", -5)
    in_copy.sql(lease, "host-silent", 60)
    try:
        found = run("status", "--json").json
        assert [(host["host"], host["answers"]) for host in found["hosts"]] == [("host-a", True), ("host-b", True), ("host-silent", False)]
        assert found["hosts_gone"] == ["host-ended"]
        assert "does not answer" in run("status").out
    finally:
        in_copy.sql("DELETE FROM host_lease WHERE node = 'far'")


def test_every_shard_has_an_owner_and_an_epoch(in_copy: Any, run: Run) -> None:
    found = caught_up(run)
    assert [shard["shard"] for shard in found["shards"]] == list(range(16))
    assert {shard["host"] for shard in found["shards"]} == {"host-a", "host-b"}
    assert min(shard["epoch"] for shard in found["shards"]) >= 1
    assert found["hosts_gone"] == []
    assert found["projections"] == {
        name: {"lag": {"rows_behind": 0, "seconds_behind": 0.0}, "stopped": 0} for name in ("orders", "members")
    }
    assert found["lanes"] == {"direct": {"url": "http://127.0.0.1:1", "ready": False}}
    assert (found["postgres"], found["valkey"], found["replicas"]) == (None, None, [])


def test_a_projection_that_is_behind_says_how_far(in_copy: Any, run: Run) -> None:
    caught_up(run)
    stop = "INSERT INTO projection_stop (projection, shard, seq, reason) SELECT 'orders', shard, 1, 'test' FROM shard_owner"
    in_copy.sql(stop)
    try:
        made = run("sale", "create", "--sku", "sku_1", "--stock", "5", "--price", "1", "--opens-in", "3600", "--json")
        assert made.code == 0
        view = run("status", "--json").json["projections"]["orders"]
        assert (view["lag"]["rows_behind"], view["stopped"]) == (2, 16)
        assert view["lag"]["seconds_behind"] > 0
    finally:
        in_copy.sql("DELETE FROM projection_stop")
    assert caught_up(run)["projections"]["orders"]["stopped"] == 0


def test_people_get_tables_in_their_language(in_copy: Any, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    out = run("status").out
    assert out.startswith("16 shards, 16 owned, 0 moving, epochs ")
    assert "host-a" in out
    assert "not ready" in out
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert run("status").out.startswith("共 16 个分片,16 个有主,0 个迁移中")


def test_a_drained_host_owns_nothing_until_it_is_taken_back(in_copy: Any, run: Run) -> None:
    drained = run("drain", "host-b")
    assert (drained.code, drained.out) == (0, "host-b owns no shard and takes none. Undo: stampede drain host-b --undo\n")
    assert drained.err.startswith("host-b still owns 8 shards\n")
    found = run("status", "--json").json
    assert {shard["host"] for shard in found["shards"]} <= {"host-a", ""}
    assert [host["draining"] for host in found["hosts"]] == [False, True]
    assert run("drain", "host-a").err == (
        "host-a is the only host: nobody could take its shards. Start another one first (STAMPEDE_HOSTS).\n"
    )
    assert run("drain", "host-b", "--undo").out == "host-b takes shards again.\n"
    asyncio.run(_until_even(in_copy))


async def _until_even(copy: Any) -> None:
    """Nobody proposes a plan here, so the shards are told where to live."""
    from actors.storage.board import PostgresBoard

    board = PostgresBoard(copy.url, "test")
    await board.propose({number: ("host-a", "host-b")[number % 2] for number in range(16)})
    async with asyncio.timeout(30):
        while True:
            if [row.host for row in await board.shards()] == ["host-a", "host-b"] * 8:
                break
            await asyncio.sleep(0.02)
    await board.close()


def test_an_unknown_host_is_not_drained(in_copy: Any, run: Run) -> None:
    said = run("drain", "host-z")
    assert (said.code, said.err) == (1, "There is no live host host-z. These are: host-a, host-b\n")


def test_an_intact_shop_balances(in_copy: Any, run: Run) -> None:
    report = run("audit", "--json").json
    assert (report["ok"], report["found"], report["findings"]) == (True, 0, [])
    assert report["counts"]["shards"] == 16
    assert run("audit").out.startswith("The books balance.\n")


def test_books_that_do_not_balance_end_with_one_and_the_ids(in_copy: Any, run: Run) -> None:
    caught_up(run)
    key = in_copy.sql("SELECT key FROM stock_level ORDER BY key LIMIT 1")[0]["key"]
    in_copy.sql("UPDATE stock_level SET available = available + 1 WHERE key = $1", key)
    try:
        said = run("audit", "--json")
        assert said.code == 1
        report = json.loads(said.out)
        assert report["ok"] is False
        assert any(key in finding["ids"] for finding in report["findings"])
        words = run("audit")
        assert (words.code, words.out.startswith("The books do NOT balance: ")) == (1, True)
        assert key in words.out
    finally:
        in_copy.sql("UPDATE stock_level SET available = available - 1 WHERE key = $1", key)
    assert run("audit").code == 0
