"""Scenarios are data, and each says whether it is open or closed."""

import collections
import random
from pathlib import Path

import msgspec
import pytest

from actors.domain.address import flaw
from loadtests.scenario import ADDRESS, Expect, SaleTerms, Scenario, Stage, Title, choose, load, names
from schemas.order import Address

TITLE = Title(en="a", zh="b")


def test_all_scenarios_of_the_folder_are_readable() -> None:
    assert names() == ["abandon_and_expire", "mixed_carts", "ramp", "sold_out_storm", "spike", "warm_browse"]
    loops = {name: load(name).loop for name in names()}
    assert loops == {
        "abandon_and_expire": "open",
        "mixed_carts": "closed",
        "ramp": "open",
        "sold_out_storm": "open",
        "spike": "open",
        "warm_browse": "closed",
    }


def test_a_parcel_finds_the_customers() -> None:
    assert flaw(msgspec.convert(ADDRESS, Address)) == ""


def test_every_scenario_of_scarce_stock_says_how_many_it_sells() -> None:
    assert {name: load(name).expect.sold for name in ("spike", "sold_out_storm")} == {"spike": 1000, "sold_out_storm": 10}
    assert load("abandon_and_expire").expect == Expect(unpaid_end_s=60)


def test_the_stage_follows_the_time() -> None:
    stages = (Stage(seconds=2, users=1, acts={"browse": 1}), Stage(seconds=3, users=5, acts={"product": 1}))
    scenario = Scenario(title=TITLE, loop="closed", stages=stages)
    assert [scenario.stage_at(at) for at in (0, 1.9, 2, 4.9, 5)] == [stages[0], stages[0], stages[1], stages[1], None]
    assert scenario.seconds == 5


@pytest.mark.parametrize(
    ("loop", "stage", "words"),
    [
        ("open", {"users": 3}, "an open load has rate_per_s"),
        ("closed", {"rate_per_s": 3.0}, "a closed one users"),
        ("closed", {"users": 1, "rate_per_s": 3.0}, "a closed one users"),
        ("open", {"rate_per_s": 3.0, "acts": {"buy": 1}}, "buying needs a sale"),
    ],
)
def test_a_scenario_that_contradicts_itself_is_refused(loop: str, stage: dict[str, object], words: str) -> None:
    raw = {"title": {"en": "a", "zh": "b"}, "loop": loop, "stages": [{"seconds": 1, "acts": {"browse": 1}} | stage]}
    with pytest.raises(msgspec.ValidationError, match=words):
        msgspec.convert(raw, Scenario)


def test_a_scenario_without_stages_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a stage"):
        Scenario(title=TITLE, loop="open", stages=())


def test_an_unknown_action_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="steal"):
        msgspec.convert({"seconds": 1, "users": 1, "acts": {"steal": 1}}, Stage)


def test_an_unknown_name_lists_those_that_exist(tmp_path: Path) -> None:
    (tmp_path / "calm.toml").write_text("")
    with pytest.raises(FileNotFoundError, match=r"no scenario 'storm'; there are: calm"):
        load("storm", tmp_path)


def test_actions_come_by_their_weights() -> None:
    stage = Stage(seconds=1, rate_per_s=1, acts={"buy": 9, "sale_page": 1})
    chance = random.Random(1)
    counts = collections.Counter(choose(stage, chance) for _ in range(2000))
    assert counts.keys() == {"buy", "sale_page"}
    assert 150 < counts["sale_page"] < 250


def test_a_sale_has_at_least_one_piece() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"stock": 0}, SaleTerms)
