"""Bad documents of products, generated: each is a problem with a stable code, all that is wrong at once, and nothing is written."""

import copy
import io
import json
import secrets
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from actors.domain.product import Terms, flaws
from actors.domain.product_html import sanitised
from schemas.goods import Product
from tests.api.staff_people import member

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

WRONG: list[Any] = [
    None,
    True,
    -1,
    1.5,
    2**63,
    "",
    "x" * 300_000,
    "'; DROP TABLE product; --",
    [],
    [[]],
    {},
    {"x": 1},
    "\u202e",
    "-0",
    "prd_1",
]
CODES = {(422, "invalid_request"), (422, "product_flawed"), (400, "malformed_body")}


def document() -> dict[str, Any]:
    """A document with every field, refused for its brand alone, so that no change to it makes it good."""
    words = {"en": "One", "zh-CN": "一"}
    text = {"title": "T", "subtitle": "S", "detail": "<p>d</p>", "seo_title": "s", "seo_description": "d", "keywords": ["k"]}
    price = {"currency": "CNY", "amount": 1000}
    promotion = price | {"kind": "promotion", "starts_at_ms": 1, "ends_at_ms": 2, "label": words, "min_quantity": 1, "level_id": ""}
    return {
        "code": "BAD", "state": "draft", "shelf_at_ms": 0, "off_at_ms": 0, "merchant_id": "", "category_id": "", "brand_id": "brd_nobody",
        "slug": "bad", "texts": {"en": text, "zh-CN": text}, "attributes": {}, "images": [],
        "options": [{"option_id": "color", "titles": words, "values": [{"value_id": "red", "titles": words, "image_id": ""}]}],
        "skus": [{
            "sku_id": "", "code": "BAD-1", "choice": {"color": "red"}, "barcode": "", "offered": True, "prices": [price, promotion],
            "weight_g": 0, "length_mm": 0, "width_mm": 0, "height_mm": 0, "image_id": "", "safety_stock": 0,
        }],
    }  # fmt: skip


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a document but its brand."""
    if path:
        yield path
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member_value in members:
        if key != "brand_id":
            yield from paths(member_value, (*path, key))


def changed(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    found = document()
    place: Any = found
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = copy.deepcopy(value)
    return found


def tries() -> list[tuple[tuple[Any, ...], Any]]:
    """Each place with one of the values; which one moves on, so that all are tried. The whole table is read without HTTP, below."""
    places = list(paths(document()))
    assert len(places) > 60
    return [(path, WRONG[(4 * number) % len(WRONG)]) for number, path in enumerate(places)]


async def test_every_field_with_every_wrong_value_can_be_read_and_judged_or_has_the_wrong_form() -> None:
    terms = Terms(currencies=frozenset({"CNY"}), categories={}, brands=(), merchants=(), levels=())
    refused, judged = 0, 0
    for path in paths(document()):
        for value in WRONG:
            try:
                found = msgspec.json.decode(json.dumps(changed(path, value)), type=Product)
            except msgspec.ValidationError:
                refused += 1
                continue
            judged += 1
            assert "brand_unknown" in [flaw.code for flaw in flaws(found, terms)]
            cleaned, _ = sanitised(found)
            assert sanitised(cleaned) == (cleaned, ())
    assert refused > 500
    assert judged > 50


async def rows(shop: Any) -> list[Any]:
    return [
        await shop.pool.fetchval(f"SELECT count(*) FROM {table}")
        for table in ("product", "sku", "sku_price", "product_revision", "staff_action")
    ]


async def test_every_field_with_wrong_values_is_refused_and_nothing_is_written(shop) -> None:
    _, bearer = await member(shop, "operator")
    before = await rows(shop)
    control = await shop.ask("POST", "/v1/staff/products", {"document": document()}, token=bearer)
    assert [flaw["code"] for flaw in control.json["params"]["flaws"]] == ["brand_unknown"]
    wrong, seen = [], set()
    for path, value in tries():
        answer = await shop.ask("POST", "/v1/staff/products", {"document": changed(path, value)}, token=bearer)
        seen.add((answer.status, answer.code))
        if (answer.status, answer.code) not in CODES:
            wrong.append((path, str(value)[:40], answer.status, answer.body[:200]))
    assert wrong == []
    assert seen == {(422, "invalid_request"), (422, "product_flawed")}
    assert await rows(shop) == before


async def test_what_is_no_document_at_all(shop) -> None:
    _, bearer = await member(shop, "operator")
    before = await rows(shop)
    whole = json.dumps({"document": document()})
    texts = [
        whole.replace('"BAD"', '"BAD", "code": "BAD2"'), whole.replace('"title": "T"', r'"title": "\u0000"'),
        whole.replace('"title": "T"', r'"title": "\ud800"'),
        whole.replace('"attributes": {}', '"attributes": ' + '{"a":' * 500 + "1" + "}" * 500),
        whole.replace('"attributes": {}', '"attributes": {"a": NaN}'), whole[:-1], "[" * 100_000, "null", "[]", '"x"', "",
    ]  # fmt: skip
    for text in texts:
        for method, path in (("POST", "/v1/staff/products"), ("PUT", "/v1/staff/products/prd_1")):
            answer = await shop.ask(method, path, text.encode(), token=bearer)
            assert (answer.status, answer.code) in CODES, (text[:60], answer.body)
    for field in ("document", "reason"):
        answer = await shop.ask("POST", "/v1/staff/products", {"document": document(), field: 1}, token=bearer)
        assert (answer.status, answer.code) == (422, "invalid_request")
    for field in ("product_id", "revision", "tags", "price", "version"):
        answer = await shop.ask("POST", "/v1/staff/products", {"document": document() | {field: 1}}, token=bearer)
        assert (answer.status, answer.code) == (422, "invalid_request"), field
    assert await rows(shop) == before


async def test_500_articles_are_taken_one_more_is_not_and_only_staff_send_long_bodies(shop) -> None:
    _, bearer = await member(shop, "operator")
    _, shopper = shop.user()
    code = f"L{secrets.token_hex(4)}"
    options = [
        {"option_id": name, "titles": {"en": name}, "values": [{"value_id": f"v{n}", "titles": {"en": str(n)}} for n in range(count)]}
        for name, count in (("a", 100), ("b", 6))
    ]
    choices = [{"a": f"v{a}", "b": f"v{b}"} for b in range(6) for a in range(100)]
    prices = [{"currency": "CNY", "amount": 1000}]
    skus = [{"code": f"{code}-{number}", "choice": choice, "prices": prices} for number, choice in enumerate(choices)]
    large = {
        "code": code,
        "texts": {"en": {"title": "Large", "detail": "<p>" + "x" * 100_000 + "</p>"}},
        "options": options,
        "skus": skus[:501],
    }
    answer = await shop.ask("POST", "/v1/staff/products", {"document": large}, token=bearer)
    assert (answer.status, answer.code) == (422, "invalid_request")
    fitting = large | {"skus": skus[:500]}
    for token in (shopper, ""):
        answer = await shop.ask("POST", "/v1/staff/products", {"document": fitting}, token=token)
        assert (answer.status, answer.code) == (413, "body_too_large")
    made = await shop.ask("POST", "/v1/staff/products", {"document": fitting}, token=bearer)
    assert made.status == 201, made.body[:500]
    assert await shop.pool.fetchval("SELECT count(*) FROM sku WHERE product_id = $1", made.json["product_id"]) == 500
    huge = fitting | {"texts": {"en": {"title": "x" * 5_000_000}}}
    body = io.BytesIO(json.dumps({"document": huge}).encode())
    headers = {"Authorization": f"Bearer {bearer}", "Idempotency-Key": "k" * 12, "Content-Type": "application/json"}
    async with shop.session.post(shop.base + "/v1/staff/products", data=body, headers=headers) as refused:
        assert (refused.status, (await refused.json(content_type=None))["code"]) == (413, "body_too_large")


BODIES = [
    ("POST", "/v1/staff/products/prd_1/state", {"state": "on_shelf", "expected_revision": 0}),
    ("POST", "/v1/staff/products/prd_1/revert", {"revision": 1, "expected_revision": 0}),
    ("POST", "/v1/staff/product-matrix", {"code": "A", "options": []}),
    ("POST", "/v1/staff/categories", {"category": {"titles": {"en": "x"}, "parent_id": "cat_nobody"}}),
    ("PUT", "/v1/staff/categories/cat_nobody", {"category": {"titles": {"en": "x"}}}),
    ("POST", "/v1/staff/brands", {"brand": {"titles": {}}}),
    ("PUT", "/v1/staff/brands/brd_nobody", {"brand": {"titles": {"en": "x"}}}),
]


@pytest.mark.parametrize(("method", "path", "body"), BODIES)
async def test_every_other_body_of_the_goods(shop, method: str, path: str, body: dict[str, Any]) -> None:
    _, bearer = await member(shop, "operator")
    before = await rows(shop)
    for shape in ([], "x", 1, None, {}, body | {"unknown": 1}):
        if shape == {} and method == "POST" and path.endswith("matrix"):
            continue
        answer = await shop.ask(method, path, json.dumps(shape).encode(), token=bearer)
        assert (answer.status, answer.code) == (422, "invalid_request"), (shape, answer.body)
    for field in body:
        for value in (None, [1], 1.5, "x" * 1000, 2**63):
            answer = await shop.ask(method, path, body | {field: value}, token=bearer)
            assert (answer.status, answer.code) == (422, "invalid_request"), (field, value, answer.body)
    assert await rows(shop) == before


async def test_ids_and_queries_that_name_nothing(shop) -> None:
    _, bearer = await member(shop, "operator")
    for text in ("'%3b--", "%25", "..%2f..", "a" * 200, "prd_%E2%80%AE"):
        for path in (f"/v1/staff/products/{text}", f"/v1/staff/products/{text}/revisions", f"/v1/staff/products/prd_1/revisions/{text}"):
            answer = await shop.ask("GET", path, token=bearer)
            assert (answer.status, answer.code) in {(404, "product_not_found"), (404, "revision_not_found"), (404, "not_found")}, path
        for query in (f"q={text}", f"category_id={text[:64]}", f"brand_id={text[:64]}", f"tag_id={text[:64]}"):
            answer = await shop.ask("GET", f"/v1/staff/products?{query}", token=bearer)
            assert (answer.status, answer.code) in {(200, ""), (422, "invalid_request")}, (query, answer.body)
    for query in ("first=1", "first=x&last=1", "first=-1&last=1", "first=1&last=9999999999"):
        assert (await shop.ask("GET", f"/v1/staff/products/prd_1/changes?{query}", token=bearer)).code == "invalid_request", query
