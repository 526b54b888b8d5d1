"""A refusal after a lost try is true of every try: what was refused is not done later, when the lost one comes after all."""

import random
from typing import Any

import pytest

from actors.client.client import Client
from actors.domain.entity import Refused
from actors.domain.kinds import pack_state, unpack_state
from actors.ports.transport import TransportLost
from actors.testing.room import Room, play
from schemas.envelope import Answer
from schemas.order import Line, OrderView, PlaceOrder, ReadOrder
from schemas.stock import PutIn, ReadStock, StockLevel

USER, SKU = "usr_1", "sku_a#0"
PLACE = PlaceOrder(order_id="ord_1", lines=(Line(sku_id="sku_a", quantity=1),), sale_id="sal_open")
SOLD_OUT = ("sold_out", {"sku_id": "sku_a"})


class Detour:
    """A transport that loses its first envelope, and delivers it when a test says so."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.lost: list[tuple[str, bytes]] = []

    async def call(self, host: str, payload: bytes) -> bytes:
        if not self.lost:
            self.lost.append((host, payload))
            raise TransportLost("a cable was pulled")
        return await self.room.call(host, payload)

    async def arrive(self) -> None:
        await self.room.call(*self.lost[0])


async def ask(room: Room, transport: Any, **terms: Any) -> Answer:
    client = Client(room.sharding, transport, room.journal, room.clock, random.Random(0))
    return await client.ask("order", USER, PLACE, command_id=b"place", digest=b"d", **terms)


async def level(room: Room) -> tuple[int, int]:
    found = (await room.submit("stock", SKU, ReadStock(), digest=b"")).reply
    assert isinstance(found, StockLevel)
    return found.available, found.held


@pytest.mark.parametrize("known", [False, True], ids=["a new buyer", "a known buyer"])
@pytest.mark.parametrize("moved", [False, True], ids=["the same owner", "another owner"])
def test_a_try_that_comes_after_the_refusal_of_a_later_one_gets_that_refusal(known: bool, moved: bool) -> None:
    async def scene() -> None:
        room = await Room().open()
        await room.submit("stock", SKU, PutIn(quantity=1))
        other = USER if known else "usr_2"
        took = await room.submit("order", other, PlaceOrder(order_id="ord_0", lines=PLACE.lines, sale_id="sal_open"), b"first")
        assert took.code == ""
        detour = Detour(room)
        answer = await ask(room, detour)
        assert (answer.code, answer.params) == SOLD_OUT
        await room.submit("stock", SKU, PutIn(quantity=5))
        if moved:
            shard = room.host.shards[room.sharding.shard("order", USER)]
            room.host.lose(shard)
            room.host.lost([shard])
            await room.served()
        await detour.arrive()
        assert await level(room) == (5, 1)
        assert (await room.submit("order", USER, ReadOrder(order_id="ord_1"), digest=b"")).code == "order_unknown"
        again = await room.submit("order", USER, PLACE, b"place")
        assert (again.code, again.params) == SOLD_OUT
        assert (await room.submit("order", USER, PLACE, b"a new try")).code == ""

    play(scene)


def test_the_control_without_the_mark_of_a_retry_the_lost_try_is_done_after_its_refusal() -> None:
    async def scene() -> None:
        room = await Room().open()
        assert (await room.submit("order", USER, PLACE, b"place")).code == "sold_out"
        await room.submit("stock", SKU, PutIn(quantity=5))
        assert isinstance((await room.submit("order", USER, PLACE, b"place")).reply, OrderView)
        assert await level(room) == (4, 1)

    play(scene)


def test_a_first_refusal_writes_nothing_and_one_after_a_lost_try_writes_one_record() -> None:
    async def scene() -> None:
        room = await Room().open()
        assert (await ask(room, room)).code == "sold_out"
        assert room.records("order", USER) == 0
        assert (await ask(room, Detour(room))).code == "sold_out"
        assert room.records("order", USER) == 1
        assert (await ask(room, Detour(room))).code == "sold_out"
        assert room.records("order", USER) == 1

    play(scene)


def test_a_try_that_had_its_effect_is_found_however_often_it_is_lost() -> None:
    async def scene() -> None:
        room = await Room().open()
        await room.submit("stock", SKU, PutIn(quantity=1))
        room.lost_replies = 3
        answer = await ask(room, room)
        assert isinstance(answer.reply, OrderView)
        assert await level(room) == (0, 1)
        assert room.state("order", USER).open.keys() == {"ord_1"}

    play(scene)


def test_a_lost_try_that_comes_past_its_deadline_is_dropped() -> None:
    async def scene() -> None:
        room = await Room().open()
        detour = Detour(room)
        assert (await ask(room, detour, deadline_ms=room.clock.now_ms() + 50)).code in ("sold_out", "outcome_unknown")
        await room.submit("stock", SKU, PutIn(quantity=5))
        await room.clock.sleep(0.1)
        await detour.arrive()
        assert await level(room) == (5, 0)

    play(scene)


def test_a_remembered_refusal_survives_a_snapshot() -> None:
    async def scene() -> None:
        room = await Room().open()
        assert (await ask(room, Detour(room))).code == "sold_out"
        cell = room.host.shards[room.sharding.shard("order", USER)].cells[("order", USER)]
        _, seen = unpack_state("order", pack_state(cell.state, cell.seen))
        assert seen[b"place"].answer == Refused(code=SOLD_OUT[0], params=SOLD_OUT[1])

    play(scene)
