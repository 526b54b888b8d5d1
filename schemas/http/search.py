"""The search over HTTP."""

from typing import Literal

import msgspec

from schemas.http.catalogue import ProductLine, Titles

Fallback = Literal["", "typo", "fewer_words", "popular"]


class Highlights(msgspec.Struct, frozen=True, kw_only=True, rename={"zh": "zh-CN"}):
    """Where the titles have what was searched for: [start, end) in characters (code points)."""

    en: tuple[tuple[int, int], ...] = ()
    zh: tuple[tuple[int, int], ...] = ()


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """A product that was found."""

    product: ProductLine
    in_stock: bool
    highlights: Highlights


class FacetValue(msgspec.Struct, frozen=True, kw_only=True):
    """One value of a filter, and how many products it would show beside the other filters."""

    value: str
    titles: Titles
    count: int
    chosen: bool


class Facet(msgspec.Struct, frozen=True, kw_only=True):
    """A filter: ``name`` is the query's parameter (``category``, ``brand``, ``tag``, ``attr.<id>``)."""

    name: str
    titles: Titles
    values: tuple[FacetValue, ...]


class PriceRange(msgspec.Struct, frozen=True, kw_only=True):
    """How many products begin to cost within these bounds: minor units, the upper one not included; null is no bound."""

    price_from: int
    price_to: int | None
    count: int


class SearchPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of what was found.

    total: of all pages. corrected: what was searched for instead, or null. fallback: how the search was relaxed because nothing
    had all of it: ``typo``: words were corrected; ``fewer_words``: not all words are there; ``popular``: nothing was found, and
    these are what others buy; else empty. degraded: the index is being made; this is a plain comparison of titles without facets.
    """

    hits: tuple[Hit, ...]
    total: int
    facets: tuple[Facet, ...]
    prices: tuple[PriceRange, ...]
    corrected: str | None
    fallback: Fallback
    degraded: bool
    next_cursor: str | None


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """Something that people may mean. kind: ``query`` to search for, or a ``category`` or ``brand`` to look at by its ``value``."""

    kind: Literal["query", "category", "brand"]
    titles: Titles
    value: str
    count: int


class Suggestions(msgspec.Struct, frozen=True, kw_only=True):
    """What one may mean who has typed so much, the likeliest first. degraded: the index is being made, there are none yet."""

    suggestions: tuple[Suggestion, ...]
    degraded: bool
