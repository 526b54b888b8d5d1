"""What the watch has found, for people: proposals with their evidence, the overview with series for pictures, facts and thresholds.

Plain reads; pages and the API are made of them. What staff decide is in ``proposal_actions``, how proposals come to be in ``watch/``.
"""

from typing import Any, Final

import msgspec

from actors.domain.product_facts import DAY_MS
from actors.domain.staff import Actor
from actors.storage.connect import known
from actors.storage.staff import Deed, NotDone, Staff
from actors.storage.watch.proposing import read_settings
from schemas.watch import Action, ProductFacts, ProposalState, Rule, Thresholds

SERIES_DAYS: Final = 28
LIST_MAX: Final = 10
"""Products in each list of the overview."""
SHOP: Final = "shop"
"""How the API names the thresholds of the whole shop; in the table their scope is empty."""

_PROPOSAL: Final = """
SELECT o.proposal_id, o.product_id, p.title, p.title_zh, o.rule, o.state, o.mark, o.action::text AS action, o.evidence::text AS evidence,
    o.opened_at_ms, o.changed_at_ms, o.decided_by, o.decided_at_ms, o.reason, o.result
FROM proposal o JOIN product p USING (product_id)"""
PROPOSALS: Final = f"""{_PROPOSAL}
WHERE ($1 = '' OR o.state = $1) AND ($2 = '' OR o.rule = $2) AND ($3 = '' OR o.product_id = $3)
    AND (o.opened_at_ms, o.proposal_id) < ($4::bigint, $5::text) ORDER BY o.opened_at_ms DESC, o.proposal_id DESC LIMIT $6"""
PROPOSAL: Final = f"{_PROPOSAL} WHERE o.proposal_id = $1"
COUNTS: Final = "SELECT rule, state, count(*) AS n FROM proposal GROUP BY rule, state"
_LINE: Final = """
SELECT f.product_id, p.title, p.title_zh, f.units_7, f.units_28, f.trend, f.available, f.days_of_cover
FROM product_fact f JOIN product p USING (product_id)"""
TOP: Final = f"{_LINE} WHERE f.units_7 > 0 ORDER BY f.units_7 DESC, f.product_id LIMIT $1"
RISING: Final = f"{_LINE} WHERE f.units_7 >= $2 AND f.trend > 1 ORDER BY f.trend DESC, f.units_7 DESC, f.product_id LIMIT $1"
FALLING: Final = f"""{_LINE}
WHERE f.units_28 >= $2 AND f.trend < 1 AND f.state = 'on_shelf' ORDER BY f.trend, f.units_28 DESC, f.product_id LIMIT $1"""
LOW: Final = f"""{_LINE}
WHERE f.product_id IN (SELECT product_id FROM proposal WHERE state IN ('open', 'accepted') AND rule = 'low_stock')
ORDER BY f.days_of_cover, f.units_28 DESC, f.product_id LIMIT $1"""
SERIES: Final = """
SELECT s.product_id, d.day, sum(d.units)::bigint AS units FROM sku s JOIN sku_day d USING (sku_id)
WHERE s.product_id = ANY($1::text[]) AND d.day > $2::integer - $3::integer AND d.day <= $2 GROUP BY 1, 2"""
STATE: Final = "SELECT ended_at_ms, reason, (SELECT count(*) FROM product_fact_due) AS due, recount FROM watch_state"
FACTS: Final = "SELECT facts::text AS facts, refreshed_ms FROM product_fact WHERE product_id = $1"
SETTING: Final = "SELECT terms::text FROM watch_setting WHERE scope = $1"
SET: Final = """
INSERT INTO watch_setting (scope, terms, changed_by, changed_at_ms) VALUES ($1, $2::jsonb, $3, $4)
ON CONFLICT (scope) DO UPDATE SET terms = excluded.terms, changed_by = excluded.changed_by, changed_at_ms = excluded.changed_at_ms"""
UNSET: Final = "DELETE FROM watch_setting WHERE scope = $1"
CATEGORY_PATH: Final = """
WITH RECURSIVE up AS (
    SELECT category_id, parent_id, 1 AS place FROM category WHERE category_id = $1
    UNION ALL SELECT c.category_id, c.parent_id, up.place + 1 FROM category c JOIN up ON c.category_id = up.parent_id WHERE up.place < 100
) SELECT category_id FROM up ORDER BY place"""
LOOK_AT_ALL: Final = "UPDATE watch_state SET goods_version = 0"
"""The next round finds every product due: rules or thresholds are others."""

_ACTION: Final = msgspec.json.Decoder(Action)
_EVIDENCE: Final = msgspec.json.Decoder(dict[str, int | float | str | bool | list[str]])
_FACTS: Final = msgspec.json.Decoder(ProductFacts)


class ProposalRow(msgspec.Struct, frozen=True, kw_only=True):
    """One proposal. why, of the evidence: a word for the case. Times in UTC, ms; decided_*: 0 and empty while it is open.

    result: what its action made (a revision's number, a purchase, a coupon).
    """

    proposal_id: str
    product_id: str
    title: str
    title_zh: str
    rule: Rule
    state: ProposalState
    mark: str
    action: Action
    evidence: dict[str, int | float | str | bool | list[str]]
    opened_at_ms: int
    changed_at_ms: int
    decided_by: str
    decided_at_ms: int
    reason: str
    result: str


class Mover(msgspec.Struct, frozen=True, kw_only=True):
    """A product in a list of the overview. series: units a day of the last 28 days (UTC), today last."""

    product_id: str
    title: str
    title_zh: str
    units_7: int
    units_28: int
    trend: float
    available: int
    days_of_cover: float
    series: tuple[int, ...]


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """How goods are doing. counts: proposals by rule and state. due: products whose facts wait; ended_at_ms: of the last round, UTC."""

    counts: dict[str, dict[str, int]]
    top: tuple[Mover, ...]
    rising: tuple[Mover, ...]
    falling: tuple[Mover, ...]
    low_stock: tuple[Mover, ...]
    ended_at_ms: int
    due: int
    whole: bool


class KnownFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of a product, when they were made (UTC, ms), and its units a day of the last 28 days."""

    facts: ProductFacts
    refreshed_at_ms: int
    series: tuple[int, ...]


class ThresholdsSet(msgspec.Struct, frozen=True, kw_only=True):
    """The thresholds of a scope: what it says itself, and what holds there."""

    scope: str
    own: dict[str, int]
    effective: Thresholds


class Lifecycle:
    """Reads on a pool, and the thresholds. StorageUnknown when the database cannot be asked."""

    def __init__(self, pool: Any, staff: Staff) -> None:
        self._pool = pool
        self._staff = staff

    async def proposals(
        self, *, state: str = "", rule: str = "", product_id: str = "", before: tuple[int, str] = (2**62, ""), limit: int = 20
    ) -> list[ProposalRow]:
        """Proposals, the newest first, before (opened_at_ms, proposal_id). Empty filters take everything."""
        rows = await known(self._pool.fetch(PROPOSALS, state, rule, product_id, *before, limit))
        return [proposal_of(row) for row in rows]

    async def proposal(self, proposal_id: str) -> ProposalRow | None:
        """One proposal."""
        row = await known(self._pool.fetchrow(PROPOSAL, proposal_id))
        return None if row is None else proposal_of(row)

    async def overview(self, now_ms: int, *, limit: int = LIST_MAX, units_min: int = 5) -> Overview:
        """Counts and lists. units_min: fewer in seven days (rising) or in 28 (falling) are nothing to speak of."""

        async def within() -> Overview:
            async with self._pool.acquire() as connection:
                counts: dict[str, dict[str, int]] = {}
                for row in await connection.fetch(COUNTS):
                    counts.setdefault(row["rule"], {})[row["state"]] = row["n"]
                lists = [
                    await connection.fetch(TOP, limit),
                    await connection.fetch(RISING, limit, units_min),
                    await connection.fetch(FALLING, limit, units_min),
                    await connection.fetch(LOW, limit),
                ]
                series = await _series(connection, [row["product_id"] for rows in lists for row in rows], now_ms)
                top, rising, falling, low = (tuple(Mover(**dict(row), series=series[row["product_id"]]) for row in rows) for rows in lists)
                state = await connection.fetchrow(STATE)
                return Overview(
                    counts=counts, top=top, rising=rising, falling=falling, low_stock=low, ended_at_ms=state["ended_at_ms"],
                    due=state["due"], whole=not state["recount"] and not state["reason"],
                )  # fmt: skip

        return await known(within())

    async def facts(self, product_id: str, now_ms: int) -> KnownFacts | None:
        """What is known of a product; None until a round has looked at it."""

        async def within() -> KnownFacts | None:
            async with self._pool.acquire() as connection:
                row = await connection.fetchrow(FACTS, product_id)
                if row is None:
                    return None
                series = await _series(connection, [product_id], now_ms)
                return KnownFacts(facts=_FACTS.decode(row["facts"]), refreshed_at_ms=row["refreshed_ms"], series=series[product_id])

        return await known(within())

    async def thresholds(self, scope: str) -> ThresholdsSet:
        """Those of the shop (``shop``) or of a category. NotDone ``category_unknown``."""

        async def within() -> ThresholdsSet:
            async with self._pool.acquire() as connection:
                path = await _path(connection, scope)
                settings = await read_settings(connection)
                own = settings.scopes.get("" if scope == SHOP else scope, {})
                return ThresholdsSet(scope=scope, own=dict(own), effective=settings.of(path))

        return await known(within())

    async def set_thresholds(self, actor: Actor, scope: str, own: dict[str, int] | None, deed: Deed, now_ms: int) -> None:
        """Let these hold in a scope, beside what is above it; None takes all of its own away. A staff action.

        own: of the fields of Thresholds, valid. NotDone: ``forbidden``, ``category_unknown``.
        """
        name = "" if scope == SHOP else scope

        async def change(connection: Any) -> None:
            await _path(connection, scope)
            if own:
                await connection.execute(SET, name, msgspec.json.encode(own).decode(), actor.user_id, now_ms)
            else:
                await connection.execute(UNSET, name)
            await connection.execute(LOOK_AT_ALL)

        async def state(connection: Any) -> str:
            return str(await connection.fetchval(SETTING, name) or "{}")

        await self._staff.do(actor, deed, change, state)


def proposal_of(row: Any) -> ProposalRow:
    """A row of ``proposal`` with its product's titles."""
    return ProposalRow(**(dict(row) | {"action": _ACTION.decode(row["action"]), "evidence": _EVIDENCE.decode(row["evidence"])}))


async def _path(connection: Any, scope: str) -> tuple[str, ...]:
    if scope == SHOP:
        return ()
    found = tuple(row["category_id"] for row in await connection.fetch(CATEGORY_PATH, scope))
    if not found:
        raise NotDone("category_unknown")
    return found


async def _series(connection: Any, product_ids: list[str], now_ms: int) -> dict[str, tuple[int, ...]]:
    today = now_ms // DAY_MS
    found = {product_id: [0] * SERIES_DAYS for product_id in product_ids}
    for row in await connection.fetch(SERIES, list(found), today, SERIES_DAYS):
        found[row["product_id"]][row["day"] - today - 1] = row["units"]
    return {product_id: tuple(units) for product_id, units in found.items()}
