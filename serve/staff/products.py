"""``/v1/staff/products``: every product, for whoever edits the shop's goods."""

from typing import Annotated, Any, Final

from litestar import get, post, put
from litestar.params import FromPath, JSONBody, QueryParameter

from actors.storage.goods_reads import REVISION_MAX, Filter
from schemas.goods import State
from schemas.http.goods import (
    ChangedProduct,
    ListedProducts,
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
from serve.staff.goods_editing import STAFF

Cursor = Annotated[str | None, QueryParameter(max_length=200, description="`next_cursor` of the page before")]
Limit = Annotated[int, QueryParameter(ge=1, le=100)]
Id = Annotated[str, QueryParameter(max_length=64)]
Text = Annotated[str, QueryParameter(max_length=100, description="words of a title, or the beginning of a code or barcode")]
Number = Annotated[int, QueryParameter(ge=0, le=REVISION_MAX)]


@get("/v1/staff/products", operation_id="listStaffProducts")
async def list_products(
    request: ShopRequest,
    cursor: Cursor = None,
    limit: Limit = 20,
    standing: Annotated[State | None, QueryParameter(name="state")] = None,
    category_id: Id = "",
    brand_id: Id = "",
    merchant_id: Id = "",
    tag_id: Id = "",
    q: Text = "",
) -> ListedProducts:
    """Products by what they are; a category with everything below it."""
    wanted = Filter(state=standing or "", category_id=category_id, brand_id=brand_id, merchant_id=merchant_id, tag_id=tag_id, text=q)
    return await goods_looking.page(request, wanted, cursor, limit)


@post("/v1/staff/products", operation_id="createProduct", status_code=201)
async def create_product(request: ShopRequest, data: JSONBody[NewProduct]) -> ProductDocument:
    """Make a product."""
    return await goods_editing.create(request, STAFF, data.document, data.reason)


@post("/v1/staff/product-matrix", operation_id="previewMatrix", status_code=200)
async def preview_matrix(request: ShopRequest, data: JSONBody[MatrixAsked]) -> Matrix:
    """The SKUs that options would make."""
    return goods_looking.preview(request, data)


@get("/v1/staff/products/{product_id:str}", operation_id="readProductDocument")
async def read_product(request: ShopRequest, product_id: FromPath[str]) -> ProductDocument:
    """A product as it stands."""
    return goods_editing.shown(await goods_editing.stored(request, STAFF, product_id))


@put("/v1/staff/products/{product_id:str}", operation_id="replaceProduct")
async def replace_product(request: ShopRequest, product_id: FromPath[str], data: JSONBody[ChangedProduct]) -> ProductDocument:
    """Write a whole document over the one that was edited."""
    return await goods_editing.replace(request, STAFF, product_id, data.document, data.expected_revision, data.reason)


@post("/v1/staff/products/{product_id:str}/state", operation_id="moveProduct", status_code=200)
async def move_product(request: ShopRequest, product_id: FromPath[str], data: JSONBody[MovedProduct]) -> ProductDocument:
    """Put a product on the shelf, take it off, plan it or retire it."""
    return await goods_editing.move(request, STAFF, product_id, data)


@post("/v1/staff/products/{product_id:str}/revert", operation_id="revertProduct", status_code=200)
async def revert_product(request: ShopRequest, product_id: FromPath[str], data: JSONBody[RevertedProduct]) -> ProductDocument:
    """Write the document of an old revision anew."""
    return await goods_editing.revert(request, STAFF, product_id, data)


@get("/v1/staff/products/{product_id:str}/revisions", operation_id="listProductRevisions")
async def list_revisions(request: ShopRequest, product_id: FromPath[str], cursor: Cursor = None, limit: Limit = 20) -> ProductRevisions:
    """Who changed a product, when and why."""
    return await goods_looking.revisions(request, STAFF, product_id, cursor, limit)


@get("/v1/staff/products/{product_id:str}/revisions/{number:str}", operation_id="readProductRevision")
async def read_revision(request: ShopRequest, product_id: FromPath[str], number: FromPath[str]) -> ProductRevision:
    """A product as it was."""
    return await goods_looking.one_revision(request, STAFF, product_id, number)


@get("/v1/staff/products/{product_id:str}/changes", operation_id="compareProductRevisions")
async def compare(request: ShopRequest, product_id: FromPath[str], first: Number, last: Number) -> ProductChanges:
    """What is different between two revisions."""
    return await goods_looking.changes(request, STAFF, product_id, first, last)


HANDLERS: Final[list[Any]] = [
    list_products, create_product, preview_matrix, read_product, replace_product, move_product, revert_product, list_revisions,
    read_revision, compare,
]  # fmt: skip
