"""``GET`` of products, a product and a sale page: what a crowd looks at before it buys."""

from typing import Final
from urllib.parse import parse_qsl

from actors.storage.catalogue import Catalogue, SaleRow
from schemas.http.catalogue import ProductPage
from schemas.http.sales import SalePage, SaleSku
from schemas.ids import is_id
from schemas.money import Money
from serve.answers import Reply, encode, problem_reply, timestamp
from serve.cursors import cursor_of, parts_of
from serve.pages import Pages
from serve.requests import Refusal, Request
from serve.services import Services
from serve.soldout import SoldOut

LIMIT: Final = 20
LIMIT_MAX: Final = 100
CATEGORY_MAX: Final = 100
LOW_SHARE: Final = 10
"""A tenth of what there ever was is called low."""


class Browsing:
    """The public pages of one replica."""

    def __init__(self, services: Services, sold_out: SoldOut) -> None:
        self._clock = services.clock
        self._catalogue = Catalogue(services.pool)
        self._pages = Pages(services.clock)
        self._sold_out = sold_out

    async def products(self, request: Request) -> Reply:
        """One page of the list of products."""
        after, limit, category = _list_query(request)

        async def make() -> bytes:
            lines = await self._catalogue.products(after, limit + 1, category)
            more = cursor_of("p", lines[limit - 1].product_id) if len(lines) > limit else None
            return encode(ProductPage(products=tuple(lines[:limit]), next_cursor=more))

        return await self._pages.reply(request, f"products\n{after}\n{limit}\n{category or ''}", "not_found", make)

    async def product(self, request: Request, product_id: str) -> Reply:
        """One product."""

        async def make() -> bytes | None:
            found = await self._catalogue.product(product_id)
            return None if found is None else encode(found)

        if not is_id(product_id, "prd"):
            return problem_reply("not_found", language=request.language)
        return await self._pages.reply(request, "product\n" + product_id, "not_found", make)

    async def sale(self, request: Request, sale_id: str) -> Reply:
        """One flash sale."""

        async def make() -> bytes | None:
            row = await self._catalogue.sale(sale_id)
            return None if row is None else encode(self._sale_page(row))

        if not is_id(sale_id, "sal"):
            return problem_reply("sale_unknown", language=request.language)
        return await self._pages.reply(request, "sale\n" + sale_id, "sale_unknown", make)

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


def _list_query(request: Request) -> tuple[str, int, str | None]:
    """(after, limit, category) of a list. Refusal ``invalid_request`` for anything else in the query."""
    try:
        pairs = parse_qsl(
            request.scope.get("query_string", b"").decode("ascii"),
            keep_blank_values=True, strict_parsing=False, errors="strict", max_num_fields=10,
        )  # fmt: skip
    except ValueError as error:
        raise Refusal("invalid_request", {"reason": "the query cannot be read"}) from error
    found = dict(pairs)
    unknown = found.keys() - {"cursor", "limit", "category"}
    if unknown or len(found) != len(pairs):
        raise Refusal("invalid_request", {"reason": "the query takes cursor, limit and category, each once"})
    limit, category = found.get("limit", str(LIMIT)), found.get("category")
    if not (limit.isascii() and limit.isdigit() and len(limit) < 4 and 1 <= int(limit) <= LIMIT_MAX):
        raise Refusal("invalid_request", {"reason": f"limit must be from 1 to {LIMIT_MAX}"})
    if category is not None and (len(category) > CATEGORY_MAX or not category.isprintable()):
        raise Refusal("invalid_request", {"reason": "category is none of ours"})
    after = parts_of(found["cursor"], 2)[1] if "cursor" in found else ""
    return after, int(limit), category
