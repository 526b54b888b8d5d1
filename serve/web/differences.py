"""What differs between two documents, field by field; long texts line by line."""

import difflib
from collections.abc import Iterable
from typing import Any, Final, Literal, NamedTuple

import msgspec

NAMES: Final = ("sku_id", "option_id", "value_id", "image_id", "attribute_id", "code")
"""By which entries of a list are known again when they have moved."""

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


def differences(before: Any, after: Any) -> list[Difference]:
    """What differs between two Structs, in the order of the second one."""
    old, new = dict(_leaves("", msgspec.to_builtins(before))), dict(_leaves("", msgspec.to_builtins(after)))
    paths = [*new, *(path for path in old if path not in new)]
    return [_difference(path, old.get(path), new.get(path)) for path in paths if old.get(path) != new.get(path)]


def _difference(path: str, before: str | None, after: str | None) -> Difference:
    if before is None or after is None or not any(len(text) > LONG or "\n" in text for text in (before, after)):
        return Difference(path, before, after)
    old, new = _lines(before), _lines(after)
    lines: list[tuple[Mark, str]] = []
    for kind, a, b, c, d in difflib.SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes():
        if kind == "equal":
            lines += [("same", line) for line in old[a:b]]
        else:
            lines += [*(("gone", line) for line in old[a:b]), *(("new", line) for line in new[c:d])]
    return Difference(path, before, after, tuple(_near(lines)))


def _lines(text: str) -> list[str]:
    """HTML in the pieces in which people wrote it."""
    return text.replace("><", ">\n<").split("\n")[:LINES_MAX]


def _near(lines: list[tuple[Mark, str]]) -> Iterable[tuple[Mark, str]]:
    """The lines that differ, each with two around it."""
    wanted = {near for at, (mark, _) in enumerate(lines) if mark != "same" for near in range(at - 2, at + 3)}
    return (line for at, line in enumerate(lines) if at in wanted)


def _leaves(path: str, value: Any) -> Iterable[tuple[str, str]]:
    """Each single value of a document under its path."""
    match value:
        case dict():
            for name, each in value.items():
                yield from _leaves(f"{path}.{name}" if path else name, each)
        case list() | tuple() if value and all(isinstance(each, dict) for each in value):
            for at, each in enumerate(value):
                known = next((str(each[name]) for name in NAMES if each.get(name)), str(at))
                yield from _leaves(f"{path}[{known}]", each)
            yield (
                f"{path}[]",
                ", ".join(next((str(each[name]) for name in NAMES if each.get(name)), str(at)) for at, each in enumerate(value)),
            )
        case list() | tuple():
            yield path, ", ".join(map(str, value))
        case _:
            yield path, str(value)
