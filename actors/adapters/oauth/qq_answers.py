"""QQ's three ways to write an answer: a form, a call of a script's function, and JSON. Pure."""

import re
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

FIELDS_MAX: Final = 32
"""Of a form; a token has three."""

_CALL: Final = re.compile(r"\A\s*\w{1,32}\(\s*(\{.*\})\s*\)\s*;?\s*\Z", re.DOTALL)


def read_answer(body: bytes) -> dict[str, str] | None:
    """The fields of an answer as texts, whichever way it was written; None when it is none of them.

    ``fmt=json`` is asked for everywhere, and yet errors have come as ``callback( {...} );``.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    call = _CALL.match(text)
    if call is not None or text.lstrip().startswith("{"):
        return _object(call[1] if call is not None else text)
    try:
        return dict(parse_qsl(text.strip(), strict_parsing=True, max_num_fields=FIELDS_MAX)) or None
    except ValueError:
        return None


def _object(text: str) -> dict[str, str] | None:
    try:
        found = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError:
        return None
    return {name: str(value) for name, value in found.items() if isinstance(value, str | int)}
