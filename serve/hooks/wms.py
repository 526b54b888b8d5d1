"""Webhooks of warehouses: believed when signed, answered with 2xx when stored; what they say is carried out afterwards."""

from typing import Any, Final

import structlog
from litestar import post
from litestar.params import FromPath

from actors.adapters.wms.signature import flaw
from schemas.http.hooks import HookTaken
from serve.framework import ShopRequest
from serve.requests import Refusal

log = structlog.get_logger("stampede.hooks")

WAITING_MAX: Final = 10_000
"""Messages of one warehouse that wait here; then it is told to come back."""

HEADERS: Final = ("webhook-id", "webhook-timestamp", "webhook-signature")


@post("/v1/hooks/wms/{connection_id:str}", operation_id="wmsWebhook", status_code=200)
async def wms_webhook(request: ShopRequest, connection_id: FromPath[str]) -> HookTaken:
    """Nothing is read before its signature was. An unknown line is answered as a wrong signature is."""
    desk, head = request.desk, request.head
    line = (await desk.wms_work.lines.all()).get(connection_id)
    given = {name: head.headers.get(name.encode(), b"").decode("latin-1") for name in HEADERS}
    body = await request.body()
    now_ms = desk.clock.now_ms()
    wrong = "signature_invalid" if line is None else flaw(given, body, line.secrets.theirs, now_ms // 1000)
    if wrong or line is None:
        desk.services.counters.webhooks_refused += 1
        log.warning("webhook_refused", code=wrong, reason="wms", request_id=head.id.decode())
        raise Refusal(wrong)
    if line.connection.waiting >= WAITING_MAX:
        raise Refusal("busy")
    if await desk.wms_inbox.store(connection_id, given["webhook-id"], body, now_ms):
        desk.wms_work.wake()
    return HookTaken(received=True)


HANDLERS: Final[list[Any]] = [wms_webhook]
