"""``/v1/staff/categories`` and ``/v1/staff/brands``: the tree, and the brands."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final

import msgspec
from litestar import delete, get, post, put
from litestar.params import FromPath, JSONBody, QueryParameter

from actors.storage.categories import Flawed
from schemas.goods import Brand, Category
from schemas.http.goods import Brands, Categories, PutBrand, PutCategory
from schemas.ids import id_of, is_id
from serve.cursors import cursor_of, parts_of
from serve.framework import ShopRequest
from serve.requests import Refusal
from serve.staff.doing import refusing
from serve.staff.goods_editing import flawed

Cursor = Annotated[str | None, QueryParameter(max_length=200, description="`next_cursor` of the page before")]
Limit = Annotated[int, QueryParameter(ge=1, le=100)]
Reason = Annotated[str, QueryParameter(max_length=500, description="why, for the trail")]


@contextmanager
def _refusing(request: ShopRequest, code: str) -> Iterator[None]:
    """What the storage does not do, as the problem that it is."""
    try:
        with refusing():
            yield
    except Flawed as ended:
        raise flawed(ended.flaws, request.head.language, code) from None


def _id_of(name: str, prefix: str, code: str) -> str:
    if not is_id(name, prefix):
        raise Refusal(code)
    return name


def _new_id(request: ShopRequest, prefix: str) -> str:
    """The id of what this request makes: the same for the same key."""
    key, _ = request.command(request.actor().user_id, f"create {prefix}")
    return id_of(prefix, key)


@get("/v1/staff/categories", operation_id="listStaffCategories")
async def list_categories(request: ShopRequest) -> Categories:
    """Every category with its attributes, also those that are not shown."""
    return Categories(categories=tuple((await request.desk.categories.tree()).values()))


@post("/v1/staff/categories", operation_id="createCategory", status_code=201)
async def create_category(request: ShopRequest, data: JSONBody[PutCategory]) -> Category:
    """Make a category. Again under the same key is once."""
    category = msgspec.structs.replace(data.category, category_id=_new_id(request, "cat"))
    with _refusing(request, "category_flawed"):
        return await request.desk.categories.put(request.actor(), category, data.reason, request.head.id.decode(), new=True)


@put("/v1/staff/categories/{category_id:str}", operation_id="replaceCategory")
async def replace_category(request: ShopRequest, category_id: FromPath[str], data: JSONBody[PutCategory]) -> Category:
    """Change a category, or move it with everything below it."""
    category = msgspec.structs.replace(data.category, category_id=_id_of(category_id, "cat", "category_unknown"))
    with _refusing(request, "category_flawed"):
        return await request.desk.categories.put(request.actor(), category, data.reason, request.head.id.decode(), new=False)


@delete("/v1/staff/categories/{category_id:str}", operation_id="deleteCategory")
async def delete_category(request: ShopRequest, category_id: FromPath[str], reason: Reason = "") -> None:
    """Delete a category without products and without others below it."""
    with refusing():
        name = _id_of(category_id, "cat", "category_unknown")
        await request.desk.categories.remove(request.actor(), name, reason, request.head.id.decode())


@get("/v1/staff/brands", operation_id="listBrands")
async def list_brands(request: ShopRequest, cursor: Cursor = None, limit: Limit = 20) -> Brands:
    """The brands."""
    after = ""
    if cursor is not None:
        kind, after = parts_of(cursor, 2)
        if kind != "b":
            raise Refusal("invalid_request", {"reason": "cursor is none of ours"})
    found = await request.desk.categories.brands(after, limit + 1)
    more = cursor_of("b", found[limit - 1].brand_id) if len(found) > limit else None
    return Brands(brands=tuple(found[:limit]), next_cursor=more)


@get("/v1/staff/brands/{brand_id:str}", operation_id="readBrand")
async def read_brand(request: ShopRequest, brand_id: FromPath[str]) -> Brand:
    """One brand."""
    found = await request.desk.categories.brand(_id_of(brand_id, "brd", "brand_unknown"))
    if found is None:
        raise Refusal("brand_unknown")
    return found


@post("/v1/staff/brands", operation_id="createBrand", status_code=201)
async def create_brand(request: ShopRequest, data: JSONBody[PutBrand]) -> Brand:
    """Make a brand. Again under the same key is once."""
    brand = msgspec.structs.replace(data.brand, brand_id=_new_id(request, "brd"))
    with _refusing(request, "brand_flawed"):
        return await request.desk.categories.put_brand(request.actor(), brand, data.reason, request.head.id.decode(), new=True)


@put("/v1/staff/brands/{brand_id:str}", operation_id="replaceBrand")
async def replace_brand(request: ShopRequest, brand_id: FromPath[str], data: JSONBody[PutBrand]) -> Brand:
    """Change a brand."""
    brand = msgspec.structs.replace(data.brand, brand_id=_id_of(brand_id, "brd", "brand_unknown"))
    with _refusing(request, "brand_flawed"):
        return await request.desk.categories.put_brand(request.actor(), brand, data.reason, request.head.id.decode(), new=False)


@delete("/v1/staff/brands/{brand_id:str}", operation_id="deleteBrand")
async def delete_brand(request: ShopRequest, brand_id: FromPath[str], reason: Reason = "") -> None:
    """Delete a brand without products."""
    with refusing():
        name = _id_of(brand_id, "brd", "brand_unknown")
        await request.desk.categories.remove_brand(request.actor(), name, reason, request.head.id.decode())


HANDLERS: Final[list[Any]] = [
    list_categories, create_category, replace_category, delete_category, list_brands, read_brand, create_brand, replace_brand, delete_brand,
]  # fmt: skip
