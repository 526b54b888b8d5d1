"""What an article costs whom, and when: what merchandisers look at before a promotion begins."""

from typing import Annotated, Any, Final

from litestar import get
from litestar.params import FromPath, QueryParameter

from actors.domain.entity import Refused
from schemas.goods import FOREVER_MS, QUANTITY_MAX
from schemas.http.prices import PriceNow
from schemas.ids import is_id
from schemas.offer import Offer
from serve.framework import ShopRequest
from serve.prices import EVERY, price_names, price_now
from serve.requests import Refusal


@get("/v1/staff/prices/{sku_id:str}", operation_id="explainPrice")
async def explain_price(
    request: ShopRequest,
    sku_id: FromPath[str],
    quantity: Annotated[int, QueryParameter(ge=1, le=QUANTITY_MAX)] = 1,
    currency: Annotated[str, QueryParameter(pattern="^([A-Z]{3})?$", description="ISO 4217 code; the article's own without it")] = "",
    level_id: Annotated[str | None, QueryParameter(max_length=200, description="of a member; anybody without it")] = None,
    at_ms: Annotated[int | None, QueryParameter(ge=0, le=FOREVER_MS, description="UTC, milliseconds; now without it")] = None,
) -> PriceNow:
    """The answer of the shop's one rule, with every price that it looked at; also of an article that is not on the shelf."""
    desk = request.desk
    if not is_id(sku_id, "sku"):
        raise Refusal("sku_unknown")
    facts = await desk.facts.fetch(price_names((sku_id,), member=True))
    offer = facts.get("sku:" + sku_id)
    if not isinstance(offer, Offer):
        raise Refusal("sku_unknown")
    moment_ms = desk.clock.now_ms() if at_ms is None else at_ms
    found = price_now(offer, facts, moment_ms, quantity=quantity, level_id=level_id, currency=currency, shown=EVERY)
    if isinstance(found, Refused):
        raise Refusal(found.code, found.params)
    return found[0]


HANDLERS: Final[list[Any]] = [explain_price]
