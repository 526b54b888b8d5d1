"""Products as pages: a list, one product, and its revisions with what each changed."""

from typing import Any, Final, get_args

import msgspec
from litestar import Response, get
from litestar.params import FromPath

from actors.storage.goods_desk import LAST_VERSION
from actors.storage.goods_reads import REVISION_MAX
from schemas.goods import FOREVER_MS, State
from schemas.ids import is_id
from serve.framework import ShopRequest
from serve.requests import Refusal
from serve.web.differences import differences
from serve.web.pages import asked, number_of, page

STATES: Final[tuple[str, ...]] = get_args(State)
SHOWN: Final = 50


@get("/staff/products", operation_id="staffProductsPage", media_type="text/html")
async def products_page(request: ShopRequest) -> Response[str]:
    """Products, the last changed first."""
    state = asked(request, "state")
    state = state if state in STATES else ""
    text, before = asked(request, "q"), number_of(asked(request, "before"), LAST_VERSION)
    found = await request.desk.goods_desk.products(before=before, state=state, text=text, limit=SHOWN + 1)
    more = found[SHOWN - 1].version if len(found) > SHOWN else None
    return page(
        request, "products.html", found=found[:SHOWN], more=more, text=text, state=state, states=STATES, first=before == LAST_VERSION
    )


@get("/staff/products/{product_id:str}", operation_id="staffProductPage", media_type="text/html")
async def product_page(request: ShopRequest, product_id: FromPath[str]) -> Response[str]:
    """One product: everything that its document says, and its revisions."""
    desk = request.desk
    stored = await desk.goods.read(product_id) if is_id(product_id, "prd") else None
    if stored is None:
        raise Refusal("not_found")
    before = min(number_of(asked(request, "before"), REVISION_MAX), REVISION_MAX)
    revisions = await desk.goods_reads.revisions(product_id, before, SHOWN + 1)
    more = revisions[SHOWN - 1].revision if len(revisions) > SHOWN else None
    texts = (("en", stored.doc.texts.en), ("zh-CN", stored.doc.texts.zh))
    return page(
        request, "product.html", stored=stored, doc=stored.doc, texts=texts, revisions=revisions[:SHOWN], more=more, forever=FOREVER_MS
    )


@get("/staff/products/{product_id:str}/revisions/{revision:str}", operation_id="staffRevisionPage", media_type="text/html")
async def revision_page(request: ShopRequest, product_id: FromPath[str], revision: FromPath[str]) -> Response[str]:
    """One revision, beside the one before it."""
    reads, number = request.desk.goods_reads, number_of(revision, -1)
    written = await reads.revision(product_id, number) if is_id(product_id, "prd") else None
    if written is None or written.doc is None:
        raise Refusal("not_found")
    earlier = await reads.revisions(product_id, number, 1)
    before = await reads.revision(product_id, earlier[0].revision) if earlier else None
    changes = differences(before.doc, written.doc) if before is not None and before.doc is not None else None
    source = msgspec.json.format(msgspec.json.encode(written.doc), indent=2).decode()
    return page(
        request, "revision.html", product_id=product_id, written=written, changes=changes, source=source,
        before=before.revision if before else None,
    )  # fmt: skip


HANDLERS: Final[list[Any]] = [products_page, product_page, revision_page]
