"""Cursors: where a list goes on, as a text that clients hand back and do not read."""

import binascii

from serve.requests import Refusal

_SEPARATOR = "\n"


def cursor_of(*parts: str) -> str:
    """The cursor that stands for these parts."""
    return binascii.b2a_base64(_SEPARATOR.join(parts).encode(), newline=False).decode().replace("+", "-").replace("/", "_").rstrip("=")


def parts_of(cursor: str, count: int) -> list[str]:
    """The parts of a cursor of ours. Refusal ``invalid_request`` for every other text."""
    try:
        text = cursor.replace("-", "+").replace("_", "/") + "=" * (-len(cursor) % 4)
        parts = binascii.a2b_base64(text.encode("ascii"), strict_mode=True).decode("ascii").split(_SEPARATOR)
    except ValueError as error:
        raise Refusal("invalid_request", {"reason": "cursor is none of ours"}) from error
    if len(parts) != count or not all(part.isprintable() for part in parts):
        raise Refusal("invalid_request", {"reason": "cursor is none of ours"})
    return parts
