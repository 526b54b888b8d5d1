"""Tags by rule: who gets one and who loses it, written with one statement a table, and only where something changes."""

from collections.abc import Sequence
from typing import Any, Final

import structlog

from actors.domain.tag_rules import RuleFlaw, TagJudge, TagTerms, context_of
from schemas.watch import ProductFacts

log = structlog.get_logger("stampede.goods")

RULES: Final = "SELECT tag_id, rule, keep_rule, position FROM tag WHERE rule <> '' ORDER BY position, tag_id"
HELD: Final = "SELECT product_id, tag_id, given_by FROM product_tag WHERE product_id = ANY($1::text[])"
GIVE: Final = """
INSERT INTO product_tag (product_id, tag_id, given_by, since_ms)
SELECT product_id, tag_id, 'rule', $3 FROM unnest($1::text[], $2::text[]) AS n (product_id, tag_id) JOIN tag USING (tag_id)
ON CONFLICT DO NOTHING"""
TAKE: Final = """
DELETE FROM product_tag t USING unnest($1::text[], $2::text[]) AS n (product_id, tag_id)
WHERE t.product_id = n.product_id AND t.tag_id = n.tag_id AND t.given_by = 'rule'"""
DIFFERING: Final = """
SELECT p.product_id, coalesce(t.tags, '{}') AS tags FROM product p LEFT JOIN LATERAL (
    SELECT array_agg(h.tag_id ORDER BY g.position, g.tag_id) AS tags FROM product_tag h JOIN tag g USING (tag_id)
    WHERE h.product_id = p.product_id AND h.given_by <> 'kept_off'
) t ON true WHERE p.product_id = ANY($1::text[]) AND p.tags <> coalesce(t.tags, '{}') ORDER BY p.product_id"""
SHOW: Final = f"""
UPDATE product p SET tags = d.tags FROM ({DIFFERING}) d WHERE p.product_id = d.product_id"""
"""Only rows that differ: each one that is written is news to every cache."""
ANY_DIFFERS: Final = f"SELECT EXISTS ({DIFFERING})"


async def read_judges(connection: Any) -> list[TagJudge]:
    """The rules of all tags, compiled. One that does not compile (it was written past the API) is left out, and said so."""
    found = []
    for row in await connection.fetch(RULES):
        try:
            found.append(TagJudge(TagTerms(**dict(row))))
        except RuleFlaw as flaw:
            log.error("tag_rule_broken", tag_id=row["tag_id"], reason=flaw.reason, detail=flaw.detail)
    return found


async def judge_tags(connection: Any, found: Sequence[ProductFacts], judges: Sequence[TagJudge], now_ms: int) -> int:
    """Give and take tags by the rules, within the caller's transaction; answers how many. What staff gave or keep off stays so.

    ``product.tags`` is not written here: that lock is for the end of a transaction (:func:`show_tags`).
    """
    ids = [one.product_id for one in found]
    held = {(row["product_id"], row["tag_id"]): row["given_by"] for row in await connection.fetch(HELD, ids)}
    give: list[tuple[str, str]] = []
    take: list[tuple[str, str]] = []
    for facts in found:
        context = context_of(facts)
        for judge in judges:
            place = (facts.product_id, judge.terms.tag_id)
            given_by = held.get(place)
            if given_by in ("hand", "kept_off"):
                continue
            wanted = judge.judge(context, given_by == "rule")
            if wanted and given_by is None:
                give.append(place)
            elif not wanted and given_by == "rule":
                take.append(place)
    known = {judge.terms.tag_id for judge in judges}
    # A tag that has lost its rule is nobody's by the rule.
    take += [place for place, given_by in held.items() if given_by == "rule" and place[1] not in known]
    if give:
        await connection.execute(GIVE, *_columns(give), now_ms)
    if take:
        await connection.execute(TAKE, *_columns(take))
    return len(give) + len(take)


async def show_tags(connection: Any, product_ids: Sequence[str]) -> int:
    """Let ``product.tags`` say what ``product_tag`` does, within the caller's transaction; answers how many products changed.

    The statement's trigger locks the goods to the commit, so it is asked first whether there is anything to write.
    """
    ids = list(product_ids)
    if not ids or not await connection.fetchval(ANY_DIFFERS, ids):
        return 0
    return int((await connection.execute(SHOW, ids)).split()[-1])


def _columns(places: list[tuple[str, str]]) -> tuple[list[str], list[str]]:
    return [place[0] for place in places], [place[1] for place in places]
