"""From units and filters to queries of the index."""

from collections.abc import Sequence
from typing import Final

from tantivy import FieldType, Occur, Query

from actors.domain.search_query import Unit, Way, Wish
from actors.domain.search_text import code_of, is_han
from actors.storage.search.cutting import Cutting
from actors.storage.search.index import PRODUCT
from actors.storage.search.reading import View

TITLE: Final = 3.0
KIND: Final = 2.5
WORD: Final = 1.0
PHRASE: Final = 2.0
"""Characters side by side: a word that titles have cut differently."""
PIECES: Final = 0.8
PINYIN: Final = 2.0
INITIALS: Final = 1.0
BEGINNING: Final = 0.6
CODE: Final = 100.0
TOGETHER: Final = 3.0
LAST: Final = 2.0
EXACT: Final = 25.0
TIE: Final = 0.4
"""What has a thing by several of its names is rather this thing."""
IN_STOCK: Final = 1.5
PINYIN_OF_KNOWN: Final = 0.3
INITIALS_MAX: Final = 8


class Queries:
    """Makes queries for one view of the index."""

    def __init__(self, view: View, cutting: Cutting) -> None:
        self._view = view
        self._cutting = cutting
        self._fields = view.fields

    # --- the text -----------------------------------------------------------------------------------

    def text(self, asked: Sequence[Unit], raw: str, *, at_least: int | None = None) -> Query:
        """Products that have all units (or at least so many), or this very code."""
        each = [self.unit(unit) for unit in asked]
        if at_least is not None:
            # The thing itself stands last in both languages: 无糖口香糖 is rather gum than anything else without sugar.
            each[-1] = Query.boost_query(each[-1], LAST)
        parts = [(Occur.Must if at_least is None else Occur.Should, one) for one in each]
        wanted = Query.boolean_query(parts, minimum_number_should_match=at_least)
        better = [(Occur.Must, wanted), (Occur.Should, Query.const_score_query(self._term("in_stock", 1), IN_STOCK))]
        better += [(Occur.Should, Query.const_score_query(self._term("exact", kind), EXACT)) for kind in self._kinds(asked)]
        latin = [word for unit in asked for word in unit.typed if not is_han(word)]
        if len(latin) > 1:
            better.append((Occur.Should, Query.boost_query(Query.phrase_query(self._fields, "title", list(latin), slop=1), TOGETHER)))
        found = Query.boolean_query(better)
        code = code_of(raw)
        if len(code) > 2 and self._view.known(code, "code"):
            exact = Query.boost_query(self._term("code", code), CODE)
            return Query.disjunction_max_query([found, exact])
        return found

    def _kinds(self, asked: Sequence[Unit]) -> list[str]:
        """What kind of thing may be meant: the end of the query says so ('huawei phone' is a phone, a phone case is none)."""
        last = ["".join(way.words) for way in asked[-1].ways]
        longer = ["".join(word for unit in asked[-size:] for word in unit.typed) for size in (2, 3) if len(asked) >= size]
        return [kind for kind in [*last, *longer] if self._view.known(kind, "exact")]

    def unit(self, unit: Unit) -> Query:
        """Products that have a unit in one way or another."""
        shown = unit.shown.split()
        ways = [self._way(way, shown if len(shown) == len(way.words) and at == 0 else way.words) for at, way in enumerate(unit.ways)]
        return ways[0] if len(ways) == 1 else Query.disjunction_max_query(ways, tie_breaker=TIE)

    def _way(self, way: Way, shown: Sequence[str]) -> Query:
        typed = way.weight == 1
        parts = [
            self._han(word) if is_han(word) else self._latin(word, spelled if typed else "")
            for word, spelled in zip(way.words, shown, strict=True)
        ]
        found = parts[0] if len(parts) == 1 else Query.boolean_query([(Occur.Must, part) for part in parts])
        return found if way.weight == 1 else Query.boost_query(found, way.weight)

    def _written(self, word: str) -> Query:
        weights = (("title", TITLE), ("kinds", KIND), ("words", WORD))
        return Query.boolean_query([(Occur.Should, Query.boost_query(self._term(field, word), weight)) for field, weight in weights])

    def _latin(self, word: str, spelled: str) -> Query:
        """``spelled``: as it was typed, which may be Chinese in Latin letters; '' for a word that we put there ourselves."""
        ways = [self._written(word)]
        if spelled.isascii() and spelled.isalpha():
            known = self._view.known(word, "title", "kinds")
            if self._view.known(spelled, "pinyin") and (not known or len(spelled) > 3):
                weight = PINYIN_OF_KNOWN if known else PINYIN
                ways.append(Query.boost_query(self._term("pinyin", spelled), weight))
            if not known and 2 <= len(spelled) <= INITIALS_MAX:
                ways.append(Query.boost_query(self._term("initials", spelled), INITIALS))
            if not known and len(word) > 2:
                ways += [Query.boost_query(self._term("title", longer), BEGINNING) for longer in self._view.beginning(word, 20)]
        return ways[0] if len(ways) == 1 else Query.disjunction_max_query(ways)

    def _han(self, word: str) -> Query:
        ways = [self._written(word)]
        if len(word) == 1:
            ways.append(self._term("chars", word))
            return Query.disjunction_max_query(ways)
        ways.append(Query.boost_query(Query.phrase_query(self._fields, "chars", list(word)), PHRASE))
        pieces = self._cutting.pieces(word)
        if pieces:
            each = Query.boolean_query([(Occur.Must, self._written(piece)) for piece in pieces])
            ways.append(Query.boost_query(each, PIECES))
        return Query.disjunction_max_query(ways)

    def _term(self, field: str, value: str | int) -> Query:
        return Query.term_query(self._fields, field, value)

    # --- filters ------------------------------------------------------------------------------------

    def filters(self, wish: Wish) -> dict[str, Query]:
        """Each filter by its name, as facets are called."""
        found: dict[str, Query] = {}
        for name, values in (("category", wish.categories), ("brand", wish.brands), ("tag", wish.tags)):
            if values:
                found[name] = Query.term_set_query(self._fields, name, list(values))
        for name, values in wish.attributes.items():
            found[f"attr.{name}"] = Query.term_set_query(self._fields, "attr", [f"{name}={value}" for value in values])
        # A product is within bounds when one of its articles may be.
        prices = []
        if wish.price_min is not None:
            prices.append(Query.range_query(self._fields, "price_max", FieldType.Integer, lower_bound=wish.price_min))
        if wish.price_max is not None:
            prices.append(Query.range_query(self._fields, "price_min", FieldType.Integer, upper_bound=wish.price_max))
        if prices:
            found["price"] = Query.boolean_query([(Occur.Must, price) for price in prices])
        if wish.in_stock is not None:
            found["in_stock"] = self._term("in_stock", int(wish.in_stock))
        return found

    def all_products(self) -> Query:
        """Every product there is."""
        return Query.const_score_query(self._term("kind", PRODUCT), 1.0)

    def narrowed(self, query: Query, filters: dict[str, Query], *, but: str = "") -> Query:
        """A query within all filters, or all but one. They say nothing about what is better."""
        kept = [Query.const_score_query(one, 0.0) for name, one in filters.items() if name != but]
        return Query.boolean_query([(Occur.Must, query), *((Occur.Must, one) for one in kept)]) if kept else query
