"""All pages of the staff, and the navigation over them."""

from typing import Any, Final

from litestar import Response, get

from actors.domain.staff import role_names
from serve.framework import ShopRequest
from serve.web import entrance, imports, lifecycle, products, searching, stock, wms
from serve.web.pages import HOME, NAVIGATION, Entry, language_of_page, page, said

NAVIGATION.extend(
    [
        Entry("/staff/products", "products", "goods.read"),
        Entry("/staff/imports", "imports", "goods.import"),
        Entry("/staff/lifecycle", "lifecycle", "goods.watch"),
        Entry("/staff/proposals", "proposals", "goods.watch"),
        Entry("/staff/stock", "stock", "stock.read"),
        Entry("/staff/wms", "wms", "wms.read"),
        Entry("/staff/search", "search", "goods.read"),
    ]
)


@get(HOME, operation_id="staffHomePage", media_type="text/html")
async def home_page(request: ShopRequest) -> Response[str]:
    """Which pages there are for whoever asks."""
    language = language_of_page(request.head)
    roles = [said(language, "role", name) for name in role_names(request.actor().roles) if name != "customer"]
    return page(request, "home.html", roles=roles)


PAGES: Final = (entrance, products, imports, lifecycle, stock, wms, searching)
HANDLERS: Final[list[Any]] = [home_page, *(handler for part in PAGES for handler in part.HANDLERS)]
