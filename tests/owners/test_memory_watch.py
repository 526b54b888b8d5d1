"""A host that grows drops what is idle, then takes nothing new, then leaves; and takes everything again when there is room."""

from typing import Any

import pytest

from actors.owners.memory_watch import SETTLE_MS, MemoryWatch, Pressure, pressure_at
from actors.testing.room import Room, play
from schemas.order import CancelOrder, Line, PlaceOrder
from schemas.stock import PutIn, ReadStock, Release, Reserve, StockDone

SKU = "sku_a#0"
LIMIT = 1000


class Measured:
    """Memory as a test says it is: a base, and so much for each entity."""

    def __init__(self, room: Room, base: int, each: int = 0) -> None:
        self.room, self.base, self.each = room, base, each
        self.given_back = 0

    def used(self) -> int:
        return self.base + self.each * sum(len(shard.cells) for shard in self.room.host.shards.values())

    def give_back(self) -> None:
        self.given_back += 1


class Watched:
    """A room whose host is watched."""

    def __init__(self, room: Room, base: int, each: int = 0) -> None:
        self.memory = Measured(room, base, each)
        self.left_at: list[float] = []
        self.room = room
        self.watch = MemoryWatch(room.host, self.memory, LIMIT, self._leave)
        room.loop.create_task(self.watch.keep_watching())

    async def _leave(self) -> None:
        self.left_at.append(self.room.loop.time())

    async def seconds(self, count: float) -> None:
        await self.room.clock.sleep(count)


@pytest.mark.parametrize(
    ("used", "before", "pressure"),
    [
        (699, Pressure.NONE, Pressure.NONE),
        (700, Pressure.NONE, Pressure.SOFT),
        (660, Pressure.SOFT, Pressure.SOFT),
        (649, Pressure.SOFT, Pressure.NONE),
        (849, Pressure.SOFT, Pressure.SOFT),
        (850, Pressure.NONE, Pressure.CLOSED),
        (810, Pressure.CLOSED, Pressure.CLOSED),
        (799, Pressure.CLOSED, Pressure.SOFT),
        (950, Pressure.NONE, Pressure.LAST),
        (910, Pressure.LAST, Pressure.LAST),
        (899, Pressure.LAST, Pressure.CLOSED),
    ],
)
def test_a_mark_is_passed_upwards_and_left_a_little_below(used: int, before: Pressure, pressure: Pressure) -> None:
    assert pressure_at(used, LIMIT, before) is pressure


def test_without_a_limit_there_is_no_pressure() -> None:
    assert pressure_at(2**60, 0, Pressure.NONE) is Pressure.NONE


def reserve(number: int) -> Reserve:
    return Reserve(reservation_id=b"r%d" % number, order_id=f"ord_{number}", user_id="usr_1", quantity=1, deadline_ms=2**50)


def test_f16_past_the_soft_mark_idle_entities_go_and_come_back_as_they_were() -> None:
    async def scene() -> None:
        room = await Room().open()
        watched = Watched(room, base=400, each=4)
        for number in range(100):
            await room.submit("stock", f"sku_{number}#0", PutIn(quantity=number + 1))
        await watched.seconds(6.5)
        assert room.host.counters.passivations >= 20
        assert watched.watch.pressure is Pressure.NONE
        assert watched.memory.used() < 700
        assert watched.memory.given_back >= 1
        levels = [(await room.submit("stock", f"sku_{number}#0", ReadStock(), digest=b"")).reply.available for number in range(100)]
        assert levels == list(range(1, 101))
        assert room.host.closed is False

    play(scene)


def test_an_entity_that_is_used_or_not_yet_durable_is_never_dropped() -> None:
    async def scene() -> None:
        room = await Room().open()
        await room.submit("stock", SKU, PutIn(quantity=1))
        await room.clock.sleep(5)
        room.journal.troubles.append("hold")
        writing = room.submit("stock", SKU, PutIn(quantity=1))
        watched = Watched(room, base=800)
        await watched.seconds(0.5)
        assert room.state("stock", SKU).available == 2
        room.journal.go.set()
        assert (await writing).reply == StockDone(available=2)

    play(scene)


def test_f16_past_the_second_mark_new_commands_are_told_busy_and_those_that_end_something_are_taken() -> None:
    async def scene() -> None:
        room = await Room().open()
        await room.submit("stock", SKU, PutIn(quantity=9))
        await room.submit("stock", SKU, reserve(1))
        watched = Watched(room, base=860)
        await watched.seconds(0.1)
        assert room.host.closed
        refused: list[Any] = [reserve(2), PutIn(quantity=1)]
        assert [(await room.submit("stock", SKU, command)).code for command in refused] == ["busy", "busy"]
        order = PlaceOrder(order_id="ord_1", lines=(Line(sku_id="sku_a", quantity=1),))
        assert (await room.submit("order", "usr_1", order)).code == "busy"
        assert (await room.submit("order", "usr_1", CancelOrder(order_id="ord_1"))).code == "order_unknown"
        assert (await room.submit("stock", SKU, Release(reservation_id=b"r1"))).code == ""
        # What another host sends carries no digest: a saga that was begun must end.
        assert (await room.submit("stock", SKU, reserve(3), digest=b"")).code == ""
        assert (await room.submit("stock", SKU, ReadStock(), digest=b"")).reply.held == 1
        watched.memory.base = 100
        await watched.seconds(1.5)
        assert (await room.submit("stock", SKU, reserve(2))).code == ""
        assert watched.left_at == []

    play(scene)


def test_f16_past_the_last_mark_the_host_leaves_but_not_again_right_after_it_came() -> None:
    async def scene() -> None:
        room = await Room().open()
        began_s = room.loop.time()
        watched = Watched(room, base=960)
        await watched.seconds(SETTLE_MS / 1000 - 1)
        assert watched.left_at == []
        assert room.host.closed
        await watched.seconds(3)
        assert [SETTLE_MS / 1000 < left_s - began_s < SETTLE_MS / 1000 + 1.5 for left_s in watched.left_at] == [True]

    play(scene)
