"""Our counts against a warehouse's: taken at one point in time, what is on its way between the two allowed for, and put right.

Both count what is in one house. Ours is ``available + held + on its way between parts + sold and not yet shipped``: of the last we
know what the warehouse was told to pack, less what it said that it shipped. Theirs is of the moment T of its count. In flight is
what they count and we do not yet (changes of before T that wait here), less what we count and they did not (changes and shipments
of after T). The difference is theirs - (ours + in flight): what is carried out in the meantime changes ours and in flight by as
much, so that it stays the same, and may be applied later.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from actors.domain.staff import Actor
from actors.storage.connect import known
from actors.storage.staff import Deed, NotDone, Staff
from actors.storage.wms_inbox import INSERT_LINES, put_snapshot
from schemas.providers.wms import StockSnapshot
from schemas.wms import Difference, Reconciliation

LEASE_MS: Final = 60_000
COMPUTE_S_MAX: Final = 60.0
"""Of one comparison of a whole catalogue."""

BEGIN: Final = """
INSERT INTO wms_reconciliation (run_id, connection_id, state, made_by, made_at_ms, due_ms, snapshot_id)
VALUES ($1, $2, 'fetching', $3, $4, $4, $5) ON CONFLICT DO NOTHING RETURNING run_id"""
KNOWN: Final = "SELECT state FROM wms_connection WHERE connection_id = $1"
HAS_SNAPSHOT: Final = "SELECT cardinality(seen) = pages FROM wms_snapshot WHERE connection_id = $1 AND snapshot_id = $2"
CLAIM: Final = """
UPDATE wms_reconciliation SET leased_until_ms = $2 + $3::bigint, tries = tries + 1 WHERE run_id = (
    SELECT run_id FROM wms_reconciliation WHERE connection_id = $1 AND state = 'fetching' AND due_ms <= $2 AND leased_until_ms <= $2
    ORDER BY due_ms, run_id LIMIT 1 FOR UPDATE SKIP LOCKED
) RETURNING run_id, snapshot_id, tries"""
LATER: Final = """
UPDATE wms_reconciliation SET due_ms = $2, leased_until_ms = 0, reason = $3 WHERE run_id = $1 AND state = 'fetching'"""
FAIL: Final = """
UPDATE wms_reconciliation SET state = 'failed', leased_until_ms = 0, reason = $2 WHERE run_id = $1 AND state = 'fetching'"""
SET_SNAPSHOT: Final = "UPDATE wms_reconciliation SET snapshot_id = $2 WHERE run_id = $1 AND state = 'fetching'"
SEEN: Final = "SELECT pages, seen FROM wms_snapshot WHERE connection_id = $1 AND snapshot_id = $2"
UNOPENED: Final = "SELECT EXISTS (SELECT FROM wms_inbox WHERE connection_id = $1 AND state = 'waiting')"
COMPARE: Final = """
WITH snapshot AS (
    SELECT snapshot_id, taken_at_ms, complete FROM wms_snapshot WHERE connection_id = $2 AND snapshot_id = $3
), theirs AS (
    SELECT sku, on_hand FROM wms_count WHERE connection_id = $2 AND snapshot_id = $3
), told AS (
    SELECT o.order_id, line ->> 'sku' AS sku, sum((line ->> 'quantity')::bigint) AS units
    FROM wms_outbox o CROSS JOIN LATERAL jsonb_array_elements(o.data -> 'parcels') AS parcel
        CROSS JOIN LATERAL jsonb_array_elements(parcel -> 'lines') AS line
    WHERE o.connection_id = $2 AND o.type = 'order.to_fulfil' AND o.state <> 'dropped'
        AND NOT EXISTS (SELECT FROM wms_outbox e WHERE e.connection_id = $2 AND e.cause = 'ended:' || o.order_id)
    GROUP BY 1, 2
), shipped AS (
    SELECT s.order_id, line ->> 0 AS sku, sum((line ->> 1)::bigint) AS units,
        sum((line ->> 1)::bigint) FILTER (WHERE s.shipped_at_ms > (SELECT taken_at_ms FROM snapshot)) AS later
    FROM shipment s CROSS JOIN LATERAL jsonb_array_elements(s.lines) AS line
    WHERE s.connection_id = $2 AND s.shipped_at_ms > 0 GROUP BY 1, 2
), unshipped AS (
    SELECT t.sku, sum(greatest(t.units - coalesce(s.units, 0), 0)) AS units FROM told t LEFT JOIN shipped s USING (order_id, sku) GROUP BY 1
), levels AS (
    SELECT s.code AS sku, sum(CASE WHEN c.warehouse_id = '' THEN l.available + l.held + l.in_transit - coalesce(w.units, 0)
        ELSE coalesce(w.units, 0) END) AS units
    FROM wms_connection c CROSS JOIN sku s CROSS JOIN LATERAL generate_series(0, s.parts - 1) AS part
        JOIN stock_level l ON l.key = s.sku_id || '#' || part
        LEFT JOIN LATERAL (
            SELECT sum(n.available + n.held) AS units FROM stock_warehouse n
            WHERE n.key = l.key AND (c.warehouse_id = '' OR n.warehouse_id = c.warehouse_id)
        ) w ON true
    WHERE c.connection_id = $2 GROUP BY 1
), flying AS (
    SELECT sku, sum(units) AS units FROM (
        SELECT sku, effect AS units FROM wms_line
        WHERE connection_id = $2 AND state = 'waiting' AND occurred_at_ms <= (SELECT taken_at_ms FROM snapshot)
        UNION ALL
        SELECT sku, -effect FROM wms_line
        WHERE connection_id = $2 AND state = 'done' AND occurred_at_ms > (SELECT taken_at_ms FROM snapshot)
        UNION ALL
        SELECT sku, later FROM shipped WHERE later > 0
    ) AS each GROUP BY 1
), joined AS (
    SELECT sku, EXISTS (SELECT FROM sku s WHERE s.code = sku AND s.sku_id NOT LIKE 'sku\\_s\\_%') AS known,
        t.sku IS NOT NULL AS counted, coalesce(l.units, 0) + coalesce(u.units, 0) AS ours, coalesce(t.on_hand, 0) AS theirs,
        coalesce(f.units, 0) AS in_flight
    FROM theirs t FULL JOIN levels l USING (sku) FULL JOIN unshipped u USING (sku) FULL JOIN flying f USING (sku)
    WHERE t.sku IS NOT NULL OR (SELECT complete FROM snapshot)
)
INSERT INTO wms_difference (run_id, sku, known, ours, theirs, in_flight, difference, cause)
SELECT $1, sku, known, ours, theirs, in_flight, theirs - ours - in_flight,
    CASE WHEN theirs = ours + in_flight THEN CASE WHEN in_flight = 0 THEN 'matched' ELSE 'in_flight' END
        WHEN NOT known OR (ours = 0 AND in_flight = 0) THEN 'missing_here'
        WHEN NOT counted THEN 'missing_there' ELSE 'mismatch' END
FROM joined WHERE ours <> 0 OR theirs <> 0 OR in_flight <> 0"""
PREVIEW: Final = """
UPDATE wms_reconciliation SET state = 'preview', leased_until_ms = 0, reason = $4,
    taken_at_ms = (SELECT taken_at_ms FROM wms_snapshot WHERE connection_id = $2 AND snapshot_id = $3)
WHERE run_id = $1 AND state = 'fetching' RETURNING run_id"""
_RUN: Final = """
SELECT r.run_id, r.connection_id, r.state, r.reason, r.made_by, r.made_at_ms, r.snapshot_id, r.taken_at_ms,
    (SELECT count(*) FROM wms_difference d WHERE d.run_id = r.run_id) AS rows,
    (SELECT count(*) FROM wms_difference d WHERE d.run_id = r.run_id AND d.difference <> 0) AS different,
    (SELECT count(*) FROM wms_line l WHERE l.letter_id = 'wml_' || r.run_id AND l.state = 'done') AS adjusted,
    (SELECT count(*) FROM wms_line l WHERE l.letter_id = 'wml_' || r.run_id AND l.state IN ('dead', 'dropped')) AS refused
FROM wms_reconciliation r"""
RUNS: Final = f"{_RUN} WHERE (r.made_at_ms, r.run_id) < ($1, $2) ORDER BY r.made_at_ms DESC, r.run_id DESC LIMIT $3"
RUN: Final = f"{_RUN} WHERE r.run_id = $1"
DIFFERENCES: Final = """
SELECT d.sku, d.ours, d.theirs, d.in_flight, d.difference, d.cause,
    CASE WHEN l.state IS NULL THEN '' WHEN l.state IN ('dead', 'dropped') THEN l.reason ELSE l.state END AS applied
FROM wms_difference d LEFT JOIN wms_line l ON l.letter_id = 'wml_' || d.run_id AND l.sku = d.sku
WHERE d.run_id = $1 AND ($2 OR d.difference <> 0) AND d.sku > $3 ORDER BY d.sku LIMIT $4"""
LOCK_RUN: Final = "SELECT connection_id, state, made_at_ms, taken_at_ms FROM wms_reconciliation WHERE run_id = $1 FOR UPDATE"
LOCK_LINK: Final = "SELECT FROM wms_link WHERE connection_id = $1 FOR UPDATE"
APPLIED_SINCE: Final = """
SELECT EXISTS (SELECT FROM wms_reconciliation WHERE connection_id = $1 AND state = 'applied' AND applied_at_ms >= $2)"""
ADJUSTABLE: Final = "SELECT sku, difference FROM wms_difference WHERE run_id = $1 AND difference <> 0 AND known ORDER BY sku"
ADJUSTMENTS: Final = """
INSERT INTO wms_inbox (letter_id, connection_id, message_id, type, via, body, state, received_at_ms, due_ms)
VALUES ($1, $2, $3, 'reconciliation', 'count', ''::bytea, 'open', $4, $4)"""
DROP_DEAD: Final = """
UPDATE wms_line l SET state = 'dropped', reason = 'reconciled ' || $3, ended_at_ms = $4 FROM wms_difference d
WHERE l.connection_id = $1 AND l.state = 'dead' AND l.occurred_at_ms <= $2 AND d.run_id = $3 AND d.sku = l.sku AND d.known"""
DROP_LETTERS: Final = """
UPDATE wms_inbox i SET state = 'dropped', reason = 'reconciled ' || $2, ended_at_ms = $3 WHERE i.connection_id = $1 AND i.state = 'dead'
    AND EXISTS (SELECT FROM wms_line l WHERE l.letter_id = i.letter_id AND l.reason = 'reconciled ' || $2)
    AND NOT EXISTS (SELECT FROM wms_line l WHERE l.letter_id = i.letter_id AND l.state = 'dead')"""
APPLIED: Final = "UPDATE wms_reconciliation SET state = 'applied', applied_at_ms = $2 WHERE run_id = $1"
FORGET: Final = """
DELETE FROM wms_snapshot WHERE (connection_id, snapshot_id) IN (
    SELECT connection_id, snapshot_id FROM wms_snapshot WHERE taken_at_ms < $1 ORDER BY taken_at_ms LIMIT 10
)"""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A comparison that is under way. ``tries``: with this one."""

    run_id: str
    snapshot_id: str
    tries: int


class Counts:
    """Comparisons on a pool. StorageUnknown when the database cannot be asked."""

    def __init__(self, pool: Any, staff: Staff) -> None:
        self._pool = pool
        self._staff = staff

    # --- what staff ask for -----------------------------------------------------------------------

    async def begin(
        self, actor: Actor, run_id: str, connection_id: str, snapshot_id: str, reason: str, now_ms: int, request_id: str = ""
    ) -> None:
        """Have counts compared: with a count that was heard, or (empty) with a new one that is fetched. A repeat changes nothing.

        NotDone: ``forbidden``, ``wms_connection_unknown``, ``wms_snapshot_unknown`` also when it is not whole yet.
        """

        async def change(connection: Any) -> None:
            if await connection.fetchval(KNOWN, connection_id) in (None, "closed"):
                raise NotDone("wms_connection_unknown")
            if snapshot_id and not await connection.fetchval(HAS_SNAPSHOT, connection_id, snapshot_id):
                raise NotDone("wms_snapshot_unknown")
            await connection.fetchval(BEGIN, run_id, connection_id, actor.user_id, now_ms, snapshot_id)

        deed = Deed(permission="wms.act", target=connection_id, reason=reason, request_id=request_id, after=f"compare {run_id}")
        await self._staff.do(actor, deed, change)

    async def apply(self, actor: Actor, run_id: str, reason: str, now_ms: int, request_id: str = "") -> None:
        """Adjust our stock by the differences, each once, in the background; a repeat changes nothing.

        What was dead of changes that the warehouse has counted is dropped: it is in the difference. NotDone: ``forbidden``,
        ``wms_run_unknown``, ``wms_run_state`` when it is not a preview, ``wms_run_stale`` when another comparison was applied since.
        """

        async def change(connection: Any) -> None:
            run = await connection.fetchrow(LOCK_RUN, run_id)
            if run is None:
                raise NotDone("wms_run_unknown")
            if run["state"] == "applied":
                return
            if run["state"] != "preview":
                raise NotDone("wms_run_state")
            connection_id = run["connection_id"]
            # Two comparisons that found the same difference: only one of them puts it right.
            await connection.fetchrow(LOCK_LINK, connection_id)
            if await connection.fetchval(APPLIED_SINCE, connection_id, run["made_at_ms"]):
                raise NotDone("wms_run_stale")
            await _adjust(connection, run_id, connection_id, run["taken_at_ms"], now_ms)
            await connection.execute(APPLIED, run_id, now_ms)

        deed = Deed(permission="wms.act", target=run_id, reason=reason, request_id=request_id, after="applied")
        await self._staff.do(actor, deed, change)

    async def runs(self, before_ms: int, before_id: str, limit: int) -> list[Reconciliation]:
        """Comparisons before one of them, the newest first."""
        return [Reconciliation(**dict(row)) for row in await known(self._pool.fetch(RUNS, before_ms, before_id, limit))]

    async def run(self, run_id: str) -> Reconciliation | None:
        """One comparison."""
        row = await known(self._pool.fetchrow(RUN, run_id))
        return Reconciliation(**dict(row)) if row else None

    async def differences(self, run_id: str, *, matched: bool, after: str, limit: int) -> list[Difference]:
        """Its SKUs behind one of them, by code. matched: also those without a difference."""
        return [Difference(**dict(row)) for row in await known(self._pool.fetch(DIFFERENCES, run_id, matched, after, limit))]

    # --- what the work does -----------------------------------------------------------------------

    async def claim(self, connection_id: str, now_ms: int) -> Run | None:
        """The comparison of a connection that has waited longest, ours for ``LEASE_MS``."""
        row = await known(self._pool.fetchrow(CLAIM, connection_id, now_ms, LEASE_MS))
        return Run(**dict(row)) if row else None

    async def later(self, run_id: str, reason: str, due_ms: int | None) -> None:
        """Go on at ``due_ms``; None: it has failed."""
        if due_ms is None:
            await known(self._pool.execute(FAIL, run_id, reason[:300]))
        else:
            await known(self._pool.execute(LATER, run_id, due_ms, reason[:300]))

    async def keep_page(self, run_id: str, connection_id: str, page: StockSnapshot) -> str:
        """Keep a fetched page and whose it is; what is wrong with it, or empty."""

        async def within() -> str:
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(SET_SNAPSHOT, run_id, page.snapshot_id)
                return await put_snapshot(connection, connection_id, page)

        return await known(within())

    async def pages_missing(self, connection_id: str, snapshot_id: str) -> list[int]:
        """The pages of a count that are not here; the first one of a count that nobody knows."""
        row = await known(self._pool.fetchrow(SEEN, connection_id, snapshot_id))
        return [1] if row is None else sorted(set(range(1, row["pages"] + 1)) - set(row["seen"]))

    async def unopened(self, connection_id: str) -> bool:
        """Whether messages wait whose changes nobody knows yet."""
        return bool(await known(self._pool.fetchval(UNOPENED, connection_id)))

    async def compare(self, run_id: str, connection_id: str, snapshot_id: str, reason: str = "") -> None:
        """Write the differences down, all or none, as of one moment."""
        async with self._pool.acquire() as connection, connection.transaction(isolation="repeatable_read"):
            if await connection.fetchval(PREVIEW, run_id, connection_id, snapshot_id, reason) is not None:
                await connection.execute(COMPARE, run_id, connection_id, snapshot_id, timeout=COMPUTE_S_MAX)

    async def forget(self, before_ms: int) -> None:
        """Drop some counts that were taken long ago. Comparisons stay."""
        await known(self._pool.execute(FORGET, before_ms))


async def _adjust(connection: Any, run_id: str, connection_id: str, taken_at_ms: int, now_ms: int) -> None:
    """The differences as lines of a message to ourselves: they have their effect once, as everybody's."""
    rows: Sequence[Any] = await connection.fetch(ADJUSTABLE, run_id)
    await connection.execute(DROP_DEAD, connection_id, taken_at_ms, run_id, now_ms)
    await connection.execute(DROP_LETTERS, connection_id, run_id, now_ms)
    if not rows:
        return
    letter_id = f"wml_{run_id}"
    await connection.execute(ADJUSTMENTS, letter_id, connection_id, letter_id, now_ms)
    changes = [
        msgspec.json.encode({"sku": row["sku"], "kind": "adjustment", "quantity": row["difference"], "reference": run_id}) for row in rows
    ]
    count, texts = len(rows), [row["sku"] for row in rows]
    numbers, effects = [0] * count, [row["difference"] for row in rows]
    await connection.fetch(
        INSERT_LINES, letter_id, connection_id, letter_id, "", taken_at_ms, now_ms, list(range(count)), texts, numbers, effects, changes,
        ["waiting"] * count, [""] * count,
    )  # fmt: skip
