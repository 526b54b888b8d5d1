"""Public pages of goods: what they show, when they change, and that nobody can make them show anything else."""

import asyncio
import json
import random
import secrets
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest

from actors.domain.unit_price import UnitPrice, unit_price
from actors.storage.facts import PostgresFacts
from actors.storage.goods import By, Edit, Goods
from actors.storage.product_pages import FILTERS, SORTS, STREAMS, candidates, listing
from schemas.goods import Image, Option, OptionValue, Price, Product, ProductText, ProductTexts, Sku, Words
from serve.listener import DirectListener
from tests.api.test_api_prices import add_prices

pytestmark = pytest.mark.asyncio(loop_scope="session")

CHANGED_S = 2.0
ATTRIBUTES = [
    {"attribute_id": "material", "titles": {"en": "Material", "zh-CN": "材质"}, "kind": "choices",
     "choices": [{"value_id": "clay", "titles": {"en": "Clay", "zh-CN": "陶土"}}]},
    {"attribute_id": "height", "titles": {"en": "Height", "zh-CN": "高度"}, "kind": "number", "unit": "mm"},
    {"attribute_id": "safe", "titles": {"en": "Safe", "zh-CN": "安全"}, "kind": "flag"},
]  # fmt: skip


class Place:
    """A branch of the tree, a brand and a tag of one test's own, and products in it."""

    def __init__(self, shop: Any) -> None:
        self.shop, self.mark = shop, secrets.token_hex(4)
        self.root, self.leaf, self.brand, self.tag = (f"{kind}_{self.mark}{end}" for kind, end in
                                                     (("cat", "r"), ("cat", "l"), ("brd", ""), ("tag", "")))  # fmt: skip

    async def make(self) -> "Place":
        pool, mark = self.shop.pool, self.mark
        category = "INSERT INTO category (category_id, parent_id, title, title_zh, slug, attributes) VALUES ($1, $2, $3, $4, $5, $6)"
        await pool.execute(category, self.root, None, "Kitchen", "厨房", f"kitchen-{mark}", json.dumps(ATTRIBUTES[:1]))
        await pool.execute(category, self.leaf, self.root, "Cups", "杯子", f"cups-{mark}", json.dumps(ATTRIBUTES[1:]))
        await pool.execute("INSERT INTO brand (brand_id, title, title_zh, slug) VALUES ($1, 'Mug & Co', '杯社', $1)", self.brand)
        await pool.execute("INSERT INTO tag (tag_id, title, title_zh) VALUES ($1, 'New', '新品')", self.tag)
        return self

    def doc(self, code: str = "CUP", **more: Any) -> Product:
        """A cup in two colours, with everything that a document can say."""
        colors = tuple(
            OptionValue(value_id=name, titles=Words(en=name, zh=zh), image_id="img_2") for name, zh in (("red", "红"), ("blue", "蓝"))
        )
        code = f"{code}-{self.mark}"
        fields: dict[str, Any] = {
            "code": code, "state": "on_shelf", "category_id": self.leaf, "brand_id": self.brand, "slug": code.lower(),
            "texts": ProductTexts(
                en=ProductText(title="Cup", subtitle="Hand made", detail="<p>A cup</p>", seo_title="Buy a cup", keywords=("cup",)),
                zh=ProductText(title="杯子"),
            ),
            "attributes": {"material": ("clay",), "height": 95.0, "safe": True},
            "images": (Image(image_id="img_1", alt=Words(en="A cup")),),
            "options": (Option(option_id="color", titles=Words(en="Colour", zh="颜色"), values=colors),),
            "skus": tuple(
                Sku(code=f"{code}-{color}", choice={"color": color}, weight_g=310, height_mm=95, prices=(
                    Price(currency="CNY", amount=price), Price(kind="tier", currency="CNY", amount=price - 100, min_quantity=10),
                    Price(currency="EUR", amount=price // 7),
                )) for color, price in (("red", 1000), ("blue", 1100))
            ),
        }  # fmt: skip
        return Product(**(fields | more))

    async def write(self, doc: Product, product_id: str = "") -> str:
        async with self.shop.pool.acquire() as connection, connection.transaction():
            edits = [Edit(doc=doc, product_id=product_id)]
            [written] = await Goods(self.shop.pool).write_many(
                connection, edits, By(actor_id="usr_1", role="operator"), self.shop.clock.now_ms()
            )
        await self.shop.fresh_facts()
        await self.shop.application.browsing.news.look()
        return written.product_id


async def read(shop: Any, product_id: str, query: str = "") -> Any:
    return await shop.ask("GET", f"/v1/products/{product_id}{query}")


async def until(shop: Any, product_id: str, wanted: Any, of: Any) -> float:
    """Seconds until the page shows what is wanted."""
    began = time.monotonic()
    while of((await read(shop, product_id)).json) != wanted:
        assert time.monotonic() - began < CHANGED_S + 2, "it never changed"
        await asyncio.sleep(0.05)
    return time.monotonic() - began


async def test_a_page_shows_all_that_a_document_says_in_both_languages(shop: Any) -> None:
    place = await Place(shop).make()
    product_id = await place.write(place.doc())
    await shop.pool.execute("UPDATE product SET tags = ARRAY[$2] WHERE product_id = $1", product_id, place.tag)
    await shop.application.browsing.news.look()
    page = (await read(shop, product_id)).json
    assert page["titles"] == {"en": "Cup", "zh-CN": "杯子"}
    assert page["subtitles"] == {"en": "Hand made", "zh-CN": "Hand made"}
    assert page["details"]["en"] == "<p>A cup</p>"
    assert page["seo"]["titles"]["zh-CN"] == "Buy a cup"
    assert page["seo"]["keywords"]["en"] == ["cup"]
    assert [(option["option_id"], [value["value_id"] for value in option["values"]]) for option in page["options"]] == [
        ("color", ["red", "blue"])
    ]
    [image] = page["images"]
    assert image["url"] == "/media/img_1/960.webp"
    assert image["srcset"].split(", ")[0] == "/media/img_1/160.webp 160w"
    assert image["alt"] == {"en": "A cup", "zh-CN": "A cup"}
    assert [(one["attribute_id"], one["texts"]["en"], one["texts"]["zh-CN"]) for one in page["attributes"]] == [
        ("material", "Clay", "陶土"), ("height", "95 mm", "95 mm"), ("safe", "Yes", "是"),
    ]  # fmt: skip
    assert [one["titles"]["zh-CN"] for one in page["category_path"]] == ["厨房", "杯子"]
    assert page["brand_named"]["titles"]["zh-CN"] == "杯社"
    assert page["tags"] == [{"tag_id": place.tag, "titles": {"en": "New", "zh-CN": "新品"}}]
    red, blue = page["skus"]
    assert (red["choice"], blue["choice"]) == ({"color": "red"}, {"color": "blue"})
    assert (red["weight_g"], red["height_mm"], red["in_stock"], red["on_sale"]) == (310, 95, False, True)
    assert (red["price"]["amount"], red["pricing"]["next_tier"]["min_quantity"]) == (1000, 10)
    euros = (await read(shop, product_id, "?currency=EUR")).json["skus"]
    assert [sku["price"] for sku in euros] == [{"amount": 142, "currency": "EUR"}, {"amount": 157, "currency": "EUR"}]


async def test_an_article_without_a_price_in_the_currency_is_not_sold_in_it(shop: Any) -> None:
    place = await Place(shop).make()
    doc = place.doc()
    blue = msgspec.structs.replace(doc.skus[1], prices=doc.skus[1].prices[:1])
    product_id = await place.write(msgspec.structs.replace(doc, skus=(doc.skus[0], blue)))
    red, blue_shown = (await read(shop, product_id, "?currency=EUR")).json["skus"]
    assert (red["on_sale"], blue_shown["on_sale"], "pricing" in blue_shown) == (True, False, False)


@pytest.mark.parametrize("state", ["draft", "scheduled", "off_shelf", "retired"])
async def test_only_what_is_on_the_shelf_has_a_page_or_stands_in_a_list(shop: Any, state: str) -> None:
    place = await Place(shop).make()
    product_id = await place.write(place.doc())
    assert (await read(shop, product_id)).status == 200
    listed = f"/v1/products?category_id={place.root}"
    assert len((await shop.ask("GET", listed)).json["products"]) == 1
    await shop.pool.execute("UPDATE product SET state = $2 WHERE product_id = $1", product_id, state)
    await shop.application.browsing.news.look()
    assert (await read(shop, product_id)).code == "not_found"
    for sort in SORTS:
        assert (await shop.ask("GET", f"{listed}&sort={sort}")).json["products"] == []


async def test_an_article_off_the_shelf_and_one_of_a_sales_own_are_on_no_page(shop: Any) -> None:
    place = await Place(shop).make()
    doc = place.doc()
    hidden = msgspec.structs.replace(doc.skus[0], offered=False)
    product_id = await place.write(msgspec.structs.replace(doc, skus=(hidden, doc.skus[1])))
    copy = "sku_s_" + secrets.token_hex(4)
    await shop.pool.execute(
        "INSERT INTO sku (sku_id, product_id, code, price_minor, currency) VALUES ($1, $2, $1, 1, 'CNY')", copy, product_id
    )
    await shop.application.browsing.news.look()
    assert [sku["choice"] for sku in (await read(shop, product_id)).json["skus"]] == [{"color": "blue"}]
    for sort in SORTS:
        [line] = (await shop.ask("GET", f"/v1/products?category_id={place.leaf}&sort={sort}")).json["products"]
        assert line["price"]["amount"] == 1100


# --- lists ------------------------------------------------------------------------------------


async def pages(shop: Any, query: str, limit: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = (await shop.ask("GET", f"/v1/products?{query}&limit={limit}{cursor}")).json
        found += page["products"]
        if page["next_cursor"] is None:
            return found
        cursor = "&cursor=" + page["next_cursor"]


async def many(place: Place, count: int) -> list[str]:
    """Products of one article each, of all kinds of prices."""
    chance, ids, now_ms = random.Random(5), [], place.shop.clock.now_ms()
    for number in range(count):
        price = chance.choice((500, 700, 900, 1100))
        starts_at_ms = now_ms + chance.choice((-90_000, 90_000))
        more = [
            Price(kind="promotion", currency="CNY", amount=chance.randrange(1, price), starts_at_ms=starts_at_ms),
            Price(kind="tier", currency="CNY", amount=1, min_quantity=3), Price(currency="EUR", amount=chance.randrange(1, 500)),
            Price(kind="promotion", currency="EUR", amount=chance.randrange(1, 100), starts_at_ms=1),
        ]  # fmt: skip
        chosen = [one for one in more if chance.random() < 0.5]
        if not any(one.kind == "list" and one.currency == "EUR" for one in chosen):
            chosen = [one for one in chosen if one.currency != "EUR"]
        code = f"M{number}"
        sku = Sku(code=f"{code}-{place.mark}", prices=(Price(currency="CNY", amount=price), *chosen))
        doc = place.doc(code, options=(), skus=(sku,), category_id=chance.choice((place.root, place.leaf)))
        ids.append(await place.write(doc))
        await place.shop.pool.execute(
            "UPDATE product SET tags = $2, on_shelf_since_ms = $3 WHERE product_id = $1",
            ids[-1], [place.tag] if number % 2 else [], now_ms - chance.randrange(5),
        )  # fmt: skip
    await place.shop.application.browsing.news.look()
    return ids


async def test_lists_sort_and_filter_as_the_rule_of_prices_says_page_by_page(shop: Any) -> None:
    place = await Place(shop).make()
    ids = await many(place, 12)
    rows = await shop.pool.fetch("SELECT product_id, sku_id, on_shelf_since_ms, tags FROM product JOIN sku USING (product_id) "
                                 "WHERE product_id = ANY($1)", ids)  # fmt: skip
    facts = await PostgresFacts(shop.pool).load([f"{kind}:{row['sku_id']}" for row in rows for kind in ("sku", "prices")])
    now_ms = shop.clock.now_ms()

    def price(sku_id: str, currency: str) -> int | None:
        found = unit_price(facts["sku:" + sku_id], facts, now_ms, currency=currency)
        return found.amount if isinstance(found, UnitPrice) else None

    for currency in ("", "CNY", "EUR"):
        priced = [(price(row["sku_id"], currency), row["product_id"]) for row in rows]
        for sort in ("price", "-price"):
            shown = await pages(shop, f"category_id={place.root}&sort={sort}" + (f"&currency={currency}" if currency else ""), 5)
            expected = sorted((one for one in priced if one[0] is not None), reverse=sort == "-price")
            assert [(line["price"]["amount"], line["product_id"]) for line in shown] == expected
    newest = await pages(shop, f"category_id={place.root}&sort=newest", 5)
    by_age = sorted(((row["on_shelf_since_ms"], row["product_id"]) for row in rows), reverse=True)
    assert [line["product_id"] for line in newest] == [product_id for _, product_id in by_age]
    tagged = {row["product_id"] for row in rows if place.tag in row["tags"]}
    for query in (f"tag={place.tag}", f"tag={place.tag}&brand_id={place.brand}&category_id={place.root}"):
        assert {line["product_id"] for line in await pages(shop, query, 4)} == tagged
    leaf = await pages(shop, f"category_id={place.leaf}", 100)
    assert {line["category_id"] for line in leaf} == {place.leaf}
    assert 0 < len(leaf) < len(ids)
    assert await pages(shop, "category_id=cat_nobody", 5) == []


async def test_a_list_goes_on_where_it_was_whatever_comes_and_goes(shop: Any) -> None:
    place = await Place(shop).make()
    ids = sorted(await many(place, 6))
    for sort in SORTS:
        query = f"/v1/products?category_id={place.root}&sort={sort}&limit=3"
        first = (await shop.ask("GET", query)).json
        seen = [line["product_id"] for line in first["products"]]
        await shop.pool.execute("UPDATE product SET state = 'off_shelf' WHERE product_id = $1", seen[0])
        await shop.application.browsing.news.look()
        rest = (await shop.ask("GET", f"{query}&cursor={first['next_cursor']}")).json
        assert sorted([*seen, *(line["product_id"] for line in rest["products"])]) == ids
        await shop.pool.execute("UPDATE product SET state = 'on_shelf' WHERE product_id = $1", seen[0])
        await shop.application.browsing.news.look()


async def test_every_list_can_be_prepared(shop: Any) -> None:
    names = tuple(FILTERS)
    async with shop.pool.acquire() as connection:
        for chosen in range(2 ** len(names)):
            filters = tuple(name for bit, name in enumerate(names) if chosen >> bit & 1)
            statements = [listing(sort, filters) for sort in ("id", "newest")]
            statements += [candidates(stream, sort, filters) for stream in STREAMS for sort in ("price", "-price")]
            for statement in statements:
                await connection.prepare(statement)


async def test_articles_and_products_of_one_price_are_each_listed_once_however_the_candidates_are_cut(shop: Any) -> None:
    place = await Place(shop).make()
    ids = []
    for number in range(4):
        # Eighty amounts a product, of which one counts: more than a round of candidates.
        skus = tuple(
            Sku(code=f"S{number}-{index}-{place.mark}", choice={"n": str(index)}, prices=(Price(currency="CNY", amount=500 + index // 2),))
            for index in range(80)
        )
        values = tuple(OptionValue(value_id=str(index), titles=Words(en=str(index))) for index in range(80))
        option = Option(option_id="n", titles=Words(en="n"), values=values)
        ids.append(await place.write(place.doc(f"S{number}", options=(option,), skus=skus)))
    for sort in ("price", "-price"):
        shown = await pages(shop, f"category_id={place.root}&sort={sort}", 2)
        assert [line["product_id"] for line in shown] == sorted(ids, reverse=sort == "-price")
        assert {line["price"]["amount"] for line in shown} == {500}


# --- what is kept -----------------------------------------------------------------------------


async def test_a_page_is_read_once_while_nothing_changes_and_at_once_when_something_does(shop: Any) -> None:
    place = await Place(shop).make()
    product_id = await place.write(place.doc())
    kept = shop.application.browsing.pages._pages
    before = await read(shop, product_id)
    first = kept["/v1/products/" + product_id]
    began = time.monotonic()
    while time.monotonic() - began < 2.2:
        assert (await read(shop, product_id)).headers["etag"] == before.headers["etag"]
        await asyncio.sleep(0.1)
    assert kept["/v1/products/" + product_id] is first, "it was read again, though nothing had changed"
    unchanged = await shop.ask("GET", f"/v1/products/{product_id}", headers={"If-None-Match": f'"x", {before.headers["etag"]}'})
    assert (unchanged.status, unchanged.body) == (304, b"")
    changes: list[tuple[str, Any, Any]] = [
        ("UPDATE product SET title = 'Beaker' WHERE product_id = $1", "Beaker", lambda page: page["titles"]["en"]),
        ("UPDATE sku SET price_minor = 5 WHERE product_id = $1", 5, lambda page: page["skus"][0]["price"]["amount"]),
        (
            "UPDATE category SET title = 'Pots' WHERE category_id = (SELECT category_id FROM product WHERE product_id = $1)",
            "Pots",
            lambda page: page["category_path"][1]["titles"]["en"],
        ),
        (
            "INSERT INTO stock_level (key, available) SELECT min(sku_id) || '#0', 1 FROM sku WHERE product_id = $1",
            1,
            lambda page: sum(sku["in_stock"] for sku in page["skus"]),
        ),
        (
            "UPDATE stock_level SET available = 0 WHERE key = (SELECT min(sku_id) || '#0' FROM sku WHERE product_id = $1)",
            0,
            lambda page: sum(sku["in_stock"] for sku in page["skus"]),
        ),
    ]
    took = []
    for change, value, of in changes:
        await shop.pool.execute(change, product_id)
        took.append(await until(shop, product_id, value, of))
    assert max(took) < CHANGED_S + 0.5, took


async def test_head_is_a_page_without_its_body(shop: Any) -> None:
    sku_id = await shop.sku()
    for path in ("/v1/products/" + sku_id.replace("sku_", "prd_"), "/v1/products?limit=2", "/healthz"):
        whole, head = await shop.ask("GET", path), await shop.ask("HEAD", path)
        assert (head.status, head.body) == (200, b"")
        assert head.headers["content-length"] == str(len(whole.body))
        assert head.headers.get("etag") == whole.headers.get("etag")
    gone = await shop.ask("HEAD", "/v1/products/prd_nobody")
    assert (gone.status, gone.body) == (404, b"")


async def test_f75_nothing_that_a_stranger_sends_is_on_the_page_of_another(shop: Any) -> None:
    sku_id = await shop.sku()
    path, (_, token) = "/v1/products/" + sku_id.replace("sku_", "prd_"), shop.user()
    await add_prices(shop, sku_id, {"kind": "member", "amount": 1, "level": "ordinary"}, {"kind": "member", "amount": 2, "level": "gold"})
    strange = {
        "X-Forwarded-Host": "evil.example",
        "X-Original-URL": "/v1/products/prd_1",
        "X-HTTP-Method-Override": "DELETE",
        "Origin": "null",
        "Accept-Language": "zh-CN",
        "Accept-Encoding": "gzip",
        "Cookie": "a=b",
        "X-Forwarded-Proto": "x",
        "If-Match": "*",
        "Range": "bytes=0-1",
        "Authorization": f"Bearer {token}",
    }
    odd = await shop.ask("GET", path, headers=strange)
    plain = await shop.ask("GET", path)
    assert (odd.status, odd.body) == (200, plain.body)
    assert plain.json["skus"][0]["price"]["amount"] == 1999
    assert plain.headers["cache-control"] == "public, max-age=1"
    assert "set-cookie" not in plain.headers
    names = len(shop.application.browsing.pages._pages)
    for query in ("utm_source=x", "currency=CNY&currency=EUR", "callback=x", "_=1", "limit=5", "currency=cny", "currency=CN%0AY", ";", "="):
        assert (await shop.ask("GET", f"{path}?{query}")).code == "invalid_request", query
    for query in ("limit=5&limit=6", "tag=a%0Ab", "sort=rank", "sort=", "sku=1", "cursor=bgox", "sort=price&cursor=cApwcmRf",
                  "sort=newest&cursor=bmV3ZXN0CjkKcHJkXzEKeA", "category_id=%00", "tag=" + "x" * 101, "currency=EURO"):  # fmt: skip
        assert (await shop.ask("GET", f"/v1/products?{query}")).code == "invalid_request", query
    assert len(shop.application.browsing.pages._pages) == names, "a refused query is kept"
    # Two ways to write one question are one page, and no two questions are.
    await shop.ask("GET", "/v1/products?limit=7&category=POISON")
    await shop.ask("GET", "/v1/products?category=POISON&limit=7&sort=id")
    assert len(shop.application.browsing.pages._pages) == names + 1


async def test_generated_queries_are_answered_or_refused_and_never_break(shop: Any) -> None:
    chance = random.Random(11)
    values = [
        "",
        "1",
        "-1",
        "EUR",
        "price",
        "-price",
        "newest",
        "cat_1",
        "é",
        "%F0%9F%9B%92",
        "%E2%80%AE",
        "'; --",
        "%25",
        "_",
        "{}",
        "[]",
        "0x1",
        "x" * 101,
        "%0d%0a",
        "null",
        "cHJpY2UKMQpwcmRfMQ",
        "2e9",
        "9" * 25,
        "\\",
        "%",
    ]
    names = ["limit", "sort", "cursor", "currency", "category", "category_id", "brand_id", "tag", "other", "%00"]
    for _ in range(80):
        query = "&".join(f"{chance.choice(names)}={chance.choice(values)}" for _ in range(chance.randrange(1, 4)))
        path = chance.choice(("/v1/products", "/v1/products/prd_1", "/v1/flash-sales/sal_1"))
        answer = await shop.ask(chance.choice(("GET", "HEAD")), f"{path}?{query}".replace(" ", "%20"))
        assert answer.status in (200, 404, 422), (query, answer.status, answer.body)


# --- the hot lane -----------------------------------------------------------------------------


class App:
    """The shop's application, which goes on when a listener before it ends."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self.hot = application.hot

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._application(scope, receive, send)

    def drain(self) -> None:
        pass


@asynccontextmanager
async def direct(shop: Any) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    """A client of a direct listener before the shop, and its address."""
    listening = socket.create_server(("127.0.0.1", 0))
    listener = DirectListener(App(shop.application), listening)
    await listener.start()
    base = f"http://127.0.0.1:{listening.getsockname()[1]}"
    async with aiohttp.ClientSession() as session:
        yield session, base
    await listener.drain()


async def test_both_lanes_give_the_same_pages(shop: Any) -> None:
    sku_id = await shop.sku()
    product, sale_id = "/v1/products/" + sku_id.replace("sku_", "prd_"), await shop.sale(sku_id)
    etag = (await shop.ask("GET", product)).headers["etag"]
    asked = [
        ("GET", product, {}),
        ("HEAD", product, {}),
        ("GET", product, {"If-None-Match": etag}),
        ("HEAD", product, {"If-None-Match": etag}),
        ("GET", product + "?currency=CNY", {}),
        ("GET", product + "?currency=USD", {"Accept-Language": "zh-CN"}),
        ("GET", product + "?x=1", {}),
        ("GET", product + "/x", {}),
        ("GET", "/v1/products/", {}),
        ("GET", "/v1/products/prd_nobody", {}),
        ("GET", "/v1/productsx", {}),
        ("GET", "/v1/products?limit=3", {}),
        ("GET", "/v1/products?", {}),
        ("GET", "/v1/products?limit=0", {}),
        ("GET", "/v1/products?tag=%C3%A9", {}),
        ("GET", f"/v1/flash-sales/{sale_id}", {}),
        ("GET", "/v1/flash-sales/sal_nobody", {}),
        ("GET", f"/v1/flash-sales/{sale_id}/orders", {}),
        ("DELETE", product, {}),
        ("POST", product, {}),
    ]
    async with direct(shop) as (session, base):
        for method, path, headers in asked:
            plain = await shop.ask(method, path, headers=headers)
            async with session.request(method, base + path, headers=headers) as answer:
                hot = (answer.status, await answer.read())
                for name in ("etag", "cache-control", "content-type", "x-content-type-options", "content-language"):
                    assert answer.headers.get(name) == plain.headers.get(name), (method, path, name)
            assert hot == (plain.status, plain.body), (method, path)
