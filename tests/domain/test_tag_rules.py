"""Rules of tags: what they may say, what is refused and why, and that no expression costs more than it is long."""

import random
import time

import pytest

from actors.domain.tag_rules import DEPTH_MAX, FIELDS, LENGTH_MAX, RuleFlaw, TagJudge, TagRule, TagTerms, context_of, values_of
from schemas.watch import ProductFacts

FACTS = ProductFacts(
    product_id="prd_1", age_days=10, units_7=30, trend=2.5, available=9, discount_percent=35, days_of_cover=70.0, category_ids=("cat_1",),
    attributes={"eco": True, "watts": 40, "material": ("wood", "steel"), "colour": "red"},
)  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ("on_shelf && age_days < 30", True),
        ("units_7 >= 20 || trend >= 3.0", True),
        ('"eco" in attributes && attributes.eco == true', True),
        ("has(attributes.organic) && attributes.organic == true", False),
        ("attributes.watts > 30.0", True),
        ('"wood" in attributes.material', True),
        ('attributes.colour.startsWith("r")', True),
        ('"cat_1" in category_ids && size(category_ids) == 1', True),
        ("double(available) / days_of_cover < 1.0", True),
        ("state in ['draft', 'off_shelf']", False),
        ("!(available > 0) ? true : discount_percent >= 35", True),
        ("brand_id == 'map(x)'", False),
        # no answer: what the product lacks, a text where a number is, a division by nothing
        ("attributes.nothing == 1", None),
        ("attributes.colour > 3", None),
        ("available / units_1 > 1", None),
    ],
)
def test_what_a_rule_says_of_a_product(rule: str, wanted: bool | None) -> None:
    assert TagRule(rule).judge(context_of(FACTS)) is wanted
    assert TagRule(rule).judge(values_of(FACTS)) is wanted


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("true || " * 200 + "true", "too_long"),
        ("(" * (DEPTH_MAX + 1) + "true" + ")" * (DEPTH_MAX + 1), "too_deep"),
        ("[" * 400 + "]" * 400 + " == []", "too_deep"),
        ("age_days <", "syntax"),
        ("true true", "syntax"),
        ("title == 'x'", "field"),
        ("product_id == 'x'", "field"),
        ("__import__ == 1", "field"),
        ("skus == []", "field"),
        ("eval('1') == 1", "function"),
        ("state.matches('a')", "function"),
        ("state . matches ('a')", "function"),
        ("category_ids.all(age_days, true)", "function"),
        ("category_ids.filter(state, true) == []", "function"),
        ("category_ids.exists_one (state, true)", "function"),
        ("cel.bind(state, 1, true)", "function"),
        ("timestamp('2020-01-01T00:00:00Z') > timestamp('2019-01-01T00:00:00Z')", "function"),
        ("age_days", "no_answer"),
        ("'x'", "no_answer"),
        ("null", "no_answer"),
        ("1 / 0 == 1", "no_answer"),
        ("units_7 % 0 == 1", "no_answer"),
        ("9223372036854775807 + 1 > 0", "no_answer"),
        ("age_days + 'x' == 'y'", "kind"),
        ("units_7 * 1.5 > 3.0", "kind"),
        ("-state == 'x'", "kind"),
        ("state == 'a\\'b'", "character"),
        ("true // || ) (", "character"),
        ('state == """x"""', "character"),
        ("state == `x`", "character"),
        ("state == '\x00'", "character"),
    ],
)
def test_what_is_no_rule_says_why(rule: str, reason: str) -> None:
    with pytest.raises(RuleFlaw) as refused:
        TagRule(rule)
    assert refused.value.reason == reason


def test_expressions_out_of_chance_are_refused_or_judged_and_never_take_long() -> None:
    chance = random.Random(7)
    parts = [
        *FIELDS, "(", ")", "[", "]", "{", "}", "&&", "||", "!", "==", "<", "+", "*", "/", "?", ":", ".", ",", "1", "2.5", "'a'", "true",
        "size(", "has(", "in", "map(", "-", "null", "\n", "b'x'", "1u", "0x7fffffffffffffff",
    ]  # fmt: skip
    contexts, judged = [context_of(FACTS), context_of(ProductFacts(product_id=""))], 0
    for _ in range(3000):
        text = " ".join(chance.choice(parts) for _ in range(chance.randint(1, 30)))
        begun = time.perf_counter()
        try:
            rule = TagRule(text)
        except RuleFlaw:
            continue
        finally:
            assert time.perf_counter() - begun < 1.0, text
        judged += 1
        assert {rule.judge(context) for context in contexts} <= {True, False, None}
    assert judged > 5


@pytest.mark.parametrize(
    "rule",
    [
        " + ".join(["state"] * 120) + " == ''",
        "true" + " && true" * 120,
        "!" * 900 + "true",
        "true" + " ? true : false" * 60,
        "state in [" + ",".join(["'x'"] * 200) + "]",
        "size('" + "x" * 900 + "') > 3",
    ],
)
def test_the_longest_rules_cost_little(rule: str) -> None:
    assert len(rule) <= LENGTH_MAX
    try:
        found = TagRule(rule)
    except RuleFlaw as flaw:
        assert flaw.reason == "syntax"  # noqa: PT017 (the engine's own limit on nesting)
        return
    context = context_of(FACTS)
    begun = time.perf_counter()
    for _ in range(10):
        found.judge(context)
    assert (time.perf_counter() - begun) / 10 < 0.05


def test_a_tag_is_kept_by_another_rule_than_it_is_given_by() -> None:
    judge = TagJudge(TagTerms(tag_id="tag_1", rule="available >= 10", keep_rule="available >= 5"))
    assert [judge.judge({**values_of(FACTS), "available": n}, has) for n, has in ((9, False), (9, True), (4, True), (10, False))] == [
        False, True, False, True,
    ]  # fmt: skip
    assert judge.used(FACTS) == {"available": 9}
    plain = TagJudge(TagTerms(tag_id="tag_1", rule="available >= 10"))
    assert not plain.judge(values_of(FACTS), True)
