"""Whether an address is complete: what the post of each country needs. Pure rules; see README.md in this folder."""

import re
from typing import Final

from schemas.order import Address

COUNTRIES: Final = frozenset(
    """
    AD AE AF AG AI AL AM AO AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BW BY BZ CA CC CD CF CG CH CI CK CL
    CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GT GU
    GW GY HK HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA
    MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN
    PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TG TH TJ TK TL TM TN TO TR TT
    TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW
    """.split()  # noqa: SIM905 (a list of 246 literals is no better) ISO 3166-1, without the uninhabited
)

NEEDED: Final[dict[str, tuple[str, ...]]] = {
    "CN": ("region", "district"),
    "US": ("region", "postal_code"),
    "CA": ("region", "postal_code"),
    "AU": ("region", "postal_code"),
    "BR": ("region", "postal_code"),
    "IN": ("region", "postal_code"),
    "JP": ("region", "postal_code"),
    "GB": ("postal_code",),
    "DE": ("postal_code",),
    "FR": ("postal_code",),
    "ES": ("postal_code",),
    "IT": ("postal_code",),
    "NL": ("postal_code",),
    "KR": ("postal_code",),
    "SG": ("postal_code",),
    "TW": ("postal_code",),
}
"""Beside name, phone, line1 and city, which everybody needs."""

POSTAL: Final[dict[str, re.Pattern[str]]] = {
    country: re.compile(pattern + r"\Z")
    for country, pattern in {
        "CN": r"\d{6}",
        "US": r"\d{5}(-\d{4})?",
        "CA": r"[A-Z]\d[A-Z] ?\d[A-Z]\d",
        "AU": r"\d{4}",
        "BR": r"\d{5}-?\d{3}",
        "IN": r"\d{6}",
        "JP": r"\d{3}-?\d{4}",
        "GB": r"[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}",
        "DE": r"\d{5}",
        "FR": r"\d{5}",
        "ES": r"\d{5}",
        "IT": r"\d{5}",
        "NL": r"\d{4} ?[A-Z]{2}",
        "KR": r"\d{5}",
        "SG": r"\d{6}",
        "TW": r"\d{3}(\d{2,3})?",
    }.items()
}

NEEDED_BY_ALL: Final = ("name", "phone", "line1", "city")

FIELD_MAX: Final = 200
"""Characters of one field: more is no address, and an order is kept for ever."""


def flaw(address: Address) -> str:
    """What is missing or wrong, as clients read it; empty when a parcel can be sent there."""
    if address.country not in COUNTRIES:
        return f"country {address.country[:FIELD_MAX]}"
    missing = [name for name in (*NEEDED_BY_ALL, *NEEDED.get(address.country, ())) if not getattr(address, name).strip()]
    if missing:
        return ", ".join(missing)
    too_long = [name for name in address.__struct_fields__ if len(getattr(address, name)) > FIELD_MAX]
    if too_long:
        return ", ".join(too_long)
    postal = POSTAL.get(address.country)
    if address.postal_code and postal is not None and not postal.match(address.postal_code.upper()):
        return "postal_code"
    return ""
