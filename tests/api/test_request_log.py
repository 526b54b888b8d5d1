"""Lines in the log about answers: failed and slow ones, and never a line for each of a crowd."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from serve.answers import json_reply, problem_reply
from serve.request_log import RequestLog
from serve.requests import Request

SCOPE = {"type": "http", "method": "POST", "path": "/v1/sessions", "headers": [], "client": ("192.0.2.1", 1)}


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now_ms = 5000.0

    def __call__(self) -> float:
        return self.now_ms


def _note(kept: RequestLog, reply: Any, *, route: str = "log_in", seconds: float = 0.001, number: int = 0) -> None:
    request = Request(SCOPE, b"r%d" % number)
    request.route = route
    kept.note(request, reply, seconds)


def test_a_crowd_of_one_failure_is_one_line_a_second_and_the_next_line_counts_the_others() -> None:
    hands = Hands()
    kept = RequestLog(hands)
    with capture_logs() as lines:
        for number in range(3000):
            hands.now_ms += 1
            _note(kept, problem_reply("busy"), number=number)
    assert [(line["code"], line["unwritten"], line["request_id"]) for line in lines] == [
        ("busy", 0, "r0"),
        ("busy", 999, "r1000"),
        ("busy", 999, "r2000"),
    ]


def test_another_failure_or_another_route_has_its_own_line() -> None:
    kept = RequestLog(Hands())
    with capture_logs() as lines:
        for route in ("log_in", "product"):
            for code in ("busy", "storage_unavailable", "busy"):
                _note(kept, problem_reply(code), route=route)
    assert [(line["route"], line["code"]) for line in lines] == [
        ("log_in", "busy"),
        ("log_in", "storage_unavailable"),
        ("product", "busy"),
        ("product", "storage_unavailable"),
    ]


@pytest.mark.parametrize(
    ("reply", "seconds", "written"),
    [
        (json_reply(200, b"{}"), 0.2, 0),
        (json_reply(200, b"{}"), 1.2, 1),
        (problem_reply("not_found"), 0.1, 0),
        (problem_reply("not_found"), 1.1, 1),
        (problem_reply("busy"), 0.0, 1),
    ],
)
def test_what_is_fast_and_good_has_no_line(reply: Any, seconds: float, written: int) -> None:
    kept = RequestLog(Hands())
    with capture_logs() as lines:
        _note(kept, reply, seconds=seconds)
    assert len(lines) == written
    if lines:
        assert (lines[0]["ms"], lines[0]["status"]) == (seconds * 1000, reply.status)
