"""Orders at suppliers: drafts out of proposals or by hand, ordered, and received into stock.

    draft -> ordered -> receiving -> received
    draft, ordered -> cancelled

What arrived is written down with ``receiving``; then each line's units are put in by a command whose id is made of the order and the
article, so that receiving again, after whatever ended in between, puts nothing in twice; then it is ``received``.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from actors.domain.staff import Actor
from actors.storage.connect import known
from actors.storage.staff import Deed, NotDone, Staff
from schemas.ids import random_id
from schemas.watch import Quantity

_ROW: Final = """
SELECT purchase_id, state, supplier, warehouse_id, coalesce(proposal_id, '') AS proposal_id, made_by, made_at_ms, changed_at_ms
FROM purchase_order"""
PAGE: Final = f"{_ROW} WHERE purchase_id > $1 AND ($2 = '' OR state = $2) ORDER BY purchase_id LIMIT $3"
ONE: Final = f"{_ROW} WHERE purchase_id = $1"
LINES: Final = """
SELECT l.purchase_id, l.sku_id, s.code, s.product_id, l.quantity, l.received FROM purchase_line l JOIN sku s USING (sku_id)
WHERE l.purchase_id = ANY($1::text[]) ORDER BY l.purchase_id, l.sku_id"""
INSERT: Final = """
INSERT INTO purchase_order (purchase_id, supplier, warehouse_id, proposal_id, made_by, made_at_ms, changed_at_ms)
VALUES ($1, $2, $3, $4, $5, $6, $6)"""
INSERT_LINES: Final = """
INSERT INTO purchase_line (purchase_id, sku_id, quantity) SELECT $1, sku_id, quantity FROM unnest($2::text[], $3::integer[])
    AS n (sku_id, quantity)"""
DELETE_LINES: Final = "DELETE FROM purchase_line WHERE purchase_id = $1"
KNOWN: Final = "SELECT count(*) FROM sku WHERE sku_id = ANY($1::text[]) AND sku_id NOT LIKE 'sku\\_s\\_%'"
DUE: Final = """
INSERT INTO product_fact_due (product_id) SELECT DISTINCT product_id FROM sku
WHERE sku_id = ANY($2::text[]) OR sku_id IN (SELECT sku_id FROM purchase_line WHERE purchase_id = $1) ON CONFLICT DO NOTHING"""
LOCK: Final = "SELECT state FROM purchase_order WHERE purchase_id = $1 FOR UPDATE"
MOVE: Final = "UPDATE purchase_order SET state = $2, changed_at_ms = $3 WHERE purchase_id = $1"
CHANGE: Final = "UPDATE purchase_order SET supplier = $2, warehouse_id = $3, changed_at_ms = $4 WHERE purchase_id = $1"
RECEIVE: Final = """
UPDATE purchase_line l SET received = coalesce(n.received, l.quantity)
FROM purchase_line o LEFT JOIN unnest($2::text[], $3::integer[]) AS n (sku_id, received) ON n.sku_id = o.sku_id
WHERE o.purchase_id = $1 AND l.purchase_id = o.purchase_id AND l.sku_id = o.sku_id"""

MOVES: Final = {"ordered": ("draft",), "receiving": ("ordered",), "cancelled": ("draft", "ordered")}
"""From which states an order may go to which."""


class PurchaseLineRow(msgspec.Struct, frozen=True, kw_only=True):
    """received: None until it is received."""

    sku_id: str
    code: str
    product_id: str
    quantity: int
    received: int | None


class PurchaseRow(msgspec.Struct, frozen=True, kw_only=True):
    """One order at a supplier. Times in UTC, ms."""

    purchase_id: str
    state: str
    supplier: str
    warehouse_id: str
    proposal_id: str
    made_by: str
    made_at_ms: int
    changed_at_ms: int
    lines: tuple[PurchaseLineRow, ...]


class _Settled(Exception):
    """It is so already."""


class Purchases:
    """Orders at suppliers on a pool. StorageUnknown when the database cannot be asked."""

    def __init__(self, pool: Any, staff: Staff) -> None:
        self._pool = pool
        self._staff = staff

    async def page(self, after: str, state: str, limit: int) -> list[PurchaseRow]:
        """Orders by id, after one of them; of one state, or all (empty)."""

        async def within() -> list[PurchaseRow]:
            async with self._pool.acquire() as connection:
                return await _with_lines(connection, await connection.fetch(PAGE, after, state, limit))

        return await known(within())

    async def read(self, purchase_id: str) -> PurchaseRow:
        """One order. NotDone ``purchase_unknown``."""

        async def within() -> list[PurchaseRow]:
            async with self._pool.acquire() as connection:
                return await _with_lines(connection, await connection.fetch(ONE, purchase_id))

        found = await known(within())
        if not found:
            raise NotDone("purchase_unknown")
        return found[0]

    async def draft(
        self, actor: Actor, purchase_id: str, lines: Sequence[Quantity], supplier: str, warehouse_id: str, deed: Deed, now_ms: int
    ) -> PurchaseRow:
        """Let this be the contents of a draft, which is made if there is none of this id.

        NotDone: ``sku_unknown`` (or twice), ``purchase_state`` (it is no draft any more), ``forbidden``.
        """

        async def change(connection: Any) -> None:
            await connection.execute(DUE, purchase_id, [line.sku_id for line in lines])
            if await connection.fetchval(LOCK, purchase_id) is None:
                await draft_purchase(
                    connection, lines, actor.user_id, now_ms, supplier=supplier, warehouse_id=warehouse_id, purchase_id=purchase_id
                )
                return
            await _check(connection, purchase_id, ("draft",))
            await connection.execute(DELETE_LINES, purchase_id)
            await connection.execute(CHANGE, purchase_id, supplier, warehouse_id, now_ms)
            await _write_lines(connection, purchase_id, lines)

        await self._staff.do(actor, deed, change)
        return await self.read(purchase_id)

    async def move(self, actor: Actor, purchase_id: str, to: str, deed: Deed, now_ms: int) -> PurchaseRow:
        """Order it, or cancel it. Again it stays so. NotDone: ``purchase_unknown``, ``purchase_state``, ``forbidden``."""
        await self._step(actor, purchase_id, to, deed, now_ms, _nothing)
        return await self.read(purchase_id)

    async def begin_receiving(
        self, actor: Actor, purchase_id: str, arrived: Mapping[str, int], deed: Deed, now_ms: int
    ) -> PurchaseRow:  # fmt: skip
        """Write down what arrived: so many of each article, what was ordered of those that are not named.

        Once begun the counts stand. NotDone: ``purchase_unknown``, ``purchase_state``, ``sku_unknown``, ``forbidden``.
        """

        async def receive(connection: Any) -> None:
            lines = {row["sku_id"] for row in await connection.fetch(LINES, [purchase_id])}
            if not arrived.keys() <= lines:
                raise NotDone("sku_unknown")
            await connection.execute(RECEIVE, purchase_id, list(arrived), list(arrived.values()))

        await self._step(actor, purchase_id, "receiving", deed, now_ms, receive)
        return await self.read(purchase_id)

    async def received(self, purchase_id: str, now_ms: int) -> PurchaseRow:
        """Everything was put in."""

        async def within() -> None:
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(DUE, purchase_id, [])
                if await connection.fetchval(LOCK, purchase_id) == "receiving":
                    await connection.execute(MOVE, purchase_id, "received", now_ms)

        await known(within())
        return await self.read(purchase_id)

    async def _step(self, actor: Actor, purchase_id: str, to: str, deed: Deed, now_ms: int, more: Callable[[Any], Awaitable[None]]) -> None:
        async def change(connection: Any) -> None:
            await connection.execute(DUE, purchase_id, [])
            await _check(connection, purchase_id, MOVES[to], already=to)
            await more(connection)
            await connection.execute(MOVE, purchase_id, to, now_ms)

        try:
            await self._staff.do(actor, deed, change)
        except _Settled:
            pass


async def draft_purchase(
    connection: Any, lines: Sequence[Quantity], made_by: str, now_ms: int, *, supplier: str = "", warehouse_id: str = "",
    proposal_id: str | None = None, purchase_id: str = "",
) -> str:  # fmt: skip
    """Write a draft within the caller's transaction, who has listed its products as due; answers its id. NotDone ``sku_unknown``."""
    purchase_id = purchase_id or random_id("pur")
    await connection.execute(INSERT, purchase_id, supplier, warehouse_id, proposal_id, made_by, now_ms)
    await _write_lines(connection, purchase_id, lines)
    return purchase_id


async def _write_lines(connection: Any, purchase_id: str, lines: Sequence[Quantity]) -> None:
    sku_ids = [line.sku_id for line in lines]
    if len(set(sku_ids)) != len(sku_ids) or await connection.fetchval(KNOWN, sku_ids) != len(sku_ids):
        raise NotDone("sku_unknown")
    await connection.execute(INSERT_LINES, purchase_id, sku_ids, [line.quantity for line in lines])


async def _check(connection: Any, purchase_id: str, states: tuple[str, ...], already: str = "") -> None:
    state = await connection.fetchval(LOCK, purchase_id)
    if state is None:
        raise NotDone("purchase_unknown")
    if already and (state == already or (already == "receiving" and state == "received")):
        raise _Settled
    if state not in states:
        raise NotDone("purchase_state")


async def _nothing(connection: Any) -> None:
    pass


async def _with_lines(connection: Any, rows: list[Any]) -> list[PurchaseRow]:
    lines: dict[str, list[PurchaseLineRow]] = {row["purchase_id"]: [] for row in rows}
    for line in await connection.fetch(LINES, list(lines)):
        fields = dict(line)
        lines[fields.pop("purchase_id")].append(PurchaseLineRow(**fields))
    return [PurchaseRow(**dict(row), lines=tuple(lines[row["purchase_id"]])) for row in rows]
