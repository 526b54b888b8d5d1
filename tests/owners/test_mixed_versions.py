"""A rolling update: two hosts, one of the next version, and shards that go back and forth between them under load."""

import asyncio
import zlib
from collections import Counter
from typing import Any

import msgspec

from actors.domain.kinds import encoder
from actors.owners.host import Host
from actors.owners.limits import Limits
from actors.ports.journal import Fence, Row, Snapshot
from actors.testing.market import HOME
from actors.testing.room import Room, StubbornJournal, play
from schemas.order import Line, PlaceOrder
from schemas.stock import PutIn, ReadStock

SHARDS = 8
BUYERS = 6
ROUNDS = 40
SKUS = ("sku_a", "sku_b")
FIELD = "a_field_of_tomorrow"


def _of_tomorrow(fact: Any) -> Any:
    """A fact as a later version writes it: with one field more, last where fields have places."""
    return {**fact, FIELD: [1, {"nested": 2}]} if isinstance(fact, dict) else [*fact, FIELD]


class Tomorrow:
    """The journal as a host of the next version writes it: each event, body and snapshot holds something more."""

    def __init__(self, journal: StubbornJournal) -> None:
        self._journal = journal
        self.snapshots_written = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    async def append(self, fences: list[Fence], rows: list[Row]) -> bool:
        return await self._journal.append(fences, [msgspec.structs.replace(row, body=self._body(row.body)) for row in rows])

    def _body(self, packed: bytes) -> bytes:
        events, *rest = msgspec.msgpack.decode(packed)
        return encoder.encode(_of_tomorrow([[_of_tomorrow(event) for event in events], *rest]))

    async def save_snapshots(self, epochs: dict[int, int], snapshots: list[Snapshot]) -> None:
        self.snapshots_written += len(snapshots)
        await self._journal.save_snapshots(epochs, [msgspec.structs.replace(found, data=self._state(found.data)) for found in snapshots])

    def _state(self, packed: bytes) -> bytes:
        state, seen = msgspec.msgpack.decode(packed[4:], strict=False)
        data = encoder.encode((_of_tomorrow(state), seen))
        return zlib.crc32(data).to_bytes(4, "big") + data


class Witness:
    """Looks at every turn of the loop which host serves which shard."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.double: list[int] = []
        self.served: Counter[tuple[str, int]] = Counter()

    async def watch(self) -> None:
        while True:
            now_ms = self.room.clock.monotonic_ms()
            serving = [
                (number, host.name)
                for host in self.room.hosts
                for number, shard in host.shards.items()
                if shard.serving and now_ms < host.lease_until_ms and shard.epoch == self.room.journal.epochs[number]
            ]
            self.double += [number for number, times in Counter(number for number, _ in serving).items() if times > 1]
            self.served.update((name, number) for number, name in serving)
            await asyncio.sleep(0.005)


async def buy(room: Room, buyer: int) -> int:
    """One order after the other until each round is over; answers how many were placed."""
    for number in range(ROUNDS):
        order = PlaceOrder(order_id=f"ord_{buyer}x{number}", ship_to=HOME, lines=tuple(Line(sku_id=sku_id, quantity=1) for sku_id in SKUS))
        answer = await room.client.ask("order", f"usr_{buyer}x{number}", order, command_id=b"%d %d" % (buyer, number), digest=b"d")
        assert answer.code == "", answer
        await room.clock.sleep(0.05)
    return ROUNDS


def next_version(room: Room, newer: Host) -> Tomorrow:
    """From now on this host is of the next version."""
    journal = Tomorrow(room.journal)
    newer.journal = newer.loading._journal = journal
    return journal


def test_f19_shards_go_back_and_forth_between_versions_that_read_each_other_and_never_share_one() -> None:
    async def scene() -> None:
        room = await Room(hosts=2, shards=SHARDS, limits=Limits(snapshot_every=3, meta_every=6, board_ms=100)).open()
        newer = next_version(room, room.hosts[1])
        witness = Witness(room)
        room.loop.create_task(witness.watch())
        for sku_id in SKUS:
            put_in = await room.client.ask("stock", f"{sku_id}#0", PutIn(quantity=1000), command_id=sku_id.encode(), digest=b"d")
            assert put_in.code == ""
        buyers = [room.loop.create_task(buy(room, number)) for number in range(BUYERS)]
        turn = 0
        while not all(task.done() for task in buyers):
            turn += 1
            await room.journal.propose({number: room.hosts[(number + turn) % 2].name for number in range(SHARDS)})
            await room.clock.sleep(0.3)
        placed = sum([await task for task in buyers])
        for sku_id in SKUS:
            level = (await room.client.ask("stock", f"{sku_id}#0", ReadStock(), command_id=b"read " + sku_id.encode())).reply
            assert (level.available, level.held) == (1000 - placed, placed)
        assert witness.double == []
        # Each of them served every shard, and wrote what the other one read.
        assert len(witness.served) == 2 * SHARDS
        bodies = [row.body for rows in room.journal.rows.values() for row in rows]
        assert 20 < sum(FIELD.encode() in body for body in bodies) < len(bodies) - 20
        assert newer.snapshots_written > 3
        assert min(host.counters.activations for host in room.hosts) > 8
        assert sum(host.counters.poisoned for host in room.hosts) == 0

    play(scene)
