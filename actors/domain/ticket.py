"""Admission tickets: proof that the sale let this user in, until a time, once.

The signature, the binding and the time are checked at the edge without asking anybody; that a
ticket is used once is decided in its user's turn, by the ``nonce``.
"""

from typing import Final

import msgspec

from actors.domain.entity import Refused
from actors.domain.signing import SigningKeys, sign, verified

_PURPOSE: Final = b"stampede.ticket\0"


class Ticket(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """What a ticket says. ``nonce``: unique, made by the issuer; ``expires_at_ms``: UTC, the first instant at which it is void."""

    user_id: str
    sale_id: str
    expires_at_ms: int
    nonce: str


_DECODER: Final = msgspec.msgpack.Decoder(Ticket)


def issue(keys: SigningKeys, ticket: Ticket) -> str:
    """The text of a ticket, for the client to hand in."""
    return sign(keys, _PURPOSE, msgspec.msgpack.encode(ticket))


def verify(keys: SigningKeys, text: str, *, user_id: str, sale_id: str, at_ms: int) -> Ticket | Refused:
    """The ticket, when it is ours, of this user, for this sale, and not expired.

    Refused: ``ticket_invalid`` (forged, altered, of another user or sale) before ``ticket_expired``.
    """
    fields = verified(keys, _PURPOSE, text)
    if fields is None:
        return Refused(code="ticket_invalid")
    ticket = _DECODER.decode(fields)
    if ticket.user_id != user_id or ticket.sale_id != sale_id:
        return Refused(code="ticket_invalid")
    if at_ms >= ticket.expires_at_ms:
        return Refused(code="ticket_expired")
    return ticket
