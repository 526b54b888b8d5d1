"""The search as shoppers meet it, to be tried out: what is found, in which order, and how the question was understood."""

from typing import Any, Final

from litestar import Response, get

from actors.domain.search_query import OFFSET_MAX, TEXT_MAX, Wish
from serve.framework import ShopRequest
from serve.web.pages import asked, number_of, page

SHOWN: Final = 20


@get("/staff/search", operation_id="staffSearchPage", media_type="text/html")
async def search_page(request: ShopRequest) -> Response[str]:
    """What a shopper would find."""
    text = "".join(letter for letter in " ".join(asked(request, "q", TEXT_MAX).split()) if letter.isprintable())
    start = min(number_of(asked(request, "from"), 0), OFFSET_MAX)
    found = await request.desk.searching.found(Wish(text=text, offset=start, limit=SHOWN)) if text else None
    more = start + SHOWN if found is not None and found.next_cursor is not None else 0
    return page(request, "search.html", text=text, found=found, start=start, more=more)


HANDLERS: Final[list[Any]] = [search_page]
