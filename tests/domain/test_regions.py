"""A district's code says where an address lies."""

import pytest

from actors.domain.address import flaw
from actors.domain.regions import located, parent_of
from actors.storage.regions import regions_cn
from schemas.order import Address

BARE = Address(country="CN", name="李雷", phone="+86 13800138000", line1="中关村大街1号", city="")


@pytest.mark.parametrize(
    ("code", "region", "city", "district"),
    [
        ("110108", "北京市", "北京市", "海淀区"),
        ("500229", "重庆市", "重庆市", "城口县"),
        ("330106", "浙江省", "杭州市", "西湖区"),
        ("429004", "湖北省", "仙桃市", "仙桃市"),
        ("441900003", "广东省", "东莞市", "东城街道"),
        ("659001", "新疆维吾尔自治区", "石河子市", "石河子市"),
    ],
)
def test_a_code_fills_in_province_city_and_district(code: str, region: str, city: str, district: str) -> None:
    found = located(BARE, code, regions_cn().names)
    assert isinstance(found, Address)
    assert (found.region, found.city, found.district) == (region, city, district)
    assert flaw(found) == ""


@pytest.mark.parametrize("code", ["", "11", "1101", "110199", "999999", "11010800", "abc108"])
def test_what_is_no_district_is_refused(code: str) -> None:
    assert located(BARE, code, regions_cn().names) == "region_code"


def test_an_address_that_says_otherwise_is_refused() -> None:
    other = Address(country="CN", name="李雷", phone="+86 13800138000", line1="1号", city="上海市")
    assert located(other, "110108", regions_cn().names) == "region_code"
    abroad = Address(country="US", name="Kim", phone="+1 2025550143", line1="1 Main St", city="")
    assert located(abroad, "110108", regions_cn().names) == "region_code"


def test_every_place_lies_in_one_that_is_in_the_table_and_every_district_makes_an_address() -> None:
    table = regions_cn()
    assert len(table.children[""]) == 31
    assert [code for code in table.names if parent_of(code) not in ("", *table.names)] == []
    leaves = [code for code in table.names if code not in table.children]
    assert [code for code in leaves if not isinstance(located(BARE, code, table.names), Address)] == []
    assert len(leaves) == 3056
