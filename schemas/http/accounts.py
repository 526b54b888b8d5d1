"""Accounts and sessions over HTTP."""

from typing import Annotated

import msgspec

from schemas.http.shapes import GuestToken, Timestamp

Email = Annotated[str, msgspec.Meta(min_length=3, max_length=254, examples=["kim@example.com"])]
Password = Annotated[str, msgspec.Meta(min_length=8, max_length=128)]
RefreshText = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class Register(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Open an account."""

    email: Email
    password: Password


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    """The account stands."""

    user_id: str
    email: str


class LogIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Log in. With ``guest_token`` the guest's cart becomes the user's; ``cookie`` is for pages in a browser."""

    email: Email
    password: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    guest_token: GuestToken | None = None
    cookie: bool = False


class RefreshSession(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Exchange a refresh token; it works once. Without one the browser's cookie is exchanged, and the answer sets cookies."""

    refresh_token: RefreshText | None = None


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """``access_token`` goes into ``Authorization: Bearer`` for ``expires_in`` seconds; then exchange ``refresh_token``.

    Both are null where they were set as cookies.
    """

    access_token: str | None
    refresh_token: str | None
    expires_in: int
    user_id: str
    session_id: str


class OpenSession(msgspec.Struct, frozen=True, kw_only=True):
    """One login of the user. ``current``: the one that asks."""

    session_id: str
    device: str
    created_at: Timestamp
    used_at: Timestamp
    expires_at: Timestamp
    current: bool


class OpenSessions(msgspec.Struct, frozen=True, kw_only=True):
    """All open sessions, the newest login last."""

    sessions: tuple[OpenSession, ...]
