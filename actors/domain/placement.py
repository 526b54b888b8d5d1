"""Where shards should live: evenly, moving as few as possible, and on the hosts that serve their pool."""

from collections.abc import Callable, Mapping


def plan_pools(serves: Mapping[str, tuple[str, ...]], current: Mapping[int, str], pool_of: Callable[[int], str]) -> dict[int, str]:
    """:func:`plan_placement` for each pool by itself.

    serves: the pools of every live host; empty means all. A pool whose hosts are all gone is served by
    whoever is there: better in the wrong place than nowhere.
    """
    pools: dict[str, dict[int, str]] = {}
    for shard, owner in current.items():
        pools.setdefault(pool_of(shard), {})[shard] = owner
    plan: dict[int, str] = {}
    for name, shards in pools.items():
        meant = [host for host, served in serves.items() if not served or name in served]
        plan |= plan_placement(meant or list(serves), shards)
    return plan


def plan_placement(hosts: list[str], current: dict[int, str]) -> dict[int, str]:
    """The target host of every shard in ``current`` (shard to present owner, ``""`` for none).

    Every host gets the same number, give or take one; a shard stays where it is unless its host
    is gone or has too many. The same input gives the same plan on every machine.
    """
    if not hosts:
        return {}
    names = sorted(hosts)
    base, extra = divmod(len(current), len(names))
    kept: dict[str, list[int]] = {name: [] for name in names}
    homeless: list[int] = []
    for shard in sorted(current):
        owner = current[shard]
        kept.get(owner, homeless).append(shard)
    # Those that have most may keep the odd one, so that nothing moves for its sake.
    by_load = sorted(names, key=lambda name: (-len(kept[name]), name))
    quota = {name: base + (1 if i < extra else 0) for i, name in enumerate(by_load)}
    for name in names:
        homeless.extend(kept[name][quota[name] :])
        del kept[name][quota[name] :]
    homeless.sort()
    for name in by_load:
        while len(kept[name]) < quota[name]:
            kept[name].append(homeless.pop())
    return {shard: name for name, shards in kept.items() for shard in shards}
