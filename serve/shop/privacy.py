"""A copy of everything about oneself, and to be forgotten."""

from typing import Any, Final

from litestar import Response, delete, get, post
from litestar.params import FromPath, JSONBody

from actors.storage.privacy import Export as Kept
from actors.storage.privacy import StaffAccount
from schemas.http.privacy import EraseMe, Erasure, Export
from schemas.ids import is_id
from serve.answers import timestamp
from serve.framework import ShopRequest
from serve.requests import Refusal
from serve.shop.sessions import end_sessions
from serve.step_up import require_step_up, require_where_protected


def _shown(kept: Kept) -> Export:
    expires_at = None if kept.expires_at_ms is None else timestamp(kept.expires_at_ms)
    return Export(export_id=kept.export_id, state=kept.state, asked_at=timestamp(kept.asked_at_ms), expires_at=expires_at)  # type: ignore[arg-type]


async def _own(request: ShopRequest, export_id: str) -> Kept:
    """One of one's own exports. Refusal ``export_unknown``, also when its days are over."""
    user_id = request.customer().user_id
    kept = await request.desk.privacy.export(user_id, export_id) if is_id(export_id, "exp") else None
    if kept is None:
        raise Refusal("export_unknown")
    return kept


@post("/v1/me/export", operation_id="askExport", status_code=202)
async def ask_export(request: ShopRequest) -> Export:
    """Ask for a copy. While one is being made, asking again gets the same one."""
    desk, user_id = request.desk, request.customer().user_id
    if not desk.user_rate.take(user_id):
        raise Refusal("rate_limited")
    return _shown(await desk.privacy.ask_export(user_id, request.head.language))


@get("/v1/me/exports/{export_id:str}", operation_id="readExport")
async def read_export(request: ShopRequest, export_id: FromPath[str]) -> Export:
    """Whether a copy is ready."""
    return _shown(await _own(request, export_id))


@get("/v1/me/exports/{export_id:str}/file", operation_id="fetchExport", media_type="application/zip")
async def fetch_export(request: ShopRequest, export_id: FromPath[str]) -> Response[bytes]:
    """The copy. Whoever has stolen a session does not get it: it takes a second factor."""
    kept = await _own(request, export_id)
    await require_step_up(request)
    if kept.state != "done":
        raise Refusal("export_failed" if kept.state == "failed" else "export_waiting")
    data = await request.desk.privacy.file(request.customer().user_id, export_id)
    if data is None:
        raise Refusal("export_unknown")
    return Response(content=data, media_type="application/zip", headers={"content-disposition": f'attachment; filename="{export_id}.zip"'})


@delete("/v1/me", operation_id="eraseMe", status_code=202)
async def erase_me(request: ShopRequest) -> Erasure:
    """Ask to be forgotten. All sessions end now; who logs in again within the days of regret stays."""
    await require_step_up(request)
    return await _erasure(request)


@post("/v1/me/erasure", operation_id="eraseMeByPassword", status_code=202)
async def erase_me_by_password(request: ShopRequest, data: JSONBody[EraseMe]) -> Erasure:
    """The same, for whoever has a password and no second factor."""
    desk, user_id = request.desk, (await require_where_protected(request)).user_id
    if not desk.account_logins.take(user_id):
        raise Refusal("rate_limited", {"retry_after_s": 5})
    account = await desk.users.one(user_id)
    kept = account.password_hash if account else None
    if not await desk.passwords.fits(data.password, kept) or kept is None:
        raise Refusal("wrong_credentials")
    return await _erasure(request)


async def _erasure(request: ShopRequest) -> Erasure:
    desk, token = request.desk, request.customer()
    try:
        due_at_ms = await desk.privacy.ask_erasure(token.user_id, desk.settings.retain_regret_days)
    except StaffAccount:
        raise Refusal("staff_account") from None
    await end_sessions(desk, token.user_id)
    desk.revocations.end([token.session_id])
    desk.cookies.take_back(request.head)
    return Erasure(due_at=timestamp(due_at_ms))


HANDLERS: Final[list[Any]] = [ask_export, read_export, fetch_export, erase_me, erase_me_by_password]
