"""Pictures: what the shop keeps of one, and in which sizes it is shown."""

from typing import Final

import msgspec

WIDTHS: Final = (160, 480, 960, 1600)
"""Pixels. A picture is never enlarged: under the name of a width above its own stands the picture as it is."""

PIXELS_MAX: Final = 50_000_000
SIDE_MAX: Final = 16_383
FRAMES_MAX: Final = 500
UPLOAD_BYTES_MAX: Final = 20 * 1024 * 1024


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """One picture, decoded and drawn anew.

    format: what it came as. width, height: of the upright picture, in pixels. digest: the hash of its pixels, hexadecimal.
    colour: ``#rrggbb``, what most of it looks like. files: (name, content) as ``480.webp``.
    """

    format: str
    width: int
    height: int
    digest: str
    colour: str
    files: tuple[tuple[str, bytes], ...]


class ImageRow(msgspec.Struct, frozen=True, kw_only=True):
    """What the table knows of a picture. at_ms: when it came, or came again. merchant_id: of who sent it first; empty: the shop's own."""

    image_id: str
    width: int
    height: int
    format: str
    colour: str
    source_bytes: int
    merchant_id: str
    actor_id: str
    at_ms: int
