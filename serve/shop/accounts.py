"""Accounts and sessions: register, log in, refresh, list, log out."""

import hashlib
import hmac
from typing import Any, Final

from litestar import delete, get, post
from litestar.params import FromPath, JSONBody

from actors.domain import token as tokens
from actors.domain.token import AccessToken, RefreshToken, Role
from schemas.http.accounts import LogIn, OpenSession, OpenSessions, RefreshSession, Register, Registered, Tokens
from schemas.ids import base32, derived_id, is_id
from schemas.sessions import ListSessions, Login, Refresh, Revoke, RevokeAll, SessionGranted, SessionList, SessionsRevoked
from serve.answers import timestamp
from serve.desk import Desk
from serve.framework import ShopRequest
from serve.requests import Refusal
from serve.shop.email_addresses import canonical
from serve.shop.guests import guest_key, merge_guest

DEVICE_MAX: Final = 200
_LOGIN: Final = b"stampede.login\0"


def _id_of(prefix: str, command_id: bytes) -> str:
    """An id that a repeat of the same command gets again."""
    return f"{prefix}_{base32(int.from_bytes(command_id, 'big') & ((1 << 100) - 1), 20)}"


def _address(request: ShopRequest, email: str) -> str:
    """The canonical address, if it may be tried again so soon. Refusal ``invalid_request``, ``rate_limited``."""
    desk = request.desk
    address = canonical(email)
    if address is None:
        raise Refusal("invalid_request", {"reason": "email is no address"})
    peer = request.head.address(desk.settings.forwarded_hops)
    if (peer and not desk.address_logins.take(peer)) or not desk.account_logins.take(address):
        raise Refusal("rate_limited", {"retry_after_s": 5})
    return address


@post("/v1/users", operation_id="register")
async def register(request: ShopRequest, data: JSONBody[Register]) -> Registered:
    """A repeat with the same key and password gets the first answer, also when the account was made by a try that was lost."""
    desk = request.desk
    key = request.head.idempotency_key()
    email = _address(request, data.email)
    register_id = derived_id("register", email, key)
    user_id = _id_of("usr", register_id)
    known = await desk.users.find(email)
    if known is None:
        password_hash = await desk.passwords.hashed(data.password, email)
        if await desk.users.add(user_id, email, password_hash, register_id):
            return Registered(user_id=user_id, email=email)
        known = await desk.users.find(email)
    if known is None or known.register_id != register_id:
        raise Refusal("email_taken")
    if not await desk.passwords.fits(data.password, known.password_hash):
        raise Refusal("idempotency_key_reused")
    return Registered(user_id=known.user_id, email=email)


@post("/v1/sessions", operation_id="logIn")
async def log_in(request: ShopRequest, data: JSONBody[LogIn]) -> Tokens:
    """The same key and password open the same session; an unknown address takes as long to refuse as a wrong password."""
    desk = request.desk
    key = request.head.idempotency_key()
    email = _address(request, data.email)
    account = await desk.users.find(email)
    if not await desk.passwords.fits(data.password, account.password_hash if account else None) or account is None:
        raise Refusal("wrong_credentials")
    if desk.passwords.is_old(account.password_hash):
        await desk.users.rehash(account.user_id, await desk.passwords.hashed(data.password, email))
    command_id = derived_id(account.user_id, "login", key)
    session_id = _id_of("ses", command_id)
    first = RefreshToken(user_id=account.user_id, session_id=session_id, secret=_first_secret(desk, session_id, key))
    device = request.head.headers.get(b"user-agent", b"").decode("latin-1")[:DEVICE_MAX]
    # Not the body: a quick hash of a password is not written down anywhere.
    digest = hashlib.blake2b(email.encode() + b"\n" + (data.guest_token or "").encode(), digest_size=16).digest()
    login = Login(session_id=session_id, refresh_hash=tokens.refresh_hash(first), device=device)
    granted = await desk.told("sessions", account.user_id, login, command_id=command_id, digest=digest)
    if data.guest_token is not None:
        await merge_guest(desk, account.user_id, guest_key(data.guest_token))
    return _tokens(desk, account.user_id, granted, first)


def _first_secret(desk: Desk, session_id: str, key: bytes) -> bytes:
    keys = desk.services.token_keys
    return hmac.digest(keys.keys[keys.current], _LOGIN + session_id.encode() + b"\0" + key, "sha256")


def _tokens(desk: Desk, user_id: str, granted: SessionGranted, refresh: RefreshToken) -> Tokens:
    token = AccessToken(
        user_id=user_id,
        session_id=granted.session_id,
        generation=granted.generation,
        roles=int(Role.CUSTOMER),
        expires_at_ms=desk.clock.now_ms() + desk.settings.access_token_s * 1000,
    )
    return Tokens(
        access_token=tokens.issue(desk.services.token_keys, token),
        refresh_token=tokens.refresh_token_text(refresh),
        expires_in=desk.settings.access_token_s,
        user_id=user_id,
        session_id=granted.session_id,
    )


@post("/v1/sessions/refresh", operation_id="refreshSession", status_code=200)
async def refresh_session(request: ShopRequest, data: JSONBody[RefreshSession]) -> Tokens:
    """A token that was exchanged before ends its session: one of the two who have it stole it."""
    desk = request.desk
    presented = tokens.parse_refresh_token(data.refresh_token)
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
    return _tokens(desk, presented.user_id, answer.reply, following)


@get("/v1/sessions", operation_id="listSessions")
async def list_sessions(request: ShopRequest) -> OpenSessions:
    """All open sessions of the user."""
    token = request.customer()
    found = await _sessions_of(request.desk, token.user_id)
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


async def _sessions_of(desk: Desk, user_id: str) -> SessionList:
    found = await desk.told("sessions", user_id, ListSessions())
    assert isinstance(found, SessionList)
    return found


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


@delete("/v1/sessions", operation_id="logOutEverywhere")
async def log_out_everywhere(request: ShopRequest) -> None:
    """End every session of the user, this one too."""
    token, desk = request.customer(), request.desk
    found = await _sessions_of(desk, token.user_id)
    await desk.told("sessions", token.user_id, RevokeAll(), digest=b"revoke")
    desk.revocations.end([token.session_id, *(view.session_id for view in found.sessions)])


HANDLERS: Final[list[Any]] = [register, log_in, refresh_session, list_sessions, log_out, log_out_everywhere]
