"""Proposals out of what the rules say: opened, brought up to date, and expired where it is no longer so. One open per product and rule.

    open -> accepted (its action is under way) -> done        staff
    open -> dismissed                                          staff, with a reason
    open -> expired                                            the rule says no more

What was dismissed comes up again when its mark is another one, or ``rest_days`` later; what was done by a price or a bundle rests as
long. What was done by a purchase or a state shows at once in the facts, and needs no rest.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import structlog

from actors.domain.lifecycle import suggestions
from actors.domain.product_facts import DAY_MS
from schemas.ids import random_id
from schemas.watch import ProductFacts, Suggestion, Thresholds

log = structlog.get_logger("stampede.goods")

SETTINGS: Final = "SELECT scope, terms::text AS terms FROM watch_setting"
LAST: Final = """
SELECT DISTINCT ON (product_id, rule) product_id, rule, proposal_id, state, mark, decided_at_ms, action ->> 'type' AS kind
FROM proposal WHERE product_id = ANY($1::text[]) ORDER BY product_id, rule, state IN ('open', 'accepted') DESC, changed_at_ms DESC,
    opened_at_ms DESC, proposal_id"""
OPEN: Final = """
INSERT INTO proposal (proposal_id, product_id, rule, mark, action, evidence, opened_at_ms, changed_at_ms)
SELECT n.proposal_id, n.product_id, n.rule, n.mark, n.action::jsonb, n.evidence::jsonb, $7, $7
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
    AS n (proposal_id, product_id, rule, mark, action, evidence) ON CONFLICT DO NOTHING"""
CHANGE: Final = """
UPDATE proposal p SET mark = n.mark, action = n.action::jsonb, evidence = n.evidence::jsonb, changed_at_ms = $5
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS n (proposal_id, mark, action, evidence)
WHERE p.proposal_id = n.proposal_id AND p.state = 'open'"""
EXPIRE: Final = """
UPDATE proposal SET state = 'expired', changed_at_ms = $2, decided_at_ms = $2
WHERE proposal_id = ANY($1::text[]) AND state = 'open'"""

RESTING: Final = frozenset({"price", "bundle"})
"""Kinds of action after which the rule rests: whether it helped shows later."""

_TERMS: Final = msgspec.json.Decoder(dict[str, Any])


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The thresholds of the shop and of categories. scopes: what differs from the defaults, by category id, '' for the shop."""

    scopes: Mapping[str, Mapping[str, Any]]

    def of(self, category_ids: Sequence[str]) -> Thresholds:
        """What holds for a product: the nearest category that says something of a threshold, then the shop, then the default."""
        found: dict[str, Any] = {}
        for scope in ("", *reversed(category_ids)):
            found |= self.scopes.get(scope, {})
        return msgspec.convert(found, Thresholds)


async def read_settings(connection: Any) -> Settings:
    """All thresholds that somebody has set."""
    return Settings(scopes={row["scope"]: _TERMS.decode(row["terms"]) for row in await connection.fetch(SETTINGS)})


async def propose(connection: Any, found: Sequence[ProductFacts], settings: Settings, now_ms: int) -> int:
    """Open, change and expire proposals by the facts, within the caller's transaction; answers how many."""
    last: dict[str, dict[str, Any]] = {}
    for row in await connection.fetch(LAST, [one.product_id for one in found]):
        last.setdefault(row["product_id"], {})[row["rule"]] = row
    opened: list[tuple[str, ...]] = []
    changed: list[tuple[str, ...]] = []
    expired: list[str] = []
    by_path: dict[tuple[str, ...], Thresholds] = {}
    for facts in found:
        terms = by_path.get(facts.category_ids)
        if terms is None:
            terms = by_path[facts.category_ids] = settings.of(facts.category_ids)
        now, before = suggestions(facts, terms), last.get(facts.product_id, {})
        for rule, suggestion in now.items():
            row = before.get(rule)
            if row is not None and row["state"] == "open":
                if row["mark"] != suggestion.mark:
                    changed.append((row["proposal_id"], *_texts(suggestion)))
            elif row is None or _comes_up(row, suggestion, terms, now_ms):
                opened.append((random_id("prp"), facts.product_id, rule, *_texts(suggestion)))
        expired += [row["proposal_id"] for rule, row in before.items() if row["state"] == "open" and rule not in now]
    if opened:
        await connection.execute(OPEN, *(list(column) for column in zip(*opened, strict=True)), now_ms)
    if changed:
        await connection.execute(CHANGE, *(list(column) for column in zip(*changed, strict=True)), now_ms)
    if expired:
        await connection.execute(EXPIRE, expired, now_ms)
    return len(opened) + len(changed) + len(expired)


def _comes_up(row: Any, suggestion: Suggestion, terms: Thresholds, now_ms: int) -> bool:
    """Whether what was decided before lets the same product and rule come up again."""
    rested = now_ms - int(row["decided_at_ms"]) >= terms.rest_days * DAY_MS
    match row["state"]:
        case "dismissed":
            return rested or bool(row["mark"] != suggestion.mark)
        case "done":
            return rested or str(row["kind"]) not in RESTING
        case "expired":
            return True
        case _:
            return False


def _texts(suggestion: Suggestion) -> tuple[str, str, str]:
    evidence = {"why": suggestion.why, **suggestion.evidence}
    return suggestion.mark, msgspec.json.encode(suggestion.action).decode(), msgspec.json.encode(evidence).decode()
