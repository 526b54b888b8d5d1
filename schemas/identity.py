"""Identities: by what a person may log in, and what was proven of it."""

from typing import Final, Literal

import msgspec

IdentityKind = Literal["email", "phone", "wechat", "qq", "alipay", "apple"]

THIRD_PARTIES: Final = ("wechat", "qq", "alipay", "apple")


class ProvenIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody has just proven that this is theirs: by a code, or by a third party's word.

    subject: the canonical address, the number in E.164, or the third party's name for the person in this app.
    union_subject: the third party's name for the same person in all apps of one owner, where it gives one.
    name: what the person is called there; may be empty.
    """

    kind: IdentityKind
    subject: str
    union_subject: str = ""
    name: str = ""

    def __repr__(self) -> str:
        return f"ProvenIdentity(kind={self.kind!r})"
