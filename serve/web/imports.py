"""Imports of goods as pages: send a file, see how far it is and which cells are bad, let it run or end it."""

import json
from typing import Any, Final

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath

from actors.storage.imports import Job
from actors.storage.sheets.limits import FILE_BYTES_MAX
from schemas.ids import is_id
from serve.framework import ShopRequest
from serve.requests import Refusal
from serve.staff.doing import refusing
from serve.staff.imports import LAST, firm_of, shown
from serve.web.forms import FILE_FORMS, FORMS, form_of
from serve.web.pages import asked, language_of_page, number_of, page, see_other
from serve.web.uploading import file_of

SHOWN: Final = 30
BAD_CELLS: Final = 100
"""Bad cells that the page shows; the files have all."""

UNDER_WAY: Final = frozenset({"uploaded", "checking", "importing"})
REFRESH_S: Final = 3


class NoFields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A button and nothing else."""


FORMS["staffRunImport"] = NoFields
FORMS["staffCancelImport"] = NoFields
FILE_FORMS["staffUploadImport"] = {
    "type": "object",
    "required": ["file"],
    "properties": {"dry_run": {"type": "string", "enum": ["1", "0"]}, "file": {"type": "string", "format": "binary"}},
}


async def _one(request: ShopRequest, job_id: str) -> Job:
    if not is_id(job_id, "job"):
        raise Refusal("import_unknown")
    with refusing():
        return await request.desk.imports.one(job_id, firm_of(request.actor()))


@get("/staff/imports", operation_id="staffImportsPage", media_type="text/html")
async def imports_page(request: ShopRequest) -> Response[str]:
    """The imports, the newest first, and the form for another one."""
    before, _, before_id = asked(request, "before").partition(".")
    start = (number_of(before, LAST), before_id)
    jobs = await request.desk.imports.page(firm_of(request.actor()), start, SHOWN + 1)
    last = jobs[SHOWN - 1] if len(jobs) > SHOWN else None
    return page(request, "imports.html", jobs=jobs[:SHOWN], more=f"{last.asked_at_ms}.{last.job_id}" if last else "")


@post("/staff/imports", operation_id="staffUploadImport", media_type="text/html", status_code=303)
async def upload(request: ShopRequest) -> Response[str]:
    """Take a file, and show how far it is."""
    fields, name, pieces = await file_of(request, "file", FILE_BYTES_MAX)
    actor, head = request.actor(), request.head
    with refusing():
        job = await request.desk.imports.upload(
            actor, firm_of(actor), name, language_of_page(head), pieces, FILE_BYTES_MAX, dry_run=fields.get("dry_run") != "0",
            request_id=head.id.decode(),
        )  # fmt: skip
    return see_other(f"/staff/imports/{job.job_id}")


@get("/staff/imports/{job_id:str}", operation_id="staffImportPage", media_type="text/html")
async def import_page(request: ShopRequest, job_id: FromPath[str]) -> Response[str]:
    """How far an import is, and its bad cells."""
    job = await _one(request, job_id)
    language = language_of_page(request.head)
    has_report = bool(job.bad_cells) and await request.desk.imports.has(job.job_id, "list_json")
    cells = await _bad_cells(request, job.job_id) if has_report else []
    return page(
        request, "import.html", job=job, reason=shown(job, language).said, cells=cells, has_report=has_report,
        refresh_s=REFRESH_S if job.state in UNDER_WAY else 0,
    )  # fmt: skip


async def _bad_cells(request: ShopRequest, job_id: str) -> list[dict[str, Any]]:
    """The first bad cells: the list has one a line."""
    found: list[dict[str, Any]] = []
    rest = b""
    async for piece in request.desk.imports.pieces(job_id, "list_json"):
        *lines, rest = (rest + piece).split(b"\n")
        found += [json.loads(line.rstrip(b",")) for line in lines if line.startswith(b'{"row"')]
        if len(found) >= BAD_CELLS:
            break
    return found[:BAD_CELLS]


@post("/staff/imports/{job_id:str}/run", operation_id="staffRunImport", media_type="text/html", status_code=303)
async def run(request: ShopRequest, job_id: FromPath[str]) -> Response[str]:
    """Let what was checked be imported."""
    await form_of(request, NoFields)
    job, actor = await _one(request, job_id), request.actor()
    with refusing():
        await request.desk.imports.run(actor, firm_of(actor), job.job_id, request.head.id.decode())
    return see_other(f"/staff/imports/{job.job_id}")


@post("/staff/imports/{job_id:str}/cancel", operation_id="staffCancelImport", media_type="text/html", status_code=303)
async def cancel(request: ShopRequest, job_id: FromPath[str]) -> Response[str]:
    """End an import."""
    await form_of(request, NoFields)
    job, actor = await _one(request, job_id), request.actor()
    with refusing():
        await request.desk.imports.cancel(actor, firm_of(actor), job.job_id, request.head.id.decode())
    return see_other(f"/staff/imports/{job.job_id}")


HANDLERS: Final[list[Any]] = [imports_page, upload, import_page, run, cancel]
