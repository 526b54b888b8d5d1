"""``/v1/merchant/products``: the products of one's own firm. The firm comes from the role, never from the request."""

from typing import Annotated, Any, Final

from litestar import get, post, put
from litestar.params import FromPath, JSONBody, QueryParameter

from actors.storage.goods_reads import REVISION_MAX
from schemas.http.goods import (
    ChangedProduct,
    Matrix,
    MatrixAsked,
    MovedProduct,
    NewProduct,
    ProductChanges,
    ProductDocument,
    ProductRevision,
    ProductRevisions,
    RevertedProduct,
)
from serve.framework import ShopRequest
from serve.staff import goods_editing, goods_looking
from serve.staff.goods_editing import FIRM

Cursor = Annotated[str | None, QueryParameter(max_length=200, description="`next_cursor` of the page before")]
Limit = Annotated[int, QueryParameter(ge=1, le=100)]
Number = Annotated[int, QueryParameter(ge=0, le=REVISION_MAX)]


@post("/v1/merchant/products", operation_id="createMerchantProduct", status_code=201)
async def create_product(request: ShopRequest, data: JSONBody[NewProduct]) -> ProductDocument:
    """Make a product."""
    return await goods_editing.create(request, FIRM, data.document, data.reason)


@post("/v1/merchant/product-matrix", operation_id="previewMerchantMatrix", status_code=200)
async def preview_matrix(request: ShopRequest, data: JSONBody[MatrixAsked]) -> Matrix:
    """The SKUs that options would make."""
    return goods_looking.preview(request, data)


@get("/v1/merchant/products/{product_id:str}", operation_id="readMerchantProduct")
async def read_product(request: ShopRequest, product_id: FromPath[str]) -> ProductDocument:
    """A product as it stands."""
    return goods_editing.shown(await goods_editing.stored(request, FIRM, product_id))


@put("/v1/merchant/products/{product_id:str}", operation_id="replaceMerchantProduct")
async def replace_product(request: ShopRequest, product_id: FromPath[str], data: JSONBody[ChangedProduct]) -> ProductDocument:
    """Write a whole document over the one that was edited."""
    return await goods_editing.replace(request, FIRM, product_id, data.document, data.expected_revision, data.reason)


@post("/v1/merchant/products/{product_id:str}/state", operation_id="moveMerchantProduct", status_code=200)
async def move_product(request: ShopRequest, product_id: FromPath[str], data: JSONBody[MovedProduct]) -> ProductDocument:
    """Put a product on the shelf, take it off, plan it or retire it."""
    return await goods_editing.move(request, FIRM, product_id, data)


@post("/v1/merchant/products/{product_id:str}/revert", operation_id="revertMerchantProduct", status_code=200)
async def revert_product(request: ShopRequest, product_id: FromPath[str], data: JSONBody[RevertedProduct]) -> ProductDocument:
    """Write the document of an old revision anew."""
    return await goods_editing.revert(request, FIRM, product_id, data)


@get("/v1/merchant/products/{product_id:str}/revisions", operation_id="listMerchantProductRevisions")
async def list_revisions(request: ShopRequest, product_id: FromPath[str], cursor: Cursor = None, limit: Limit = 20) -> ProductRevisions:
    """Who changed a product, when and why."""
    return await goods_looking.revisions(request, FIRM, product_id, cursor, limit)


@get("/v1/merchant/products/{product_id:str}/revisions/{number:str}", operation_id="readMerchantProductRevision")
async def read_revision(request: ShopRequest, product_id: FromPath[str], number: FromPath[str]) -> ProductRevision:
    """A product as it was."""
    return await goods_looking.one_revision(request, FIRM, product_id, number)


@get("/v1/merchant/products/{product_id:str}/changes", operation_id="compareMerchantProductRevisions")
async def compare(request: ShopRequest, product_id: FromPath[str], first: Number, last: Number) -> ProductChanges:
    """What is different between two revisions."""
    return await goods_looking.changes(request, FIRM, product_id, first, last)


HANDLERS: Final[list[Any]] = [
    create_product, preview_matrix, read_product, replace_product, move_product, revert_product, list_revisions,
    read_revision, compare,
]  # fmt: skip
