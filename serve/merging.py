"""What follows when two accounts have become one: membership, second factors, sessions.

The merge itself is one transaction, which writes down that this is still to be done. It is done at once by whoever asked, and by
the background work of any replica where that one ended in between: each step is known by ids of the two accounts, so that doing it
twice, or on two replicas at once, is doing it once.
"""

from typing import Final

from schemas.ids import derived_id
from schemas.member import HandOver
from serve.desk import Desk
from serve.second_factor import remove_factors
from serve.shop.sessions import end_sessions

AT_ONCE_MAX: Final = 100


async def follow_merge(desk: Desk, gone: str, survivor: str) -> None:
    """Points, growth, level and gifts move to the account that stays; nobody goes on under the one that is gone. May be repeated."""
    command_id = derived_id("hand_over", gone, survivor)
    await desk.told("member", gone, HandOver(to_user_id=survivor), command_id=command_id, digest=b"merge")
    await remove_factors(desk, gone)
    await end_sessions(desk, gone)
    await desk.users.merge_followed(gone)


async def follow_merges(desk: Desk) -> int:
    """Finish merges whose process ended before it had; answers how many."""
    found = await desk.users.open_merges(AT_ONCE_MAX)
    for gone, survivor in found:
        await follow_merge(desk, gone, survivor)
    return len(found)
