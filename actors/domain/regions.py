"""Places by their codes (GB/T 2260): a district's code says its city and its province. Pure rules over a table of names."""

from collections.abc import Mapping
from typing import Final

import msgspec

from schemas.order import Address

DIRECT: Final = frozenset({"市辖区", "县", "省直辖县级行政区划", "自治区直辖县级行政区划"})
"""Names of rows that stand between a province and its districts and are no city: an address names the district's own unit."""


def parent_of(code: str) -> str:
    """The code that a place lies in; empty of a province."""
    return {2: "", 4: code[:2], 6: code[:4], 9: code[:4]}.get(len(code), "")


def located(address: Address, code: str, names: Mapping[str, str]) -> Address | str:
    """The address with province, city and district by their names. A reason when the code is none, or the address says otherwise."""
    if address.country != "CN" or len(code) not in (6, 9) or code not in names:
        return "region_code"
    region, between, district = names[code[:2]], names[code[:4]], names[code]
    city = between if between not in DIRECT else region if between in ("市辖区", "县") else district
    found = {"region": region, "city": city, "district": district}
    if any(getattr(address, name) not in ("", said) for name, said in found.items()):
        return "region_code"
    return msgspec.structs.replace(address, **found)
