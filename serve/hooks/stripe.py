"""The payment provider's webhooks: believed when signed, answered with 2xx only when recorded."""

from typing import Any, Final

import structlog
from litestar import post

from actors.adapters.payments.gateway import order_notice
from schemas.http.hooks import HookTaken
from schemas.ids import derived_id, is_id
from schemas.payment import NoticeIgnored, NoticeRefused
from serve.framework import ShopRequest
from serve.requests import Refusal

log = structlog.get_logger("stampede.hooks")


@post("/v1/hooks/stripe", operation_id="stripeWebhook", status_code=200)
async def stripe_webhook(request: ShopRequest) -> HookTaken:
    """The provider sends again what is not answered with 2xx, for days; so what is not known yet may be said later."""
    desk = request.desk
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.head.headers.items()}
    body = await request.body()
    notice = desk.services.gateway.parse_notice(headers, body, desk.clock.now_ms() // 1000)
    if isinstance(notice, NoticeRefused):
        desk.services.counters.webhooks_refused += 1
        log.warning("webhook_refused", code=notice.code, reason=notice.reason, request_id=request.head.id.decode())
        raise Refusal(notice.code)
    if isinstance(notice, NoticeIgnored):
        return HookTaken(received=True)
    meant = order_notice(notice)
    if meant is None:
        return HookTaken(received=True)
    user_id, command = meant
    if not is_id(user_id, "usr"):
        raise Refusal("payment_mismatch")
    command_id = derived_id("notice", notice.event_id)
    answer = await desk.ask("order", user_id, command, command_id=command_id, digest=b"notice")
    if answer.code == "order_unknown":
        # Its order may be committed a moment from now, or be forgotten: the provider asks again either way.
        raise Refusal("busy")
    if answer.code:
        log.warning("webhook_not_recorded", code=answer.code, event=notice.event_id, request_id=request.head.id.decode())
        raise Refusal(answer.code, answer.params)
    return HookTaken(received=True)


HANDLERS: Final[list[Any]] = [stripe_webhook]
