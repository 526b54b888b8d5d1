"""The sessions of one user: commands, events, replies. A session is one login with all the tokens that follow from it."""

from typing import Final

import msgspec

ACCESS_TOKEN_S_MAX: Final = 86_400
"""No access token lives longer, whatever the settings say."""

REVOKED_KEPT_MS: Final = 2 * ACCESS_TOKEN_S_MAX * 1000
"""So long the end of a session is told: whoever hears of it late, or keeps his clock badly, has tokens of it no more."""

# --- commands ---------------------------------------------------------------------------------


class Login(msgspec.Struct, frozen=True, kw_only=True, tag="session.login"):
    """Open a session after the password was checked. ``refresh_hash``: 32 bytes, SHA-256 of its first refresh token."""

    session_id: str
    refresh_hash: bytes
    device: str = ""


class Refresh(msgspec.Struct, frozen=True, kw_only=True, tag="session.refresh"):
    """Exchange the refresh token that hashes to ``presented_hash`` for the one that hashes to ``next_hash``.

    Derive the next token from the presented one (``actors.domain.token.refresh_token_after``), so
    that two exchanges of the same token name the same successor.
    """

    session_id: str
    presented_hash: bytes
    next_hash: bytes


class Revoke(msgspec.Struct, frozen=True, kw_only=True, tag="session.revoke"):
    """End one session."""

    session_id: str


class RevokeAll(msgspec.Struct, frozen=True, kw_only=True, tag="session.revoke_all"):
    """End every session, or every other one."""

    except_session_id: str = ""


class ListSessions(msgspec.Struct, frozen=True, kw_only=True, tag="session.list"):
    """Ask which sessions are open."""


class CheckSession(msgspec.Struct, frozen=True, kw_only=True, tag="session.check"):
    """Ask whether an access token's session is still open (needed only when its generation is not the newest)."""

    session_id: str


# --- events -----------------------------------------------------------------------------------


class SessionStarted(msgspec.Struct, frozen=True, kw_only=True, tag="session.started"):
    session_id: str
    refresh_hash: bytes
    device: str
    at_ms: int


class SessionRefreshed(msgspec.Struct, frozen=True, kw_only=True, tag="session.refreshed"):
    session_id: str
    next_hash: bytes
    at_ms: int


class SessionsEnded(msgspec.Struct, frozen=True, kw_only=True, tag="session.ended"):
    """``reason``: logout, all, replaced (by a newer login past the limit), reused (a stolen token), expired.

    ``generation`` is the user's from here on; tokens with a lower one must be checked.
    """

    session_ids: tuple[str, ...]
    reason: str
    generation: int
    at_ms: int


# --- replies ----------------------------------------------------------------------------------


class SessionGranted(msgspec.Struct, frozen=True, kw_only=True, tag="session.granted"):
    """The session stands; the access token carries ``generation``; the refresh token is good until ``expires_at_ms``."""

    session_id: str
    generation: int
    expires_at_ms: int


class SessionView(msgspec.Struct, frozen=True, kw_only=True):
    """One open session as its user sees it."""

    session_id: str
    device: str
    created_at_ms: int
    used_at_ms: int
    expires_at_ms: int


class SessionList(msgspec.Struct, frozen=True, kw_only=True, tag="session.list_of"):
    """Open sessions, the newest login last."""

    sessions: tuple[SessionView, ...]
    generation: int


class SessionsRevoked(msgspec.Struct, frozen=True, kw_only=True, tag="session.revoked"):
    """``count`` sessions were ended by this command; 0 when there was none to end."""

    count: int
    generation: int


class SessionAlive(msgspec.Struct, frozen=True, kw_only=True, tag="session.alive"):
    """The session is open; ``generation`` is the newest."""

    generation: int
