"""Tags over HTTP: their rules, what a rule would change, and what staff give and keep off."""

from typing import Annotated, Any, Literal

import msgspec

from schemas.goods import Words
from schemas.http.catalogue import Titles
from schemas.http.shapes import Timestamp
from schemas.http.staff import Reason

Expression = Annotated[
    str,
    msgspec.Meta(
        max_length=1000,
        description="CEL over the facts of a product; empty: by hand alone",
        examples=["on_shelf && (units_7 >= 20 || trend >= 2.0)"],
    ),
]


class PutTag(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tag. keep_rule: what keeps it for a product that has it by the rule, so that it does not flap; empty: the rule itself."""

    titles: Words
    rule: Expression = ""
    keep_rule: Expression = ""
    position: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    shown: bool = True
    reason: Reason


class TryTag(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rules to be tried; nothing is saved."""

    rule: Expression = ""
    keep_rule: Expression = ""


class TagSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A tag, and how many products have it."""

    tag_id: str
    titles: Titles
    rule: str
    keep_rule: str
    position: int
    shown: bool
    products: int


class TagList(msgspec.Struct, frozen=True, kw_only=True):
    """All tags in their order. ``fields``: the facts that rules may name."""

    tags: tuple[TagSeen, ...]
    fields: tuple[str, ...]


class JudgedProduct(msgspec.Struct, frozen=True, kw_only=True):
    """A product that the rules would change, and the facts that they look at: why."""

    product_id: str
    titles: Titles
    facts: dict[str, Any]


class TagTried(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules would do. ``whole``: false when not all products were looked at. ``without_answer``: on so many the rule fails,
    and they would not have the tag. ``by_hand``: left to staff. ``gained`` and ``lost`` name the first fifty."""

    looked_at: int
    whole: bool
    with_tag: int
    gains: int
    losses: int
    without_answer: int
    by_hand: int
    gained: tuple[JudgedProduct, ...]
    lost: tuple[JudgedProduct, ...]


class ChooseTag(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``give`` or ``keep_off``: whatever the rule says. ``undo``: the rule decides again."""

    choice: Literal["give", "keep_off", "undo"]
    reason: Reason


class ProductTag(msgspec.Struct, frozen=True, kw_only=True):
    """A tag of a product, or one that is kept off it."""

    tag_id: str
    titles: Titles
    given_by: str
    since: Timestamp


class ProductTags(msgspec.Struct, frozen=True, kw_only=True):
    """The tags of a product."""

    product_id: str
    tags: tuple[ProductTag, ...]
