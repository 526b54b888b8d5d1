"""Sessions: who is logged in, with refresh tokens that work once. Pure rules; see README.md in this folder."""

import hmac
from collections.abc import Iterable
from typing import ClassVar, Final, assert_never

import msgspec

from actors.domain.entity import Accepted, Answered, Context, Outcome, Refused, Wake
from schemas.sessions import (
    CheckSession,
    ListSessions,
    Login,
    Refresh,
    Revoke,
    RevokeAll,
    SessionAlive,
    SessionGranted,
    SessionList,
    SessionRefreshed,
    SessionsEnded,
    SessionsRevoked,
    SessionStarted,
    SessionView,
)

DAY_MS: Final = 86_400_000

IDLE_MS: Final = 30 * DAY_MS
"""A session that was not refreshed for this long has ended."""

ABSOLUTE_MS: Final = 90 * DAY_MS
"""A session ends this long after its login, however busy: the password is asked again."""

SESSIONS_MAX: Final = 20
"""Open sessions of one user. A further login ends the one that was idle longest: refusing it instead
would lock out whoever lost his devices."""

GRACE_MS: Final = 10_000
"""For this long the token before the current one is taken for a slow client's second exchange, not for theft."""

HASH_BYTES: Final = 32

MARK_BYTES: Final = 8
"""Of a spent token so much of its hash is kept: enough to know it again, and no use to whoever reads it."""

MARKS_MAX: Final = 1024
"""Spent tokens known of a session: a week of exchanges every ten minutes. An older one is merely refused."""

DEVICE_MAX: Final = 200
"""Characters kept of a client's description of itself."""

SessionsCommand = Login | Refresh | Revoke | RevokeAll | ListSessions | CheckSession | Answered | Wake
SessionsEvent = SessionStarted | SessionRefreshed | SessionsEnded


class Session(msgspec.Struct, kw_only=True):
    """One login. ``spent``: the marks of its used tokens, oldest first, the one before the current last."""

    refresh_hash: bytes
    device: str
    created_at_ms: int
    used_at_ms: int
    spent: bytes = b""


class SessionsState(msgspec.Struct, kw_only=True):
    """Open sessions by id in the order of their logins.

    ``generation`` rises whenever sessions are ended before their time. An access token carries the
    one it was made under: an owner that knows the newest needs to ask only about older ones.
    """

    key: str
    generation: int = 0
    sessions: dict[str, Session] = {}


class SessionsKind:
    """The kind ``sessions``. Key: a user id."""

    name: ClassVar[str] = "sessions"
    commands: ClassVar[tuple[type, ...]] = (Login, Refresh, Revoke, RevokeAll, ListSessions, CheckSession)
    reads: ClassVar[tuple[type, ...]] = (ListSessions, CheckSession)
    ending: ClassVar[tuple[type, ...]] = (Revoke, RevokeAll)
    events: ClassVar[tuple[type, ...]] = (SessionStarted, SessionRefreshed, SessionsEnded)
    replies: ClassVar[tuple[type, ...]] = (SessionGranted, SessionList, SessionsRevoked, SessionAlive)
    state: ClassVar[type] = SessionsState

    def route(self, key: str) -> str:
        return "user:" + key

    def crowd(self, key: str, command: object) -> str:
        return "user:" + key

    def needs(self, command: object) -> tuple[str, ...]:
        return ()

    def new(self, key: str) -> SessionsState:
        return SessionsState(key=key)

    def wake_at(self, state: SessionsState) -> int | None:
        return min(map(expires_at_ms, state.sessions.values()), default=None)

    def decide(self, state: SessionsState, command: SessionsCommand, context: Context) -> Outcome:
        match command:
            case Login():
                return _login(state, command, context)
            case Refresh():
                return _refresh(state, command, context)
            case Revoke():
                return _revoke(state, command, context)
            case RevokeAll():
                return _revoke_all(state, command, context)
            case ListSessions():
                return Accepted(reply=_list(state, context))
            case CheckSession():
                return _check(state, command, context)
            case Wake():
                return _expire(state, context)
            case Answered():
                return Accepted()
            case _:
                assert_never(command)

    def apply(self, state: SessionsState, event: SessionsEvent) -> None:
        match event:
            case SessionStarted():
                state.sessions[event.session_id] = Session(
                    refresh_hash=event.refresh_hash,
                    device=event.device,
                    created_at_ms=event.at_ms,
                    used_at_ms=event.at_ms,
                )
            case SessionRefreshed():
                session = state.sessions[event.session_id]
                session.spent = (session.spent + session.refresh_hash[:MARK_BYTES])[-MARKS_MAX * MARK_BYTES :]
                session.refresh_hash = event.next_hash
                session.used_at_ms = event.at_ms
            case SessionsEnded():
                for session_id in event.session_ids:
                    del state.sessions[session_id]
                state.generation = event.generation
            case _:
                assert_never(event)


def expires_at_ms(session: Session) -> int:
    """When this session ends if it is not refreshed: idle or absolute, whichever is first."""
    return min(session.used_at_ms + IDLE_MS, session.created_at_ms + ABSOLUTE_MS)


def invariant(state: SessionsState) -> list[str]:
    """What does not hold of this state; empty when all is well."""
    wrong = []
    if len(state.sessions) > SESSIONS_MAX:
        wrong.append(f"{state.key}: {len(state.sessions)} sessions")
    for session_id, session in state.sessions.items():
        if len(session.refresh_hash) != HASH_BYTES:
            wrong.append(f"{session_id}: the hash has {len(session.refresh_hash)} bytes")
        if len(session.spent) % MARK_BYTES or len(session.spent) > MARKS_MAX * MARK_BYTES:
            wrong.append(f"{session_id}: the spent marks have {len(session.spent)} bytes")
        if _is_spent(session, session.refresh_hash):
            wrong.append(f"{session_id}: the current token was spent before")
    return wrong


def _open(state: SessionsState, session_id: str, context: Context) -> Session | None:
    session = state.sessions.get(session_id)
    return session if session is not None and context.at_ms < expires_at_ms(session) else None


def _granted(state: SessionsState, session_id: str, session: Session) -> SessionGranted:
    return SessionGranted(session_id=session_id, generation=state.generation, expires_at_ms=expires_at_ms(session))


def _ended(state: SessionsState, session_ids: Iterable[str], reason: str, context: Context) -> SessionsEnded:
    generation = state.generation + (reason != "expired")
    return SessionsEnded(session_ids=tuple(session_ids), reason=reason, generation=generation, at_ms=context.at_ms)


def _is_spent(session: Session, presented: bytes) -> bool:
    """Whether this token was exchanged before. Marks are fixed in width, so a hit between two of them does not count."""
    mark = presented[:MARK_BYTES]
    at = session.spent.find(mark)
    while at % MARK_BYTES and at != -1:
        at = session.spent.find(mark, at + 1)
    return at != -1


def _login(state: SessionsState, command: Login, context: Context) -> Outcome:
    session = state.sessions.get(command.session_id)
    if session is not None and hmac.compare_digest(session.refresh_hash, command.refresh_hash):
        return Accepted(reply=_granted(state, command.session_id, session))
    if session is not None:
        return Refused(code="idempotency_key_reused")
    if len(command.refresh_hash) != HASH_BYTES:
        return Refused(code="invalid_request", params={"reason": f"refresh_hash must have {HASH_BYTES} bytes"})
    started = SessionStarted(
        session_id=command.session_id,
        refresh_hash=command.refresh_hash,
        device=command.device[:DEVICE_MAX],
        at_ms=context.at_ms,
    )
    reply = SessionGranted(session_id=command.session_id, generation=state.generation, expires_at_ms=context.at_ms + IDLE_MS)
    if len(state.sessions) < SESSIONS_MAX:
        return Accepted(events=(started,), reply=reply)
    oldest = min(state.sessions, key=lambda session_id: state.sessions[session_id].used_at_ms)
    replaced = _ended(state, (oldest,), "replaced", context)
    return Accepted(events=(replaced, started), reply=msgspec.structs.replace(reply, generation=replaced.generation))


def _refresh(state: SessionsState, command: Refresh, context: Context) -> Outcome:
    session = _open(state, command.session_id, context)
    if session is None:
        return Refused(code="session_unknown")
    if hmac.compare_digest(session.refresh_hash, command.presented_hash):
        return _rotate(state, session, command, context)
    if not _is_spent(session, command.presented_hash):
        return Refused(code="session_unknown")
    predecessor = session.spent[-MARK_BYTES:] == command.presented_hash[:MARK_BYTES]
    if predecessor and context.at_ms - session.used_at_ms <= GRACE_MS:
        if hmac.compare_digest(session.refresh_hash, command.next_hash):
            return Accepted(reply=_granted(state, command.session_id, session))
        return Refused(code="refresh_raced")
    reused = _ended(state, (command.session_id,), "reused", context)
    return Accepted(events=(reused,), reply=Refused(code="session_reused"))


def _rotate(state: SessionsState, session: Session, command: Refresh, context: Context) -> Outcome:
    if len(command.next_hash) != HASH_BYTES:
        return Refused(code="invalid_request", params={"reason": f"next_hash must have {HASH_BYTES} bytes"})
    if command.next_hash == session.refresh_hash or _is_spent(session, command.next_hash):
        return Refused(code="invalid_request", params={"reason": "next_hash must be new"})
    event = SessionRefreshed(session_id=command.session_id, next_hash=command.next_hash, at_ms=context.at_ms)
    expires = min(context.at_ms + IDLE_MS, session.created_at_ms + ABSOLUTE_MS)
    reply = SessionGranted(session_id=command.session_id, generation=state.generation, expires_at_ms=expires)
    return Accepted(events=(event,), reply=reply)


def _revoke(state: SessionsState, command: Revoke, context: Context) -> Outcome:
    if command.session_id not in state.sessions:
        return Accepted(reply=SessionsRevoked(count=0, generation=state.generation))
    event = _ended(state, (command.session_id,), "logout", context)
    return Accepted(events=(event,), reply=SessionsRevoked(count=1, generation=event.generation))


def _revoke_all(state: SessionsState, command: RevokeAll, context: Context) -> Outcome:
    ended = [session_id for session_id in state.sessions if session_id != command.except_session_id]
    if not ended:
        return Accepted(reply=SessionsRevoked(count=0, generation=state.generation))
    event = _ended(state, ended, "all", context)
    return Accepted(events=(event,), reply=SessionsRevoked(count=len(ended), generation=event.generation))


def _list(state: SessionsState, context: Context) -> SessionList:
    views = tuple(
        SessionView(
            session_id=session_id,
            device=session.device,
            created_at_ms=session.created_at_ms,
            used_at_ms=session.used_at_ms,
            expires_at_ms=expires_at_ms(session),
        )
        for session_id, session in state.sessions.items()
        if context.at_ms < expires_at_ms(session)
    )
    return SessionList(sessions=views, generation=state.generation)


def _check(state: SessionsState, command: CheckSession, context: Context) -> Outcome:
    if _open(state, command.session_id, context) is None:
        return Refused(code="token_revoked")
    return Accepted(reply=SessionAlive(generation=state.generation))


def _expire(state: SessionsState, context: Context) -> Outcome:
    ended = [session_id for session_id, session in state.sessions.items() if expires_at_ms(session) <= context.at_ms]
    return Accepted(events=(_ended(state, ended, "expired", context),)) if ended else Accepted()
