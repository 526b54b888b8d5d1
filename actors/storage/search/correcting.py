"""What was probably meant by words that no product has: one that is spelled, or sounds, nearly the same."""

import math
from itertools import groupby
from typing import Final

from rapidfuzz import process
from rapidfuzz.distance import OSA

from actors.domain.search_query import typos_allowed
from actors.domain.search_readings import sounds
from actors.domain.search_text import is_han, splits
from actors.storage.search.reading import View

NEAR_MAX: Final = 20
AT_ONCE: Final = 1000
HAN_MIN: Final = 3
"""Characters of a Chinese word of which one may be another, however it sounds."""


def correction(view: View, word: str) -> str:
    """A word of the vocabulary for one that is not in it; '' when nothing is near."""
    return _of_han(view, word) if is_han(word) else _of_latin(view, word)


def _of_latin(view: View, word: str) -> str:
    together = [
        f"{left} {right}" for left, right in splits(word) if view.known(left, "title", "kinds") and view.known(right, "title", "kinds")
    ]
    if together:
        return together[0]
    allowed = typos_allowed(word)
    if not allowed:
        return ""
    vocabulary = view.vocabulary
    choices = [known for known in vocabulary if abs(len(known) - len(word)) <= allowed and not is_han(known)]
    near = _near(word, choices, allowed)
    spelled = [(distance - _likelier(word, known) - 0.1 * math.log1p(vocabulary[known]), known) for known, distance in near]
    if spelled:
        return min(spelled)[1]
    return _of_pinyin(view, word, allowed)


def _likelier(word: str, known: str) -> float:
    """First letters are seldom wrong; letters are often doubled that are not, and the other way round."""
    return 0.5 * (word[:1] == known[:1]) + 0.5 * (_single(word) == _single(known))


def _single(word: str) -> str:
    return "".join(letter for letter, _ in groupby(word))


def _near(word: str, choices: list[str], allowed: int) -> list[tuple[str, int]]:
    """Those that are near, in pieces: a comparison with all of them at once would hold up the other threads."""
    found: list[tuple[str, int]] = []
    for at in range(0, len(choices), AT_ONCE):
        near = process.extract(word, choices[at : at + AT_ONCE], scorer=OSA.distance, score_cutoff=allowed, limit=NEAR_MAX)
        found += [(known, int(distance)) for known, distance, _ in near]
    return found


def _of_pinyin(view: View, word: str, allowed: int) -> str:
    """Letters that nearly spell how a Chinese word is read: that word."""
    read = {"".join(sounds(known).split()): known for known in view.vocabulary if is_han(known) and len(known) > 1}
    near = _near(word, list(read), min(allowed, 1))
    found = [(distance, -view.vocabulary[read[spelling]], read[spelling]) for spelling, distance in near]
    return min(found)[2] if found else ""


def _of_han(view: View, word: str) -> str:
    vocabulary = view.vocabulary
    alike = [known for known in vocabulary if is_han(known) and len(known) == len(word)]
    heard = sounds(word)
    same = [known for known in alike if sounds(known) == heard]
    if not same and len(word) >= HAN_MIN:
        same = [known for known in alike if sum(one != other for one, other in zip(known, word, strict=True)) == 1]
    return max(same, key=lambda known: (vocabulary[known], known)) if same else ""
