"""The forms that fields of requests take. A body that does not fit is refused before anything is asked of anybody."""

from typing import Annotated, Final

import msgspec

_ID: Final = "_[A-Za-z0-9_.-]{1,58}$"

SkuRef = Annotated[str, msgspec.Meta(pattern="^sku" + _ID, description="an article", examples=["sku_1"])]
CouponRef = Annotated[str, msgspec.Meta(pattern="^cpn" + _ID, description="a coupon", examples=["cpn_1"])]
AddressRef = Annotated[str, msgspec.Meta(pattern="^adr" + _ID, description="an address of one's book", examples=["adr_1"])]
GuestToken = Annotated[str, msgspec.Meta(pattern="^gst_[0-9a-hjkmnp-tv-z]{20}$", description="names a guest's cart; keep it secret")]

Quantity = Annotated[int, msgspec.Meta(ge=1, le=999, description="pieces")]
QuantityOrNone = Annotated[int, msgspec.Meta(ge=0, le=999, description="pieces; 0 removes the line")]
Version = Annotated[int, msgspec.Meta(ge=0, le=2**53, description="of the cart that was shown")]
SignedText = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
Timestamp = Annotated[str, msgspec.Meta(description="RFC 3339, UTC", examples=["2026-11-11T12:00:00.000Z"])]
Position = Annotated[str, msgspec.Meta(description="pass it as `position` to the list of orders, to find this there", examples=["17:4711"])]
