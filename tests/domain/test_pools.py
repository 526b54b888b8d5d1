"""Pools: kinds of entity with shards and hosts of their own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.domain.kinds import KINDS
from actors.domain.placement import plan_placement, plan_pools
from actors.domain.pools import Pool, parse_pools, served_by, write_pools
from actors.domain.sharding import Sharding

GOODS = Pool(name="goods", kinds=("stock", "quota"), shards=64)
DOORS = Pool(name="doors", kinds=("admission",), shards=8)


def test_pools_are_written_in_one_line() -> None:
    assert parse_pools("goods=stock,quota:64; doors = admission : 8", 256) == (GOODS, DOORS)
    assert parse_pools("", 256) == ()
    assert write_pools((GOODS, DOORS)) == "goods=stock,quota:64; doors=admission:8"
    assert parse_pools(write_pools((GOODS, DOORS)), 256) == (GOODS, DOORS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stock:64", "is no pool: write it as name=kind,kind:shards"),
        ("goods=stock", "is no pool: write it as name=kind,kind:shards"),
        ("goods=stock:many", "is no pool: write it as name=kind,kind:shards"),
        ("goods=shoes:4", "'shoes' is no kind of entity"),
        ("goods=stock:4;more=stock:4", "a kind lives in one pool, not in two"),
        ("goods=stock:4;goods=quota:4", "every pool has a name of its own"),
        ("main=stock:4", "'main' is taken"),
        ("goods=stock:0", "at least one shard"),
        ("goods=stock:256", "at least one is left for 'main'"),
    ],
)
def test_what_is_no_pool_is_refused_with_what_is_wrong(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words.replace("'", ".")):
        parse_pools(text, 256)


@given(st.sampled_from(sorted(KINDS)), st.text(min_size=1, max_size=20))
def test_an_entity_lives_in_a_shard_of_its_pool(kind: str, key: str) -> None:
    sharding = Sharding(b"secret", 256, (GOODS, DOORS))
    shard = sharding.shard(kind, key)
    expected = {"stock": ("goods", range(64)), "quota": ("goods", range(64)), "admission": ("doors", range(64, 72))}
    pool, shards = expected.get(kind, ("main", range(72, 256)))
    assert sharding.pool(shard) == pool
    assert shard in shards


@given(st.sampled_from(sorted(KINDS)), st.text(min_size=1, max_size=20))
def test_without_pools_every_kind_may_live_anywhere(kind: str, key: str) -> None:
    sharding = Sharding(b"secret", 256)
    assert sharding.pool(sharding.shard(kind, key)) == "main"


def test_every_shard_of_a_pool_is_used() -> None:
    sharding = Sharding(b"secret", 256, (GOODS, DOORS))
    assert {sharding.shard("stock", f"sku_{number}#0") for number in range(2000)} == set(range(64))
    assert {sharding.shard("order", f"usr_{number}") for number in range(5000)} == set(range(72, 256))


def test_shards_go_to_hosts_that_serve_their_pool() -> None:
    sharding = Sharding(b"secret", 16, (Pool(name="goods", kinds=("stock",), shards=4),))
    serves = {"a": ("goods",), "b": ("main",), "c": ("main",), "d": ()}
    plan = plan_pools(serves, dict.fromkeys(range(16), ""), sharding.pool)
    assert sorted({plan[shard] for shard in range(4)}) == ["a", "d"]
    assert sorted({plan[shard] for shard in range(4, 16)}) == ["b", "c", "d"]


def test_a_pool_without_a_host_is_served_by_whoever_is_there() -> None:
    sharding = Sharding(b"secret", 16, (Pool(name="goods", kinds=("stock",), shards=4),))
    plan = plan_pools({"b": ("main",)}, dict.fromkeys(range(16), ""), sharding.pool)
    assert set(plan.values()) == {"b"}
    assert len(plan) == 16


@given(st.lists(st.sampled_from("abc"), unique=True, min_size=1), st.lists(st.sampled_from(["", *"abcd"]), max_size=32))
def test_without_pools_the_plan_is_the_plain_one(hosts: list[str], owners: list[str]) -> None:
    current = dict(enumerate(owners))
    serves: dict[str, tuple[str, ...]] = dict.fromkeys(hosts, ())
    assert plan_pools(serves, current, Sharding(b"secret", 256).pool) == plan_placement(hosts, current)


def test_hosts_of_a_node_may_serve_different_pools() -> None:
    text = "goods; main ;main,goods"
    assert [served_by(text, index) for index in range(4)] == [("goods",), ("main",), ("main", "goods"), ()]
    assert served_by("", 0) == ()
