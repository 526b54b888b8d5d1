"""What a JSON body must be before it is read into a request: UTF-8, shallow, no key twice, no NUL in a text."""

import json
import re
from typing import Any, Final

DEPTH_MAX: Final = 16
"""Our deepest request has four levels. Checked over the bytes, before anything recurses."""

_TEXTS: Final = re.compile(rb'"(?:[^"\\]|\\.)*"')
_BRACKETS: Final = re.compile(rb"[\[\]{}]")


class Malformed(ValueError):
    """This is not JSON that we read. ``reason`` is shown to the client."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def check(body: bytes) -> None:
    """Malformed unless ``body`` is one strict JSON value."""
    _check_depth(body)
    check_shallow(body)


def check_shallow(body: bytes) -> None:
    """Malformed as :func:`check`, for a body whose depth is known because a closed type has read it: a tenth of the cost."""
    try:
        value = json.loads(body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant, parse_int=_short_int)
    except Malformed:
        raise
    except (ValueError, RecursionError) as error:
        raise Malformed("not JSON in UTF-8") from error
    if b"\\u" in body or b"\0" in body:
        _check_texts(value)


def _check_depth(body: bytes) -> None:
    if body.count(b"[") + body.count(b"{") <= DEPTH_MAX:
        return
    depth = 0
    for bracket in _BRACKETS.findall(_TEXTS.sub(b"", body)):
        depth += 1 if bracket in b"[{" else -1
        if depth > DEPTH_MAX:
            raise Malformed(f"nested deeper than {DEPTH_MAX} levels")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Malformed("a key stands twice in one object")
    return found


def _no_constant(name: str) -> Any:
    raise Malformed(f"{name} is no JSON number")


def _short_int(digits: str) -> int:
    """The value does not matter here; digits without end would cost their square to convert."""
    return int(digits[:20])


def _check_texts(value: Any) -> None:
    match value:
        case str():
            if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
                raise Malformed("a text holds NUL or half a surrogate pair")
        case list():
            for item in value:
                _check_texts(item)
        case dict():
            for key, item in value.items():
                _check_texts(key)
                _check_texts(item)
        case _:
            return
