"""Placement: even, and moving as little as possible."""

from hypothesis import given
from hypothesis import strategies as st

from actors.domain.placement import plan_placement

HOSTS = st.lists(st.sampled_from("abcdefg"), unique=True, min_size=1)


@given(HOSTS, st.lists(st.sampled_from(["", *"abcdefg"]), max_size=64))
def test_every_shard_has_a_live_host_and_loads_differ_by_at_most_one(hosts: list[str], owners: list[str]) -> None:
    plan = plan_placement(hosts, dict(enumerate(owners)))
    loads = [sum(owner == host for owner in plan.values()) for host in hosts]
    assert set(plan) == set(range(len(owners)))
    assert sum(loads) == len(owners)
    assert max(loads) - min(loads) <= 1


@given(HOSTS, st.lists(st.sampled_from(["", *"abcdefg"]), max_size=64))
def test_a_plan_that_is_carried_out_is_not_changed_again(hosts: list[str], owners: list[str]) -> None:
    plan = plan_placement(hosts, dict(enumerate(owners)))
    assert plan_placement(list(reversed(hosts)), plan) == plan


@given(HOSTS, st.lists(st.sampled_from(["", *"abcdefg"]), max_size=64))
def test_only_shards_move_whose_host_is_gone_or_has_too_many(hosts: list[str], owners: list[str]) -> None:
    current = dict(enumerate(owners))
    plan = plan_placement(hosts, current)
    most = -(-len(owners) // len(hosts))
    moved = [shard for shard, owner in current.items() if owner in hosts and plan[shard] != owner]
    surplus = sum(max(0, owners.count(host) - len(owners) // len(hosts)) for host in hosts)
    assert len(moved) <= surplus
    assert all(owners.count(current[shard]) > most or owners.count(current[shard]) > len(owners) // len(hosts) for shard in moved)


def test_a_host_that_leaves_gives_its_shards_to_the_others_and_nothing_else_moves() -> None:
    before = plan_placement(["a", "b", "c"], dict.fromkeys(range(12), ""))
    after = plan_placement(["a", "b"], before)
    assert {shard for shard in before if before[shard] != after[shard]} == {shard for shard in before if before[shard] == "c"}


def test_no_host_means_no_plan() -> None:
    assert plan_placement([], {1: "a"}) == {}
