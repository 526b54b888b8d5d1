"""Guests: a random token names a cart until somebody logs in and takes it over."""

import hashlib

from actors.domain.entity import Refused
from schemas.cart import CartContents, CartTakenLines, Clear, MergeGuest, TakeForMerge
from schemas.ids import derived_id, id_of
from serve.desk import Desk
from serve.requests import Refusal


def guest_key(token: str) -> str:
    """The key of a guest's cart. Not the token itself: whoever reads the tables cannot ask for carts."""
    digest = hashlib.blake2b(token.encode(), digest_size=13, person=b"stampede.guest").digest()
    return id_of("gst", digest)


def new_guest_token(desk: Desk) -> str:
    """A token that nobody can guess."""
    return id_of("gst", desk.services.random_bytes(13))


async def merge_guest(desk: Desk, user_id: str, guest: str) -> CartContents:
    """Add a guest's lines to a user's cart and empty the guest's.

    Each step may be repeated: the same lines are handed out until they are cleared, and count once.
    """
    taken = await desk.told("cart", guest, TakeForMerge(), digest=b"merge")
    assert isinstance(taken, CartTakenLines)
    merge = MergeGuest(guest_id=guest, guest_version=taken.version, lines=taken.lines)
    merged = await desk.told("cart", user_id, merge, digest=b"merge")
    assert isinstance(merged, CartContents)
    if taken.lines:
        step = derived_id("merged", user_id, guest, str(taken.version))
        cleared = await desk.ask("cart", guest, Clear(version=taken.version), command_id=step, digest=b"merge")
        desk.cart_changed(user_id)
        desk.cart_changed(guest)
        # Somebody else has taken it over meanwhile: it is empty, which is all that was wanted.
        if cleared.code not in ("", Refused(code="cart_changed").code):
            raise Refusal(cleared.code, cleared.params)
    return merged
