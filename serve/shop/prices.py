"""What articles cost whoever is logged in, and why."""

from typing import Annotated, Any, Final

from litestar import get
from litestar.params import QueryParameter

from actors.domain.entity import Refused
from actors.domain.order_placing import LINE_QUANTITY_MAX
from actors.storage.catalogue import SALE_SKU
from schemas.http.prices import PriceNow, Prices
from schemas.ids import is_id
from schemas.offer import Offer
from serve.framework import ShopRequest
from serve.prices import price_names, price_now
from serve.requests import Refusal
from serve.shop.membership import price_terms

SKUS_MAX: Final = 100
_TAKEN: Final = frozenset({"sku_ids", "quantity", "currency"})


@get("/v1/prices", operation_id="readPrices")
async def read_prices(
    request: ShopRequest,
    sku_ids: Annotated[str, QueryParameter(min_length=1, max_length=2000, description="up to 100 ids with commas between")],
    quantity: Annotated[int, QueryParameter(ge=1, le=LINE_QUANTITY_MAX, description="of each")] = 1,
    currency: Annotated[str, QueryParameter(pattern="^([A-Z]{3})?$", description="ISO 4217 code; each article's own without it")] = "",
) -> Prices:
    """The prices that a checkout of this moment would take for lines of so many units. Nobody may keep the answer."""
    desk, user_id = request.desk, request.customer().user_id
    if not desk.user_rate.take(user_id):
        raise Refusal("rate_limited")
    names = [name for name, _ in request.query_params.multi_items()]
    if len(set(names)) < len(names) or not _TAKEN.issuperset(names):
        raise Refusal("invalid_request", {"reason": "the query takes sku_ids, quantity and currency, each once"})
    wanted = tuple(dict.fromkeys(sku_ids.split(",")))
    if len(wanted) > SKUS_MAX:
        raise Refusal("invalid_request", {"reason": f"sku_ids are at most {SKUS_MAX}"})
    for sku_id in wanted:
        if not is_id(sku_id, "sku"):
            raise Refusal("sku_unknown", {"sku_id": sku_id[:64]})
    terms = await price_terms(desk, user_id)
    facts = await desk.facts.fetch(price_names(wanted, member=terms.level_id is not None))
    now_ms = desk.clock.now_ms()
    found: list[PriceNow] = []
    for sku_id in wanted:
        offer = facts.get("sku:" + sku_id)
        if not isinstance(offer, Offer) or sku_id.startswith(SALE_SKU):
            raise Refusal("sku_unknown", {"sku_id": sku_id})
        if not offer.on_sale:
            raise Refusal("sku_not_on_sale", {"sku_id": sku_id})
        price = price_now(offer, facts, now_ms, quantity=quantity, level_id=terms.level_id, currency=currency)
        if isinstance(price, Refused):
            raise Refusal(price.code, price.params)
        found.append(price[0])
    return Prices(level_id=terms.level_id, prices=tuple(found))


HANDLERS: Final[list[Any]] = [read_prices]
