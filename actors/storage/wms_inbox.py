"""What warehouses said: stored under (connection, message id) before it is acknowledged, then taken apart and carried out once.

A message that changes stock becomes lines, each with a command id of its own, so that whatever is repeated (a webhook, the same
change by polling, this process after a crash) meets the effect that it had. Numbered changes of a SKU are given out one after the
other; of two with one number the second is a duplicate. A claim is a lease: whoever dies leaves it to the next.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import structlog

from actors.domain.wms import GAP_ASK_MS, GAP_MS_MAX, changes_of, effect_of, wait_ms
from actors.storage.connect import known
from schemas.ids import random_id
from schemas.providers.wms import Change, Envelope, Inbound, Receipt, Shipment, StockDelta, StockSnapshot

log = structlog.get_logger("stampede.wms")

OPENED_MAX: Final = 20
"""Messages taken apart in one transaction."""

LINES_MAX: Final = 20_000
"""Changes of one warehouse that wait; messages with more of them stay closed meanwhile."""

LEASE_MS: Final = 60_000
"""Longer than the deadline of everything that is asked under it."""

STORE: Final = """
INSERT INTO wms_inbox (letter_id, connection_id, message_id, type, via, body, received_at_ms, due_ms)
SELECT l.letter_id, $1, l.message_id, '', $2, l.body, $3, $3 FROM unnest($4::text[], $5::text[], $6::bytea[])
    AS l (letter_id, message_id, body)
ON CONFLICT (connection_id, message_id) DO NOTHING RETURNING letter_id"""
HEARD: Final = "UPDATE wms_link SET last_heard_ms = $2::bigint WHERE connection_id = $1 AND last_heard_ms < $2::bigint - 1000"
ADVANCE: Final = """
UPDATE wms_link SET cursor = $3, polled_at_ms = $4 WHERE connection_id = $1 AND cursor = $2 RETURNING connection_id"""
POLL: Final = """
UPDATE wms_link SET poll_due_ms = $3 WHERE connection_id = $1 AND poll_due_ms <= $2 AND rests_until_ms <= $2 RETURNING cursor"""
NEXT: Final = f"""
SELECT letter_id, message_id, body, tries, received_at_ms FROM wms_inbox WHERE connection_id = $1 AND state = 'waiting' AND due_ms <= $2
    AND (SELECT count(*) FROM (SELECT FROM wms_line WHERE connection_id = $1 AND state = 'waiting' LIMIT {LINES_MAX}) l) < {LINES_MAX}
ORDER BY due_ms, letter_id LIMIT $3 FOR UPDATE SKIP LOCKED"""
MARK: Final = """
UPDATE wms_inbox SET state = $2, type = CASE WHEN $3 = '' THEN type ELSE $3 END, reason = $4, tries = $5, due_ms = $6, ended_at_ms = $7
WHERE letter_id = $1"""
INSERT_LINES: Final = """
INSERT INTO wms_line (letter_id, line, connection_id, message_id, sku, sequence, effect, change, warehouse, occurred_at_ms, received_at_ms,
    due_ms, state, reason, ended_at_ms)
SELECT $1, l.line, $2, $3, l.sku, l.sequence, l.effect, l.change, $4, $5, $6::bigint, $6::bigint, l.state, l.reason,
    CASE WHEN l.state = 'waiting' THEN 0 ELSE $6::bigint END
FROM unnest($7::integer[], $8::text[], $9::bigint[], $10::bigint[], $11::bytea[], $12::text[], $13::text[])
    AS l (line, sku, sequence, effect, change, state, reason)
ON CONFLICT DO NOTHING RETURNING line"""
PUT_SHIPMENT: Final = """
INSERT INTO shipment AS s (connection_id, shipment_id, number, order_id, parcel, state, carrier, tracking, lines, changed_at_ms,
    shipped_at_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::jsonb, $10, $11)
ON CONFLICT (connection_id, shipment_id) DO UPDATE SET number = excluded.number, state = excluded.state, carrier = excluded.carrier,
    tracking = excluded.tracking, lines = excluded.lines, changed_at_ms = excluded.changed_at_ms,
    shipped_at_ms = CASE WHEN s.shipped_at_ms > 0 THEN s.shipped_at_ms ELSE excluded.shipped_at_ms END
WHERE s.number < excluded.number AND s.order_id = excluded.order_id"""
SHIPMENT_OF: Final = "SELECT order_id FROM shipment WHERE connection_id = $1 AND shipment_id = $2"
PUT_SNAPSHOT: Final = """
INSERT INTO wms_snapshot AS s (connection_id, snapshot_id, taken_at_ms, pages, complete, seen)
VALUES ($1, $2, $3, $4, $5, ARRAY[$6::integer]) ON CONFLICT (connection_id, snapshot_id) DO UPDATE
SET seen = CASE WHEN $6::integer = ANY(s.seen) THEN s.seen ELSE s.seen || $6::integer END
WHERE s.taken_at_ms = excluded.taken_at_ms AND s.pages = excluded.pages AND s.complete = excluded.complete RETURNING cardinality(seen)"""
PUT_COUNTS: Final = """
INSERT INTO wms_count (connection_id, snapshot_id, sku, on_hand)
SELECT $1, $2, c.sku, sum(c.on_hand) FROM unnest($3::text[], $4::bigint[]) AS c (sku, on_hand) GROUP BY c.sku
ON CONFLICT (connection_id, snapshot_id, sku) DO UPDATE SET on_hand = excluded.on_hand"""
SEED_POSITIONS: Final = """
INSERT INTO wms_position (connection_id, sku, sequence)
SELECT $1, c.sku, max(c.sequence) FROM unnest($2::text[], $3::bigint[]) AS c (sku, sequence) WHERE c.sequence > 0
AND NOT EXISTS (SELECT FROM wms_line l WHERE l.connection_id = $1 AND l.sku = c.sku AND l.sequence > 0)
GROUP BY c.sku ON CONFLICT DO NOTHING"""
CLAIM: Final = """
WITH due AS (
    SELECT l.letter_id, l.line, l.first_try_ms FROM wms_line l
    LEFT JOIN wms_position p ON p.connection_id = l.connection_id AND p.sku = l.sku
    WHERE l.connection_id = $1 AND l.state = 'waiting' AND l.due_ms <= $2 AND l.leased_until_ms <= $2
        AND (l.sequence <= coalesce(p.sequence, 0) + 1 OR l.received_at_ms <= $2 - $5::bigint)
    ORDER BY l.received_at_ms, l.sequence, l.letter_id, l.line LIMIT $3 FOR UPDATE OF l SKIP LOCKED
)
UPDATE wms_line l SET leased_until_ms = $2 + $4::bigint, first_try_ms = CASE WHEN l.first_try_ms = 0 THEN $2 ELSE l.first_try_ms END
FROM due WHERE l.letter_id = due.letter_id AND l.line = due.line
RETURNING l.letter_id, l.line, l.message_id, l.sku, l.sequence, l.change, l.part, l.tries, l.received_at_ms, due.first_try_ms"""
SET_PART: Final = "UPDATE wms_line SET part = $3 WHERE letter_id = $1 AND line = $2 AND state = 'waiting'"
FINISH: Final = """
UPDATE wms_line l SET state = r.state, reason = r.reason, tries = r.tries, due_ms = r.due_ms, part = r.part, leased_until_ms = 0,
    first_try_ms = CASE WHEN r.uncertain THEN l.first_try_ms ELSE 0 END,
    ended_at_ms = CASE WHEN r.state = 'waiting' THEN 0 ELSE $1::bigint END
FROM unnest($2::text[], $3::integer[], $4::text[], $5::text[], $6::integer[], $7::bigint[], $8::smallint[], $9::boolean[])
    AS r (letter_id, line, state, reason, tries, due_ms, part, uncertain)
WHERE l.letter_id = r.letter_id AND l.line = r.line AND l.state = 'waiting'"""
PASS: Final = """
INSERT INTO wms_position AS p (connection_id, sku, sequence)
SELECT connection_id, sku, max(sequence) FROM wms_line WHERE letter_id = ANY($1::text[]) AND sequence > 0 AND state <> 'waiting'
GROUP BY connection_id, sku
ON CONFLICT (connection_id, sku) DO UPDATE SET sequence = excluded.sequence WHERE p.sequence < excluded.sequence"""
LOCK_LETTERS: Final = "SELECT letter_id FROM wms_inbox WHERE letter_id = ANY($1::text[]) ORDER BY letter_id FOR UPDATE"
CLOSE: Final = """
UPDATE wms_inbox i SET ended_at_ms = $2,
    state = CASE WHEN EXISTS (SELECT FROM wms_line l WHERE l.letter_id = i.letter_id AND l.state = 'dead') THEN 'dead' ELSE 'done' END,
    reason = coalesce((SELECT l.reason FROM wms_line l WHERE l.letter_id = i.letter_id AND l.state = 'dead' ORDER BY l.line LIMIT 1), '')
WHERE i.letter_id = ANY($1::text[]) AND i.state = 'open'
    AND NOT EXISTS (SELECT FROM wms_line l WHERE l.letter_id = i.letter_id AND l.state = 'waiting')"""
ASK_FOR_GAPS: Final = """
WITH gaps AS (
    UPDATE wms_line l SET asked_for_gap = true WHERE l.connection_id = $1 AND l.state = 'waiting' AND NOT l.asked_for_gap AND l.sequence > 0
        AND l.received_at_ms <= $2 - $3::bigint AND l.sequence > 1 + coalesce(
            (SELECT p.sequence FROM wms_position p WHERE p.connection_id = l.connection_id AND p.sku = l.sku), 0)
    RETURNING l.sku
)
UPDATE wms_link SET poll_due_ms = least(poll_due_ms, $2) WHERE connection_id = $1 AND EXISTS (SELECT FROM gaps) RETURNING connection_id"""
ARTICLES: Final = """
SELECT code, sku_id, parts FROM sku WHERE code = ANY($1::text[]) AND sku_id NOT LIKE 'sku\\_s\\_%'"""
WAREHOUSES: Final = """
SELECT warehouse_code, warehouse_id FROM wms_connection WHERE state <> 'closed'
UNION ALL SELECT code, warehouse_id FROM warehouse WHERE code NOT IN (SELECT warehouse_code FROM wms_connection WHERE state <> 'closed')"""
FORGET: Final = """
DELETE FROM wms_inbox WHERE letter_id IN (
    SELECT letter_id FROM wms_inbox WHERE state IN ('done', 'dropped') AND received_at_ms < $1 ORDER BY received_at_ms LIMIT 500
)"""

Read = Callable[[bytes, str], "tuple[Envelope, Inbound] | str"]


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """One change that is to be carried out now. first_try_ms: 0, or when its owner was first asked."""

    letter_id: str
    line: int
    message_id: str
    sku: str
    sequence: int
    change: Change
    part: int
    tries: int
    received_at_ms: int
    first_try_ms: int


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one change. state: done, dead, or waiting until ``due_ms``. uncertain: it may have been done."""

    due: Due
    state: str
    reason: str = ""
    tries: int = 0
    due_ms: int = 0
    part: int = 0
    uncertain: bool = False


class Inbox:
    """The inbox on a pool. StorageUnknown when the database cannot be asked."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def store(self, connection_id: str, message_id: str, body: bytes, now_ms: int) -> bool:
        """Keep a webhook's message; False when it is there already."""

        async def within() -> bool:
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(HEARD, connection_id, now_ms)
                return bool(await _store(connection, connection_id, "webhook", [message_id], [body], now_ms))

        return await known(within())

    async def poll(self, connection_id: str, now_ms: int, next_ms: int) -> str | None:
        """The cursor to go on from, when it is time; the next time is then ``next_ms``. None: somebody else asks, or not yet."""
        found: str | None = await known(self._pool.fetchval(POLL, connection_id, now_ms, next_ms))
        return found

    async def store_page(
        self, connection_id: str, cursor: str, next_cursor: str, ids: Sequence[str], bodies: Sequence[bytes], now_ms: int
    ) -> int | None:
        """Keep a page of changes and the cursor behind it, both or neither; answers how many were new. None: somebody else was faster."""

        async def within() -> int | None:
            async with self._pool.acquire() as connection, connection.transaction():
                if await connection.fetchval(ADVANCE, connection_id, cursor, next_cursor, now_ms) is None:
                    return None
                return await _store(connection, connection_id, "poll", ids, bodies, now_ms)

        return await known(within())

    async def open_some(self, connection_id: str, warehouse_code: str, read: Read, now_ms: int, chance: float) -> int:
        """Take waiting messages apart; answers how many. ``read``: the message in a body, or what is wrong with it."""

        async def within() -> int:
            async with self._pool.acquire() as connection, connection.transaction():
                rows = await connection.fetch(NEXT, connection_id, now_ms, OPENED_MAX)
                for row in rows:
                    try:
                        async with connection.transaction():
                            await _open(connection, connection_id, warehouse_code, row, read, now_ms, chance)
                    except Exception:
                        if connection.is_closed():
                            raise
                        # What breaks on one message is that message's failure: it is dead in the end, and stops no other.
                        log.exception("wms_message_broke", connection=connection_id, message=row["message_id"])
                        await _again(connection, row, "", "internal_error", now_ms, chance)
                return len(rows)

        return await known(within())

    async def claim(self, connection_id: str, now_ms: int, limit: int) -> list[Due]:
        """Changes to be carried out now, theirs for ``LEASE_MS``. Of a numbered SKU the next one alone."""
        rows = await known(self._pool.fetch(CLAIM, connection_id, now_ms, limit, LEASE_MS, GAP_MS_MAX))
        found = [Due(**(dict(row) | {"change": msgspec.json.decode(row["change"], type=Change)})) for row in rows]
        return sorted(found, key=lambda due: (due.received_at_ms, due.sequence, due.letter_id, due.line))

    async def choose_part(self, due: Due, part: int) -> None:
        """Write down which part of the SKU is asked next, before it is."""
        await known(self._pool.execute(SET_PART, due.letter_id, due.line, part))

    async def finish(self, outcomes: Sequence[Outcome], now_ms: int) -> None:
        """Write down what became of changes, and end the messages that have none left."""
        if not outcomes:
            return
        letters = sorted({outcome.due.letter_id for outcome in outcomes})
        columns = zip(*(_row(outcome) for outcome in outcomes), strict=True)

        async def within() -> None:
            async with self._pool.acquire() as connection, connection.transaction():
                # The letters first: two workers with the last two changes of one see each other.
                await connection.fetch(LOCK_LETTERS, letters)
                await connection.execute(FINISH, now_ms, *map(list, columns))
                await connection.execute(PASS, letters)
                await connection.execute(CLOSE, letters, now_ms)

        await known(within())

    async def ask_for_gaps(self, connection_id: str, now_ms: int) -> bool:
        """Let the warehouse be asked at once where a number is missing for some seconds; True when it will be."""
        return await known(self._pool.fetchval(ASK_FOR_GAPS, connection_id, now_ms, GAP_ASK_MS)) is not None

    async def articles(self, codes: Sequence[str]) -> dict[str, tuple[str, int]]:
        """(article, parts) of each code that the catalogue has."""
        return {row["code"]: (row["sku_id"], row["parts"]) for row in await known(self._pool.fetch(ARTICLES, list(codes)))}

    async def warehouses(self) -> dict[str, str]:
        """The warehouse ids by the codes that the other sides know them by."""
        return {row["warehouse_code"]: row["warehouse_id"] for row in await known(self._pool.fetch(WAREHOUSES))}

    async def forget(self, before_ms: int) -> None:
        """Drop some of what ended long ago."""
        await known(self._pool.execute(FORGET, before_ms))


async def _store(connection: Any, connection_id: str, via: str, ids: Sequence[str], bodies: Sequence[bytes], now_ms: int) -> int:
    letters = [random_id("wml") for _ in ids]
    return len(await connection.fetch(STORE, connection_id, via, now_ms, letters, list(ids), list(bodies)))


async def _open(connection: Any, connection_id: str, code: str, row: Any, read: Read, now_ms: int, chance: float) -> None:
    letter_id = row["letter_id"]
    found = read(bytes(row["body"]), row["message_id"])
    if isinstance(found, str):
        await connection.execute(MARK, letter_id, "dead", "", found[:300], row["tries"] + 1, now_ms, now_ms)
        return
    envelope, message = found
    if not isinstance(message, Shipment) and message.warehouse not in ("", code):
        await _again(connection, row, envelope.type, "warehouse_unknown", now_ms, chance)
        return
    match message:
        case StockDelta() | Receipt():
            await open_lines(connection, connection_id, letter_id, row["message_id"], message, row["received_at_ms"])
            await connection.execute(MARK, letter_id, "open", envelope.type, "", row["tries"], now_ms, 0)
            await connection.execute(CLOSE, [letter_id], now_ms)
            return
        case Shipment():
            flaw = await _put_shipment(connection, connection_id, message)
        case StockSnapshot():
            flaw = await put_snapshot(connection, connection_id, message)
    state = "dead" if flaw else "done"
    await connection.execute(MARK, letter_id, state, envelope.type, flaw, row["tries"] + 1, now_ms, now_ms)


async def _again(connection: Any, row: Any, kind: str, reason: str, now_ms: int, chance: float) -> None:
    """What may become right by itself is tried again, and dead after the last try."""
    tries = row["tries"] + 1
    wait = wait_ms(tries, chance)
    state = "dead" if wait is None else "waiting"
    ended = now_ms if wait is None else 0
    await connection.execute(MARK, row["letter_id"], state, kind, reason, tries, now_ms + (wait or 0), ended)


async def open_lines(
    connection: Any, connection_id: str, letter_id: str, message_id: str, message: StockDelta | Receipt, received_at_ms: int
) -> None:
    """The changes of a message as lines. A number that was heard before makes a duplicate."""
    rows = [
        (line, change.sku, change.sequence, effect_of(change), msgspec.json.encode(change), "waiting", "")
        for line, change in enumerate(changes_of(message))
    ]
    head = (letter_id, connection_id, message_id, message.warehouse, message.occurred_at_ms, received_at_ms)
    taken = {row["line"] for row in await connection.fetch(INSERT_LINES, *head, *map(list, zip(*rows, strict=True)))}
    doubled = [(*row[:5], "duplicate", "number_heard_before") for row in rows if row[0] not in taken]
    if doubled:
        await connection.fetch(INSERT_LINES, *head, *map(list, zip(*doubled, strict=True)))


async def _put_shipment(connection: Any, connection_id: str, message: Shipment) -> str:
    """The newest word on a parcel stays. An older one changes nothing; one of another order is a flaw."""
    known_order = await connection.fetchval(SHIPMENT_OF, connection_id, message.shipment_id)
    if known_order is not None and known_order != message.order_id:
        return "shipment_of_another_order"
    lines = msgspec.json.encode([[line.sku, line.quantity] for line in message.lines]).decode()
    shipped_ms = message.occurred_at_ms if message.state not in ("packed", "cancelled") else 0
    await connection.execute(
        PUT_SHIPMENT, connection_id, message.shipment_id, message.number, message.order_id, message.parcel, message.state, message.carrier,
        message.tracking, lines, message.occurred_at_ms, shipped_ms,
    )  # fmt: skip
    return ""


async def put_snapshot(connection: Any, connection_id: str, message: StockSnapshot) -> str:
    """Keep a page of a count; once twice. Its numbers say from where on a SKU is followed of which nothing was heard yet."""
    if message.page > message.pages:
        return "page_past_the_last"
    head = (connection_id, message.snapshot_id, message.taken_at_ms, message.pages, message.complete, message.page)
    if await connection.fetchval(PUT_SNAPSHOT, *head) is None:
        return "page_of_another_count"
    skus = [count.sku for count in message.counts]
    await connection.execute(PUT_COUNTS, connection_id, message.snapshot_id, skus, [count.on_hand for count in message.counts])
    await connection.execute(SEED_POSITIONS, connection_id, skus, [count.sequence for count in message.counts])
    return ""


def _row(outcome: Outcome) -> tuple[Any, ...]:
    due = outcome.due
    times = (outcome.tries, outcome.due_ms, outcome.part, outcome.uncertain)
    return (due.letter_id, due.line, outcome.state, outcome.reason[:300], *times)
