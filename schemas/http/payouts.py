"""Payout accounts over HTTP: where a merchant's money goes. Masked, but for who says why not."""

from typing import Annotated

import msgspec

from schemas.http.shapes import Timestamp
from schemas.payout import PayoutKind

Holder = Annotated[str, msgspec.Meta(min_length=1, max_length=100, description="whose account it is", examples=["王芳"])]


class SetPayoutAccount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the money is to go. ``number``: an IBAN, a card's number, an Alipay or a WeChat account. ``bank``: of a card."""

    kind: PayoutKind
    holder: Holder
    number: Annotated[str, msgspec.Meta(min_length=1, max_length=64, examples=["DE89 3704 0044 0532 0130 00"])]
    bank: Annotated[str, msgspec.Meta(max_length=100)] = ""


class PayoutAccountSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One account. ``in_force_at``: from when on money goes there."""

    kind: PayoutKind
    holder: str
    number: str
    bank: str
    set_at: Timestamp
    in_force_at: Timestamp


class PayoutAccounts(msgspec.Struct, frozen=True, kw_only=True):
    """``in_force``: where money goes now. ``pending``: where it will go, unless that is called off."""

    merchant_id: str
    in_force: PayoutAccountSeen | None
    pending: PayoutAccountSeen | None
