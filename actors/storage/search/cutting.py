"""Cutting a query's Chinese by the words that the index has: no dictionary in a replica's memory, and no word that nothing has.

A dictionary of its own would take 32 MB in each replica, and 0.1 s to load beside its loop. Titles were cut by
one when they were indexed, so the words of the index are its words.
"""

import math
from collections.abc import Set as AbstractSet
from typing import Final

from actors.domain.search_query import EMPTY_WORDS
from actors.storage.search.reading import View

WORD_MAX: Final = 8
FIELDS: Final = ("title", "kinds", "words")
_UNKNOWN: Final = 2.5
_SINGLE: Final = 1.4
_FREQUENT: Final = 0.03
_TYPO_MAX: Final = 4
"""Characters that are put together as one word because they are words neither alone nor otherwise."""


class Cutting:
    """Cuts for one search. ``more``: words beside those of the index, of synonyms."""

    def __init__(self, view: View, more: AbstractSet[str]) -> None:
        self._view = view
        self._more = more
        self._found: dict[str, int] = {}

    def cut(self, run: str) -> list[str]:
        """A run of Chinese as the fewest and most frequent known words; what is between them is kept together."""
        return self._together(self._best(run, whole=True))

    def pieces(self, word: str) -> list[str]:
        """A word as smaller ones, all of them known; empty when it is not made of such."""
        found = self._best(word, whole=False)
        return found if len(found) > 1 and all(map(self.known, found)) else []

    def known(self, word: str) -> int:
        """How many products have a word, at least; one for a word of a synonym."""
        found = self._found.get(word)
        if found is None:
            found = self._found[word] = max(self._view.known(word, *FIELDS), int(word in self._more))
        return found

    def _best(self, run: str, *, whole: bool) -> list[str]:
        costs = [0.0, *[math.inf] * len(run)]
        starts = [0] * (len(run) + 1)
        for end in range(1, len(run) + 1):
            for start in range(max(0, end - WORD_MAX), end):
                if not whole and end - start == len(run):
                    continue
                cost = costs[start] + self._cost(run[start:end])
                if cost < costs[end]:
                    costs[end], starts[end] = cost, start
        found: list[str] = []
        end = len(run)
        while end:
            found.append(run[starts[end] : end])
            end = starts[end]
        return found[::-1]

    def _cost(self, word: str) -> float:
        count = self.known(word)
        if count:
            return (_SINGLE if len(word) == 1 else 1.0) - _FREQUENT * math.log1p(count)
        return _UNKNOWN if len(word) == 1 else math.inf

    def _together(self, words: list[str]) -> list[str]:
        """Single characters beside an unknown one are one word with it, that was probably written wrong."""
        found: list[str] = []
        group: list[str] = []
        for word in [*words, ""]:
            if len(word) == 1 and word not in EMPTY_WORDS and len(group) < _TYPO_MAX:
                group.append(word)
                continue
            found += ["".join(group)] if len(group) > 1 and not all(map(self.known, group)) else group
            alone = len(word) != 1 or word in EMPTY_WORDS
            group = [] if alone else [word]
            found += [word] if alone and word else []
        return found
