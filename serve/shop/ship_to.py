"""A typed address as an order keeps it. Which ones are complete is the domain's rule (``actors.domain.address``)."""

from typing import Any

from actors.domain.address import flaw
from schemas.http.orders import ShipTo
from schemas.order import Address
from serve.desk import Desk
from serve.requests import Refusal


def trimmed(given: Any) -> Address:
    """The fields of an address without stray blanks."""
    return Address(**{name: " ".join(getattr(given, name).split()) for name in Address.__struct_fields__})


async def goes_to(desk: Desk, user_id: str, ship_to: ShipTo | None, address_id: str | None) -> Address:
    """Where an order goes: what was typed, or an address of the buyer's book; one of the two.

    Refusal ``invalid_request``, ``address_invalid``, ``address_unknown``.
    """
    if (ship_to is None) == (address_id is None):
        raise Refusal("invalid_request", {"reason": "ship_to or address_id: one of the two"})
    if ship_to is not None:
        return address_of(ship_to)
    saved = await desk.addresses.one(user_id, address_id or "")
    if saved is None:
        raise Refusal("address_unknown")
    return saved.address


def address_of(given: ShipTo) -> Address:
    """The address, without stray blanks. Refusal ``address_invalid`` with what is missing or wrong, before anybody is asked."""
    address = trimmed(given)
    reason = flaw(address)
    if reason:
        raise Refusal("address_invalid", {"reason": reason})
    return address
