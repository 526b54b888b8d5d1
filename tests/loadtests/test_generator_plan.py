"""Plans of a load, the bytes of its requests, and the answers cut out of a stream."""

from pathlib import Path

import msgspec
import pytest

from loadtests.generator.plan import Plan, Requests, read_tokens, send_times
from loadtests.generator.wire import next_answer, text_field

PLAN = Plan(host="h", port=1, paths=("/a", "/b"), method="POST", body='{"q":1}', run="r", seconds=10, output="", rate_per_s=100)


def test_a_fixed_schedule_is_evenly_spaced() -> None:
    plan = msgspec.structs.replace(PLAN, spacing="fixed", seconds=0.05)
    assert send_times(plan) == pytest.approx([0.0, 0.01, 0.02, 0.03, 0.04])


def test_a_poisson_schedule_ascends_keeps_its_rate_and_is_the_same_for_the_same_seed() -> None:
    times = send_times(PLAN)
    assert times == sorted(times)
    assert times[0] > 0
    assert times[-1] < 10
    assert 900 < len(times) < 1100
    assert times == send_times(PLAN)
    assert times != send_times(msgspec.structs.replace(PLAN, seed=2))


def test_a_post_carries_its_user_its_own_key_and_the_body() -> None:
    requests = Requests(PLAN, [("usr_0", "t0"), ("usr_1", "t1")])
    assert requests.bytes_of(1) == (
        b"POST /b HTTP/1.1\r\nHost: h:1\r\nContent-Type: application/json\r\nContent-Length: 7\r\n"
        b'Authorization: Bearer t1\r\nIdempotency-Key: r-00000001\r\n\r\n{"q":1}'
    )
    assert requests.user_of(3) == "usr_1"


def test_a_get_carries_no_key_and_no_body() -> None:
    requests = Requests(msgspec.structs.replace(PLAN, method="GET", body=""), [])
    assert requests.bytes_of(2) == b"GET /a HTTP/1.1\r\nHost: h:1\r\n\r\n"
    assert requests.user_of(2) == ""


def test_bodies_and_addresses_are_taken_in_turn_from_the_first_on() -> None:
    plan = msgspec.structs.replace(
        PLAN, paths=("/a",), bodies=('{"q":1}', '{"q":22}'), addresses=("10.0.0.1", "10.0.0.2", "10.0.0.3"), first=1
    )
    requests = Requests(plan, [])
    assert requests.bytes_of(0) == (
        b"POST /a HTTP/1.1\r\nHost: h:1\r\nContent-Type: application/json\r\nX-Forwarded-For: 10.0.0.2\r\nContent-Length: 8\r\n"
        b'Idempotency-Key: r-00000000\r\n\r\n{"q":22}'
    )
    assert [requests.bytes_of(number).split(b"X-Forwarded-For: ")[1][:8] for number in range(3)] == [b"10.0.0.2", b"10.0.0.3", b"10.0.0.1"]
    assert [requests.bytes_of(number)[-8:] for number in range(2)] == [b'{"q":22}', b'\n{"q":1}']


def test_slices_of_users_do_not_overlap() -> None:
    tokens = [(f"usr_{number}", "t") for number in range(6)]
    slices = [Requests(msgspec.structs.replace(PLAN, first=first, step=2), tokens) for first in (0, 1)]
    users = [{requests.user_of(number) for number in range(9)} for requests in slices]
    assert users == [{"usr_0", "usr_2", "usr_4"}, {"usr_1", "usr_3", "usr_5"}]


def test_a_broken_token_line_is_named(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("usr_1\tabc\nusr_2 def\n")
    with pytest.raises(ValueError, match=r"tokens:2: expected user_id<TAB>access_token"):
        read_tokens(str(file))


def test_an_answer_is_cut_at_its_content_length() -> None:
    data = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1"
    answer = next_answer(data)
    assert answer is not None
    assert (answer.status, answer.body, answer.size, answer.closes) == (201, b"{}", len(data) - 8, False)


@pytest.mark.parametrize(
    "whole", [b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\nConnection: close\r\n\r\nabc", b"HTTP/1.1 204 No Content\r\n\r\n"]
)
def test_no_part_of_an_answer_is_taken_for_the_whole(whole: bytes) -> None:
    assert [next_answer(whole[:size]) for size in range(len(whole))] == [None] * len(whole)
    answer = next_answer(whole)
    assert answer is not None
    assert answer.size == len(whole)
    assert answer.closes == (b"close" in whole)


def test_a_chunked_answer_is_put_together() -> None:
    whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
    assert [next_answer(whole[:size]) for size in range(len(whole))] == [None] * len(whole)
    answer = next_answer(whole)
    assert answer is not None
    assert (answer.body, answer.size) == (b"abcde", len(whole))


def test_what_is_not_http_is_an_error() -> None:
    with pytest.raises(ValueError, match="not an HTTP answer"):
        next_answer(b"SSH-2.0-x\r\n\r\n")


@pytest.mark.parametrize(
    ("body", "value"), [(b'{"order_id":"ord_1","x":2}', "ord_1"), (b'{"a":1, "order_id" : "ord_2"}', "ord_2"), (b'{"a":"b"}', "")]
)
def test_a_text_field_is_found_in_a_body(body: bytes, value: str) -> None:
    assert text_field(body, b"order_id") == value
