"""The trail of what staff did, for administrators."""

from typing import Annotated, Any, Final

from litestar import get
from litestar.params import QueryParameter

from actors.storage.staff_actions import Action
from schemas.http.staff import StaffAction, StaffActionPage
from serve.answers import timestamp
from serve.cursors import cursor_of, parts_of
from serve.framework import ShopRequest
from serve.requests import Refusal

Filter = Annotated[str, QueryParameter(max_length=64, pattern="^[A-Za-z0-9_.-]*$")]


def _shown(action: Action) -> StaffAction:
    return StaffAction(
        seq=action.seq,
        action_id=action.action_id,
        state=action.state,
        at=timestamp(action.at_ms),
        actor_id=action.actor_id,
        role=action.role,
        permission=action.permission,
        target=action.target,
        reason=action.reason,
        before=action.before,
        after=action.after,
        request_id=action.request_id,
    )


@get("/v1/staff/actions", operation_id="listStaffActions")
async def list_actions(
    request: ShopRequest,
    cursor: Annotated[str | None, QueryParameter(max_length=200, description="`next_cursor` of the page before")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 20,
    actor_id: Filter = "",
    target: Filter = "",
    permission: Filter = "",
) -> StaffActionPage:
    """What staff did, the newest first: of one of them, about one thing, or by one permission."""
    before = 2**62
    if cursor is not None:
        kind, seq = parts_of(cursor, 2)
        if kind != "a" or not seq.isdigit() or len(seq) > 18:
            raise Refusal("invalid_request", {"reason": "cursor is none of ours"})
        before = int(seq)
    rows = await request.desk.staff_actions.page(before, actor_id, target, permission, limit + 1)
    page = rows[:limit]
    more = cursor_of("a", str(page[-1].seq)) if len(rows) > limit else None
    return StaffActionPage(actions=tuple(map(_shown, page)), next_cursor=more)


HANDLERS: Final[list[Any]] = [list_actions]
