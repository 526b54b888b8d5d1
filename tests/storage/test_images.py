"""Files and rows of pictures: whatever is killed in between, and the end of those that nothing names."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from actors.domain.staff import MACHINE, Actor
from actors.storage.connect import open_pool
from actors.storage.images import DAY_MS, Images, known_images
from actors.storage.media import Media
from actors.storage.staff import Staff
from schemas.ids import id_of
from schemas.images import Picture

pytestmark = pytest.mark.slow

NOW = 1_764_000_000_000
KEEP = 30 * DAY_MS
SOMEBODY = Actor(user_id=MACHINE, roles=0)

RUN = """
import asyncio, os, signal, sys
from pathlib import Path
from actors.domain.staff import MACHINE, Actor
from actors.storage.connect import open_pool
from actors.storage.images import Images
from actors.storage.media import Media
from actors.storage.staff import Staff
from schemas.images import Picture

url, root, step = sys.argv[1], Path(sys.argv[2]), sys.argv[3]

class Stopping(Media):
    def prepare(self, image_id, picture):
        made = super().prepare(image_id, picture)
        if step == "prepared":
            os.kill(os.getpid(), signal.SIGKILL)
        return made

    def put(self, image_id, made):
        super().put(image_id, made)
        if step == "put":
            os.kill(os.getpid(), signal.SIGKILL)

async def main():
    pool = await open_pool(url, size=1)
    images = Images(pool, Stopping(root), Staff(pool))
    picture = Picture(format="png", width=9, height=9, digest="%064x" % 1, colour="#000000", files=(("160.webp", b"RIFF"),))
    await images.add(Actor(user_id=MACHINE, roles=0), picture, source_bytes=1, at_ms=1)

asyncio.run(main())
"""


def picture(number: int) -> Picture:
    files = (("160.webp", b"RIFF%d" % number), ("160.jpg", b"\xff\xd8\xff"))
    return Picture(format="png", width=9, height=9, digest=f"{number:064x}", colour="#000000", files=files)


def name(number: int) -> str:
    return id_of("img", bytes.fromhex(f"{number:064x}"))


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Any]:
    found = await open_pool(database_url, size=4)
    yield found
    await found.close()


@pytest.fixture
def media(tmp_path: Path) -> Media:
    return Media(tmp_path / "media")


@pytest.fixture
def images(pool: Any, media: Media) -> Images:
    return Images(pool, media, Staff(pool))


async def add(images: Images, number: int, at_ms: int = NOW) -> str:
    row = await images.add(SOMEBODY, picture(number), source_bytes=1, at_ms=at_ms)
    return row.image_id


async def at_once(seconds: float) -> None:
    await asyncio.sleep(0)


async def rows(pool: Any) -> set[str]:
    return {row["image_id"] for row in await pool.fetch("SELECT image_id FROM image")}


async def product(pool: Any, number: int, doc: dict[str, Any], *, revision: bool) -> None:
    insert = """
    INSERT INTO product (product_id, title, title_zh, department, department_zh, category, doc) VALUES ($1, 'x', 'x', 'x', 'x', 'x', $2)"""
    await pool.execute(insert, f"prd_{number}", None if revision else json.dumps(doc))
    if revision:
        await pool.execute("INSERT INTO product_revision VALUES ($1, 1, 1, 'usr_x', 'operator', '', $2)", f"prd_{number}", json.dumps(doc))


@pytest.mark.parametrize("step", ["prepared", "put"])
async def test_kill_between_the_files_and_the_row_leaves_nothing_half_and_the_next_try_ends_it(
    database_url: str, pool: Any, images: Images, media: Media, tmp_path: Path, step: str
) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", RUN, database_url, str(tmp_path / "media"), step)
    assert await process.wait() == -signal.SIGKILL
    assert await rows(pool) == set()
    assert media.has(name(1)) is (step == "put")
    # The clean-up lets be what somebody may still be writing.
    await images.collect(NOW, KEEP, at_once)
    assert await add(images, 1) == name(1)
    assert await rows(pool) == {name(1)}
    assert media.read(name(1), 1600, "webp") in (b"RIFF", b"RIFF1")
    left = [path for path in (tmp_path / "media").rglob("*") if path.name.startswith(".new-")]
    assert len(left) == (step == "prepared")


async def test_what_was_left_behind_is_removed_a_day_later(pool: Any, images: Images, media: Media) -> None:
    kept = await add(images, 1)
    made = media.prepare(name(2), picture(2))
    media.put(name(3), media.prepare(name(3), picture(3)))
    await images.collect(NOW, KEEP, at_once)
    assert made.exists()
    assert media.has(name(3))
    for path in (made, media.folder(name(3)), media.folder(kept)):
        os.utime(path, (time.time() - 90_000,) * 2)
    await images.collect(NOW, KEEP, at_once)
    assert not made.exists()
    assert not media.has(name(3))
    assert media.has(kept)


async def test_two_at_once_bring_the_same_picture(pool: Any, images: Images, media: Media, tmp_path: Path) -> None:
    assert set(await asyncio.gather(*(add(images, 5) for _ in range(6)))) == {name(5)}
    assert media.read(name(5), 160, "webp") == b"RIFF5"
    assert await pool.fetchval("SELECT count(*) FROM staff_action WHERE target = $1", name(5)) == 6
    assert sorted(path.name for path in (tmp_path / "media").rglob("*") if path.is_file()) == ["160.jpg", "160.webp"]


async def test_pictures_that_nothing_names_are_doomed_and_a_day_later_gone(pool: Any, images: Images, media: Media) -> None:
    for number in range(1, 8):
        await add(images, number)
    recent = await add(images, 8, NOW + 5 * DAY_MS)
    await product(pool, 1, {"images": [{"image_id": name(1)}]}, revision=False)
    await product(pool, 2, {"texts": {"en": {"detail": f'<img src="/media/{name(2)}/960.webp">'}}}, revision=True)
    await pool.execute("INSERT INTO brand (brand_id, title, title_zh, slug, logo_id) VALUES ('brd_1', 'x', 'x', 'x', $1)", name(3))
    later = NOW + KEEP + 1
    assert await images.collect(NOW + KEEP - 1, KEEP, at_once) == []
    assert await known_images(pool, [name(4), recent, "img_x"]) == {name(4), recent}
    assert await images.collect(later, KEEP, at_once) == []
    every = [name(number) for number in range(1, 9)]
    assert await known_images(pool, every) == {name(1), name(2), name(3), recent}
    # Not looked for again at once; one that was sent again meanwhile, and one that a slow writer has named meanwhile, stay.
    assert await images.collect(later + 1000, KEEP, at_once) == []
    await add(images, 4, later)
    await product(pool, 3, {"images": [{"image_id": name(5)}]}, revision=True)
    assert sorted(await images.collect(later + DAY_MS, KEEP, at_once)) == sorted([name(6), name(7)])
    assert await rows(pool) == {name(number) for number in (1, 2, 3, 4, 5, 8)}
    assert [media.has(each) for each in every] == [True] * 5 + [False, False, True]
    assert await known_images(pool, every) == {name(number) for number in (1, 2, 3, 4, 5, 8)}
    # What a revision names is never looked for again; a logo may be changed.
    used = {row["image_id"] for row in await pool.fetch("SELECT image_id FROM image WHERE used")}
    assert used == {name(2), name(5)}
    await pool.execute("UPDATE brand SET logo_id = ''")
    await images.collect(later + 2 * DAY_MS, KEEP, at_once)
    assert name(3) in await images.collect(later + 3 * DAY_MS, KEEP, at_once)


async def test_one_collects_at_a_time_and_many_documents_are_looked_through_in_pieces(pool: Any, images: Images) -> None:
    wanted = await add(images, 1)
    for number in range(120):
        await product(pool, number, {"images": [{"image_id": wanted}] if number == 119 else []}, revision=True)
    waits = []

    async def counted(seconds: float) -> None:
        waits.append(seconds)
        assert await images.collect(NOW + KEEP, KEEP, at_once) == []

    await images.collect(NOW + KEEP, KEEP, counted)
    assert len(waits) >= 2
    assert await known_images(pool, [wanted]) == {wanted}
    assert await pool.fetchval("SELECT used FROM image")
