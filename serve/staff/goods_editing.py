"""What editing a product is, whoever edits: judged whole, written with its revision and into the trail in one transaction."""

from typing import Any, Final

import msgspec

from actors.domain.product import ON_SALE, flaws, images_of
from actors.domain.product_html import sanitised
from actors.domain.staff import Actor, role_used
from actors.storage.goods import By, Edit, NotWritten, Stored, Written
from actors.storage.staff import Deed, NotDone, actor_of
from schemas.flaws import Flaw, said
from schemas.goods import Product
from schemas.http.goods import MovedProduct, ProductDocument, RevertedProduct
from schemas.ids import id_of, is_id
from serve.framework import ShopRequest
from serve.requests import Refusal
from serve.staff.doing import refusing

STATE_OF: Final = "SELECT revision, state FROM product WHERE product_id = $1"
FLAWS_MAX: Final = 200
"""Flaws of one answer: whoever has more will look again anyway."""


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """Who edits: the staff, or a firm its own. publish: what it takes to put on the shelf and to take off."""

    edit: str
    publish: str
    firm: bool


STAFF: Final = Side(edit="goods.edit", publish="goods.publish", firm=False)
FIRM: Final = Side(edit="merchant.goods.edit", publish="merchant.goods.edit", firm=True)


def product_of(product_id: str) -> str:
    """The id, when it is one. Refusal ``product_not_found``."""
    if not is_id(product_id, "prd"):
        raise Refusal("product_not_found")
    return product_id


def firm_of(request: ShopRequest, side: Side) -> str:
    """Whose products alone are there; empty for the staff."""
    return request.actor().merchant_id if side.firm else ""


async def stored(request: ShopRequest, side: Side, product_id: str) -> Stored:
    """A product as it stands. Refusal ``product_not_found``, also for another firm's."""
    found = await request.desk.goods.read(product_of(product_id))
    if found is None or (side.firm and found.doc.merchant_id != request.actor().merchant_id):
        raise Refusal("product_not_found")
    return found


def flawed(found: tuple[Flaw, ...], language: str, code: str = "product_flawed") -> Refusal:
    """The problem that these flaws are, each with what people read of it."""
    shown = [{"path": flaw.path, "code": flaw.code, "params": flaw.params, "message": said(flaw, language)} for flaw in found[:FLAWS_MAX]]
    return Refusal(code, {"count": len(found), "flaws": shown})


def refused(ended: NotWritten, language: str) -> Refusal:
    """The problem of the one edit that was not written."""
    [refusal] = ended.refusals
    return flawed(refusal.flaws, language) if refusal.code == "product_flawed" else Refusal(refusal.code)


async def check(request: ShopRequest, doc: Product) -> None:
    """Refusal ``product_flawed`` with everything that is wrong with a document."""
    terms = await request.desk.goods.terms()
    if request.desk.known_images is not None:
        there = await request.desk.known_images(images_of(doc))
        terms = msgspec.structs.replace(terms, has_image=there.__contains__)
    found = flaws(doc, terms)
    if found:
        raise flawed(found, request.head.language)


async def create(request: ShopRequest, side: Side, doc: Product, reason: str) -> ProductDocument:
    """Make a product. The same request under the same key finds the one that it made."""
    if side.firm:
        doc = msgspec.structs.replace(doc, merchant_id=request.actor().merchant_id)
    key, _ = request.command(request.actor().user_id, "createProduct")
    product_id = id_of("prd", key)
    made = await request.desk.goods_reads.revision(product_id, 1)
    if made is not None and made.doc is not None:
        if _sent(made.doc) != _sent(doc):
            raise Refusal("idempotency_key_reused")
        return shown(await stored(request, side, product_id))
    _check_publish(request, side, "draft", doc.state)
    await check(request, doc)
    return await _write(request, side, Edit(doc=doc, new_id=product_id), product_id, reason, published=doc.state != "draft")


def _sent(doc: Product) -> Product:
    """What of a document is its sender's: without the ids that its SKUs were given, and its HTML as it is stored."""
    cleaned, _ = sanitised(doc)
    return msgspec.structs.replace(cleaned, skus=tuple(msgspec.structs.replace(sku, sku_id="") for sku in cleaned.skus))


async def replace(request: ShopRequest, side: Side, product_id: str, doc: Product, expected: int, reason: str) -> ProductDocument:
    """Write a whole document over the one of the expected revision."""
    before = await _expected(request, side, product_id, expected)
    if side.firm:
        doc = msgspec.structs.replace(doc, merchant_id=before.doc.merchant_id)
    moves = doc.state != before.doc.state or (doc.state != "draft" and _times(doc) != _times(before.doc))
    if moves:
        _check_publish(request, side, before.doc.state, doc.state)
    await check(request, doc)
    return await _write(
        request, side, Edit(product_id=product_id, doc=doc, expected_revision=expected), product_id, reason, published=moves
    )


async def move(request: ShopRequest, side: Side, product_id: str, asked: MovedProduct) -> ProductDocument:
    """Let a product go to another state; everything else stays."""
    before = await _expected(request, side, product_id, asked.expected_revision)
    doc = msgspec.structs.replace(before.doc, state=asked.state, shelf_at_ms=asked.shelf_at_ms, off_at_ms=asked.off_at_ms)
    if asked.state in ON_SALE:  # what goes may be as it is: taking something off must always be possible
        await check(request, doc)
    edit = Edit(product_id=product_id, doc=doc, expected_revision=asked.expected_revision)
    return await _write(request, side, edit, product_id, asked.reason, published=True)


async def revert(request: ShopRequest, side: Side, product_id: str, asked: RevertedProduct) -> ProductDocument:
    """Write an old document as a new revision. Where the product stands stays; a retired one comes back off the shelf."""
    before = await _expected(request, side, product_id, asked.expected_revision)
    old = await request.desk.goods_reads.revision(product_id, asked.revision, firm_of(request, side))
    if old is None or old.doc is None:
        raise Refusal("revision_not_found")
    back = before.doc.state == "retired"
    doc = msgspec.structs.replace(
        old.doc, state="off_shelf" if back else before.doc.state, merchant_id=before.doc.merchant_id,
        shelf_at_ms=before.doc.shelf_at_ms, off_at_ms=before.doc.off_at_ms,
    )  # fmt: skip
    if back:
        _check_publish(request, side, "retired", "off_shelf")
    await check(request, doc)
    edit = Edit(product_id=product_id, doc=doc, expected_revision=asked.expected_revision, back=back)
    reason = asked.reason or f"revert to {asked.revision}"
    return await _write(request, side, edit, product_id, reason, published=back)


def shown(found: Stored) -> ProductDocument:
    """A product that was read."""
    return ProductDocument(product_id=found.product_id, revision=found.revision, document=found.doc)


def _times(doc: Product) -> tuple[int, int]:
    return doc.shelf_at_ms, doc.off_at_ms


async def _expected(request: ShopRequest, side: Side, product_id: str, expected: int) -> Stored:
    before = await stored(request, side, product_id)
    if before.revision != expected:
        raise Refusal("product_changed", {"revision": before.revision})
    return before


def _check_publish(request: ShopRequest, side: Side, before: str, after: str) -> None:
    """Refusal ``forbidden`` where a document moves its product and who edits may only edit."""
    if before != after and not request.permitted(side.publish):
        raise Refusal("forbidden")


async def _write(request: ShopRequest, side: Side, edit: Edit, product_id: str, reason: str, *, published: bool) -> ProductDocument:
    desk, actor = request.desk, request.actor()
    permission = side.publish if published else side.edit
    by = By(actor_id=actor.user_id, role=role_used(actor.roles, permission), reason=reason, merchant_id=firm_of(request, side))

    async def change(connection: Any) -> Written:
        await _check_firm(connection, actor, by.merchant_id)
        [written] = await desk.goods.write_many(connection, [edit], by, desk.clock.now_ms())
        return written

    async def state(connection: Any) -> str:
        row = await connection.fetchrow(STATE_OF, product_id)
        return "" if row is None else msgspec.json.encode(dict(row)).decode()

    deed = Deed(permission=permission, target=product_id, reason=reason, request_id=request.head.id.decode())
    with refusing():
        try:
            written = await desk.roles.do(actor, deed, change, state)
        except NotWritten as ended:
            raise refused(ended, request.head.language) from None
    return ProductDocument(
        product_id=written.product_id, revision=written.revision, document=written.doc, changed=written.changed, removed=written.removed
    )


async def _check_firm(connection: Any, actor: Actor, merchant_id: str) -> None:
    """Whoever was given to another firm since the request began does not act for this one."""
    if merchant_id and (await actor_of(connection, actor.user_id)).merchant_id != merchant_id:
        raise NotDone("forbidden")
