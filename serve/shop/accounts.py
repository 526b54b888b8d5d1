"""Accounts: register and log in with a password."""

from typing import Any, Final

from litestar import post
from litestar.params import JSONBody

from schemas.http.accounts import LogIn, Register, Registered, Tokens
from schemas.identity import ProvenIdentity
from schemas.ids import derived_id
from serve.framework import ShopRequest
from serve.requests import Refusal
from serve.shop.email_addresses import canonical
from serve.signing_in import id_of, session_opened


def _address(request: ShopRequest, email: str) -> ProvenIdentity:
    """The canonical address, if it may be tried again so soon. Refusal ``invalid_request``, ``rate_limited``."""
    desk = request.desk
    address = canonical(email)
    if address is None:
        raise Refusal("invalid_request", {"reason": "email is no address"})
    peer = request.head.address(desk.settings.forwarded_hops)
    if (peer and not desk.address_logins.take(peer)) or not desk.account_logins.take(address):
        raise Refusal("rate_limited", {"retry_after_s": 5})
    return ProvenIdentity(kind="email", subject=address)


@post("/v1/users", operation_id="register")
async def register(request: ShopRequest, data: JSONBody[Register]) -> Registered:
    """A repeat with the same key and password gets the first answer, also when the account was made by a try that was lost."""
    desk = request.desk
    key = request.head.idempotency_key()
    email = _address(request, data.email)
    register_id = derived_id("register", email.subject, key)
    user_id = id_of("usr", register_id)
    known = await desk.users.find(email)
    if known is None:
        password_hash = await desk.passwords.hashed(data.password, email.subject)
        if await desk.users.open(user_id, email, password_hash, register_id):
            return Registered(user_id=user_id, email=email.subject)
        known = await desk.users.find(email)
    if known is None or known.register_id != register_id:
        raise Refusal("email_taken")
    if not await desk.passwords.fits(data.password, known.password_hash):
        raise Refusal("idempotency_key_reused")
    return Registered(user_id=known.user_id, email=email.subject)


@post("/v1/sessions", operation_id="logIn")
async def log_in(request: ShopRequest, data: JSONBody[LogIn]) -> Tokens:
    """The same key and password open the same session; an unknown address takes as long to refuse as a wrong password."""
    desk = request.desk
    key = request.head.idempotency_key()
    email = _address(request, data.email)
    account = await desk.users.find(email)
    kept = account.password_hash if account else None
    if not await desk.passwords.fits(data.password, kept) or account is None or kept is None:
        raise Refusal("wrong_credentials")
    if desk.passwords.is_old(kept):
        await desk.users.set_password(account.user_id, await desk.passwords.hashed(data.password, email.subject))
    return await session_opened(request, account, key, data.guest_token, cookie=data.cookie)


HANDLERS: Final[list[Any]] = [register, log_in]
