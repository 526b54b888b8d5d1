"""Where places are: coordinates by the codes and names that an address has. Read once, from files in this folder.

``places_cn.json``: of the regions of ``regions_cn.json``, from the Python package ``cpca`` 0.5.5 (MIT). ``cities.json``: cities of over
100,000 people of every country, and of every country its largest, from GeoNames (CC BY 4.0). See ``deploy/NOTICE``.
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

import msgspec

from actors.domain.regions import DIRECT, parent_of
from actors.storage.regions import regions_cn
from schemas.order import Address
from schemas.warehouse import Point

ENDINGS: Final = ("特别行政区", "维吾尔自治区", "壮族自治区", "回族自治区", "自治区", "自治州", "地区", "省", "市", "盟", "区", "县")
"""Of names of places in China; people leave them out."""

NEAREST: Final = "CN"


class _China(msgspec.Struct, frozen=True, kw_only=True):
    points: Mapping[str, tuple[float, float]]
    codes: Mapping[tuple[str, str, str], str]


def point_of(address: Address) -> Point | None:
    """As near as the address says: its district, its city, its region, the largest city of its country; None for an unknown country."""
    if address.country == NEAREST:
        return point_of_names(address.region, address.city, address.district)
    return city_point(address.country, address.city) or country_point(address.country)


def point_of_region(code: str) -> Point | None:
    """By a code of GB/T 2260; of a place without coordinates those of what it lies in."""
    points = _china().points
    while code:
        found = points.get(code)
        if found is not None:
            return Point(lat=found[0], lon=found[1])
        code = parent_of(code)
    return None


def point_of_names(region: str, city: str, district: str) -> Point | None:
    """In China, by names, with or without their endings."""
    codes = _china().codes
    region, city, district = _short(region), _short(city), _short(district)
    for names in ((region, city, district), ("", city, district), (region, city, ""), ("", city, ""), (region, "", "")):
        code = codes.get(names)
        if code:
            return point_of_region(code)
    return country_point(NEAREST)


def city_point(country: str, city: str) -> Point | None:
    """A city by its name; None for one that is not listed."""
    names, name = _cities().get(country, {}), city.strip().casefold()
    found = names.get(name) or names.get(name + " city")
    return None if found is None else Point(lat=found[0], lon=found[1])


def country_point(country: str) -> Point | None:
    """A country's largest city."""
    found = next(iter(_cities().get(country, {}).values()), None)
    return None if found is None else Point(lat=found[0], lon=found[1])


def _short(name: str) -> str:
    name = name.strip()
    for ending in ENDINGS:
        if name.endswith(ending) and len(name) - len(ending) >= 2:
            return name.removesuffix(ending)
    return name


@cache
def _china() -> _China:
    data = files("actors.storage").joinpath("places_cn.json").read_bytes()
    points = msgspec.json.decode(data, type=dict[str, tuple[float, float]])
    names = regions_cn().names
    codes: dict[tuple[str, str, str], str] = {}
    for code, name in names.items():
        if len(code) > 6:
            continue
        region = _short(names[code[:2]])
        if len(code) == 2:
            # Cities that are provinces are named as both.
            codes.setdefault((region, "", ""), code)
            codes.setdefault((region, region, ""), code)
            codes.setdefault(("", region, ""), code)
            continue
        between = names[code[:4]]
        if len(code) == 4:
            city, district = ("", "") if between in DIRECT else (_short(name), "")
        else:
            city = _short(between) if between not in DIRECT else region if between in ("市辖区", "县") else _short(name)
            district = _short(name)
        if city:
            codes.setdefault((region, city, district), code)
            codes.setdefault(("", city, district), code)
            if district == city:
                codes.setdefault((region, city, ""), code)
    return _China(points=points, codes=codes)


@cache
def _cities() -> dict[str, dict[str, tuple[float, float]]]:
    """By country and name, the largest first; of two of one name the larger."""
    data = files("actors.storage").joinpath("cities.json").read_bytes()
    listed = msgspec.json.decode(data, type=dict[str, list[tuple[str, float, float]]])
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for country, cities in listed.items():
        by_name = found[country] = {}
        for name, lat, lon in cities:
            by_name.setdefault(name.casefold(), (lat, lon))
    return found
