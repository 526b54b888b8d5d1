"""Cutting and reading Chinese. Dictionaries are loaded when the first Chinese text comes: 30 MB to cut, 55 MB more to read."""

from functools import lru_cache


def cut(run: str) -> list[str]:
    """A run of Chinese as words, as a reader would cut it."""
    import rjieba

    return rjieba.cut(run)


@lru_cache(maxsize=20_000)
def _finely(run: str) -> tuple[str, ...]:
    import rjieba

    return tuple(rjieba.cut_for_search(run))


def cut_finely(run: str) -> list[str]:
    """Also the words within words: 智能手机 is 智能, 手机 and itself."""
    return list(_finely(run))


@lru_cache(maxsize=20_000)
def _read(word: str) -> tuple[str, ...]:
    import pypinyin

    # Words are read as words (重庆 is chongqing); a character that it does not know is not read at all.
    return tuple(pypinyin.lazy_pinyin(word, errors="ignore"))


def read(word: str) -> list[str]:
    """The syllables of a word."""
    return list(_read(word))
