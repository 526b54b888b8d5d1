"""Tags, proposals and purchases over HTTP: carried out once, as revisions, by whoever may, and never by way of a rule that harms."""

import asyncio
import json
import secrets
from typing import Any

import pytest

from actors.storage.watch.rounds import run_round
from tests.api.staff_people import member

pytestmark = pytest.mark.asyncio(loop_scope="session")

DAY_MS = 86_400_000
WHY = {"reason": "a test of the watch"}


class Goods:
    """A product of a test's own, with sales and stock as the projections write them."""

    def __init__(self, shop: Any, sku_id: str) -> None:
        self.shop, self.sku_id, self.product_id = shop, sku_id, "prd_" + sku_id[4:]

    async def sold(self, units: int, days_ago: int) -> None:
        day = self.shop.clock.now_ms() // DAY_MS - days_ago
        await self.shop.pool.execute("INSERT INTO sku_day VALUES ($1, $2, $3, $4, 1)", self.sku_id, day, units, units * 1000)

    async def stock(self, available: int) -> None:
        await self.shop.pool.execute(
            "INSERT INTO stock_level (key, put_in, available) VALUES ($1, $2, $2) ON CONFLICT (key) DO UPDATE SET available = $2",
            self.sku_id + "#0", available,
        )  # fmt: skip

    async def aged(self, days: int) -> None:
        await self.shop.pool.execute(
            "UPDATE product SET on_shelf_since_ms = $2 WHERE product_id = $1", self.product_id, self.shop.clock.now_ms() - days * DAY_MS
        )

    async def doc(self) -> Any:
        return json.loads(await self.shop.pool.fetchval("SELECT doc::text FROM product WHERE product_id = $1", self.product_id))

    async def tags(self) -> list[str]:
        return await self.shop.pool.fetchval("SELECT tags FROM product WHERE product_id = $1", self.product_id)


@pytest.fixture
def goods(shop: Any) -> Any:
    async def make() -> Goods:
        return Goods(shop, await shop.sku())

    return make


@pytest.fixture
def watch(shop: Any, database_url: str) -> Any:
    async def look() -> Any:
        await shop.pool.execute("UPDATE watch_state SET recount = false")  # the sales of these tests are in no ledger
        done = await run_round(database_url, now_ms=shop.clock.now_ms())
        assert done.alone
        assert done.whole
        return done

    return look


async def proposed(shop: Any, bearer: str, product_id: str, rule: str, state: str = "open") -> Any:
    found = await shop.ask("GET", f"/v1/staff/proposals?product_id={product_id}&rule={rule}&in_state={state}", token=bearer)
    assert found.status == 200, found.body
    return found.json["proposals"]


async def accept(shop: Any, bearer: str, proposal: Any) -> Any:
    return await shop.ask("POST", f"/v1/staff/proposals/{proposal['proposal_id']}/accept", WHY, token=bearer)


# --- tags -----------------------------------------------------------------------------------------


async def test_a_rule_is_tried_then_saved_then_given_and_by_hand_is_stronger(shop, goods, watch) -> None:
    _, bearer = await member(shop, "marketing")
    one, other = await goods(), await goods()
    await one.stock(7)
    await watch()
    tag_id = "tag_" + secrets.token_hex(4)
    body = {"titles": {"en": "Seven", "zh-CN": "七"}, "rule": "available == 7", "keep_rule": "available >= 5", **WHY}
    rules = {"rule": body["rule"], "keep_rule": body["keep_rule"]}
    tried = (await shop.ask("POST", f"/v1/staff/tags/{tag_id}/dry-run", rules, token=bearer)).json
    [gained] = [found for found in tried["gained"] if found["product_id"] == one.product_id]
    assert gained["facts"] == {"available": 7}
    assert tried["whole"]
    assert await shop.pool.fetchval("SELECT count(*) FROM tag WHERE tag_id = $1", tag_id) == 0
    assert (await shop.ask("PUT", f"/v1/staff/tags/{tag_id}", body, token=bearer)).status == 200
    await watch()
    assert (tag_id in await one.tags(), tag_id in await other.tags()) == (True, False)
    version = await shop.pool.fetchval("SELECT version FROM product WHERE product_id = $1", one.product_id)
    await one.stock(5)  # no more seven: it keeps the tag
    await watch()
    await watch()
    assert tag_id in await one.tags()
    assert await shop.pool.fetchval("SELECT version FROM product WHERE product_id = $1", one.product_id) == version
    await one.stock(4)
    await watch()
    assert tag_id not in await one.tags()
    path = f"/v1/staff/products/{one.product_id}/tags/{tag_id}"
    assert (await shop.ask("PUT", path, {"choice": "give", **WHY}, token=bearer)).status == 200
    await watch()
    assert tag_id in await one.tags()
    await shop.ask("PUT", path, {"choice": "keep_off", **WHY}, token=bearer)
    await one.stock(7)
    await watch()
    assert tag_id not in await one.tags()
    seen = (await shop.ask("GET", f"/v1/staff/products/{one.product_id}/tags", token=bearer)).json["tags"]
    assert [tag["given_by"] for tag in seen if tag["tag_id"] == tag_id] == ["kept_off"]
    await shop.ask("PUT", path, {"choice": "undo", **WHY}, token=bearer)
    await watch()
    assert tag_id in await one.tags()
    assert (await shop.ask("DELETE", f"/v1/staff/tags/{tag_id}?reason=over", token=bearer)).status == 204
    assert tag_id not in await one.tags()
    trail = await shop.pool.fetch("SELECT permission FROM staff_action WHERE target = ANY($1)", [tag_id, one.product_id])
    assert [row["permission"] for row in trail] == ["tag.edit"] * 5


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("nothing_of_ours > 1", "field"),
        ("age_days", "no_answer"),
        ("age_days + 'x' == 1", "kind"),
        ("1 / 0 == 1", "no_answer"),
        ("state.matches('(a+)+$')", "function"),
        ("category_ids.exists(age_days, true)", "function"),
        ("[1, 2].map(age_days, age_days) == []", "function"),
        ("(" * 21 + "true" + ")" * 21, "too_deep"),
        ("'" + "x" * 900 + "' == state ||", "syntax"),
        ("true // || false", "character"),
        ("state == '\\x41'", "character"),
        ("system('x')", "function"),
    ],
)
async def test_what_is_no_rule_is_refused_when_it_is_tried_and_when_it_is_saved(shop, rule, reason) -> None:
    _, bearer = await member(shop, "operator")
    tag_id = "tag_" + secrets.token_hex(4)
    tried = await shop.ask("POST", f"/v1/staff/tags/{tag_id}/dry-run", {"rule": rule}, token=bearer)
    saved = await shop.ask("PUT", f"/v1/staff/tags/{tag_id}", {"titles": {"en": "x"}, "rule": rule, **WHY}, token=bearer)
    for answer in (tried, saved):
        assert (answer.status, answer.code, answer.json["params"]["reason"]) == (422, "tag_rule_invalid", reason)


# --- proposals ------------------------------------------------------------------------------------


async def test_a_purchase_is_proposed_accepted_once_by_many_ordered_and_received_once(shop, goods, watch) -> None:
    _, bearer = await member(shop, "operator")
    _, warehouse = await member(shop, "warehouse")
    one = await goods()
    await one.sold(70, 1)
    await one.sold(280, 20)
    await one.stock(3)
    await watch()
    [proposal] = await proposed(shop, bearer, one.product_id, "low_stock")
    [line] = proposal["action"]["lines"]
    assert (line["sku_id"], line["quantity"]) == (one.sku_id, 10 * (7 + 14) + 3 * 10 - 3)
    assert await proposed(shop, bearer, one.product_id, "replenish") == []
    answers = await asyncio.gather(*(accept(shop, bearer, proposal) for _ in range(4)))
    assert {(answer.status, answer.json["state"]) for answer in answers} == {(200, "done")}
    [purchase_id] = {answer.json["result"] for answer in answers}
    assert await shop.pool.fetchval("SELECT count(*) FROM purchase_order WHERE proposal_id = $1", proposal["proposal_id"]) == 1
    await watch()
    assert await proposed(shop, bearer, one.product_id, "low_stock") == []
    path = f"/v1/staff/purchase-orders/{purchase_id}"
    assert (await shop.ask("POST", path + "/receive", WHY, token=warehouse)).code == "purchase_state"
    assert (await shop.ask("POST", path + "/order", WHY, token=warehouse)).code == "forbidden"
    assert (await shop.ask("POST", path + "/order", WHY, token=bearer)).json["state"] == "ordered"
    some = {"arrived": [{"sku_id": one.sku_id, "quantity": 200}], **WHY}
    both = await asyncio.gather(*(shop.ask("POST", path + "/receive", some, token=warehouse) for _ in range(2)))
    assert [answer.status for answer in both] == [200, 200], [answer.body for answer in both]
    again = await shop.ask("POST", path + "/receive", WHY, token=warehouse)
    assert (again.json["state"], again.json["lines"][0]["received"]) == ("received", 200)
    from schemas.stock import ReadStock

    level = (await shop.client.ask("stock", one.sku_id + "#0", ReadStock(), command_id=secrets.token_bytes(16))).reply
    assert level.put_in == 200
    assert (await shop.ask("POST", path + "/cancel", WHY, token=bearer)).code == "purchase_state"


async def test_a_receipt_that_was_broken_off_goes_on_and_puts_nothing_in_twice(shop, goods) -> None:
    _, bearer = await member(shop, "operator")
    one, other = await goods(), await goods()
    purchase_id = "pur_" + secrets.token_hex(6)
    path = f"/v1/staff/purchase-orders/{purchase_id}"
    body = {"supplier": "Firm", "lines": [{"sku_id": each.sku_id, "quantity": 5} for each in (one, other)], **WHY}
    for _ in range(2):
        assert (await shop.ask("PUT", path, body, token=bearer)).status == 200
    await shop.ask("POST", path + "/order", WHY, token=bearer)
    assert (await shop.ask("PUT", path, body, token=bearer)).code == "purchase_state"
    await shop.ask("POST", path + "/receive", WHY, token=bearer)
    await shop.pool.execute("UPDATE purchase_order SET state = 'receiving' WHERE purchase_id = $1", purchase_id)  # as if killed before
    assert (await shop.ask("POST", path + "/receive", WHY, token=bearer)).json["state"] == "received"
    from schemas.stock import ReadStock

    for each in (one, other):
        level = (await shop.client.ask("stock", each.sku_id + "#0", ReadStock(), command_id=secrets.token_bytes(16))).reply
        assert level.put_in == 5


async def test_a_markdown_is_a_promotion_in_the_document_with_who_and_why_and_deepens_later(shop, goods, watch) -> None:
    user_id, bearer = await member(shop, "marketing")
    one = await goods()
    await one.stock(30)
    await one.aged(130)
    await watch()
    [proposal] = await proposed(shop, bearer, one.product_id, "slow")
    assert proposal["evidence"]["why"] == "markdown"
    percent = proposal["action"]["percent"]
    done = await accept(shop, bearer, proposal)
    assert (done.status, done.json["state"], done.json["result"]) == (200, "done", "revision 1"), done.body
    [price] = [price for price in (await one.doc())["skus"][0]["prices"] if price.get("kind") == "promotion"]
    assert price["amount"] == -(-1999 * (100 - percent) // 100)
    revision = await shop.pool.fetchrow(
        "SELECT actor_id, reason FROM product_revision WHERE product_id = $1 AND revision = 1", one.product_id
    )
    assert (revision["actor_id"], revision["reason"]) == (user_id, "slow: a test of the watch")
    await watch()
    assert await proposed(shop, bearer, one.product_id, "slow") == []
    facts = (await shop.ask("GET", f"/v1/staff/products/{one.product_id}/facts", token=bearer)).json["facts"]
    assert (facts["has_promotion"], facts["discount_percent"]) == (True, percent)


async def test_a_bundle_is_a_coupon_over_both_that_its_owner_knows(shop, goods, watch) -> None:
    _, bearer = await member(shop, "marketing")
    one, well = await goods(), await goods()
    await one.stock(30)
    await one.aged(70)
    await shop.pool.execute("INSERT INTO product_pair VALUES ($1, $2, 3)", one.product_id, well.product_id)
    await shop.pool.execute("UPDATE watch_state SET goods_version = 0")
    await watch()
    [proposal] = await proposed(shop, bearer, one.product_id, "slow")
    assert (proposal["action"]["type"], proposal["action"]["with_id"]) == ("bundle", well.product_id)
    for _ in range(2):
        done = await accept(shop, bearer, proposal)
        assert (done.status, done.json["state"]) == (200, "done"), done.body
    coupon = await shop.pool.fetchrow("SELECT product_ids, personal FROM coupon WHERE coupon_id = $1", done.json["result"])
    assert (coupon["product_ids"], coupon["personal"]) == (sorted([one.product_id, well.product_id]), False)
    await shop.fresh_facts()
    from schemas.quota import ReadQuota

    level = (await shop.client.ask("quota", done.json["result"], ReadQuota(), command_id=secrets.token_bytes(16))).reply
    assert level.total == 10_000


async def test_what_was_dismissed_rests_and_what_has_changed_since_is_not_carried_out(shop, goods, watch) -> None:
    _, bearer = await member(shop, "operator")
    one = await goods()
    await one.stock(30)
    await one.aged(130)
    await watch()
    [proposal] = await proposed(shop, bearer, one.product_id, "slow")
    await one.sold(9, 2)  # somebody bought it after all, and no round has seen it yet
    assert (await accept(shop, bearer, proposal)).code == "proposal_outdated"
    await shop.pool.execute("DELETE FROM sku_day WHERE sku_id = $1", one.sku_id)
    path = f"/v1/staff/proposals/{proposal['proposal_id']}/dismiss"
    for _ in range(2):
        assert (await shop.ask("POST", path, WHY, token=bearer)).json["state"] == "dismissed"
    assert (await accept(shop, bearer, proposal)).code == "proposal_closed"
    await one.stock(31)
    await watch()
    assert await proposed(shop, bearer, one.product_id, "slow") == []
    await one.aged(250)  # another case: a deeper cut
    await watch()
    assert len(await proposed(shop, bearer, one.product_id, "slow")) == 1


async def test_thresholds_of_a_category_hold_below_it_and_stand_in_the_trail(shop, goods, watch) -> None:
    _, bearer = await member(shop, "operator")
    top, below = (f"cat_{secrets.token_hex(5)}" for _ in range(2))
    for category_id, parent in ((top, None), (below, top)):
        await shop.pool.execute(
            "INSERT INTO category (category_id, parent_id, title, title_zh, slug) VALUES ($1, $2, 'c', 'c', $3)",
            category_id, parent, category_id.replace("_", "-"),
        )  # fmt: skip
    one = await goods()
    await shop.pool.execute("UPDATE product SET category_id = $2 WHERE product_id = $1", one.product_id, below)
    await one.sold(70, 1)
    await one.sold(280, 20)
    await one.stock(3)
    path = "/v1/staff/watch/thresholds/"
    changed = await shop.ask("PUT", path + top, {"terms": {"pack_size": 100, "lead_days": 20}, **WHY}, token=bearer)
    assert changed.json["own"] == {"pack_size": 100, "lead_days": 20}
    await shop.ask("PUT", path + below, {"terms": {"lead_days": 14}, **WHY}, token=bearer)
    seen = (await shop.ask("GET", path + below, token=bearer)).json
    assert (seen["own"], seen["effective"]) == ({"lead_days": 14}, {"pack_size": 100})
    await watch()
    [proposal] = await proposed(shop, bearer, one.product_id, "low_stock")
    assert proposal["action"]["lines"][0]["quantity"] == 300
    trail = await shop.pool.fetchrow("SELECT before, after FROM staff_action WHERE target = $1", top)
    assert (json.loads(trail["before"]), json.loads(trail["after"])) == ({}, {"pack_size": 100, "lead_days": 20})
    for terms in ({"pack_size": 0}, {"nothing": 1}, {"slow_days": 91}):
        assert (await shop.ask("PUT", path + top, {"terms": terms, **WHY}, token=bearer)).code == "invalid_request"
    assert (await shop.ask("PUT", path + "cat_nobody", {"terms": {}, **WHY}, token=bearer)).code == "category_unknown"


async def test_whoever_may_not_publish_does_not_do_it_by_a_proposal(shop, goods, watch) -> None:
    _, marketing = await member(shop, "marketing")
    _, operator = await member(shop, "operator")
    category_id = f"cat_{secrets.token_hex(5)}"
    await shop.pool.execute(
        "INSERT INTO category (category_id, title, title_zh, slug) VALUES ($1, 'c', 'c', $2)", category_id, category_id.replace("_", "-")
    )
    one = await goods()
    text = {"title": "Cup", "detail": "<p>A cup.</p>"}
    article = {"sku_id": one.sku_id, "code": one.sku_id, "prices": [{"currency": "CNY", "amount": 9}]}
    doc = {
        "code": one.product_id, "state": "draft", "category_id": category_id, "texts": {"en": text, "zh-CN": text},
        "images": [{"image_id": "img_1"}], "skus": [article],
    }  # fmt: skip
    await shop.pool.execute("UPDATE product SET state = 'draft', doc = $2 WHERE product_id = $1", one.product_id, json.dumps(doc))
    await watch()
    [lacking] = await proposed(shop, operator, one.product_id, "launch")
    assert lacking["action"] == {"type": "complete", "missing": ["stock"]}
    assert (await accept(shop, operator, lacking)).code == "proposal_incomplete"
    await one.stock(5)
    await watch()
    [ready] = await proposed(shop, operator, one.product_id, "launch")
    assert (ready["proposal_id"], ready["action"]) == (lacking["proposal_id"], {"type": "publish"})
    assert (await accept(shop, marketing, ready)).code == "forbidden"
    done = await accept(shop, operator, ready)
    assert (done.status, done.json["state"]) == (200, "done"), done.body
    assert (await one.doc())["state"] == "on_shelf"


async def test_the_overview_shows_what_moves_with_its_series(shop, goods, watch) -> None:
    _, bearer = await member(shop, "operator")
    one = await goods()
    await one.sold(100_000, 2)
    await one.sold(20_000, 27)
    await one.stock(5)
    await watch()
    answer = await shop.ask("GET", "/v1/staff/watch", token=bearer)
    assert answer.status == 200, answer.body
    seen = answer.json
    [top] = [found for found in seen["top"] if found["product_id"] == one.product_id]
    assert (top["units_7"], top["series"][-3], top["series"][0], len(top["series"])) == (100_000, 100_000, 20_000, 28)
    assert one.product_id in [found["product_id"] for found in seen["rising"]]
    assert one.product_id in [found["product_id"] for found in seen["low_stock"]]
    assert seen["counts"]["low_stock"]["open"] >= 1
    assert seen["waiting"] == 0


async def test_a_list_of_proposals_goes_on_by_its_cursor_alone(shop, goods, watch) -> None:
    _, bearer = await member(shop, "operator")
    for _ in range(3):
        each = await goods()
        await each.stock(30)
        await each.aged(130)
    await watch()
    path, seen = "/v1/staff/proposals?rule=slow&limit=1", []
    cursor = ""
    for _ in range(3):
        page = (await shop.ask("GET", path + cursor, token=bearer)).json
        seen += [found["proposal_id"] for found in page["proposals"]]
        cursor = f"&cursor={page['next_cursor']}"
    assert len(set(seen)) == 3
    assert (await shop.ask("GET", path + "&cursor=dXgKMQ", token=bearer)).code == "invalid_request"
