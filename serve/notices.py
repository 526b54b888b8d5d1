"""What the owner of an account is told wherever it can be reached, so that nobody else does it unnoticed.

A notice has an id that follows from the change: whoever repeats the request tells nobody twice. It goes out in the background
after the change, and whatever becomes of it changes nothing for whoever asked. One that is under way when its process dies is lost.
"""

from collections.abc import Sequence

import structlog

from actors.storage.identities import Identity, identity_id_of
from schemas.factors import FactorProven
from schemas.identity import ProvenIdentity
from schemas.ids import derived_id
from serve.answers import timestamp
from serve.desk import Desk
from serve.framework import ShopRequest
from serve.shop.shown_identities import shown

log = structlog.get_logger("stampede.messages")


def tell_owner(
    request: ShopRequest, user_id: str, template: str, *change: str | bytes, before: Sequence[Identity] = (), **params: str
) -> None:
    """Send a notice to every address of an account, or by SMS where it has none.

    change: what tells this change from every other of the account. before: by what the account was reached until then; these
    are told in any case, for a new address may be a thief's.
    """
    said = {"at": timestamp(request.desk.clock.now_ms()), **params}
    tell(request.desk, request.head.language, user_id, template, *change, before=before, **said)


def tell(
    desk: Desk, language: str, user_id: str, template: str, *change: str | bytes, before: Sequence[Identity] = (), **params: str
) -> None:
    """The same where nobody asks, or it is not the owner who does."""
    notice_id = derived_id("notice", template, user_id, *change)
    desk.codes.in_background(template, lambda: _told(desk, user_id, notice_id, template, language, params, before))


def tell_of_added(request: ShopRequest, user_id: str, added: ProvenIdentity, before: Sequence[Identity]) -> None:
    """Tell that the account is logged in to by this too. One that it was logged in to by before is no news."""
    name = identity_id_of(request.desk.identities.lookup(added))
    if all(one.identity_id != name for one in before):
        request.desk.codes.in_background("identity_added", lambda: _told_of_added(request, user_id, name, before))


async def _told_of_added(request: ShopRequest, user_id: str, name: str, before: Sequence[Identity]) -> None:
    """Of two requests at once that add it, both find the same row, and tell of it once."""
    try:
        found = [one for one in await request.desk.identities.of_user(user_id) if one.identity_id == name]
    except Exception as error:
        log.warning("notice_not_sent", template="identity_added", reason=f"{type(error).__name__}: {error}"[:200])
        return
    for one in found:
        tell_owner(request, user_id, "identity_added", name, str(one.added_at_ms), before=before, identity=shown(one) or one.kind)


def tell_of_recovery(request: ShopRequest, user_id: str, proven: FactorProven) -> None:
    """Tell that a recovery code was used, when it was by one."""
    if proven.method == "recovery_code":
        tell_owner(request, user_id, "recovery_used", str(proven.at_ms), left=str(proven.recovery_codes_left))


async def _told(
    desk: Desk, user_id: str, notice_id: bytes, template: str, language: str, said: dict[str, str], before: Sequence[Identity]
) -> None:
    try:
        readers = _readers(await desk.identities.of_user(user_id), before)
        if not await desk.notices.claim(notice_id, desk.clock.now_ms()):
            return
    except Exception as error:
        log.warning("notice_not_sent", template=template, reason=f"{type(error).__name__}: {error}"[:200])
        return
    for channel, to in readers:
        desk.codes.notify(channel=channel, to=to, template=template, language=language, params=said)


def _readers(known: Sequence[Identity], before: Sequence[Identity]) -> list[tuple[str, str]]:
    """(channel, destination), each once."""
    found: dict[tuple[str, str], None] = {}
    for identities in (known, before):
        emails = [("email", one.subject) for one in identities if one.kind == "email"]
        found |= dict.fromkeys(emails or [("sms", one.subject) for one in identities if one.kind == "phone"])
    return list(found)
