"""Shards come and go: activation, passivation, reminders, hand-over, lapsed leases, and answers that stay the same."""

import asyncio
from typing import Any

import pytest

from actors.client.client import NOT_AN_ANSWER, ClientPeers
from actors.domain.entity import Refused
from actors.domain.kinds import Seen
from actors.owners.host import IDLE_MS
from actors.owners.limits import Limits
from actors.ports.journal import ShardMeta, StorageUnknown
from actors.testing.market import HOME, shop
from actors.testing.memory import MemoryJournal
from actors.testing.room import Room, StubbornJournal, play
from schemas.envelope import Answer
from schemas.order import Line, OrderView, PlaceOrder, ReadOrder
from schemas.quota import Configure
from schemas.stock import HoldTaken, PutIn, ReadStock, Release, Reserve, Sell, StockDone

SKU = "sku_a#0"


def reserve(number: int, deadline_ms: int = 2**50) -> Reserve:
    return Reserve(reservation_id=b"r%d" % number, order_id=f"ord_{number}", user_id="usr_1", quantity=1, deadline_ms=deadline_ms)


async def forget_everything(room: Room) -> None:
    """Every shard is given up and taken again: memory is as after a restart."""
    for shard in list(room.host.shards.values()):
        await room.host.hand_over(shard)
    room.placements[0]._lost.set()
    await room.served()


def test_f17_a_storm_of_cold_entities_is_read_fifty_at_a_time_and_each_one_once() -> None:
    async def scene() -> None:
        room = await Room().open()
        keys = [f"sku_{number}#0" for number in range(180)]
        await asyncio.gather(*(room.submit("stock", key, PutIn(quantity=1)) for key in keys))
        await forget_everything(room)
        room.journal.loads.clear()
        room.journal.loading_slow = True
        answers = await asyncio.gather(*(room.submit("stock", key, ReadStock(), digest=b"") for key in keys * 3))
        assert [answer.reply.available for answer in answers] == [1] * 540
        assert room.journal.loads == [50, 50, 50, 30]

    play(scene)


def test_f17_more_callers_than_may_wait_are_told_busy() -> None:
    async def scene() -> None:
        room = await Room(limits=Limits(waiting_max=10)).open()
        await room.submit("stock", SKU, PutIn(quantity=100))
        await forget_everything(room)
        room.journal.loading_slow = True
        answers = await asyncio.gather(*(room.submit("stock", SKU, reserve(number)) for number in range(25)))
        assert [answer.code for answer in answers].count("busy") == 15
        assert room.state("stock", SKU).held == 10

    play(scene)


def test_f52_an_entity_that_does_not_exist_costs_no_reading_and_no_memory() -> None:
    async def scene() -> None:
        room = await Room().open()
        for number in range(50):
            await room.submit("stock", f"sku_none{number}#0", ReadStock(), digest=b"")
            await room.submit("stock", f"sku_none{number}#0", reserve(1))
        assert room.journal.loads == []
        assert all(not shard.cells and not shard.known for shard in room.host.shards.values())

    play(scene)


def test_an_idle_entity_is_dropped_and_comes_back_as_it_was_with_its_answers() -> None:
    async def scene() -> None:
        room = await Room(limits=Limits(entities_max=1, snapshot_every=2)).open()
        for key in (SKU, "sku_b#0", "sku_c#0"):
            for number in range(5):
                await room.submit("stock", key, PutIn(quantity=number + 1), b"%d" % number)
        assert room.host.passivate() == 0
        await asyncio.sleep(IDLE_MS / 1000 + 1)
        assert room.host.passivate() == 2
        assert (await room.submit("stock", SKU, PutIn(quantity=3), b"2")).reply == StockDone(available=6)
        assert (await room.submit("stock", SKU, ReadStock(), digest=b"")).reply.available == 15

    play(scene)


def test_f35_a_reminder_fires_once_also_after_a_takeover_and_when_it_is_late() -> None:
    async def scene() -> None:
        room = await Room().open()
        await room.submit("stock", SKU, PutIn(quantity=2))
        place = PlaceOrder(order_id="ord_1", ship_to=HOME, lines=(Line(sku_id="sku_a", quantity=1),), hold_ms=20_000)
        assert (await room.submit("order", "usr_1", place)).code == ""
        await forget_everything(room)
        await asyncio.sleep(15)
        assert room.state("order", "usr_1") is None
        room.host.remind(room.clock.now_ms() + 5000, room.sharding.shard("order", "usr_1"), ("order", "usr_1"))
        await asyncio.sleep(10)
        assert room.state("order", "usr_1").closed["ord_1"].status == "cancelled"
        assert room.state("stock", SKU).available == 2
        names = [type(event).__name__ for row, events in room.journal.events() if row.kind == "order" for event in events]
        assert names == ["OrderPlaced", "OrderCancelled"]

    play(scene)


@pytest.mark.slow
def test_orders_that_end_together_end_at_a_bounded_rate_and_stop_nobody() -> None:
    async def scene() -> None:
        room = await Room(limits=Limits(reminders_per_second_max=500)).open()
        await room.submit("stock", SKU, PutIn(quantity=5000))
        users = [f"usr_{number}" for number in range(5000)]
        lines = (Line(sku_id="sku_a", quantity=1),)
        ends_ms = room.clock.now_ms() + 60_000
        for first in range(0, 5000, 500):
            placed = [
                room.submit(
                    "order", user, PlaceOrder(order_id="ord_" + user, ship_to=HOME, lines=lines, hold_ms=ends_ms - room.clock.now_ms())
                )
                for user in users[first : first + 500]
            ]
            assert {answer.code for answer in await asyncio.gather(*placed)} == {""}
        assert room.state("stock", SKU).available == 0
        await asyncio.sleep((ends_ms - room.clock.now_ms()) / 1000 + 0.05)
        began_s, before, slowest_s = room.loop.time(), room.host.counters.reminders, 0.0
        while room.state("stock", SKU).available < 5000:
            asked_s = room.loop.time()
            await room.submit("stock", "sku_b#0", PutIn(quantity=1))
            slowest_s = max(slowest_s, room.loop.time() - asked_s)
            await asyncio.sleep(0.1)
        shards = room.sharding.shard_count
        assert room.host.counters.reminders - before == 5000 - before
        assert 5000 / (500 * shards) * 0.8 < room.loop.time() - began_s < 5000 / (500 * shards) * 3
        assert slowest_s < 0.01

    play(scene)


@pytest.mark.slow
def test_shards_that_move_every_100_ms_lose_and_double_nothing() -> None:
    async def scene() -> None:
        room = await Room(hosts=3, shards=6, limits=Limits(board_ms=50)).open()
        await room.client.ask("stock", SKU, PutIn(quantity=400), command_id=b"put", digest=b"d")

        async def buy(number: int) -> Answer:
            await asyncio.sleep(number * 0.01)
            return await room.client.ask("stock", SKU, reserve(number), command_id=b"%d" % number, digest=b"d")

        async def move() -> None:
            turn = 0
            while True:
                turn += 1
                room.journal.targets.update({shard: f"host{(shard + turn) % 3}" for shard in range(6)})
                for placement in room.placements:
                    placement._lost.set()
                await asyncio.sleep(0.1)

        moving = asyncio.ensure_future(move())
        answers = await asyncio.gather(*(buy(number) for number in range(300)))
        moving.cancel()
        assert {answer.code for answer in answers} == {""}
        assert len({answer.reply.available for answer in answers}) == 300
        assert room.records("stock", SKU) == 301
        assert sum(host.counters.takeovers for host in room.hosts) > 60

    play(scene)


class _NoMeta(MemoryJournal):
    async def save_meta(self, shard: int, epoch: int, meta: ShardMeta) -> None:
        raise StorageUnknown("no")


def test_a_shard_that_was_to_leave_and_then_stays_is_served_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        room = await Room(hosts=2).open()
        monkeypatch.setattr(StubbornJournal, "save_meta", _NoMeta.save_meta)
        shard = next(iter(room.host.shards.values()))
        shard.serving = False
        await asyncio.sleep(2)
        await room.served()
        assert room.journal.epochs[shard.number] == shard.epoch + 1
        room.journal.targets[shard.number] = "host1"
        await asyncio.sleep(2)
        await room.served()
        assert room.journal.owners[shard.number] == "host1"

    play(scene)


def test_a_release_that_did_not_arrive_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        room = await Room(hosts=2).open()
        lost: list[int] = []
        release = StubbornJournal.release

        async def lossy(self: StubbornJournal, host: str, epochs: dict[int, int]) -> None:
            if not lost:
                lost.extend(epochs)
                raise StorageUnknown("lost")
            await release(self, host, epochs)

        monkeypatch.setattr(StubbornJournal, "release", lossy)
        number = next(iter(room.host.shards))
        room.journal.targets[number] = "host1"
        await asyncio.sleep(3)
        await room.served()
        assert lost == [number]
        assert room.journal.owners[number] == "host1"

    play(scene)


def test_f05_a_host_whose_lease_has_lapsed_answers_no_read_until_it_has_looked_at_the_board() -> None:
    async def scene() -> None:
        room = await Room(hosts=2).open()
        await room.client.ask("stock", SKU, PutIn(quantity=5), command_id=b"put", digest=b"d")
        number = room.sharding.shard("stock", SKU)
        old = next(host for host in room.hosts if number in host.shards)
        other = next(host for host in room.hosts if host is not old)
        room.journal.leases[old.name] = 0.0
        old.lease_until_ms = 0.0
        assert (await room.submit("stock", SKU, ReadStock(), digest=b"", host=old)).code == "moved"
        room.journal.epochs[number] += 1
        room.journal.owners[number] = other.name
        await other.adopt(number, room.journal.epochs[number], room.journal.heads[number])
        assert (await room.submit("stock", SKU, Sell(reservation_id=b"x"), host=other)).code == "hold_unknown"
        assert (await room.submit("stock", SKU, PutIn(quantity=1), host=other)).code == ""
        while old.lease_until_ms < room.clock.monotonic_ms():
            told = await room.submit("stock", SKU, ReadStock(), digest=b"", host=old)
            assert told.code == "moved"
            await asyncio.sleep(0.01)
        assert (await room.submit("stock", SKU, ReadStock(), digest=b"", host=old)).code == "moved"
        answer = await room.client.ask("stock", SKU, ReadStock(), command_id=b"read")
        assert answer.reply.available == 6

    play(scene)


def test_a_lost_shard_does_not_come_back_into_a_batch_that_holds_its_old_records() -> None:
    async def scene() -> None:
        room = await Room().open()
        await room.submit("stock", SKU, PutIn(quantity=5))
        number = room.sharding.shard("stock", SKU)
        old = room.host.shards[number]
        room.journal.troubles.append("hold")
        flying = room.submit("stock", SKU, reserve(1))
        await asyncio.sleep(0.01)
        waiting = room.submit("stock", SKU, reserve(2))
        room.journal.epochs[number] += 1
        room.host.lose(old)
        room.placements[0]._lost.set()
        await asyncio.sleep(0.2)
        assert room.host.shards[number] is old
        room.journal.go.set()
        assert [answer.code for answer in await asyncio.gather(flying, waiting)] == ["moved", "moved"]
        await room.served()
        assert room.host.shards[number] is not old
        assert (await room.submit("stock", SKU, reserve(2))).reply == HoldTaken(available=4)

    play(scene)


def test_f49_the_same_command_in_flight_twice_has_one_effect_and_one_answer() -> None:
    async def scene() -> None:
        room = await Room(hosts=3, shards=12, facts=shop(parts=3)).open()
        for part in range(3):
            await room.client.ask("stock", f"sku_a#{part}", PutIn(quantity=1), command_id=b"put%d" % part, digest=b"d")

        async def click(number: int) -> Answer:
            place = PlaceOrder(order_id=f"ord_{number}", ship_to=HOME, lines=(Line(sku_id="sku_a", quantity=1),))
            return await room.client.ask("order", "usr_1", place, command_id=b"click", digest=b"d")

        answers = await asyncio.gather(*(click(number) for number in range(8)))
        assert len({answer.reply.order_id for answer in answers}) == 1
        room.lost_replies = 1
        assert (await click(9)).reply == answers[0].reply

    play(scene)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("hosts", [1, 3])
def test_an_order_ends_alike_in_one_flush_and_across_hosts(hosts: int, seed: int) -> None:
    async def scene() -> tuple[list[str], list[tuple[int, int]]]:
        room = await Room(hosts=hosts, shards=32).open()
        for host, (kind, key) in enumerate((("order", "usr_1"), ("stock", SKU), ("quota", "cpn_10"))):
            room.journal.targets[room.sharding.shard(kind, key)] = f"host{host % hosts}"
        await asyncio.sleep(2)
        await room.served()
        await room.client.ask("stock", SKU, PutIn(quantity=3), command_id=b"a", digest=b"d")
        await room.client.ask("stock", "sku_b#0", PutIn(quantity=2), command_id=b"b", digest=b"d")
        await room.client.ask("quota", "cpn_10", Configure(total=2), command_id=b"c", digest=b"d")
        codes = []
        for number in range(4):
            lines = (Line(sku_id="sku_a", quantity=1), Line(sku_id="sku_b", quantity=1))
            place = PlaceOrder(order_id=f"ord_{number}", ship_to=HOME, lines=lines, coupon_ids=("cpn_10",))
            answer = await room.client.ask("order", "usr_1", place, command_id=b"place%d" % number, digest=b"d")
            codes.append(answer.code or answer.reply.status)
            if isinstance(answer.reply, OrderView):
                read = await room.client.ask("order", "usr_1", ReadOrder(order_id=f"ord_{number}"), command_id=b"read")
                assert read.reply == answer.reply
        await asyncio.sleep(5)
        direct, staged = (sum(getattr(host.counters, name) for host in room.hosts) for name in ("plans_direct", "plans_staged"))
        assert (direct > 0, staged > 0) == (hosts == 1, hosts == 3)
        levels = [await room.client.ask("stock", key, ReadStock(), command_id=b"level") for key in (SKU, "sku_b#0")]
        return codes, [(level.reply.available, level.reply.held) for level in levels]

    assert play(scene, seed) == (["pending_payment", "pending_payment", "sold_out", "sold_out"], [(1, 2), (0, 2)])


class _Told:
    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    async def ask(self, *_: Any, **__: Any) -> Answer:
        return self.answer


@pytest.mark.parametrize("code", sorted(NOT_AN_ANSWER))
def test_what_is_not_the_entitys_own_word_is_a_time_out_to_a_peer(code: str) -> None:
    async def scene() -> None:
        room = Room()
        peers = ClientPeers(_Told(Answer(code=code)), room.clock)  # type: ignore[arg-type]
        with pytest.raises(TimeoutError, match=code):
            await peers.ask("stock", SKU, ReadStock(), b"id")

    play(scene)


def test_an_entitys_refusal_and_reply_reach_a_peer_as_they_are() -> None:
    async def scene() -> None:
        room = Room()
        refusing = ClientPeers(_Told(Answer(code="sold_out", params={"x": 1})), room.clock)  # type: ignore[arg-type]
        assert await refusing.ask("stock", SKU, ReadStock(), b"id") == Refused(code="sold_out", params={"x": 1})
        telling = ClientPeers(_Told(Answer(reply=StockDone(available=1))), room.clock)  # type: ignore[arg-type]
        assert await telling.ask("stock", SKU, Release(reservation_id=b"r"), b"id") == StockDone(available=1)

    play(scene)


def test_a_snapshot_carries_what_was_answered() -> None:
    async def scene() -> None:
        room = await Room(limits=Limits(snapshot_every=2)).open()
        for number in range(6):
            await room.submit("stock", SKU, PutIn(quantity=1), b"%d" % number)
        await asyncio.sleep(0.1)
        snapshot = room.journal.snapshots[(room.sharding.shard("stock", SKU), "stock", SKU)]
        assert snapshot.version >= 2
        await forget_everything(room)
        await room.submit("stock", SKU, ReadStock(), digest=b"")
        cell = room.host.shards[room.sharding.shard("stock", SKU)].cells[("stock", SKU)]
        assert cell.replayed == 6 - snapshot.version
        assert cell.seen[b"0"] == Seen(digest=b"d", at_ms=cell.seen[b"0"].at_ms, answer=StockDone(available=1))

    play(scene)


def test_an_entity_whose_first_record_was_lost_is_new_also_after_a_meta_that_was_saved_meanwhile() -> None:
    async def scene() -> None:
        room = await Room(shards=1, limits=Limits(meta_every=1)).open()
        room.journal.troubles.extend(["hold", "lose"])
        first = room.submit("stock", SKU, PutIn(quantity=1))
        await asyncio.sleep(0.01)
        lost = room.submit("stock", "sku_b#0", PutIn(quantity=2), b"put b")
        room.journal.go.set()
        assert (await first).reply == StockDone(available=1)
        assert (await lost).code == "outcome_unknown"
        assert room.journal.metas[0].seq == 1
        await room.served()
        assert (await room.submit("stock", "sku_b#0", PutIn(quantity=2), b"put b")).reply == StockDone(available=2)

    play(scene)
