"""Addresses: what the post of each country needs, and which postal codes it knows."""

from typing import Any

import msgspec
import pytest

from actors.domain.address import FIELD_MAX, flaw
from actors.testing.market import HOME

US = {"country": "US", "region": "CA", "postal_code": "94105"}

TABLE: list[tuple[dict[str, Any], str]] = [
    ({}, ""),
    ({"country": ""}, "country "),
    ({"country": "cn"}, "country cn"),
    ({"country": "XX", "name": ""}, "country XX"),
    ({"name": ""}, "name"),
    ({"name": " \t"}, "name"),
    ({"phone": "", "line1": "", "city": ""}, "phone, line1, city"),
    ({"region": "", "district": ""}, "region, district"),
    ({"line2": ""}, ""),
    ({"line1": "x" * FIELD_MAX}, ""),
    ({"line1": "x" * (FIELD_MAX + 1), "line2": "x" * (FIELD_MAX + 1)}, "line1, line2"),
    ({"postal_code": "210018"}, ""),
    ({"postal_code": "21001"}, "postal_code"),
    ({"postal_code": "210018\n"}, "postal_code"),
    (US, ""),
    (US | {"district": ""}, ""),
    (US | {"region": ""}, "region"),
    (US | {"postal_code": ""}, "postal_code"),
    (US | {"postal_code": "94105-1234"}, ""),
    (US | {"postal_code": "9410"}, "postal_code"),
    ({"country": "GB", "region": "", "district": "", "postal_code": "sw1a 1aa"}, ""),
    ({"country": "GB", "postal_code": "12345"}, "postal_code"),
    ({"country": "AQ", "region": "", "district": ""}, "country AQ"),
    ({"country": "FJ", "region": "", "district": "", "postal_code": "anything"}, ""),
]


@pytest.mark.parametrize(("change", "reason"), TABLE)
def test_an_address_has_what_its_country_needs(change: dict[str, Any], reason: str) -> None:
    assert flaw(msgspec.structs.replace(HOME, **change)) == reason
