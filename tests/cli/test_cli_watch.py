"""``stampede watch``: a round at once, of a copy that runs."""

from collections.abc import Callable
from typing import Any

import pytest

Run = Callable[..., Any]

pytestmark = pytest.mark.slow


def test_a_round_is_made_at_once_and_all_sales_counted_anew_when_asked(in_copy: Any, run: Run) -> None:
    first = run("watch")
    assert (first.code, "products looked at" in first.out) == (0, True)
    # The tags that the first round gave are changes of products too.
    assert run("watch", "--json").json["whole"]
    again = run("watch", "--json").json
    assert (again["alone"], again["whole"], again["products"]) == (True, True, 0)
    everything = run("watch", "--recount", "--json").json
    assert (everything["whole"], everything["products"] > 0) == (True, True)
