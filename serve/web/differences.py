"""What differs between two documents, as people look at it: values as text, long texts line by line."""

import difflib
from collections.abc import Iterable
from typing import Any, Final, Literal, NamedTuple

import msgspec

from actors.domain.product_diff import Change, difference
from schemas.goods import Product

LONG: Final = 80
"""Texts longer than this, or of several lines, are shown line by line."""

LINES_MAX: Final = 400
"""Lines of one text that are compared."""

Mark = Literal["same", "gone", "new"]


class Difference(NamedTuple):
    """One field. before, after: None where it was not there. lines: of a long text, what went and what came."""

    path: str
    before: str | None
    after: str | None
    lines: tuple[tuple[Mark, str], ...] = ()


def differences(before: Product, after: Product) -> list[Difference]:
    """What differs between two documents."""
    return [_shown(change) for change in difference(before, after)]


def _shown(change: Change) -> Difference:
    before, after = _text(change.old), _text(change.new)
    if before is None or after is None or not any(len(text) > LONG or "\n" in text for text in (before, after)):
        return Difference(change.path, before, after)
    return Difference(change.path, before, after, tuple(_near(_compared(_lines(before), _lines(after)))))


def _text(value: Any) -> str | None:
    match value:
        case None | str():
            return value
        case list() | tuple() if all(isinstance(each, str) for each in value):
            return ", ".join(value)
        case _:
            return msgspec.json.encode(value).decode()


def _compared(old: list[str], new: list[str]) -> list[tuple[Mark, str]]:
    lines: list[tuple[Mark, str]] = []
    for kind, a, b, c, d in difflib.SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes():
        if kind == "equal":
            lines += [("same", line) for line in old[a:b]]
        else:
            lines += [("gone", line) for line in old[a:b]]
            lines += [("new", line) for line in new[c:d]]
    return lines


def _lines(text: str) -> list[str]:
    """HTML in the pieces in which people wrote it."""
    return text.replace("><", ">\n<").split("\n")[:LINES_MAX]


def _near(lines: list[tuple[Mark, str]]) -> Iterable[tuple[Mark, str]]:
    """The lines that differ, each with two around it."""
    wanted = {near for at, (mark, _) in enumerate(lines) if mark != "same" for near in range(at - 2, at + 3)}
    return (line for at, line in enumerate(lines) if at in wanted)
