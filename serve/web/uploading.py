"""A file out of a form, a piece at a time: nothing of it is kept here."""

from collections.abc import AsyncIterator
from typing import Any, Final

from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from serve.framework import ShopRequest
from serve.requests import Refusal, body_pieces

PARTS_MAX: Final = 8
FIELD_BYTES_MAX: Final = 1000
AROUND_BYTES: Final = 16 * 1024
"""What a form may be longer than its file."""


async def file_of(request: ShopRequest, name: str, bytes_max: int) -> tuple[dict[str, str], str, AsyncIterator[bytes]]:
    """The fields before the file, the file's name, and its pieces, which are read on while they are asked for.

    Refusal ``csrf_refused`` from any page but ours, ``invalid_request``, ``body_too_large``.
    """
    head = request.head
    if b"authorization" not in head.headers:
        request.desk.cookies.check_origin(head)
    kind, options = parse_options_header(head.headers.get(b"content-type", b"").decode("latin-1"))
    if kind != "multipart/form-data" or not options.get("boundary"):
        raise Refusal("invalid_request", {"reason": "send a form with a file, as multipart/form-data"})
    events = _events(request, options["boundary"], bytes_max)
    fields: dict[str, str] = {}
    field, text = "", b""
    async for event in events:
        if isinstance(event, MultipartSegment):
            if event.name == name and event.filename:
                return fields, event.filename, _pieces(events)
            field, text = event.name, b""
        elif event is None:
            fields[field] = text.decode("utf-8", "replace")
        elif len(text) <= FIELD_BYTES_MAX:
            text += event
    raise Refusal("invalid_request", {"reason": "choose a file"})


async def _events(request: ShopRequest, boundary: str, bytes_max: int) -> AsyncIterator[Any]:
    try:
        with PushMultipartParser(boundary, max_segment_size=bytes_max, max_segment_count=PARTS_MAX) as parser:
            async for piece in body_pieces(request.head, bytes_max + AROUND_BYTES):
                for event in parser.parse(piece):
                    yield event
    except MultipartError:
        raise Refusal("invalid_request", {"reason": "this is no whole form"}) from None


async def _pieces(events: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    """The rest of the part that has begun; what comes behind it is read and let go."""
    inside = True
    async for event in events:
        if event is None:
            inside = False
        elif inside and isinstance(event, bytes | bytearray):
            yield bytes(event)
