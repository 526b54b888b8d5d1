"""Texts as the search compares them: folded, cut into words, read aloud. Pure; whoever cuts Chinese is handed in."""

import itertools
import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final

from actors.domain.search_traditional import SIMPLIFIED

Cut = Callable[[str], list[str]]
"""Cuts a run of Chinese characters into words."""

Read = Callable[[str], list[str]]
"""Reads a Chinese word: a syllable a character, without tones."""

WORD_MAX: Final = 40
"""Characters of one word that are kept; what is longer is no word of anybody."""
RUN_READ_MAX: Final = 8
"""Characters of a run of Chinese that are read as one: 冷冻披萨 is lengdongpisa."""

_RUN: Final = re.compile(r"[㐀-䶿一-鿿]+|[^\W_㐀-䶿一-鿿]+(?:\.\d+)?")
_MEASURE: Final = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)(oz|lbs?|ml|kg|cm|mm|ct|pk|gal|qt|pt)(?!\w)")
"""A number and its unit, which are as often written together as not."""
_APOSTROPHES: Final = re.compile("(?<=\\w)['’ʼ](?=\\w)")
_MARK: Final = "Mn"


@lru_cache(maxsize=4096)
def folded(text: str) -> str:
    """The text without what people do not tell apart: width, case, accents, traditional or simplified, apostrophes."""
    text = unicodedata.normalize("NFKD", text)
    if not text.isascii():
        text = "".join(character for character in text if unicodedata.category(character) != _MARK).translate(SIMPLIFIED)
    return _APOSTROPHES.sub("", text.lower())


def runs(text: str) -> list[str]:
    """What a folded text is made of: runs of Chinese, and words and numbers of every other script."""
    return [run if is_han(run) else run[:WORD_MAX] for run in _RUN.findall(_MEASURE.sub(r"\1 \2", text))]


def is_han(run: str) -> bool:
    """Whether a run of :func:`runs` is Chinese."""
    return bool(run) and "㐀" <= run[0] <= "鿿"


def stem(word: str) -> str:
    """An English word without its plural. What it makes need be no word, only the same for one and for many."""
    if len(word) < 4 or not word.isalpha() or not word.isascii():
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "sses", "xes", "oes")) and len(word) > 4:
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    if word.endswith(("ie", "oe")) and len(word) > 3:
        return word[:-2] + ("y" if word.endswith("ie") else "o")
    return word


def words(text: str, cut: Cut) -> list[str]:
    """The words of a text in their order: Chinese as ``cut`` has it, all others by their stems."""
    found: list[str] = []
    for run in runs(folded(text)):
        if is_han(run):
            found += [word for word in cut(run) if word.strip()]
        else:
            found.append(stem(run))
    return found


def whole(text: str) -> str:
    """A text as one word, by the stems of its words: what is exactly this."""
    return "".join(run if is_han(run) else stem(run) for run in runs(folded(text)))


def distinct(texts: Iterable[str]) -> list[str]:
    """Each once, in the order of their first appearance."""
    return list(dict.fromkeys(texts))


def characters(text: str) -> list[str]:
    """Chinese a character each, for phrases; what is between two runs of it keeps them apart."""
    found: list[str] = []
    for run in runs(folded(text)):
        found += list(run) if is_han(run) else [run]
    return found


def readings(text: str, cut: Cut, finely: Cut, read: Read) -> tuple[list[str], list[str]]:
    """(in full, by initials): how the Chinese of a text is typed in Latin letters: words, words within words, pairs, whole runs."""
    full: list[str] = []
    initials: list[str] = []
    for run in runs(folded(text)):
        if not is_han(run):
            continue
        parts = [word for word in cut(run) if is_han(word)]
        pairs = [first + second for first, second in itertools.pairwise(parts)]
        together = [run] if len(run) <= RUN_READ_MAX else []
        for word in distinct([*parts, *pairs, *together, *filter(is_han, finely(run))]):
            syllables = read(word)
            full.append("".join(syllables))
            if len(syllables) > 1:
                initials.append("".join(syllable[:1] for syllable in syllables))
    return distinct(full), distinct(initials)


def prefixes(texts: Iterable[str], longest: int) -> list[str]:
    """The beginnings of texts, up to so many characters, each once."""
    return distinct(text[:size] for text in texts for size in range(1, min(len(text), longest) + 1))


def keys(text: str, cut: Cut, read: Read) -> list[str]:
    """What somebody may begin to type who wants this text: from its start and from each word on; in letters where it is Chinese."""
    parts = runs(folded(text))
    found = []
    for at, run in enumerate(parts[:4]):
        rest = "".join(parts[at:])
        found.append(rest)
        if is_han(run):
            found += _typed(run, cut, read)
    return distinct(found)


def _typed(run: str, cut: Cut, read: Read) -> list[str]:
    parts = cut(run)
    starts = ["".join(parts[at:]) for at in range(min(len(parts), 3))]
    found = []
    for rest in starts:
        syllables = [syllable for syllable in read(rest) if syllable]
        if syllables:
            found += [rest, "".join(syllables), "".join(syllable[0] for syllable in syllables)]
    return found


def codes(texts: Iterable[str]) -> list[str]:
    """Codes as they are looked up: folded, without spaces and hyphens, also without leading zeros."""
    found = []
    for text in texts:
        plain = code_of(text)
        found += [plain, plain.lstrip("0")] if plain.lstrip("0") else [plain]
    return [code for code in distinct(found) if code]


def code_of(text: str) -> str:
    """One text as a code."""
    return re.sub(r"[\s\-]", "", folded(text))[:64]


def splits(word: str) -> list[tuple[str, str]]:
    """The ways to take a word for two that were written together."""
    return [(word[:at], word[at:]) for at in range(2, len(word) - 1)]
