"""Saying "sold out" without asking: nobody who may hold something is refused, however many hold something."""

import asyncio
import itertools
import random
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from actors.domain.stock import PROOF_MAX, StockKind
from actors.owners.cell import Cell
from actors.testing.room import Room, play
from schemas.ids import derived_id
from schemas.stock import PutIn, ReadStock, Release, Reserve, StockHeld, StockLevel
from serve.holders import Holders
from serve.soldout import HOLDERS_MAX, SoldOut

SKU = "sku_a"
MANY = 100_000


def command_of(buyer: int) -> bytes:
    return derived_id("buyer", str(buyer))


def reservation_of(buyer: int) -> bytes:
    return derived_id(command_of(buyer), "r0")


class Storefront:
    """A replica's marks, before real owners of a stock that is sold out."""

    def __init__(self, room: Room, parts: int) -> None:
        ids = itertools.count(1)
        self.room, self.parts = room, parts
        self.sold_out = SoldOut(room.client, room.clock, lambda: b"ask %012d" % next(ids))

    @classmethod
    async def open(cls, *, parts: int = 1, buyers: int = 2) -> "Storefront":
        front = cls(await Room().open(), parts)
        for part in range(parts):
            await front.room.submit("stock", f"{SKU}#{part}", PutIn(quantity=1))
            await front.hold(part, -1 - part, 1)
            front.crowd(part, range(part, buyers, parts))
        return front

    def cell(self, part: int) -> Cell:
        shard = self.room.host.shards[self.room.sharding.shard("stock", f"{SKU}#{part}")]
        return shard.cells[("stock", f"{SKU}#{part}")]

    def crowd(self, part: int, buyers: range) -> None:
        """They held something of what is sold out, long before."""
        for buyer in buyers:
            held = StockHeld(reservation_id=reservation_of(buyer), order_id="ord_1", user_id="usr_1", quantity=0, deadline_ms=2**50)
            StockKind().apply(self.cell(part).state, held)

    async def hold(self, part: int, buyer: int, quantity: int) -> str:
        ask = Reserve(reservation_id=reservation_of(buyer), order_id="ord_1", user_id="usr_1", quantity=quantity, deadline_ms=2**50)
        answer = await self.room.submit("stock", f"{SKU}#{part}", ask)
        return answer.code

    def refuses(self, buyer: int) -> bool:
        return self.sold_out.refuses(SKU, self.parts, command_of(buyer))

    async def marked(self) -> None:
        """Return once it is proven."""
        self.sold_out.told(SKU, self.parts)
        while not self.sold_out.is_marked(SKU):
            await self.room.clock.sleep(0.01)


def in_front(scene: Callable[[Storefront], Coroutine[Any, Any, None]], **terms: Any) -> None:
    async def whole() -> None:
        front = await Storefront.open(**terms)
        try:
            await scene(front)
        finally:
            front.sold_out.close()

    play(whole)


def test_a_set_of_reservations_knows_every_one_of_them_and_few_others_in_five_bytes_each() -> None:
    rng, holders = random.Random(7), Holders()
    packed = rng.randbytes(4 * MANY)
    for at in range(0, len(packed), 4 * PROOF_MAX):
        holders.add(packed[at : at + 4 * PROOF_MAX])
    assert len(holders) == MANY
    assert all(packed[at : at + 4] in holders for at in range(0, len(packed), 4))
    strangers = sum(rng.randbytes(4) in holders for _ in range(20_000))
    assert strangers < 20
    buckets = holders._buckets
    size = sys.getsizeof(buckets) + sum(sys.getsizeof(bucket) for bucket in buckets.values())
    assert size < 8 * MANY


@pytest.mark.slow
@pytest.mark.parametrize("parts", [1, 3])
def test_of_a_hundred_thousand_holders_every_one_reaches_the_owner_and_nobody_else_does(parts: int) -> None:
    async def scene(front: Storefront) -> None:
        await front.marked()
        assert not any(front.refuses(buyer) for buyer in range(MANY))
        assert sum(front.refuses(buyer) for buyer in range(MANY, 2 * MANY)) > 0.999 * MANY

    in_front(scene, parts=parts, buyers=MANY)


@pytest.mark.slow
def test_a_further_proof_of_a_hundred_thousand_holders_costs_what_was_added_since() -> None:
    async def scene(front: Storefront) -> None:
        await front.marked()
        envelopes, calls = front.room.client.envelopes, front.room.client.calls
        began_s = time.perf_counter()
        for second in range(10):
            for _ in range(4):
                assert front.refuses(MANY + second)
                await front.room.clock.sleep(0.25)
        took_s = time.perf_counter() - began_s
        refreshes = front.room.client.calls - calls
        assert 30 <= refreshes <= 41
        assert front.room.client.envelopes - envelopes == refreshes
        assert took_s / refreshes < 0.005
        assert not front.refuses(0)

    in_front(scene, buyers=MANY)


def test_who_comes_to_hold_something_is_known_to_the_next_proof() -> None:
    async def scene(front: Storefront) -> None:
        await front.marked()
        assert front.refuses(9)
        await front.room.submit("stock", f"{SKU}#0", Release(reservation_id=reservation_of(-1)))
        while front.sold_out.is_marked(SKU):
            await front.room.clock.sleep(0.01)
        assert not front.refuses(9)
        assert await front.hold(0, 9, 1) == ""
        await front.marked()
        assert [front.refuses(buyer) for buyer in (-1, 0, 1, 9, 10)] == [False, False, False, False, True]

    in_front(scene)


def test_between_two_lists_nobody_is_refused_by_half_of_the_new_one() -> None:
    async def scene(front: Storefront) -> None:
        await front.marked()
        assert front.refuses(MANY)
        front.cell(0).state.generation += 1
        refused = set()
        for _ in range(200):
            refused |= {buyer for buyer in range(0, 3 * PROOF_MAX, 100) if front.refuses(buyer)}
            await front.room.clock.sleep(0.005)
        assert refused == set()
        assert front.refuses(MANY)

    in_front(scene, buyers=3 * PROOF_MAX)


def test_when_one_part_has_something_left_nobody_is_refused() -> None:
    async def scene(front: Storefront) -> None:
        await front.room.submit("stock", f"{SKU}#1", PutIn(quantity=1))
        front.sold_out.told(SKU, front.parts)
        await front.room.clock.sleep(0.3)
        assert not front.sold_out.is_marked(SKU)
        level = (await front.room.submit("stock", f"{SKU}#1", ReadStock())).reply
        assert isinstance(level, StockLevel)
        assert level.available == 1

    in_front(scene, parts=2)


def test_a_list_that_is_too_long_to_be_kept_is_let_go_and_the_owners_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    assert HOLDERS_MAX == 2_000_000
    monkeypatch.setattr("serve.soldout.HOLDERS_MAX", PROOF_MAX)

    async def scene(front: Storefront) -> None:
        front.sold_out.told(SKU, front.parts)
        calls = front.room.client.calls
        for _ in range(100):
            front.sold_out.told(SKU, front.parts)
            assert not front.refuses(MANY)
            await asyncio.sleep(0.05)
        assert front.room.client.calls - calls == 2

    in_front(scene, buyers=2 * PROOF_MAX)
