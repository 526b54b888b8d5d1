"""Where addresses are: by district, city and region in China, by city elsewhere, and never nowhere in a known country."""

import pytest

from actors.domain.address import COUNTRIES
from actors.domain.allocation import distance_km
from actors.storage.places import city_point, country_point, point_of, point_of_region
from actors.storage.regions import regions_cn
from schemas.order import Address
from schemas.warehouse import Point


def address(country: str, region: str, city: str, district: str = "") -> Address:
    return Address(country=country, name="n", phone="p", line1="l", city=city, region=region, district=district)


@pytest.mark.parametrize(
    ("given", "lat", "lon"),
    [
        (address("CN", "上海市", "上海市", "浦东新区"), 31.22, 121.54),
        (address("CN", "上海", "上海"), 31.23, 121.47),
        (address("CN", "广东省", "深圳市", "南山区"), 22.53, 113.93),
        (address("CN", "广东", "深圳", "somewhere"), 22.54, 114.06),
        (address("CN", "新疆维吾尔自治区", "乌鲁木齐市", "天山区"), 43.79, 87.63),
        (address("CN", "海南省", "文昌市", "文昌市"), 19.54, 110.80),
        (address("CN", "浙江省", "nowhere"), 30.27, 120.15),
        (address("CN", "nowhere", "nowhere"), 31.22, 121.46),
        (address("US", "NY", "New York"), 40.71, -74.01),
        (address("US", "KS", "a hamlet"), 40.71, -74.01),
        (address("DE", "", "MÜNCHEN"), 52.52, 13.41),
        (address("DE", "", "munich"), 48.14, 11.58),
        (address("HK", "", "Hong Kong"), 22.28, 114.17),
    ],
)
def test_an_address_is_placed_as_nearly_as_it_says(given: Address, lat: float, lon: float) -> None:
    found = point_of(given)
    assert found is not None
    assert distance_km(found, Point(lat=lat, lon=lon)) < 30


def test_an_unknown_country_is_nowhere() -> None:
    assert point_of(address("XX", "", "Paris")) is None
    assert city_point("FR", "nowhere") is None
    assert {country for country in COUNTRIES if country_point(country) is None} == {"IO", "TK", "UM"}


def test_every_region_lies_in_china_and_a_town_where_its_city_is() -> None:
    for code in regions_cn().names:
        found = point_of_region(code)
        assert found is not None, code
        assert 3 < found.lat < 54
        assert 73 < found.lon < 136
    assert point_of_region("441900003") == point_of_region("4419")
    assert point_of_region("") is None
