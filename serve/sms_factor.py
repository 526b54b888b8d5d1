"""A code by SMS as a factor: to the one telephone that its owner has chosen for it.

A number that is merely bound to log in by is no second factor: whoever got in once could bind his own.
"""

from typing import Final

import msgspec

from schemas.factors import FactorsView, ReadFactors
from schemas.http.factors import SmsAnswer, SmsSent
from schemas.identity import ProvenIdentity
from serve.desk import Desk
from serve.framework import ShopRequest
from serve.requests import Refusal

PURPOSE: Final = "step_up"


async def factors_of(desk: Desk, user_id: str) -> FactorsView:
    """The second factors of a user."""
    view = await desk.told("factors", user_id, ReadFactors())
    assert isinstance(view, FactorsView)
    return view


async def phone_of(desk: Desk, user_id: str, view: FactorsView) -> str | None:
    """The number that codes for this user go to, in E.164: the chosen one or, of who has no second factor, a bound one."""
    if view.methods and not view.sms:
        return None
    phones = [one.subject for one in await desk.identities.of_user(user_id) if one.kind == "phone"]
    return next((phone for phone in phones if not view.sms or phone_lookup(desk, phone) == view.sms), None)


def phone_lookup(desk: Desk, phone: str) -> bytes:
    """The fingerprint of a number."""
    return desk.identities.lookup(ProvenIdentity(kind="phone", subject=phone))


async def usable_methods(desk: Desk, user_id: str, view: FactorsView) -> tuple[str, ...]:
    """The second factors of a user, without SMS where its number is no longer bound."""
    if not view.sms or await phone_of(desk, user_id, view) is not None:
        return view.methods
    return msgspec.structs.replace(view, sms=b"").methods


async def send_sms(request: ShopRequest, user_id: str) -> SmsSent:
    """Send a code to the user's own number. Refusal ``method_unavailable``, and those of whoever sends."""
    desk = request.desk
    phone = await phone_of(desk, user_id, await factors_of(desk, user_id))
    if phone is None:
        raise Refusal("method_unavailable")
    address = request.head.address(desk.settings.forwarded_hops)
    sent = await desk.codes.send(
        channel="sms", to=phone, purpose=PURPOSE, user_id=user_id, language=request.head.language, address=address
    )  # fmt: skip
    return SmsSent(challenge_id=sent.challenge_id, resend_after_s=sent.resend_after_s, expires_in=sent.expires_in_s)


async def check_sms(desk: Desk, user_id: str, answer: SmsAnswer) -> None:
    """Refusal unless this is the code that was sent to the user for a step-up. Tries are counted where codes are kept."""
    phone = await phone_of(desk, user_id, await factors_of(desk, user_id))
    if phone is None:
        raise Refusal("method_unavailable")
    await desk.codes.answered(
        channel="sms", to=phone, challenge_id=answer.challenge_id, purpose=PURPOSE, user_id=user_id, code=answer.code
    )  # fmt: skip
