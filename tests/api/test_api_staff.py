"""Roles that act at once, personal fields that are masked, and a trail of who did what."""

import asyncio
import json
import secrets
from typing import Any

import asyncpg
import pytest

from actors.storage.staff import NotDone, Staff
from actors.storage.staff_actions import REASON_MAX
from serve.shop.sessions import sessions_of
from tests.api.staff_people import MACHINE_ACTOR, account, firm, member, token

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

PASSWORD = "correct horse battery staple"
HOME = {
    "country": "CN", "name": "王小明", "phone": "+86 13800138012", "line1": "中关村大街1号", "region": "北京市", "city": "北京市",
    "district": "海淀区",
}  # fmt: skip


async def customer(shop: Any) -> tuple[str, str, str]:
    """(user id, access token, address) of somebody who has registered and logged in."""
    email = f"kim.{secrets.token_hex(6)}@example.com"
    await shop.register({"email": email, "password": PASSWORD})
    answer = (await shop.ask("POST", "/v1/sessions", {"email": email, "password": PASSWORD})).json
    return answer["user_id"], answer["access_token"], email


async def trail_of(shop: Any, target: str) -> list[dict[str, Any]]:
    _, bearer = await member(shop, "administrator")
    answer = await shop.ask("GET", f"/v1/staff/actions?target={target}", token=bearer)
    assert answer.status == 200, answer.body
    return answer.json["actions"]


async def test_a_role_is_given_seen_and_taken_away_and_each_is_in_the_trail(shop) -> None:
    user_id, _, _ = await customer(shop)
    admin_id, admin = await member(shop, "administrator")
    path = f"/v1/staff/users/{user_id}/roles"
    given = await shop.ask("PUT", f"{path}/support", {"reason": "ticket 7"}, token=admin)
    assert (given.status, [(one["role"], one["granted_by"]) for one in given.json["roles"]]) == (200, [("support", admin_id)])
    assert (await shop.ask("GET", path, token=admin)).json == given.json
    gone = await shop.ask("DELETE", f"{path}/support?reason=has+left", token=admin)
    assert (gone.status, (await shop.ask("GET", path, token=admin)).json) == (204, {"roles": []})
    rows = await trail_of(shop, user_id)
    shown = [(row["actor_id"], row["role"], row["permission"], row["state"], row["reason"]) for row in rows]
    by = (admin_id, "administrator", "role.grant", "done")
    assert shown == [(*by, "has left"), (*by, "ticket 7")]
    assert json.loads(rows[1]["before"]) == {"roles": ["customer"], "merchant_id": None}
    assert json.loads(rows[1]["after"]) == {"roles": ["customer", "support"], "merchant_id": None}
    assert rows[1]["request_id"] == given.headers["x-request-id"]


async def test_a_role_that_is_taken_away_acts_at_once_and_ends_all_sessions(shop) -> None:
    user_id, _, email = await customer(shop)
    _, admin = await member(shop, "administrator")
    path = f"/v1/staff/users/{user_id}/roles/support"
    assert (await shop.ask("PUT", path, {"reason": "ticket 7"}, token=admin)).status == 200
    session = (await sessions_of(shop.application.desk, user_id)).sessions[0]
    bearer = token(shop, user_id, "support", session_id=session.session_id)
    assert (await shop.ask("GET", f"/v1/staff/users/{user_id}", token=bearer)).status == 200
    assert (await shop.ask("DELETE", f"{path}?reason=has+left", token=admin)).status == 204
    refused = await shop.ask("GET", f"/v1/staff/users/{user_id}", token=bearer)
    assert (refused.status, refused.code) == (401, "token_revoked")
    assert (await sessions_of(shop.application.desk, user_id)).sessions == ()
    # Whoever logs in again is a customer.
    again = (await shop.ask("POST", "/v1/sessions", {"email": email, "password": PASSWORD})).json
    assert (await shop.ask("GET", f"/v1/staff/users/{user_id}", token=again["access_token"])).status == 403


async def test_a_login_and_a_refresh_give_the_roles_of_the_table(shop) -> None:
    user_id, before, email = await customer(shop)
    await shop.application.desk.roles.grant(MACHINE_ACTOR, user_id, "support", "", "a test")
    assert (await shop.ask("GET", f"/v1/staff/users/{user_id}", token=before)).status == 403
    session = (await shop.ask("POST", "/v1/sessions", {"email": email, "password": PASSWORD})).json
    assert (await shop.ask("GET", f"/v1/staff/users/{user_id}", token=session["access_token"])).status == 200
    refreshed = (await shop.ask("POST", "/v1/sessions/refresh", {"refresh_token": session["refresh_token"]})).json
    assert (await shop.ask("GET", f"/v1/staff/users/{user_id}", token=refreshed["access_token"])).status == 200


@pytest.mark.parametrize(
    ("role", "body", "status", "code"),
    [
        ("king", {"reason": "why not"}, 404, "role_unknown"),
        ("customer", {"reason": "why not"}, 404, "role_unknown"),
        ("merchant", {"reason": "why not"}, 422, "merchant_unknown"),
        ("merchant", {"reason": "why not", "merchant_id": "mer_nobody"}, 422, "merchant_unknown"),
        ("support", {"reason": "why not", "merchant_id": "mer_nobody"}, 422, "merchant_unknown"),
        ("support", {"reason": "y"}, 422, "invalid_request"),
        ("support", {}, 422, "invalid_request"),
        ("support", {"reason": "why not", "role": "administrator"}, 422, "invalid_request"),
    ],
)
async def test_a_role_that_is_none_is_not_given(shop, role: str, body: dict[str, Any], status: int, code: str) -> None:
    user_id = await account(shop)
    _, admin = await member(shop, "administrator")
    answer = await shop.ask("PUT", f"/v1/staff/users/{user_id}/roles/{role}", body, token=admin)
    assert (answer.status, answer.code) == (status, code)
    assert await trail_of(shop, user_id) == []


async def test_nobody_changes_their_own_roles_and_nobody_unknown_gets_one(shop) -> None:
    admin_id, admin = await member(shop, "administrator")
    for method, query, body in (("PUT", "", {"reason": "me too"}), ("DELETE", "?reason=me+too", None)):
        refused = await shop.ask(method, f"/v1/staff/users/{admin_id}/roles/administrator{query}", body, token=admin)
        assert (refused.status, refused.code) == (409, "own_role")
    unknown = await shop.ask("PUT", "/v1/staff/users/usr_nobody/roles/support", {"reason": "ticket 7"}, token=admin)
    assert (unknown.status, unknown.code) == (404, "user_unknown")
    gone = await shop.ask("DELETE", f"/v1/staff/users/{await account(shop)}/roles/support?reason=ticket", token=admin)
    assert (gone.status, gone.code) == (404, "role_unknown")


@pytest.mark.parametrize("operation", ["grant", "revoke", "unmask", "disable"])
async def test_what_is_risky_takes_a_second_factor(shop, operation: str) -> None:
    user_id = await account(shop)
    admin_id, _ = await member(shop, "administrator")
    bearer = token(shop, admin_id, "administrator", stepped_up=False)
    method, path, body = {
        "grant": ("PUT", "/roles/support", {"reason": "ticket 7"}),
        "revoke": ("DELETE", "/roles/support?reason=ticket+7", None),
        "unmask": ("POST", "/unmask", {"reason": "ticket 7", "fields": ["identities"]}),
        "disable": ("POST", "/disable", {"reason": "ticket 7"}),
    }[operation]
    refused = await shop.ask(method, f"/v1/staff/users/{user_id}{path}", body, token=bearer)
    assert (refused.status, refused.code) == (403, "step_up_required")
    assert await trail_of(shop, user_id) == []


async def test_of_two_administrators_who_depose_each_other_one_remains(shop) -> None:
    staff: Staff = shop.application.desk.roles
    outcomes = []
    for _ in range(5):
        one, other = [await staff.actor((await member(shop, "administrator"))[0]) for _ in range(2)]
        done = await asyncio.gather(
            staff.revoke(one, other.user_id, "administrator", "a race"),
            staff.revoke(other, one.user_id, "administrator", "a race"),
            return_exceptions=True,
        )
        outcomes.append(sorted(str(result.code) if isinstance(result, NotDone) else "done" for result in done))
    assert outcomes == [["done", "forbidden"]] * 5


async def test_control_checked_before_the_transaction_alone_both_would_be_deposed(shop, monkeypatch) -> None:
    """The same race where the roles are read when the request comes, and not again where it acts."""

    async def as_it_was(self: Staff, connection: Any, actor: Any, permission: str) -> str:
        self._check(actor, permission)
        return "administrator"

    monkeypatch.setattr(Staff, "_check_now", as_it_was)
    staff: Staff = shop.application.desk.roles
    one, other = [await staff.actor((await member(shop, "administrator"))[0]) for _ in range(2)]
    await asyncio.gather(
        staff.revoke(one, other.user_id, "administrator", "a race"), staff.revoke(other, one.user_id, "administrator", "a race")
    )
    assert {(await staff.actor(who.user_id)).roles for who in (one, other)} == {1}


async def test_the_last_administrator_stays(shop) -> None:
    """In a shop of its own: here the others' administrators are taken away within a transaction that is not kept."""
    staff: Staff = shop.application.desk.roles
    user_id, _ = await member(shop, "administrator")
    async with shop.pool.acquire() as connection:
        begun = connection.transaction()
        await begun.start()
        await connection.execute("DELETE FROM staff_role WHERE user_id <> $1", user_id)

        class One:
            def acquire(self) -> Any:
                return self

            async def __aenter__(self) -> Any:
                return connection

            async def __aexit__(self, *_: object) -> None:
                return None

        with pytest.raises(NotDone, match="last_administrator"):
            await Staff(One()).revoke(MACHINE_ACTOR, user_id, "administrator", "a test")
        await begun.rollback()
    assert (await staff.actor(user_id)).roles & 256


# --- masking ------------------------------------------------------------------------------------------


async def test_an_account_is_shown_masked_and_in_the_clear_only_for_a_reason_that_is_written_down(shop) -> None:
    user_id, bearer, email = await customer(shop)
    await shop.ask("POST", "/v1/me/addresses", HOME, token=bearer)
    support_id, support = await member(shop, "support")
    masked = (await shop.ask("GET", f"/v1/staff/users/{user_id}", token=support)).json
    assert [(one["kind"], one["subject"]) for one in masked["identities"]] == [("email", "k***@example.com")]
    [address] = masked["addresses"]
    assert (address["name"], address["phone"], address["line1"], address["district"]) == ("王***", "+86138***12", "***", "海淀区")
    text = json.dumps(masked, ensure_ascii=False)
    assert email not in text
    assert "中关村" not in text
    body = {"reason": "parcel lost, call kim@example.com", "fields": ["identities"]}
    clear = (await shop.ask("POST", f"/v1/staff/users/{user_id}/unmask", body, token=support)).json
    assert clear["identities"][0]["subject"] == email
    assert clear["addresses"] == masked["addresses"]
    [row] = await trail_of(shop, user_id)
    assert (row["actor_id"], row["permission"], row["after"]) == (support_id, "person.unmask", '["identities"]')
    assert row["reason"] == "parcel lost, call k***@example.com"
    for wrong in ({"fields": ["identities"]}, {"reason": "ticket 7", "fields": []}, {"reason": "ticket 7", "fields": ["password"]}):
        assert (await shop.ask("POST", f"/v1/staff/users/{user_id}/unmask", wrong, token=support)).status == 422
    assert len(await trail_of(shop, user_id)) == 1


async def test_who_may_not_unmask_sees_nothing_in_the_clear(shop) -> None:
    user_id, _, _ = await customer(shop)
    _, operator = await member(shop, "operator")
    body = {"reason": "ticket 7", "fields": ["identities"]}
    refused = await shop.ask("POST", f"/v1/staff/users/{user_id}/unmask", body, token=operator)
    assert (refused.status, refused.code) == (403, "forbidden")
    assert await trail_of(shop, user_id) == []


# --- acting for people --------------------------------------------------------------------------------


async def test_f62_an_account_that_was_disabled_is_logged_out_everywhere_and_does_not_log_in(shop) -> None:
    user_id, bearer, email = await customer(shop)
    _, operator = await member(shop, "operator")
    path = f"/v1/staff/users/{user_id}"
    for _ in range(2):  # a repeat changes nothing
        done = await shop.ask("POST", f"{path}/disable", {"reason": "ticket 7"}, token=operator)
        assert (done.status, done.json["status"]) == (200, "disabled")
    assert (await shop.ask("GET", "/v1/sessions", token=bearer)).code == "token_revoked"
    refused = await shop.ask("POST", "/v1/sessions", {"email": email, "password": PASSWORD})
    assert (refused.status, refused.code) == (403, "account_disabled")
    assert (await shop.ask("POST", f"{path}/enable", {"reason": "ticket 8"}, token=operator)).json["status"] == "active"
    assert (await shop.ask("POST", "/v1/sessions", {"email": email, "password": PASSWORD})).status == 201
    rows = await trail_of(shop, user_id)
    assert [(row["before"], row["after"]) for row in rows] == [("disabled", "active"), ("active", "disabled")]


async def test_all_sessions_of_a_lost_telephone_are_ended(shop) -> None:
    user_id, bearer, _ = await customer(shop)
    _, support = await member(shop, "support")
    count = len((await sessions_of(shop.application.desk, user_id)).sessions)
    done = await shop.ask("POST", f"/v1/staff/users/{user_id}/sessions/end", {"reason": "telephone lost"}, token=support)
    assert done.status == 204
    assert (await shop.ask("GET", "/v1/sessions", token=bearer)).code == "token_revoked"
    assert [(row["permission"], row["before"]) for row in await trail_of(shop, user_id)] == [("person.sessions", str(count))]


async def ordered(shop: Any, bearer: str) -> str:
    sku_id = await shop.sku(5)
    await shop.ask("PUT", f"/v1/cart/lines/{sku_id}", {"quantity": 1}, token=bearer)
    answer = await shop.ask("POST", "/v1/checkout", {"ship_to": HOME}, token=bearer)
    assert answer.status == 201, answer.body
    return answer.json["order_id"]


async def test_an_order_is_cancelled_for_its_buyer_and_the_trail_says_what_was_meant_and_what_was_done(shop) -> None:
    user_id, bearer, _ = await customer(shop)
    order_id = await ordered(shop, bearer)
    _, support = await member(shop, "support")
    path = f"/v1/staff/users/{user_id}/orders/{order_id}/cancel"
    for _ in range(2):  # a repeat gets the same answer
        assert (await shop.ask("POST", path, {"reason": "buyer called"}, token=support)).status == 204
    assert (await shop.ask("GET", f"/v1/orders/{order_id}", token=bearer)).json["status"] in ("closing", "cancelled")
    rows = await trail_of(shop, order_id)
    assert [row["state"] for row in rows] == ["done", "intended"] * 2
    assert rows[0]["action_id"] == rows[1]["action_id"] != rows[2]["action_id"]
    stranger = await account(shop)
    foreign = await shop.ask("POST", f"/v1/staff/users/{stranger}/orders/{order_id}/cancel", {"reason": "a guess"}, token=support)
    assert (foreign.status, foreign.code) == (404, "order_unknown")


async def test_an_order_that_cannot_be_cancelled_is_a_failed_action(shop) -> None:
    user_id, bearer, _ = await customer(shop)
    await ordered(shop, bearer)
    own = shop.client.sharding.shard("order", user_id)
    from schemas.ids import order_id

    name = order_id(shop.clock.now_ms(), own, 1)
    _, support = await member(shop, "support")
    refused = await shop.ask("POST", f"/v1/staff/users/{user_id}/orders/{name}/cancel", {"reason": "buyer called"}, token=support)
    assert (refused.status, refused.code) == (404, "order_unknown")
    assert [row["state"] for row in await trail_of(shop, name)] == ["failed", "intended"]


async def test_staff_look_up_stock_coupons_orders_and_the_ledger(shop) -> None:
    sku_id, coupon_id = await shop.sku(5), await shop.coupon()
    user_id, bearer, _ = await customer(shop)
    order_id = await ordered(shop, bearer)
    await shop.pool.execute("INSERT INTO stock_level (key, available) VALUES ($1, 5)", f"{sku_id}#0")
    await shop.pool.execute(
        "INSERT INTO ledger_entry VALUES ($1, 'a', 5, 'CNY', $2, 1), ($1, 'b', -5, 'CNY', $2, 1)", f"order:{order_id}", order_id
    )
    await shop.pool.execute("INSERT INTO orders VALUES ($1, $2, 'paid', 5, 'CNY', '', 1, 1, 0, 1, '[]')", order_id, user_id)
    _, warehouse = await member(shop, "warehouse")
    stock = (await shop.ask("GET", f"/v1/staff/stock/{sku_id}", token=warehouse)).json
    assert [(part["key"], part["available"]) for part in stock["parts"]] == [(f"{sku_id}#0", 5)]
    assert (await shop.ask("GET", "/v1/staff/stock/sku_none", token=warehouse)).status == 404
    found = (await shop.ask("GET", f"/v1/staff/users/{user_id}/orders", token=warehouse)).json
    assert [order["order_id"] for order in found["orders"]] == [order_id]
    _, marketing = await member(shop, "marketing")
    coupons, cursor = [], ""
    while True:
        page = (await shop.ask("GET", f"/v1/staff/coupons?limit=2{cursor}", token=marketing)).json
        coupons += [one["coupon_id"] for one in page["coupons"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert coupon_id in coupons
    assert coupons == sorted(set(coupons))
    _, finance = await member(shop, "finance")
    entries = (await shop.ask("GET", f"/v1/staff/orders/{order_id}/ledger", token=finance)).json["entries"]
    assert [(one["account"], one["amount"]["amount"]) for one in entries] == [("a", 5), ("b", -5)]
    assert (await shop.ask("GET", "/v1/staff/orders/ord_none/ledger", token=finance)).status == 404


# --- the trail ----------------------------------------------------------------------------------------


async def test_the_trail_is_paged_and_filtered(shop) -> None:
    admin_id, admin = await member(shop, "administrator")
    people = [await account(shop) for _ in range(3)]
    for user_id in people:
        await shop.ask("PUT", f"/v1/staff/users/{user_id}/roles/support", {"reason": "ticket 7"}, token=admin)
    seen, cursor = [], ""
    while True:
        page = (await shop.ask("GET", f"/v1/staff/actions?actor_id={admin_id}&limit=2{cursor}", token=admin)).json
        seen += [action["target"] for action in page["actions"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == people[::-1]
    none = await shop.ask("GET", f"/v1/staff/actions?actor_id={admin_id}&permission=person.unmask", token=admin)
    assert none.json == {"actions": [], "next_cursor": None}
    assert (await shop.ask("GET", "/v1/staff/actions?cursor=abc", token=admin)).status == 422


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE staff_action SET reason = 'nothing' WHERE seq = 1",
        "UPDATE staff_action SET reason = 'nothing' WHERE false",
        "DELETE FROM staff_action WHERE seq = 1",
        "TRUNCATE staff_action",
        "INSERT INTO staff_action SELECT seq + 1000, 'a', 'done', 0, 'a', 'a', 'a', 'a', '', '', '', '', hash, hash FROM staff_action_head",
        "INSERT INTO staff_action SELECT seq + 1, 'a', 'done', 0, 'a', 'a', 'a', 'a', '', '', '', '', '\\x00', hash FROM staff_action_head",
    ],
)
async def test_the_trail_is_only_added_to_and_only_at_its_end(shop, statement: str) -> None:
    await member(shop, "support")
    before = await shop.pool.fetch("SELECT * FROM staff_action ORDER BY seq")
    with pytest.raises(asyncpg.RaiseError):
        await shop.pool.execute(statement)
    assert await shop.pool.fetch("SELECT * FROM staff_action ORDER BY seq") == before


async def test_a_change_that_fails_leaves_no_line_and_a_line_that_fails_leaves_no_change(shop, monkeypatch) -> None:
    from actors.storage import staff_actions

    staff: Staff = shop.application.desk.roles
    user_id = await account(shop)
    count = await shop.pool.fetchval("SELECT count(*) FROM staff_action")

    async def broken(connection: Any, action: Any) -> int:
        raise asyncpg.RaiseError("the trail is full")

    with monkeypatch.context() as patched:
        patched.setattr(staff_actions, "add", broken)
        with pytest.raises(Exception, match="the trail is full"):
            await staff.grant(MACHINE_ACTOR, user_id, "support", "", "a test")
    with pytest.raises(NotDone, match="merchant_unknown"):
        await staff.grant(MACHINE_ACTOR, user_id, "merchant", "", "a test")
    assert (await staff.actor(user_id)).roles == 1
    assert await shop.pool.fetchval("SELECT count(*) FROM staff_action") == count


async def test_a_merchant_of_no_firm_does_not_exist_and_the_firm_comes_from_the_role(shop) -> None:
    merchant_id = await firm(shop)
    user_id, _ = await member(shop, "merchant", merchant_id=merchant_id)
    actor = await shop.application.desk.roles.actor(user_id)
    assert (actor.merchant_id, actor.roles) == (merchant_id, 1 | 8)
    with pytest.raises(asyncpg.CheckViolationError):
        await shop.pool.execute("UPDATE staff_role SET merchant_id = NULL WHERE user_id = $1", user_id)


async def test_a_reason_is_bounded(shop) -> None:
    _, admin = await member(shop, "administrator")
    body = {"reason": "x" * (REASON_MAX + 1)}
    refused = await shop.ask("PUT", f"/v1/staff/users/{await account(shop)}/roles/support", body, token=admin)
    assert (refused.status, refused.code) == (422, "invalid_request")
