"""Carts, of users and of guests. The owner says what and how many; prices are put beside it as they are now."""

from typing import Annotated, Any, Final

from litestar import delete, get, post, put
from litestar.params import FromPath, JSONBody, QueryParameter

from actors.domain.entity import Refused
from actors.domain.pricing import shipping_fee
from actors.domain.unit_price import next_tier, unit_price
from actors.storage.catalogue import SALE_SKU
from schemas.cart import CartContents, PutLine, ReadCart, RemoveLine
from schemas.http.carts import Cart, CartLine, MergeCart, PutQuantity
from schemas.ids import is_id
from schemas.money import Money
from schemas.offer import Offer
from schemas.order import Line
from serve.desk import Desk
from serve.framework import ShopRequest
from serve.prices import ends, price_names, tier_of
from serve.requests import Refusal
from serve.shop.guests import guest_key, merge_guest, new_guest_token
from serve.shop.membership import PriceTerms, price_terms

_GUEST_LENGTH: Final = 24


def _holder(request: ShopRequest) -> str:
    """The key of the cart that is asked for. Refusal ``unauthenticated`` when neither user nor guest is named."""
    guest = request.head.headers.get(b"guest-token")
    if guest is None or b"authorization" in request.head.headers:
        return request.customer().user_id
    return guest_holder(guest)


def guest_holder(guest: bytes) -> str:
    """The key of a guest's cart. Refusal ``unauthenticated``."""
    text = guest.decode("latin-1")
    if len(text) != _GUEST_LENGTH or not is_id(text, "gst"):
        raise Refusal("unauthenticated")
    return guest_key(text)


async def cart_of(desk: Desk, holder: str, currency: str = "") -> Cart:
    """The cart as it is now, priced in this currency ("": that of its articles). Refusal ``currency_not_offered``."""
    return await _priced(desk, await desk.told("cart", holder, ReadCart()), holder, currency=currency)


async def _priced(desk: Desk, contents: CartContents, holder: str, guest_token: str | None = None, currency: str = "") -> Cart:
    """With the prices that a checkout of this moment would make, those of a member's level too."""
    terms = await price_terms(desk, holder) if contents.lines and is_id(holder, "usr") else PriceTerms()
    names = price_names(tuple(line.sku_id for line in contents.lines), member=terms.level_id is not None)
    facts = await desk.facts.fetch((*names, "shop:shipping")) if contents.lines else {}
    now_ms = desk.clock.now_ms()
    lines = tuple(_line(line, facts, now_ms, terms.level_id, currency) for line in contents.lines)
    goods = _total(lines)
    fee = None if goods is None else _fee(goods, facts)
    paid = None if terms.free_shipping else fee
    return Cart(
        version=contents.version,
        lines=lines,
        total=goods if goods is None or paid is None else Money(amount=goods.amount + paid.amount, currency=goods.currency),
        shipping=paid,
        shipping_saved=fee if terms.free_shipping else None,
        clipped=contents.clipped,
        guest_token=guest_token,
    )


def _fee(goods: Money, facts: dict[str, Any]) -> Money | None:
    fee = shipping_fee(goods.amount, goods.currency, facts.get("shop:shipping"))
    return Money(amount=fee, currency=goods.currency) if fee else None


def _line(line: Line, facts: dict[str, Any], at_ms: int, level_id: str | None, currency: str) -> CartLine:
    offer = facts.get("sku:" + line.sku_id)
    if not isinstance(offer, Offer) or not offer.on_sale:
        return CartLine(sku_id=line.sku_id, quantity=line.quantity, unit_price=None, total=None)
    price = unit_price(offer, facts, at_ms, quantity=line.quantity, level_id=level_id, currency=currency)
    if isinstance(price, Refused):
        raise Refusal(price.code, price.params)
    cheaper = next_tier(offer, facts, at_ms, price, quantity=line.quantity, level_id=level_id)
    return CartLine(
        sku_id=line.sku_id,
        quantity=line.quantity,
        unit_price=Money(amount=price.amount, currency=price.currency),
        total=Money(amount=price.amount * line.quantity, currency=price.currency),
        price_kind=price.kind,
        list_price=Money(amount=price.list_price, currency=price.currency),
        until=ends(price.until_ms),
        next_tier=tier_of(cheaper, price.currency),
    )


def _total(lines: tuple[CartLine, ...]) -> Money | None:
    totals = [line.total for line in lines if line.total is not None]
    if not totals or len(totals) < len(lines) or len({total.currency for total in totals}) > 1:
        return None
    return Money(amount=sum(total.amount for total in totals), currency=totals[0].currency)


async def _check_sold(desk: Desk, sku_id: str) -> None:
    """Refusal unless the article is one that may be bought: no cart is made for a name that somebody made up."""
    offer = (await desk.facts.fetch(("sku:" + sku_id,))).get("sku:" + sku_id) if is_id(sku_id, "sku") else None
    if not isinstance(offer, Offer):
        raise Refusal("sku_unknown", {"sku_id": sku_id[:64]})
    if not offer.on_sale or sku_id.startswith(SALE_SKU):
        raise Refusal("sku_not_on_sale", {"sku_id": sku_id})


@get("/v1/cart", operation_id="readCart")
async def read_cart(
    request: ShopRequest,
    currency: Annotated[str, QueryParameter(pattern="^([A-Z]{3})?$", description="ISO 4217 code; that of the articles without it")] = "",
) -> Cart:
    """The cart, exactly; in a currency that an article of it is not sold in, ``currency_not_offered``."""
    return await cart_of(request.desk, _holder(request), currency)


@put("/v1/cart/lines/{sku_id:str}", operation_id="putCartLine")
async def put_line(request: ShopRequest, sku_id: FromPath[str], data: JSONBody[PutQuantity]) -> Cart:
    """Let a line be so many pieces. Who is neither user nor guest becomes a guest."""
    desk, headers = request.desk, request.head.headers
    new_guest = b"guest-token" not in headers and desk.cookies.credential(request.head) is None
    token = new_guest_token(desk) if new_guest else None
    holder = guest_key(token) if token else _holder(request)
    if not desk.user_rate.take(holder):
        raise Refusal("rate_limited")
    if data.quantity:
        await _check_sold(desk, sku_id)
    elif not is_id(sku_id, "sku"):
        raise Refusal("sku_unknown")
    contents = await desk.told("cart", holder, PutLine(sku_id=sku_id, quantity=data.quantity), digest=b"put")
    desk.cart_changed(holder)
    return await _priced(desk, contents, holder, token)


@delete("/v1/cart/lines/{sku_id:str}", operation_id="removeCartLine", status_code=200)
async def remove_line(request: ShopRequest, sku_id: FromPath[str]) -> Cart:
    """Take a line out; nothing happens when it is not there."""
    holder = _holder(request)
    if not is_id(sku_id, "sku"):
        raise Refusal("sku_unknown")
    contents = await request.desk.told("cart", holder, RemoveLine(sku_id=sku_id), digest=b"remove")
    request.desk.cart_changed(holder)
    return await _priced(request.desk, contents, holder)


@post("/v1/cart/merge", operation_id="mergeCart", status_code=200)
async def merge_cart(request: ShopRequest, data: JSONBody[MergeCart]) -> Cart:
    """Take a guest's cart over. A repeat adds nothing."""
    user_id = request.customer().user_id
    return await _priced(request.desk, await merge_guest(request.desk, user_id, guest_key(data.guest_token)), user_id)


HANDLERS: Final[list[Any]] = [read_cart, put_line, remove_line, merge_cart]
