"""Where a merchant's money goes: after a step-up, told to the firm, in force a day later, masked, and of one's own firm alone."""

import asyncio
import secrets

import pytest

from actors.domain.payout import WAIT_MS
from actors.storage.payouts import reseal_payouts
from actors.storage.sealing import FieldKeys, Sealer
from tests.api.conftest import FIELD_KEYS
from tests.api.staff_people import MACHINE_ACTOR, firm, member, token

pytestmark = pytest.mark.asyncio(loop_scope="session")

IBAN = {"kind": "iban", "holder": "Kim Lee", "number": "DE89 3704 0044 0532 0130 00"}
OTHER = {"kind": "iban", "holder": "Kim Lee", "number": "GB82 WEST 1234 5698 7654 32"}
OWN = "/v1/merchant/payout-account"


async def merchant(shop) -> tuple[str, str, str]:
    """A firm, somebody who acts for it, and their token."""
    merchant_id = await firm(shop)
    user_id, bearer = await member(shop, "merchant", merchant_id=merchant_id)
    return merchant_id, user_id, bearer


def numbers(found) -> tuple[str | None, str | None]:
    return tuple(found[name] and found[name]["number"] for name in ("in_force", "pending"))


async def later(shop, user_id: str, milliseconds: int) -> str:
    shop.clock_forward(milliseconds)
    return token(shop, user_id, "merchant")


async def test_a_new_account_waits_a_day_and_the_old_one_stays_in_force_meanwhile(shop) -> None:
    _, user_id, bearer = await merchant(shop)
    assert numbers((await shop.ask("GET", OWN, token=bearer)).json) == (None, None)
    first = await shop.ask("PUT", OWN, IBAN, token=bearer)
    assert (first.status, numbers(first.json), first.json["pending"]["holder"]) == (200, (None, "DE***3000"), "K*** L***")
    bearer = await later(shop, user_id, WAIT_MS - 60_000)
    assert numbers((await shop.ask("GET", OWN, token=bearer)).json) == (None, "DE***3000")
    bearer = await later(shop, user_id, 60_000)
    assert numbers((await shop.ask("GET", OWN, token=bearer)).json) == ("DE***3000", None)
    assert numbers((await shop.ask("PUT", OWN, OTHER, token=bearer)).json) == ("DE***3000", "GB***5432")
    bearer = await later(shop, user_id, WAIT_MS)
    assert numbers((await shop.ask("GET", OWN, token=bearer)).json) == ("GB***5432", None)


async def test_what_is_called_off_or_replaced_while_it_waits_is_never_in_force(shop) -> None:
    _, user_id, bearer = await merchant(shop)
    await shop.ask("PUT", OWN, OTHER, token=bearer)
    bearer = await later(shop, user_id, WAIT_MS // 2)
    assert numbers((await shop.ask("PUT", OWN, IBAN, token=bearer)).json) == (None, "DE***3000")
    bearer = await later(shop, user_id, WAIT_MS // 2)
    assert numbers((await shop.ask("GET", OWN, token=bearer)).json) == (None, "DE***3000"), "the first one's day is over"
    for _ in range(2):
        assert (await shop.ask("DELETE", OWN + "/pending", token=bearer)).status == 204
    bearer = await later(shop, user_id, 2 * WAIT_MS)
    assert numbers((await shop.ask("GET", OWN, token=bearer)).json) == (None, None)


async def test_a_repeat_begins_no_new_wait(shop) -> None:
    merchant_id, user_id, bearer = await merchant(shop)
    first = (await shop.ask("PUT", OWN, IBAN, token=bearer)).json["pending"]
    bearer = await later(shop, user_id, 3_600_000)
    assert (await shop.ask("PUT", OWN, IBAN, token=bearer)).json["pending"] == first
    assert await shop.pool.fetchval("SELECT count(*) FROM payout_account WHERE merchant_id = $1", merchant_id) == 1


async def test_whoever_has_not_just_proven_a_second_factor_changes_nothing(shop) -> None:
    merchant_id, user_id, _ = await merchant(shop)
    plain = token(shop, user_id, "merchant", stepped_up=False)
    assert (await shop.ask("PUT", OWN, IBAN, token=plain)).code == "step_up_required"
    assert (await shop.ask("DELETE", OWN + "/pending", token=plain)).code == "step_up_required"
    assert await shop.pool.fetchval("SELECT count(*) FROM payout_account WHERE merchant_id = $1", merchant_id) == 0
    _, finance = await member(shop, "finance")
    clear = token(shop, (await member(shop, "finance"))[0], "finance", stepped_up=False)
    path = f"/v1/staff/merchants/{merchant_id}/payout-account"
    assert (await shop.ask("POST", path + "/unmask", {"reason": "ticket 1"}, token=clear)).code == "step_up_required"
    assert (await shop.ask("GET", path, token=finance)).status == 200


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"number": "DE88 3704 0044 0532 0130 00"}, "number"),
        ({"kind": "card", "number": "6212345678901233", "bank": "ICBC"}, "number"),
        ({"kind": "card", "number": "6212345678901232"}, "bank"),
        ({"holder": " "}, "holder"),
    ],
)
async def test_an_account_that_cannot_be_right_is_refused(shop, change, reason) -> None:
    _, _, bearer = await merchant(shop)
    refused = await shop.ask("PUT", OWN, IBAN | change, token=bearer)
    assert (refused.status, refused.code, refused.json["params"]) == (422, "payout_account_invalid", {"reason": reason})


async def test_everybody_who_acts_for_the_firm_is_told_at_once(shop) -> None:
    merchant_id = await firm(shop)
    address = f"kim.{secrets.token_hex(6)}@example.com"
    owner = await shop.register({"email": address, "password": "correct horse battery staple"})
    await shop.application.desk.roles.grant(MACHINE_ACTOR, owner["user_id"], "merchant", merchant_id, "a test")
    _, bearer = await member(shop, "merchant", merchant_id=merchant_id)
    assert (await shop.ask("PUT", OWN, IBAN, token=bearer)).status == 200

    async def told() -> list[str]:
        kept = (await shop.ask("GET", "/dev/outbox.json")).json["messages"]
        return [one["body"] for one in kept if one["to"] == address and one["template"] == "payout_changed"]

    async with asyncio.timeout(10):
        while not (found := await told()):  # noqa: ASYNC110 (it is sent in the background)
            await asyncio.sleep(0.02)
    assert "DE***3000" in found[0]
    assert "0532" not in found[0]


async def test_finance_reads_every_firm_s_masked_and_in_the_clear_for_a_reason_that_is_written_down(shop) -> None:
    merchant_id, _, bearer = await merchant(shop)
    await shop.ask("PUT", OWN, IBAN, token=bearer)
    user_id, finance = await member(shop, "finance")
    path = f"/v1/staff/merchants/{merchant_id}/payout-account"
    assert numbers((await shop.ask("GET", path, token=finance)).json) == (None, "DE***3000")
    assert (await shop.ask("POST", path + "/unmask", {}, token=finance)).code == "invalid_request"
    clear = await shop.ask("POST", path + "/unmask", {"reason": "a transfer came back"}, token=finance)
    assert (clear.json["pending"]["number"], clear.json["pending"]["holder"]) == ("DE89370400440532013000", "Kim Lee")
    row = await shop.pool.fetchrow("SELECT * FROM staff_action WHERE target = $1 ORDER BY seq DESC LIMIT 1", merchant_id)
    assert (row["actor_id"], row["permission"], row["reason"]) == (user_id, "payout.unmask", "a transfer came back")
    rows = await shop.pool.fetch("SELECT permission, before, after FROM staff_action WHERE target = $1", merchant_id)
    assert not any("3704" in row["before"] + row["after"] for row in rows)
    assert {row["permission"] for row in rows} == {"merchant.payout", "payout.unmask"}
    for unknown in ("mer_nobody", "usr_1"):
        answer = await shop.ask("GET", f"/v1/staff/merchants/{unknown}/payout-account", token=finance)
        assert (answer.status, answer.code) == (404, "merchant_not_found")


async def test_another_firm_sees_and_changes_its_own_alone(shop) -> None:
    one, _, bearer = await merchant(shop)
    other, _, rival = await merchant(shop)
    await shop.ask("PUT", OWN, IBAN, token=bearer)
    assert (await shop.ask("GET", OWN, token=rival)).json == {"merchant_id": other, "in_force": None, "pending": None}
    assert (await shop.ask("DELETE", OWN + "/pending", token=rival)).status == 204
    assert numbers((await shop.ask("GET", OWN, token=bearer)).json) == (None, "DE***3000")
    for role in ("merchant", "support", "warehouse", "marketing", "operator"):
        _, nobody = await member(shop, role)
        for method, path in (("GET", ""), ("POST", "/unmask")):
            body = {"reason": "curious"} if method == "POST" else None
            answer = await shop.ask(method, f"/v1/staff/merchants/{one}/payout-account{path}", body, token=nobody)
            assert (role, answer.code) == (role, "forbidden")


async def test_at_rest_it_is_sealed_and_sealed_anew_with_a_new_key(shop) -> None:
    merchant_id, _, bearer = await merchant(shop)
    await shop.ask("PUT", OWN, IBAN, token=bearer)
    row = await shop.pool.fetchrow("SELECT * FROM payout_account WHERE merchant_id = $1", merchant_id)
    assert not any(b"3704" in bytes(str(value), "utf8") for value in row.values())
    newer = Sealer(FieldKeys(current=2, keys={**FIELD_KEYS.keys, 2: b"g" * 32}, lookup=FIELD_KEYS.lookup))
    async with shop.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        assert await reseal_payouts(connection, newer) >= 1
        sealed = await connection.fetchval("SELECT sealed FROM payout_account WHERE merchant_id = $1", merchant_id)
        await transaction.rollback()
    assert "DE89370400440532013000" in newer.open("payout_account", row["payout_id"], sealed)
