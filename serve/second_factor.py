"""A login that is not finished: the password was right, and the account wants a second factor as well.

Nothing is kept in between. The answer is a problem with a signed ticket that says whose login it is and under which key
its session opens; whoever brings it back within five minutes with a second factor gets that session. A device that was
trusted carries a signed token of its own, which is good until something is taken away from the account's factors.
"""

from typing import Final

import msgspec

from actors.domain.signing import sign, verified
from schemas.factors import RemoveFactor, SetSms
from serve.desk import Desk
from serve.framework import ShopRequest
from serve.requests import Refusal
from serve.sms_factor import factors_of, usable_methods

TICKET_MS: Final = 5 * 60_000
"""Long enough to find the telephone, too short for a code to be sold on."""

DEVICE_MS: Final = 30 * 86_400_000
DEVICE_HEADER: Final = b"device-token"

_TICKET: Final = b"stampede.login_ticket\0"
_DEVICE: Final = b"stampede.device\0"


class LoginTicket(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """``key``: of the login, from which its session's id and first tokens follow. expires_at_ms: UTC.

    ``sms``: a code by SMS counts, since it was not by SMS that the login began.
    """

    user_id: str
    key: bytes
    guest_token: str | None
    cookie: bool
    sms: bool
    expires_at_ms: int


class _Device(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    user_id: str
    generation: int
    expires_at_ms: int


_TICKETS: Final = msgspec.msgpack.Decoder(LoginTicket)
_DEVICES: Final = msgspec.msgpack.Decoder(_Device)


async def remove_factors(desk: Desk, user_id: str) -> None:
    """Take everything away: for an account that is erased, or merged into another. A repeat goes on where a crash left it.

    Refusal ``busy`` when something is left: an owner that is busy says so in its answer, and keeps what it has.
    """
    await desk.passkeys.remove_all(user_id)
    view = await factors_of(desk, user_id)
    for factor_id in [*(one.factor_id for one in view.totp), *(one.factor_id for one in view.passkeys)]:
        await desk.ask("factors", user_id, RemoveFactor(factor_id=factor_id), digest=b"remove")
    await desk.ask("factors", user_id, SetSms(lookup=b""))
    left = await factors_of(desk, user_id)
    if left.totp or left.passkeys or left.sms:
        raise Refusal("busy")


async def check_second_factor(
    request: ShopRequest, user_id: str, key: bytes, guest_token: str | None, *, cookie: bool, proven_by: str
) -> None:
    """Refusal ``second_factor_required`` with a ticket, when this account has a second factor and this device is not trusted.

    proven_by: the kind of identity that was just proven; a code to the same telephone is no second factor.
    """
    desk = request.desk
    view = await factors_of(desk, user_id)
    methods = await usable_methods(desk, user_id, view)
    if not methods or _is_trusted(request, user_id, view.generation):
        return
    sms = proven_by != "phone" and "sms" in methods
    ticket = LoginTicket(
        user_id=user_id,
        key=key,
        guest_token=guest_token,
        cookie=cookie,
        sms=sms,
        expires_at_ms=desk.clock.now_ms() + TICKET_MS,
    )
    text = sign(desk.services.token_keys, _TICKET, msgspec.msgpack.encode(ticket))
    raise Refusal("second_factor_required", {"login_ticket": text, "methods": [name for name in methods if sms or name != "sms"]})


def ticket_of(desk: Desk, text: str) -> LoginTicket:
    """What a ticket says. Refusal ``login_ticket_invalid``."""
    fields = verified(desk.services.token_keys, _TICKET, text)
    ticket = _TICKETS.decode(fields) if fields is not None else None
    if ticket is None or desk.clock.now_ms() >= ticket.expires_at_ms:
        raise Refusal("login_ticket_invalid")
    return ticket


async def device_token(desk: Desk, user_id: str) -> str:
    """What lets a device log in without a second factor from now on."""
    view = await factors_of(desk, user_id)
    device = _Device(user_id=user_id, generation=view.generation, expires_at_ms=desk.clock.now_ms() + DEVICE_MS)
    return sign(desk.services.token_keys, _DEVICE, msgspec.msgpack.encode(device))


def _is_trusted(request: ShopRequest, user_id: str, generation: int) -> bool:
    desk = request.desk
    text = request.head.headers.get(DEVICE_HEADER)
    fields = verified(desk.services.token_keys, _DEVICE, text.decode("latin-1")) if text is not None else None
    if fields is None:
        return False
    device = _DEVICES.decode(fields)
    return device.user_id == user_id and device.generation == generation and desk.clock.now_ms() < device.expires_at_ms
