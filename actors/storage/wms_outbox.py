"""What warehouses are to be told: rows that are written with their cause, sent until they are taken, and kept when they never are.

A cause has one row (``unique (connection, cause)``), and a row one message id, so that a message that was sent twice counts once at
the other side. Of one order messages leave one after the other; a message that waits or is dead holds up no other order. A claim is
a lease: whoever dies between sending and writing it down leaves the message to be sent again.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from actors.domain.kinds import body_decoder
from actors.domain.wms import Line, after_call
from actors.storage.connect import known
from schemas.ids import derived_id, id_of
from schemas.order import OrderPlaced, OrderStarted, PricedLine
from schemas.providers.wms import OrderCancelled, OrderToFulfil, Parcel, ProductChanged, ProductSeen, ShippedLine

LEASE_MS: Final = 60_000
"""Longer than a call may take."""

CAUSES_MAX: Final = 50
PRODUCTS_MAX: Final = 50
"""Products of one look at the catalogue."""

SKUS_MAX: Final = 200
"""SKUs of one message."""

PRODUCT_MESSAGES_MAX: Final = 20
"""Messages about products that wait for one warehouse; the catalogue is read on when they are gone."""

RECORDS_MAX: Final = 500
"""Records of a buyer that are searched for an address, the newest first."""

INSERT: Final = """
INSERT INTO wms_outbox (message_id, connection_id, cause, type, order_id, data, made_at_ms, due_ms)
VALUES ($1, $2, $3, $4, $5, $6::text::jsonb, $7, $7) ON CONFLICT (connection_id, cause) DO NOTHING RETURNING message_id"""
OF_CAUSE: Final = "SELECT data::text FROM wms_outbox WHERE connection_id = $1 AND cause = $2"
CAUSES: Final = """
SELECT order_id, what, reason FROM wms_cause c WHERE NOT taken
    AND (what = 'paid' OR NOT EXISTS (SELECT FROM wms_cause p WHERE p.order_id = c.order_id AND p.what = 'paid' AND NOT p.taken))
ORDER BY at_ms, order_id LIMIT $1 FOR UPDATE SKIP LOCKED"""
TAKE: Final = "UPDATE wms_cause SET taken = true WHERE order_id = $1 AND what = $2"
OPEN_LINES: Final = "SELECT warehouse_id, connection_id, warehouse_code FROM wms_connection WHERE state <> 'closed'"
ORDERS: Final = """
SELECT order_id, lines::text AS lines, sources::text AS sources, placed_at_ms, priority FROM orders WHERE order_id = ANY($1::text[])"""
CODES: Final = "SELECT sku_id, code FROM sku WHERE sku_id = ANY($1::text[])"
TOLD: Final = "SELECT connection_id FROM wms_outbox WHERE cause = 'paid:' || $1 ORDER BY connection_id"
CLAIM: Final = """
WITH due AS (
    SELECT o.message_id FROM wms_outbox o WHERE o.connection_id = $1 AND o.state = 'waiting' AND o.due_ms <= $2 AND o.leased_until_ms <= $2
        AND (o.order_id = '' OR NOT EXISTS (
            SELECT FROM wms_outbox e WHERE e.connection_id = o.connection_id AND e.order_id = o.order_id AND e.state = 'waiting'
                AND e.number < o.number))
    ORDER BY o.number LIMIT $3 FOR UPDATE OF o SKIP LOCKED
)
UPDATE wms_outbox o SET leased_until_ms = $2 + $4::bigint FROM due WHERE o.message_id = due.message_id
RETURNING o.message_id, o.number, o.type, o.order_id, o.data::text AS data, o.tries, o.made_at_ms"""
DONE: Final = """
UPDATE wms_outbox SET state = 'done', reason = '', tries = tries + 1, leased_until_ms = 0, ended_at_ms = $2
WHERE message_id = $1 AND state = 'waiting'"""
FAILED: Final = """
UPDATE wms_outbox SET state = $2, reason = $3, tries = $4, due_ms = $5, leased_until_ms = 0, ended_at_ms = $6
WHERE message_id = $1 AND state = 'waiting'"""
LET_GO: Final = "UPDATE wms_outbox SET leased_until_ms = 0 WHERE message_id = ANY($1::text[]) AND state = 'waiting'"
LINE: Final = "SELECT failures, rests_until_ms FROM wms_link WHERE connection_id = $1"
LOCK_LINE: Final = "SELECT failures, rests_until_ms FROM wms_link WHERE connection_id = $1 FOR UPDATE"
SET_LINE: Final = """
UPDATE wms_link SET failures = $2, rests_until_ms = $3, last_error = $4, last_sent_ms = CASE WHEN $4 = '' THEN $5 ELSE last_sent_ms END
WHERE connection_id = $1"""
WELL: Final = "UPDATE wms_link SET failures = 0, rests_until_ms = 0, last_error = '' WHERE connection_id = $1 AND failures > 0"
BUYER: Final = "SELECT user_id FROM orders WHERE order_id = $1"
RECORDS: Final = "SELECT body FROM journal WHERE key = $1 AND kind = 'order' ORDER BY version DESC LIMIT $2"
TOLD_TO: Final = """
SELECT told_version FROM wms_link l WHERE connection_id = $1 AND (
    SELECT count(*) FROM wms_outbox o WHERE o.connection_id = $1 AND o.type = 'product.changed' AND o.state = 'waiting'
) < $2 FOR UPDATE SKIP LOCKED"""
PRODUCTS: Final = """
WITH news AS (SELECT product_id, version, state FROM product WHERE version > $1 ORDER BY version LIMIT $2)
SELECT n.version, s.code AS sku, p.title, p.title_zh, s.barcode, s.weight_g, (s.offered AND n.state = 'on_shelf') AS offered
FROM news n JOIN product p USING (product_id) LEFT JOIN sku s ON s.product_id = n.product_id AND s.sku_id NOT LIKE 'sku\\_s\\_%'
ORDER BY n.version, s.position, s.sku_id"""
SET_TOLD: Final = "UPDATE wms_link SET told_version = $2 WHERE connection_id = $1"
FORGET: Final = """
DELETE FROM wms_outbox WHERE message_id IN (
    SELECT message_id FROM wms_outbox WHERE state IN ('done', 'dropped') AND made_at_ms < $1 AND type NOT LIKE 'order.%'
    ORDER BY made_at_ms LIMIT 500
)"""
"""What was told of orders stays: it says what is sold and not yet shipped."""

FILL_CAUSES: Final = """
INSERT INTO wms_cause (order_id, what, at_ms)
SELECT o.order_id, 'paid', o.placed_at_ms FROM orders o WHERE o.status = 'paid'
    AND o.placed_at_ms >= (SELECT min(created_at_ms) FROM wms_connection WHERE state <> 'closed') ON CONFLICT DO NOTHING"""
FILL_ENDS: Final = """
INSERT INTO wms_cause (order_id, what, at_ms, reason)
SELECT o.order_id, 'ended', o.placed_at_ms, o.status FROM orders o JOIN wms_cause c ON c.order_id = o.order_id AND c.what = 'paid'
WHERE o.status IN ('cancelled', 'unfulfillable', 'refunded') ON CONFLICT DO NOTHING"""
"""What a rebuild of the orders found in its last moment, while the triggers were silent."""

_Sources = tuple[tuple[int, str, int], ...]
_LINES: Final = msgspec.json.Decoder(tuple[PricedLine, ...])


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """One message to be sent. number: later ones are higher. data: its body's ``data``, without number and address."""

    message_id: str
    number: int
    type: str
    order_id: str
    data: bytes
    tries: int
    made_at_ms: int


class Outbox:
    """The outbox on a pool. StorageUnknown when the database cannot be asked."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    # --- causes -----------------------------------------------------------------------------------

    async def take_causes(self, now_ms: int) -> int:
        """Turn news of orders into messages; answers how many were taken. An order of no warehouse with a line has none."""

        async def within() -> int:
            async with self._pool.acquire() as connection, connection.transaction():
                rows = await connection.fetch(CAUSES, CAUSES_MAX)
                if rows:
                    await _tell_orders(connection, rows, now_ms)
                return len(rows)

        return await known(within())

    async def take_products(self, connection_id: str, now_ms: int) -> int:
        """Tell a warehouse of the next products that changed; answers of how many SKUs it is told."""

        async def within() -> int:
            async with self._pool.acquire() as connection, connection.transaction():
                told = await connection.fetchval(TOLD_TO, connection_id, PRODUCT_MESSAGES_MAX)
                rows = [] if told is None else await connection.fetch(PRODUCTS, told, PRODUCTS_MAX)
                if rows:
                    await _tell_products(connection, connection_id, rows, now_ms)
                return len(rows)

        return await known(within())

    # --- sending ----------------------------------------------------------------------------------

    async def claim(self, connection_id: str, now_ms: int, limit: int) -> list[Outgoing]:
        """Messages to be sent now, ours for ``LEASE_MS``; of one order the first alone."""
        rows = await known(self._pool.fetch(CLAIM, connection_id, now_ms, limit, LEASE_MS))
        found = [Outgoing(**(dict(row) | {"data": row["data"].encode()})) for row in rows]
        return sorted(found, key=lambda message: message.number)

    async def done(self, message_id: str, now_ms: int) -> None:
        """The other side has it."""
        await known(self._pool.execute(DONE, message_id, now_ms))

    async def failed(self, message_id: str, reason: str, tries: int, due_ms: int | None, now_ms: int) -> None:
        """It was not taken, or nobody knows: to be tried again at ``due_ms``; None: it is dead."""
        state, ended = ("dead", now_ms) if due_ms is None else ("waiting", 0)
        await known(self._pool.execute(FAILED, message_id, state, reason[:300], tries, due_ms or now_ms, ended))

    async def let_go(self, message_ids: Sequence[str]) -> None:
        """Whoever is next may send these: they were not tried."""
        if message_ids:
            await known(self._pool.execute(LET_GO, list(message_ids)))

    async def line(self, connection_id: str) -> Line:
        """How calls to a warehouse have gone of late."""
        row = await known(self._pool.fetchrow(LINE, connection_id))
        return Line(**dict(row)) if row else Line()

    async def called(self, connection_id: str, error: str, now_ms: int) -> Line:
        """Write down how a call went (an empty error: well); answers the line after it."""

        async def within() -> Line:
            async with self._pool.acquire() as connection, connection.transaction():
                before = Line(**dict(await connection.fetchrow(LOCK_LINE, connection_id)))
                after = after_call(before, failed=bool(error), now_ms=now_ms)
                await connection.execute(SET_LINE, connection_id, after.failures, after.rests_until_ms, error[:300], now_ms)
                return after

        return await known(within())

    async def answered(self, connection_id: str) -> None:
        """The other side is there: failures before this do not count any more."""
        await known(self._pool.execute(WELL, connection_id))

    async def sealed_address(self, order_id: str) -> tuple[str, OrderPlaced | None]:
        """An order's buyer, and the order as it was placed; None when its record is only in the archive by now."""
        user_id = await known(self._pool.fetchval(BUYER, order_id)) or ""
        for row in await known(self._pool.fetch(RECORDS, user_id, RECORDS_MAX)):
            for event in body_decoder.decode(row["body"]).events:
                placed = event.draft if isinstance(event, OrderStarted) else event
                if isinstance(placed, OrderPlaced) and placed.order_id == order_id:
                    return user_id, placed
        return user_id, None

    async def forget(self, before_ms: int) -> None:
        """Drop some of what was sent long ago."""
        await known(self._pool.execute(FORGET, before_ms))


async def put(connection: Any, connection_id: str, cause: str, kind: str, data: msgspec.Struct, now_ms: int, order_id: str = "") -> bool:
    """Write a message in the transaction of its cause. False when this cause has one already."""
    message_id = id_of("msg", derived_id("wms.out", connection_id, cause))
    text = msgspec.json.encode(data).decode()
    return await connection.fetchval(INSERT, message_id, connection_id, cause, kind, order_id, text, now_ms) is not None


async def said_of(connection: Any, connection_id: str, cause: str) -> bytes | None:
    """What was said because of this."""
    found = await connection.fetchval(OF_CAUSE, connection_id, cause)
    return None if found is None else str(found).encode()


async def _tell_orders(connection: Any, causes: Sequence[Any], now_ms: int) -> None:
    lines = {row["warehouse_id"]: (row["connection_id"], row["warehouse_code"]) for row in await connection.fetch(OPEN_LINES)}
    paid = [row["order_id"] for row in causes if row["what"] == "paid"]
    orders = {row["order_id"]: (row, _LINES.decode(row["lines"])) for row in await connection.fetch(ORDERS, paid)}
    skus = {line.sku_id for _, order_lines in orders.values() for line in order_lines}
    codes = {row["sku_id"]: row["code"] for row in await connection.fetch(CODES, list(skus))}
    for row in causes:
        order_id = row["order_id"]
        if row["what"] == "paid" and order_id in orders:
            order, order_lines = orders[order_id]
            sources = msgspec.json.decode(order["sources"], type=_Sources)
            for number, (warehouse_id, parcel_lines) in enumerate(_by_warehouse(order_lines, sources, codes).items(), 1):
                if warehouse_id in lines:
                    connection_id, code = lines[warehouse_id]
                    parcel = Parcel(parcel=number, warehouse=code, lines=parcel_lines)
                    told = OrderToFulfil(
                        order_id=order_id, number=0, placed_at_ms=order["placed_at_ms"], priority=order["priority"], parcels=(parcel,)
                    )  # fmt: skip
                    await put(connection, connection_id, f"paid:{order_id}", "order.to_fulfil", told, now_ms, order_id)
        elif row["what"] == "ended":
            ended = OrderCancelled(order_id=order_id, number=0, reason=row["reason"])
            for told_to in await connection.fetch(TOLD, order_id):
                await put(connection, told_to["connection_id"], f"ended:{order_id}", "order.cancelled", ended, now_ms, order_id)
        await connection.execute(TAKE, order_id, row["what"])


def _by_warehouse(lines: Sequence[PricedLine], sources: _Sources, codes: dict[str, str]) -> dict[str, tuple[ShippedLine, ...]]:
    """Units by the warehouse that packs them, then by SKU code: articles of a flash sale are packed as what they are made from."""
    found: dict[str, dict[str, int]] = {}
    for number, line in enumerate(lines):
        named = [(warehouse_id, count) for at, warehouse_id, count in sources if at == number]
        rest = line.quantity - sum(count for _, count in named)
        code = codes.get(line.sku_id, line.sku_id)
        for warehouse_id, count in [*named, ("", rest)]:
            if count > 0:
                units = found.setdefault(warehouse_id, {})
                units[code] = units.get(code, 0) + count
    return {
        warehouse_id: tuple(ShippedLine(sku=code, quantity=count) for code, count in units.items())
        for warehouse_id, units in sorted(found.items())
    }


async def _tell_products(connection: Any, connection_id: str, rows: Sequence[Any], now_ms: int) -> None:
    until = rows[-1]["version"]
    seen = [
        ProductSeen(
            sku=row["sku"], title=row["title"], title_zh=row["title_zh"], barcode=row["barcode"], weight_g=row["weight_g"],
            offered=row["offered"],
        )
        for row in rows if row["sku"] is not None
    ]  # fmt: skip
    for start in range(0, len(seen), SKUS_MAX):
        told = ProductChanged(products=tuple(seen[start : start + SKUS_MAX]))
        await put(connection, connection_id, f"product:{until}:{start}", "product.changed", told, now_ms)
    await connection.execute(SET_TOLD, connection_id, until)
