"""``stampede events``: where the behaviour events are, and landing those that wait, of a copy that runs."""

import os
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from actors.storage.events.frames import SpooledBatch, encode_batch, frame_of, head_of

Run = Callable[..., Any]

pytestmark = pytest.mark.slow


def test_events_are_shown_while_they_wait_and_when_they_are_in_the_lake(in_copy: Any, run: Run) -> None:
    settings = msgspec.structs.replace(in_copy.settings)
    assert "Nothing has been landed yet." in run("events", "status").out
    now_ms = int(time.time() * 1000)
    events = [{"type": "view", "id": f"event-{number:02}", "at_ms": now_ms} for number in (1, 1, 2)]
    batch = SpooledBatch(received_ms=now_ms, skew_ms=0, actor="", visitor="v", session="", terminal="web", campaign=None, events=events)
    mark = os.urandom(8)
    settings.events_spool_path.mkdir(parents=True)
    path = settings.events_spool_path / f"{now_ms:015d}-{os.urandom(4).hex()}.spool"
    path.write_bytes(head_of(mark) + frame_of(mark, encode_batch(batch)) + b"torn")
    view = run("events", "status", "--json").json
    assert (view["spool"]["files"], view["lake"]["rows"], view["path"]) == (1, 0, str(settings.lake_path / "events"))
    assert "Waiting here: 1 files" in run("events", "status").out
    landed = run("events", "land")
    assert landed.code == 0
    assert "2 events landed in 1 files; 1 were there already; 0 old files deleted." in landed.out
    assert "1 stretches of the spool could not be read" in landed.out
    assert "0 events landed in 0 files" in run("events", "land").out
    assert run("events", "land", "--json").json["rows"] == 0
    shown = run("events", "status").out
    assert "2 events in 1 files" in shown
    assert "Last landing: " in shown
    assert "Waiting here: 0 files" in shown


def test_a_landing_with_a_problem_exits_with_one_and_says_which(in_copy: Any, run: Run) -> None:
    mark = in_copy.settings.lake_path / "_cluster"
    before = mark.read_text()
    mark.write_text("another")
    try:
        said = run("events", "land")
        assert (said.code, "Look at this: lake_foreign" in said.out) == (1, True)
        assert "Look at this: lake_foreign" in run("events", "status").out
    finally:
        mark.write_text(before)
