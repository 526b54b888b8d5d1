"""Pictures as the shop answers them."""

import msgspec


class ImageSize(msgspec.Struct, frozen=True, kw_only=True):
    """One size of a picture, in pixels, and where it is."""

    width: int
    height: int
    webp: str
    jpeg: str


class ImageSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A picture that the shop keeps. colour: ``#rrggbb``, to show until it is there. sizes: the smallest first."""

    image_id: str
    width: int
    height: int
    colour: str
    sizes: tuple[ImageSize, ...]
