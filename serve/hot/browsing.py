"""``GET`` and ``HEAD`` of products, a product and a sale page: what a crowd looks at before it buys."""

import re
from collections.abc import Awaitable
from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from actors.domain.entity import Refused
from actors.storage.catalogue import Catalogue, SaleRow
from actors.storage.product_pages import FILTERS, FIRST, SORTS, ListQuery, ProductPages
from schemas.goods import FOREVER_MS, Image
from schemas.http.catalogue import ProductPage
from schemas.http.sales import SalePage, SaleSku
from schemas.ids import is_id
from schemas.money import Money
from serve.answers import Reply, encode, timestamp
from serve.catalogue_facts import CatalogueFacts
from serve.cursors import cursor_of, parts_of
from serve.hot.product_page import product_line, product_page
from serve.page_news import PageNews
from serve.pages import Content, Pages
from serve.requests import Refusal, Request
from serve.services import Services
from serve.soldout import SoldOut

PRODUCTS: Final = "/v1/products"
PRODUCT: Final = "/v1/products/"
SALE: Final = "/v1/flash-sales/"
LIMIT: Final = 20
LIMIT_MAX: Final = 100
FILTER_MAX: Final = 100
LOW_SHARE: Final = 10
"""A tenth of what there ever was is called low."""

LIST_TAKES: Final = ("cursor", "limit", "sort", "currency", *FILTERS)

_CURRENCY: Final = re.compile("[A-Z]{3}\\Z")
_KEY: Final = re.compile("-?[0-9]{1,19}\\Z")
_image: Final = msgspec.json.Decoder(Image).decode


class Browsing:
    """The public pages of one replica."""

    def __init__(self, services: Services, facts: CatalogueFacts, sold_out: SoldOut) -> None:
        self._clock = services.clock
        self._catalogue = Catalogue(services.pool)
        self._products = ProductPages(services.pool)
        self.pages = Pages(services.clock)
        self.news = PageNews(self.pages, self._products, facts, services.clock)
        self._sold_out = sold_out

    def begin(self, request: Request) -> Reply | Awaitable[Reply] | None:
        """The page of a path, or what will give it; None when it is not one of these. Refusal for a query that it does not take."""
        path = request.path
        if path.startswith(PRODUCT):
            request.route = "product"
            # What is kept under the whole path is a page without a query.
            ready = None if request.scope["query_string"] else self.pages.ready(request, path)
            return ready or self._product(request, path[len(PRODUCT) :])
        if path == PRODUCTS:
            request.route = "products"
            return self._list(request)
        if path.startswith(SALE) and "/" not in path[len(SALE) :]:
            request.route = "flash_sale"
            return self._sale(request, path[len(SALE) :])
        return None

    def _list(self, request: Request) -> Reply | Awaitable[Reply]:
        """One page of the list of products."""
        query, name = _list_query(request.scope["query_string"])

        async def make() -> Content:
            now_ms = self._clock.now_ms()
            rows = await self._products.lines(msgspec.structs.replace(query, limit=query.limit + 1), now_ms)
            page = rows[: query.limit]
            images = [None if row.product["image"] is None else _image(row.product["image"]) for row in page]
            lines = tuple(product_line(row, image, now_ms, query.currency) for row, image in zip(page, images, strict=True))
            more = _cursor(query.sort, page[-1].sorted, page[-1].product["product_id"]) if len(rows) > query.limit else None
            # Where prices sort, a promotion that begins anywhere may change the page: it is read again each second.
            by_price = query.sort in ("price", "-price")
            topics = frozenset[str]() if by_price else frozenset(("goods", "names"))
            until_ms = min((_changes_ms(row.facts, now_ms) for row in page[:1]), default=FOREVER_MS)
            return Content(encode(ProductPage(products=lines, next_cursor=more)), topics=topics, until_ms=until_ms)

        return self.pages.begin(request, name, make)

    def _product(self, request: Request, product_id: str) -> Reply | Awaitable[Reply]:
        """One product."""
        found = _query(request.scope["query_string"], ("currency",))
        currency = _currency(found)
        if not is_id(product_id, "prd"):
            raise Refusal("not_found")

        async def make() -> Content:
            rows = await self._products.product(product_id)
            if rows is None:
                return Content(None)
            made = product_page(rows, self._clock.now_ms(), currency)
            if isinstance(made, Refused):
                return Content(None, (made.code, {"product_id": product_id} | made.params))
            skus = made.skus
            topics = {"names", "product:" + product_id, *("sku:" + sku for sku in skus), *("prices:" + sku for sku in skus)}
            return Content(
                encode(made.page),
                topics=frozenset(topics),
                until_ms=made.until_ms,
                product_id=product_id,
                skus=frozenset(skus),
                in_stock=made.in_stock,
            )

        name = PRODUCT + product_id
        return self.pages.begin(request, f"{name}?{currency}" if currency else name, make)

    def _sale(self, request: Request, sale_id: str) -> Reply | Awaitable[Reply]:
        """One flash sale."""
        _query(request.scope["query_string"], ())
        if not is_id(sale_id, "sal"):
            raise Refusal("sale_unknown")

        async def make() -> Content:
            row = await self._catalogue.sale(sale_id)
            return Content(None, ("sale_unknown", None)) if row is None else Content(encode(self._sale_page(row)))

        return self.pages.begin(request, SALE + sale_id, make)

    def _sale_page(self, row: SaleRow) -> SalePage:
        now_ms = self._clock.now_ms()
        state = row.state
        if now_ms >= row.ends_at_ms:
            state = "ended"
        elif now_ms < row.opens_at_ms:
            state = "closed"
        return SalePage(
            sale_id=row.sale_id,
            titles=row.titles,
            state=state,
            mode=row.mode,
            opens_at=timestamp(row.opens_at_ms),
            ends_at=timestamp(row.ends_at_ms),
            limit_per_user=row.limit_per_user,
            ticket_required=row.ticket_required,
            skus=tuple(
                SaleSku(sku_id=sku_id, price=Money(amount=price, currency=row.currency), stock=self._stock(row, sku_id))
                for sku_id, price in sorted(row.prices.items())
            ),
        )

    def _stock(self, row: SaleRow, sku_id: str) -> str:
        level = row.levels.get(sku_id)
        if level is None or level.available <= 0 or self._sold_out.is_marked(sku_id):
            return "sold_out"
        return "low" if level.available * LOW_SHARE <= level.put_in else "available"


def _changes_ms(facts: dict[str, Any], now_ms: int) -> int:
    """When the next window of a price begins or ends, of all price lists of a page."""
    rows = (row for prices in facts.values() for found in prices.rows.values() for row in found)
    return min((ms for row in rows for ms in (row.starts_at_ms, row.ends_at_ms) if ms > now_ms), default=FOREVER_MS)


def _query(text: bytes, takes: tuple[str, ...]) -> dict[str, str]:
    """The query, by name. Refusal ``invalid_request`` when there is anything else in it than ``takes``, or something twice."""
    if not text:
        return {}
    try:
        pairs = parse_qsl(text.decode("ascii"), keep_blank_values=True, strict_parsing=False, errors="strict", max_num_fields=10)
    except ValueError as error:
        raise Refusal("invalid_request", {"reason": "the query cannot be read"}) from error
    found = dict(pairs)
    if found.keys() - set(takes) or len(found) != len(pairs):
        taken = f"takes {', '.join(takes)}, each once" if takes else "takes nothing"
        raise Refusal("invalid_request", {"reason": f"the query {taken}"})
    return found


def _currency(found: dict[str, str]) -> str:
    currency = found.get("currency", "")
    if "currency" in found and not _CURRENCY.match(currency):
        raise Refusal("invalid_request", {"reason": "currency is three capital letters"})
    return currency


@lru_cache(maxsize=1024)
def _list_query(text: bytes) -> tuple[ListQuery, str]:
    """What a list is asked for, and the name of its page, which is one however the query is written.

    Refusal ``invalid_request`` for anything else in the query.
    """
    found = _query(text, LIST_TAKES)
    limit, sort = found.get("limit", str(LIMIT)), found.get("sort", "id")
    if not (limit.isascii() and limit.isdigit() and len(limit) < 4 and 1 <= int(limit) <= LIMIT_MAX):
        raise Refusal("invalid_request", {"reason": f"limit must be from 1 to {LIMIT_MAX}"})
    if sort not in SORTS:
        raise Refusal("invalid_request", {"reason": f"sort is one of {', '.join(SORTS)}"})
    for name in FILTERS:
        value = found.get(name)
        if value is not None and (len(value) > FILTER_MAX or not value.isprintable()):
            raise Refusal("invalid_request", {"reason": f"{name} is none of ours"})
    query = ListQuery(
        limit=int(limit),
        sort=sort,
        after=_after(sort, found["cursor"]) if "cursor" in found else FIRST[sort],
        currency=_currency(found),
        filters=tuple((name, found[name]) for name in FILTERS if name in found),
    )
    return query, f"{PRODUCTS}?{query.limit}\n{query.sort}\n{query.after}\n{query.currency}\n{query.filters}"


def _cursor(sort: str, key: int, product_id: str) -> str:
    return cursor_of("p", product_id) if sort == "id" else cursor_of(sort, str(key), product_id)


def _after(sort: str, cursor: str) -> tuple[int, str]:
    """What a cursor stands behind. Refusal ``invalid_request`` for one of another sort."""
    if sort == "id":
        kind, product_id = parts_of(cursor, 2)
        if kind != "p":
            raise Refusal("invalid_request", {"reason": "cursor is none of ours"})
        return 0, product_id
    kind, key, product_id = parts_of(cursor, 3)
    if kind != sort or not _KEY.match(key) or abs(int(key)) > 2**62:
        raise Refusal("invalid_request", {"reason": "cursor is none of ours"})
    return int(key), product_id
