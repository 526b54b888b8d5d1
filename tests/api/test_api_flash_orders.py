"""Flash-sale orders over HTTP."""

import asyncio
import json

import pytest

from actors.domain import ticket as tickets
from schemas.ids import derived_id
from schemas.stock import ReadStock

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def level(shop, sku_id):
    return (await shop.client.ask("stock", sku_id + "#0", ReadStock(), command_id=b"r" * 16)).reply


async def test_an_order_is_answered_with_its_total_and_deadline(shop) -> None:
    user_id, token = shop.user()
    sku_id = await shop.sku(5)
    sale_id = await shop.sale(sku_id, price=999)
    answer = await shop.flash_order(sale_id, sku_id, token, quantity=2)
    assert answer.status == 201, answer.body
    body = answer.json
    assert sorted(body) == ["expires_at", "order_id", "position", "status", "total"]
    assert body["total"] == {"amount": 1998, "currency": "CNY"}
    assert body["status"] == "pending_payment"
    assert body["position"].split(":")[0] == str(shop.client.sharding.shard("order", user_id))
    assert answer.headers["x-request-id"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (await level(shop, sku_id)).held == 2


async def test_a_repeat_gets_the_first_answer_and_takes_nothing(shop) -> None:
    _, token = shop.user()
    sku_id = await shop.sku(5)
    sale_id = await shop.sale(sku_id)
    first = await shop.flash_order(sale_id, sku_id, token, key="the-same-key")
    again = await shop.flash_order(sale_id, sku_id, token, key="the-same-key")
    assert (again.status, again.body) == (201, first.body)
    assert (await level(shop, sku_id)).available == 4


async def test_f50_the_same_key_with_another_body_or_sale_is_refused_and_takes_nothing(shop) -> None:
    _, token = shop.user()
    sku_id = await shop.sku(5)
    sale_id, other = await shop.sale(sku_id), await shop.sale(sku_id)
    assert (await shop.flash_order(sale_id, sku_id, token, key="the-same-key")).status == 201
    for answer in (
        await shop.flash_order(sale_id, sku_id, token, key="the-same-key", quantity=2),
        await shop.flash_order(other, sku_id, token, key="the-same-key"),
    ):
        assert (answer.status, answer.code) == (422, "idempotency_key_reused")
    assert (await level(shop, sku_id)).available == 4


async def test_f49_a_click_repeated_fifty_times_is_one_order(shop) -> None:
    _, token = shop.user()
    sku_id = await shop.sku(60)
    sale_id = await shop.sale(sku_id, limit=50)
    answers = await asyncio.gather(*(shop.flash_order(sale_id, sku_id, token, key="the-same-key") for _ in range(50)))
    assert {answer.status for answer in answers} == {201}
    assert len({answer.json["order_id"] for answer in answers}) == 1
    assert (await level(shop, sku_id)).held == 1


async def test_of_a_crowd_exactly_as_many_buy_as_there_are_units(shop) -> None:
    sku_id = await shop.sku(7)
    sale_id = await shop.sale(sku_id)
    answers = await asyncio.gather(*(shop.flash_order(sale_id, sku_id, shop.user()[1]) for _ in range(40)))
    assert sorted(answer.status for answer in answers) == [201] * 7 + [409] * 33
    assert {answer.code for answer in answers if answer.status == 409} == {"sold_out"}
    found = await level(shop, sku_id)
    assert (found.available, found.held) == (0, 7)


async def test_more_than_the_limit_of_one_buyer_is_refused(shop) -> None:
    _, token = shop.user()
    sku_id = await shop.sku(9)
    sale_id = await shop.sale(sku_id, limit=2)
    assert (await shop.flash_order(sale_id, sku_id, token, quantity=2)).status == 201
    refused = await shop.flash_order(sale_id, sku_id, token)
    assert (refused.status, refused.code, refused.json["params"]) == (409, "purchase_limit", {"limit": 2})


async def test_a_total_that_drifted_is_refused_and_not_charged(shop) -> None:
    _, token = shop.user()
    sku_id = await shop.sku(5)
    sale_id = await shop.sale(sku_id, price=999)
    refused = await shop.flash_order(sale_id, sku_id, token, expected_total={"amount": 998, "currency": "CNY"})
    assert (refused.status, refused.code) == (409, "total_changed")
    taken = await shop.flash_order(sale_id, sku_id, token, expected_total={"amount": 999, "currency": "CNY"})
    assert taken.status == 201


async def marked(shop, sku_id) -> None:
    """Return once the SKU is proven sold out in the replica."""
    async with asyncio.timeout(5):
        while not shop.application.desk.sold_out.is_marked(sku_id):  # noqa: ASYNC110 (a proof is announced to nobody)
            await asyncio.sleep(0)


async def test_sold_out_is_said_without_asking_and_a_holder_still_gets_the_first_answer(shop) -> None:
    _, holder = shop.user()
    sku_id = await shop.sku(1)
    sale_id = await shop.sale(sku_id)
    first = await shop.flash_order(sale_id, sku_id, holder, key="holders-key")
    assert (await shop.flash_order(sale_id, sku_id, shop.user()[1])).code == "sold_out"
    await marked(shop, sku_id)
    before = shop.services.counters.sold_out_local
    refused = [await shop.flash_order(sale_id, sku_id, shop.user()[1]) for _ in range(5)]
    assert [answer.code for answer in refused] == ["sold_out"] * 5
    assert shop.services.counters.sold_out_local - before == 5
    again = await shop.flash_order(sale_id, sku_id, holder, key="holders-key")
    assert (again.status, again.body) == (201, first.body)


async def test_units_that_come_back_are_sold_again(shop) -> None:
    sku_id = await shop.sku(1)
    sale_id = await shop.sale(sku_id)
    await shop.flash_order(sale_id, sku_id, shop.user()[1])
    await shop.flash_order(sale_id, sku_id, shop.user()[1])
    await marked(shop, sku_id)
    await shop.put_in(sku_id, 1)
    async with asyncio.timeout(1):
        while (answer := await shop.flash_order(sale_id, sku_id, shop.user()[1])).status != 201:
            assert answer.code == "sold_out"
    assert (await level(shop, sku_id)).held == 2


@pytest.mark.parametrize(
    ("terms", "status", "code"),
    [
        ({"opens_in_ms": 60_000}, 409, "sale_not_open"),
        ({"state": "closed"}, 409, "sale_not_open"),
        ({"opens_in_ms": -2000, "ends_in_ms": -1000}, 410, "sale_ended"),
        ({"state": "ended"}, 410, "sale_ended"),
        ({"ticket": True}, 403, "ticket_missing"),
    ],
)
async def test_a_sale_that_does_not_let_in_says_why(shop, terms, status, code) -> None:
    sku_id = await shop.sku(1)
    sale_id = await shop.sale(sku_id, **terms)
    answer = await shop.flash_order(sale_id, sku_id, shop.user()[1])
    assert (answer.status, answer.code) == (status, code)
    assert (await level(shop, sku_id)).held == 0


async def test_f52_unknown_and_foreign_articles_and_sales_are_typed_refusals(shop) -> None:
    _, token = shop.user()
    sku_id, other = await shop.sku(1), await shop.sku(1)
    off = await shop.sku(1, on_shelf=False)
    sale_id, sale_off = await shop.sale(sku_id), await shop.sale(off)
    assert (await shop.flash_order("sal_nobody", sku_id, token)).code == "sale_unknown"
    assert (await shop.flash_order("nonsense", sku_id, token)).code == "sale_unknown"
    assert (await shop.flash_order(sale_id, "sku_nobody", token)).code == "sku_unknown"
    assert (await shop.flash_order(sale_id, other, token)).code == "sku_not_on_sale"
    assert (await shop.flash_order(sale_off, off, token)).code == "sku_not_on_sale"
    foreign = await shop.sku(1, currency="USD")
    assert (await shop.flash_order(await shop.sale(foreign), foreign, token)).code == "currency_mixed"


async def test_f71_a_ticket_works_for_its_user_and_sale_and_once(shop) -> None:
    _, token = shop.user()
    sku_id = await shop.sku(9)
    sale_id, other_sale = await shop.sale(sku_id, ticket=True), await shop.sale(sku_id, ticket=True)
    granted = await shop.ask("POST", f"/v1/flash-sales/{sale_id}/tickets", token=token)
    assert granted.status == 201
    ticket = granted.json["ticket"]
    middle = len(ticket) // 2
    tampered = ticket[:middle] + ("B" if ticket[middle] == "A" else "A") + ticket[middle + 1 :]
    for wrong, where in ((tampered, sale_id), ("nonsense", sale_id), (ticket, other_sale)):
        refused = await shop.flash_order(where, sku_id, token, ticket=wrong)
        assert (refused.status, refused.code) == (403, "ticket_invalid")
    stolen = await shop.flash_order(sale_id, sku_id, shop.user()[1], ticket=ticket)
    assert (stolen.status, stolen.code) == (403, "ticket_invalid")
    assert (await shop.flash_order(sale_id, sku_id, token, ticket=ticket, key="ticket-key")).status == 201
    used = await shop.flash_order(sale_id, sku_id, token, ticket=ticket)
    assert (used.status, used.code) == (409, "ticket_used")
    assert (await shop.flash_order(sale_id, sku_id, token, ticket=ticket, key="ticket-key")).status == 201
    assert (await level(shop, sku_id)).held == 1


async def test_f71_a_ticket_that_expired_or_of_a_sale_that_ended_is_refused(shop) -> None:
    user_id, token = shop.user()
    sku_id = await shop.sku(9)
    sale_id = await shop.sale(sku_id, ticket=True)
    for age_ms in (1, 3_600_000_000):
        old = tickets.Ticket(user_id=user_id, sale_id=sale_id, expires_at_ms=shop.clock.now_ms() - age_ms, nonce="n1")
        refused = await shop.flash_order(sale_id, sku_id, token, ticket=tickets.issue(shop.services.ticket_keys, old))
        assert (refused.status, refused.code) == (403, "ticket_expired")
    ended = await shop.sale(sku_id, ticket=True, opens_in_ms=-2000, ends_in_ms=-1000)
    good = tickets.Ticket(user_id=user_id, sale_id=ended, expires_at_ms=shop.clock.now_ms() + 60_000, nonce="n2")
    refused = await shop.flash_order(ended, sku_id, token, ticket=tickets.issue(shop.services.ticket_keys, good))
    assert (refused.status, refused.code) == (410, "sale_ended")
    assert (await shop.ask("POST", f"/v1/flash-sales/{ended}/tickets", token=token)).code == "sale_ended"


async def test_a_sale_has_a_rate_of_its_own(shop) -> None:
    sku_id = await shop.sku(9)
    sale_id = await shop.sale(sku_id, rate=1)
    answers = [await shop.flash_order(sale_id, sku_id, shop.user()[1]) for _ in range(3)]
    assert [answer.status for answer in answers] == [201, 429, 429]
    assert answers[1].headers["retry-after"] == "1"


async def test_problems_come_in_the_readers_language(shop) -> None:
    sku_id = await shop.sku()
    sale_id = await shop.sale(sku_id)
    body = json.dumps({"sku_id": sku_id, "quantity": 1}).encode()
    path = f"/v1/flash-sales/{sale_id}/orders"
    _, token = shop.user()
    chinese = await shop.ask("POST", path, body, token=token, headers={"Accept-Language": "zh-TW,zh;q=0.9,en;q=0.5"})
    assert (chinese.json["title"], chinese.headers["content-language"]) == ("已售罄。", "zh-CN")
    english = await shop.ask("POST", path, body, token=token)
    assert (english.json["title"], english.headers["content-language"]) == ("Sold out.", "en")
    assert english.headers["content-type"] == "application/problem+json"


async def test_only_a_live_token_of_a_customer_buys(shop) -> None:
    user_id, token = shop.user()
    sku_id = await shop.sku(9)
    sale_id = await shop.sale(sku_id)
    ended = shop.token_of(user_id, session_id="ses_ended")
    shop.application.desk.revocations.end(["ses_ended"])
    expected = {
        "": "unauthenticated",
        "nonsense": "unauthenticated",
        token[:-4] + "AAAA": "unauthenticated",
        shop.token_of(user_id, roles=2): "unauthenticated",
        shop.token_of(user_id, expires_in_ms=-1): "token_expired",
        ended: "token_revoked",
    }
    for text, code in expected.items():
        refused = await shop.flash_order(sale_id, sku_id, text)
        assert (refused.status, refused.code) == (401, code)
    assert (await level(shop, sku_id)).held == 0


async def test_a_key_is_needed_and_has_a_form(shop) -> None:
    _, token = shop.user()
    sku_id = await shop.sku(1)
    sale_id = await shop.sale(sku_id)
    for key in (None, "short", "x" * 65, "with space in it"):
        refused = await shop.flash_order(sale_id, sku_id, token, key=key)
        assert (refused.status, refused.code) == (400, "idempotency_key_missing")
    assert (await level(shop, sku_id)).held == 0


async def test_the_reservation_of_a_key_is_what_the_proof_knows(shop) -> None:
    user_id, token = shop.user()
    sku_id = await shop.sku(1)
    await shop.flash_order(await shop.sale(sku_id), sku_id, token, key="holders-key")
    reservation_id = derived_id(derived_id(user_id, b"flash", "holders-key"), "r0")
    await shop.flash_order(await shop.sale(sku_id), sku_id, shop.user()[1])
    await marked(shop, sku_id)
    [part] = shop.application.desk.sold_out._marks[sku_id].parts
    assert (len(part.holders), reservation_id[:4] in part.holders) == (1, True)
