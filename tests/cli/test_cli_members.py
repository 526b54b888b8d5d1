"""``stampede member``: rules and members, in words and as JSON."""

from typing import Any

import pytest

pytestmark = pytest.mark.slow


def test_the_rules_are_shown_as_the_owners_read_them(in_copy: Any, run: Any) -> None:
    found = run("member", "rules", "--json")
    assert [level["level_id"] for level in found.json["levels"]] == ["ordinary", "silver", "gold", "platinum"]
    assert found.json["terms"]["rates"]["CNY"] == {"growth_per_100": 1, "points_per_100": 1, "minor_per_100_points": 100}
    words = run("member", "rules")
    assert (words.code, words.out.splitlines()[1].split(":")[0]) == (0, "silver")


def test_a_member_is_shown_from_the_tables_and_a_stranger_is_not(in_copy: Any, run: Any) -> None:
    in_copy.sql("INSERT INTO member_standing (user_id, level_id, available, shard, updated_seq) VALUES ('usr_shown', 'gold', 7, 0, 1)")
    try:
        assert run("member", "show", "usr_shown", "--json").json["available"] == 7
        assert "gold" in run("member", "show", "usr_shown").out
    finally:
        in_copy.sql("DELETE FROM member_standing WHERE user_id = 'usr_shown'")
    refused = run("member", "show", "usr_shown")
    assert (refused.code, "usr_shown" in refused.err) == (1, True)
