"""``POST /v1/codes``: somebody asks for a one-time code."""

from typing import Any, Final

from litestar import post
from litestar.params import JSONBody

from schemas.http.codes import CodeSent, SendCode
from schemas.identity import ProvenIdentity
from serve.codes import canonical_destination
from serve.desk import Desk
from serve.framework import ShopRequest

PERSONAL: Final = frozenset({"bind", "step_up", "merge"})
"""Purposes of somebody who is logged in."""


@post("/v1/codes", operation_id="sendCode", status_code=202)
async def send_code(request: ShopRequest, data: JSONBody[SendCode]) -> CodeSent:
    """One message goes out whether or not there is an account; only its reader learns which."""
    desk = request.desk
    user_id = request.customer().user_id if data.purpose in PERSONAL else ""
    key = request.head.idempotency_key()
    to = canonical_destination(data.channel, data.to)
    sent = await desk.codes.send(
        channel=data.channel,
        to=to,
        purpose=data.purpose,
        user_id=user_id,
        language=request.head.language,
        address=request.head.address(desk.settings.forwarded_hops),
        template=await _template(desk, data.channel, to, data.purpose),
        key=key,
    )
    return CodeSent(challenge_id=sent.challenge_id, resend_after_s=sent.resend_after_s, expires_in=sent.expires_in_s)


async def _template(desk: Desk, channel: str, to: str, purpose: str) -> str:
    """What the message says. A text message is always the code: whoever has it has proven the number, and may be told the rest."""
    if channel != "email" or purpose not in ("register", "reset_password"):
        return "code"
    exists = await desk.users.find(ProvenIdentity(kind="email", subject=to)) is not None
    if purpose == "register":
        return "account_exists" if exists else "code"
    return "code" if exists else "no_account"


HANDLERS: Final[list[Any]] = [send_code]
