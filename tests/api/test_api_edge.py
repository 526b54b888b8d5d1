"""Limits before any endpoint: addresses, rates, requests in flight, the shapes of JSON, languages."""

import pytest

from serve import strict_json
from serve.answers import language_of, timestamp
from serve.rates import Rate
from serve.requests import Request


def request_from(peer: str, *forwarded: bytes) -> Request:
    headers = [(b"x-forwarded-for", value) for value in forwarded]
    return Request({"type": "http", "method": "GET", "path": "/", "headers": headers, "client": (peer, 1)}, b"id")


@pytest.mark.parametrize(
    ("peer", "forwarded", "hops", "address"),
    [
        ("203.0.113.9", [], 0, "203.0.113.9"),
        ("203.0.113.9", [b"198.51.100.1"], 0, "203.0.113.9"),
        ("127.0.0.1", [b"198.51.100.1"], 0, ""),
        ("127.0.0.1", [b"198.51.100.1"], 1, "198.51.100.1"),
        ("127.0.0.1", [b"1.1.1.1, 198.51.100.1"], 1, "198.51.100.1"),
        ("127.0.0.1", [b"1.1.1.1", b"198.51.100.1"], 1, "198.51.100.1"),
        ("127.0.0.1", [b"1.1.1.1, 198.51.100.1, 10.0.0.1"], 2, "198.51.100.1"),
        ("127.0.0.1", [b""], 1, ""),
        ("::1", [], 1, ""),
    ],
)
def test_f74_only_what_a_trusted_proxy_saw_is_an_address(peer, forwarded, hops, address) -> None:
    assert request_from(peer, *forwarded).address(hops) == address


def test_a_rate_lets_a_burst_pass_and_then_its_pace() -> None:
    now = [0.0]
    rate = Rate(lambda: now[0], per_s=2, burst=3)
    assert [rate.take("a") for _ in range(4)] == [True, True, True, False]
    assert rate.take("b") is True
    now[0] = 499.0
    assert rate.take("a") is False
    now[0] = 500.0
    assert [rate.take("a"), rate.take("a")] == [True, False]
    assert all(Rate(lambda: 0.0, per_s=0, burst=0).take("a") for _ in range(100))


@pytest.mark.parametrize("text", [b"{}", b"[" * 16 + b"]" * 16, b'{"a":"[[[[[[[[[[[[[[[[[[[["}', b'"\\ud83d\\ude00"', b'{"a":{"a":1}}'])
def test_strict_json_is_let_through(text: bytes) -> None:
    strict_json.check(text)


@pytest.mark.parametrize(
    "text", [b"[" * 17 + b"]" * 17, b'{"a":1,"a":1}', b'{"a":1,"\\u0061":2}', b'["\\u0000"]', b'["\\ud800"]', b"\xef\xbb\xbf{}", b""]
)
def test_f53_loose_json_is_not(text: bytes) -> None:
    with pytest.raises(strict_json.Malformed):
        strict_json.check(text)


@pytest.mark.parametrize(
    ("accept", "language"),
    [
        (None, "en"),
        (b"zh", "zh-CN"),
        (b"fr, zh;q=0.3", "zh-CN"),
        (b"en;q=0.2,zh;q=0.3", "zh-CN"),
        (b"zh;q=x", "en"),
        (b"\xff;;;", "en"),
        (b"zh;q=0", "en"),
    ],
)
def test_the_language_is_the_best_that_both_know(accept, language) -> None:
    assert language_of(accept) == language


def test_times_are_utc_with_milliseconds() -> None:
    assert timestamp(0) == "1970-01-01T00:00:00.000Z"
    assert timestamp(1_795_371_875_113) == "2026-11-22T18:24:35.113Z"
    assert timestamp(2**53) == "9999-12-31T00:00:00.000Z"


@pytest.mark.asyncio(loop_scope="session")
async def test_past_the_limit_of_requests_in_flight_the_answer_is_503_at_once(shop) -> None:
    limit = shop.application._in_flight_max
    shop.application._in_flight_max = 0
    try:
        refused = await shop.ask("GET", "/v1/cart", token=shop.user()[1])
    finally:
        shop.application._in_flight_max = limit
    assert (refused.status, refused.code, refused.headers["retry-after"]) == (503, "busy", "1")
