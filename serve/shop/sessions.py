"""Sessions over HTTP: exchange a refresh token, see where one is logged in, log out."""

from typing import Any, Final

from litestar import delete, get, post
from litestar.params import FromPath, JSONBody

from actors.domain import token as tokens
from actors.domain.token import RefreshToken
from schemas.http.accounts import OpenSession, OpenSessions, RefreshSession, Tokens
from schemas.ids import is_id
from schemas.sessions import ListSessions, Refresh, Revoke, RevokeAll, SessionList, SessionsRevoked
from serve.answers import timestamp
from serve.desk import Desk
from serve.framework import ShopRequest
from serve.notices import tell_owner
from serve.requests import Refusal
from serve.signing_in import tokens_of


@post("/v1/sessions/refresh", operation_id="refreshSession", status_code=200)
async def refresh_session(request: ShopRequest, data: JSONBody[RefreshSession]) -> Tokens:
    """A token that was exchanged before ends its session: one of the two who have it stole it. A browser's is in its cookie."""
    text = data.refresh_token or request.desk.cookies.refresh_token(request.head)
    if text is None:
        raise Refusal("invalid_request", {"reason": "refresh_token is missing, and so is its cookie"})
    return await exchanged(request, text, cookie=data.refresh_token is None)


async def exchanged(request: ShopRequest, text: str, *, cookie: bool = False) -> Tokens:
    """New tokens for a refresh token. Refusal of a token that is none, and ``session_reused``, ``session_unknown`` and so on."""
    desk = request.desk
    presented = tokens.parse_refresh_token(text)
    if not isinstance(presented, RefreshToken):
        raise Refusal(presented.code)
    following = tokens.refresh_token_after(desk.services.token_keys, presented)
    command = Refresh(
        session_id=presented.session_id, presented_hash=tokens.refresh_hash(presented), next_hash=tokens.refresh_hash(following)
    )
    answer = await desk.ask("sessions", presented.user_id, command, digest=b"refresh")
    if answer.code == "session_reused":
        desk.revocations.end([presented.session_id])
    if answer.code:
        raise Refusal(answer.code, answer.params)
    return await tokens_of(request, presented.user_id, answer.reply, following, cookie=cookie)


@get("/v1/sessions", operation_id="listSessions")
async def list_sessions(request: ShopRequest) -> OpenSessions:
    """All open sessions of the user."""
    token = request.customer()
    found = await sessions_of(request.desk, token.user_id)
    return OpenSessions(
        sessions=tuple(
            OpenSession(
                session_id=view.session_id,
                device=view.device,
                created_at=timestamp(view.created_at_ms),
                used_at=timestamp(view.used_at_ms),
                expires_at=timestamp(view.expires_at_ms),
                current=view.session_id == token.session_id,
            )
            for view in found.sessions
        )
    )


async def sessions_of(desk: Desk, user_id: str) -> SessionList:
    """The open sessions of a user."""
    found = await desk.told("sessions", user_id, ListSessions())
    assert isinstance(found, SessionList)
    return found


async def end_sessions(desk: Desk, user_id: str, *, keep: str = "") -> None:
    """End every session of a user but ``keep``, on every replica at once."""
    found = await sessions_of(desk, user_id)
    await desk.told("sessions", user_id, RevokeAll(except_session_id=keep), digest=b"revoke")
    desk.revocations.end([view.session_id for view in found.sessions if view.session_id != keep])


@delete("/v1/sessions/{session_id:str}", operation_id="logOut")
async def log_out(request: ShopRequest, session_id: FromPath[str]) -> None:
    """End one session; ``current`` is the one that asks."""
    token, desk = request.customer(), request.desk
    own = session_id in ("current", token.session_id)
    name = token.session_id if own else session_id
    if not is_id(name, "ses"):
        raise Refusal("not_found")
    ended = await desk.told("sessions", token.user_id, Revoke(session_id=name), digest=b"revoke")
    assert isinstance(ended, SessionsRevoked)
    if not own and not ended.count:
        raise Refusal("not_found")
    desk.revocations.end([name])
    if own:
        desk.cookies.take_back(request.head)


@delete("/v1/sessions", operation_id="logOutEverywhere")
async def log_out_everywhere(request: ShopRequest) -> None:
    """End every session of the user, this one too."""
    token, desk = request.customer(), request.desk
    await end_sessions(desk, token.user_id)
    tell_owner(request, token.user_id, "sessions_ended", token.session_id)
    desk.revocations.end([token.session_id])
    desk.cookies.take_back(request.head)


HANDLERS: Final[list[Any]] = [refresh_session, list_sessions, log_out, log_out_everywhere]
