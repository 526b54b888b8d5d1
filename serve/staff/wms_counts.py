"""Our counts against a warehouse's, for staff: have them compared, look at the differences, apply them."""

from typing import Annotated, Any, Final

from litestar import Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from schemas.http.staff import ForReason
from schemas.http.wms import Compare, Comparison, ComparisonPage, ComparisonWhole, DifferenceSeen
from schemas.ids import id_of, is_id
from schemas.wms import Difference, Reconciliation
from serve.answers import timestamp
from serve.cursors import cursor_of, parts_of
from serve.framework import ShopRequest
from serve.requests import Refusal
from serve.staff.doing import refusing
from serve.staff.wms import Cursor, Limit, at, page_start, request_id
from serve.step_up import require_step_up

EXPORTED_MAX: Final = 100_000
"""SKUs of one file."""

PAGE: Final = 5000
COLUMNS: Final = "sku,ours,theirs,in_flight,difference,cause,applied\r\n"


def _comparison(run: Reconciliation) -> Comparison:
    return Comparison(
        run_id=run.run_id, connection_id=run.connection_id, state=run.state, reason=run.reason, made_by=run.made_by,
        made_at=timestamp(run.made_at_ms), counted_at=at(run.taken_at_ms), rows=run.rows, different=run.different, adjusted=run.adjusted,
        refused=run.refused,
    )  # fmt: skip


async def _run(request: ShopRequest, run_id: str) -> Reconciliation:
    run = await request.desk.wms_counts.run(run_id) if is_id(run_id, "rec") else None
    if run is None:
        raise Refusal("wms_run_unknown")
    return run


@post("/v1/staff/wms/connections/{connection_id:str}/comparisons", operation_id="compareCounts", status_code=202)
async def compare_counts(request: ShopRequest, connection_id: FromPath[str], data: JSONBody[Compare]) -> Comparison:
    """Have counts compared, in the background."""
    desk, actor = request.desk, request.actor()
    command_id, _ = request.command(actor.user_id, "wms.compare")
    run_id = id_of("rec", command_id)
    if not is_id(connection_id, "wms"):
        raise Refusal("wms_connection_unknown")
    with refusing():
        await desk.wms_counts.begin(
            actor, run_id, connection_id, data.snapshot_id, data.reason, desk.clock.now_ms(), request_id(request)
        )  # fmt: skip
    desk.wms_work.wake()
    return _comparison(await _run(request, run_id))


@get("/v1/staff/wms/comparisons", operation_id="listComparisons")
async def list_comparisons(request: ShopRequest, cursor: Cursor = None, limit: Limit = 20) -> ComparisonPage:
    """Comparisons, the newest first."""
    before_ms, before_id = page_start("r", cursor)
    rows = await request.desk.wms_counts.runs(before_ms, before_id, limit + 1)
    more = cursor_of("r", str(rows[limit - 1].made_at_ms), rows[limit - 1].run_id) if len(rows) > limit else None
    return ComparisonPage(comparisons=tuple(map(_comparison, rows[:limit])), next_cursor=more)


def _difference(row: Difference) -> DifferenceSeen:
    cause: Any = row.cause
    return DifferenceSeen(
        sku=row.sku, ours=row.ours, theirs=row.theirs, in_flight=row.in_flight, difference=row.difference, cause=cause, applied=row.applied
    )


@get("/v1/staff/wms/comparisons/{run_id:str}", operation_id="readComparison")
async def read_comparison(
    request: ShopRequest,
    run_id: FromPath[str],
    matched: Annotated[bool, QueryParameter(description="also SKUs without a difference")] = False,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> ComparisonWhole:
    """One comparison, and a page of its differences by SKU."""
    run = await _run(request, run_id)
    after = ""
    if cursor is not None:
        kind, after = parts_of(cursor, 2)
        if kind != "d":
            raise Refusal("invalid_request", {"reason": "cursor is none of ours"})
    rows = await request.desk.wms_counts.differences(run_id, matched=matched, after=after, limit=limit + 1)
    more = cursor_of("d", rows[limit - 1].sku) if len(rows) > limit else None
    return ComparisonWhole(comparison=_comparison(run), differences=tuple(map(_difference, rows[:limit])), next_cursor=more)


@get("/v1/staff/wms/comparisons/{run_id:str}/csv", operation_id="exportComparison", media_type="text/csv")
async def export_comparison(request: ShopRequest, run_id: FromPath[str]) -> Response[bytes]:
    """All its SKUs as CSV. No cell needs quoting: codes are letters, digits and a few signs, and begin with a letter or digit."""
    await _run(request, run_id)
    parts, after, count = [COLUMNS], "", 0
    while count < EXPORTED_MAX:
        rows = await request.desk.wms_counts.differences(run_id, matched=True, after=after, limit=PAGE)
        for row in rows:
            applied = "".join(character for character in row.applied if character.isalnum() or character in "_ ")
            parts.append(f"{row.sku},{row.ours},{row.theirs},{row.in_flight},{row.difference},{row.cause},{applied}\r\n")
        count += len(rows)
        if len(rows) < PAGE:
            break
        after = rows[-1].sku
    headers = {"content-disposition": f'attachment; filename="{run_id}.csv"'}
    return Response("".join(parts).encode(), media_type="text/csv", headers=headers)


@post("/v1/staff/wms/comparisons/{run_id:str}/apply", operation_id="applyComparison", status_code=202)
async def apply_comparison(request: ShopRequest, run_id: FromPath[str], data: JSONBody[ForReason]) -> Comparison:
    """Adjust our stock by the differences, each once, in the background. A repeat changes nothing."""
    await require_step_up(request)
    desk = request.desk
    await _run(request, run_id)
    with refusing():
        await desk.wms_counts.apply(request.actor(), run_id, data.reason, desk.clock.now_ms(), request_id(request))
    desk.wms_work.wake()
    return _comparison(await _run(request, run_id))


HANDLERS: Final[list[Any]] = [compare_counts, list_comparisons, read_comparison, export_comparison, apply_comparison]
