"""Accounts: register, log in with a password or a code, set another password, add a way to log in, become one with another account.

Whoever asks for a code learns nothing from the answer; whoever brings the right one back has proven the address or number,
and may be told what belongs to it. A password is judged before the code is spent.
"""

from typing import Any, Final

from litestar import get, post, put
from litestar.params import JSONBody

from actors.storage.identities import IDENTITIES_MAX
from actors.storage.users import Account
from schemas.factors import ForgetDevices
from schemas.http.accounts import ChangePassword, LogIn, LogInByCode, Me, Merge, Named, ProveNamed, Register, ResetPassword, Tokens
from schemas.identity import ProvenIdentity
from schemas.ids import derived_id, id_of
from serve.codes import canonical_destination
from serve.desk import Desk
from serve.framework import ShopRequest
from serve.merging import follow_merge
from serve.notices import tell_of_added, tell_owner
from serve.requests import Refusal
from serve.shop.guests import merge_guest
from serve.shop.sessions import end_sessions
from serve.signing_in import account_of, session_opened, signed_in
from serve.step_up import require_where_protected


def _named(named: Named) -> ProvenIdentity:
    """Whom a request names; nothing is proven yet. Refusal ``invalid_request``, ``phone_invalid``."""
    if (named.email is None) == (named.phone is None):
        raise Refusal("invalid_request", {"reason": "send email or phone, and not both"})
    if named.phone is not None:
        return ProvenIdentity(kind="phone", subject=canonical_destination("sms", named.phone))
    return ProvenIdentity(kind="email", subject=canonical_destination("email", named.email or ""))


async def _prove(request: ShopRequest, named: ProvenIdentity, challenge_id: str, code: str, purpose: str, user_id: str = "") -> None:
    """Spend the code that was sent there. A repeat of the request gets the first answer. Refusals of ``Codes.answered``."""
    desk, key = request.desk, request.head.idempotency_key()
    await desk.codes.answered(
        channel="sms" if named.kind == "phone" else "email",
        to=named.subject,
        challenge_id=challenge_id,
        purpose=purpose,
        user_id=user_id,
        code=code,
        command_id=derived_id("code", purpose, user_id, challenge_id, key),
    )


@post("/v1/users", operation_id="register")
async def register(request: ShopRequest, data: JSONBody[Register]) -> Tokens:
    """A repeat with the same key gets the same account and session, also when the account was made by a try that was lost."""
    desk = request.desk
    key = request.head.idempotency_key()
    named = _named(data)
    request.desk.check_login_tries(request.head, named.subject)
    await desk.passwords.judge(data.password, named.subject)
    await _prove(request, named, data.challenge_id, data.code, "register")
    register_id = derived_id("register", named.kind, named.subject, key)
    account = await desk.users.find(named)
    if account is None:
        password_hash = await desk.passwords.hashed(data.password, named.subject)
        await desk.users.open(id_of("usr", register_id), named, password_hash, register_id)
        account = await desk.users.find(named)
    if account is None or account.register_id != register_id:
        raise Refusal("identity_taken")
    if not await desk.passwords.fits(data.password, account.password_hash):
        raise Refusal("idempotency_key_reused")
    return await session_opened(request, account, key, data.guest_token, cookie=data.cookie)


@post("/v1/sessions", operation_id="logIn")
async def log_in(request: ShopRequest, data: JSONBody[LogIn]) -> Tokens:
    """The same key and password open the same session; an unknown name takes as long to refuse as a wrong password."""
    desk = request.desk
    key = request.head.idempotency_key()
    named = _named(data)
    request.desk.check_login_tries(request.head, named.subject)
    account = await desk.users.find(named)
    kept = account.password_hash if account else None
    if not await desk.passwords.fits(data.password, kept) or account is None or kept is None:
        raise Refusal("wrong_credentials")
    if desk.passwords.is_old(kept):
        await desk.users.set_password(account.user_id, await desk.passwords.hashed(data.password, named.subject))
    return await session_opened(request, account, key, data.guest_token, cookie=data.cookie)


@post("/v1/sessions/code", operation_id="logInByCode")
async def log_in_by_code(request: ShopRequest, data: JSONBody[LogInByCode]) -> Tokens:
    """Who brings the code back is logged in, and gets an account where there is none."""
    key = request.head.idempotency_key()
    named = _named(data)
    request.desk.check_login_tries(request.head, named.subject)
    await _prove(request, named, data.challenge_id, data.code, "login")
    return await signed_in(request, named, key, data.guest_token, cookie=data.cookie)


@post("/v1/passwords/reset", operation_id="resetPassword", status_code=204)
async def reset_password(request: ShopRequest, data: JSONBody[ResetPassword]) -> None:
    """Whoever had got in before is out."""
    desk = request.desk
    named = _named(data)
    request.desk.check_login_tries(request.head, named.subject)
    await desk.passwords.judge(data.password, named.subject)
    await _prove(request, named, data.challenge_id, data.code, "reset_password")
    account = await account_of(desk, named)
    if account is None or account.status != "active":
        raise Refusal("wrong_credentials")
    await desk.users.set_password(account.user_id, await desk.passwords.hashed(data.password, named.subject))
    await desk.told("factors", account.user_id, ForgetDevices())
    await end_sessions(desk, account.user_id)
    tell_owner(request, account.user_id, "password_changed", data.challenge_id)


@put("/v1/me/password", operation_id="changePassword", status_code=204)
async def change_password(request: ShopRequest, data: JSONBody[ChangePassword]) -> None:
    """This session goes on; the others end."""
    desk, token = request.desk, await require_where_protected(request)
    account = await _own_account(desk, token.user_id)
    if not desk.account_logins.take(token.user_id):
        raise Refusal("rate_limited", {"retry_after_s": 5})
    kept = account.password_hash
    if kept is not None and not await desk.passwords.fits(data.current or "", kept):
        raise Refusal("wrong_credentials")
    await desk.users.set_password(token.user_id, await desk.passwords.hashed(data.password, token.user_id))
    await end_sessions(desk, token.user_id, keep=token.session_id)
    # The next try of the same request has the wrong current password: what is here happened once.
    tell_owner(request, account.user_id, "password_changed", desk.new_id())


async def _own_account(desk: Desk, user_id: str) -> Account:
    account = await desk.users.one(user_id)
    if account is None or account.status != "active":
        raise Refusal("account_closed")
    return account


@get("/v1/me", operation_id="readMe")
async def read_me(request: ShopRequest) -> Me:
    """The account that is logged in."""
    desk, token = request.desk, request.customer()
    account = await _own_account(desk, token.user_id)
    merged = await desk.users.merged_into(token.user_id)
    return Me(user_id=token.user_id, has_password=account.password_hash is not None, merged=tuple(merged))


@post("/v1/me/identities", operation_id="addIdentity", status_code=204)
async def add_identity(request: ShopRequest, data: JSONBody[ProveNamed]) -> None:
    """Log in by this address or number too. One that another account logs in by is refused: the two can become one."""
    desk, token = request.desk, await require_where_protected(request)
    named = _named(data)
    await _prove(request, named, data.challenge_id, data.code, "bind", token.user_id)
    before = await desk.identities.of_user(token.user_id)
    refused = await desk.identities.add(token.user_id, named)
    if refused:
        raise Refusal(refused, {"limit": IDENTITIES_MAX} if refused == "identities_full" else None)
    tell_of_added(request, token.user_id, named, before)


@post("/v1/me/merge", operation_id="mergeAccounts", status_code=200)
async def merge_accounts(request: ShopRequest, data: JSONBody[Merge]) -> Tokens:
    """This account becomes one with the account that logs in by this; its sessions end, and a session of the other one begins.

    Each step may be repeated, also when this process ends in between: cart lines count once; ways to log in, points and growth
    move once. A repeat after the end finds its session gone and logs in by what it has just proven.
    """
    desk, token, key = request.desk, await require_where_protected(request), request.head.idempotency_key()
    named = _named(data)
    await _prove(request, named, data.challenge_id, data.code, "merge", token.user_id)
    survivor = await account_of(desk, named)
    if survivor is None or survivor.user_id == token.user_id:
        raise Refusal("identity_unknown")
    if survivor.status != "active":
        raise Refusal("account_disabled")
    before = [one for user_id in (token.user_id, survivor.user_id) for one in await desk.identities.of_user(user_id)]
    await merge_guest(desk, survivor.user_id, token.user_id)
    if not await desk.users.merge(token.user_id, survivor.user_id):
        raise Refusal("account_closed")
    await follow_merge(desk, token.user_id, survivor.user_id)
    tell_owner(request, survivor.user_id, "accounts_merged", token.user_id, before=before)
    return await session_opened(request, survivor, key, cookie=data.cookie, proven_by=named.kind)


HANDLERS: Final[list[Any]] = [
    register, log_in, log_in_by_code, reset_password, change_password, read_me, add_identity, merge_accounts,
]  # fmt: skip
