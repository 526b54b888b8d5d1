"""Where a merchant's money goes."""

from typing import Literal

import msgspec

PayoutKind = Literal["iban", "card", "alipay", "wechat"]


class PayoutAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account: an IBAN, a card of a Chinese bank (``bank`` says which), or one with Alipay or WeChat. ``holder``: whose it is."""

    kind: PayoutKind
    holder: str
    number: str
    bank: str = ""

    def __repr__(self) -> str:
        return f"PayoutAccount(kind={self.kind!r})"
