"""Goods in bulk: files to import, how far they are, what was wrong with them; and exports. Merchants: their own firm's alone."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final, Literal
from urllib.parse import unquote_to_bytes

from litestar import Response, get, post
from litestar.params import FromPath, QueryParameter

from actors.domain.sheet import BY_CURRENCY, FIXED, Column, fixed
from actors.domain.staff import Actor
from actors.domain.token import Role
from actors.storage.export import Wish
from actors.storage.imports import Job
from actors.storage.sheets.limits import FILE_BYTES_MAX, refusal_text
from actors.storage.sheets.template import csv_template, workbook_template
from schemas.http.imports import ImportFlaws, ImportJob, ImportJobs, SheetColumn, SheetColumns
from schemas.ids import is_id
from schemas.problems import PROBLEMS, problem_of
from serve.answers import timestamp
from serve.cursors import cursor_of, parts_of
from serve.framework import ShopRequest
from serve.importing import exported
from serve.requests import Refusal, body_pieces
from serve.staff.doing import deed_of, refusing

WORKBOOK: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
CSV: Final = "text/csv"
TAKEN: Final = frozenset({CSV, "text/plain", WORKBOOK, "application/octet-stream", "application/vnd.ms-excel"})
"""What a file may call itself; what it is, its bytes say. Some systems call a CSV what Excel once was called."""

FULL: Final = int(Role.OPERATOR | Role.ADMINISTRATOR)
"""Who has one of these acts for the whole shop, also when a merchant too."""
LAST: Final = 1 << 60

Cursor = Annotated[str | None, QueryParameter(max_length=200, description="`next_cursor` of the page before")]
Limit = Annotated[int, QueryParameter(ge=1, le=100)]
DryRun = Annotated[bool, QueryParameter(description="false: imported at once where no cell is bad")]
Filter = Annotated[str, QueryParameter(max_length=64, pattern=r"^[A-Za-z0-9_.\-]*$")]
Standing = Annotated[Literal["", "draft", "scheduled", "on_shelf", "off_shelf", "retired"], QueryParameter(name="state")]
Language = Annotated[Literal["", "en", "zh-CN"], QueryParameter(description="of the headers; by Accept-Language where empty")]


def firm_of(actor: Actor) -> str:
    """Whose goods alone an actor imports and exports; empty: everybody's."""
    return "" if actor.roles & FULL else actor.merchant_id


def shown(job: Job, language: str) -> ImportJob:
    """A job as it is shown."""
    said = ""
    if job.reason:
        is_problem = job.reason in PROBLEMS
        said = problem_of(job.reason, job.params, language=language).title if is_problem else refusal_text(job.reason, job.params, language)
    return ImportJob(
        job_id=job.job_id, state=job.state, file_name=job.file_name, file_bytes=job.file_bytes, format=job.format, encoding=job.encoding,
        dry_run=job.dry_run, merchant_id=job.merchant_id, asked_by=job.actor_id, asked_at=timestamp(job.asked_at_ms),
        ended_at=timestamp(job.ended_at_ms) if job.ended_at_ms else None, rows_total=job.rows_total, rows_done=job.rows_done,
        bad_cells=job.bad_cells, created=job.created, changed=job.changed, same=job.same, reason=job.reason, said=said,
    )  # fmt: skip


def _file_name(request: ShopRequest) -> str:
    given = request.head.headers.get(b"file-name", b"")[:1000]
    return unquote_to_bytes(given).decode("utf-8", "replace")


def _id(job_id: str) -> str:
    if not is_id(job_id, "job"):
        raise Refusal("import_unknown")
    return job_id


async def _one(request: ShopRequest, job_id: str) -> Job:
    with refusing():
        return await request.desk.imports.one(_id(job_id), firm_of(request.actor()))


@post("/v1/staff/imports", operation_id="uploadImport", status_code=202)
async def upload(request: ShopRequest, dry_run: DryRun = True) -> ImportJob:
    """Send a file (CSV or .xlsx, up to 64 MiB) as the body, under its own content type; its name, percent-encoded, in `File-Name`.

    It is checked, and every bad cell listed. With `dry_run=false` it is imported where none is bad, else when `run` says so.
    """
    kind = request.head.headers.get(b"content-type", b"").partition(b";")[0].strip().lower().decode("latin-1")
    if kind not in TAKEN:
        raise Refusal("sheet_type_unsupported")
    actor, head = request.actor(), request.head
    with refusing():
        job = await request.desk.imports.upload(
            actor, firm_of(actor), _file_name(request), head.language, body_pieces(head, FILE_BYTES_MAX), FILE_BYTES_MAX,
            dry_run=dry_run, request_id=head.id.decode(),
        )  # fmt: skip
    return shown(job, head.language)


@get("/v1/staff/imports", operation_id="listImports")
async def list_imports(request: ShopRequest, cursor: Cursor = None, limit: Limit = 20) -> ImportJobs:
    """The imports, the newest first."""
    before = (LAST, "")
    if cursor is not None:
        at_ms, job_id = parts_of(cursor, 2)
        if not at_ms.isdigit() or len(at_ms) > 18:
            raise Refusal("invalid_request", {"reason": "cursor is none of ours"})
        before = (int(at_ms), job_id)
    jobs = await request.desk.imports.page(firm_of(request.actor()), before, limit + 1)
    more = cursor_of(str(jobs[limit - 1].asked_at_ms), jobs[limit - 1].job_id) if len(jobs) > limit else None
    return ImportJobs(imports=tuple(shown(job, request.head.language) for job in jobs[:limit]), next_cursor=more)


@get("/v1/staff/imports/{job_id:str}", operation_id="readImport")
async def read_import(request: ShopRequest, job_id: FromPath[str]) -> ImportJob:
    """How far an import is."""
    return shown(await _one(request, job_id), request.head.language)


@post("/v1/staff/imports/{job_id:str}/run", operation_id="runImport", status_code=202)
async def run_import(request: ShopRequest, job_id: FromPath[str]) -> ImportJob:
    """Import what was checked and has no bad cell: all of it, or nothing."""
    actor = request.actor()
    with refusing():
        job = await request.desk.imports.run(actor, firm_of(actor), _id(job_id), request.head.id.decode())
    return shown(job, request.head.language)


@post("/v1/staff/imports/{job_id:str}/cancel", operation_id="cancelImport", status_code=200)
async def cancel_import(request: ShopRequest, job_id: FromPath[str]) -> ImportJob:
    """End an import; what it was writing is taken back."""
    actor = request.actor()
    with refusing():
        job = await request.desk.imports.cancel(actor, firm_of(actor), _id(job_id), request.head.id.decode())
    return shown(job, request.head.language)


async def _part(request: ShopRequest, job_id: str, part: str, media: str, ending: str = "") -> Response[bytes]:
    """A part of a job as a download. Its name is made of the job's id: nobody's file name is a name here."""
    job = await _one(request, job_id)
    if not await request.desk.imports.has(job.job_id, part):
        raise Refusal("report_unknown")
    request.head.pieces = request.desk.imports.pieces(job.job_id, part)
    return _file(media, f"{job.job_id}.{ending or job.format or 'csv'}")


def _file(media: str, name: str) -> Response[bytes]:
    return Response(content=b"", media_type=media, headers={"content-disposition": f'attachment; filename="{name}"'})


@get("/v1/staff/imports/{job_id:str}/report", operation_id="fetchImportReport", media_type="application/octet-stream")
async def fetch_report(request: ShopRequest, job_id: FromPath[str]) -> Response[bytes]:
    """The sheet that was sent, in its format, with two columns before: the row, and what is wrong with it. Fix it and send it again."""
    return await _part(request, job_id, "sheet", "application/octet-stream")


@get("/v1/staff/imports/{job_id:str}/flaws.json", operation_id="listImportFlaws")
async def list_flaws(request: ShopRequest, job_id: FromPath[str]) -> Response[ImportFlaws]:
    """Every bad cell: where, and why in both languages."""
    found: Any = await _part(request, job_id, "list_json", "application/json", "json")
    return found  # type: ignore[no-any-return]


@get("/v1/staff/imports/{job_id:str}/flaws.csv", operation_id="fetchImportFlaws", media_type=CSV)
async def fetch_flaws(request: ShopRequest, job_id: FromPath[str]) -> Response[bytes]:
    """The same as CSV, in the language of whoever sent the file."""
    return await _part(request, job_id, "list_csv", CSV, "csv")


def _documented() -> tuple[Column, ...]:
    return (*(column for column in FIXED if column.scope != "said"), *BY_CURRENCY, fixed("attr"))


@get("/v1/staff/import-columns", operation_id="listImportColumns")
async def list_columns(request: ShopRequest) -> SheetColumns:
    """The columns of a sheet: how they are called in both languages, and what may stand in them."""
    return SheetColumns(
        columns=tuple(
            SheetColumn(en=column.en, zh=column.zh, of=column.scope, help_en=column.help_en, help_zh=column.help_zh)
            for column in _documented()
        )
    )


async def _template(request: ShopRequest, language: str, file_format: str) -> Response[bytes]:
    words = language or request.head.language
    currencies = sorted((await request.desk.goods.terms()).currencies)
    data = csv_template(currencies, words) if file_format == "csv" else workbook_template(currencies, words, _documented())
    headers = {"content-disposition": f'attachment; filename="template.{file_format}"'}
    return Response(content=data, media_type=CSV if file_format == "csv" else WORKBOOK, headers=headers)


@get("/v1/staff/import-template.csv", operation_id="fetchTemplateCsv", media_type=CSV)
async def csv_empty(request: ShopRequest, language: Language = "") -> Response[bytes]:
    """A sheet with all headers and no rows."""
    return await _template(request, language, "csv")


@get("/v1/staff/import-template.xlsx", operation_id="fetchTemplateWorkbook", media_type=WORKBOOK)
async def workbook_empty(request: ShopRequest, language: Language = "") -> Response[bytes]:
    """The same as a workbook, with a second sheet that says what may stand in each column."""
    return await _template(request, language, "xlsx")


async def _export(request: ShopRequest, wish: Wish) -> Response[bytes]:
    actor = request.actor()
    with refusing():
        await request.desk.roles.note(actor, deed_of(request, "goods.export", wish.merchant_id or "all", f"export {wish.format}"))
    pieces: AsyncIterator[bytes] = await exported(request.desk, wish)
    request.head.pieces = pieces
    return _file(CSV if wish.format == "csv" else WORKBOOK, f"products.{wish.format}")


def _wish(request: ShopRequest, file_format: str, language: str, state: str, category_id: str, brand_id: str, merchant_id: str) -> Wish:
    firm = firm_of(request.actor())
    return Wish(
        format=file_format, language=language or request.head.language, merchant_id=firm or merchant_id, state=state,
        category_id=category_id, brand_id=brand_id,
    )  # fmt: skip


@get("/v1/staff/exports/products.csv", operation_id="exportProductsCsv", media_type=CSV)
async def export_csv(
    request: ShopRequest,
    language: Language = "",
    standing: Standing = "",
    category_id: Filter = "",
    brand_id: Filter = "",
    merchant_id: Filter = "",
) -> Response[bytes]:
    """The products as an import takes them, as they stand now; a category holds those below it."""
    return await _export(request, _wish(request, "csv", language, standing, category_id, brand_id, merchant_id))


@get("/v1/staff/exports/products.xlsx", operation_id="exportProductsWorkbook", media_type=WORKBOOK)
async def export_workbook(
    request: ShopRequest,
    language: Language = "",
    standing: Standing = "",
    category_id: Filter = "",
    brand_id: Filter = "",
    merchant_id: Filter = "",
) -> Response[bytes]:
    """The same as a workbook."""
    return await _export(request, _wish(request, "xlsx", language, standing, category_id, brand_id, merchant_id))


HANDLERS: Final[list[Any]] = [
    upload, list_imports, read_import, run_import, cancel_import, fetch_report, list_flaws, fetch_flaws, list_columns, csv_empty,
    workbook_empty, export_csv, export_workbook,
]  # fmt: skip
