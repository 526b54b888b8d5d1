"""What staff do to messages that ended badly: have them tried again, or dropped for a reason. Both are in the trail."""

from typing import Any, Final

import msgspec

from actors.domain.staff import Actor
from actors.domain.wms import EFFECT_MS_MAX
from actors.storage.staff import Deed, NotDone, Staff
from actors.storage.wms_outbox import put, said_of
from schemas.providers.wms import PurchaseOrder, StockAsk
from schemas.wms import Side

RETRIED_MAX: Final = 1000
"""Messages of one deed; whoever has more does it again."""

STATE_IN: Final = "SELECT state FROM wms_inbox WHERE letter_id = $1 FOR UPDATE"
STATE_OUT: Final = "SELECT state FROM wms_outbox WHERE message_id = $1 FOR UPDATE"
RETRY_LINES: Final = """
UPDATE wms_line SET state = 'waiting', reason = '', tries = 0, due_ms = $2, leased_until_ms = 0, ended_at_ms = 0
WHERE letter_id = ANY($1::text[]) AND state = 'dead' AND (first_try_ms = 0 OR first_try_ms > $2 - $3::bigint) RETURNING letter_id"""
HAS_LINES: Final = "SELECT DISTINCT letter_id FROM wms_line WHERE letter_id = ANY($1::text[])"
RETRY_IN: Final = """
UPDATE wms_inbox SET state = $2, reason = '', tries = 0, due_ms = $3, ended_at_ms = 0
WHERE letter_id = ANY($1::text[]) AND state = 'dead'"""
RETRY_OUT: Final = """
UPDATE wms_outbox SET state = 'waiting', reason = '', tries = 0, due_ms = $2, made_at_ms = $2, leased_until_ms = 0, ended_at_ms = 0
WHERE message_id = ANY($1::text[]) AND state = 'dead'"""
DEAD_IN: Final = """
SELECT letter_id FROM wms_inbox WHERE connection_id = $1 AND state = 'dead' ORDER BY letter_id LIMIT $2 FOR UPDATE"""
DEAD_OUT: Final = """
SELECT message_id AS letter_id FROM wms_outbox WHERE connection_id = $1 AND state = 'dead' ORDER BY message_id LIMIT $2 FOR UPDATE"""
DROP_LINES: Final = "UPDATE wms_line SET state = 'dropped', reason = $2, ended_at_ms = $3 WHERE letter_id = $1 AND state = 'dead'"
DROP_IN: Final = "UPDATE wms_inbox SET state = 'dropped', reason = $2, ended_at_ms = $3 WHERE letter_id = $1"
DROP_OUT: Final = "UPDATE wms_outbox SET state = 'dropped', reason = $2, ended_at_ms = $3 WHERE message_id = $1"
OPEN: Final = "SELECT EXISTS (SELECT FROM wms_connection WHERE connection_id = $1 AND state <> 'closed')"

PERMISSION: Final = "wms.act"


def side_of(letter_id: str) -> Side:
    """Whether a message was received or is ours."""
    return "in" if letter_id.startswith("wml_") else "out"


class Letters:
    """Deeds on a pool. StorageUnknown when the database cannot be asked."""

    def __init__(self, pool: Any, staff: Staff) -> None:
        self._pool = pool
        self._staff = staff

    async def retry(self, actor: Actor, letter_id: str, reason: str, now_ms: int, request_id: str = "") -> None:
        """Have a dead message tried again, from the first try on.

        NotDone: ``forbidden``, ``wms_letter_unknown``, ``wms_letter_state`` when it is not dead, ``wms_letter_too_late`` when it is not
        known whether it was carried out, and nobody would know it again.
        """

        async def change(connection: Any) -> None:
            side = side_of(letter_id)
            await _check_dead(connection, side, letter_id)
            if not await _retry(connection, side, [letter_id], now_ms):
                raise NotDone("wms_letter_too_late")

        deed = Deed(permission=PERMISSION, target=letter_id, reason=reason, request_id=request_id, before="dead", after="waiting")
        await self._staff.do(actor, deed, change)

    async def retry_all(self, actor: Actor, connection_id: str, side: Side, reason: str, now_ms: int, request_id: str = "") -> int:
        """The same of all dead messages of a line, as far as they can be; answers how many. NotDone ``forbidden``."""

        async def change(connection: Any) -> int:
            rows = await connection.fetch(DEAD_IN if side == "in" else DEAD_OUT, connection_id, RETRIED_MAX)
            return await _retry(connection, side, [row["letter_id"] for row in rows], now_ms)

        deed = Deed(permission=PERMISSION, target=connection_id, reason=reason, request_id=request_id, after=f"all dead, {side}: waiting")
        return await self._staff.do(actor, deed, change)

    async def drop(self, actor: Actor, letter_id: str, reason: str, now_ms: int, request_id: str = "") -> None:
        """Let a dead message be. It stays to be seen. NotDone: ``forbidden``, ``wms_letter_unknown``, ``wms_letter_state``."""

        async def change(connection: Any) -> None:
            side = side_of(letter_id)
            await _check_dead(connection, side, letter_id)
            if side == "in":
                await connection.execute(DROP_LINES, letter_id, reason, now_ms)
            await connection.execute(DROP_IN if side == "in" else DROP_OUT, letter_id, reason, now_ms)

        deed = Deed(permission=PERMISSION, target=letter_id, reason=reason, request_id=request_id, before="dead", after="dropped")
        await self._staff.do(actor, deed, change)

    async def ask_stock(
        self, actor: Actor, connection_id: str, key: str, ask: StockAsk, reason: str, now_ms: int, request_id: str = ""
    ) -> None:
        """Ask a warehouse for its counts; once for one ``key``. NotDone: ``forbidden``, ``wms_connection_unknown``."""

        async def change(connection: Any) -> None:
            await _check_open(connection, connection_id)
            await put(connection, connection_id, f"ask:{key}", "stock.ask", ask, now_ms)

        deed = Deed(permission=PERMISSION, target=connection_id, reason=reason, request_id=request_id, after="stock.ask")
        await self._staff.do(actor, deed, change)

    async def purchase(
        self, actor: Actor, connection_id: str, order: PurchaseOrder, reason: str, now_ms: int, request_id: str = ""
    ) -> None:
        """Tell a warehouse of goods that will come; once for one reference.

        NotDone: ``forbidden``, ``wms_connection_unknown``, ``wms_reference_used`` for another order under the same reference.
        """

        async def change(connection: Any) -> None:
            await _check_open(connection, connection_id)
            cause = f"purchase:{order.reference}"
            if not await put(connection, connection_id, cause, "purchase_order", order, now_ms) and not await _same(
                connection, connection_id, cause, order
            ):
                raise NotDone("wms_reference_used")

        deed = Deed(permission=PERMISSION, target=connection_id, reason=reason, request_id=request_id, after=order.reference)
        await self._staff.do(actor, deed, change)


async def _check_open(connection: Any, connection_id: str) -> None:
    if not await connection.fetchval(OPEN, connection_id):
        raise NotDone("wms_connection_unknown")


async def _check_dead(connection: Any, side: Side, letter_id: str) -> None:
    state = await connection.fetchval(STATE_IN if side == "in" else STATE_OUT, letter_id)
    if state is None:
        raise NotDone("wms_letter_unknown")
    if state != "dead":
        raise NotDone("wms_letter_state")


async def _retry(connection: Any, side: Side, letter_ids: list[str], now_ms: int) -> int:
    """How many of these dead messages are waiting now."""
    if side == "out":
        return int((await connection.execute(RETRY_OUT, letter_ids, now_ms)).split()[-1])
    retried = {row["letter_id"] for row in await connection.fetch(RETRY_LINES, letter_ids, now_ms, EFFECT_MS_MAX)}
    opened = {row["letter_id"] for row in await connection.fetch(HAS_LINES, letter_ids)}
    await connection.execute(RETRY_IN, sorted(retried), "open", now_ms)
    whole = sorted(set(letter_ids) - opened)
    await connection.execute(RETRY_IN, whole, "waiting", now_ms)
    return len(retried) + len(whole)


async def _same(connection: Any, connection_id: str, cause: str, order: PurchaseOrder) -> bool:
    said = await said_of(connection, connection_id, cause)
    return said is not None and msgspec.json.decode(said, type=PurchaseOrder) == order
