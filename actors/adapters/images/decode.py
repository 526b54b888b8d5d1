"""The process that decodes one picture of a stranger, and nothing else: started for it, limited, ended with it.

It reads the file from its standard input and writes what it made of it to its standard output: a line of JSON, then the
files one after the other. Run by its path and in isolation, so it may import nothing of ours.

What comes out was drawn anew from pixels: comments, positions, profiles and whatever was appended to the file are not there.
"""

import hashlib
import io
import json
import os
import resource
import sys
import warnings
from typing import Any, Final

from PIL import Image, ImageCms, ImageOps, features

MEMORY_BYTES: Final = 1 << 30
"""Address space. 50 million pixels in four channels, twice, and the libraries."""

CPU_S: Final = 20
PIXELS_MAX: Final = 50_000_000
"""A telephone's largest ordinary picture; its header is asked before anything is decoded."""

SIDE_MAX: Final = 16_383
"""The longest side that WebP can have; long detail pictures are common."""

FRAMES_MAX: Final = 500
WIDTHS: Final = (160, 480, 960, 1600)
WEBP_QUALITY: Final = 80
JPEG_QUALITY: Final = 82
BAND: Final = 256
"""Rows that are hashed at once."""

SWATCHES: Final = 8
FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")


class Refused(Exception):
    """This is no picture that the shop takes. ``reason``: a code of ``schemas.problems``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def sniffed(data: bytes) -> str:
    """The format by the first bytes, whatever anybody says of it. Refused: ``image_empty``, ``image_svg``, ``image_format``."""
    if not data:
        raise Refused("image_empty")
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return "GIF"
    if data[4:8] == b"ftyp" and data[8:12] in (b"avif", b"avis") and features.check("avif"):
        return "AVIF"
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith(b"<svg") or (head.startswith((b"<?xml", b"<!--", b"<!doctype svg")) and b"svg" in head):
        raise Refused("image_svg")
    raise Refused("image_format")


def opened(data: bytes, kind: str) -> Image.Image:
    """The picture, measured and not decoded. Refused: ``image_broken``, ``image_too_large``, ``image_frames``."""
    Image.MAX_IMAGE_PIXELS = None  # our own limit is lower, and refuses in our words
    picture = Image.open(io.BytesIO(data), formats=(kind,))
    width, height = picture.size
    if width < 1 or height < 1:
        raise Refused("image_broken")
    if max(width, height) > SIDE_MAX or width * height > PIXELS_MAX:
        raise Refused("image_too_large")
    if int(getattr(picture, "n_frames", 1)) > FRAMES_MAX:
        raise Refused("image_frames")
    picture.seek(0)
    return picture


def upright(picture: Image.Image) -> Image.Image:
    """The decoded picture as people see it: turned as its camera says, in sRGB with 8 bits, RGB or RGBA."""
    picture.load()
    profile = picture.info.get("icc_profile")
    # In place, and converted only where it must be: each copy of the largest picture is 200 MB.
    ImageOps.exif_transpose(picture, in_place=True)
    turned = picture
    if turned.mode.startswith("I;16") or turned.mode in ("I", "F"):
        turned = _eight_bits(turned)
    clear = turned.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in turned.info
    if profile and not clear and turned.mode in ("RGB", "CMYK", "L"):
        turned = _in_srgb(turned, profile)
    wanted = "RGBA" if clear else "RGB"
    plain = turned if turned.mode == wanted and "transparency" not in turned.info else turned.convert(wanted)
    if clear and plain.getchannel("A").getextrema() == (255, 255):
        return plain.convert("RGB")
    return plain


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Grey of 16 bits and more, as PNG has it."""
    return picture.convert("I").point(lambda value: value * (1 / 257)).convert("L")


def _in_srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    """Colours as the profile means them; a profile that is broken is as good as none."""
    try:
        return ImageCms.profileToProfile(picture, io.BytesIO(profile), ImageCms.createProfile("sRGB"), outputMode="RGB") or picture
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return picture


def digest_of(picture: Image.Image) -> str:
    """The hash of what is seen: size, channels, pixels."""
    found = hashlib.blake2b(f"{picture.mode} {picture.width} {picture.height}\n".encode(), digest_size=32)
    for top in range(0, picture.height, BAND):
        found.update(picture.crop((0, top, picture.width, min(top + BAND, picture.height))).tobytes())
    return found.hexdigest()


def colour_of(picture: Image.Image) -> str:
    """The colour that most of the picture has, as ``#rrggbb``: shown until it is there."""
    small = _on_white(picture.resize((32, 32), Image.Resampling.BOX)).quantize(SWATCHES)
    counts = small.histogram()[:SWATCHES]
    index = counts.index(max(counts))
    red, green, blue = (small.getpalette() or [0, 0, 0])[3 * index : 3 * index + 3]
    return f"#{red:02x}{green:02x}{blue:02x}"


def _on_white(picture: Image.Image) -> Image.Image:
    if picture.mode != "RGBA":
        return picture
    white = Image.new("RGB", picture.size, (255, 255, 255))
    white.paste(picture, mask=picture.getchannel("A"))
    return white


def files_of(picture: Image.Image) -> list[tuple[str, bytes]]:
    """(name, content) of each size: the widths below the picture's own, and its own width under the next name."""
    made: list[tuple[str, bytes]] = []
    source = picture
    own = next((width for width in WIDTHS if width >= picture.width), WIDTHS[-1])
    # From the largest down, each out of the one before it: the picture itself is gone through once.
    for name in sorted({own, *(width for width in WIDTHS if width < picture.width)}, reverse=True):
        width = min(name, picture.width)
        if width != source.width:
            height = max(1, round(picture.height * width / picture.width))
            source = source.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
        made.append((f"{name}.webp", _encoded(source, "WEBP", quality=WEBP_QUALITY, method=4)))
        made.append((f"{name}.jpg", _encoded(_on_white(source), "JPEG", quality=JPEG_QUALITY, optimize=True, progressive=True)))
    return made


def _encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    written = io.BytesIO()
    # Nothing but pixels: what the source said of itself stays behind.
    picture.info = {}
    picture.save(written, kind, **options)
    return written.getvalue()


def made_of(data: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """What is known of a picture, and its files. Refused."""
    kind = sniffed(data)
    try:
        picture = upright(opened(data, kind))
    except (Refused, MemoryError):
        raise
    except Exception as error:
        # Whatever a decoder says of a stranger's file: it is broken.
        raise Refused("image_broken") from error
    files = files_of(picture)
    said = {
        "format": kind.lower(),
        "width": picture.width,
        "height": picture.height,
        "digest": digest_of(picture),
        "colour": colour_of(picture),
        "files": [[name, len(content)] for name, content in files],
    }
    return said, [content for _, content in files]


def _peak_kib() -> int:
    """The most memory that this process had; what the system counts for a process begins with its parent's."""
    with open("/proc/self/status") as status:
        return next((int(line.split()[1]) for line in status if line.startswith("VmHWM")), 0)


def _limit() -> None:
    os.nice(19)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))


def main() -> None:
    """One picture from standard input."""
    _limit()
    warnings.simplefilter("ignore")
    data = sys.stdin.buffer.read()
    contents: list[bytes] = []
    try:
        said, contents = made_of(data)
    except Refused as refused:
        said = {"refused": refused.reason}
    except MemoryError:
        said = {"refused": "image_too_costly"}
    said["peak_kib"] = _peak_kib()
    sys.stdout.buffer.write(json.dumps(said).encode() + b"\n" + b"".join(contents))
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
