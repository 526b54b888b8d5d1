"""One index as it is written: built from all products, or kept up with what changes. What it has seen is written with it.

A commit is whole or not at all; whoever dies in between begins where the last commit ended.
"""

from pathlib import Path
from typing import Any, Final

import msgspec
import tantivy

from actors.storage.connect import IDENTITY
from actors.storage.search.documents import meta_document, product_document, with_keys
from actors.storage.search.index import META, NAMES, Cursor, schema, stored
from actors.storage.search.rows import (
    COUNT,
    FLIPS,
    IDS,
    NEWS,
    OF_BRANDS,
    OF_CATEGORIES,
    OF_SKUS,
    OF_TAGS,
    POSITION,
    PRODUCTS,
    SKU_NEWS,
    Names,
    read_names,
)

HEAP_BYTES: Final = 20_000_000
"""Of documents that are not written yet; tantivy asks for 15 MB at least."""
BATCH: Final = 250
"""Products of one step: some 50 ms of work, between which the index in use is followed."""
NEWS_MAX: Final = 5000


class Another(Exception):
    """The index is of another database, or of another version of these fields: it cannot be followed."""


class IndexWriting:
    """An open index. ``pending``: products that changed and are not in it yet, the first ones first."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.pending: dict[str, None] = {}
        self.cursor = Cursor()
        self.names = Names()
        self.products = 0
        self._seen_flips: set[tuple[str, int]] = set()
        self._fields = schema()
        self._index = tantivy.Index(self._fields, path=str(path))
        self._writer: Any = None
        self._written_names = True
        self._settled = Cursor()
        self._dirty = False
        self._load()

    def _load(self) -> None:
        self._index.reload()
        searcher = self._index.searcher()
        body = stored(searcher, self._fields, META)
        if body is not None:
            self.cursor = self._settled = msgspec.json.decode(body, type=Cursor)
        names = stored(searcher, self._fields, NAMES)
        if names is not None:
            self.names = msgspec.json.decode(names, type=Names)
        self.products = max(0, searcher.num_docs - 2)

    async def begin(self, connection: Any) -> int:
        """Before the first product: what is seen from now on is followed later. Answers how many products there are."""
        position = await connection.fetchrow(POSITION)
        database = await connection.fetchval(IDENTITY)
        self.cursor = self._settled = Cursor(database=database, goods=position["goods"], facts=position["facts"], xid=position["xid"])
        await self._read_names(connection)
        self._written_names = False
        count: int = await connection.fetchval(COUNT)
        return count

    async def build_step(self, connection: Any, after: str) -> str:
        """The next products after one of them; the last one's id, '' when there are no more. Nothing is committed."""
        ids = [row["product_id"] for row in await connection.fetch(IDS, after, BATCH)]
        for row in await connection.fetch(PRODUCTS, ids) if ids else ():
            self._add(product_document(row, self.names))
            self.products += 1
        return ids[-1] if len(ids) == BATCH else ""

    async def check(self, connection: Any) -> None:
        """Another unless this index may be followed from here."""
        database = await connection.fetchval(IDENTITY)
        if self.cursor.version != Cursor().version or self.cursor.database != database:
            raise Another(f"index of version {self.cursor.version}, database {self.cursor.database!r}, which is {database!r}")

    async def look(self, connection: Any) -> bool:
        """Ask what is new and note it in ``pending``. True when there is something to write."""
        cursor = self.cursor
        news = await connection.fetch(NEWS, cursor.goods, NEWS_MAX)
        skus = await connection.fetch(SKU_NEWS, cursor.facts, NEWS_MAX)
        flips = await connection.fetchrow(FLIPS, str(cursor.xid))
        changed: dict[str, list[str]] = {"product": [], "brand": [], "category": [], "tag": []}
        for row in news:
            changed[row["kind"]].append(row["id"])
        if changed["brand"] or changed["category"] or changed["tag"]:
            await self._read_names(connection)
        ids = [*changed["product"], *(row["product_id"] for row in skus), *await self._flipped(connection, flips)]
        for statement, kind in ((OF_BRANDS, "brand"), (OF_CATEGORIES, "category"), (OF_TAGS, "tag")):
            if changed[kind]:
                ids += [row["product_id"] for row in await connection.fetch(statement, changed[kind])]
        self.pending.update(dict.fromkeys(ids))
        self.cursor = msgspec.structs.replace(
            cursor,
            goods=news[-1]["version"] if news else cursor.goods,
            facts=skus[-1]["version"] if skus else cursor.facts,
            xid=max(flips["horizon"], cursor.xid),
        )
        return bool(self.pending) or not self._written_names

    async def _flipped(self, connection: Any, flips: Any) -> list[str]:
        """Products of articles that came or went since. Flips of transactions that were open last time are read again."""
        found = set(zip(flips["keys"], map(int, flips["xids"] or ()), strict=True))
        fresh = found - self._seen_flips
        self._seen_flips = {flip for flip in found if flip[1] >= flips["horizon"]}
        skus = list({key.partition("#")[0] for key, _ in fresh})
        return [row["product_id"] for row in await connection.fetch(OF_SKUS, skus)] if skus else []

    async def write_step(self, connection: Any) -> None:
        """Put the first of what is pending into the index, as it is now; nothing is committed."""
        ids = [product_id for product_id, _ in zip(self.pending, range(BATCH), strict=False)]
        rows = await connection.fetch(PRODUCTS, ids)
        for product_id in ids:
            self._delete(product_id)
            del self.pending[product_id]
        for row in rows:
            self._add(product_document(row, self.names))
        if not self.pending:
            self._settled = self.cursor

    def commit(self) -> None:
        """Write it to the disk, with what it has seen: readers see it from now on."""
        if not self._written_names:
            self._delete(NAMES)
            self._add(meta_document(NAMES, msgspec.json.encode(self.names)))
            self._written_names = True
        if not self.pending:
            self._settled = self.cursor
        self._delete(META)
        self._add(meta_document(META, msgspec.json.encode(self._settled)))
        self._writer.commit()
        self._dirty = False
        self._index.reload()
        self.products = max(0, self._index.searcher().num_docs - 2)

    @property
    def dirty(self) -> bool:
        """Whether something waits for :meth:`commit`."""
        return self._dirty or not self._written_names

    def rest(self) -> None:
        """Give back what writing takes, once merges are done. The next write takes it again."""
        if self._writer is not None and not self.dirty:
            self._writer.wait_merging_threads()
            self._writer = None

    async def _read_names(self, connection: Any) -> None:
        names = with_keys(await read_names(connection))
        if names != self.names:
            self.names, self._written_names = names, False

    def _open(self) -> Any:
        if self._writer is None:
            self._writer = self._index.writer(heap_size=HEAP_BYTES, num_threads=1)
        return self._writer

    def _add(self, document: tantivy.Document) -> None:
        self._open().add_document(document)
        self._dirty = True

    def _delete(self, name: str) -> None:
        self._open().delete_documents_by_term("id", name)
        self._dirty = True
