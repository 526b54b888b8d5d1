"""Money: whole minor units of one currency. Never a float."""

from typing import Annotated, Final

import msgspec

MINOR_UNITS_MAX: Final = 10**13
"""The largest amount of one price or order: sums of a million of them still fit a signed 64-bit column."""

Currency = Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$", description="ISO 4217 code")]
MinorUnits = Annotated[int, msgspec.Meta(ge=0, le=MINOR_UNITS_MAX, description="minor units, e.g. cents or fen")]


class Money(msgspec.Struct, gc=False, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An amount in minor units of ``currency``: ``{"amount": 1999, "currency": "CNY"}`` is 19.99 yuan."""

    amount: MinorUnits
    currency: Currency


_WHOLE: Final = frozenset(
    ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF")
)
_THOUSANDTHS: Final = frozenset(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"))


def money_text(amount: int, currency: str) -> str:
    """An amount as people read it in both languages: ``CNY 19.99``, with as many decimals as the currency has minor units (ISO 4217)."""
    digits = 0 if currency in _WHOLE else 3 if currency in _THOUSANDTHS else 2
    if not digits:
        return f"{currency} {amount}"
    whole, rest = divmod(amount, 10**digits)
    return f"{currency} {whole}.{rest:0{digits}d}"


def portion(amount: int, numerator: int, denominator: int) -> int:
    """``amount * numerator / denominator``, half away from zero: the one rounding rule of the shop."""
    if denominator <= 0:
        raise ValueError("denominator must be positive")
    scaled = amount * numerator
    half, sign = denominator // 2, -1 if scaled < 0 else 1
    return sign * ((abs(scaled) + half) // denominator)


def share(amount: int, weights: tuple[int, ...]) -> tuple[int, ...]:
    """``amount`` split by ``weights`` so that the parts sum to it exactly (largest remainder, earlier first on a tie)."""
    total = sum(weights)
    if amount < 0 or total <= 0 or min(weights) < 0:
        raise ValueError("need a non-negative amount and weights with a positive sum")
    floors = [amount * weight // total for weight in weights]
    order = sorted(range(len(weights)), key=lambda i: (-(amount * weights[i] % total), i))
    for i in order[: amount - sum(floors)]:
        floors[i] += 1
    return tuple(floors)
