"""Kinds with hosts of their own: shards go where their pool is served, and an order asks across."""

import asyncio

from actors.domain.pools import Pool
from actors.testing.market import HOME, shop
from actors.testing.room import Room, play
from schemas.order import Line, OrderView, PlaceOrder
from schemas.stock import PutIn

GOODS = Pool(name="goods", kinds=("stock", "quota", "admission"), shards=4)
SKU = "sku_a#0"


def pools_of(room: Room, number: int) -> set[str]:
    return {room.sharding.pool(shard) for shard in room.hosts[number].shards}


async def open_room() -> Room:
    room = Room(hosts=3, shards=16, facts=shop(), pools=(GOODS,))
    room.journal.pools |= {"host0": ("goods",), "host1": ("main",), "host2": ("main",)}
    return await room.open()


async def until(room: Room, number: int, pools: set[str]) -> None:
    while pools_of(room, number) != pools:
        await room.clock.sleep(0.1)


def test_a_host_takes_the_shards_of_its_pools_and_an_order_asks_across() -> None:
    async def scene() -> None:
        room = await open_room()
        await asyncio.gather(until(room, 0, {"goods"}), until(room, 1, {"main"}), until(room, 2, {"main"}))
        assert sorted(len(host.shards) for host in room.hosts) == [4, 6, 6]
        put_in = await room.client.ask("stock", SKU, PutIn(quantity=5), command_id=b"put in", digest=b"d")
        assert put_in.code == ""
        command = PlaceOrder(order_id="ord_1", lines=(Line(sku_id="sku_a", quantity=2),), ship_to=HOME)
        answer = await room.client.ask("order", "usr_1", command, command_id=b"order", digest=b"d")
        assert isinstance(answer.reply, OrderView)
        assert (room.state("stock", SKU).available, room.state("stock", SKU).held) == (3, 2)
        assert sum(host.counters.plans_staged for host in room.hosts) == 1
        assert room.hosts[0].counters.plans_staged == 0

    play(scene)


def test_a_pool_whose_only_host_leaves_is_served_by_the_others_and_given_back() -> None:
    async def scene() -> None:
        room = await open_room()
        await until(room, 0, {"goods"})
        room.journal.draining.add("host0")
        await until(room, 0, set())
        await room.served()
        assert pools_of(room, 1) | pools_of(room, 2) == {"goods", "main"}
        room.journal.draining.clear()
        await asyncio.gather(until(room, 0, {"goods"}), until(room, 1, {"main"}), until(room, 2, {"main"}))

    play(scene)
