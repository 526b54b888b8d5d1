"""Forms as browsers send them, read into the types that say what they may hold."""

from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

import msgspec

from serve.framework import ShopRequest
from serve.requests import Refusal

T = TypeVar("T")

FIELDS_MAX: Final = 200
KIND: Final = b"application/x-www-form-urlencoded"

FORMS: Final[dict[str, Any]] = {}
"""The type of each operation that takes a form, for the document."""

FILE_FORMS: Final[dict[str, dict[str, Any]]] = {}
"""What the document says of the operations that take a form with a file."""


async def form_of(request: ShopRequest, kind: type[T]) -> T:
    """What a form says. Refusal: ``csrf_refused`` from any page but ours, ``invalid_request``.

    The origin is checked whether there is a cookie or not: nobody is to be logged in by a page of somebody else.
    """
    head = request.head
    if b"authorization" not in head.headers:
        request.desk.cookies.check_origin(head)
    if head.headers.get(b"content-type", b"").partition(b";")[0].strip().lower() != KIND:
        raise Refusal("invalid_request", {"reason": "send a form, as application/x-www-form-urlencoded"})
    return read_form(await request.body(), kind)


def read_form(body: bytes, kind: type[T]) -> T:
    """The fields of a form. Refusal ``invalid_request``."""
    try:
        pairs = parse_qsl(
            body.decode("utf-8"), keep_blank_values=True, strict_parsing=bool(body), errors="strict", max_num_fields=FIELDS_MAX
        )
    except ValueError:
        raise Refusal("invalid_request", {"reason": "this is no form in UTF-8"}) from None
    fields: dict[str, Any] = dict(pairs)
    if len(fields) != len(pairs):
        raise Refusal("invalid_request", {"reason": "a field stands twice in the form"})
    if any("\0" in text for pair in pairs for text in pair):
        raise Refusal("invalid_request", {"reason": "a field holds NUL"})
    try:
        # What a form leaves empty is as if it were not there.
        return msgspec.convert({name: text for name, text in fields.items() if text != ""}, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Refusal("invalid_request", {"reason": str(error)[:300]}) from None
