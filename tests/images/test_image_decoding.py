"""Pictures of strangers, decoded: what is kept of good ones, what is said of bad ones, and what a decoder may use."""

import asyncio
import io
import os
import signal

import pytest
from PIL import Image

from actors.adapters.images import decoding
from actors.adapters.images.decode import Refused, made_of
from actors.adapters.images.decoding import Decoder, ImageRefused
from schemas.images import WIDTHS
from schemas.problems import PROBLEMS
from tests.images.image_files import REFUSED, TAKEN, located, png

WORDS = (b"EVIL", b"SECRET", b"PK\x03\x04", b"<script", b"Exif")
MEMORY_KIB_MAX = 300 * 1024
"""Twice a picture of 25 million pixels and their transparency, and the libraries."""


@pytest.mark.slow
@pytest.mark.parametrize("name", [*TAKEN, "located"])
def test_every_kind_of_picture_is_taken_and_nothing_but_its_pixels_is_kept(name: str) -> None:
    data = TAKEN.get(name) or located()
    said, files = made_of(data)
    with Image.open(io.BytesIO(data)) as original:
        size = original.size if name != "located" else original.size[::-1]
    assert (said["width"], said["height"]) == size
    for (file, length), content in zip(said["files"], files, strict=True):
        assert length == len(content)
        assert not [word for word in WORDS if word in content]
        with Image.open(io.BytesIO(content)) as drawn:
            drawn.load()
            assert drawn.width == min(int(file.partition(".")[0]), size[0])
            assert abs(drawn.height - size[1] * drawn.width / size[0]) <= 1
            assert (f"image/{file[-4:]}".replace(".", ""), dict(drawn.getexif()), drawn.info.get("icc_profile")) == (
                {"WEBP": "image/webp", "JPEG": "image/jpg"}[drawn.format], {}, None,
            )  # fmt: skip
    assert {int(file.partition(".")[0]) for file, _ in said["files"]} >= {width for width in WIDTHS if width < size[0]}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("16 bits of colour", (128, 64, 32)),
        ("16 bits of grey", (156, 156, 156)),
        ("one pixel", (9, 9, 9)),
        ("transparent", (165, 236, 165)),
    ],
)
def test_colours_are_what_people_see(name: str, wanted: tuple[int, ...]) -> None:
    said, files = made_of(TAKEN[name])
    for (file, _), content in zip(said["files"], files, strict=True):
        with Image.open(io.BytesIO(content)) as drawn:
            assert drawn.mode == ("RGBA" if (name, file[-4:]) == ("transparent", "webp") else "RGB")
            flat = Image.new("RGB", drawn.size, "white")
            flat.paste(drawn, mask=drawn if drawn.mode == "RGBA" else None)
            assert all(abs(a - b) < 6 for a, b in zip(flat.getpixel((0, 0)), wanted, strict=True)), file
    assert all(abs(int(said["colour"][at : at + 2], 16) - value) < 6 for at, value in zip((1, 3, 5), wanted, strict=True))


@pytest.mark.parametrize("name", REFUSED)
def test_hostile_and_broken_files_are_refused_by_what_they_are(name: str) -> None:
    data, code = REFUSED[name]
    with pytest.raises(Refused) as refused:
        made_of(data)
    assert refused.value.reason == code
    assert code in PROBLEMS


@pytest.mark.slow
async def test_a_decoder_stays_within_its_memory_and_ends_with_its_picture() -> None:
    decoder = Decoder()
    large = await decoder.decode(png(5000, 5000, b"\0" * 20_001 * 5000, colour=6))
    assert (large.width, large.height) == (5000, 5000)
    assert 100 * 1024 < decoder.peak_kib < MEMORY_KIB_MAX
    with pytest.raises(ImageRefused, match="image_too_large"):
        await Decoder().decode(png(50_000, 50_000, b"\0" * 5_000_000))


@pytest.mark.slow
async def test_a_decoder_that_is_killed_or_does_not_end_is_a_refusal_and_leaves_no_process(monkeypatch) -> None:
    async def ends(found: asyncio.subprocess.Process, data: bytes) -> None:
        os.kill(found.pid, signal.SIGKILL)

    async def waits(found: asyncio.subprocess.Process, data: bytes) -> None:
        started.append(found)

    started: list[asyncio.subprocess.Process] = []
    monkeypatch.setattr(decoding, "WALL_S", 0.3)
    for fed in (ends, waits):
        monkeypatch.setattr(decoding, "_feed", fed)
        with pytest.raises(ImageRefused, match="image_too_costly"):
            await Decoder().decode(TAKEN["png"])
    assert started[0].returncode == -signal.SIGKILL


async def test_a_decoder_that_was_taken_over_by_its_picture_is_not_believed() -> None:
    body = b"\xff\xd8\xff" + b"x" * 10
    good = b'{"format":"png","width":5,"height":5,"digest":"%s","colour":"#000000","files":[["160.jpg",13]]}\n' % (b"a" * 64)
    assert Decoder()._read(good + body).files == (("160.jpg", body),)
    for wrong, right in (
        (b"160.jpg", b"../x.jpg"), (b"160.jpg", b"161.jpg"), (b"160.jpg", b"160.exe"), (b",13]", b",-13]"), (b",13]", b",14]"),
        (b",13]", b",12]"), (b"a" * 64, b"../" + b"a" * 61), (b"#000000", b"red;}"), (b'"width":5', b'"width":0'),
        (b'"width":5', b'"width":"5"'),
        (b'[["160.jpg",13]]', b"[]"), (b'"160.jpg"', b'"160.webp"'), (b"{", b"["),
    ):  # fmt: skip
        with pytest.raises(ImageRefused):
            Decoder()._read(good.replace(wrong, right, 1) + body)
