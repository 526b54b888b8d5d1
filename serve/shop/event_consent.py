"""What one allows of one's behaviour events: on the account, for all terminals."""

from typing import Any, Final

from litestar import get, put
from litestar.params import JSONBody

from actors.storage.events.people import Choice
from schemas.http.event_consent import EventConsent, SetEventConsent
from serve.answers import timestamp
from serve.framework import ShopRequest
from serve.requests import Refusal


def _shown(found: Choice | None) -> EventConsent:
    if found is None:
        return EventConsent(choice=None, text_version=None, at=None)
    return EventConsent(choice=found.choice, text_version=found.text_version, at=timestamp(found.at_ms))  # type: ignore[arg-type]


@get("/v1/me/event-consent", operation_id="readEventConsent")
async def read_consent(request: ShopRequest) -> EventConsent:
    """What holds."""
    return _shown(await request.desk.event_people.choice(request.customer().user_id))


@put("/v1/me/event-consent", operation_id="setEventConsent")
async def set_consent(request: ShopRequest, data: JSONBody[SetEventConsent]) -> EventConsent:
    """From now on. Each change is kept with its time and the version of the text."""
    desk, user_id = request.desk, request.customer().user_id
    if not desk.user_rate.take(user_id):
        raise Refusal("rate_limited")
    found = await desk.event_people.choose(user_id, data.choice, data.text_version, desk.clock.now_ms())
    desk.event_choices.changed(user_id)
    return _shown(found)


HANDLERS: Final[list[Any]] = [read_consent, set_consent]
