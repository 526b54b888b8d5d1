"""A start that fails says why and the way out, and leaves nothing running; with the obstacle gone, the next one is whole."""

from typing import Any

import pytest

from actors.runtime.config import short_directory

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def test_a_ray_that_does_not_start_is_tried_three_times_and_then_told_with_its_logs(new_copy: Any, plain: Any) -> None:
    copy = new_copy()
    directory = short_directory(copy.settings) / "r"
    directory.write_text("in the way of Ray's directory")
    told = copy.run("up")
    assert told.returncode == 1
    words = plain(told.stderr)
    assert [f"that was try {number} of 3" in words for number in (1, 2, 3)] == [True] * 3
    assert f"Ray did not start in 3 tries. Its logs are in {directory}." in words
    assert copy.family() == []
