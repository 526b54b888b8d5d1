"""Apple's way back: it POSTs a form to us, across sites and without our cookies, and the page takes over from there.

Beside it stands the door for Apple's server, which tells by itself when somebody takes our app's leave away.
"""

from typing import Any, Final
from urllib.parse import parse_qsl

import structlog
from litestar import Response, post

from actors.adapters.oauth.id_token import SKEW_S, AppleNotice
from actors.storage.identities import identity_id_of
from schemas.http.hooks import HookTaken
from schemas.identity import ProvenIdentity
from schemas.ids import derived_id
from schemas.oauth import LoginDenied, LoginUnknown
from serve.framework import ShopRequest
from serve.login_pages import with_fragment
from serve.notices import tell_owner
from serve.requests import Refusal
from serve.shop.sessions import end_sessions
from serve.shop.shown_identities import shown
from serve.third_party_flows import hash_of_state

log = structlog.get_logger("stampede.hooks")

ENDED: Final = frozenset({"consent-revoked", "account-delete", "account-deleted"})
"""After these nobody may be logged in by it. ``email-enabled`` and ``email-disabled`` change nothing: no relayed address is kept."""

FIELDS: Final = {"state": 64, "code": 512, "user": 1000, "error": 100}
"""What is handed on, and how long it may be."""

FIELDS_MAX: Final = 10


@post("/v1/hooks/apple", operation_id="appleReturn", status_code=303)
async def apple_return(request: ShopRequest) -> Response[None]:
    """Send the browser on to the page where its login began. Nothing is believed here: the page presents it with its secret."""
    fields = _fields(await request.body())
    desk = request.desk
    page = await desk.oauth_flows.return_url(hash_of_state(fields.get("state", "")), "apple", desk.clock.now_ms())
    target = with_fragment(page or str(desk.login_pages.allowed(None)), {"provider": "apple"} | fields)
    return Response(
        content=None, status_code=303, headers={"Location": target, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    )


@post("/v1/hooks/apple/notifications", operation_id="appleNotification", status_code=200)
async def apple_notification(request: ShopRequest) -> HookTaken:
    """What Apple's server tells of a person. It tells again what is not answered with 2xx; what was told before changes nothing."""
    desk = request.desk
    apple = desk.services.logins.apple
    if apple is None:
        raise Refusal("login_not_offered")
    found = await apple.read_notice(await request.body(), desk.clock.now_ms() // 1000)
    if isinstance(found, LoginUnknown):
        raise Refusal("provider_unavailable")
    if isinstance(found, LoginDenied):
        log.warning("apple_notification_refused", reason=found.detail)
        raise Refusal("signature_stale" if found.detail == "expired" else "signature_invalid")
    mark = derived_id("apple", found.notice_id)
    if found.kind in ENDED and not await desk.notices.is_claimed(mark):
        await _ended(request, found)
        # Afterwards: one that was cut short is done again when Apple tells again, and each step may be repeated.
        await desk.notices.claim(mark, desk.clock.now_ms())
    log.info("apple_notification", kind=found.kind[:40])
    return HookTaken(received=True)


async def _ended(request: ShopRequest, notice: AppleNotice) -> None:
    """The person took our app's leave away, or has no Apple account any more: nobody is logged in by it."""
    desk = request.desk
    proven = ProvenIdentity(kind="apple", subject=notice.subject)
    user_id = await desk.identities.find(proven)
    if user_id is None:
        return
    before = await desk.identities.of_user(user_id)
    name = identity_id_of(desk.identities.lookup(proven))
    gone = next((one for one in before if one.identity_id == name), None)
    if gone is None or gone.added_at_ms > (notice.at_s + SKEW_S) * 1000:
        return  # linked anew since
    # The only way in stays: it opens nothing unless the person says yes to Apple again.
    if not await desk.identities.remove(user_id, name):
        change = (name, str(gone.added_at_ms))
        tell_owner(request, user_id, "identity_removed", *change, before=before, identity=shown(gone) or gone.kind)
    await end_sessions(desk, user_id)


def _fields(body: bytes) -> dict[str, str]:
    try:
        found = dict(parse_qsl(body.decode(), max_num_fields=FIELDS_MAX))
    except ValueError:
        raise Refusal("malformed_body") from None
    kept = {name: found[name] for name in FIELDS if name in found}
    if any(len(value) > FIELDS[name] for name, value in kept.items()):
        raise Refusal("invalid_request", {"reason": "a field is too long"})
    return kept


HANDLERS: Final[list[Any]] = [apple_return, apple_notification]
