"""Stock as pages: the warehouses, where an article is, and what happened to it."""

from typing import Any, Final

from litestar import Response, get
from litestar.params import FromPath

from schemas.ids import is_id
from serve.framework import ShopRequest
from serve.requests import Refusal
from serve.staff import stock
from serve.web.pages import asked, page, see_other

SHOWN: Final = 50


@get("/staff/stock", operation_id="staffStockPage", media_type="text/html")
async def stock_page(request: ShopRequest) -> Response[str]:
    """The warehouses, and the way to an article by its code, barcode or id."""
    text = asked(request, "sku")
    sku_id = await request.desk.goods_desk.article(text) if text else None
    if sku_id is not None:
        return see_other(f"/staff/stock/{sku_id}")
    return page(request, "stock.html", warehouses=await request.desk.warehouses.all(), text=text)


@get("/staff/stock/{sku_id:str}", operation_id="staffArticleStockPage", media_type="text/html")
async def article_page(request: ShopRequest, sku_id: FromPath[str]) -> Response[str]:
    """Where an article is, as its owner knows it now, and its movements."""
    if not is_id(sku_id, "sku"):
        raise Refusal("sku_unknown")
    cursor = asked(request, "cursor", 200) or None
    chosen = asked(request, "warehouse")
    places = await stock.read_places.fn(request, sku_id)
    moved = await stock.list_movements.fn(request, sku_id, chosen, cursor, SHOWN)
    known = {row.warehouse_id: row for row in await request.desk.warehouses.all()}
    article = await request.desk.goods_desk.article_of(sku_id)
    return page(
        request, "article.html", sku_id=sku_id, article=article, places=places, moved=moved, warehouses=known, chosen=chosen,
        more=moved.next_cursor,
    )  # fmt: skip


HANDLERS: Final[list[Any]] = [stock_page, article_page]
