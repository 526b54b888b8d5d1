"""A crowd before one article keeps nobody waiting who wants another one."""

import asyncio
import random
from collections import deque
from typing import Any

import pytest

from actors.owners.limits import Limits
from actors.owners.queue import FairQueue
from actors.owners.turns import Incoming
from actors.ports.journal import Fence, Row
from actors.testing.market import HOME
from actors.testing.room import Room, play
from schemas.order import CancelOrder, Line, PlaceOrder
from schemas.stock import PutIn, Reserve

COLD = 12
COLD_PER_S = 50
HOT_PER_S = 100 * COLD_PER_S
SECONDS = 1.0
FLUSH_S, ROW_S = 0.003, 0.00005
"""A flush, and what each record adds: slow enough that the crowd asks for more than this host can do."""

SMALL = Limits(batch_commands_max=16, queue_commands_max=256)


def waiting(key: str, command: Any = None, digest: bytes = b"d") -> Incoming:
    return Incoming(0, "stock", key, command or PutIn(quantity=1), b"", lambda answer: None, digest)


def test_lines_take_turns_and_each_keeps_its_order() -> None:
    queue = FairQueue(100)
    for name in ("hot", "hot", "hot", "cold", "hot", "cool", "cold"):
        assert queue.add(waiting(name))
    assert len(queue) == 7
    assert [queue.pop().key for _ in range(7)] == ["hot", "cold", "cool", "hot", "cold", "hot", "hot"]
    assert len(queue) == 0
    with pytest.raises(IndexError):
        queue.pop()


def test_a_full_queue_has_room_for_who_has_not_had_his_share_and_for_what_comes_from_inside() -> None:
    queue = FairQueue(10)
    assert [queue.add(waiting("hot")) for _ in range(12)] == [True] * 10 + [False] * 2
    assert [queue.add(waiting("cold")) for _ in range(7)] == [True] * 5 + [False] * 2
    assert [queue.add(waiting("cool")) for _ in range(5)] == [True] * 3 + [False] * 2
    assert queue.add(waiting("hot", digest=b""))
    assert len(queue) == 19
    for number in range(50):
        queue.add(waiting(f"sku_{number}"))
    assert len(queue) == 20
    assert queue.add(waiting("sku_99", digest=b""))


def test_an_order_stands_in_the_line_of_its_article_and_a_cancellation_in_its_buyers() -> None:
    queue = FairQueue(10)
    order = PlaceOrder(order_id="ord_1", ship_to=HOME, lines=(Line(sku_id="sku_a", quantity=1),))
    for number in range(3):
        queue.add(Incoming(0, "order", f"usr_{number}", order, b"", lambda answer: None, b"d"))
    queue.add(Incoming(0, "order", "usr_9", CancelOrder(order_id="ord_9"), b"", lambda answer: None, b"d"))
    assert [queue.pop().key for _ in range(4)] == ["usr_0", "usr_9", "usr_1", "usr_2"]


class OneLine(FairQueue):
    """The control: first come, first served."""

    def add(self, call: Incoming) -> bool:
        if call.digest and self.count >= self._size_max:
            return False
        self._lines.setdefault("", deque()).append(call)
        self._turns.append("")
        self.count += 1
        return True

    def pop(self) -> Incoming:
        self._turns.popleft()
        self.count -= 1
        return self._lines[""].popleft()


class Rush:
    """A host with a hot article and some cold ones in one shard, under a load that a seed fixes."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.took_ms: list[float] = []
        self.refused = {"hot": 0, "cold": 0}
        self.answered = {"hot": 0, "cold": 0}

    async def one(self, number: int, key: str, name: str) -> None:
        began_ms = self.room.clock.monotonic_ms()
        reserve = Reserve(reservation_id=b"%d" % number, order_id="ord_1", user_id="usr_1", quantity=1, deadline_ms=2**50)
        answer = await self.room.submit("stock", key, reserve)
        assert answer.code in ("", "busy")
        self.answered[name] += 1
        self.refused[name] += answer.code == "busy"
        if name == "cold" and not answer.code:
            self.took_ms.append(self.room.clock.monotonic_ms() - began_ms)

    async def arrive(self, key: str, name: str, per_s: float, rng: random.Random) -> None:
        until_ms = self.room.clock.monotonic_ms() + SECONDS * 1000
        tasks = []
        while self.room.clock.monotonic_ms() < until_ms:
            await self.room.clock.sleep(rng.expovariate(per_s))
            tasks.append(self.room.loop.create_task(self.one(rng.getrandbits(60), key, name)))
        for task in tasks:
            await task

    @property
    def p99_ms(self) -> float:
        return sorted(self.took_ms)[int(len(self.took_ms) * 0.99)]


async def rush(*, hot: bool, queue: type[FairQueue] = FairQueue) -> Rush:
    room = await Room(shards=1, limits=SMALL).open()
    room.host.queue = queue(SMALL.queue_commands_max)
    append = room.journal.append_now

    async def costly(fences: list[Fence], rows: list[Row]) -> bool:
        await asyncio.sleep(FLUSH_S + ROW_S * len(rows))
        return append(fences, rows)

    keys = ["sku_hot#0", *(f"sku_{number}#0" for number in range(COLD))]
    for key in keys:
        await room.submit("stock", key, PutIn(quantity=10**6))
    room.journal.append = costly  # type: ignore[method-assign]
    found, rng = Rush(room), random.Random(18)
    arriving = [room.loop.create_task(found.arrive(key, "cold", COLD_PER_S, rng)) for key in keys[1:]]
    if hot:
        arriving.append(room.loop.create_task(found.arrive(keys[0], "hot", HOT_PER_S, rng)))
    for task in arriving:
        await task
    return found


@pytest.mark.slow
def test_f18_beside_an_article_a_hundred_times_as_hot_the_others_take_at_most_twice_as_long() -> None:
    quiet = play(lambda: rush(hot=False))
    crowded = play(lambda: rush(hot=True))
    control = play(lambda: rush(hot=True, queue=OneLine))
    assert crowded.p99_ms <= 2 * quiet.p99_ms
    assert (crowded.refused["cold"], quiet.refused["cold"]) == (0, 0)
    # The crowd asks for more than there is time for, and is told so.
    assert crowded.refused["hot"] > 0.2 * crowded.answered["hot"]
    # First come, first served: everybody would wait behind the crowd, and be turned away with it.
    assert control.p99_ms > 10 * quiet.p99_ms
    assert control.refused["cold"] > 0.1 * control.answered["cold"]
