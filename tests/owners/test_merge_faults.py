"""A merge on real hosts: the transfer between two members comes once, whatever fails at whichever of its flushes."""

import pytest

from actors.domain import member_state
from actors.testing.market import shop
from actors.testing.members import membership
from actors.testing.room import Room, play
from schemas.member import Earn, HandOver, HoldPoints, ReleasePoints

OLD, NEW = "usr_a", "usr_b"


async def opened(hosts: int) -> Room:
    """A member with 600 points, of which an open order holds 200, and one with 50."""
    room = await Room(hosts=hosts, shards=16, facts=shop() | membership()).open()
    # Until every host has its share of the shards.
    await room.clock.sleep(30)
    for user_id, amount in ((OLD, 6000), (NEW, 500)):
        await tell(room, user_id, Earn(order_id="ord_0", amount=amount, currency="CNY"), b"earn" + user_id.encode())
    await tell(room, OLD, HoldPoints(hold_id=b"h", order_id="ord_1", deadline_ms=2**50, points=200), b"hold")
    return room


async def tell(room: Room, user_id: str, command: object, command_id: bytes) -> str:
    """Until there is a definite answer, as a client does."""
    for _ in range(10):
        answer = await room.client.ask("member", user_id, command, command_id=command_id, digest=b"d")
        if answer.code in ("", "account_closed"):
            return answer.code
        await room.clock.sleep(1)
    raise AssertionError(answer)


async def merged(room: Room) -> tuple[int, int, int]:
    """Merge, settle the open order a little later, and wait; available of both, and how many transfers there were."""
    assert await tell(room, OLD, HandOver(to_user_id=NEW), b"merge") == ""
    assert await tell(room, OLD, HandOver(to_user_id=NEW), b"merge again") == ""
    assert await tell(room, OLD, ReleasePoints(hold_id=b"h"), b"release") == ""
    await room.clock.sleep(120)
    # Read by whoever owns it now; a host that lost it may still have an old copy.
    for user_id in (OLD, NEW):
        await tell(room, user_id, HoldPoints(hold_id=b"look", order_id="ord_2", deadline_ms=2**50), b"look" + user_id.encode())
    old, new = room.state("member", OLD), room.state("member", NEW)
    assert [*member_state.invariant(old), *member_state.invariant(new)] == []
    assert (old.moved + new.moved, old.moving) == (0, 0)
    return old.available, new.available, old.transfers


@pytest.mark.parametrize("hosts", [1, 4])
@pytest.mark.parametrize("trouble", ["lose", "forget", "fence"])
@pytest.mark.parametrize("flush", range(6))
def test_a_flush_that_fails_moves_nothing_twice(flush: int, trouble: str, hosts: int) -> None:
    async def scene() -> tuple[int, int, int]:
        room = await opened(hosts)
        room.journal.troubles.extend(["go"] * flush + [trouble])
        return await merged(room)

    assert play(scene, seed=flush) == (0, 650, 2)


@pytest.mark.parametrize("lost", [1, 2, 3, 5])
@pytest.mark.parametrize("hosts", [1, 4])
def test_answers_that_are_lost_move_nothing_twice(hosts: int, lost: int) -> None:
    async def scene() -> tuple[int, int, int]:
        room = await opened(hosts)
        room.lost_replies = lost
        return await merged(room)

    assert play(scene, seed=lost) == (0, 650, 2)


def test_the_two_members_of_these_scenes_live_on_two_hosts() -> None:
    async def scene() -> set[str]:
        room = await opened(4)
        shards = {room.sharding.shard("member", user_id) for user_id in (OLD, NEW)}
        return {host.name for host in room.hosts for number in shards if number in host.shards and host.shards[number].serving}

    assert len(play(scene)) == 2
