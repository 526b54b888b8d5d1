"""From somebody who has proven who they are to a session: the one way in for every kind of login.

Whoever proves an address, a number or a third party's word and has no account gets one: a shop has no use for the
difference between "log in" and "sign up", and so nobody learns from an answer whether somebody else has an account.
"""

import hashlib
import hmac
import re
from typing import Final

from actors.domain import token as tokens
from actors.domain.token import AccessToken, RefreshToken
from actors.storage.users import Account
from schemas.http.accounts import Tokens
from schemas.identity import ProvenIdentity
from schemas.ids import derived_id, id_of
from schemas.sessions import ListSessions, Login, SessionGranted
from serve.desk import Desk
from serve.framework import ShopRequest
from serve.notices import tell_owner
from serve.requests import Refusal
from serve.second_factor import check_second_factor
from serve.shop.guests import guest_key, merge_guest

DEVICE_MAX: Final = 200
VISITOR_HEADER: Final = b"visitor-id"
"""The name under which this terminal sent events as a guest. To send it is the guest's consent to join them with the account."""

_VISITOR: Final = re.compile(r"[A-Za-z0-9_-]{16,64}")
_LOGIN: Final = b"stampede.login\0"


async def signed_in(
    request: ShopRequest, proven: ProvenIdentity, key: bytes, guest_token: str | None = None, *, cookie: bool = False
) -> Tokens:
    """A session of whoever has proven this, of a new account if there is none. The same key gets the same session.

    Refusal ``account_disabled``.
    """
    desk = request.desk
    account = await account_of(desk, proven)
    if account is None:
        register_id = derived_id("register", proven.kind, proven.subject, key)
        user_id = id_of("usr", register_id)
        await desk.users.open(user_id, proven, None, register_id)
        account = await account_of(desk, proven)
    if account is None:
        raise Refusal("account_disabled")
    return await session_opened(request, account, key, guest_token, cookie=cookie, proven_by=proven.kind)


async def account_of(desk: Desk, proven: ProvenIdentity) -> Account | None:
    """The account that logs in by this; also where a third party's name for all apps is what is known."""
    user_id = await desk.identities.find(proven)
    return None if user_id is None else await desk.users.one(user_id)


async def session_opened(
    request: ShopRequest,
    account: Account,
    key: bytes,
    guest_token: str | None = None,
    *,
    cookie: bool = False,
    proven_by: str = "",
    stepped_up_at_ms: int = 0,
) -> Tokens:
    """Open a session of an account; the guest's cart comes along. Refusal ``account_disabled``, ``second_factor_required``.

    proven_by: the kind of identity that was proven by itself. stepped_up_at_ms: when a second factor was; 0: not yet.
    """
    desk = request.desk
    if account.status != "active":
        raise Refusal("account_disabled")
    if not stepped_up_at_ms:
        await check_second_factor(request, account.user_id, key, guest_token, cookie=cookie, proven_by=proven_by)
    visitor_id = _visitor(request)
    # Whoever asked to be forgotten and logs in again has thought better of it.
    await desk.privacy.cancel_erasure(account.user_id)
    command_id = derived_id(account.user_id, "login", key)
    session_id = id_of("ses", command_id)
    first = RefreshToken(user_id=account.user_id, session_id=session_id, secret=_first_secret(desk, session_id, key))
    device = request.head.headers.get(b"user-agent", b"").decode("latin-1")[:DEVICE_MAX]
    # Not the body: a quick hash of a password is not written down anywhere.
    digest = hashlib.blake2b(account.user_id.encode() + b"\n" + (guest_token or "").encode(), digest_size=16).digest()
    login = Login(session_id=session_id, refresh_hash=tokens.refresh_hash(first), device=device)
    before = await desk.told("sessions", account.user_id, ListSessions())
    granted = await desk.told("sessions", account.user_id, login, command_id=command_id, digest=digest)
    others = [view.device for view in before.sessions if view.session_id != session_id]
    if others and device not in others:
        tell_owner(request, account.user_id, "new_device", session_id, device=device or "?")
    if guest_token is not None:
        await merge_guest(desk, account.user_id, guest_key(guest_token))
    if visitor_id:
        await desk.event_people.join(account.user_id, visitor_id, desk.clock.now_ms())
    return await tokens_of(request, account.user_id, granted, first, cookie=cookie, stepped_up_at_ms=stepped_up_at_ms)


def _visitor(request: ShopRequest) -> str:
    """Whose guest's history comes along; empty without a name, and for a browser that wants no part of it. Refusal ``invalid_request``."""
    text = request.head.headers.get(VISITOR_HEADER, b"").decode("latin-1")
    if text and not _VISITOR.fullmatch(text):
        raise Refusal("invalid_request", {"reason": "Visitor-Id is 16 to 64 letters, digits, _ or -"})
    return "" if request.head.headers.get(b"sec-gpc") == b"1" else text


def _first_secret(desk: Desk, session_id: str, key: bytes) -> bytes:
    keys = desk.services.token_keys
    return hmac.digest(keys.keys[keys.current], _LOGIN + session_id.encode() + b"\0" + key, "sha256")


async def tokens_of(
    request: ShopRequest,
    user_id: str,
    granted: SessionGranted,
    refresh: RefreshToken,
    *,
    cookie: bool = False,
    stepped_up_at_ms: int = 0,
) -> Tokens:
    """Tokens of a session: in the answer, or as cookies that no script reads."""
    desk = request.desk
    access_token = access_token_of(desk, user_id, granted, await desk.roles.of(user_id), stepped_up_at_ms=stepped_up_at_ms)
    refresh_token = tokens.refresh_token_text(refresh)
    if cookie:
        desk.cookies.give(request.head, access_token, refresh_token)
    return Tokens(
        access_token=None if cookie else access_token,
        refresh_token=None if cookie else refresh_token,
        expires_in=desk.settings.access_token_s,
        user_id=user_id,
        session_id=granted.session_id,
    )


def access_token_of(desk: Desk, user_id: str, granted: SessionGranted, roles: int, *, stepped_up_at_ms: int = 0) -> str:
    """A fresh access token of a session. ``roles``: ``await desk.roles.of(user_id)``, as the table says now."""
    token = AccessToken(
        user_id=user_id,
        session_id=granted.session_id,
        generation=granted.generation,
        roles=roles,
        expires_at_ms=desk.clock.now_ms() + desk.settings.access_token_s * 1000,
        stepped_up_at_ms=stepped_up_at_ms,
    )
    return tokens.issue(desk.services.token_keys, token)
