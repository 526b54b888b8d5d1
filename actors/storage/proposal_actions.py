"""What staff make of proposals. Accepting one carries its action out in the transaction that closes it: both, or neither.

    lock the trail, check the role -> list the product as due -> lock the proposal -> is it still so? -> act -> done

Two people who accept at once come one after the other, and the second one is told what the first one did. Documents are written by
``Goods.write_many`` as revisions with who and why, so that what was done is reverted like any edit. A bundle's coupon has an owner
that no transaction reaches: the proposal stays ``accepted`` until its quota is told (:meth:`ProposalActions.finish`); accepting it
again tells it again, under the same id.
"""

from typing import Any, Final

import msgspec

from actors.domain.lifecycle import JUDGES, cut_price
from actors.domain.product import flaws
from actors.domain.product_facts import DAY_MS
from actors.domain.staff import Actor, role_used
from actors.storage.connect import known
from actors.storage.goods import By, Edit, Goods, NotWritten, read_stored, read_terms
from actors.storage.lifecycle import PROPOSAL, ProposalRow, proposal_of
from actors.storage.purchases import draft_purchase
from actors.storage.staff import Deed, NotDone, Staff
from actors.storage.watch.proposing import read_settings
from actors.storage.watch.refreshing import read_facts, surroundings
from schemas.goods import Price, Product, Sku, Words
from schemas.quota import Configure
from schemas.watch import Action, Bundle, Complete, CutPrice, ProductFacts, Publish, Purchase, Retire

COUPON_QUOTA: Final = 10_000

DUE: Final = "INSERT INTO product_fact_due (product_id) SELECT product_id FROM proposal WHERE proposal_id = $1 ON CONFLICT DO NOTHING"
LOCK: Final = "SELECT state FROM proposal WHERE proposal_id = $1 FOR UPDATE"
DECIDE: Final = """
UPDATE proposal SET state = $2, decided_by = $3, decided_at_ms = $4, changed_at_ms = $4, reason = $5, result = $6
WHERE proposal_id = $1"""
FINISH: Final = "UPDATE proposal SET state = 'done' WHERE proposal_id = $1 AND state = 'accepted'"
COUPON: Final = """
INSERT INTO coupon (coupon_id, title, title_zh, kind, value, currency, min_total, quota_total, starts_at, ends_at, product_ids)
VALUES ($1, $2, $3, 'percent', $4, $5, $6, $7, to_timestamp($8::bigint / 1000.0), to_timestamp($9::bigint / 1000.0), $10)
ON CONFLICT (coupon_id) DO NOTHING"""
COUPON_TERMS: Final = """
SELECT coupon_id, quota_total, (extract(epoch FROM starts_at) * 1000)::bigint AS starts_at_ms,
    (extract(epoch FROM ends_at) * 1000)::bigint AS ends_at_ms FROM coupon WHERE coupon_id = $1"""

PERMISSIONS: Final[dict[type, str]] = {Publish: "goods.publish", Retire: "goods.publish", CutPrice: "goods.edit"}
"""What an action takes beside ``goods.watch``: whoever may not edit goods does not do it by way of a proposal."""


class _Settled(Exception):
    """It was decided before: nothing is to be done or written down."""


class Quota(msgspec.Struct, frozen=True, kw_only=True):
    """What the owner of a coupon's quota is to be told."""

    coupon_id: str
    terms: Configure


class ProposalActions:
    """Decisions on a pool. StorageUnknown when the database cannot be asked."""

    def __init__(self, pool: Any, staff: Staff) -> None:
        self._pool = pool
        self._staff = staff
        self._goods = Goods(pool)

    async def accept(self, actor: Actor, proposal_id: str, deed: Deed, now_ms: int) -> tuple[ProposalRow, Quota | None]:
        """Carry a proposal out. Accepted again it answers what was done. The quota, where there is one, is for the caller to tell.

        NotDone: ``proposal_unknown``; ``proposal_closed`` (dismissed or expired); ``proposal_outdated`` (it is no longer so, or is
        another case by now: look again); ``proposal_incomplete`` (something is missing before the shelf); ``product_changed``,
        ``product_flawed``; ``forbidden``.
        """
        seen = await self._read(proposal_id)

        async def change(connection: Any) -> None:
            await connection.execute(DUE, proposal_id)
            state = await connection.fetchval(LOCK, proposal_id)
            if state in ("done", "accepted"):
                raise _Settled
            if state != "open":
                raise NotDone("proposal_closed")
            now = proposal_of(await connection.fetchrow(PROPOSAL, proposal_id))
            facts = await self._still(connection, now, seen.mark, now_ms)
            result = await self._act(connection, actor, now, facts, deed.reason, now_ms)
            ends = "accepted" if isinstance(now.action, Bundle) else "done"
            await connection.execute(DECIDE, proposal_id, ends, actor.user_id, now_ms, deed.reason, result)

        try:
            wanted = msgspec.structs.replace(deed, permission=PERMISSIONS.get(type(seen.action), deed.permission))
            await self._staff.do(actor, wanted, change)
        except _Settled:
            pass
        found = await self._read(proposal_id)
        return found, await self._quota(found) if found.state == "accepted" else None

    async def finish(self, proposal_id: str) -> ProposalRow:
        """The quota was told: the proposal is done."""
        await known(self._pool.execute(FINISH, proposal_id))
        return await self._read(proposal_id)

    async def dismiss(self, actor: Actor, proposal_id: str, deed: Deed, now_ms: int) -> ProposalRow:
        """Not this, for a reason. Dismissed again it stays so. NotDone: ``proposal_unknown``, ``proposal_closed``, ``forbidden``."""

        async def change(connection: Any) -> None:
            state = await connection.fetchval(LOCK, proposal_id)
            if state == "dismissed":
                raise _Settled
            if state != "open":
                raise NotDone("proposal_closed")
            await connection.execute(DECIDE, proposal_id, "dismissed", actor.user_id, now_ms, deed.reason, "")

        await self._read(proposal_id)
        try:
            await self._staff.do(actor, deed, change)
        except _Settled:
            pass
        return await self._read(proposal_id)

    async def _read(self, proposal_id: str) -> ProposalRow:
        row = await known(self._pool.fetchrow(PROPOSAL, proposal_id))
        if row is None:
            raise NotDone("proposal_unknown")
        return proposal_of(row)

    async def _still(self, connection: Any, proposal: ProposalRow, mark: str, now_ms: int) -> ProductFacts:
        """The facts as the tables say now. NotDone ``proposal_outdated`` unless the rule still says what the person saw."""
        around = await surroundings(connection, now_ms, best=False)
        [facts] = await read_facts(connection, [proposal.product_id], around)
        if isinstance(proposal.action, Bundle):
            facts = msgspec.structs.replace(facts, bundle_with=proposal.action.with_id)
        settings = await read_settings(connection)
        now = JUDGES[proposal.rule](facts, settings.of(facts.category_ids))
        if now is None or now.mark != proposal.mark or mark != proposal.mark:
            raise NotDone("proposal_outdated")
        return facts

    async def _act(self, connection: Any, actor: Actor, proposal: ProposalRow, facts: ProductFacts, reason: str, now_ms: int) -> str:
        """Carry the action out; answers what it made."""
        match proposal.action:
            case Complete():
                raise NotDone("proposal_incomplete")
            case Publish() | Retire() | CutPrice():
                return await self._write(connection, actor, proposal, reason, now_ms)
            case Purchase(lines=lines):
                return await draft_purchase(connection, lines, actor.user_id, now_ms, proposal_id=proposal.proposal_id)
            case Bundle():
                return await _make_coupon(connection, proposal, proposal.action, facts, now_ms)

    async def _write(self, connection: Any, actor: Actor, proposal: ProposalRow, reason: str, now_ms: int) -> str:
        stored = (await read_stored(connection, [proposal.product_id])).get(proposal.product_id)
        if stored is None:
            raise NotDone("product_changed")
        doc = changed_document(stored.doc, proposal.action, now_ms)
        terms = await read_terms(connection)
        # What was wrong before is not this change's fault (a seeded product has no category); on the way to the shelf all of it is.
        before = () if isinstance(proposal.action, Publish) else flaws(stored.doc, terms)
        if any(flaw not in before for flaw in flaws(doc, terms)):
            raise NotDone("product_flawed")
        why = f"{proposal.rule}: {reason}"[:500]
        by = By(actor_id=actor.user_id, role=role_used(actor.roles, PERMISSIONS[type(proposal.action)]), reason=why)
        edit = Edit(doc=doc, product_id=proposal.product_id, expected_revision=stored.revision)
        try:
            [written] = await self._goods.write_many(connection, [edit], by, now_ms)
        except NotWritten as refused:
            raise NotDone(refused.refusals[0].code) from None
        return f"revision {written.revision}"

    async def _quota(self, proposal: ProposalRow) -> Quota | None:
        row = await known(self._pool.fetchrow(COUPON_TERMS, proposal.result))
        if row is None:
            return None
        terms = Configure(total=row["quota_total"], starts_at_ms=row["starts_at_ms"], ends_at_ms=row["ends_at_ms"])
        return Quota(coupon_id=row["coupon_id"], terms=terms)


def changed_document(doc: Product, action: Action, now_ms: int) -> Product:
    """A product's document after an action."""
    replace = msgspec.structs.replace
    match action:
        case Publish():
            return replace(doc, state="scheduled" if doc.shelf_at_ms > now_ms else "on_shelf")
        case Retire():
            return replace(doc, state="retired")
        case CutPrice():
            return replace(doc, skus=tuple(_cut(sku, action, now_ms) if sku.offered else sku for sku in doc.skus))
        case _:
            return doc


def _cut(sku: Sku, action: CutPrice, now_ms: int) -> Sku:
    """The article with a promotion price for each list price. Promotions that are over leave, to keep the document short."""
    label = Words(en=f"{action.percent}% off", zh=f"立减 {action.percent}%")
    listed: dict[str, int] = {}
    for price in sku.prices:
        if price.kind == "list":
            listed.setdefault(price.currency, price.amount)
    kept = tuple(price for price in sku.prices if price.kind != "promotion" or price.ends_at_ms > now_ms)
    cuts = tuple(
        Price(
            kind="promotion", currency=currency, amount=cut_price(amount, action.percent, action.floor_percent), starts_at_ms=now_ms,
            ends_at_ms=now_ms + action.days * DAY_MS, label=label,
        )
        for currency, amount in listed.items()
    )  # fmt: skip
    return msgspec.structs.replace(sku, prices=(*kept, *cuts))


async def _make_coupon(connection: Any, proposal: ProposalRow, action: Bundle, facts: ProductFacts, now_ms: int) -> str:
    """A coupon over both products, for orders of at least the price of both."""
    found = await read_facts(connection, [action.with_id], await surroundings(connection, now_ms, best=False))
    other = found[0] if found else None
    if other is None or not other.on_shelf or other.currency != facts.currency or other.merchant_id != facts.merchant_id:
        raise NotDone("proposal_outdated")
    coupon_id = "cpn_" + proposal.proposal_id.partition("_")[2]
    title = f"{action.percent}% off together: {facts.title} + {other.title}"
    title_zh = f"组合立减 {action.percent}%:{facts.title_zh} + {other.title_zh}"
    await connection.execute(
        COUPON, coupon_id, title[:300], title_zh[:300], action.percent, facts.currency, facts.price + other.price, COUPON_QUOTA, now_ms,
        now_ms + action.days * DAY_MS, sorted((facts.product_id, other.product_id)),
    )  # fmt: skip
    return coupon_id
