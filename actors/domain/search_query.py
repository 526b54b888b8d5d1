"""What somebody searches for: filters within bounds, and the text as units that a product must all have. Pure."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Literal

import msgspec

from actors.domain.search_text import Cut, distinct, folded, is_han, runs, stem, words

TEXT_MAX: Final = 100
"""Characters of a query; nobody types more, whoever pastes more is asked for less."""
UNITS_MAX: Final = 12
"""Words of a query that count; the others are dropped, the last ones first."""
OFFSET_MAX: Final = 10_000
"""Nobody reads further; a machine that does takes the list of products instead."""
VALUES_MAX: Final = 20
"""Values of one filter."""
ATTRIBUTES_MAX: Final = 10
SYNONYM_WEIGHT: Final = 0.8
_EMPTY_WORDS: Final = "a an the of for and with to in on or from by", "的 了 和 与 给 用 吃 我 要 想 买 有 是 在 个 款 吗 呢 吃的"
EMPTY_WORDS: Final = frozenset(word for words in _EMPTY_WORDS for word in words.split())
"""Words that say nothing about a product, beside others that do."""
SYNONYM_WORDS_MAX: Final = 4

Sort = Literal["relevance", "price", "-price", "newest", "sales"]


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """One search. Empty tuples and None: no such filter. Values of one filter are alternatives, filters are not.

    price_min, price_max: minor units of the shop's first currency, both ends included. attributes: by the ids of attributes.
    """

    text: str = ""
    categories: tuple[str, ...] = ()
    brands: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    attributes: dict[str, tuple[str, ...]] = {}
    price_min: int | None = None
    price_max: int | None = None
    in_stock: bool | None = None
    sort: Sort = "relevance"
    offset: int = 0
    limit: int = 20


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """Words that a product has when it has this unit. ``weight``: 1 for what was typed."""

    words: tuple[str, ...]
    weight: float = 1.0


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was asked for: a word, or several that have a meaning together. ``shown``: as it was typed, folded."""

    shown: str
    ways: tuple[Way, ...]

    @property
    def typed(self) -> tuple[str, ...]:
        """The words as they were typed."""
        return self.ways[0].words


class Synonyms:
    """Groups of texts that mean the same, in all languages of the shop; found by their words, the longest first.

    han: what is Chinese among them, a word each, for whoever cuts a query. read: how such a word is typed in Latin letters, which
    then means the same, unless it is a word of its own.
    """

    def __init__(self, groups: Iterable[Sequence[str]], read: Callable[[str], str] = lambda _: "") -> None:
        self._ways: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
        for group in groups:
            members = distinct_ways(tuple(words(text, lambda run: [run])) for text in group)
            for member in members:
                known = self._ways.setdefault(member, [])
                known += [other for other in members if other != member and other not in known]
        self.han = frozenset(way[0] for way in self._ways if len(way) == 1 and is_han(way[0]))
        heard: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
        for word in sorted(self.han):
            typed = (read(word),) if len(word) > 1 else ("",)
            if typed[0] and typed not in self._ways:
                heard.setdefault(typed, []).extend([(word,), *self._ways[(word,)]])
        self._ways |= {typed: distinct_ways(ways) for typed, ways in heard.items()}

    def of(self, typed: tuple[str, ...]) -> list[tuple[str, ...]]:
        """What means the same as these words together."""
        return self._ways.get(typed, [])


def distinct_ways(ways: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Each once, without empty ones."""
    return [way for way in dict.fromkeys(ways) if way]


def units(text: str, cut: Cut, synonyms: Synonyms, join: Callable[[Sequence[str]], str] = lambda _: "") -> tuple[Unit, ...]:
    """The text as units. ``join``: what neighbouring Latin words are together ('tooth paste'), '' where they are nothing."""
    typed = _typed(text, cut)[: UNITS_MAX * 2]
    typed = [word for word in typed if word[0] not in EMPTY_WORDS] or typed
    found: list[Unit] = []
    at = 0
    while at < len(typed):
        unit, size = _unit_at(typed, at, synonyms, join)
        found.append(unit)
        at += size
    return tuple({unit.typed: unit for unit in found}.values())[:UNITS_MAX]


def _typed(text: str, cut: Cut) -> list[tuple[str, str]]:
    """(as shown, as looked up) of each word."""
    found: list[tuple[str, str]] = []
    for run in runs(folded(text)):
        found += [(word, word) for word in cut(run)] if is_han(run) else [(run, stem(run))]
    return found


def _unit_at(typed: list[tuple[str, str]], at: int, synonyms: Synonyms, join: Callable[[Sequence[str]], str]) -> tuple[Unit, int]:
    for size in range(min(SYNONYM_WORDS_MAX, len(typed) - at), 0, -1):
        shown, looked = zip(*typed[at : at + size], strict=True)
        same = synonyms.of(looked)
        joined = join(shown) if size > 1 and not any(map(is_han, shown)) else ""
        if not same and not joined and size > 1:
            continue
        text = "".join(shown) if is_han(shown[0]) else " ".join(shown)
        ways = [Way(words=looked), *(Way(words=way, weight=SYNONYM_WEIGHT) for way in same)]
        if joined:
            ways.append(Way(words=(joined,)))
            ways += [Way(words=way, weight=SYNONYM_WEIGHT) for way in synonyms.of((joined,))]
        return Unit(shown=text, ways=tuple(ways)), size
    raise AssertionError("a size of one always fits")


def replaced(asked: Sequence[Unit], corrections: Mapping[str, str], cut: Cut, synonyms: Synonyms) -> tuple[str, tuple[Unit, ...]]:
    """(the text, its units) with some units written differently: what was probably meant."""
    shown = [corrections.get(unit.shown, unit.shown) for unit in asked]
    text = shown[0]
    for before, word in itertools.pairwise(shown):
        text += word if is_han(before[-1:]) and is_han(word) else " " + word
    return text, units(text, cut, synonyms)


def typos_allowed(word: str) -> int:
    """How many letters may be wrong: none in short words and numbers, one up to five letters, then two."""
    if any(character.isdigit() for character in word):
        return 0
    return 0 if len(word) < 3 else 1 if len(word) < 6 else 2


def highlights(title: str, looked: Iterable[str]) -> tuple[tuple[int, int], ...]:
    """Where a title has one of these words: [start, end) in characters, in their order, not overlapping."""
    compared = folded_in_place(title)
    latin = {word for word in looked if not is_han(word)}
    found = [span for span in _latin_spans(compared) if stem(compared[span[0] : span[1]]) in latin]
    for word in distinct(word for word in looked if is_han(word)):
        start = compared.find(word)
        while start >= 0:
            found.append((start, start + len(word)))
            start = compared.find(word, start + len(word))
    merged: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return tuple(merged)


def folded_in_place(text: str) -> str:
    """Folded a character at a time, so that places stay where they are."""
    return "".join(one if len(one := folded(character)) == 1 else character for character in text)


def _latin_spans(text: str) -> list[tuple[int, int]]:
    found = []
    at = 0
    for run in runs(text):
        start = text.find(run, at)
        if start < 0:
            continue
        at = start + len(run)
        if not is_han(run):
            found.append((start, at))
    return found
