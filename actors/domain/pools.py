"""Pools: kinds of entity that live apart, in shards and on hosts of their own.

Without any, every host serves every kind, and an order finds its stock in the same memory. A shop whose
stock is asked by more than its orders (several warehouses, marketplaces) gives it hosts of its own, and
pays with an order that asks across hosts.
"""

from typing import Final

import msgspec

from actors.domain.kinds import KINDS

MAIN: Final = "main"
"""The pool of all kinds that no other pool names."""


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """So many shards for these kinds."""

    name: str
    kinds: tuple[str, ...]
    shards: int


def parse_pools(text: str, shard_count: int) -> tuple[Pool, ...]:
    """``goods=stock,quota:64; doors=admission:8``: pools by name. ValueError says what is wrong with the text."""
    pools = tuple(_parse_pool(part.strip()) for part in text.split(";") if part.strip())
    names = [pool.name for pool in pools]
    kinds = [kind for pool in pools for kind in pool.kinds]
    unknown = sorted(set(kinds) - KINDS.keys())
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no kind of entity: there are {', '.join(sorted(KINDS))}")
    if len(set(kinds)) < len(kinds):
        raise ValueError("a kind lives in one pool, not in two")
    if len(set(names)) < len(names) or MAIN in names:
        raise ValueError(f"every pool has a name of its own, and {MAIN!r} is taken")
    if min((pool.shards for pool in pools), default=1) < 1 or sum(pool.shards for pool in pools) >= shard_count:
        raise ValueError(f"every pool has at least one shard, and of {shard_count} at least one is left for {MAIN!r}")
    return pools


def write_pools(pools: tuple[Pool, ...]) -> str:
    """The inverse of :func:`parse_pools`, in one spelling."""
    return "; ".join(f"{pool.name}={','.join(pool.kinds)}:{pool.shards}" for pool in pools)


def _parse_pool(text: str) -> Pool:
    name, equals, rest = text.partition("=")
    kinds, colon, shards = rest.rpartition(":")
    if not (equals and colon and name.strip().isidentifier() and shards.strip().isdigit()):
        raise ValueError(f"{text!r} is no pool: write it as name=kind,kind:shards")
    return Pool(name=name.strip(), kinds=tuple(kind.strip() for kind in kinds.split(",")), shards=int(shards))


def pool_of(pools: tuple[Pool, ...], shard: int) -> str:
    """The name of the pool that a shard belongs to: pools have the first shards, in their order."""
    for pool in pools:
        if shard < pool.shards:
            return pool.name
        shard -= pool.shards
    return MAIN


def served_by(text: str, index: int) -> tuple[str, ...]:
    """The pools of the host with this number, of ``goods; main; main,goods``. Empty, also past the end: it serves all."""
    parts = text.split(";")
    return tuple(name.strip() for name in parts[index].split(",") if name.strip()) if index < len(parts) else ()
