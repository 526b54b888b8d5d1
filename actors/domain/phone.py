"""One canonical form of a phone number (E.164), for numbers that a text message reaches at a price that is known."""

import re
import unicodedata
from typing import Final

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat, PhoneNumberType

TEXT_MAX: Final = 32
"""Characters; the longest number has 15 digits."""

_TYPED: Final = re.compile(r"\+?[0-9 ().\-]{4,}\Z")
"""What people type. Letters, extensions and URIs are for voice."""

_MOBILE: Final = (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE)
"""Nothing else gets messages: premium, shared-cost, personal and unknown numbers are what pumping is done with."""

_NO_COUNTRY: Final = "001"
"""Satellites and global networks: a message costs a multiple."""

_HOME_OF_ONE: Final = ("US", "CA")
_NORTH_AMERICA: Final = 1
_AREA_DIGITS: Final = 3


def canonical_phone(text: str, region: str = "CN") -> str | None:
    """``+8613800138000``; None when it is no valid number of a mobile phone. ``region``: of a number without its country."""
    typed = unicodedata.normalize("NFKC", text).strip()
    if len(typed) > TEXT_MAX or not _TYPED.match(typed):
        return None
    try:
        number = phonenumbers.parse(typed, region)
    except NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number) or phonenumbers.number_type(number) not in _MOBILE:
        return None
    if phonenumbers.region_code_for_number(number) == _NO_COUNTRY:
        return None
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def dialling_prefix(phone: str) -> str:
    """What a budget is kept for: ``+86`` of a canonical number. Islands that share +1 have their area as well: their prices differ."""
    number = phonenumbers.parse(phone, None)
    code = number.country_code
    assert code is not None, "a canonical number names its country"
    if code == _NORTH_AMERICA and phonenumbers.region_code_for_number(number) not in _HOME_OF_ONE:
        return phone[: 2 + _AREA_DIGITS]
    return f"+{code}"


def masked_phone(phone: str) -> str:
    """What may stand in a log: the prefix and the last two digits."""
    return f"{dialling_prefix(phone)}…{phone[-2:]}"
