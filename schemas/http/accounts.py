"""Accounts and sessions over HTTP."""

from typing import Annotated

import msgspec

from schemas.http.codes import ChallengeId, CodeText
from schemas.http.shapes import GuestToken, Timestamp

Email = Annotated[str, msgspec.Meta(min_length=3, max_length=254, examples=["kim@example.com"])]
Phone = Annotated[str, msgspec.Meta(min_length=4, max_length=32, examples=["+8613800138000"])]
Password = Annotated[str, msgspec.Meta(min_length=8, max_length=128)]
RefreshText = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class Named(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """By what somebody is known: exactly one of ``email`` and ``phone``."""

    email: Email | None = None
    phone: Phone | None = None


class Register(Named, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Open an account with a password. The code proves that the address or the number is one's own."""

    challenge_id: ChallengeId
    code: CodeText
    password: Password
    guest_token: GuestToken | None = None
    cookie: bool = False


class LogIn(Named, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Log in with a password. With ``guest_token`` the guest's cart becomes the user's; ``cookie`` is for pages in a browser."""

    password: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    guest_token: GuestToken | None = None
    cookie: bool = False


class LogInByCode(Named, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Log in with a code. Who has no account gets one."""

    challenge_id: ChallengeId
    code: CodeText
    guest_token: GuestToken | None = None
    cookie: bool = False


class ResetPassword(Named, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Set a new password with a code. Every session ends."""

    challenge_id: ChallengeId
    code: CodeText
    password: Password


class ChangePassword(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Set a new password. ``current`` is needed where there is one. Every other session ends."""

    current: Annotated[str, msgspec.Meta(min_length=1, max_length=128)] | None = None
    password: Password


class ProveNamed(Named, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An address or a number, and the code that was sent there."""

    challenge_id: ChallengeId
    code: CodeText


class Merge(ProveNamed, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Become one with the account that logs in by this. Its orders, cart and sessions stay; this account's come along."""

    cookie: bool = False


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """Who is logged in."""

    user_id: str
    has_password: bool
    merged: tuple[str, ...]


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
