"""Decodes pictures of strangers, each in a process of its own that is limited and ends with it."""

import asyncio
import re
import sys
from pathlib import Path
from typing import Final

import msgspec
import structlog

from schemas.images import FRAMES_MAX, PIXELS_MAX, SIDE_MAX, WIDTHS, Picture

log = structlog.get_logger("stampede.images")

PROGRAM: Final = Path(__file__).with_name("decode.py")
WALL_S: Final = 40.0
"""A decoder that has not ended by then is killed; its processor time has a lower limit of its own."""

OUTPUT_BYTES_MAX: Final = 32 * 1024 * 1024
"""All sizes of the worst picture, which is noise, are some 10 MB."""

LINE_MAX: Final = 4096
PARAMS: Final = {
    "image_too_large": {"pixels": PIXELS_MAX // 1_000_000, "side": SIDE_MAX},
    "image_frames": {"frames": FRAMES_MAX},
}
REFUSALS: Final = ("image_empty", "image_svg", "image_format", "image_broken", "image_too_large", "image_frames", "image_too_costly")

_NAME: Final = re.compile(rf"({'|'.join(map(str, WIDTHS))})\.(webp|jpg)\Z")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}\Z")
_COLOUR: Final = re.compile(r"#[0-9a-f]{6}\Z")
_BEGINS: Final = {"webp": b"RIFF", "jpg": b"\xff\xd8\xff"}


class ImageRefused(Exception):
    """The shop does not take this picture; ``code`` is of ``schemas.problems``, ``params`` fill its text."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code
        self.params = PARAMS.get(code)


class _Said(msgspec.Struct, frozen=True, kw_only=True):
    """The decoder's own line."""

    refused: str = ""
    format: str = ""
    width: int = 0
    height: int = 0
    digest: str = ""
    colour: str = ""
    files: tuple[tuple[str, int], ...] = ()
    peak_kib: int = 0


class Decoder:
    """One a replica. One picture at a time: shoppers come first."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(1)
        self.peak_kib = 0
        """The most memory that a decoder had."""

    async def decode(self, data: bytes) -> Picture:
        """The picture in these bytes, drawn anew. ImageRefused."""
        async with self._turn:
            output = await self._run(data)
        return self._read(output)

    async def _run(self, data: bytes) -> bytes:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", str(PROGRAM), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL, env={}, cwd="/", start_new_session=True,
        )  # fmt: skip
        try:
            async with asyncio.timeout(WALL_S):
                output, _ = await asyncio.gather(_output(process), _feed(process, data))
                await process.wait()
        except TimeoutError:
            raise ImageRefused("image_too_costly") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            # Killed by its limits, or by what it decoded: either way the picture is nothing for this shop.
            log.warning("image_decoder_died", returncode=process.returncode, size=len(data))
            raise ImageRefused("image_too_costly")
        return output

    def _read(self, output: bytes) -> Picture:
        """What a decoder said, believed no more than the picture itself: it may be the picture that speaks."""
        line, _, rest = output.partition(b"\n")
        try:
            said = msgspec.json.decode(line[:LINE_MAX], type=_Said)
        except msgspec.MsgspecError:
            raise ImageRefused("image_too_costly") from None
        self.peak_kib = max(self.peak_kib, said.peak_kib)
        if said.refused:
            raise ImageRefused(said.refused if said.refused in REFUSALS else "image_broken")
        files, at = [], 0
        for name, length in said.files:
            content = rest[at : at + length] if length > 0 else b""
            at += length
            kind = name.partition(".")[2]
            if not _NAME.match(name) or len(content) != length or not content.startswith(_BEGINS[kind]):
                raise ImageRefused("image_broken")
            files.append((name, content))
        sized = 0 < said.width <= SIDE_MAX and 0 < said.height <= SIDE_MAX
        if not (files and sized and at == len(rest) and _DIGEST.match(said.digest) and _COLOUR.match(said.colour)):
            raise ImageRefused("image_broken")
        return Picture(
            format=said.format[:8], width=said.width, height=said.height, digest=said.digest, colour=said.colour, files=tuple(files)
        )


async def _feed(process: asyncio.subprocess.Process, data: bytes) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(data)
        await process.stdin.drain()
        process.stdin.close()
    except (BrokenPipeError, ConnectionResetError):
        return


async def _output(process: asyncio.subprocess.Process) -> bytes:
    """Everything that it says. ImageRefused ``image_too_costly`` when there is no end to it."""
    assert process.stdout is not None
    parts, size = [], 0
    while part := await process.stdout.read(1 << 16):
        parts.append(part)
        size += len(part)
        if size > OUTPUT_BYTES_MAX:
            raise ImageRefused("image_too_costly")
    return b"".join(parts)
