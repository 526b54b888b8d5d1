"""What a category and a brand must be. Pure: the tree is a mapping of each category's id to what it is."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Final

from schemas.flaws import Flaw
from schemas.goods import Attribute, Brand, Category, Words

DEPTH_MAX: Final = 6
"""Levels of the tree: nobody finds anything in a deeper one."""

CHOOSING: Final = frozenset({"choice", "choices"})


def slug_of(words: Words, name: str) -> str:
    """A slug of the English title; of the id where that has no letters of ASCII."""
    plain = unicodedata.normalize("NFKD", words.en).encode("ascii", "ignore").decode().lower()
    return "-".join(re.findall(r"[a-z0-9]+", plain))[:80].strip("-") or "-".join(re.findall(r"[a-z0-9]+", name.lower()))


def path_of(category_id: str, tree: Mapping[str, Category]) -> list[str]:
    """The ids from a category up to its root, itself first. It ends where a circle would begin."""
    path: list[str] = []
    while category_id and category_id in tree and category_id not in path:
        path.append(category_id)
        category_id = tree[category_id].parent_id
    return path


def below(category_id: str, tree: Mapping[str, Category]) -> list[str]:
    """The ids of everything below a category."""
    return [other for other in tree if other != category_id and category_id in path_of(other, tree)]


def category_flaws(category: Category, tree: Mapping[str, Category]) -> tuple[Flaw, ...]:
    """Everything that is wrong with a category in this tree, which may hold it as it was before."""
    return (*_name_flaws(category.titles), *_parent_flaws(category, tree), *_attribute_flaws(category, tree))


def brand_flaws(brand: Brand) -> tuple[Flaw, ...]:
    """Everything that is wrong with a brand by itself."""
    return tuple(_name_flaws(brand.titles))


def _name_flaws(titles: Words) -> Iterator[Flaw]:
    if not (titles.en.strip() or titles.zh.strip()):
        yield Flaw(path="titles", code="name_missing")


def _parent_flaws(category: Category, tree: Mapping[str, Category]) -> Iterator[Flaw]:
    if not category.parent_id:
        return
    above = path_of(category.parent_id, tree)
    if not above:
        yield Flaw(path="parent_id", code="category_unknown", params={"category_id": category.parent_id})
    elif category.category_id and category.category_id in above:
        yield Flaw(path="parent_id", code="category_circle")
    else:
        own = len(above) + 1
        deepest = max(
            (len(path_of(one, tree)) - len(path_of(category.category_id, tree)) for one in below(category.category_id, tree)), default=0
        )
        if own + deepest > DEPTH_MAX:
            yield Flaw(path="parent_id", code="category_too_deep", params={"limit": DEPTH_MAX})


def _attribute_flaws(category: Category, tree: Mapping[str, Category]) -> Iterator[Flaw]:
    related = [*path_of(category.parent_id, tree), *(below(category.category_id, tree) if category.category_id else ())]
    taken = {attribute.attribute_id for one in related if one != category.category_id for attribute in tree[one].attributes}
    for number, attribute in enumerate(category.attributes):
        path = f"attributes[{number}]"
        if attribute.attribute_id in taken:
            params = {"attribute_id": attribute.attribute_id}
            yield Flaw(path=f"{path}.attribute_id", code="attribute_repeated", params=params)
        taken.add(attribute.attribute_id)
        if not (attribute.titles.en.strip() or attribute.titles.zh.strip()):
            yield Flaw(path=f"{path}.titles", code="name_missing")
        yield from _choice_flaws(path, attribute)


def _choice_flaws(path: str, attribute: Attribute) -> Iterator[Flaw]:
    if (attribute.kind in CHOOSING) != bool(attribute.choices):
        yield Flaw(path=f"{path}.choices", code="choices_missing" if attribute.kind in CHOOSING else "choices_unused")
    seen: set[str] = set()
    for number, choice in enumerate(attribute.choices):
        if choice.value_id in seen:
            yield Flaw(path=f"{path}.choices[{number}].value_id", code="value_repeated", params={"value_id": choice.value_id})
        seen.add(choice.value_id)
