"""The address book and the table of places over HTTP."""

from typing import Annotated

import msgspec

from schemas.http.orders import Text

RegionCode = Annotated[str, msgspec.Meta(pattern="^([0-9]{6}|[0-9]{9})?$", description="GB/T 2260, of a district", examples=["110101"])]


class PutAddress(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An address for the book. Of a Chinese one ``region_code`` alone says province, city and district."""

    country: Annotated[str, msgspec.Meta(pattern="^[A-Z]{2}$", examples=["CN"])]
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    phone: Annotated[str, msgspec.Meta(pattern="^\\+?[0-9][0-9 ()-]{3,23}$", examples=["+86 13800138000"])]
    line1: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    city: Annotated[str, msgspec.Meta(max_length=100)] = ""
    line2: Text = ""
    region: Text = ""
    district: Text = ""
    postal_code: Annotated[str, msgspec.Meta(max_length=12)] = ""
    region_code: RegionCode = ""
    is_default: bool = False


class AddressInBook(msgspec.Struct, frozen=True, kw_only=True):
    """One address of one's book."""

    address_id: str
    country: str
    name: str
    phone: str
    line1: str
    line2: str
    city: str
    region: str
    district: str
    postal_code: str
    region_code: str
    is_default: bool


class AddressBook(msgspec.Struct, frozen=True, kw_only=True):
    """All of one's addresses, the default first."""

    addresses: tuple[AddressInBook, ...]


class Region(msgspec.Struct, frozen=True, kw_only=True):
    """One place. ``leaf``: it is what an address names; else others lie in it."""

    code: str
    name: str
    leaf: bool


class Regions(msgspec.Struct, frozen=True, kw_only=True):
    """The places that lie in ``parent``; of "" the provinces."""

    parent: str
    regions: tuple[Region, ...]
