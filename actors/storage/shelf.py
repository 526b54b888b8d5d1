"""Products that go on the shelf and leave it at their time, by the machine, as revisions like any other."""

from typing import Any, Final

import msgspec

from actors.domain.staff import MACHINE
from actors.storage.connect import known
from actors.storage.goods import By, Edit, Goods, NotWritten, read_stored
from actors.storage.goods_writing import TAKE_TURN
from schemas.goods import Product

DUE: Final = """
(SELECT product_id FROM product WHERE state = 'scheduled' AND shelf_at_ms <= $1 ORDER BY shelf_at_ms LIMIT $2)
UNION ALL
(SELECT product_id FROM product WHERE state = 'on_shelf' AND off_at_ms > 0 AND off_at_ms <= $1 ORDER BY off_at_ms LIMIT $2)"""
AT_ONCE_MAX: Final = 500
"""Products of one transaction: a second of the goods' turn at most."""


class Shelf:
    """The machine at the shelf, on a pool.

    All who write products take turns (``goods_writing.TAKE_TURN``), and what is due is read within the turn: of several replicas
    one moves a product, and what a dying one left undone is due for the next.
    """

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._goods = Goods(pool)

    async def move_due(self, now_ms: int) -> list[str]:
        """Move what is due at ``now_ms`` (UTC); answers which products. StorageUnknown when the database cannot be asked."""
        if not await known(self._pool.fetch(DUE, now_ms, 1)):
            return []

        async def within() -> list[str]:
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(TAKE_TURN)
                due = [row["product_id"] for row in await connection.fetch(DUE, now_ms, AT_ONCE_MAX)]
                stored = await read_stored(connection, due)
                edits = [Edit(product_id=product_id, doc=moved(stored[product_id].doc)) for product_id in due]
                return await self._write(connection, edits, now_ms)

        return await known(within())

    async def _write(self, connection: Any, edits: list[Edit], now_ms: int) -> list[str]:
        by = By(actor_id=MACHINE, role=MACHINE, reason="scheduled")
        try:
            return [written.product_id for written in await self._goods.write_many(connection, edits, by, now_ms)]
        except NotWritten as refused:
            # Nothing was written yet. What cannot be moved holds nobody up.
            wrong = {refusal.index for refusal in refused.refusals}
            rest = [edit for index, edit in enumerate(edits) if index not in wrong]
            return await self._write(connection, rest, now_ms) if rest else []


def moved(doc: Product) -> Product:
    """The document after its time: on the shelf when it was to go there, else off it. A time that has passed is forgotten."""
    if doc.state == "scheduled":
        return msgspec.structs.replace(doc, state="on_shelf", shelf_at_ms=0)
    return msgspec.structs.replace(doc, state="off_shelf", off_at_ms=0)
