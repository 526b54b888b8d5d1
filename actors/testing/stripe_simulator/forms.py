"""Reading requests as strictly as Stripe does: unknown parameters, integers, amounts, metadata.

Messages follow the real ones, so that a log line found here is found in the provider's documentation.
"""

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from schemas.providers.stripe import Error, ErrorBody, PaymentIntent

Form = dict[str, dict[str, str] | str]
"""Parameters; those written ``name[key]`` are gathered under ``name``."""

AMOUNT_MAX: Final = 99_999_999
AMOUNTS_MIN: Final = {"usd": 50, "eur": 50, "gbp": 30, "hkd": 400, "jpy": 50, "cny": 350, "sgd": 50, "aud": 50, "cad": 50, "chf": 50}
"""The least that can be charged. CNY has none of its own: the equivalent of the settlement currency's (about 0.50 USD)."""

METADATA_KEYS_MAX: Final = 50
METADATA_KEY_CHARACTERS_MAX: Final = 40
METADATA_VALUE_CHARACTERS_MAX: Final = 500

_FIELD: Final = re.compile(r"([a-z_]+)(?:\[([^\[\]]*)\])?\Z")


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that is no success."""

    status: int
    error: Error

    def body(self) -> bytes:
        return msgspec.json.encode(ErrorBody(error=self.error))


def refusal(
    message: str,
    *,
    code: str | None = None,
    param: str | None = None,
    status: int = 400,
    kind: str = "invalid_request_error",
    intent: PaymentIntent | None = None,
) -> Refusal:
    """An error answer in Stripe's shape."""
    return Refusal(status=status, error=Error(type=kind, code=code, message=message, param=param, payment_intent=intent))


def read_form(pairs: Iterable[tuple[str, str]], allowed: frozenset[str]) -> Form | Refusal:
    """The parameters of a request, each among ``allowed``."""
    form: Form = {}
    for name, value in pairs:
        match = _FIELD.match(name)
        if match is None or match[1] not in allowed:
            return refusal(f"Received unknown parameter: {name}", code="parameter_unknown", param=name)
        root, key = match[1], match[2]
        if key is None:
            form[root] = value
            continue
        group = form.setdefault(root, {})
        if isinstance(group, str):
            return refusal(f"Invalid object: {root}", param=root)
        group[key or str(len(group))] = value
    return form


def text(form: Form, name: str) -> str:
    """A plain parameter; empty when it is missing."""
    value = form.get(name, "")
    return value if isinstance(value, str) else ""


def whole_number(form: Form, name: str) -> int | Refusal:
    """A required positive integer."""
    raw = text(form, name)
    if not raw:
        return refusal(f"Missing required param: {name}.", code="parameter_missing", param=name)
    if not re.fullmatch(r"-?[0-9]{1,18}", raw):
        return refusal(f"Invalid integer: {raw}", code="parameter_invalid_integer", param=name)
    number = int(raw)
    if number < 1:
        return refusal("This value must be greater than or equal to 1.", code="parameter_invalid_integer", param=name)
    return number


def charge_amount(form: Form) -> tuple[int, str] | Refusal:
    """Amount and currency of a new payment."""
    amount = whole_number(form, "amount")
    if isinstance(amount, Refusal):
        return amount
    currency = text(form, "currency")
    if not currency:
        return refusal("Missing required param: currency.", code="parameter_missing", param="currency")
    if not re.fullmatch(r"[a-z]{3}", currency.lower()):
        return refusal(f"Invalid currency: {currency}.", param="currency")
    if amount > AMOUNT_MAX:
        return refusal("Amount must be no more than $999,999.99", code="amount_too_large", param="amount")
    if amount < AMOUNTS_MIN.get(currency.lower(), 50):
        return refusal("Amount must convert to at least 50 cents.", code="amount_too_small", param="amount")
    return amount, currency.lower()


def metadata(form: Form) -> dict[str, str] | Refusal:
    """The metadata of a request, within the provider's limits."""
    found = form.get("metadata", {})
    if isinstance(found, str):
        return refusal("Invalid object", param="metadata")
    if len(found) > METADATA_KEYS_MAX:
        return refusal(f"Metadata can have up to {METADATA_KEYS_MAX} keys.", param="metadata")
    for key, value in found.items():
        if len(key) > METADATA_KEY_CHARACTERS_MAX or len(value) > METADATA_VALUE_CHARACTERS_MAX:
            return refusal("Metadata keys can have up to 40 characters and values up to 500.", param=f"metadata[{key}]")
    return {key: value for key, value in found.items() if value}
