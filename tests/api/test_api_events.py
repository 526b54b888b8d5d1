"""Behaviour events over HTTP: each form and each refusal, consent, bounds; and that they stand in nobody's way."""

import asyncio
import json
from typing import Any

import pytest

from actors.domain.pseudonym import Pseudonyms
from actors.storage.events.frames import read_frames

pytestmark = pytest.mark.asyncio(loop_scope="session")

NOW_MS = 1_795_000_000_000
VISITOR = "v" * 20
ALL_KINDS = [
    {"type": "view", "id": "event-01", "at_ms": NOW_MS, "product_id": "prd_1", "page": "/p/1"},
    {"type": "search", "id": "event-02", "at_ms": NOW_MS, "query": "杯子", "results": 3, "category": "CUP"},
    {"type": "add", "id": "event-03", "at_ms": NOW_MS, "sku_id": "sku_1", "quantity": 2},
    {"type": "dwell", "id": "event-04", "at_ms": NOW_MS, "dwell_ms": 5000, "page": "/p/1"},
    {"type": "purchase", "id": "event-05", "at_ms": NOW_MS, "order_id": "ord_1", "total": {"amount": 1999, "currency": "CNY"}},
    {"type": "campaign", "id": "event-06", "at_ms": NOW_MS, "campaign": {"source": "wechat", "medium": "social"}, "referrer": "a.example"},
]


def batch(events: list[Any] | None = None, **more: Any) -> dict[str, Any]:
    """A batch of one view, or of these events."""
    found = {"visitor_id": VISITOR, "terminal": "web", "consent": "granted", "sent_at_ms": NOW_MS, "events": events or ALL_KINDS[:1]}
    return {**found, **more}


def spooled(shop: Any, visitor: str = VISITOR) -> list[Any]:
    """The batches of a visitor that are on the disk."""
    pseudonym = Pseudonyms(shop.client.sharding.derived_key("events")).visitor(visitor)
    files = sorted(shop.services.settings.events_spool_path.glob("*.spool"))
    found = [one for path in files for one in read_frames(path.read_bytes())]
    return [one for one in found if one is not None and one.visitor == pseudonym]


async def send(shop: Any, body: Any, query: str = "?durable=1", **more: Any) -> Any:
    return await shop.ask("POST", "/v1/events" + query, body, key=None, **more)


async def test_every_kind_of_event_is_on_the_disk_when_a_durable_answer_is_given(shop: Any) -> None:
    user_id, token = shop.user()
    visitor = "all-kinds-" + "x" * 10
    sent = batch(ALL_KINDS, visitor_id=visitor, session_id="s" * 16, terminal="mini_program", campaign={"source": "qq"})
    answer = await send(shop, sent, token=token)
    assert (answer.status, answer.json) == (202, {"accepted": 6, "too_old": 0, "consent": "granted", "durable": True})
    [found] = spooled(shop, visitor)
    assert found.events == ALL_KINDS
    names = Pseudonyms(shop.client.sharding.derived_key("events"))
    assert (found.actor, found.session, found.terminal, found.campaign) == (
        names.actor(user_id), names.session(visitor, "s" * 16), "mini_program", {"source": "qq"},
    )  # fmt: skip
    assert found.skew_ms == found.received_ms - NOW_MS


async def test_without_waiting_a_batch_is_on_the_disk_within_a_second(shop: Any) -> None:
    visitor = "not-waiting-" + "x" * 10
    answer = await send(shop, batch(visitor_id=visitor), "")
    assert (answer.status, answer.json["durable"]) == (202, False)
    async with asyncio.timeout(1):
        while not spooled(shop, visitor):  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_no_name_of_a_person_reaches_the_disk(shop: Any) -> None:
    user_id, token = shop.user()
    visitor = "no-names-" + "x" * 10
    queries = {
        "gift for a.b@example.com": "gift for *",
        "call 138 0013 8000": "call *",
        "+8613800138000": "*",
        "iphone 15 128": "iphone 15 128",
    }
    events = [{"type": "search", "id": f"query-{n:03}", "at_ms": NOW_MS, "query": query} for n, query in enumerate(queries)]
    assert (await send(shop, batch(events, visitor_id=visitor, session_id="my-session-" + "s" * 9), token=token)).status == 202
    [found] = spooled(shop, visitor)
    assert [event["query"] for event in found.events] == list(queries.values())
    stored = b"".join(path.read_bytes() for path in shop.services.settings.events_spool_path.glob("*.spool"))
    for name in (user_id, visitor, "my-session-", "127.0.0.1", "example.com", "13800138000"):
        assert name.encode() not in stored, name


@pytest.mark.parametrize(("more", "headers"), [({"consent": "denied"}, {}), ({}, {"Sec-GPC": "1"})])
async def test_without_consent_nothing_is_kept_and_the_answer_says_so(shop: Any, more: dict[str, str], headers: dict[str, str]) -> None:
    visitor, counters = "no-consent-" + "x" * 10, shop.services.counters
    before = (counters.events_without_consent, counters.events_accepted)
    answer = await send(shop, batch(ALL_KINDS, visitor_id=visitor, **more), headers=headers)
    assert (answer.status, answer.json) == (202, {"accepted": 0, "too_old": 0, "consent": "denied", "durable": True})
    # One that was given it comes after: what was to be kept of the first would be there by now.
    assert (await send(shop, batch(visitor_id="with-consent-" + "x" * 10))).json["accepted"] == 1
    assert spooled(shop, visitor) == []
    assert (counters.events_without_consent, counters.events_accepted) == (before[0] + 6, before[1] + 1)


WRONG: list[tuple[Any, str, str]] = [
    ({"events": []}, "invalid_request", "$.events"),
    ({"visitor_id": "short"}, "invalid_request", "$.visitor_id"),
    ({"visitor_id": "a b" * 10}, "invalid_request", "$.visitor_id"),
    ({"terminal": "fridge"}, "invalid_request", "$.terminal"),
    ({"consent": True}, "invalid_request", "$.consent"),
    ({"consent": "maybe"}, "invalid_request", "$.consent"),
    ({"sent_at_ms": -1}, "invalid_request", "$.sent_at_ms"),
    ({"sent_at_ms": 1.5}, "invalid_request", "$.sent_at_ms"),
    ({"session_id": "s" * 65}, "invalid_request", "$.session_id"),
    ({"campaign": {"medium": "x"}}, "invalid_request", "$.campaign"),
    ({"campaign": {"source": "x" * 101}}, "invalid_request", "$.campaign.source"),
    ({"user_id": "usr_1"}, "invalid_request", "user_id"),
    ({"ip": "10.0.0.1"}, "invalid_request", "ip"),
]
WRONG_EVENTS: list[tuple[Any, str]] = [
    ([], "$.events[70]"),
    ("view", "$.events[70]"),
    ({"id": "event-001", "at_ms": 1}, "type"),
    ({"type": "wink", "id": "event-001", "at_ms": 1}, "$.events[70].type"),
    ({"type": "view", "at_ms": 1}, "id"),
    ({"type": "view", "id": "short", "at_ms": 1}, "$.events[70].id"),
    ({"type": "view", "id": "event-001"}, "at_ms"),
    ({"type": "view", "id": "event-001", "at_ms": "1"}, "$.events[70].at_ms"),
    ({"type": "view", "id": "event-001", "at_ms": 2**54}, "$.events[70].at_ms"),
    ({"type": "view", "id": "event-001", "at_ms": 1, "product_id": "sku_1"}, "product_id"),
    ({"type": "view", "id": "event-001", "at_ms": 1, "page": "/a?token=secret"}, "page"),
    ({"type": "view", "id": "event-001", "at_ms": 1, "page": "https://a.example/"}, "page"),
    ({"type": "view", "id": "event-001", "at_ms": 1, "query": "x"}, "query"),
    ({"type": "view", "id": "event-001", "at_ms": 1, "user_id": "usr_1"}, "user_id"),
    ({"type": "search", "id": "event-001", "at_ms": 1}, "query"),
    ({"type": "search", "id": "event-001", "at_ms": 1, "query": ""}, "query"),
    ({"type": "search", "id": "event-001", "at_ms": 1, "query": "x" * 201}, "query"),
    ({"type": "search", "id": "event-001", "at_ms": 1, "query": "x", "results": -1}, "results"),
    ({"type": "add", "id": "event-001", "at_ms": 1, "quantity": 1}, "sku_id"),
    ({"type": "add", "id": "event-001", "at_ms": 1, "sku_id": "sku_1"}, "quantity"),
    ({"type": "add", "id": "event-001", "at_ms": 1, "sku_id": "sku_1", "quantity": 0}, "quantity"),
    ({"type": "add", "id": "event-001", "at_ms": 1, "sku_id": "sku_1", "quantity": 1000}, "quantity"),
    ({"type": "dwell", "id": "event-001", "at_ms": 1}, "dwell_ms"),
    ({"type": "dwell", "id": "event-001", "at_ms": 1, "dwell_ms": 86_400_001}, "dwell_ms"),
    ({"type": "purchase", "id": "event-001", "at_ms": 1}, "order_id"),
    ({"type": "purchase", "id": "event-001", "at_ms": 1, "order_id": "ord_1", "total": 5}, "total"),
    ({"type": "purchase", "id": "event-001", "at_ms": 1, "order_id": "ord_1", "total": {"amount": 1.5, "currency": "CNY"}}, "amount"),
    ({"type": "campaign", "id": "event-001", "at_ms": 1}, "campaign"),
    ({"type": "campaign", "id": "event-001", "at_ms": 1, "campaign": {"source": "a"}, "referrer": "https://a.example/me"}, "referrer"),
]


@pytest.mark.parametrize(("more", "code", "place"), WRONG)
async def test_a_batch_of_the_wrong_form_is_refused_whole_and_the_place_is_named(shop: Any, more: Any, code: str, place: str) -> None:
    visitor = "wrong-form-" + "x" * 10
    answer = await send(shop, {**batch(visitor_id=visitor), **more})
    assert (answer.status, answer.code) == (422, code)
    assert place in answer.json["title"]
    assert spooled(shop, visitor) == []


@pytest.mark.parametrize(("event", "place"), WRONG_EVENTS)
async def test_one_wrong_event_refuses_its_batch_and_is_named_by_its_number(shop: Any, event: Any, place: str) -> None:
    visitor = "wrong-event-" + "x" * 10
    good = [{"type": "view", "id": f"event-{n:04}", "at_ms": NOW_MS} for n in range(100)]
    answer = await send(shop, batch([*good[:70], event, *good[70:]], visitor_id=visitor))
    assert (answer.status, answer.code) == (422, "invalid_request")
    assert "$.events[70]" in answer.json["title"]
    assert place in answer.json["title"]
    assert spooled(shop, visitor) == []


async def test_a_thousand_events_are_taken_and_one_more_is_refused(shop: Any) -> None:
    events = [{"type": "view", "id": f"event-{n:05}", "at_ms": NOW_MS} for n in range(1001)]
    visitor = "thousand-" + "x" * 10
    assert (await send(shop, batch(events[:1000], visitor_id=visitor))).json["accepted"] == 1000
    answer = await send(shop, batch(events, visitor_id="thousand-and-one-" + "x" * 10))
    assert (answer.status, answer.code) == (422, "invalid_request")
    [found] = spooled(shop, visitor)
    assert found.events == events[:1000]
    assert spooled(shop, "thousand-and-one-" + "x" * 10) == []


async def test_f53_events_that_are_no_strict_json_are_refused(shop: Any) -> None:
    whole = json.dumps(batch(visitor_id="strict-" + "x" * 14), separators=(",", ":"))
    spaced = json.dumps(batch(visitor_id="strict-" + "x" * 14))
    event = whole[whole.index("[") + 1 : whole.index("]")]
    deep = b"[" * 60_000
    texts = [
        whole[:-1] + r',"session_id":"\u0000aaaaaaaaaaaaaaaa"}',
        whole.replace('"/p/1"', r'"\ud800"'),
        whole.replace('"web"', '"web","terminal":"web"'),
        spaced.replace('"web"', '"web", "terminal": "web"'),
        whole.replace('"id":"event-01"', '"id":"event-01","id":"event-01"'),
        whole.replace(event, event + "," + event.replace('"id":', '"id":"event-09","id":')),
        whole[:-1] + f',"events":[{event}]}}',
        '{"events":1,' + whole[1:],
        whole[:-1] + ',"campaign":{"source":"a","source":"b"}}',
        whole.replace(str(NOW_MS), "NaN"),
        whole + "x",
        whole[:-2],
    ]
    # A key twice beside a text that was written longer than it need be, and NUL where any text may stand.
    texts.append(whole.replace('"page":"/p/1"', '"page":"/p/1","page":"\\u002fp\\u002f1"'))
    texts.append(whole[:-1] + r',"campaign":{"source":"a\u0000b"}}')
    texts.append(whole.replace(event, r'{"type":"search","id":"event-01","at_ms":1,"query":"a\u0000b"}'))
    bodies = [text.encode() for text in texts]
    bodies += [deep, b'{"events":' + deep, b'{"events":[{"type":' + deep, b'{"events":[' + deep + b"]" * 60_000 + b"]}"]
    bodies += [whole.encode().replace(b"event-01", b"event-\xff1"), b"\xff\xfe", b""]
    for body in bodies:
        answer = await send(shop, body)
        assert (answer.status, answer.code) == (400, "malformed_body"), (body[:200], answer.body)
    assert spooled(shop, "strict-" + "x" * 14) == []
    loose = whole.replace('"/p/1"', r'"\u002fp\/1"').replace('"page"', r'"\u0070age"').replace(',"sent', ',"session_id":null,"sent')
    for body in (spaced, loose):
        assert (await send(shop, body.encode())).json["accepted"] == 1
    assert len({json.dumps(one.events) for one in spooled(shop, "strict-" + "x" * 14)}) == 1


async def test_f20_a_body_has_its_own_limit_and_only_json_is_taken(shop: Any) -> None:
    limit = shop.services.settings.events_body_bytes_max
    assert limit == 262_144
    whole = json.dumps(batch()).encode()
    assert (await send(shop, whole + b" " * (limit - len(whole)))).status == 202
    assert (await send(shop, whole + b" " * (limit - len(whole) + 1))).code == "body_too_large"
    assert (await send(shop, whole, headers={"Content-Type": "text/plain"})).code == "unsupported_media_type"


async def test_the_query_and_the_method_are_checked(shop: Any) -> None:
    assert (await send(shop, batch(), "?durable=0")).json["durable"] is False
    for query in ("?durable=2", "?durable", "?durable=1&durable=1", "?wait=1"):
        assert (await send(shop, batch(), query)).code == "invalid_request"
    for method in ("GET", "PUT", "DELETE"):
        assert (await shop.ask(method, "/v1/events", batch())).code == "method_not_allowed"


async def test_a_token_that_is_not_good_is_refused_and_nothing_is_filed_under_nobody(shop: Any) -> None:
    user_id, _ = shop.user()
    visitor = "bad-token-" + "x" * 10
    expired = shop.token_of(user_id, expires_in_ms=-1)
    assert (await send(shop, batch(visitor_id=visitor), token=expired)).code == "token_expired"
    assert (await send(shop, batch(visitor_id=visitor), token="nonsense")).code == "unauthenticated"
    assert spooled(shop, visitor) == []
    assert (await send(shop, batch(visitor_id=visitor))).status == 202
    assert [one.actor for one in spooled(shop, visitor)] == [""]


async def test_a_page_is_known_by_its_cookie_and_another_sites_page_tells_nothing(shop: Any) -> None:
    user_id, token = shop.user()
    visitor = "by-cookie-" + "x" * 10
    cookie = {"Cookie": f"__Host-stampede={token}", "Origin": shop.base}
    assert (await send(shop, batch(visitor_id=visitor), headers=cookie)).status == 202
    refused = await send(shop, batch(visitor_id=visitor), headers={**cookie, "Origin": "https://evil.example"})
    assert (refused.status, refused.code) == (403, "csrf_refused")
    names = Pseudonyms(shop.client.sharding.derived_key("events"))
    assert [one.actor for one in spooled(shop, visitor)] == [names.actor(user_id)]


async def test_events_older_than_a_week_are_dropped_and_counted_whatever_the_clock_says(shop: Any) -> None:
    visitor, week_ms = "too-old-" + "x" * 10, 7 * 86_400_000
    ages = (-60_000, 0, week_ms, week_ms + 1)
    events = [{"type": "view", "id": f"event-a{n}", "at_ms": NOW_MS - age} for n, age in enumerate(ages)]
    answer = await send(shop, batch(events, visitor_id=visitor))
    assert answer.json == {"accepted": 3, "too_old": 1, "consent": "granted", "durable": True}
    [found] = spooled(shop, visitor)
    assert [event["id"] for event in found.events] == ["event-a0", "event-a1", "event-a2"]
    nothing = await send(shop, batch(events[3:], visitor_id=visitor))
    assert nothing.json == {"accepted": 0, "too_old": 1, "consent": "granted", "durable": True}
    assert len(spooled(shop, visitor)) == 1


async def test_the_counters_are_among_the_metrics(shop: Any) -> None:
    await send(shop, batch())
    await send(shop, batch(terminal="fridge"))
    text = (await shop.ask("GET", "/metrics")).body.decode()
    counters = shop.services.counters
    assert f"stampede_events_accepted_total {counters.events_accepted}\n" in text
    assert f'stampede_events_refused_batches_total{{code="invalid_request"}} {counters.events_refused["invalid_request"]}\n' in text
    assert "stampede_events_landing_lag_seconds " in text
    assert "stampede_events_spool_bytes " in text
