"""Requests with a large body: which ones there are, how large each may be, and how many bytes of them a replica holds at once.

Every other request keeps the shop's limit. An upload is read only once it is known that whoever sends it may, and only while
there is room, so that nobody fills a replica's memory with bodies. The body is bytes: no JSON, never looked into by the edge.
A new one is a line in ``UPLOADS``; its handler takes ``await request.body()``.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from schemas.images import UPLOAD_BYTES_MAX
from serve.requests import Refusal, Request

HELD_MAX: Final = 96 * 1024 * 1024
"""Bytes of uploads that one replica holds at once; the next is told ``busy``."""

IMAGES: Final = ("image/jpeg", "image/png", "image/webp", "image/gif", "image/avif")


class Upload(NamedTuple):
    """operation_id: of ``serve.ops.operations``, which says who may. bytes_max: of the body. media: what the document says of it."""

    operation_id: str
    bytes_max: int
    media: tuple[str, ...] = ("application/octet-stream",)


UPLOADS: Final[dict[str, Upload]] = {
    "/v1/staff/images": Upload("addImage", UPLOAD_BYTES_MAX, IMAGES),
    "/v1/merchant/images": Upload("addMerchantImage", UPLOAD_BYTES_MAX, IMAGES),
}
"""By the path of a POST, without variables in it."""


class UploadRoom:
    """The bytes of uploads that one replica holds."""

    def __init__(self, held_max: int = HELD_MAX) -> None:
        self._max = held_max
        self.held = 0

    @contextmanager
    def taken(self, request: Request, upload: Upload) -> Iterator[None]:
        """Room for one body: for what it says to have, or for all that it may have. Refusal ``busy`` when there is none."""
        declared = request.headers.get(b"content-length", b"")
        size = min(int(declared[:20]), upload.bytes_max) if declared.isdigit() else upload.bytes_max
        if self.held + size > self._max:
            raise Refusal("busy")
        self.held += size
        try:
            yield
        finally:
            self.held -= size
