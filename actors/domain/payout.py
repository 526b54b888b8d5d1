"""Where a merchant's money goes: which accounts there are, and what is wrong with a number. Pure rules.

A check digit finds a slip of the finger, not a wrong owner: that is what the wait before an account is in force is for.
"""

import re
from typing import Final

from actors.domain.masking import masked_email, masked_phone
from schemas.payout import PayoutAccount

WAIT_MS: Final = 24 * 3_600_000
"""A new account is in force so much later: the firm is told at once, and has a day to call it off."""

NUMBER_MAX: Final = 64
HOLDER_MAX: Final = 100

_IBAN: Final = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_CARD: Final = re.compile(r"[1-9][0-9]{15,18}")
_ALIPAY_ID: Final = re.compile(r"2088[0-9]{12}")
_EMAIL: Final = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+")
_MOBILE: Final = re.compile(r"1[3-9][0-9]{9}")
_WECHAT: Final = re.compile(r"[0-9]{8,10}|o[A-Za-z0-9_-]{27}")
_ASIDE: Final = re.compile(r"[\s-]")


def canonical(account: PayoutAccount) -> PayoutAccount:
    """As it is kept: numbers without the spaces that people write them with."""
    number = account.number.strip()
    if account.kind in ("iban", "card"):
        number = _ASIDE.sub("", number).upper()
    return PayoutAccount(kind=account.kind, holder=" ".join(account.holder.split()), number=number, bank=" ".join(account.bank.split()))


def flaw(account: PayoutAccount) -> str:
    """The field that is wrong with an account in its canonical form; "" when none is."""
    if not 0 < len(account.holder) <= HOLDER_MAX or any(ord(sign) < 32 for sign in account.holder):
        return "holder"
    if len(account.bank) > HOLDER_MAX or (account.kind == "card" and not account.bank):
        return "bank"
    return "" if len(account.number) <= NUMBER_MAX and _fits(account.kind, account.number) else "number"


def _fits(kind: str, number: str) -> bool:
    match kind:
        case "iban":
            return _IBAN.fullmatch(number) is not None and iban_fits(number)
        case "card":
            return _CARD.fullmatch(number) is not None and luhn_fits(number)
        case "alipay":
            return any(form.fullmatch(number) for form in (_ALIPAY_ID, _EMAIL, _MOBILE))
        case _:
            return _WECHAT.fullmatch(number) is not None


def iban_fits(number: str) -> bool:
    """ISO 13616: the country and check digits behind the rest, letters as 10 to 35, leave 1 when divided by 97."""
    turned = number[4:] + number[:4]
    return int("".join(str(int(sign, 36)) for sign in turned)) % 97 == 1


def luhn_fits(number: str) -> bool:
    """ISO/IEC 7812: every second digit from the right doubled, the sum of all digits ends in 0."""
    total = 0
    for place, sign in enumerate(reversed(number)):
        digit = int(sign) * (2 if place % 2 else 1)
        total += digit - 9 if digit > 9 else digit
    return total % 10 == 0


def masked_account(kind: str, number: str) -> str:
    """``DE***3000``, ``***1234``, ``k***@example.com``: enough for its owner to know it by."""
    if "@" in number:
        return masked_email(number)
    if kind == "alipay" and len(number) == 11:
        return masked_phone(number)
    return f"{number[:2] if kind == 'iban' else ''}***{number[-4:]}"
