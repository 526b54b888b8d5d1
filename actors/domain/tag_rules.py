"""The rules of tags: expressions of CEL over the facts of a product, compiled once.

What an expression may say is less than CEL: names of facts, comparisons, logic, arithmetic, ``in``, ``has`` and a few functions.
No macro that goes through a list, no regular expression and no name of somebody's own, so that judging a product costs no more
than the expression is long. Whoever saves a rule hears at once what is wrong with it: it is compiled, its names are looked up, and it
is tried on made-up products.

The engine brings a command line of its own along, 27 MB of it: whoever only offers to save a rule loads it when one is saved.
"""

import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from schemas.watch import NEVER_DAYS, ProductFacts

LENGTH_MAX: Final = 1000
DEPTH_MAX: Final = 20
"""Brackets within brackets."""

FUNCTIONS: Final = frozenset({"size", "contains", "startsWith", "endsWith", "has", "double", "int", "string"})
"""What may be called. ``matches`` may not: its pattern would be the author's."""

HIDDEN: Final = frozenset({"product_id", "day", "title", "title_zh", "missing", "skus", "bundle_with"})
"""Facts that are for people and for the life cycle."""
FIELDS: Final = tuple(name for name in ProductFacts.__struct_fields__ if name not in HIDDEN)

_STRING: Final = re.compile(r""""[^"\n]*"|'[^'\n]*'""")
_FORBIDDEN: Final = re.compile(r"\\|//|`|\"\"\"|'''|[\x00-\x08\x0b-\x1f]")
_CALL: Final = re.compile(r"([A-Za-z_]\w*)\s*\(")
_OPERATORS: Final = frozenset({"in"})


class RuleFlaw(Exception):
    """The expression is no rule. ``reason``: a word for machines; ``detail``: what of the expression it is about."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


class TagRule:
    """One compiled rule. RuleFlaw for an expression that is none."""

    def __init__(self, expression: str) -> None:
        self.expression = expression
        self._program = _compiled(expression)
        self.fields: tuple[str, ...] = tuple(sorted(set(self._program.variables())))

    def judge(self, values: Any) -> bool | None:
        """Whether a product with these values (:func:`values_of`, or a context of them) fulfils it.

        None where the expression has no answer: an attribute that the product lacks, a division by zero, a text where a number is.
        """
        try:
            found = self._program.execute(values)
        except Exception:
            # The engine names its errors by many types, and which products an expression fails on is not its author's fault alone.
            return None
        return found if isinstance(found, bool) else None

    def used(self, facts: ProductFacts) -> dict[str, Any]:
        """The facts that the rule looks at, of one product: why it has the tag, or has not."""
        values = values_of(facts)
        return {name: values[name] for name in self.fields}


def values_of(facts: ProductFacts) -> dict[str, Any]:
    """A product as a rule sees it. Numbers of attributes are doubles."""
    values = {name: getattr(facts, name) for name in FIELDS}
    values["category_ids"] = list(facts.category_ids)
    values["attributes"] = {name: _plain(value) for name, value in facts.attributes.items()}
    return values


def context_of(facts: ProductFacts) -> Any:
    """The same, made ready once for several rules."""
    import cel

    return cel.Context(variables=values_of(facts))


def _plain(value: Any) -> Any:
    if isinstance(value, bool | str):
        return value
    return float(value) if isinstance(value, int | float) else list(value)


def _compiled(expression: str) -> Any:
    if not expression.strip():
        raise RuleFlaw("empty")
    if len(expression) > LENGTH_MAX:
        raise RuleFlaw("too_long", str(LENGTH_MAX))
    if found := _FORBIDDEN.search(expression):
        raise RuleFlaw("character", repr(found[0]))
    bare = _STRING.sub('""', expression)
    if _depth(bare) > DEPTH_MAX:
        raise RuleFlaw("too_deep", str(DEPTH_MAX))
    for name in _CALL.findall(bare):
        if name not in FUNCTIONS and name not in _OPERATORS:
            raise RuleFlaw("function", name)
    import cel

    try:
        program = cel.compile(expression)
        names = program.variables()
    except Exception as error:
        raise RuleFlaw("syntax", str(error).replace("\n", " ")[:200]) from None
    for name in names:
        if name not in FIELDS:
            raise RuleFlaw("field", name)
    _check_kinds(program)
    return program


def _depth(text: str) -> int:
    depth = deepest = 0
    for character in text:
        if character in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in ")]}":
            depth -= 1
    return deepest


def _check_kinds(program: Any) -> None:
    """RuleFlaw unless it answers yes or no on made-up products. What they lack, or divide by zero, is forgiven."""
    answered = False
    for values in _SAMPLES:
        try:
            found = program.execute(values)
        except (KeyError, ZeroDivisionError, OverflowError, IndexError):
            continue
        except Exception as error:
            if _is_of_attributes(program):
                continue  # of which kind an attribute is, categories say, and products differ
            raise RuleFlaw("kind", str(error).replace("\n", " ")[:200]) from None
        if not isinstance(found, bool):
            if _is_of_attributes(program):
                continue
            raise RuleFlaw("no_answer", type(found).__name__)
        answered = True
    if not answered and not _is_of_attributes(program):
        raise RuleFlaw("no_answer", "always fails")


def _is_of_attributes(program: Any) -> bool:
    return "attributes" in program.variables()


def _samples() -> Iterable[dict[str, Any]]:
    yield values_of(ProductFacts(product_id=""))
    yield values_of(
        ProductFacts(
            product_id="", age_days=400, units_1=5, units_7=70, units_28=200, units_35=270, units_90=500, velocity_7=10.0,
            velocity_28=7.1, trend=1.4, on_hand=300, available=290, incoming=10, days_of_cover=29.0, safety_stock=20, days_since_sold=0,
            price=1999, revenue_28=400_000, has_promotion=True, discount_percent=20, category_ids=("cat_1",), brand_id="brd_1",
            merchant_id="mer_1", attributes={"eco": True}, in_flash_sale=True, in_bundle=True,
        )
    )  # fmt: skip
    yield values_of(
        ProductFacts(
            product_id="", state="off_shelf", on_shelf=False, age_days=NEVER_DAYS, off_days=90, units_28=1, units_35=1, units_90=9,
            velocity_28=0.04, available=1, on_hand=1, days_since_sold=20, price=1, currency="USD",
        )
    )  # fmt: skip


_SAMPLES: Final = tuple(_samples())


class TagTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What a tag is given by. rule: '' for a tag that is given by hand alone. keep_rule: what keeps it; '' for the rule itself."""

    tag_id: str
    rule: str = ""
    keep_rule: str = ""
    position: int = 0


class TagJudge:
    """Both rules of a tag. RuleFlaw for an expression that is none."""

    def __init__(self, terms: TagTerms) -> None:
        self.terms = terms
        self._gain = TagRule(terms.rule)
        self._keep = TagRule(terms.keep_rule) if terms.keep_rule else self._gain

    def judge(self, values: Any, has: bool) -> bool:
        """Whether a product is to have the tag, given whether it has it by the rule. No answer is no."""
        return (has and self._keep.judge(values) is True) or self._gain.judge(values) is True

    def fails(self, values: Any) -> bool:
        """Whether the rule has no answer for a product."""
        return self._gain.judge(values) is None

    def used(self, facts: ProductFacts) -> dict[str, Any]:
        """The facts that either rule looks at."""
        return self._gain.used(facts) | self._keep.used(facts)
