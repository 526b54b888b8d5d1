"""Logins by second factors: the second step of a login, and passkeys, which are a login by themselves."""

import hashlib
from typing import Any, Final

import msgspec
from litestar import post
from litestar.params import JSONBody

from schemas.factors import FactorProven
from schemas.http.accounts import Tokens
from schemas.http.factors import LoggedIn, PasskeyLogin, PasskeyOptions, SecondFactor, SmsSent, TicketShown
from serve.desk import Desk
from serve.framework import ShopRequest
from serve.notices import tell_of_recovery
from serve.passkeys import LOGIN, SECOND_FACTOR, assertion_options, prove_passkey
from serve.proofs import prove_recovery_code, prove_totp
from serve.requests import Refusal
from serve.second_factor import LoginTicket, device_token, ticket_of
from serve.signing_in import session_opened
from serve.sms_factor import check_sms, send_sms


def _ticket(request: ShopRequest, text: str) -> LoginTicket:
    """Whose login goes on. Refusal ``login_ticket_invalid``, ``rate_limited``."""
    request.desk.check_login_tries(request.head)
    return ticket_of(request.desk, text)


def _bound(text: str) -> str:
    """What ties a question for a passkey to one login."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@post("/v1/sessions/second-factor", operation_id="finishSecondFactor")
async def finish_login(request: ShopRequest, data: JSONBody[SecondFactor]) -> LoggedIn:
    """The session that the login was about. It needs no key: the ticket has the login's own, and what proves it is good once."""
    desk, ticket = request.desk, _ticket(request, data.login_ticket)
    proven = await _proven(desk, ticket, data)
    tokens = await _opened(request, ticket.user_id, ticket.key, ticket.guest_token, ticket.cookie, proven)
    trusted = await device_token(desk, ticket.user_id) if data.trust_device else None
    return LoggedIn(**msgspec.structs.asdict(tokens), device_token=trusted)


async def _proven(desk: Desk, ticket: LoginTicket, data: SecondFactor) -> FactorProven:
    user_id = ticket.user_id
    match data:
        case SecondFactor(totp=str(code), recovery_code=None, assertion=None, sms=None):
            return await prove_totp(desk, user_id, code)
        case SecondFactor(totp=None, recovery_code=str(code), assertion=None, sms=None):
            return await prove_recovery_code(desk, user_id, code)
        case SecondFactor(totp=None, recovery_code=None, assertion=assertion, sms=None) if assertion is not None:
            _, _, proven = await prove_passkey(desk, assertion, SECOND_FACTOR, user_id, _bound(data.login_ticket))
            return proven
        case SecondFactor(totp=None, recovery_code=None, assertion=None, sms=sms) if sms is not None:
            if not ticket.sms:
                raise Refusal("method_unavailable")
            await check_sms(desk, user_id, sms)
            return FactorProven(method="sms", at_ms=desk.clock.now_ms())
    raise Refusal("invalid_request", {"reason": "exactly one of totp, recovery_code, assertion, sms"})


async def _opened(request: ShopRequest, user_id: str, key: bytes, guest: str | None, cookie: bool, proven: FactorProven) -> Tokens:
    account = await request.desk.users.one(user_id)
    if account is None:
        raise Refusal("account_disabled")
    tell_of_recovery(request, user_id, proven)
    return await session_opened(request, account, key, guest, cookie=cookie, stepped_up_at_ms=proven.at_ms)


@post("/v1/sessions/second-factor/passkey-options", operation_id="secondFactorPasskeyOptions", status_code=200)
async def finish_login_passkey_options(request: ShopRequest, data: JSONBody[TicketShown]) -> PasskeyOptions:
    """For ``navigator.credentials.get()`` with one of the account's passkeys."""
    ticket = _ticket(request, data.login_ticket)
    return await assertion_options(request.desk, SECOND_FACTOR, ticket.user_id, _bound(data.login_ticket))


@post("/v1/sessions/second-factor/sms", operation_id="secondFactorSms", status_code=202)
async def finish_login_sms(request: ShopRequest, data: JSONBody[TicketShown]) -> SmsSent:
    """To the number that the account has bound."""
    ticket = _ticket(request, data.login_ticket)
    if not ticket.sms:
        raise Refusal("method_unavailable")
    return await send_sms(request, ticket.user_id)


@post("/v1/sessions/passkey/options", operation_id="passkeyLoginOptions", status_code=200)
async def passkey_login_options(request: ShopRequest) -> PasskeyOptions:
    """For ``navigator.credentials.get()`` with whatever passkey of this shop the browser has."""
    request.desk.check_login_tries(request.head)
    return await assertion_options(request.desk, LOGIN)


@post("/v1/sessions/passkey", operation_id="logInWithPasskey")
async def log_in_with_passkey(request: ShopRequest, data: JSONBody[PasskeyLogin]) -> Tokens:
    """Two factors at once: what one has, and the finger, face or PIN that it was asked for. Each question opens one session."""
    request.desk.check_login_tries(request.head)
    user_id, challenge, proven = await prove_passkey(request.desk, data.assertion, LOGIN)
    return await _opened(request, user_id, challenge.id.hex().encode(), data.guest_token, data.cookie, proven)


HANDLERS: Final[list[Any]] = [
    finish_login, finish_login_passkey_options, finish_login_sms, passkey_login_options, log_in_with_passkey,
]  # fmt: skip
