"""Apple's answers.

https://developer.apple.com/documentation/signinwithapplerestapi
"""

import msgspec


class AppleToken(msgspec.Struct, frozen=True, kw_only=True):
    """``auth/token``. Its other tokens open nothing that is needed here: they are not read."""

    id_token: str

    def __repr__(self) -> str:
        return "AppleToken()"


class AppleError(msgspec.Struct, frozen=True, kw_only=True):
    """A 400 of ``auth/token``."""

    error: str = ""


class AppleName(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """As the person typed it."""

    first_name: str = ""
    last_name: str = ""


class AppleUser(msgspec.Struct, frozen=True, kw_only=True):
    """The form field ``user``, of the first login alone. It comes through the browser and is not signed."""

    name: AppleName = AppleName()
