"""Lines to warehouses as staff keep them: permissions, step-up, secrets that are shown once, addresses that may be called, the trail."""

import secrets

import pytest

from actors.adapters.wms.signature import secret_of
from actors.storage.sealing import Sealer, parse_keys, write_keys
from actors.storage.wms import reseal_wms
from tests.api.conftest import FIELD_KEYS
from tests.api.staff_people import MACHINE_ACTOR, member, token
from tests.api.wms_line import opened

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROOT = "/v1/staff/wms"
BODY = {"title": "Shanghai", "url": "https://wms.example.com/in", "warehouse_code": "SH1", "reason": "a new house"}


async def warehouse(shop) -> str:
    warehouse_id = "whs_s" + secrets.token_hex(6)
    await shop.pool.execute("INSERT INTO warehouse (warehouse_id, code, country, lat, lon) VALUES ($1, $1, 'CN', 0, 0)", warehouse_id)
    return warehouse_id


async def close(shop, connection_id: str) -> None:
    await shop.pool.execute("UPDATE wms_connection SET state = 'closed' WHERE connection_id = $1", connection_id)


async def test_secrets_are_shown_once_and_stand_nowhere_in_the_clear(shop) -> None:
    _, bearer = await member(shop, "operator")
    key, body = secrets.token_hex(12), BODY | {"warehouse_id": await warehouse(shop), "our_secret": secret_of(b"o" * 32)}
    first = await shop.ask("POST", ROOT + "/connections", body, token=bearer, key=key)
    again = await shop.ask("POST", ROOT + "/connections", body, token=bearer, key=key)
    assert (first.status, again.status) == (201, 201)
    assert first.json["our_secret"] == secret_of(b"o" * 32)
    assert again.json == first.json | {"our_secret": None, "their_secret": None}
    connection_id = first.json["connection_id"]
    assert first.json["hook"] == f"/v1/hooks/wms/{connection_id}"
    shown = await shop.ask("GET", ROOT + "/connections", token=bearer)
    rows = await shop.pool.fetch("SELECT * FROM wms_secret WHERE connection_id = $1", connection_id)
    actions = await shop.pool.fetch("SELECT * FROM staff_action WHERE target = $1", connection_id)
    everything = repr([dict(row) for row in (*rows, *actions)]) + shown.body.decode()
    for secret in (first.json["our_secret"], first.json["their_secret"]):
        assert secret.removeprefix("whsec_") not in everything
    assert {row["side"] for row in rows} == {"ours", "theirs"}
    rolled = await shop.ask(
        "POST", f"{ROOT}/connections/{connection_id}/secrets", {"side": "ours", "reason": "yearly"}, token=bearer, key=key + "r"
    )
    repeat = await shop.ask(
        "POST", f"{ROOT}/connections/{connection_id}/secrets", {"side": "ours", "reason": "yearly"}, token=bearer, key=key + "r"
    )
    assert rolled.json["secret"].startswith("whsec_")
    assert repeat.json == {"secret": None}
    known = (await shop.application.desk.wms.secrets(shop.clock.now_ms()))[connection_id]
    assert known.ours == (rolled.json["secret"], first.json["our_secret"])
    assert rolled.json["secret"] not in repr(known)
    await close(shop, connection_id)


async def test_a_warehouse_has_one_line_and_a_line_that_was_closed_stays_closed(shop) -> None:
    _, bearer = await member(shop, "administrator")
    body = BODY | {"warehouse_id": await warehouse(shop)}
    first = (await shop.ask("POST", ROOT + "/connections", body, token=bearer)).json["connection_id"]
    second = await shop.ask("POST", ROOT + "/connections", body, token=bearer)
    assert (second.status, second.code) == (409, "wms_warehouse_taken")
    assert (await shop.ask("POST", ROOT + "/connections", BODY | {"warehouse_id": "whs_nobody"}, token=bearer)).code == "warehouse_unknown"
    change = {name: BODY[name] for name in ("title", "url", "warehouse_code", "reason")}
    assert (await shop.ask("PUT", f"{ROOT}/connections/{first}", change | {"state": "closed"}, token=bearer)).status == 200
    assert (
        await shop.ask("PUT", f"{ROOT}/connections/{first}", change | {"state": "active"}, token=bearer)
    ).code == "wms_connection_unknown"
    third = await shop.ask("POST", ROOT + "/connections", body, token=bearer)
    assert third.status == 201
    seen = (await shop.ask("GET", ROOT + "/connections?closed=true", token=bearer)).json["connections"]
    assert {one["connection_id"]: one["state"] for one in seen}[first] == "closed"
    await close(shop, third.json["connection_id"])


URLS = {
    "ftp://wms.example.com": "neither",
    "https://": "neither",
    "http://wms.example.com@10.0.0.1/": "with a user",
    "https://wms.example.com/?a=b": "with a user",
    "https://169.254.169.254/latest": "private",
    "https://10.1.2.3/": "private",
    "https://[::1]/": "private",
    "https://[::ffff:10.0.0.1]/": "private",
    "http://93.184.216.34/": "without TLS",
    "https://wms.example.com/\u202e": "strange",
    "https://wms.example.com:99999/": "no URL",
}


@pytest.mark.parametrize("url", sorted(URLS))
async def test_what_cannot_be_a_warehouse_s_address_is_refused(shop, url) -> None:
    _, bearer = await member(shop, "operator")
    answer = await shop.ask("POST", ROOT + "/connections", BODY | {"url": url}, token=bearer)
    assert (answer.status, answer.code) == (422, "wms_url_refused"), answer.body
    assert URLS[url] in answer.json["params"]["reason"]


async def test_bad_secrets_and_fields_are_refused(shop) -> None:
    _, bearer = await member(shop, "operator")
    for secret in ("short", "whsec_", "whsec_AAAA", secret_of(b"x" * 23), secret_of(b"x" * 65), "whsec_" + "é" * 40):
        answer = await shop.ask("POST", ROOT + "/connections", BODY | {"their_secret": secret}, token=bearer)
        assert answer.code in ("wms_secret_invalid", "invalid_request"), secret
    for more in ({"state": "active"}, {"warehouse_id": "x"}, {"warehouse_code": "a b"}, {"reason": ""}, {"title": ""}):
        assert (await shop.ask("POST", ROOT + "/connections", BODY | more, token=bearer)).code == "invalid_request", more


async def test_roles_that_may_look_may_not_act_and_acting_on_lines_takes_a_second_factor(shop) -> None:
    async with opened(shop) as line:
        _, packer = await member(shop, "warehouse")
        user_id, _ = await member(shop, "operator")
        weak = token(shop, user_id, "operator", stepped_up=False)
        assert (await shop.ask("GET", ROOT + "/connections", token=packer)).status == 200
        assert (await shop.ask("GET", ROOT + "/letters?side=out", token=packer)).status == 200
        for path, body in (
            ("/connections", BODY),
            (f"/connections/{line.connection_id}/secrets", {"side": "ours", "reason": "why not"}),
            (f"/connections/{line.connection_id}/comparisons", {"reason": "why not"}),
            ("/letters/wml_1/drop", {"reason": "why not"}),
        ):
            answer = await shop.ask("POST", ROOT + path, body, token=packer)
            assert (answer.status, answer.code) == (403, "forbidden"), path
        for method, path, body in (
            ("POST", "/connections", BODY),
            ("POST", f"/connections/{line.connection_id}/secrets", {"side": "ours", "reason": "why not"}),
            ("POST", "/comparisons/rec_1/apply", {"reason": "why not"}),
        ):
            assert (await shop.ask(method, ROOT + path, body, token=weak)).code == "step_up_required", path


async def test_what_is_not_there_is_not_found_and_cursors_of_other_lists_are_refused(shop) -> None:
    _, bearer = await member(shop, "operator")
    for method, path, code in (
        ("GET", "/letters/wml_nobody", "wms_letter_unknown"),
        ("GET", "/letters/x", "wms_letter_unknown"),
        ("GET", "/comparisons/rec_nobody", "wms_run_unknown"),
        ("GET", "/comparisons/rec_nobody/csv", "wms_run_unknown"),
        ("POST", "/letters/msg_nobody/retry", "wms_letter_unknown"),
        ("POST", "/comparisons/rec_nobody/apply", "wms_run_unknown"),
        ("POST", "/connections/wms_nobody/comparisons", "wms_connection_unknown"),
        ("POST", "/connections/x/comparisons", "wms_connection_unknown"),
    ):
        answer = await shop.ask(method, ROOT + path, {"reason": "a look"} if method == "POST" else None, token=bearer)
        assert (answer.status, answer.code) == (404, code), path
    for path in ("/letters", "/shipments", "/comparisons"):
        for cursor in ("x", "bQox", "YQoxCmI"):
            assert (await shop.ask("GET", f"{ROOT}{path}?cursor={cursor}", token=bearer)).code == "invalid_request"


async def test_secrets_are_sealed_anew_with_a_newer_key_and_open_as_before(shop) -> None:
    newer = parse_keys(write_keys(FIELD_KEYS) + ",2=" + "bmV3ZXIga2V5IG9mIDMyIGJ5dGVzIGZvciB0ZXN0cyE=")
    async with opened(shop) as line:
        before = (await shop.application.desk.wms.secrets(shop.clock.now_ms()))[line.connection_id]
        async with shop.pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            assert await reseal_wms(connection, Sealer(newer)) >= 2
            assert await reseal_wms(connection, Sealer(newer)) == 0
            await transaction.rollback()
        assert before.ours == (line.added["our_secret"],)


async def test_the_machine_s_own_deeds_need_no_role(shop) -> None:
    assert (await shop.application.desk.wms_letters.retry_all(MACHINE_ACTOR, "wms_nobody", "in", "a test", shop.clock.now_ms())) == 0
