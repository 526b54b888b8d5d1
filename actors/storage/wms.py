"""Lines to warehouses: who they are, by which secrets they are believed, and what staff see and do of what goes over them.

What arrives is in ``wms_inbox``, what is sent in ``wms_outbox``, counts and their differences in ``wms_counts``. Whatever staff
change is checked and written into the trail in its own transaction. Secrets are sealed and shown by nothing here.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from actors.domain.staff import Actor
from actors.storage.connect import known
from actors.storage.sealing import Sealer
from actors.storage.staff import Deed, NotDone, Staff
from schemas.wms import FOREVER_MS, Connection, ConnectionState, Letter, LineSeen, ShipmentSeen, Side

CONNECTIONS_MAX: Final = 100
"""Lines that are not closed: all of them are read at once."""

WAITING_SHOWN_MAX: Final = 10_001
"""Waiting messages are counted no further: who has more has too many."""

SECRETS_MAX: Final = 5
"""Live secrets of one side: each is a hash for every message."""

LIST: Final = f"""
SELECT c.connection_id, c.title, c.warehouse_id, c.warehouse_code, c.url, c.state, c.created_at_ms, l.failures, l.rests_until_ms,
    l.last_error, l.last_sent_ms, l.last_heard_ms, l.polled_at_ms,
    (SELECT count(*) FROM (SELECT FROM wms_inbox i WHERE i.connection_id = c.connection_id AND i.state = 'waiting'
        LIMIT {WAITING_SHOWN_MAX}) w) AS waiting,
    (SELECT count(*) FROM (SELECT FROM wms_inbox i WHERE i.connection_id = c.connection_id AND i.state = 'dead' LIMIT 1000) d)
    + (SELECT count(*) FROM (SELECT FROM wms_outbox o WHERE o.connection_id = c.connection_id AND o.state = 'dead' LIMIT 1000) d) AS dead
FROM wms_connection c JOIN wms_link l USING (connection_id)
WHERE ($1 = '' OR c.connection_id = $1) AND ($2 OR c.state <> 'closed') ORDER BY c.created_at_ms DESC, c.connection_id LIMIT 200"""
SECRETS: Final = "SELECT secret_id, connection_id, side, sealed FROM wms_secret WHERE until_ms > $1 ORDER BY made_at_ms DESC, secret_id"
COUNT: Final = "SELECT count(*) FROM wms_connection WHERE state <> 'closed'"
KNOWN: Final = "SELECT state FROM wms_connection WHERE connection_id = $1 FOR UPDATE"
INSERT: Final = """
INSERT INTO wms_connection (connection_id, title, warehouse_id, warehouse_code, url, state, created_at_ms)
VALUES ($1, $2, $3, $4, $5, 'active', $6) ON CONFLICT (connection_id) DO NOTHING RETURNING connection_id"""
INSERT_LINK: Final = "INSERT INTO wms_link (connection_id) VALUES ($1)"
TAKEN: Final = """
SELECT EXISTS (SELECT FROM wms_connection WHERE warehouse_id = $1 AND state <> 'closed' AND connection_id <> $2)"""
WAREHOUSE: Final = "SELECT EXISTS (SELECT FROM warehouse WHERE warehouse_id = $1)"
CHANGE: Final = "UPDATE wms_connection SET title = $2, url = $3, warehouse_code = $4, state = $5 WHERE connection_id = $1"
INSERT_SECRET: Final = """
INSERT INTO wms_secret (secret_id, connection_id, side, sealed, made_at_ms, until_ms) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT DO NOTHING RETURNING secret_id"""
END_SECRETS: Final = """
UPDATE wms_secret SET until_ms = least(until_ms, $3) WHERE connection_id = $1 AND side = $2 AND secret_id <> $4"""
END_OLDEST: Final = """
UPDATE wms_secret SET until_ms = least(until_ms, $3) WHERE secret_id IN (
    SELECT secret_id FROM wms_secret WHERE connection_id = $1 AND side = $2 AND until_ms > $3 ORDER BY made_at_ms DESC OFFSET $4
)"""
OLD_SECRETS: Final = "SELECT secret_id, sealed FROM wms_secret WHERE substr(sealed, 1, 2) <> $1 ORDER BY secret_id LIMIT 1000"
RESEAL: Final = "UPDATE wms_secret SET sealed = $2 WHERE secret_id = $1 AND sealed = $3"

_IN: Final = """letter_id, 'in' AS side, connection_id, message_id, type, state, reason, tries, received_at_ms AS at_ms, due_ms,
    ended_at_ms, '' AS order_id, (SELECT count(*) FROM wms_line l WHERE l.letter_id = i.letter_id AND l.state = 'dead') AS lines_dead"""
_OUT: Final = """message_id AS letter_id, 'out' AS side, connection_id, message_id, type, state, reason, tries, made_at_ms AS at_ms, due_ms,
    ended_at_ms, order_id, 0 AS lines_dead"""
LETTERS_IN: Final = f"""
SELECT {_IN} FROM wms_inbox i WHERE state = ANY($1::text[]) AND ($2 = '' OR connection_id = $2) AND (received_at_ms, letter_id) < ($3, $4)
ORDER BY received_at_ms DESC, letter_id DESC LIMIT $5"""
LETTERS_OUT: Final = f"""
SELECT {_OUT} FROM wms_outbox o WHERE state = ANY($1::text[]) AND ($2 = '' OR connection_id = $2) AND (made_at_ms, message_id) < ($3, $4)
ORDER BY made_at_ms DESC, message_id DESC LIMIT $5"""
LETTER_IN: Final = f"SELECT {_IN}, body FROM wms_inbox i WHERE letter_id = $1"
LETTER_OUT: Final = f"SELECT {_OUT}, data::text AS body FROM wms_outbox o WHERE message_id = $1"
LINES: Final = """
SELECT line, sku, change, sequence, state, reason, tries, due_ms FROM wms_line WHERE letter_id = $1 ORDER BY line LIMIT 1000"""
SHIPMENTS: Final = """
SELECT connection_id, shipment_id, order_id, parcel, state, carrier, tracking, lines::text AS lines, changed_at_ms, shipped_at_ms
FROM shipment WHERE ($1 = '' OR order_id = $1) AND (changed_at_ms, shipment_id) < ($2, $3)
ORDER BY changed_at_ms DESC, shipment_id DESC LIMIT $4"""

PURPOSE: Final = "wms_secret"
PERMISSION: Final = "wms.act"


class NewConnection(msgspec.Struct, frozen=True, kw_only=True):
    """A line to be opened. ours, theirs: its first secrets, in the clear."""

    connection_id: str
    title: str
    warehouse_id: str
    warehouse_code: str
    url: str
    ours: str
    theirs: str

    def __repr__(self) -> str:
        return f"NewConnection({self.connection_id})"


class Secrets(msgspec.Struct, frozen=True, kw_only=True):
    """The live secrets of a connection, the newest first: ``ours`` sign, ``theirs`` are believed."""

    ours: tuple[str, ...]
    theirs: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Secrets({len(self.ours)}, {len(self.theirs)})"


class Wms:
    """Lines on a pool. StorageUnknown when the database cannot be asked."""

    def __init__(self, pool: Any, sealer: Sealer, staff: Staff) -> None:
        self._pool = pool
        self._sealer = sealer
        self._staff = staff

    # --- what is there ----------------------------------------------------------------------------

    async def connections(self, *, closed: bool = False) -> list[Connection]:
        """All lines, the newest first."""
        return [Connection(**dict(row)) for row in await known(self._pool.fetch(LIST, "", closed))]

    async def connection(self, connection_id: str) -> Connection | None:
        """One line, also a closed one."""
        rows = await known(self._pool.fetch(LIST, connection_id, True))
        return Connection(**dict(rows[0])) if rows and connection_id else None

    async def secrets(self, now_ms: int) -> dict[str, Secrets]:
        """The live secrets of every connection, opened."""
        found: dict[str, dict[str, list[str]]] = {}
        for row in await known(self._pool.fetch(SECRETS, now_ms)):
            text = self._sealer.open(PURPOSE, row["secret_id"], row["sealed"])
            found.setdefault(row["connection_id"], {"ours": [], "theirs": []})[row["side"]].append(text)
        return {name: Secrets(ours=tuple(sides["ours"]), theirs=tuple(sides["theirs"])) for name, sides in found.items()}

    async def letters(
        self, side: Side, states: Sequence[str], connection_id: str, before_ms: int, before_id: str, limit: int
    ) -> list[Letter]:
        """Messages before one of them, the newest first, without their bodies. connection_id empty: of every line."""
        statement = LETTERS_IN if side == "in" else LETTERS_OUT
        rows = await known(self._pool.fetch(statement, list(states), connection_id, before_ms, before_id, limit))
        return [Letter(**dict(row)) for row in rows]

    async def letter(self, letter_id: str) -> tuple[Letter, tuple[LineSeen, ...]] | None:
        """One message with its body, and the changes of stock in it."""
        inbound = letter_id.startswith("wml_")
        row = await known(self._pool.fetchrow(LETTER_IN if inbound else LETTER_OUT, letter_id))
        if row is None:
            return None
        values = dict(row)
        if inbound:
            values["body"] = bytes(values["body"]).decode(errors="replace").replace("\0", "\ufffd")
        lines = await known(self._pool.fetch(LINES, letter_id)) if inbound else ()
        return Letter(**values), tuple(map(_line, lines))

    async def shipments(self, order_id: str, before_ms: int, before_id: str, limit: int) -> list[ShipmentSeen]:
        """Parcels that warehouses told of, those that changed last first. order_id empty: of every order."""
        rows = await known(self._pool.fetch(SHIPMENTS, order_id, before_ms, before_id, limit))
        return [ShipmentSeen(**(dict(row) | {"lines": msgspec.json.decode(row["lines"], type=_Lines)})) for row in rows]

    # --- what staff change ------------------------------------------------------------------------

    async def add(self, actor: Actor, new: NewConnection, reason: str, now_ms: int, request_id: str = "") -> bool:
        """Open a line. False when this one was opened before.

        NotDone: ``forbidden``, ``wms_warehouse_taken`` when another open line leads to the warehouse, ``wms_connections_full``,
        ``warehouse_unknown``.
        """

        async def change(connection: Any) -> bool:
            if await connection.fetchval(COUNT) >= CONNECTIONS_MAX:
                raise NotDone("wms_connections_full")
            if new.warehouse_id and not await connection.fetchval(WAREHOUSE, new.warehouse_id):
                raise NotDone("warehouse_unknown")
            if await connection.fetchval(TAKEN, new.warehouse_id, new.connection_id):
                raise NotDone("wms_warehouse_taken")
            values = (new.title, new.warehouse_id, new.warehouse_code, new.url, now_ms)
            if await connection.fetchval(INSERT, new.connection_id, *values) is None:
                return False
            await connection.execute(INSERT_LINK, new.connection_id)
            for side, secret in (("ours", new.ours), ("theirs", new.theirs)):
                await self._add_secret(connection, new.connection_id, f"{new.connection_id}.{side}", side, secret, now_ms)
            return True

        after = msgspec.json.encode({"url": new.url, "warehouse": new.warehouse_id}).decode()
        deed = Deed(permission=PERMISSION, target=new.connection_id, reason=reason, request_id=request_id, after=after)
        return await self._staff.do(actor, deed, change)

    async def change(
        self, actor: Actor, connection_id: str, title: str, url: str, code: str, state: ConnectionState, reason: str, request_id: str = ""
    ) -> None:
        """Change a line. NotDone: ``forbidden``, ``wms_connection_unknown``, also of a closed one: it stays as it is."""

        async def change(connection: Any) -> None:
            if await connection.fetchval(KNOWN, connection_id) in (None, "closed"):
                raise NotDone("wms_connection_unknown")
            await connection.execute(CHANGE, connection_id, title, url, code, state)

        async def state_of(connection: Any) -> str:
            row = await connection.fetchrow(
                "SELECT title, url, warehouse_code, state FROM wms_connection WHERE connection_id = $1", connection_id
            )
            return msgspec.json.encode(dict(row)).decode() if row else ""

        deed = Deed(permission=PERMISSION, target=connection_id, reason=reason, request_id=request_id)
        await self._staff.do(actor, deed, change, state_of)

    async def roll(
        self, actor: Actor, connection_id: str, secret_id: str, side: str, secret: str, old_until_ms: int, reason: str, now_ms: int,
        request_id: str = "",
    ) -> bool:  # fmt: skip
        """Let there be a new secret; those before it are good until ``old_until_ms``. False when this one was made before.

        NotDone: ``forbidden``, ``wms_connection_unknown``.
        """

        async def change(connection: Any) -> bool:
            if await connection.fetchval(KNOWN, connection_id) in (None, "closed"):
                raise NotDone("wms_connection_unknown")
            if not await self._add_secret(connection, connection_id, secret_id, side, secret, now_ms):
                return False
            await connection.execute(END_SECRETS, connection_id, side, old_until_ms, secret_id)
            await connection.execute(END_OLDEST, connection_id, side, now_ms, SECRETS_MAX)
            return True

        deed = Deed(permission=PERMISSION, target=connection_id, reason=reason, request_id=request_id, after=f"new secret: {side}")
        return await self._staff.do(actor, deed, change)

    async def _add_secret(self, connection: Any, connection_id: str, secret_id: str, side: str, secret: str, now_ms: int) -> bool:
        sealed = self._sealer.seal(PURPOSE, secret_id, secret)
        return await connection.fetchval(INSERT_SECRET, secret_id, connection_id, side, sealed, now_ms, FOREVER_MS) is not None


class _Kind(msgspec.Struct, frozen=True, kw_only=True):
    """What is shown of a change."""

    kind: str
    quantity: int


_Lines = tuple[tuple[str, int], ...]


def _line(row: Any) -> LineSeen:
    values = dict(row)
    change = msgspec.json.decode(values.pop("change"), type=_Kind)
    return LineSeen(**values, kind=change.kind, quantity=change.quantity)


async def reseal_wms(connection: Any, sealer: Sealer) -> int:
    """Seal with the current key what was sealed with an older one; answers how many. May be ended at any moment."""
    count, mark = 0, bytes((1, sealer.current))
    while rows := await connection.fetch(OLD_SECRETS, mark):
        for row in rows:
            text = sealer.open(PURPOSE, row["secret_id"], row["sealed"])
            await connection.execute(RESEAL, row["secret_id"], sealer.seal(PURPOSE, row["secret_id"], text), row["sealed"])
            count += 1
    return count
