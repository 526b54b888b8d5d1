"""Pictures over HTTP: ``/media/<image_id>/<width>.<webp|jpg>``, for ever the same, kept by browsers for a year.

Only names of this one form are looked for at all; what is asked for otherwise is not there, however it was encoded. A replica
keeps what was asked for last, within a bound of bytes.
"""

import asyncio
import hashlib
import re
from collections import OrderedDict
from typing import Final

from actors.storage.media import Media
from schemas.images import WIDTHS
from serve.answers import Reply
from serve.requests import Refusal, Request

PREFIX: Final = "/media/"
KEPT_BYTES_MAX: Final = 32 * 1024 * 1024
_NAME: Final = re.compile(rf"/media/(img_[0-9a-hjkmnp-tv-z]{{20}})/({'|'.join(map(str, WIDTHS))})\.(webp|jpg)\Z")
_TYPES: Final = {"webp": b"image/webp", "jpg": b"image/jpeg"}
_CACHED: Final = (b"cache-control", b"public, max-age=31536000, immutable")
# Whoever opens one by itself gets a picture and nothing that runs.
_POLICY: Final = (b"content-security-policy", b"default-src 'none'; sandbox; frame-ancestors 'none'")


class _Kept:
    """One file: its two replies and its size."""

    __slots__ = ("etag", "size", "unchanged", "whole")

    def __init__(self, body: bytes, kind: str) -> None:
        self.size = len(body)
        self.etag = b'"' + hashlib.blake2b(body, digest_size=12).hexdigest().encode() + b'"'
        shared = (_CACHED, (b"etag", self.etag), _POLICY, (b"cross-origin-resource-policy", b"cross-origin"))
        self.whole = Reply(200, body, ((b"content-type", _TYPES[kind]), (b"content-length", b"%d" % len(body)), *shared))
        self.unchanged = Reply(304, b"", shared)


class MediaPages:
    """The pictures of one replica."""

    def __init__(self, media: Media, kept_bytes_max: int = KEPT_BYTES_MAX) -> None:
        self._media = media
        self._max = kept_bytes_max
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._reading: dict[str, asyncio.Task[_Kept | None]] = {}
        self.kept_bytes = 0

    async def reply(self, request: Request) -> Reply:
        """The file at the request's path. Refusal ``not_found``."""
        path = request.path
        named = _NAME.match(path)
        if named is None or b"%" in request.scope.get("raw_path", b""):
            raise Refusal("not_found")
        kept = self._kept.get(path)
        if kept is None:
            kept = await self._read(path, named)
        else:
            self._kept.move_to_end(path)
        if kept is None:
            raise Refusal("not_found")
        known = request.headers.get(b"if-none-match")
        if known is not None and (known == b"*" or kept.etag in known):
            return kept.unchanged
        return kept.whole

    async def _read(self, path: str, named: re.Match[str]) -> _Kept | None:
        """From the disk, once for all who ask meanwhile."""
        reading = self._reading.get(path)
        if reading is None:
            reading = self._reading[path] = asyncio.ensure_future(self._fetch(path, named[1], int(named[2]), named[3]))
            reading.add_done_callback(lambda _: self._reading.pop(path, None))
        return await asyncio.shield(reading)

    async def _fetch(self, path: str, image_id: str, width: int, kind: str) -> _Kept | None:
        body = await asyncio.to_thread(self._media.read, image_id, width, kind)
        if body is None:
            return None
        kept = self._kept[path] = _Kept(body, kind)
        self.kept_bytes += kept.size
        while self.kept_bytes > self._max:
            _, oldest = self._kept.popitem(last=False)
            self.kept_bytes -= oldest.size
        return kept
