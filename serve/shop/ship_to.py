"""A typed address as an order keeps it. Which ones are complete is the domain's rule (``actors.domain.address``)."""

from actors.domain.address import flaw
from schemas.http.orders import ShipTo
from schemas.order import Address
from serve.requests import Refusal


def address_of(given: ShipTo) -> Address:
    """The address, without stray blanks. Refusal ``address_invalid`` with what is missing or wrong, before anybody is asked."""
    address = Address(**{name: " ".join(getattr(given, name).split()) for name in given.__struct_fields__})
    reason = flaw(address)
    if reason:
        raise Refusal("address_invalid", {"reason": reason})
    return address
