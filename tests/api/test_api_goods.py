"""Products, categories and brands over HTTP: edited by the staff, by firms their own, judged whole, kept in revisions."""

import json
import secrets
from typing import Any

import pytest

from actors.storage.goods_writing import TAKE_TURN
from tests.api.staff_people import firm, member

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]


def cup(code: str, **more: Any) -> dict[str, Any]:
    """A cup in two colours, without a place in the shop."""
    options = [
        {"option_id": "color", "titles": {"en": "Colour"}, "values": [{"value_id": v, "titles": {"zh-CN": v}} for v in ("red", "blue")]}
    ]
    prices = [{"currency": "CNY", "amount": 1000}]
    skus = [{"code": f"{code}-{color}", "choice": {"color": color}, "prices": prices} for color in ("red", "blue")]
    return {"code": code, "texts": {"en": {"title": f"Cup {code}"}}, "options": options, "skus": skus} | more


def fresh() -> str:
    return f"C{secrets.token_hex(5)}"


async def made(shop: Any, bearer: str, path: str = "/v1/staff/products", **more: Any) -> dict[str, Any]:
    answer = await shop.ask("POST", path, {"document": cup(fresh(), **more), "reason": "new"}, token=bearer)
    assert answer.status == 201, answer.body
    return answer.json


async def category(shop: Any, bearer: str, **more: Any) -> str:
    titles = {"en": f"Cat {secrets.token_hex(4)}"}
    answer = await shop.ask("POST", "/v1/staff/categories", {"category": {"titles": titles} | more}, token=bearer)
    assert answer.status == 201, answer.body
    return answer.json["category_id"]


async def test_a_product_s_life_from_its_draft_to_its_end_and_back(shop) -> None:
    user_id, bearer = await member(shop, "operator")
    place = await category(shop, bearer)
    new = await made(shop, bearer)
    path = f"/v1/staff/products/{new['product_id']}"
    assert new["revision"] == 1
    assert (await shop.ask("GET", path, token=bearer)).json["document"] == new["document"]
    document = new["document"] | {"category_id": place, "texts": {"en": {"title": "Mug", "detail": "<p>ok</p><script>x</script>"}}}
    second = (await shop.ask("PUT", path, {"document": document, "expected_revision": 1, "reason": "named"}, token=bearer)).json
    assert (second["revision"], second["removed"]) == (2, ["texts.en.detail"])
    assert second["document"]["texts"]["en"]["detail"] == "<p>ok</p>"
    shelved = await shop.ask("POST", path + "/state", {"state": "on_shelf", "expected_revision": 2}, token=bearer)
    assert shelved.json["document"]["state"] == "on_shelf", shelved.body
    page = (await shop.ask("GET", f"/v1/products/{new['product_id']}")).json
    assert {sku["sku_id"] for sku in page["skus"] if sku["on_sale"]} == {sku["sku_id"] for sku in new["document"]["skus"]}
    assert (await shop.ask("POST", path + "/state", {"state": "retired", "expected_revision": 3}, token=bearer)).status == 200
    again = await shop.ask("POST", path + "/state", {"state": "on_shelf", "expected_revision": 4}, token=bearer)
    assert (again.status, [flaw["code"] for flaw in again.json["params"]["flaws"]]) == (422, ["state_not_allowed"])
    back = await shop.ask("POST", path + "/revert", {"revision": 1, "expected_revision": 4}, token=bearer)
    # The first revision has no category: good enough off the shelf.
    assert (back.json["revision"], back.json["document"]["state"]) == (5, "off_shelf"), back.body
    assert back.json["document"]["texts"]["en"]["title"].startswith("Cup")
    found = (await shop.ask("GET", path + "/revisions?limit=3", token=bearer)).json
    assert [(one["revision"], one["reason"], one["actor_id"]) for one in found["revisions"]] == [
        (5, "revert to 1", user_id), (4, "", user_id), (3, "", user_id),
    ]  # fmt: skip
    rest = (await shop.ask("GET", f"{path}/revisions?limit=3&cursor={found['next_cursor']}", token=bearer)).json
    assert [(one["revision"], one["reason"]) for one in rest["revisions"]] == [(2, "named"), (1, "new")]
    assert rest["next_cursor"] is None
    one = (await shop.ask("GET", path + "/revisions/2", token=bearer)).json
    assert one["document"] == second["document"]
    changes = (await shop.ask("GET", path + "/changes?first=1&last=2", token=bearer)).json["changes"]
    assert [(change["path"], change["new"]) for change in changes] == [
        ("category_id", place), ("texts.en.title", "Mug"), ("texts.en.detail", "<p>ok</p>"),
    ]  # fmt: skip
    trail = await shop.pool.fetch(
        "SELECT permission, role, before, after FROM staff_action WHERE target = $1 ORDER BY seq", new["product_id"]
    )
    assert [(row["permission"], row["role"]) for row in trail] == [
        ("goods.edit", "operator"), ("goods.edit", "operator"), ("goods.publish", "operator"),
        ("goods.publish", "operator"), ("goods.publish", "operator"),
    ]  # fmt: skip
    assert json.loads(trail[2]["after"]) == {"revision": 3, "state": "on_shelf"}


async def test_two_who_edit_at_once_do_not_overwrite_each_other(shop) -> None:
    _, bearer = await member(shop, "marketing")
    new = await made(shop, bearer)
    path = f"/v1/staff/products/{new['product_id']}"
    document = new["document"] | {"texts": {"en": {"title": "First"}}}
    body = {"document": document, "expected_revision": 1}
    assert (await shop.ask("PUT", path, body, token=bearer)).status == 200
    late = await shop.ask("PUT", path, body | {"document": new["document"] | {"texts": {"en": {"title": "Second"}}}}, token=bearer)
    assert (late.status, late.code) == (409, "product_changed")
    assert (await shop.ask("GET", path, token=bearer)).json["document"]["texts"]["en"]["title"] == "First"


async def test_making_again_under_the_same_key_makes_one(shop) -> None:
    _, bearer = await member(shop, "marketing")
    body = {"document": cup(fresh(), texts={"en": {"title": "Cup", "detail": "<p>a<script>b</script>"}}), "reason": ""}
    key = secrets.token_hex(8)
    first = await shop.ask("POST", "/v1/staff/products", body, token=bearer, key=key)
    second = await shop.ask("POST", "/v1/staff/products", body, token=bearer, key=key)
    assert (first.status, second.status) == (201, 201)
    assert first.json["product_id"] == second.json["product_id"]
    named = {"document": body["document"] | {"texts": {"en": {"title": "Mug"}}}}
    for changed in ({"document": cup(fresh())}, named):
        other = await shop.ask("POST", "/v1/staff/products", changed, token=bearer, key=key)
        assert (other.status, other.code) == (422, "idempotency_key_reused")


async def test_a_document_is_judged_whole_and_in_the_reader_s_language(shop) -> None:
    _, bearer = await member(shop, "operator")
    document = cup(fresh(), brand_id="brd_nobody", state="on_shelf")
    document["skus"][0]["barcode"] = "12345678"
    for language, word in (("en", "There is no brand brd_nobody."), ("zh-CN", "品牌 brd_nobody 不存在。")):
        headers = {"Accept-Language": language}
        answer = await shop.ask("POST", "/v1/staff/products", {"document": document}, token=bearer, headers=headers)
        assert (answer.status, answer.code) == (422, "product_flawed")
        found = answer.json["params"]
        assert [(flaw["path"], flaw["code"]) for flaw in found["flaws"]] == [
            ("brand_id", "brand_unknown"), ("category_id", "category_missing"), ("skus[0].barcode", "barcode_invalid"),
        ]  # fmt: skip
        assert (found["count"], found["flaws"][0]["message"]) == (3, word)


async def test_codes_of_articles_are_the_shop_s(shop) -> None:
    _, bearer = await member(shop, "operator")
    one = await made(shop, bearer)
    document = cup(fresh())
    document["skus"][1]["code"] = one["document"]["skus"][0]["code"]
    answer = await shop.ask("POST", "/v1/staff/products", {"document": document}, token=bearer)
    assert [(flaw["path"], flaw["code"]) for flaw in answer.json["params"]["flaws"]] == [("skus[1].code", "sku_code_taken")]


async def test_who_may_only_edit_does_not_move_products(shop) -> None:
    _, bearer = await member(shop, "marketing")
    _, operator = await member(shop, "operator")
    place = await category(shop, operator)
    new = await made(shop, bearer, category_id=place)
    path = f"/v1/staff/products/{new['product_id']}"
    tries = [
        ("PUT", path, {"document": new["document"] | {"state": "on_shelf"}, "expected_revision": 1}),
        ("POST", "/v1/staff/products", {"document": cup(fresh(), state="on_shelf", category_id=place)}),
        ("POST", path + "/state", {"state": "on_shelf", "expected_revision": 1}),
    ]
    for method, where, body in tries:
        answer = await shop.ask(method, where, body, token=bearer)
        assert (answer.status, answer.code) == (403, "forbidden")
    assert (await shop.ask("POST", path + "/state", {"state": "on_shelf", "expected_revision": 1}, token=operator)).status == 200
    # Editing what stands on the shelf is editing; when it leaves is not.
    shelved = (await shop.ask("GET", path, token=bearer)).json["document"]
    body = {"document": shelved | {"off_at_ms": 5}, "expected_revision": 2}
    assert (await shop.ask("PUT", path, body, token=bearer)).code == "forbidden"
    body = {"document": shelved | {"texts": {"en": {"title": "Better"}}}, "expected_revision": 2}
    assert (await shop.ask("PUT", path, body, token=bearer)).status == 200


async def test_what_has_flaws_by_now_can_always_be_taken_off_and_not_put_back(shop) -> None:
    _, bearer = await member(shop, "operator")
    place = await category(shop, bearer)
    new = await made(shop, bearer, category_id=place, state="on_shelf")
    asks = {"attribute_id": "origin", "titles": {"en": "Origin"}, "kind": "text", "required": True}
    changed = {"category": {"titles": {"en": "Asks more"}, "attributes": [asks]}}
    assert (await shop.ask("PUT", f"/v1/staff/categories/{place}", changed, token=bearer)).status == 200
    path = f"/v1/staff/products/{new['product_id']}/state"
    assert (await shop.ask("POST", path, {"state": "off_shelf", "expected_revision": 1}, token=bearer)).status == 200
    back = await shop.ask("POST", path, {"state": "on_shelf", "expected_revision": 2}, token=bearer)
    assert [flaw["code"] for flaw in back.json["params"]["flaws"]] == ["attribute_required"]


async def test_a_firm_has_its_own_products_and_finds_no_others(shop) -> None:
    one, other = await firm(shop), await firm(shop)
    _, bearer = await member(shop, "merchant", merchant_id=one)
    _, rival = await member(shop, "merchant", merchant_id=other)
    _, operator = await member(shop, "operator")
    new = await made(shop, bearer, "/v1/merchant/products", merchant_id=other)
    assert new["document"]["merchant_id"] == one
    plain = await made(shop, operator)
    document = new["document"]
    for product_id, token in ((new["product_id"], rival), (plain["product_id"], bearer), ("prd_nobody", bearer), ("x", bearer)):
        path = f"/v1/merchant/products/{product_id}"
        asks = [
            ("GET", path, None), ("PUT", path, {"document": document, "expected_revision": 1}),
            ("POST", path + "/state", {"state": "retired", "expected_revision": 1}),
            ("POST", path + "/revert", {"revision": 1, "expected_revision": 1}), ("GET", path + "/revisions", None),
            ("GET", path + "/revisions/1", None), ("GET", path + "/changes?first=1&last=1", None),
        ]  # fmt: skip
        for method, where, body in asks:
            answer = await shop.ask(method, where, body, token=token)
            assert (answer.status, answer.code) in ((404, "product_not_found"), (404, "revision_not_found")), (where, answer.body)
    path = f"/v1/merchant/products/{new['product_id']}"
    changed = {"document": document | {"merchant_id": other, "texts": {"zh-CN": {"title": "杯"}}}, "expected_revision": 1}
    second = await shop.ask("PUT", path, changed, token=bearer)
    assert (second.status, second.json["document"]["merchant_id"]) == (200, one), second.body
    place = await category(shop, operator)
    shelved = second.json["document"] | {"category_id": place, "state": "on_shelf"}
    assert (await shop.ask("PUT", path, {"document": shelved, "expected_revision": 2}, token=bearer)).status == 200
    assert (await shop.ask("POST", path + "/state", {"state": "off_shelf", "expected_revision": 3}, token=bearer)).status == 200
    listed = (await shop.ask("GET", f"/v1/staff/products?merchant_id={one}", token=operator)).json["products"]
    assert [row["product_id"] for row in listed] == [new["product_id"]]
    # The staff edit a firm's product too, and it stays the firm's.
    whole = (await shop.ask("GET", f"/v1/staff/products/{new['product_id']}", token=operator)).json
    moved = await shop.ask(
        "PUT",
        f"/v1/staff/products/{new['product_id']}",
        {"document": whole["document"] | {"merchant_id": other}, "expected_revision": 4},
        token=operator,
    )
    assert [flaw["code"] for flaw in moved.json["params"]["flaws"]] == ["merchant_fixed"]


async def test_lists_go_on_where_they_ended(shop) -> None:
    _, bearer = await member(shop, "support")
    _, operator = await member(shop, "operator")
    place = await category(shop, operator)
    below = await category(shop, operator, parent_id=place)
    ids = sorted([(await made(shop, operator, category_id=where))["product_id"] for where in (place, below, below)])
    first = (await shop.ask("GET", f"/v1/staff/products?category_id={place}&limit=2", token=bearer)).json
    assert [row["product_id"] for row in first["products"]] == ids[:2]
    assert (first["products"][0]["skus"], first["products"][0]["state"]) == (2, "draft")
    rest = (await shop.ask("GET", f"/v1/staff/products?category_id={place}&limit=2&cursor={first['next_cursor']}", token=bearer)).json
    assert ([row["product_id"] for row in rest["products"]], rest["next_cursor"]) == (ids[2:], None)
    for query in ("state=sold", "limit=0", "limit=101", "cursor=x", f"q={'x' * 101}"):
        assert (await shop.ask("GET", f"/v1/staff/products?{query}", token=bearer)).code == "invalid_request", query


async def test_the_matrix_is_shown_before_it_is_made(shop) -> None:
    _, bearer = await member(shop, "marketing")
    document = cup("A", skus=cup("A")["skus"][:1])
    body = {"code": "A", "options": document["options"], "skus": document["skus"]}
    made_of = (await shop.ask("POST", "/v1/staff/product-matrix", body, token=bearer)).json["skus"]
    assert made_of == [
        {"code": "A-red", "choice": {"color": "red"}, "sku_id": ""},
        {"code": "A-blue", "choice": {"color": "blue"}, "sku_id": ""},
    ]
    wide = [
        {"option_id": f"o{n}", "titles": {"en": "o"}, "values": [{"value_id": str(v), "titles": {"en": "v"}} for v in range(100)]}
        for n in range(4)
    ]
    answer = await shop.ask("POST", "/v1/staff/product-matrix", {"code": "A", "options": wide}, token=bearer)
    assert (answer.status, answer.json["params"]["flaws"][0]["params"]) == (422, {"count": 10**8, "limit": 500})


async def test_categories_and_brands_are_edited_and_shoppers_see_the_tree(shop) -> None:
    _, bearer = await member(shop, "operator")
    place = await category(shop, bearer)
    hidden = await category(shop, bearer, shown=False)
    below = await category(shop, bearer, parent_id=place)
    await category(shop, bearer, parent_id=hidden)
    shop.clock_forward(1_001)
    page = await shop.ask("GET", "/v1/categories")
    tree = {node["category_id"]: node for node in page.json["categories"]}
    assert [child["category_id"] for child in tree[place]["children"]] == [below]
    assert hidden not in tree
    assert tree[place]["titles"]["zh-CN"] == tree[place]["titles"]["en"]
    again = await shop.ask("GET", "/v1/categories", headers={"If-None-Match": page.headers["etag"]})
    assert again.status == 304
    assert (await shop.ask("GET", "/v1/categories?x=1")).code == "invalid_request"
    assert (await shop.ask("POST", "/v1/categories", {})).code == "method_not_allowed"
    path = f"/v1/staff/categories/{place}"
    circle = await shop.ask("PUT", path, {"category": {"titles": {"en": "x"}, "parent_id": below}}, token=bearer)
    assert [flaw["code"] for flaw in circle.json["params"]["flaws"]] == ["category_circle"]
    assert (await shop.ask("DELETE", path, token=bearer)).code == "category_in_use"
    assert (await shop.ask("DELETE", f"/v1/staff/categories/{below}?reason=empty", token=bearer)).status == 204
    for name in ("cat_nobody", "x"):
        assert (await shop.ask("DELETE", f"/v1/staff/categories/{name}", token=bearer)).code == "category_unknown"
    assert place in [one["category_id"] for one in (await shop.ask("GET", "/v1/staff/categories", token=bearer)).json["categories"]]
    named = f"Brand {secrets.token_hex(3)}"
    brand = (await shop.ask("POST", "/v1/staff/brands", {"brand": {"titles": {"en": named}}}, token=bearer)).json
    where = f"/v1/staff/brands/{brand['brand_id']}"
    changed = await shop.ask("PUT", where, {"brand": {"titles": {"zh-CN": "牌"}, "aliases": ["a"]}}, token=bearer)
    assert (changed.status, (await shop.ask("GET", where, token=bearer)).json) == (200, changed.json)
    assert brand["brand_id"] in [
        one["brand_id"] for one in (await shop.ask("GET", "/v1/staff/brands?limit=100", token=bearer)).json["brands"]
    ]
    assert (await shop.ask("PUT", where, {"brand": {"titles": {}}}, token=bearer)).code == "brand_flawed"
    assert (await shop.ask("DELETE", where, token=bearer)).status == 204
    assert (await shop.ask("GET", where, token=bearer)).code == "brand_unknown"


async def test_what_is_due_moves_while_the_shop_serves(shop) -> None:
    _, bearer = await member(shop, "operator")
    place = await category(shop, bearer)
    new = await made(shop, bearer, category_id=place)
    path = f"/v1/staff/products/{new['product_id']}"
    now_ms = shop.clock.now_ms()
    body = {"state": "scheduled", "shelf_at_ms": now_ms + 5_000, "off_at_ms": now_ms + 9_000, "expected_revision": 1}
    assert (await shop.ask("POST", path + "/state", body, token=bearer)).status == 200
    work = shop.application.shelf_work
    assert new["product_id"] not in await work.look()
    shop.clock_forward(5_000)
    await work.look()
    assert (await shop.ask("GET", path, token=bearer)).json["document"]["state"] == "on_shelf"
    shop.clock_forward(4_000)
    await work.look()
    found = (await shop.ask("GET", path, token=bearer)).json
    assert (found["document"]["state"], found["revision"]) == ("off_shelf", 4)


async def test_who_edits_while_a_large_import_writes_is_told_so_and_lets_go_of_the_trail(shop) -> None:
    _, bearer = await member(shop, "operator")
    product = await made(shop, bearer)
    path = f"/v1/staff/products/{product['product_id']}"
    edit = {"document": product["document"] | {"code": fresh()}, "expected_revision": 1, "reason": "a new code"}
    async with shop.pool.acquire() as importing, importing.transaction():
        await importing.execute(TAKE_TURN)
        refused = await shop.ask("PUT", path, edit, token=bearer)
        _, other = await member(shop, "operator")
    assert (refused.status, refused.code, refused.headers["retry-after"]) == (503, "storage_busy", "3")
    assert other
    assert (await shop.ask("PUT", path, edit, token=bearer)).json["revision"] == 2
