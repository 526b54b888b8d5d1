"""Files that somebody may send as a picture: good ones, odd ones and hostile ones, each made here."""

import io
import struct
import zipfile
import zlib
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """A picture as a file."""
    written = io.BytesIO()
    picture.save(written, kind, **options)
    return written.getvalue()


def gradient(width: int = 1200, height: int = 800, mode: str = "RGB") -> Image.Image:
    """A picture in which no two neighbours are alike."""
    across = Image.linear_gradient("L").resize((width, height))
    return Image.merge("RGB", (across, across.rotate(180), across.transpose(Image.Transpose.FLIP_LEFT_RIGHT))).convert(mode)


def located(seed: int = 0) -> bytes:
    """A JPEG that says where it was taken and by what, turned by a quarter."""
    picture = gradient(640, 320)
    picture.putpixel((0, 0), (seed % 256, 10, 10))
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "SECRETCAMERA"
    exif.get_ifd(0x8825)[2] = (31.0, 13.0, 49.0)
    return encoded(picture, "JPEG", exif=exif.tobytes(), comment=b"SECRETCOMMENT")


def archive() -> bytes:
    """A ZIP with a program in it, as a JAR is one."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as made:
        made.writestr("Evil.class", b"\xca\xfe\xba\xbe" + b"EVILPAYLOAD" * 10)
    return written.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    """One part of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, rows: bytes, depth: int = 8, colour: int = 2) -> bytes:
    """A PNG whose header says what one likes; ``rows`` are what its pixels unpack to."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")


def long_animation(frames: int) -> bytes:
    """A GIF of many frames of one pixel."""
    head = b"GIF89a" + struct.pack("<HHBBB", 16, 16, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    frame = b"\x21\xf9\x04\0\x01\0\0\0" + b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\0"
    return head + frame * frames + b";"


def with_html() -> bytes:
    """A PNG with a page in its text."""
    said = PngInfo()
    said.add_text("Comment", "<script>alert('EVILPAYLOAD')</script>")
    return encoded(gradient(200, 100), "PNG", pnginfo=said)


SVG = b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'

TAKEN: dict[str, bytes] = {
    "jpeg": encoded(gradient(600, 400), "JPEG"),
    "png": encoded(gradient(), "PNG"),
    "webp": encoded(gradient(500, 400), "WEBP"),
    "avif": encoded(gradient(300, 200), "AVIF"),
    "gif with two frames": encoded(gradient(90, 60, "P"), "GIF", save_all=True, append_images=[gradient(90, 60, "P").rotate(180)]),
    "transparent": encoded(Image.new("RGBA", (500, 500), (0, 200, 0, 90)), "PNG"),
    "cmyk": encoded(gradient(200, 100, "CMYK"), "JPEG"),
    "16 bits of grey": encoded(Image.new("I;16", (64, 64), 40_000), "PNG"),
    "16 bits of colour": png(8, 8, (b"\0" + b"\x80\0\x40\0\x20\0" * 8) * 8, depth=16),
    "one bit": encoded(Image.new("1", (33, 33), 1), "PNG"),
    "one pixel": encoded(Image.new("RGB", (1, 1), (9, 9, 9)), "PNG"),
    "a long one": encoded(Image.new("RGB", (30, 16_000), (200, 20, 20)), "PNG"),
    "jpeg and zip": encoded(gradient(300, 200), "JPEG") + archive(),
    "gif and jar": encoded(gradient(40, 30, "P"), "GIF") + archive(),
    "png with html": with_html(),
    "a broken profile": encoded(gradient(80, 80), "JPEG", icc_profile=b"EVILPAYLOAD" * 50),
}

REFUSED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "image_empty"),
    "50,000 by 50,000": (png(50_000, 50_000, b"\0" * 1_000_000), "image_too_large"),
    "7,000 by 7,200 in its header alone": (png(7_000, 7_200, b""), "image_too_large"),
    "a line longer than any": (png(20_000, 1, b"\0" * 60_001), "image_too_large"),
    "no width": (png(0, 100, b"\0" * 100), "image_broken"),
    "no size": (b"GIF89a" + b"\0" * 7 + b";", "image_broken"),
    "10,000 frames": (long_animation(10_000), "image_frames"),
    "cut off": (TAKEN["png"][: len(TAKEN["png"]) // 2], "image_broken"),
    "a cut-off jpeg": (TAKEN["jpeg"][:700], "image_broken"),
    "a header alone": (b"\x89PNG\r\n\x1a\n", "image_broken"),
    "svg": (SVG, "image_svg"),
    "svg behind spaces": (b"  \n<SVG onload=alert(1)></SVG>", "image_svg"),
    "a page": (b"<html><script>alert(1)</script></html>", "image_format"),
    "an archive": (archive(), "image_format"),
    "an archive with a picture in it": (archive() + TAKEN["png"], "image_format"),
    "pdf": (b"%PDF-1.7\n", "image_format"),
    "bmp": (encoded(gradient(20, 20), "BMP"), "image_format"),
    "tiff": (encoded(gradient(20, 20), "TIFF"), "image_format"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", "image_format"),
    "riff that is sound": (b"RIFF\x24\0\0\0WAVEfmt ", "image_format"),
    "webp of nothing": (b"RIFF\x0c\0\0\0WEBPVP8 \0\0\0\0", "image_broken"),
}
