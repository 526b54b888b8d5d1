"""Points on real hosts: what is one flush, who gets the last of them, and what a lost answer or another host changes."""

import asyncio

from actors.domain import member_state
from actors.testing.market import HOME, shop
from actors.testing.members import membership
from actors.testing.room import Room, play
from schemas.member import Earn, SpendInMall
from schemas.order import CancelOrder, Line, PaymentNotice, PayOrder, PlaceOrder
from schemas.quota import Configure
from schemas.stock import PutIn

USER = "usr_a"


async def opened(*, hosts: int = 1, shards: int = 4, earned: int = 6000) -> Room:
    """A room with stock, and a member with 600 points."""
    room = await Room(hosts=hosts, shards=shards, facts=shop() | membership()).open()
    for kind, key, command in (
        ("stock", "sku_a#0", PutIn(quantity=100)),
        ("stock", "sku_b#0", PutIn(quantity=100)),
        ("quota", "mal_mug", Configure(total=100)),
        ("member", USER, Earn(order_id="ord_0", amount=earned, currency="CNY")),
    ):
        assert not (await room.client.ask(kind, key, command, command_id=key.encode(), digest=b"d")).code
    return room


def order(name: str, *, points: int = 500) -> PlaceOrder:
    return PlaceOrder(
        order_id=f"ord_{name}", lines=(Line(sku_id="sku_b", quantity=2),), ship_to=HOME, points=points, member_level="", hold_ms=60_000
    )


async def place(room: Room, name: str, **terms: int):
    return await room.client.ask("order", USER, order(name, **terms), command_id=b"place" + name.encode(), digest=b"d")


def points(room: Room) -> tuple[int, int, int]:
    state = room.state("member", USER)
    assert member_state.invariant(state) == []
    return state.available, state.held, state.spent


def test_stock_points_and_the_order_are_one_flush_and_a_flash_order_has_no_record_more() -> None:
    async def scene() -> list[list[str]]:
        room = await opened()
        before = len(room.journal.batches)
        assert (await room.submit("order", USER, order("1"))).code == ""
        flash = PlaceOrder(order_id="ord_2", lines=(Line(sku_id="sku_a", quantity=1),), sale_id="sal_open")
        assert (await room.submit("order", USER, flash)).code == ""
        return [[row.kind for row in batch] for batch in room.journal.batches[before:]]

    assert play(scene) == [["stock", "member", "order"], ["stock", "order"]]


def test_paying_spends_and_earns_in_the_flush_that_pays() -> None:
    async def scene() -> tuple[list[str], tuple[int, int, int]]:
        room = await opened()
        await place(room, "1")
        paying = room.submit("order", USER, PayOrder(order_id="ord_1", payment_id="pay_1"))
        await room.clock.sleep(0.1)
        paid = PaymentNotice(order_id="ord_1", payment_id="pay_1", status="paid", amount=333, currency="CNY")
        before = len(room.journal.batches)
        assert (await room.submit("order", USER, paid)).code == ""
        paying.cancel()
        return sorted(row.kind for row in room.journal.batches[before]), points(room)

    assert play(scene) == (["member", "member", "order", "stock"], (267 + 33, 0, 333))


def test_of_twenty_orders_at_once_only_one_gets_the_points() -> None:
    async def scene(spent: int) -> tuple[list[str], tuple[int, int, int]]:
        room = await opened(earned=4000)
        answers = await asyncio.gather(*(place(room, f"{number}", points=spent) for number in range(20)))
        return sorted(answer.code for answer in answers), points(room)

    assert play(lambda: scene(500)) == ([""] + ["points_insufficient"] * 19, (67, 333, 0))
    # The control: without points nothing keeps the nineteen others back.
    assert play(lambda: scene(0)) == ([""] * 20, (400, 0, 0))


def test_cancel_and_expiry_race_and_the_points_come_back_once() -> None:
    async def scene() -> tuple[int, int, int]:
        room = await opened()
        await place(room, "1")
        await room.clock.sleep(59.99)
        cancels = [room.submit("order", USER, CancelOrder(order_id="ord_1")) for _ in range(5)]
        await room.clock.sleep(0.1)
        assert {answer.code for answer in await asyncio.gather(*cancels)} == {""}
        await room.clock.sleep(300)
        return points(room)

    assert play(scene) == (600, 0, 0)


def test_an_exchange_whose_answer_was_lost_is_one_exchange() -> None:
    async def scene() -> tuple[tuple[int, int, int], int]:
        room = await opened(earned=8000)
        room.lost_replies = 2
        spend = SpendInMall(redemption_id="rdm_1", item_id="mal_mug", points=80)
        answer = await room.client.ask("member", USER, spend, command_id=b"x" * 16, digest=b"d")
        if answer.code:
            answer = await room.client.ask("member", USER, spend, command_id=b"x" * 16, digest=b"d")
        assert answer.reply.redemption_id == "rdm_1"
        await room.clock.sleep(1)
        return points(room), room.state("quota", "mal_mug").redeemed

    assert play(scene) == ((720, 0, 80), 1)


def test_on_several_hosts_it_is_a_saga_with_the_same_end() -> None:
    async def scene(end: str) -> tuple[bool, tuple[int, int, int]]:
        room = await opened(hosts=4, shards=16)
        assert room.sharding.shard("order", USER) != room.sharding.shard("stock", "sku_b#0")
        answer = await place(room, "1")
        assert answer.code == ""
        staged = sum(host.turns.counters.plans_staged for host in room.hosts) > 0
        if end == "cancel":
            await room.client.ask("order", USER, CancelOrder(order_id="ord_1"), command_id=b"c", digest=b"d")
        else:
            await room.clock.sleep(61)
        await room.clock.sleep(5)
        return staged, points(room)

    assert play(lambda: scene("cancel"), seed=1)[1] == (600, 0, 0)
    assert play(lambda: scene("expire"), seed=1)[1] == (600, 0, 0)
    assert play(lambda: scene("cancel"), seed=1)[0], "the stock lives elsewhere, or this proves nothing"
