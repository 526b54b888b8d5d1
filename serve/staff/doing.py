"""How staff act on entities: checked before anybody is asked, written down before and after."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from actors.storage.staff import Deed, NotDone
from serve.framework import ShopRequest
from serve.requests import Refusal


@contextmanager
def refusing() -> Iterator[None]:
    """What the storage does not do, as the problem that it is."""
    try:
        yield
    except NotDone as ended:
        raise Refusal(ended.code) from None


def deed_of(request: ShopRequest, permission: str, target: str, reason: str, **more: str) -> Deed:
    """What is about to be done, under this request's id."""
    return Deed(permission=permission, target=target, reason=reason, request_id=request.head.id.decode(), **more)


async def told_for(request: ShopRequest, deed: Deed, kind: str, key: str, command: Any, *, command_id: bytes, digest: bytes) -> Any:
    """Ask an entity on behalf of staff: ``intended`` in the trail, then the command, then ``done`` or ``failed``.

    The command is not sent unless the intention was allowed and is durable. When this process dies in between, the
    intention stands alone: what became of it is in the entity's own history, under ``command_id``.
    """
    desk, actor = request.desk, request.actor()
    with refusing():
        action_id = await desk.roles.intend(actor, deed)
    try:
        reply = await desk.told(kind, key, command, command_id=command_id, digest=digest)
    except BaseException:
        await desk.roles.ended(actor, action_id, deed, done=False)
        raise
    await desk.roles.ended(actor, action_id, deed, done=True)
    return reply
