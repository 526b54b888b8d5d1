"""What is different between two documents, field by field."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from schemas.goods import Product

KEYS: Final = {"skus": "code", "options": "option_id", "values": "value_id", "images": "image_id"}
"""Lists whose members are known by a field; those of other lists by their place."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One field. path: ``skus[CUP-red].prices[0].amount``. old, new: its values; null where it was not there."""

    path: str
    old: Any
    new: Any


def difference(before: Product, after: Product) -> tuple[Change, ...]:
    """Every field in which two documents differ. A member of a list that came or went is one change; a new order is one."""
    return tuple(_walk("", "", msgspec.to_builtins(before), msgspec.to_builtins(after)))


def _walk(path: str, name: str, old: Any, new: Any) -> Iterator[Change]:
    if old == new:
        return
    match old, new:
        case (dict(), dict()):
            for key in dict.fromkeys((*old, *new)):
                yield from _walk(f"{path}.{key}" if path else key, key, old.get(key), new.get(key))
        case ((list() | tuple()), (list() | tuple())) if name in KEYS or not _plain((*old, *new)):
            yield from _members(path, KEYS.get(name), old, new)
        case _:
            yield Change(path=path, old=old, new=new)


def _members(path: str, key: str | None, old: Any, new: Any) -> Iterator[Change]:
    befores = {str(member[key]) if key else str(place): member for place, member in enumerate(old)}
    afters = {str(member[key]) if key else str(place): member for place, member in enumerate(new)}
    for one in dict.fromkeys((*befores, *afters)):
        yield from _walk(f"{path}[{one}]", "", befores.get(one), afters.get(one))
    order = [one for one in befores if one in afters]
    if order != [one for one in afters if one in befores]:
        yield Change(path=path, old=list(befores), new=list(afters))


def _plain(members: tuple[Any, ...]) -> bool:
    return not any(isinstance(member, dict) for member in members)
