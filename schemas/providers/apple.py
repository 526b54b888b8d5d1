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


class ApplePosted(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a server-to-server notification: a signed token."""

    payload: str

    def __repr__(self) -> str:
        return "ApplePosted()"


class AppleEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The claim ``events`` of such a token, which is JSON within a text."""

    type: str
    sub: str

    def __repr__(self) -> str:
        return f"AppleEvent(type={self.type!r})"
