"""Prices over HTTP: what a unit costs now, and why."""

import msgspec

from schemas.http.shapes import Timestamp
from schemas.http.titles import Titles
from schemas.money import Money


class NextTier(msgspec.Struct, frozen=True, kw_only=True):
    """From ``min_quantity`` units of a line on each costs ``unit_price``."""

    min_quantity: int
    unit_price: Money


class PriceStep(msgspec.Struct, frozen=True, kw_only=True):
    """One price that was looked at. ``kind``: list, tier, promotion, member, level (a level's percentage).

    state: ``applies``, or ``needs_quantity`` for a tier that more units reach; staff see those that are ``not_started``, ``ended`` and for
    an ``other_level`` as well. won: it is the price: the lowest that applies, and of equal
    ones the plainest (in the order of the kinds above). texts: the same for people.
    """

    kind: str
    unit_price: Money
    state: str
    won: bool
    min_quantity: int
    level_id: str | None
    percent: int | None
    starts_at: Timestamp | None
    ends_at: Timestamp | None
    texts: Titles


class PriceNow(msgspec.Struct, frozen=True, kw_only=True):
    """What each of ``quantity`` units of an article costs now.

    kind: of which ``why`` tells more. list_price: to be struck through where there is a ``saving`` (a unit). until: when what won ends.
    currencies: in which the article may be bought, its own first. version: of the newest price that it was made from.
    """

    sku_id: str
    quantity: int
    unit_price: Money
    list_price: Money
    saving: Money | None
    kind: str
    until: Timestamp | None
    next_tier: NextTier | None
    currencies: tuple[str, ...]
    version: int
    why: tuple[PriceStep, ...]


class Prices(msgspec.Struct, frozen=True, kw_only=True):
    """Prices for whoever asks; ``level_id``: by which level, null where the shop has no membership."""

    level_id: str | None
    prices: tuple[PriceNow, ...]
