"""Identifiers: prefixed names, and the keyed hash that says which shard a thing lives in.

A prefix makes an id say what it names in a log line or a support ticket, and lets the edge
refuse a foreign one before anything is asked of an owner.
"""

import hashlib
import os
import re
from typing import Final, NewType

UserId = NewType("UserId", str)
SkuId = NewType("SkuId", str)
OrderId = NewType("OrderId", str)
SaleId = NewType("SaleId", str)
CouponId = NewType("CouponId", str)
PaymentId = NewType("PaymentId", str)
CommandId = NewType("CommandId", bytes)
ReservationId = NewType("ReservationId", bytes)

ID_LENGTH_MAX: Final = 64
"""Characters of the longest id that is accepted; our own are under 40."""

_ID = re.compile(r"[a-z]{2,5}_[A-Za-z0-9_.\-]{1,58}\Z")
_CROCKFORD: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS: Final = tuple(first + second for first in _CROCKFORD for second in _CROCKFORD)
"""Two characters a step: an order number is made for every order."""


def is_id(text: str, prefix: str) -> bool:
    """True when ``text`` has the form of an id with this prefix (``usr``, ``sku``, ...)."""
    return text.startswith(prefix + "_") and _ID.match(text) is not None


def base32(number: int, length: int) -> str:
    """``number`` in Crockford's base 32, ``length`` characters, most significant first (so text order is number order)."""
    if length & 1:
        return _CROCKFORD[(number >> 5 * (length - 1)) & 31] + (base32(number, length - 1) if length > 1 else "")
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in range(5 * (length - 2), -1, -10)])


def unbase32(text: str) -> int:
    """The inverse of :func:`base32`. ValueError on a foreign character."""
    number = 0
    for character in text:
        number = (number << 5) | _CROCKFORD.index(character)
    return number


def id_of(prefix: str, data: bytes) -> str:
    """The id that is made of the last 100 bits of these bytes: the same for the same ones."""
    return f"{prefix}_{base32(int.from_bytes(data, 'big') & ((1 << 100) - 1), 20)}"


def random_id(prefix: str) -> str:
    """A new id with 100 random bits."""
    return id_of(prefix, os.urandom(13))


def order_id(at_ms: int, shard: int, random_bits: int) -> OrderId:
    """An order number: 48 bits of time, 10 bits of shard, 40 random bits.

    Sorts by time, tells a payment callback which shard owns it without a look-up, and does
    not reveal how many orders there are.
    """
    return OrderId("ord_" + base32((at_ms << 50) | (shard << 40) | (random_bits & ((1 << 40) - 1)), 20))


def order_shard(order: str) -> int:
    """The shard named in an order number. ValueError when ``order`` is not one."""
    if len(order) != 24 or not order.startswith("ord_"):
        raise ValueError("not an order number")
    return unbase32(order[14:16])


def derived_id(*parts: str | bytes) -> bytes:
    """Sixteen bytes that are the same for the same parts: the id of a retried command or reservation."""
    framed = b""
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        # Each part after its length, so that no two lists of parts are the same bytes.
        framed += len(data).to_bytes(4, "big") + data
    return hashlib.blake2b(framed, digest_size=16).digest()


def shard_of(route: str, secret: bytes, shard_count: int) -> int:
    """The shard of a routing key, by a keyed hash, so that nobody outside can aim ids at one shard."""
    return int.from_bytes(hashlib.blake2b(route.encode(), key=secret, digest_size=4).digest(), "big") % shard_count
