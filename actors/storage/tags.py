"""Tags: their rules, what a rule would change before it is saved, and what staff give and keep off.

The rules are judged by the rounds of the watch (``watch/tagging.py``); what is here is for people. A staff change is checked and written
into the trail in its own transaction.
"""

import asyncio
import time
from typing import Any, Final

import msgspec

from actors.domain.staff import Actor
from actors.domain.tag_rules import TagJudge, TagTerms, context_of
from actors.storage.connect import known
from actors.storage.lifecycle import LOOK_AT_ALL
from actors.storage.staff import Deed, NotDone, Staff
from actors.storage.watch.tagging import show_tags
from schemas.watch import ProductFacts

SAMPLE_MAX: Final = 50
"""Products that a dry run names, of those that would get the tag and of those that would lose it."""
PAGE: Final = 100
"""Products whose facts are read and judged without a pause: some three milliseconds of the loop."""
DRY_S_MAX: Final = 15.0

_TAG: Final = """
SELECT t.tag_id, t.title, t.title_zh, t.rule, t.keep_rule, t.position, t.shown,
    (SELECT count(*) FROM product_tag h WHERE h.tag_id = t.tag_id AND h.given_by <> 'kept_off') AS products FROM tag t"""
TAGS: Final = f"{_TAG} ORDER BY t.position, t.tag_id"
TAG: Final = f"{_TAG} WHERE t.tag_id = $1"
COUNT: Final = "SELECT count(*) FROM tag"
PUT: Final = """
INSERT INTO tag (tag_id, title, title_zh, rule, keep_rule, position, shown) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (tag_id) DO UPDATE SET title = excluded.title, title_zh = excluded.title_zh, rule = excluded.rule,
    keep_rule = excluded.keep_rule, position = excluded.position, shown = excluded.shown"""
LOCK_TAG: Final = "SELECT tag_id FROM tag WHERE tag_id = $1 FOR UPDATE"
HOLDERS: Final = "SELECT product_id FROM product_tag WHERE tag_id = $1 ORDER BY product_id"
REMOVE_HOLDERS: Final = "DELETE FROM product_tag WHERE tag_id = $1"
REMOVE: Final = "DELETE FROM tag WHERE tag_id = $1"
FACTS_PAGE: Final = """
SELECT f.product_id, f.facts::text AS facts, coalesce(h.given_by, '') AS given_by FROM product_fact f
LEFT JOIN product_tag h ON h.product_id = f.product_id AND h.tag_id = $1 WHERE f.product_id > $2 ORDER BY f.product_id LIMIT $3"""
OF_PRODUCT: Final = """
SELECT h.tag_id, t.title, t.title_zh, h.given_by, h.since_ms FROM product_tag h JOIN tag t USING (tag_id) WHERE h.product_id = $1
ORDER BY t.position, t.tag_id"""
KNOWN_PRODUCT: Final = "SELECT EXISTS (SELECT FROM product WHERE product_id = $1)"
KNOWN_TAG: Final = "SELECT EXISTS (SELECT FROM tag WHERE tag_id = $1)"
HELD: Final = "SELECT given_by FROM product_tag WHERE product_id = $1 AND tag_id = $2"
CHOOSE: Final = """
INSERT INTO product_tag (product_id, tag_id, given_by, since_ms) VALUES ($1, $2, $3, $4)
ON CONFLICT (product_id, tag_id) DO UPDATE SET given_by = excluded.given_by, since_ms = excluded.since_ms
WHERE product_tag.given_by <> excluded.given_by"""
UNDO: Final = "DELETE FROM product_tag WHERE product_id = $1 AND tag_id = $2 AND given_by <> 'rule'"
DUE: Final = "INSERT INTO product_fact_due (product_id) SELECT product_id FROM product WHERE product_id = $1 ON CONFLICT DO NOTHING"

TAGS_MAX: Final = 100
_FACTS: Final = msgspec.json.Decoder(ProductFacts)


class TagRow(msgspec.Struct, frozen=True, kw_only=True):
    """One tag. products: how many have it."""

    tag_id: str
    title: str
    title_zh: str
    rule: str = ""
    keep_rule: str = ""
    position: int = 0
    shown: bool = True
    products: int = 0


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """A product that a rule would change, and the facts that the rule looks at."""

    product_id: str
    title: str
    title_zh: str
    facts: dict[str, Any]


class DryRun(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule would do. looked_at: products judged; whole: False where the time was over before all were.

    without_answer: on so many the rule fails (an attribute that they lack, a division by zero); they would not have the tag.
    by_hand: staff gave or keep it off; the rule changes nothing for them. gained and lost name at most SAMPLE_MAX of all.
    """

    looked_at: int
    whole: bool
    with_tag: int
    gains: int
    losses: int
    without_answer: int
    by_hand: int
    gained: tuple[Judged, ...]
    lost: tuple[Judged, ...]


class ProductTagRow(msgspec.Struct, frozen=True, kw_only=True):
    """A tag of a product: given by ``rule`` or by ``hand``, or ``kept_off``. since_ms: UTC."""

    tag_id: str
    title: str
    title_zh: str
    given_by: str
    since_ms: int


class Tags:
    """Tags on a pool. StorageUnknown when the database cannot be asked."""

    def __init__(self, pool: Any, staff: Staff) -> None:
        self._pool = pool
        self._staff = staff
        self._trying = asyncio.Lock()

    async def all(self) -> list[TagRow]:
        """The tags of the shop, in their order."""
        return [TagRow(**dict(row)) for row in await known(self._pool.fetch(TAGS))]

    async def put(self, actor: Actor, tag: TagRow, deed: Deed) -> TagRow:
        """Make a tag, or change it. The rules compile (``TagJudge``). NotDone: ``forbidden``, ``tags_full``."""

        async def change(connection: Any) -> None:
            if not await connection.fetchval(KNOWN_TAG, tag.tag_id) and await connection.fetchval(COUNT) >= TAGS_MAX:
                raise NotDone("tags_full")
            await connection.execute(PUT, tag.tag_id, tag.title, tag.title_zh, tag.rule, tag.keep_rule, tag.position, tag.shown)
            await connection.execute(LOOK_AT_ALL)

        await self._staff.do(actor, deed, change, _state_of_tag(tag.tag_id))
        return TagRow(**dict(await known(self._pool.fetchrow(TAG, tag.tag_id))))

    async def remove(self, actor: Actor, tag_id: str, deed: Deed) -> None:
        """Take a tag away, and from every product. NotDone: ``forbidden``, ``tag_unknown``."""

        async def change(connection: Any) -> None:
            if await connection.fetchval(LOCK_TAG, tag_id) is None:
                raise NotDone("tag_unknown")
            holders = [row["product_id"] for row in await connection.fetch(HOLDERS, tag_id)]
            await connection.execute(REMOVE_HOLDERS, tag_id)
            await show_tags(connection, holders)
            await connection.execute(REMOVE, tag_id)

        await self._staff.do(actor, deed, change, _state_of_tag(tag_id))

    async def try_rule(self, terms: TagTerms) -> DryRun:
        """What these rules would give and take, by the facts as they stand. In slices, so that shoppers do not wait; one at a time.

        RuleFlaw for an expression that is none. NotDone ``busy`` while another one is tried.
        """
        judge = TagJudge(terms) if terms.rule else None
        if self._trying.locked():
            raise NotDone("busy")
        async with self._trying:
            tried, until, after, whole = _Tried(judge), time.monotonic() + DRY_S_MAX, "", False
            while time.monotonic() < until:
                rows = await known(self._pool.fetch(FACTS_PAGE, terms.tag_id, after, PAGE))
                if not rows:
                    whole = True
                    break
                for row in rows:
                    tried.look(_FACTS.decode(row["facts"]), row["given_by"])
                after = rows[-1]["product_id"]
                await asyncio.sleep(0)
            return tried.found(whole)

    async def of_product(self, product_id: str) -> list[ProductTagRow]:
        """The tags of a product, kept-off ones too. NotDone ``product_not_found``."""
        if not await known(self._pool.fetchval(KNOWN_PRODUCT, product_id)):
            raise NotDone("product_not_found")
        return [ProductTagRow(**dict(row)) for row in await known(self._pool.fetch(OF_PRODUCT, product_id))]

    async def choose(self, actor: Actor, product_id: str, tag_id: str, choice: str, deed: Deed, now_ms: int) -> list[ProductTagRow]:
        """Give a tag by hand (``hand``), keep it off (``kept_off``), or leave it to the rule again (``rule``). A repeat changes nothing.

        NotDone: ``forbidden``, ``product_not_found``, ``tag_unknown``.
        """

        async def change(connection: Any) -> None:
            await connection.execute(DUE, product_id)
            if not await connection.fetchval(KNOWN_PRODUCT, product_id):
                raise NotDone("product_not_found")
            if not await connection.fetchval(KNOWN_TAG, tag_id):
                raise NotDone("tag_unknown")
            if choice == "rule":
                await connection.execute(UNDO, product_id, tag_id)
            else:
                await connection.execute(CHOOSE, product_id, tag_id, choice, now_ms)
            await show_tags(connection, [product_id])

        async def state(connection: Any) -> str:
            return msgspec.json.encode({tag_id: await connection.fetchval(HELD, product_id, tag_id)}).decode()

        await self._staff.do(actor, deed, change, state)
        return await self.of_product(product_id)


def _state_of_tag(tag_id: str) -> Any:
    async def read(connection: Any) -> str:
        row = await connection.fetchrow(TAG, tag_id)
        return "" if row is None else msgspec.json.encode(dict(row) | {"products": row["products"]}).decode()

    return read


class _Tried:
    """The counts of a dry run."""

    def __init__(self, judge: TagJudge | None) -> None:
        self._judge = judge
        self._looked_at = self._with = self._gains = self._losses = self._failed = self._by_hand = 0
        self._gained: list[Judged] = []
        self._lost: list[Judged] = []

    def look(self, facts: ProductFacts, given_by: str) -> None:
        """Judge one product, which has the tag by ``given_by`` ("": has it not)."""
        self._looked_at += 1
        if given_by in ("hand", "kept_off"):
            self._by_hand += 1
            self._with += given_by == "hand"
            return
        has, wanted = given_by == "rule", False
        if self._judge is not None:
            context = context_of(facts)
            wanted = self._judge.judge(context, has)
            self._failed += not wanted and self._judge.fails(context)
        self._with += wanted
        if wanted and not has:
            self._gains += 1
            self._name(self._gained, facts)
        elif has and not wanted:
            self._losses += 1
            self._name(self._lost, facts)

    def found(self, whole: bool) -> DryRun:
        return DryRun(
            looked_at=self._looked_at, whole=whole, with_tag=self._with, gains=self._gains, losses=self._losses,
            without_answer=self._failed, by_hand=self._by_hand, gained=tuple(self._gained), lost=tuple(self._lost),
        )  # fmt: skip

    def _name(self, names: list[Judged], facts: ProductFacts) -> None:
        if len(names) < SAMPLE_MAX:
            used = {} if self._judge is None else self._judge.used(facts)
            names.append(Judged(product_id=facts.product_id, title=facts.title, title_zh=facts.title_zh, facts=used))
