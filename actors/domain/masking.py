"""Masking: what is shown of a personal field to whoever need not read it, and what is hidden in every log line.

Pure rules with tables beside their tests. A mask never shows how long the hidden part is.
"""

import re
from typing import Final

HIDDEN: Final = "***"

_HAN: Final = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")
_DIGITS: Final = re.compile(r"\d")

COMPOUND_SURNAMES: Final = frozenset("欧阳 司马 上官 诸葛 司徒 东方 皇甫 尉迟 公孙 慕容 令狐 夏侯 端木 南宫 独孤 长孙 宇文 轩辕".split())  # noqa: SIM905


def masked_email(text: str) -> str:
    """``k***@example.com``: the first letter, and the domain."""
    local, at, domain = text.rpartition("@")
    return f"{local[:1]}{HIDDEN}@{domain}" if at and local and domain else HIDDEN


def masked_phone(text: str) -> str:
    """``+86138***78``, ``138***78``: the last two digits, and of those before the last eight the first five (without a country three)."""
    digits = "".join(_DIGITS.findall(text))
    if len(digits) < 7:
        return HIDDEN
    plus = "+" if text.strip().startswith("+") else ""
    shown = max(0, min(len(digits) - 8, 5 if plus else 3))
    return f"{plus}{digits[:shown]}{HIDDEN}{digits[-2:]}"


def masked_name(text: str) -> str:
    """``王***``, ``欧阳***``; ``K*** L***``: the family name of a Chinese name, the first letters of any other."""
    name = text.strip()
    if _HAN.match(name):
        return (name[:2] if name[:2] in COMPOUND_SURNAMES else name[:1]) + HIDDEN
    return " ".join(part[0] + HIDDEN for part in name.split()[:3]) or HIDDEN


def masked_line(text: str) -> str:
    """A street and what follows: nothing of it. The town is shown by itself."""
    return HIDDEN if text else ""


def masked_number(text: str) -> str:
    """``1***X`` of a number of a card or a document: the first and the last sign."""
    signs = re.sub(r"[\s-]", "", text)
    return f"{signs[0]}{HIDDEN}{signs[-1]}" if len(signs) >= 6 else HIDDEN


def masked_subject(kind: str, text: str) -> str:
    """By what somebody logs in: an address, a number, or a third party's name for a person."""
    match kind:
        case "email":
            return masked_email(text)
        case "phone":
            return masked_phone(text)
        case _:
            return masked_number(text)


# --- free text: log values, reasons -----------------------------------------------------------------

_EMAIL: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,63}")
_PHONE: Final = re.compile(r"(?<![\w.:/-])(?:\+[1-9]\d{0,2}[ -]?(?:\d[ -]?){6,12}\d|1[3-9]\d(?:[ -]?\d{4}){2})(?![\w-])")
_IDENTITY_CARD: Final = re.compile(r"(?<![\w])[1-9]\d{5}(?:19|20)\d{2}[01]\d[0-3]\d{4}[\dXx](?!\w)")
_BEARER: Final = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}")
_REFRESH: Final = re.compile(r"\busr_[A-Za-z0-9]{1,58}\.ses_[A-Za-z0-9]{1,58}\.[0-9a-f]{16,}")
_SIGNED: Final = re.compile(r"(?<![\w-])[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}(?:\.[A-Za-z0-9_-]{10,})?(?![\w-])")
_LONG: Final = re.compile(r"(?<![\w+/-])(?=[\w+/-]*[A-Z])(?=[\w+/-]*[a-z])(?=[\w+/-]*\d)[A-Za-z0-9_-]{40,}={0,2}(?![\w+/-])")
_KEYED: Final = re.compile(r"\b(?:sk_(?:live|test)|whsec|gst)_[A-Za-z0-9]{8,}")

SECRET_FIELDS: Final = frozenset(
    """
    password new_password token access_token refresh_token guest_token authorization cookie set_cookie secret client_secret api_key
    private_key
    """.split()  # noqa: SIM905
)
"""Names of log fields whose value is never written."""


def masked_text(text: str) -> str:
    """A text with the addresses, numbers and tokens in it hidden. What has none comes back as it is."""
    if len(text) < 7:
        return text
    found = text
    if "@" in found:
        found = _EMAIL.sub(lambda match: masked_email(match[0]), found)
    for pattern in (_REFRESH, _KEYED, _SIGNED, _LONG):
        found = pattern.sub(HIDDEN, found)
    found = _BEARER.sub(lambda match: f"{match[1]} {HIDDEN}", found)
    found = _IDENTITY_CARD.sub(lambda match: masked_number(match[0]), found)
    return _PHONE.sub(lambda match: masked_phone(match[0]), found)


def masked_value(name: str, value: object) -> object:
    """A value of a log line as it may be written: of a secret nothing, texts masked, also within lists and tables."""
    if name.lower().replace("-", "_") in SECRET_FIELDS:
        return HIDDEN
    match value:
        case str():
            return masked_text(value)
        case bytes():
            return masked_text(value.decode("latin-1"))
        case dict():
            return {key: masked_value(str(key), item) for key, item in value.items()}
        case list() | tuple():
            return [masked_value("", item) for item in value]
        case _:
            return value
