"""A code by SMS as a factor, to the telephone that the user has bound and to no other."""

from typing import Final

from schemas.http.factors import SmsAnswer, SmsSent
from serve.desk import Desk
from serve.framework import ShopRequest
from serve.requests import Refusal

PURPOSE: Final = "step_up"


async def phone_of(desk: Desk, user_id: str) -> str | None:
    """The number that codes for this user go to, in E.164; None where there is none."""
    return next((one.subject for one in await desk.identities.of_user(user_id) if one.kind == "phone"), None)


async def send_sms(request: ShopRequest, user_id: str) -> SmsSent:
    """Send a code to the user's own number. Refusal ``method_unavailable``, and those of whoever sends."""
    desk, phone = request.desk, await phone_of(request.desk, user_id)
    if phone is None:
        raise Refusal("method_unavailable")
    address = request.head.address(desk.settings.forwarded_hops)
    sent = await desk.codes.send(
        channel="sms", to=phone, purpose=PURPOSE, user_id=user_id, language=request.head.language, address=address
    )  # fmt: skip
    return SmsSent(challenge_id=sent.challenge_id, resend_after_s=sent.resend_after_s, expires_in=sent.expires_in_s)


async def check_sms(desk: Desk, user_id: str, answer: SmsAnswer) -> None:
    """Refusal unless this is the code that was sent to the user for a step-up. Tries are counted where codes are kept."""
    phone = await phone_of(desk, user_id)
    if phone is None:
        raise Refusal("method_unavailable")
    await desk.codes.answered(
        channel="sms", to=phone, challenge_id=answer.challenge_id, purpose=PURPOSE, user_id=user_id, code=answer.code
    )  # fmt: skip
