"""Warehouses, and what the tables say of the units in them: for allocation a moment old, exact only at the owner of the stock.

Changing a warehouse is a staff action: checked again and written down in the transaction of the change.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from actors.domain.staff import Actor
from actors.storage.connect import known
from actors.storage.facts import WAREHOUSES, terms_of
from actors.storage.staff import Deed, NotDone, Staff
from schemas.warehouse import WarehouseTerms

PERMISSION: Final = "warehouse.edit"
WAREHOUSES_MAX: Final = 100
"""Of one shop; as many as one SKU may lie in."""

_COLUMNS: Final = """warehouse_id, code, title, title_zh, country, region_code, city, city_zh, address, lat, lon, cutoff_min,
    utc_offset_min, priority, active"""
ALL: Final = f"SELECT {_COLUMNS} FROM warehouse ORDER BY code"
ONE: Final = f"SELECT {_COLUMNS} FROM warehouse WHERE warehouse_id = $1"
COUNT: Final = "SELECT count(*) FROM warehouse"
CODE_TAKEN: Final = "SELECT EXISTS (SELECT FROM warehouse WHERE code = $1 AND warehouse_id <> $2)"
INSERT: Final = f"INSERT INTO warehouse ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)"
UPDATE: Final = """
UPDATE warehouse SET code = $2, title = $3, title_zh = $4, country = $5, region_code = $6, city = $7, city_zh = $8, address = $9,
    lat = $10, lon = $11, cutoff_min = $12, utc_offset_min = $13, priority = $14, active = $15 WHERE warehouse_id = $1"""
IN_USE: Final = """
SELECT EXISTS (SELECT FROM stock_warehouse WHERE warehouse_id = $1 AND (available, held, moved_out) <> (0, 0, 0))"""
DELETE: Final = "DELETE FROM warehouse WHERE warehouse_id = $1"
LEVELS: Final = """
WITH part AS (
    SELECT s.sku_id, s.sku_id || '#' || n AS key FROM sku s CROSS JOIN LATERAL generate_series(0, s.parts - 1) n WHERE s.sku_id = ANY($1)
)
SELECT p.sku_id, w.warehouse_id, sum(greatest(0, w.available - w.safety))::bigint AS units
FROM part p JOIN stock_warehouse w USING (key) GROUP BY 1, 2
UNION ALL
SELECT p.sku_id, '', sum(l.available - coalesce(
    (SELECT sum(w.available) FROM stock_warehouse w WHERE w.key = p.key), 0))::bigint
FROM part p JOIN stock_level l USING (key) GROUP BY 1"""
MOVEMENTS: Final = """
SELECT shard, seq, n, key, warehouse_id, batch, kind, quantity, available, held, reason, reference, at_ms FROM stock_movement
WHERE key = ANY($1) AND ($2 = '' OR warehouse_id = $2) AND (at_ms, shard, seq, n) < ($3, $4, $5, $6)
ORDER BY at_ms DESC, shard DESC, seq DESC, n DESC LIMIT $7"""
PARTS: Final = "SELECT parts FROM sku WHERE sku_id = $1"
SENT: Final = "SELECT order_id, user_id, status, lines, sources, considered FROM orders WHERE order_id = $1"


class Warehouse(msgspec.Struct, frozen=True, kw_only=True):
    """One row of ``warehouse``. region_code: GB/T 2260, in China. Times as in ``schemas.warehouse.WarehouseTerms``."""

    warehouse_id: str
    code: str
    title: str = ""
    title_zh: str = ""
    country: str
    region_code: str = ""
    city: str = ""
    city_zh: str = ""
    address: str = ""
    lat: float
    lon: float
    cutoff_min: int = 1020
    utc_offset_min: int = 480
    priority: int = 0
    active: bool = True


class Warehouses:
    """Reads and changes on a pool. StorageUnknown when the database cannot be asked."""

    def __init__(self, pool: Any, staff: Staff) -> None:
        self._pool = pool
        self._staff = staff

    async def all(self) -> list[Warehouse]:
        """By their codes."""
        return [Warehouse(**dict(row)) for row in await known(self._pool.fetch(ALL))]

    async def one(self, warehouse_id: str) -> Warehouse | None:
        """One of them."""
        row = await known(self._pool.fetchrow(ONE, warehouse_id))
        return None if row is None else Warehouse(**dict(row))

    async def terms(self) -> tuple[WarehouseTerms, ...]:
        """As whoever allocates needs them."""
        return tuple(terms_of(row) for row in await known(self._pool.fetch(WAREHOUSES)))

    async def add(self, actor: Actor, made: Warehouse, reason: str, request_id: str = "") -> None:
        """A new one. A repeat under the same id changes nothing. NotDone: ``forbidden``, ``warehouse_code_taken``, ``warehouse_limit``."""
        if await self.one(made.warehouse_id) is not None:
            return

        async def change(connection: Any) -> None:
            if await connection.fetchval(COUNT) >= WAREHOUSES_MAX:
                raise NotDone("warehouse_limit")
            await _check_code(connection, made)
            await connection.execute(INSERT, *msgspec.structs.astuple(made))

        await self._do(actor, made.warehouse_id, reason, request_id, change)

    async def change(self, actor: Actor, wanted: Warehouse, reason: str, request_id: str = "") -> None:
        """Let it be so. NotDone: ``forbidden``, ``warehouse_unknown``, ``warehouse_code_taken``."""

        async def change(connection: Any) -> None:
            await _check_code(connection, wanted)
            if await connection.execute(UPDATE, *msgspec.structs.astuple(wanted)) != "UPDATE 1":
                raise NotDone("warehouse_unknown")

        await self._do(actor, wanted.warehouse_id, reason, request_id, change)

    async def remove(self, actor: Actor, warehouse_id: str, reason: str, request_id: str = "") -> None:
        """Let there be none. NotDone: ``forbidden``, ``warehouse_unknown``, ``warehouse_in_use``: something is or was on its way there."""

        async def change(connection: Any) -> None:
            if await connection.fetchval(IN_USE, warehouse_id):
                raise NotDone("warehouse_in_use")
            if await connection.execute(DELETE, warehouse_id) != "DELETE 1":
                raise NotDone("warehouse_unknown")

        await self._do(actor, warehouse_id, reason, request_id, change)

    async def _do(self, actor: Actor, warehouse_id: str, reason: str, request_id: str, change: Any) -> None:
        async def state(connection: Any) -> str:
            row = await connection.fetchrow(ONE, warehouse_id)
            return "" if row is None else msgspec.json.encode(dict(row)).decode()

        deed = Deed(permission=PERMISSION, target=warehouse_id, reason=reason, request_id=request_id)
        await self._staff.do(actor, deed, change, state)

    async def levels(self, sku_ids: Sequence[str]) -> dict[str, dict[str, int]]:
        """Units that may be sold, by SKU and warehouse ("": the unnamed one); batches that have expired are among them."""
        found: dict[str, dict[str, int]] = {}
        for row in await known(self._pool.fetch(LEVELS, list(sku_ids))):
            found.setdefault(row["sku_id"], {})[row["warehouse_id"]] = row["units"]
        return found

    async def parts(self, sku_id: str) -> int:
        """Over how many parts a SKU is; 0 for an unknown one."""
        return int(await known(self._pool.fetchval(PARTS, sku_id)) or 0)

    async def movements(self, keys: Sequence[str], warehouse_id: str, before: tuple[int, int, int, int], limit: int) -> list[Any]:
        """Rows of ``stock_movement`` before one (at_ms, shard, seq, n), the newest first. warehouse_id: "": all."""
        return list(await known(self._pool.fetch(MOVEMENTS, list(keys), warehouse_id, *before, limit)))

    async def sent(self, order_id: str) -> Any:
        """An order's lines, where their units are, and why: a row, or None."""
        return await known(self._pool.fetchrow(SENT, order_id))


async def _check_code(connection: Any, warehouse: Warehouse) -> None:
    if await connection.fetchval(CODE_TAKEN, warehouse.code, warehouse.warehouse_id):
        raise NotDone("warehouse_code_taken")
