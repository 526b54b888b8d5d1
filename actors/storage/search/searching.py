"""A search of the index: what matches, in order, with facets; and what is shown when nothing matches. Blocks: call it on a thread."""

import itertools
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import msgspec
import tantivy
from tantivy import Order, Query

from actors.domain.search_query import Synonyms, Unit, Wish, highlights, replaced, units
from actors.domain.search_readings import sounds
from actors.domain.search_text import stem
from actors.storage.search.cutting import Cutting
from actors.storage.search.documents import OWN_SHOWN, Kept, typed
from actors.storage.search.plain import NoIndex
from actors.storage.search.queries import Queries
from actors.storage.search.reading import Beginnings, Reader, View, counted
from actors.storage.search.rows import Named, Names
from schemas.http.catalogue import Titles
from schemas.http.search import (
    Facet,
    FacetValue,
    Fallback,
    Highlights,
    Hit,
    PriceRange,
    SearchPage,
    Suggestion,
    Suggestions,
)

T = TypeVar("T")

FACET_VALUES_MAX: Final = 30
ATTRIBUTE_VALUES_MAX: Final = 300
PRICES_TO: Final = (500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000)
"""Upper bounds of the ranges that prices are counted in, in minor units; ranges without products are not shown."""
SUGGESTIONS_MAX: Final = 10
SUGGESTED_NAMES_MAX: Final = 3
LOOKED_AT_MAX: Final = 50
"""Names with this beginning that are compared; a single letter has more."""

_TITLES: Final = {
    "category": Titles(en="Category", zh="分类"),
    "brand": Titles(en="Brand", zh="品牌"),
    "tag": Titles(en="Tag", zh="标签"),
}
_KEPT: Final = msgspec.json.Decoder(Kept)
_SORTS: Final = {
    "price": ("price_min", Order.Asc),
    "-price": ("price_min", Order.Desc),
    "newest": ("since", Order.Desc),
    "sales": ("sales", Order.Desc),
}


class Matched(msgspec.Struct, frozen=True, kw_only=True):
    """What a text came down to: the query, and how it had to be relaxed."""

    query: Any
    units: tuple[Unit, ...]
    corrected: str | None = None
    fallback: Fallback = ""


class Search:
    """The searches of one replica, on one thread at a time. NoIndex when there is no index that can be read."""

    def __init__(self, directory: Path) -> None:
        self._reader = Reader(directory)
        self._synonyms: Synonyms | None = None
        self._names: tuple[Names | None, Beginnings, Beginnings] = (None, Beginnings({}), Beginnings({}))

    def search(self, wish: Wish) -> SearchPage:
        """One page of what was asked for."""
        return self._guarded(lambda view: self._search(view, wish))

    def suggest(self, text: str) -> Suggestions:
        """What one may mean who has typed this."""
        return self._guarded(lambda view: self._suggest(view, text))

    def _guarded(self, work: Callable[[View], T]) -> T:
        view = self._reader.view()
        try:
            return work(view)
        except BaseException as error:
            # The index's own code may throw what is no Exception, when a file is not what it was when it was opened.
            ours = isinstance(error, Exception) or type(error).__name__ == "PanicException"
            if ours and self._reader.is_damaged(f"{type(error).__name__}: {error}"):
                raise NoIndex(str(error)) from error
            raise

    # --- matching -----------------------------------------------------------------------------------

    def _search(self, view: View, wish: Wish) -> SearchPage:
        cutting = Cutting(view, self._known_synonyms().han)
        queries = Queries(view, cutting)
        matched = self._match(view, queries, cutting, wish.text)
        filters = queries.filters(wish)
        query = queries.narrowed(matched.query, filters)
        order = _SORTS.get("sales" if matched.fallback == "popular" else wish.sort)
        options: dict[str, Any] = {} if order is None else {"order_by_field": order[0], "order": order[1]}
        found = view.searcher.search(query, wish.limit + 1, count=False, offset=wish.offset, **options)
        facets, total, prices = _facets(view, queries, matched.query, filters, wish)
        looked = [word for unit in matched.units for way in unit.ways for word in way.words]
        hits = tuple(_hit(view, address, looked) for _, address in found.hits[: wish.limit])
        return SearchPage(
            hits=hits, total=total, facets=facets, prices=prices, corrected=matched.corrected, fallback=matched.fallback, degraded=False,
            next_cursor=str(wish.offset + wish.limit) if len(found.hits) > wish.limit else None,
        )  # fmt: skip

    def _match(self, view: View, queries: Queries, cutting: Cutting, text: str) -> Matched:
        asked = units(text, cutting.cut, self._known_synonyms(), lambda shown: self._joined(view, shown))
        if not asked:
            return Matched(query=queries.all_products(), units=())
        query = queries.text(asked, text)
        if _any(view, query):
            return Matched(query=query, units=asked)
        corrected = self._corrected(view, queries, cutting, asked)
        return corrected or self._fewer(view, queries, asked, text) or Matched(query=queries.all_products(), units=(), fallback="popular")

    def _fewer(self, view: View, queries: Queries, asked: Sequence[Unit], text: str, corrected: str | None = None) -> Matched | None:
        """Products that have what is known at all of a query, else most of it; None when none has any."""
        known = tuple(unit for unit in asked if _any(view, queries.unit(unit)))
        for at_least in range(len(known), 0, -1):
            query = queries.text(known, text, at_least=at_least if at_least < len(known) else None)
            if _any(view, query):
                return Matched(query=query, units=known, corrected=corrected, fallback="fewer_words")
        return None

    def _joined(self, view: View, shown: Sequence[str]) -> str:
        """Neighbouring words that are one where they are written together: 'tooth paste', 'suan nai'."""
        text = "".join(shown)
        if not text.isascii() or not text.isalpha():
            return ""
        word = stem(text)
        if view.known(word, "title", "kinds"):
            return word
        # Syllables that are words of their own stay apart where all of them are written so.
        heard = view.known(text, "pinyin") or self._known_synonyms().of((text,))
        return text if heard and not all(view.known(stem(one), "title", "kinds") for one in shown) else ""

    def _known_synonyms(self) -> Synonyms:
        if self._synonyms is None:
            self._synonyms = Synonyms(synonym_groups(), lambda word: "".join(sounds(word).split()))
        return self._synonyms

    def _corrected(self, view: View, queries: Queries, cutting: Cutting, asked: Sequence[Unit]) -> Matched | None:
        """With the words corrected that no product has; without those that cannot be, when others are left."""
        # Loaded with the first word that nothing has.
        from actors.storage.search.correcting import correction

        unknown = [unit for unit in asked if not _any(view, queries.unit(unit))]
        corrections = {unit.shown: word for unit in unknown if (word := correction(view, unit.typed[0]))}
        if not corrections:
            return None
        text, again = replaced(asked, corrections, cutting.cut, self._known_synonyms())
        query = queries.text(again, text)
        if _any(view, query):
            return Matched(query=query, units=again, corrected=text, fallback="typo")
        return self._fewer(view, queries, again, text, text)

    # --- suggesting ---------------------------------------------------------------------------------

    def _suggest(self, view: View, text: str) -> Suggestions:
        start = typed(text)
        if not start:
            return Suggestions(suggestions=(), degraded=False)
        if self._names[0] is not view.names:
            self._names = (view.names, Beginnings(view.names.categories), Beginnings(view.names.brands))
        _, categories, brands = self._names
        found: list[Suggestion] = []
        found += _named(view, "category", categories.find(start, LOOKED_AT_MAX), view.names.categories, start)
        found += _named(view, "brand", brands.find(start, LOOKED_AT_MAX), view.names.brands, start)
        query = Query.term_query(view.fields, "prefix", start)
        shown = view.searcher.aggregate(query, {"shown": {"terms": {"field": "shown", "size": SUGGESTIONS_MAX}}})
        for text_of, count in counted(shown, "shown").items():
            en, _, zh = text_of.partition(OWN_SHOWN)
            found.append(Suggestion(kind="query", titles=Titles(en=en, zh=zh), value="", count=count))
        return Suggestions(suggestions=tuple(found[:SUGGESTIONS_MAX]), degraded=False)


def _named(view: View, kind: Literal["category", "brand"], ids: list[str], names: dict[str, Named], start: str) -> list[Suggestion]:
    """Those of which the whole name begins so first, then those with most products."""
    counts = {name: view.searcher.doc_freq(kind, name) for name in ids}
    listed = sorted((name for name in ids if counts[name]), key=lambda name: (not _begins(names[name], start), -counts[name], name))
    return [
        Suggestion(kind=kind, titles=_titles(names[name], name), value=name, count=counts[name]) for name in listed[:SUGGESTED_NAMES_MAX]
    ]


def _begins(named: Named, start: str) -> bool:
    return any(typed(text).startswith(start) for text in (named.en, named.zh, *named.aliases))


def synonym_groups() -> list[list[str]]:
    """What means the same, in both languages: the data of this package."""
    return msgspec.json.decode(files("actors.storage.search").joinpath("synonyms.json").read_bytes(), type=list[list[str]])


def _any(view: View, query: Query) -> bool:
    return bool(view.searcher.search(query, 1, count=False).hits)


def _hit(view: View, address: tantivy.DocAddress, looked: Sequence[str]) -> Hit:
    kept = _KEPT.decode(bytes(view.searcher.doc(address)["body"][0]))
    titles = kept.line.titles
    marked = Highlights(en=highlights(titles.en, looked), zh=highlights(titles.zh, looked))
    return Hit(product=kept.line, in_stock=kept.in_stock, highlights=marked)


def _titles(named: Named | None, value: str) -> Titles:
    if named is None:
        return Titles(en=value, zh=value)
    return Titles(en=named.en or named.zh or value, zh=named.zh or named.en or value)


# --- facets -------------------------------------------------------------------------------------------


def _facets(
    view: View, queries: Queries, query: Query, filters: dict[str, Query], wish: Wish
) -> tuple[tuple[Facet, ...], int, tuple[PriceRange, ...]]:
    """(facets, how many products there are, prices). What a filter would show: beside the others, without its own choice."""
    terms = {name: {"terms": {"field": name, "size": FACET_VALUES_MAX}} for name in ("category", "brand", "tag")}
    attributes = {"attr": {"terms": {"field": "attr", "size": ATTRIBUTE_VALUES_MAX}}}
    ranges = [{"to": PRICES_TO[0]}, *({"from": low, "to": high} for low, high in itertools.pairwise(PRICES_TO))]
    prices = {"price": {"range": {"field": "price_min", "ranges": [*ranges, {"from": PRICES_TO[-1]}]}}}
    counts = {"products": {"value_count": {"field": "in_stock"}}}
    every = {**terms, **attributes, **prices}
    found = view.searcher.aggregate(queries.narrowed(query, filters), every | counts)
    for name in filters:
        part = {"attr": every["attr"]} if name.startswith("attr.") else {name: every[name]} if name in every else None
        if part is not None:
            own = view.searcher.aggregate(queries.narrowed(query, filters, but=name), part)
            found[name] = own["attr"] if name.startswith("attr.") else own[name]
    chosen = {"category": wish.categories, "brand": wish.brands, "tag": wish.tags}
    names = {"category": view.names.categories, "brand": view.names.brands, "tag": view.names.tags}
    facets = [_facet(name, _TITLES[name], counted(found, name), names[name], chosen[name]) for name in ("category", "brand", "tag")]
    facets += _attribute_facets(view, found, wish)
    total = int(found["products"]["value"] or 0)
    return tuple(facet for facet in facets if facet.values), total, _ranges(found["price"]["buckets"])


def _facet(name: str, titles: Titles, counts: dict[str, int], names: dict[str, Named], chosen: Sequence[str]) -> Facet:
    counts = {**dict.fromkeys(chosen, 0), **counts}
    hidden = {value for value, named in names.items() if named.hidden}
    values = [
        FacetValue(value=value, titles=_titles(names.get(value), value), count=count, chosen=value in chosen)
        for value, count in sorted(counts.items(), key=lambda one: (-one[1], one[0]))
        if value not in hidden and (name != "tag" or value in names or value in chosen)
    ]
    return Facet(name=name, titles=titles, values=tuple(values))


def _attribute_facets(view: View, found: dict[str, Any], wish: Wish) -> list[Facet]:
    split: dict[str, dict[str, int]] = {}
    for value, count in counted(found, "attr").items():
        name, _, one = value.partition("=")
        split.setdefault(name, {})[one] = count
    for name in wish.attributes:
        own = found.get(f"attr.{name}")
        if own is not None:
            values = (bucket["key"].partition("=") for bucket in own["buckets"])
            counts = {bucket["key"]: bucket["doc_count"] for bucket in own["buckets"]}
            split[name] = {one: counts[f"{whose}={one}"] for whose, _, one in values if whose == name}
    facets = []
    for name, counts in sorted(split.items()):
        named = view.names.attributes.get(name)
        if named is not None:
            facets.append(_facet(f"attr.{name}", _titles(named, name), counts, named.values, wish.attributes.get(name, ())))
    return facets


def _ranges(buckets: Any) -> tuple[PriceRange, ...]:
    listed = buckets.values() if isinstance(buckets, dict) else buckets
    return tuple(
        PriceRange(
            price_from=int(bucket.get("from") or 0),
            price_to=None if bucket.get("to") is None else int(bucket["to"]),
            count=bucket["doc_count"],
        )
        for bucket in listed
        if bucket["doc_count"]
    )
