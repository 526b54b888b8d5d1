"""What staff and merchants read of products: lists, revisions, differences, and the matrix that options would make."""

from typing import Final

from actors.domain.product import SKUS_MAX, matrix, matrix_size
from actors.domain.product_diff import difference
from actors.storage.goods_reads import REVISION_MAX, Filter, Listed, Revision
from schemas.flaws import Flaw
from schemas.http.catalogue import Titles
from schemas.http.goods import (
    FieldChange,
    ListedProduct,
    ListedProducts,
    Matrix,
    MatrixAsked,
    MatrixSku,
    ProductChanges,
    ProductRevision,
    ProductRevisions,
)
from serve.answers import timestamp
from serve.cursors import cursor_of, parts_of
from serve.framework import ShopRequest
from serve.requests import Refusal
from serve.staff.goods_editing import Side, firm_of, flawed, product_of, stored

CODE_MAX: Final = 64


async def page(request: ShopRequest, wanted: Filter, cursor: str | None, limit: int) -> ListedProducts:
    """One page of a list of products."""
    after = "" if cursor is None else _after(cursor, "g", wanted.merchant_id)
    rows = await request.desk.goods_reads.page(wanted, after, limit + 1)
    more = cursor_of("g", wanted.merchant_id, rows[limit - 1].product_id) if len(rows) > limit else None
    return ListedProducts(products=tuple(_listed(row) for row in rows[:limit]), next_cursor=more)


def _after(cursor: str, kind: str, owner: str) -> str:
    given, whose, place = parts_of(cursor, 3)
    if (given, whose) != (kind, owner):
        raise Refusal("invalid_request", {"reason": "cursor is none of ours"})
    return place


def _listed(row: Listed) -> ListedProduct:
    return ListedProduct(
        product_id=row.product_id,
        code=row.code,
        state=row.state,  # type: ignore[arg-type]
        shelf_at_ms=row.shelf_at_ms,
        off_at_ms=row.off_at_ms,
        merchant_id=row.merchant_id,
        category_id=row.category_id,
        brand_id=row.brand_id,
        titles=Titles(en=row.title, zh=row.title_zh),
        tags=tuple(row.tags),
        revision=row.revision,
        skus=row.skus,
    )


async def revisions(request: ShopRequest, side: Side, product_id: str, cursor: str | None, limit: int) -> ProductRevisions:
    """Revisions of a product, the newest first. A product that nobody edited has none yet."""
    await stored(request, side, product_id)
    before = REVISION_MAX if cursor is None else _number(_after(cursor, "r", product_id))
    rows = await request.desk.goods_reads.revisions(product_id, before, limit + 1, firm_of(request, side))
    more = cursor_of("r", product_id, str(rows[limit - 1].revision)) if len(rows) > limit else None
    return ProductRevisions(revisions=tuple(_shown(row) for row in rows[:limit]), next_cursor=more)


async def revision(request: ShopRequest, side: Side, product_id: str, number: str) -> Revision:
    """One revision with its document. Refusal ``revision_not_found``."""
    found = await request.desk.goods_reads.revision(product_of(product_id), _number(number), firm_of(request, side))
    if found is None:
        raise Refusal("revision_not_found")
    return found


async def one_revision(request: ShopRequest, side: Side, product_id: str, number: str) -> ProductRevision:
    """One revision as it is shown."""
    return _shown(await revision(request, side, product_id, number))


async def changes(request: ShopRequest, side: Side, product_id: str, first: int, last: int) -> ProductChanges:
    """What is different between two revisions of a product."""
    before, after = [await revision(request, side, product_id, str(number)) for number in (first, last)]
    assert before.doc is not None
    assert after.doc is not None
    found = difference(before.doc, after.doc)
    return ProductChanges(
        product_id=product_id,
        from_revision=first,
        to_revision=last,
        changes=tuple(FieldChange(path=change.path, old=change.old, new=change.new) for change in found),
    )


def preview(request: ShopRequest, asked: MatrixAsked) -> Matrix:
    """Every SKU that the options make, with the codes of those that are there already."""
    count = matrix_size(asked.options)
    if count > SKUS_MAX:
        flaw = Flaw(path="options", code="matrix_too_large", params={"count": count, "limit": SKUS_MAX})
        raise flawed((flaw,), request.head.language)
    there = {frozenset(sku.choice.items()): sku for sku in asked.skus}
    made = []
    for choice in matrix(asked.options):
        known = there.get(frozenset(choice.items()))
        code = known.code if known else "-".join((asked.code, *choice.values()))[:CODE_MAX]
        made.append(MatrixSku(code=code, choice=choice, sku_id=known.sku_id if known else ""))
    return Matrix(skus=tuple(made))


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise Refusal("revision_not_found")
    return int(text)


def _shown(row: Revision) -> ProductRevision:
    return ProductRevision(
        revision=row.revision,
        at=timestamp(row.at_ms),
        actor_id=row.actor_id,
        role=row.role,
        reason=row.reason,
        state=row.state,
        document=row.doc,
    )
