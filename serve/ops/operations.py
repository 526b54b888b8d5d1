"""What the document says of each operation, in both languages, and the operations that are hot."""

from typing import Any, Final, NamedTuple

from schemas.http.carts import Cart
from schemas.http.catalogue import Product, ProductPage
from schemas.http.events import EventBatch, EventsTaken
from schemas.http.hooks import Health
from schemas.http.sales import FlashOrder, OrderPlaced, SalePage


class Said(NamedTuple):
    """en, zh: one line for people. tag: where it stands in the page. who: public, customer, cart (customer or guest),
    or anyone (a customer or nobody)."""

    en: str
    zh: str
    tag: str
    who: str = "public"
    keyed: bool = False


SAID: Final[dict[str, Said]] = {
    "register": Said("Open an account", "注册账号", "accounts", keyed=True),
    "logIn": Said("Log in", "登录", "accounts", keyed=True),
    "refreshSession": Said("Exchange a refresh token for new tokens", "用刷新令牌换取新令牌", "accounts"),
    "listSessions": Said("List one's open sessions", "列出自己的登录会话", "accounts", "customer"),
    "logOut": Said("End one session", "退出一个会话", "accounts", "customer"),
    "logOutEverywhere": Said("End all sessions", "退出全部会话", "accounts", "customer"),
    "listProducts": Said("Browse the catalogue", "浏览商品目录", "catalogue"),
    "readProduct": Said("Look at a product", "查看商品", "catalogue"),
    "readSale": Said("Look at a flash sale", "查看秒杀活动", "flash sales"),
    "placeFlashOrder": Said("Buy in a flash sale", "秒杀下单", "flash sales", "customer", keyed=True),
    "getTicket": Said("Get admission to a flash sale", "领取秒杀入场券", "flash sales", "customer", keyed=True),
    "enterDraw": Said("Take part in a draw", "报名抽签", "flash sales", "customer", keyed=True),
    "readCart": Said("Read the cart", "查看购物车", "cart", "cart"),
    "putCartLine": Said("Set the quantity of a line", "设置购物车商品数量", "cart", "cart"),
    "removeCartLine": Said("Take a line out", "移除购物车商品", "cart", "cart"),
    "watchCart": Said("See the cart change, on every terminal (server-sent events)", "实时查看购物车变化(服务器推送)", "cart", "cart"),
    "mergeCart": Said("Take a guest's cart over", "合并游客购物车", "cart", "customer"),
    "checkOut": Said("Order what is in the cart", "结算购物车", "orders", "customer", keyed=True),
    "listOrders": Said("List one's orders", "订单列表", "orders", "customer"),
    "readOrder": Said("Read an order", "查看订单", "orders", "customer"),
    "payOrder": Said("Begin to pay", "发起支付", "orders", "customer", keyed=True),
    "cancelOrder": Said("Cancel an unpaid order", "取消未付款订单", "orders", "customer"),
    "sendEvents": Said("Tell what was seen and done, in batches", "批量上报浏览与行为事件", "events", "anyone"),
    "stripeWebhook": Said("Called by the payment provider", "支付渠道回调", "machines"),
    "liveness": Said("Is this process alive?", "进程存活检查", "machines"),
    "readiness": Said("Can it serve?", "就绪检查", "machines"),
    "metrics": Said("Counters for Prometheus", "Prometheus 指标", "machines"),
    "benchEmpty": Said("What the listener costs by itself", "空请求基准", "machines"),
}


class Hot(NamedTuple):
    """One operation that the framework does not route."""

    method: str
    path: str
    operation_id: str
    status: int
    answer: Any
    body: Any = None
    query: tuple[dict[str, Any], ...] = ()
    media: str = "application/json"


def _query(name: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


LIST_QUERY: Final = (
    _query("cursor", "`next_cursor` of the page before", type="string", maxLength=200),
    _query("limit", "products of one page", type="integer", minimum=1, maximum=100, default=20),
    _query("category", "products of one category alone", type="string", maxLength=100),
)

DURABLE: Final = (_query("durable", "1: answer when the events are on the disk", type="integer", enum=[0, 1], default=0),)

HOT: Final = (
    Hot("get", "/v1/products", "listProducts", 200, ProductPage, query=LIST_QUERY),
    Hot("get", "/v1/products/{product_id}", "readProduct", 200, Product),
    Hot("get", "/v1/flash-sales/{sale_id}", "readSale", 200, SalePage),
    Hot("post", "/v1/flash-sales/{sale_id}/orders", "placeFlashOrder", 201, OrderPlaced, FlashOrder),
    Hot("get", "/v1/cart/events", "watchCart", 200, Cart, media="text/event-stream"),
    Hot("post", "/v1/events", "sendEvents", 202, EventsTaken, EventBatch, query=DURABLE),
    Hot("get", "/healthz", "liveness", 200, Health),
)
BENCH: Final = Hot("post", "/bench/empty", "benchEmpty", 200, dict[str, str])
