"""Pictures: their rows beside their files, and the end of those that nothing names.

Files are written first, then the row: whoever is killed in between leaves files without a row, which are removed a day later.
A picture that no document names is first *doomed*: no document may begin to name it (:func:`known_images`), whatever was
being written meanwhile ends; a day later all documents are looked through again, and only then it goes. Sent again, it stays.
"""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import msgspec

from actors.domain.staff import Actor
from actors.storage.connect import LOST, known, storage_error
from actors.storage.media import Media, is_image_id
from actors.storage.staff import Deed, Staff
from schemas.ids import id_of
from schemas.images import ImageRow, Picture

DAY_MS: Final = 86_400_000
CANDIDATES_MAX: Final = 1000
"""Pictures that one run looks for."""

DOCUMENTS: Final = 100
"""Documents that one statement looks through."""

PAUSE_S: Final = 0.05
"""Between two statements of a run: it is nobody's hurry."""

LEFT_BEHIND_S: Final = 86_400.0

IN_TURN: Final = "SELECT pg_advisory_xact_lock(7027, hashtext($1))"
"""Files and row of one picture are changed together."""

ADD: Final = """
INSERT INTO image (image_id, width, height, format, colour, source_bytes, merchant_id, actor_id, at_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (image_id) DO UPDATE SET at_ms = greatest(image.at_ms, excluded.at_ms), doomed_at_ms = 0
RETURNING image_id, width, height, format, colour, source_bytes, merchant_id, actor_id, at_ms"""
READ: Final = """
SELECT image_id, width, height, format, colour, source_bytes, merchant_id, actor_id, at_ms
FROM image WHERE image_id = ANY($1::text[]) AND doomed_at_ms = 0"""
KNOWN: Final = "SELECT image_id FROM image WHERE image_id = ANY($1::text[]) AND doomed_at_ms = 0"
PRESENT: Final = "SELECT image_id FROM image WHERE image_id = ANY($1::text[])"
CANDIDATES: Final = """
SELECT image_id FROM image WHERE NOT used AND at_ms <= $1 AND checked_at_ms <= $2 ORDER BY checked_at_ms, image_id LIMIT $3"""
IN_REVISIONS: Final = r"""
WITH read AS (
    SELECT product_id, revision, doc FROM product_revision WHERE (product_id, revision) > ($1, $2)
    ORDER BY product_id, revision LIMIT $3)
SELECT (SELECT count(*) FROM read) AS documents,
    (SELECT product_id FROM read ORDER BY product_id DESC, revision DESC LIMIT 1) AS product_id,
    (SELECT revision FROM read ORDER BY product_id DESC, revision DESC LIMIT 1) AS revision,
    ARRAY(SELECT DISTINCT named[1] FROM read, regexp_matches(doc::text, 'img_[0-9a-z]{20}', 'g') AS named) AS named"""
IN_PRODUCTS: Final = r"""
WITH read AS (
    SELECT product_id, doc FROM product WHERE product_id > $1 AND doc IS NOT NULL ORDER BY product_id LIMIT $2)
SELECT (SELECT count(*) FROM read) AS documents, (SELECT max(product_id) FROM read) AS product_id,
    ARRAY(SELECT DISTINCT named[1] FROM read, regexp_matches(doc::text, 'img_[0-9a-z]{20}', 'g') AS named) AS named"""
IN_BRANDS: Final = "SELECT logo_id FROM brand WHERE logo_id = ANY($1::text[])"
USED: Final = "UPDATE image SET used = true, doomed_at_ms = 0, checked_at_ms = $2 WHERE image_id = ANY($1::text[])"
NEEDED: Final = "UPDATE image SET doomed_at_ms = 0, checked_at_ms = $2 WHERE image_id = ANY($1::text[])"
DOOM: Final = """
UPDATE image SET doomed_at_ms = $2, checked_at_ms = $2 WHERE image_id = ANY($1::text[]) AND doomed_at_ms = 0 AND at_ms <= $3
RETURNING image_id"""
DROP: Final = "DELETE FROM image WHERE image_id = $1 AND doomed_at_ms > 0 AND doomed_at_ms <= $2 RETURNING image_id"
ALONE: Final = "SELECT pg_try_advisory_lock(7027)"
LET_GO: Final = "SELECT pg_advisory_unlock(7027)"


async def known_images(connection: Any, ids: Iterable[str]) -> set[str]:
    """Those of ``ids`` that a document may name. Asked within the transaction that writes the document, or just before it."""
    return {row["image_id"] for row in await connection.fetch(KNOWN, list(ids))}


class Images:
    """Pictures on a pool and in a directory. StorageUnknown when either cannot be asked."""

    def __init__(self, pool: Any, media: Media, staff: Staff) -> None:
        self._pool = pool
        self.media = media
        self._staff = staff

    async def add(self, actor: Actor, picture: Picture, *, source_bytes: int, at_ms: int, request_id: str = "") -> ImageRow:
        """Keep a picture, its files before its row, and write down who brought it. The same picture again is the same row.

        NotDone ``forbidden``.
        """
        image_id = id_of("img", bytes.fromhex(picture.digest))
        media = self.media
        made = await _filed(media.prepare, image_id, picture)

        async def change(connection: Any) -> ImageRow:
            await connection.execute(IN_TURN, image_id)
            await asyncio.to_thread(media.put, image_id, made)
            row = await connection.fetchrow(
                ADD, image_id, picture.width, picture.height, picture.format, picture.colour, source_bytes, actor.merchant_id,
                actor.user_id, at_ms,
            )  # fmt: skip
            return ImageRow(**dict(row))

        shown = {"width": picture.width, "height": picture.height, "format": picture.format, "bytes": source_bytes}
        after = msgspec.json.encode(shown).decode()
        deed = Deed(permission="image.add", target=image_id, reason="upload", request_id=request_id, after=after)
        try:
            return await self._staff.do(actor, deed, change)
        finally:
            await asyncio.to_thread(shutil.rmtree, made, ignore_errors=True)

    async def known(self, ids: Iterable[str]) -> frozenset[str]:
        """Those of ``ids`` that a document may name."""
        return frozenset(await known(known_images(self._pool, ids)))

    async def read(self, ids: Iterable[str]) -> dict[str, ImageRow]:
        """Those of ``ids`` that there are, by id."""
        rows = await known(self._pool.fetch(READ, list(ids)))
        return {row["image_id"]: ImageRow(**dict(row)) for row in rows}

    async def collect(self, at_ms: int, keep_ms: int, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> list[str]:
        """Doom pictures of before ``keep_ms`` that nothing names, and remove those that were doomed a day ago; answers which went.

        One at a time in the whole shop; nothing where another one is at it. Killed anywhere, the next run goes on.
        """
        try:
            async with self._pool.acquire() as connection:
                if not await connection.fetchval(ALONE):
                    return []
                try:
                    gone = await self._collect(connection, at_ms, keep_ms, sleep)
                    await self._sweep(connection, sleep)
                    return gone
                finally:
                    await connection.execute(LET_GO)
        except LOST as error:
            raise storage_error(error) from error

    async def _collect(self, connection: Any, at_ms: int, keep_ms: int, sleep: Callable[[float], Awaitable[None]]) -> list[str]:
        rows = await connection.fetch(CANDIDATES, at_ms - keep_ms, at_ms - DAY_MS, CANDIDATES_MAX)
        looked_for = {row["image_id"] for row in rows}
        if not looked_for:
            return []
        lasting, needed = await self._named(connection, looked_for, sleep)
        await connection.execute(USED, sorted(lasting), at_ms)
        await connection.execute(NEEDED, sorted(needed - lasting), at_ms)
        rest = sorted(looked_for - lasting - needed)
        doomed = {row["image_id"] for row in await connection.fetch(DOOM, rest, at_ms, at_ms - keep_ms)}
        return [image_id for image_id in rest if image_id not in doomed and await self._drop(connection, image_id, at_ms)]

    async def _named(self, connection: Any, looked_for: set[str], sleep: Callable[[float], Awaitable[None]]) -> tuple[set[str], set[str]]:
        """Which of them revisions name, which last for ever, and which something else does."""
        lasting: set[str] = set()
        needed: set[str] = {row["logo_id"] for row in await connection.fetch(IN_BRANDS, sorted(looked_for))}
        product_id, revision = "", 0
        while (read := await connection.fetchrow(IN_REVISIONS, product_id, revision, DOCUMENTS))["documents"]:
            lasting |= looked_for & set(read["named"])
            product_id, revision = read["product_id"], read["revision"]
            await sleep(PAUSE_S)
        product_id = ""
        while (read := await connection.fetchrow(IN_PRODUCTS, product_id, DOCUMENTS))["documents"]:
            needed |= looked_for & set(read["named"])
            product_id = read["product_id"]
            await sleep(PAUSE_S)
        return lasting, needed

    async def _drop(self, connection: Any, image_id: str, at_ms: int) -> bool:
        """Remove a picture that was doomed long enough: its files first, so that no row is lost while they stay."""
        async with connection.transaction():
            await connection.execute(IN_TURN, image_id)
            if await connection.fetchval(DROP, image_id, at_ms - DAY_MS) is None:
                return False
            await asyncio.to_thread(self.media.drop, image_id)
            return True

    async def _sweep(self, connection: Any, sleep: Callable[[float], Awaitable[None]]) -> None:
        """Remove files that were left behind: half written, or whole without a row."""
        for shelf in await asyncio.to_thread(self.media.shelves):
            await asyncio.to_thread(self.media.clear, shelf)
            old = [name for name, age_s in await asyncio.to_thread(self._on_shelf, shelf) if age_s > LEFT_BEHIND_S]
            present = {row["image_id"] for row in await connection.fetch(PRESENT, old)} if old else set()
            for image_id in set(old) - present:
                async with connection.transaction():
                    await connection.execute(IN_TURN, image_id)
                    if not await connection.fetch(PRESENT, [image_id]):
                        await asyncio.to_thread(self.media.drop, image_id)
            await sleep(PAUSE_S)

    def _on_shelf(self, shelf: str) -> list[tuple[str, float]]:
        return list(self.media.on_shelf(shelf))


async def _filed(write: Callable[[str, Picture], Any], image_id: str, picture: Picture) -> Any:
    """Write files beside the loop; a full or broken disk is StorageUnknown."""
    assert is_image_id(image_id)
    try:
        return await asyncio.to_thread(write, image_id, picture)
    except OSError as error:
        raise storage_error(error) from error
